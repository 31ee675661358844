/* SPDX-License-Identifier: Apache-2.0 */
#include "store/history_rows.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#define ROW_FORMAT 1

/* ---- keys ---- */

struct key key_history(enum history_tag tag, uint64_t number)
{
	struct key k = {.len = 1 + sizeof(number)};
	uint64_t be = htobe64(number);

	k.data[0] = (uint8_t)tag;
	memcpy(k.data + 1, &be, sizeof(be));
	return k;
}

int key_history_decode(struct slice raw, enum history_tag *ret_tag, uint64_t *ret_number)
{
	const uint8_t *bytes = raw.data;
	uint64_t be;

	if (raw.len != 1 + sizeof(be) ||
	    (bytes[0] != HISTORY_MINUTE && bytes[0] != HISTORY_HOUR &&
	     bytes[0] != HISTORY_TOTAL))
		return -EUCLEAN;
	memcpy(&be, bytes + 1, sizeof(be));
	*ret_tag = (enum history_tag)bytes[0];
	*ret_number = be64toh(be);
	return 0;
}

/* ---- values: the format byte, then numbers ---- */

static int put_numbers(struct buf *out, const uint64_t *numbers, size_t count)
{
	const uint8_t format = ROW_FORMAT;
	int r = buf_append(out, &format, 1);

	for (size_t i = 0; !r && i < count; i++) {
		uint64_t le = htole64(numbers[i]);

		r = buf_append(out, &le, sizeof(le));
	}
	return r;
}

static int get_numbers(struct slice raw, uint64_t *ret_numbers, size_t count)
{
	const uint8_t *bytes = raw.data;

	if (raw.len != 1 + count * sizeof(uint64_t) || bytes[0] != ROW_FORMAT)
		return -EUCLEAN;
	for (size_t i = 0; i < count; i++) {
		uint64_t le;

		memcpy(&le, bytes + 1 + i * sizeof(le), sizeof(le));
		ret_numbers[i] = le64toh(le);
	}
	return 0;
}

enum { HISTORY_HEAD = 3, TOTAL_HEAD = 1 };

int history_encode(const struct history_row *row, struct buf *ret_raw)
{
	uint64_t n[HISTORY_HEAD + STORE_COUNTS] = {row->number, row->total_bytes,
						   row->entries};

	memcpy(n + HISTORY_HEAD, row->counts.n, sizeof(row->counts.n));
	return put_numbers(ret_raw, n, HISTORY_HEAD + STORE_COUNTS);
}

int history_decode(struct slice raw, struct history_row *ret_row)
{
	uint64_t n[HISTORY_HEAD + STORE_COUNTS];
	int r = get_numbers(raw, n, HISTORY_HEAD + STORE_COUNTS);

	/* Its time must be one. */
	if (r || n[0] > (uint64_t)(INT64_MAX / (3600 * NSEC_PER_SEC)) * 60)
		return -EUCLEAN;
	ret_row->number = n[0];
	ret_row->total_bytes = n[1];
	ret_row->entries = n[2];
	memcpy(ret_row->counts.n, n + HISTORY_HEAD, sizeof(ret_row->counts.n));
	return 0;
}

int total_encode(const struct total_row *row, struct buf *ret_raw)
{
	uint64_t n[TOTAL_HEAD + STORE_COUNTS] = {(uint64_t)row->since_ns};

	memcpy(n + TOTAL_HEAD, row->counts.n, sizeof(row->counts.n));
	return put_numbers(ret_raw, n, TOTAL_HEAD + STORE_COUNTS);
}

int total_decode(struct slice raw, struct total_row *ret_row)
{
	uint64_t n[TOTAL_HEAD + STORE_COUNTS];
	int r = get_numbers(raw, n, TOTAL_HEAD + STORE_COUNTS);

	if (r || n[0] > INT64_MAX)
		return -EUCLEAN;
	ret_row->since_ns = (int64_t)n[0];
	memcpy(ret_row->counts.n, n + TOTAL_HEAD, sizeof(ret_row->counts.n));
	return 0;
}
