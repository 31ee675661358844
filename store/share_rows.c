/* SPDX-License-Identifier: Apache-2.0 */
#include "store/share_rows.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <string.h>

#define ROW_FORMAT 1
#define PART_FIELDS 4

/* ---- keys ---- */

static void key_add(struct key *k, const void *data, size_t len)
{
	assert(k->len + len <= sizeof(k->data));
	memcpy(k->data + k->len, data, len);
	k->len += (uint16_t)len;
}

static struct key key_tagged(uint8_t tag, uint64_t number)
{
	struct key k = {.len = 0};
	uint64_t be = htobe64(number);

	key_add(&k, &tag, 1);
	key_add(&k, &be, sizeof(be));
	return k;
}

struct key key_share(uint64_t ino)
{
	return key_tagged('s', ino);
}

struct key key_share_todo(uint64_t ino)
{
	return key_tagged('q', ino);
}

int key_share_todo_decode(struct slice raw, uint64_t *ret_ino)
{
	const uint8_t *bytes = raw.data;
	uint64_t be;

	if (raw.len != 1 + sizeof(be) || bytes[0] != 'q')
		return -EUCLEAN;
	memcpy(&be, bytes + 1, sizeof(be));
	*ret_ino = be64toh(be);
	return 0;
}

struct key key_share_use(uint64_t holder, uint64_t ino)
{
	struct key k = key_tagged('r', holder);
	uint64_t be = htobe64(ino);

	key_add(&k, &be, sizeof(be));
	return k;
}

struct key key_same(uint64_t ns, const uint8_t hash[PACK_HASH_BYTES])
{
	struct key k = key_ino(ns);

	key_add(&k, hash, PACK_HASH_BYTES);
	return k;
}

/* ---- values ---- */

static int put_u64(struct buf *out, uint64_t value)
{
	uint64_t le = htole64(value);

	return buf_append(out, &le, sizeof(le));
}

/* The caller has seen to the length. */
static uint64_t take_u64(const uint8_t **p)
{
	uint64_t le;

	memcpy(&le, *p, sizeof(le));
	*p += sizeof(le);
	return le64toh(le);
}

/* A format byte, and so many numbers. */
static int check_shape(struct slice raw, size_t numbers)
{
	const uint8_t *bytes = raw.data;

	return raw.len == 1 + numbers * sizeof(uint64_t) && bytes[0] == ROW_FORMAT
		   ? 0
		   : -EUCLEAN;
}

static bool range_valid(uint64_t off, uint64_t len)
{
	const uint64_t max = STORE_FILE_MAX;

	return len && off <= max && len <= max - off;
}

int same_encode(const struct same_row *row, struct buf *ret_raw)
{
	const uint8_t format = ROW_FORMAT;

	if (buf_append(ret_raw, &format, 1) || put_u64(ret_raw, row->holder) ||
	    put_u64(ret_raw, row->off) || put_u64(ret_raw, row->size_bytes))
		return -ENOMEM;
	return 0;
}

int same_decode(struct slice raw, struct same_row *ret_row)
{
	const uint8_t *p = raw.data;
	struct same_row row;

	if (check_shape(raw, 3))
		return -EUCLEAN;
	p++;
	row.holder = take_u64(&p);
	row.off = take_u64(&p);
	row.size_bytes = take_u64(&p);
	if (!row.holder || !range_valid(row.off, row.size_bytes))
		return -EUCLEAN;
	*ret_row = row;
	return 0;
}

int todo_encode(const struct todo_row *row, struct buf *ret_raw)
{
	const uint8_t head[] = {ROW_FORMAT, (uint8_t)row->what};
	uint32_t le = htole32(row->next);

	if (buf_append(ret_raw, head, sizeof(head)) ||
	    buf_append(ret_raw, &le, sizeof(le)))
		return -ENOMEM;
	return 0;
}

