/* SPDX-License-Identifier: Apache-2.0 */
#include "model.h"

#include <stdio.h>
#include <string.h>

#include "../mount/prog.h"

void slot_dir(unsigned int slot, char ret_path[64])
{
	snprintf(ret_path, 64, "%s/%u", slot_below_quota(slot) ? "quota" : "free", slot);
}

void cell_path(unsigned int slot, unsigned int cell, char ret_path[128])
{
	char dir[64];

	slot_dir(slot, dir);
	if (slot_kind(slot) == SLOT_VERSION)
		snprintf(ret_path, 128, "%s/.memofs/versions/v%u/key", dir, cell);
	else if (slot_kind(slot) == SLOT_CLEAR)
		snprintf(ret_path, 128, "%s/key%u", dir, cell);
	else
		snprintf(ret_path, 128, "%s/%s", dir, cell == TMP ? "tmp" : "key");
}

/* ---- events ---- */

size_t event_format(const struct event *event, char ret_text[EVENT_TEXT_MAX])
{
	size_t len = 0;

	len += (size_t)snprintf(ret_text, EVENT_TEXT_MAX, "begin %u %u %d %zu", event->id,
				event->slot, event->durable, event->set_count);
	for (size_t i = 0; i < event->set_count; i++) {
		const struct set *s = &event->sets[i];

		len += (size_t)snprintf(ret_text + len, EVENT_TEXT_MAX - len,
					" %u %u %u %u %d %d", s->cell, s->value,
					s->size_bytes, s->ttl_s, s->at_risk, s->renamed);
	}
	len += (size_t)snprintf(ret_text + len, EVENT_TEXT_MAX - len, "\n");
	return len;
}

static bool set_parse(const char **text, struct set *ret_set)
{
	struct set s = {0};
	int at_risk, renamed, used;

	if (sscanf(*text, " %u %u %u %u %d %d%n", &s.cell, &s.value, &s.size_bytes,
		   &s.ttl_s, &at_risk, &renamed, &used) != 6 ||
	    s.cell >= CELLS)
		return false;
	s.at_risk = at_risk;
	s.renamed = renamed;
	*text += used;
	*ret_set = s;
	return true;
}

bool event_parse(const char *text, struct event *ret_event)
{
	struct event e = {0};
	int durable, used;

	if (sscanf(text, "begin %u %u %d %zu%n", &e.id, &e.slot, &durable, &e.set_count,
		   &used) != 4 ||
	    e.slot >= SLOTS || e.set_count > CELLS)
		return false;
	e.durable = durable;
	text += used;
	for (size_t i = 0; i < e.set_count; i++)
		if (!set_parse(&text, &e.sets[i]))
			return false;
	*ret_event = e;
	return true;
}

/* ---- contents ---- */

#define HOLE_OFF ((size_t)64 * 1024)

void value_hole(unsigned int value, size_t size, size_t *ret_off, size_t *ret_len)
{
	*ret_off = HOLE_OFF;
	*ret_len = value % 3 == 0 && size > 3 * HOLE_OFF ? HOLE_OFF : 0;
}

void value_fill(uint8_t *data, unsigned int value, size_t size)
{
	size_t off, len;

	fill_pattern(data, size, 0, (uint64_t)value << 32);
	memset(data, 0, VALUE_MIN);
	snprintf((char *)data, VALUE_MIN, "value %u %zu\n", value, size);
	value_hole(value, size, &off, &len);
	memset(data + off, 0, len);
}

void tree_file(unsigned int slot, unsigned int file, unsigned int value,
	       size_t value_size, unsigned int *ret_number, size_t *ret_size)
{
	static const size_t common[TREE_COMMON] = {100 * 1000, 40 * 1000};

	if (file < TREE_COMMON) {
		*ret_number = 0x70000000u + slot * TREE_COMMON + file;
		*ret_size = common[file];
	} else {
		*ret_number = value;
		*ret_size = file == TREE_COMMON ? value_size : VALUE_MIN;
	}
}
