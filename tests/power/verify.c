/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compare a mount with what the load had done (see model.h).
 *
 *   verify MOUNT MARKS [--bounds | --older]
 *
 * With --bounds all but what is pinned may be absent; with --older the mount is of a
 * store as it was at some time before, and each cell may have any value that it ever had.
 * Prints "WHOLE ABSENT" on one line: cells that have a value, and that have none. Each
 * thing that is wrong is a line on stderr, and the exit code is 1 then.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "../mount/prog.h"
#include "model.h"

/* What a cell was set to, one after the other. */
struct history {
	struct set *sets; /* the first is: nothing, durably */
	size_t count;
	size_t durable; /* the last one that is */
};

struct begun {
	struct event event;
	/* Of each cell of the slot, how many sets there were when it began, with it. */
	size_t counts[CELLS];
	unsigned int chosen;
	bool done;
};

static struct {
	bool bounds, older, ready;
	struct history cells[SLOTS][CELLS];
	struct begun *events; /* by id */
	size_t event_count;
	unsigned int whole, absent, wrong;
	uint8_t *data, *want;
} v;

/* One line, after the program's name; it goes on. */
__attribute__((format(printf, 1, 2))) static void wrong(const char *fmt, ...)
{
	va_list ap;

	v.wrong++;
	fprintf(stderr, "verify: ");
	va_start(ap, fmt);
	vfprintf(stderr, fmt, ap);
	va_end(ap);
	fprintf(stderr, "\n");
}

/* ---- what was done ---- */

static void *grown(void *array, size_t count, size_t size)
{
	/* Powers of two: when the count is one, it is full. */
	if (count & (count - 1))
		return array;
	array = realloc(array, (count ? count * 2 : 1) * size);
	if (!array)
		fail("out of memory");
	return array;
}

static void history_add(struct history *h, const struct set *set)
{
	h->sets = grown(h->sets, h->count, sizeof(*h->sets));
	h->sets[h->count++] = *set;
}

static void note_begin(const struct event *event)
{
	struct history *cells = v.cells[event->slot];
	struct begun *b;

	while (v.event_count <= event->id) {
		v.events = grown(v.events, v.event_count, sizeof(*v.events));
		v.events[v.event_count++] = (struct begun){.done = true};
	}
	b = &v.events[event->id];
	*b = (struct begun){.event = *event};
	for (size_t i = 0; i < event->set_count; i++)
		history_add(&cells[event->sets[i].cell], &event->sets[i]);
	for (unsigned int cell = 0; cell < CELLS; cell++)
		b->counts[cell] = cells[cell].count;
	b->chosen = cells[CHOSEN].sets[cells[CHOSEN].count - 1].value;
}

static void note_durable(const struct begun *b, unsigned int cell)
{
	struct history *h = &v.cells[b->event.slot][cell];

	h->durable = b->counts[cell] - 1;
	h->sets[h->durable].at_risk = false;
}

/* A sync covers the directory at the version that it had. */
static bool covers(const struct begun *b, unsigned int cell)
{
	if (slot_kind(b->event.slot) != SLOT_VERSION || cell == CHOSEN)
		return true;
	return cell + 1 == b->chosen;
}

static struct begun *note_end(unsigned int id)
{
	if (id >= v.event_count || v.events[id].done)
		fail("event %u ends without having begun", id);
	v.events[id].done = true;
	return &v.events[id];
}

/* The cells are set to what they were. */
static void note_failed(unsigned int id)
{
	const struct begun *b = note_end(id);

	for (size_t i = 0; i < b->event.set_count; i++) {
		unsigned int cell = b->event.sets[i].cell;
		struct set *set = &v.cells[b->event.slot][cell].sets[b->counts[cell] - 1];

		*set = set[-1];
	}
}

static void note_done(unsigned int id)
{
	const struct begun *b = note_end(id);

	if (!b->event.durable || v.older)
		return;
	for (size_t i = 0; i < b->event.set_count; i++)
		note_durable(b, b->event.sets[i].cell);
	for (unsigned int cell = 0; !b->event.set_count && cell < CELLS; cell++)
		if (covers(b, cell))
			note_durable(b, cell);
}