int todo_decode(struct slice raw, struct todo_row *ret_row)
{
	const uint8_t *bytes = raw.data;
	struct todo_row row;
	uint32_t le;

	if (raw.len != 2 + sizeof(le) || bytes[0] != ROW_FORMAT ||
	    bytes[1] >= SHARE_TODO_COUNT)
		return -EUCLEAN;
	memcpy(&le, bytes + 2, sizeof(le));
	row.what = bytes[1];
	row.next = le32toh(le);
	if (row.next > (row.what == SHARE_PUNCH ? SHARE_PARTS_MAX : 0))
		return -EUCLEAN;
	*ret_row = row;
	return 0;
}

void share_row_deinit(struct share_row *row)
{
	buf_deinit(&row->parts);
}

struct share_part share_part_at(const struct buf *parts, size_t i)
{
	struct share_part part;

	memcpy(&part, parts->data + i * sizeof(part), sizeof(part));
	return part;
}

size_t share_part_after(const struct buf *parts, uint64_t off)
{
	size_t low = 0, high = parts->len / sizeof(struct share_part);

	while (low < high) {
		size_t mid = low + (high - low) / 2;
		struct share_part part = share_part_at(parts, mid);

		if (part.off + part.len > off)
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

/* Add a number to those that were met. False: there are too many. */
static bool meet(uint64_t inos[SHARE_HOLDERS_MAX], size_t *n, uint64_t ino)
{
	for (size_t i = 0; i < *n; i++)
		if (inos[i] == ino)
			return true;
	if (*n == SHARE_HOLDERS_MAX)
		return false;
	inos[(*n)++] = ino;
	return true;
}

size_t share_holders(const struct share_row *row, uint64_t ret_inos[SHARE_HOLDERS_MAX])
{
	size_t n = 0;

	for (size_t i = 0; i < share_parts(row); i++)
		meet(ret_inos, &n, share_part_at(&row->parts, i).holder);
	return n;
}

uint64_t share_bytes(const struct share_row *row)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < share_parts(row); i++)
		bytes += share_part_at(&row->parts, i).len;
	return bytes;
}

int share_encode(const struct share_row *row, struct buf *ret_raw)
{
	const uint8_t format = ROW_FORMAT;
	int r = buf_append(ret_raw, &format, 1);

	if (!r)
		r = put_u64(ret_raw, row->ns);
	for (size_t i = 0; !r && i < share_parts(row); i++) {
		struct share_part part = share_part_at(&row->parts, i);

		if (put_u64(ret_raw, part.off) || put_u64(ret_raw, part.len) ||
		    put_u64(ret_raw, part.holder) || put_u64(ret_raw, part.holder_off))
			r = -ENOMEM;
	}
	return r;
}

static bool part_valid(const struct share_part *part, uint64_t after)
{
	return part->holder && part->off >= after && range_valid(part->off, part->len) &&
	       range_valid(part->holder_off, part->len);
}

int share_decode(struct slice raw, struct share_row *ret_row)
{
	size_t n = raw.len / (PART_FIELDS * sizeof(uint64_t)), n_holders = 0;
	uint64_t holders[SHARE_HOLDERS_MAX];
	const uint8_t *p = raw.data;
	uint64_t after = 0;

	if (n > SHARE_PARTS_MAX || check_shape(raw, 1 + n * PART_FIELDS))
		return -EUCLEAN;
	p++;
	ret_row->ns = take_u64(&p);
	buf_clear(&ret_row->parts);
	for (size_t i = 0; i < n; i++) {
		struct share_part part;

		part.off = take_u64(&p);
		part.len = take_u64(&p);
		part.holder = take_u64(&p);
		part.holder_off = take_u64(&p);
		if (!part_valid(&part, after) || !meet(holders, &n_holders, part.holder))
			return -EUCLEAN;
		if (buf_append(&ret_row->parts, &part, sizeof(part)))
			return -ENOMEM;
		after = part.off + part.len;
	}
	return ret_row->ns ? 0 : -EUCLEAN;
}
