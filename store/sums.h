/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The block sums of an extent, as TABLE_SUMS has them.
 *
 * They are cut into chunks of SUMS_PER_CHUNK, one row each: a little-endian u64
 * a block, or a single one when all blocks of the chunk have the same. So the
 * rows of a hole are some bytes for each 512 MiB, however large it is.
 *
 * A zeroed struct sums is that of nothing. The lists of rows that sums_rows()
 * gives are walked by sums_next(), which numbers chunks from 0.
 */
#ifndef MEMOFS_STORE_SUMS_H
#define MEMOFS_STORE_SUMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/util/buf.h"

#define SUMS_BLOCK_BYTES (128 * 1024)
#define SUMS_PER_CHUNK 4096
#define SUMS_CHUNK_BYTES ((uint64_t)SUMS_PER_CHUNK * SUMS_BLOCK_BYTES)

struct sums {
	struct buf rows; /* of the chunks that are full */
	struct buf open; /* a u64 for each block of the next one */
};

void sums_deinit(struct sums *s);
void sums_clear(struct sums *s); /* keeps the memory */

/* The sum of the next `count` blocks, which all have it. -ENOMEM: some are missing. */
int sums_append(struct sums *s, uint64_t sum, uint64_t count);

/*
 * Replace `ret_rows` by the rows of all blocks, and of a last, shorter one that
 * has the sum *last, unless that is NULL. -ENOMEM.
 */
int sums_rows(const struct sums *s, const uint64_t *last, struct buf *ret_rows);
/* Start with *pos = 0; false at the end. *ret_row borrows from `rows`. */
bool sums_next(struct slice rows, size_t *pos, struct slice *ret_row);

/* How many chunks, and so rows, a content of that size has. */
static inline uint64_t sums_chunks(uint64_t size_bytes)
{
	return (size_bytes + SUMS_CHUNK_BYTES - 1) / SUMS_CHUNK_BYTES;
}

/* How many blocks there are in one of its chunks. */
static inline size_t sums_chunk_blocks(uint64_t size_bytes, uint64_t chunk)
{
	uint64_t left = size_bytes - chunk * SUMS_CHUNK_BYTES;

	if (left > SUMS_CHUNK_BYTES)
		left = SUMS_CHUNK_BYTES;
	return (size_t)((left + SUMS_BLOCK_BYTES - 1) / SUMS_BLOCK_BYTES);
}

/* Is it the row of a chunk of that many blocks? */
bool sums_row_valid(struct slice row, size_t blocks);
/* The sum of block `index` of a valid row. */
uint64_t sums_row_get(struct slice row, size_t index);

#endif