static void read_marks(const char *path)
{
	FILE *f = fopen(path, "re");
	char line[EVENT_TEXT_MAX];

	if (!f)
		fail_errno("%s", path);
	for (unsigned int slot = 0; slot < SLOTS; slot++)
		for (unsigned int cell = 0; cell < CELLS; cell++)
			history_add(&v.cells[slot][cell], &(struct set){.cell = cell});
	while (fgets(line, sizeof(line), f)) {
		struct event event;
		unsigned int id;

		if (event_parse(line, &event))
			note_begin(&event);
		else if (sscanf(line, "done %u", &id) == 1)
			note_done(id);
		else if (sscanf(line, "failed %u", &id) == 1)
			note_failed(id);
		else if (!strcmp(line, "ready\n"))
			v.ready = true;
		else if (line[0] != '#')
			fail("%s has the line %s", path, line);
	}
	fclose(f);
}

/* ---- what is there ---- */

/* The number of a value, by what its content says; 0: it does not. */
static bool said_value(const uint8_t *data, size_t size, unsigned int *ret_value,
		       size_t *ret_size)
{
	char text[VALUE_MIN + 1] = "";

	if (size < VALUE_MIN)
		return false;
	memcpy(text, data, VALUE_MIN);
	return sscanf(text, "value %u %zu\n", ret_value, ret_size) == 2;
}

/*
 * Read a value, and compare all of it with what it says to be. 0: there is none. Anything
 * that is neither whole nor absent is wrong.
 */
static unsigned int read_value(const char *path, size_t *ret_size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	unsigned int value = 0;
	size_t said, size;
	ssize_t n;

	if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
		return 0;
	if (fd < 0) {
		wrong("%s cannot be opened: %s", path, strerror(errno));
		return 0;
	}
	n = read(fd, v.data, VALUE_MAX);
	for (size = 0; n > 0; n = read(fd, v.data + size, VALUE_MAX - size))
		size += (size_t)n;
	close(fd);
	if (n < 0) {
		wrong("%s cannot be read: %s", path, strerror(errno));
	} else if (!said_value(v.data, size, &value, &said) || said != size) {
		wrong("%s has %zu bytes that are no value", path, size);
		value = 0;
	} else {
		value_fill(v.want, value, size);
		if (memcmp(v.data, v.want, size))
			wrong("%s has other bytes than value %u", path, value);
	}
	*ret_size = size;
	return value;
}

/* All files of a tree, which tell what it is. */
static unsigned int read_tree(unsigned int slot, const char *path, size_t *ret_size)
{
	unsigned int value = 0;
	struct stat st;

	if (stat(path, &st)) {
		if (errno != ENOENT)
			wrong("%s: %s", path, strerror(errno));
		return 0;
	}
	for (unsigned int i = TREE_FILES; i-- > 0;) {
		unsigned int number, want;
		size_t size = 0, want_size;
		char file[160];

		snprintf(file, sizeof(file), "%s/%u", path, i);
		number = read_value(file, &size);
		if (i == TREE_FILES - 1)
			value = number;
		if (i == TREE_COMMON)
			*ret_size = size;
		tree_file(slot, i, value, *ret_size, &want, &want_size);
		if (number != want || size != want_size)
			wrong("%s has value %u of %zu bytes in place of %u", file, number,
			      size, want);
	}
	return value;
}

static unsigned int read_chosen(const char *dir)
{
	char text[64] = "";
	unsigned int version;
	ssize_t n = getxattr(dir, "user.cache.version", text, sizeof(text) - 1);

	if (n < 0 && errno != ENODATA && errno != ENOENT)
		wrong("version of %s: %s", dir, strerror(errno));
	return n > 0 && sscanf(text, "v%u", &version) == 1 ? version + 1 : 0;
}

static unsigned int read_ttl(const char *path)
{
	char text[64] = "";
	unsigned int ttl_s = 0;
	ssize_t n = getxattr(path, "user.cache.ttl", text, sizeof(text) - 1);

	if (n < 0 && errno != ENODATA)
		wrong("ttl of %s: %s", path, strerror(errno));
	if (n > 0 && sscanf(text, "%us", &ttl_s) != 1)
		wrong("%s has the ttl \"%s\"", path, text);
	return ttl_s;
}

static struct set read_cell(unsigned int slot, unsigned int cell)
{
	struct set found = {.cell = cell};
	char path[128];
	size_t size = 0;

	if (cell == CHOSEN) {
		slot_dir(slot, path);
		found.value = read_chosen(path);
		return found;
	}
	cell_path(slot, cell, path);
	if (slot_kind(slot) == SLOT_TREE)
		found.value = read_tree(slot, path, &size);
	else
		found.value = read_value(path, &size);
	found.size_bytes = (unsigned int)size;
	if (found.value && slot_kind(slot) == SLOT_FILE)
		found.ttl_s = read_ttl(path);
	return found;
}

/* ---- comparing ---- */

