/* SPDX-License-Identifier: Apache-2.0 */
#include "store/sums.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <string.h>

#define SUM_BYTES sizeof(uint64_t)

void sums_deinit(struct sums *s)
{
	buf_deinit(&s->rows);
	buf_deinit(&s->open);
}

void sums_clear(struct sums *s)
{
	buf_clear(&s->rows);
	buf_clear(&s->open);
}

static int append_sum(struct buf *open, uint64_t sum)
{
	uint64_t le = htole64(sum);

	return buf_append(open, &le, sizeof(le));
}

/* Each equals the one before it. */
static bool all_same(const struct buf *open)
{
	return !memcmp(open->data, open->data + SUM_BYTES, open->len - SUM_BYTES);
}

/* In a list of rows, each has its length before it. */
static int append_row(struct buf *rows, const struct buf *open)
{
	size_t len = all_same(open) ? SUM_BYTES : open->len;

	if (buf_append(rows, &len, sizeof(len)))
		return -ENOMEM;
	return buf_append(rows, open->data, len);
}

int sums_append(struct sums *s, uint64_t sum, uint64_t count)
{
	for (; count; count--) {
		if (append_sum(&s->open, sum))
			return -ENOMEM;
		if (s->open.len < SUMS_PER_CHUNK * SUM_BYTES)
			continue;
		if (append_row(&s->rows, &s->open))
			return -ENOMEM;
		buf_clear(&s->open);
	}
	return 0;
}

int sums_rows(const struct sums *s, const uint64_t *last, struct buf *ret_rows)
{
	CLEANUP_BUF struct buf open = BUF_INIT;

	if (buf_set(ret_rows, s->rows.data, s->rows.len) ||
	    buf_set(&open, s->open.data, s->open.len))
		return -ENOMEM;
	if (last && append_sum(&open, *last))
		return -ENOMEM;
	return open.len ? append_row(ret_rows, &open) : 0;
}

bool sums_next(struct slice rows, size_t *pos, struct slice *ret_row)
{
	const uint8_t *p = rows.data;
	size_t len;

	if (*pos == rows.len)
		return false;
	assert(rows.len - *pos > sizeof(len));
	memcpy(&len, p + *pos, sizeof(len));
	*ret_row = slice(p + *pos + sizeof(len), len);
	*pos += sizeof(len) + len;
	return true;
}

bool sums_row_valid(struct slice row, size_t blocks)
{
	return row.len == SUM_BYTES || row.len == blocks * SUM_BYTES;
}

uint64_t sums_row_get(struct slice row, size_t index)
{
	const uint8_t *p = row.data;
	uint64_t le;

	if (row.len == SUM_BYTES)
		index = 0;
	assert(index < row.len / SUM_BYTES);
	memcpy(&le, p + index * SUM_BYTES, sizeof(le));
	return le64toh(le);
}