/* What took its place may have been lost, or dropped to make room. */
static bool may_be_absent(const struct history *h, unsigned int slot)
{
	if (v.bounds && !slot_pinned(slot))
		return true;
	for (size_t i = h->durable; i < h->count; i++)
		if (h->sets[i].at_risk || !h->sets[i].value)
			return true;
	return false;
}

static bool is_allowed(const struct history *h, const struct set *found,
		       unsigned int slot)
{
	if (!found->value)
		return may_be_absent(h, slot);
	for (size_t i = h->durable; i < h->count; i++) {
		const struct set *s = &h->sets[i];

		if (s->value == found->value &&
		    (found->cell == CHOSEN || (s->size_bytes == found->size_bytes &&
					       (v.bounds || s->ttl_s == found->ttl_s))))
			return true;
	}
	return false;
}

static void say_allowed(const struct history *h)
{
	fprintf(stderr, "verify:   durable is");
	for (size_t i = h->durable; i < h->count; i++)
		fprintf(stderr, "%s %u (ttl %u%s)", i == h->durable ? "" : ", then",
			h->sets[i].value, h->sets[i].ttl_s,
			h->sets[i].at_risk ? ", not synced" : "");
	fprintf(stderr, "\n");
}

static void check_cell(unsigned int slot, const struct set *found)
{
	const struct history *h = &v.cells[slot][found->cell];
	char path[128];

	if (found->value)
		v.whole++;
	else
		v.absent++;
	if (is_allowed(h, found, slot))
		return;
	cell_path(slot, found->cell, path);
	wrong("%s%s has value %u of %u bytes, ttl %u", path,
	      found->cell == CHOSEN ? " (version)" : "", found->value, found->size_bytes,
	      found->ttl_s);
	say_allowed(h);
}

/* A value that was synced and is being renamed is at one of the two names. */
static void check_rename(unsigned int slot, const struct set found[CELLS])
{
	const struct history *key = &v.cells[slot][KEY], *tmp = &v.cells[slot][TMP];
	const struct set *to = &key->sets[key->count - 1];

	if (v.bounds || v.older || !to->renamed || !tmp->sets[tmp->count - 1].renamed ||
	    to->at_risk)
		return;
	if (found[KEY].value != to->value && found[TMP].value != to->value)
		wrong("slot %u: value %u was renamed, and has neither name", slot,
		      to->value);
}

static unsigned int cell_count(unsigned int slot)
{
	switch (slot_kind(slot)) {
	case SLOT_FILE:
		return TMP + 1;
	case SLOT_VERSION:
		return CELLS;
	case SLOT_CLEAR:
		return VERSIONS;
	case SLOT_TREE:
	case SLOT_KINDS:
		break;
	}
	return KEY + 1;
}

/* What is listed was made by the load. */
static void check_names(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *ent;

	if (!dir) {
		wrong("%s cannot be listed: %s", path, strerror(errno));
		return;
	}
	while (errno = 0, (ent = readdir(dir)))
		if (strcmp(ent->d_name, ".") && strcmp(ent->d_name, "..") &&
		    strncmp(ent->d_name, "key", 3) && strcmp(ent->d_name, "tmp"))
			wrong("%s has the name %s", path, ent->d_name);
	if (errno)
		wrong("%s cannot be listed: %s", path, strerror(errno));
	closedir(dir);
}

static void check_slot(unsigned int slot)
{
	struct set found[CELLS];
	char dir[64];

	slot_dir(slot, dir);
	if (access(dir, F_OK)) {
		if (v.ready)
			wrong("%s: %s", dir, strerror(errno));
		return;
	}
	check_names(dir);
	for (unsigned int cell = 0; cell < cell_count(slot); cell++) {
		found[cell] = read_cell(slot, cell);
		check_cell(slot, &found[cell]);
	}
	if (slot_kind(slot) == SLOT_FILE)
		check_rename(slot, found);
}

int main(int argc, char **argv)
{
	if (argc == 4 && !strcmp(argv[3], "--bounds"))
		v.bounds = true;
	else if (argc == 4 && !strcmp(argv[3], "--older"))
		v.older = true;
	else if (argc != 3) {
		fprintf(stderr, "usage: verify MOUNT MARKS [--bounds | --older]\n");
		return 2;
	}
	v.data = malloc(VALUE_MAX);
	v.want = malloc(VALUE_MAX);
	if (!v.data || !v.want)
		fail("out of memory");
	read_marks(argv[2]);
	if (chdir(argv[1]))
		fail_errno("%s", argv[1]);
	for (unsigned int slot = 0; slot < SLOTS; slot++)
		check_slot(slot);
	printf("%u %u\n", v.whole, v.absent);
	return v.wrong != 0;
}
