/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading open generations.
 *
 * A block is checked against its sum before its bytes are given out for the
 * first time, then marked in a bitmap of the object. Sums are loaded chunk by
 * chunk as they are needed. Size, layout and sums do not change once they are
 * there, so that readers of one object take no lock: what is loaded late is
 * published by an atomic pointer. Two readers may load or check the same thing
 * at once; the second has wasted its work, no more.
 *
 * Small values stay in memory while they are open, as long as all of them
 * together fit SMALL_KEPT_BYTES; beyond, each read loads its own.
 *
 * Left out: a block that goes bad on the disk after it was checked is not noticed by
 * who reads by the same object, one that opens it later among them. It is by who opens
 * it after the last close, and once the object has forgotten what it has checked: see
 * gen_backing.c.
 */
#include "store/gen.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/content.h"
#include "store/sealed.h"
#include "store/share.h"
#include "store/value.h"

#define SMALL_KEPT_BYTES (32u * 1024 * 1024)

/* ---- small values ---- */

/* Count `bytes` among what is kept in memory, if that fits. */
static bool keep_small(struct gen_table *t, uint64_t bytes)
{
	if (atomic_fetch_add(&t->small_bytes, bytes) + bytes <= SMALL_KEPT_BYTES)
		return true;
	atomic_fetch_sub(&t->small_bytes, bytes);
	return false;
}

/* Takes the buffer's memory, unless somebody else was first or there is no room. */
static void publish_small(struct store_gen *gen, struct buf *data)
{
	uint8_t *none = NULL;

	if (!keep_small(gen->st->gens, gen->size_bytes))
		return;
	if (atomic_compare_exchange_strong(&gen->small, &none, data->data))
		*data = BUF_INIT;
	else
		atomic_fetch_sub(&gen->st->gens->small_bytes, gen->size_bytes);
}

static int read_small(struct store_gen *gen, void *data, size_t len, uint64_t off)
{
	CLEANUP_BUF struct buf loaded = BUF_INIT;
	const uint8_t *small = atomic_load_explicit(&gen->small, memory_order_acquire);
	struct inode_row row = {.core = {.ino = gen->ino, .size_bytes = gen->size_bytes},
				.has_hash = gen->has_hash};
	const char *why = NULL;
	int r;

	if (small) {
		memcpy(data, small + off, len);
		return 0;
	}
	memcpy(row.hash, gen->hash, sizeof(row.hash));
	r = value_load_small(gen->st, &row, &loaded, &why);
	if (r == -EUCLEAN)
		return gen_condemn(gen, why);
	if (r)
		return r;
	memcpy(data, loaded.data + off, len);
	publish_small(gen, &loaded);
	return 0;
}

/* ---- extents ---- */

static int load_chunk(struct store_gen *gen, uint64_t number,
		      struct gen_chunk **ret_chunk)
{
	const struct row_core core = {.ino = gen->ino, .size_bytes = gen->size_bytes};
	size_t words = (sums_chunk_blocks(gen->size_bytes, number) + 63) / 64;
	struct gen_chunk *chunk, *none = NULL;
	const char *why = NULL;
	int r;

	chunk = calloc(1, sizeof(*chunk) + words * sizeof(uint64_t));
	if (!chunk)
		return -ENOMEM;
	r = value_load_sums(gen->st, &core, number, &chunk->row, &why);
	if (!r && atomic_compare_exchange_strong(&gen->chunks[number], &none, chunk)) {
		*ret_chunk = chunk;
		return 0;
	}
	buf_deinit(&chunk->row);
	free(chunk);
	if (!r)
		*ret_chunk = none;
	return r == -EUCLEAN ? gen_condemn(gen, why) : r;
}

static int chunk_at(struct store_gen *gen, uint64_t off, struct gen_chunk **ret_chunk)
{
	uint64_t number = off / SUMS_CHUNK_BYTES;
	struct gen_chunk *chunk =
	    atomic_load_explicit(&gen->chunks[number], memory_order_acquire);

	if (!chunk)
		return load_chunk(gen, number, ret_chunk);
	*ret_chunk = chunk;
	return 0;
}

static bool is_checked(struct gen_chunk *chunk, uint64_t index)
{
	uint64_t bit = index % SUMS_PER_CHUNK;
	uint64_t word =
	    atomic_load_explicit(&chunk->checked[bit / 64], memory_order_relaxed);

	return word >> (bit % 64) & 1;
}

static void set_checked(struct gen_chunk *chunk, uint64_t index)
{
	uint64_t bit = index % SUMS_PER_CHUNK;

	atomic_fetch_or_explicit(&chunk->checked[bit / 64], UINT64_C(1) << (bit % 64),
				 memory_order_relaxed);
}

static uint64_t block_end(const struct store_gen *gen, uint64_t index)
{
	uint64_t end = (index + 1) * SUMS_BLOCK_BYTES;

	return end < gen->size_bytes ? end : gen->size_bytes;
}

/* Exactly these bytes. */
static int read_file(struct store_gen *gen, void *data, size_t len, uint64_t off)
{
	size_t n;
	int r = share_read(gen->shared, gen->fd, data, len, off, &n);

	if (r == -EIO)
		return gen_condemn(gen, "its extent file cannot be read");
	if (!r && n < len)
		return gen_condemn(gen, "its extent file is shorter than it was");
	return r;
}

static int check_block(struct store_gen *gen, struct gen_chunk *chunk, uint64_t index,
		       const void *data)
{
	size_t len = (size_t)(block_end(gen, index) - index * SUMS_BLOCK_BYTES);

	if (sums_row_get(buf_slice(&chunk->row), index % SUMS_PER_CHUNK) !=
	    digest_block(data, len))
		return gen_condemn(
		    gen, "a block of its extent file does not match its checksum");
	set_checked(chunk, index);
	return 0;
}

/* Part of a block that was not checked yet: it must be read whole. */
static int read_part(struct store_gen *gen, struct gen_chunk *chunk, void *data,
		     size_t len, uint64_t off)
{
	uint64_t index = off / SUMS_BLOCK_BYTES, start = index * SUMS_BLOCK_BYTES;
	size_t size = (size_t)(block_end(gen, index) - start);
	uint8_t *block = malloc(size);
	int r;

	if (!block)
		return -ENOMEM;
	r = read_file(gen, block, size, start);
	if (!r)
		r = check_block(gen, chunk, index, block);
	if (!r)
		memcpy(data, block + (off - start), len);
	free(block);
	return r;
}

/*
 * How many bytes from `off` on, up to `end`, can be read to where they are
 * wanted: blocks that are checked, or asked for as a whole. 0 when `off` is in
 * one that is neither.
 */
static size_t direct_len(struct store_gen *gen, struct gen_chunk *chunk, uint64_t off,
			 uint64_t end)
{
	uint64_t at = off;

	while (at < end) {
		uint64_t index = at / SUMS_BLOCK_BYTES, stop = block_end(gen, index);

		if (!is_checked(chunk, index) &&
		    (at != index * SUMS_BLOCK_BYTES || stop > end))
			break;
		at = stop < end ? stop : end;
	}
	return (size_t)(at - off);
}

/* A run that direct_len() has found. */
static int read_direct(struct store_gen *gen, struct gen_chunk *chunk, uint8_t *data,
		       size_t len, uint64_t off)
{
	uint64_t end = off + len, at = off;
	int r = read_file(gen, data, len, off);

	/* What was not checked when the run was found, it has whole. */
	while (!r && at < end) {
		uint64_t index = at / SUMS_BLOCK_BYTES, stop = block_end(gen, index);

		if (at == index * SUMS_BLOCK_BYTES && stop <= end &&
		    !is_checked(chunk, index))
			r = check_block(gen, chunk, index, data + (at - off));
		at = stop < end ? stop : end;
	}
	return r;
}

/* What lies in one chunk. */
static int read_in_chunk(struct store_gen *gen, struct gen_chunk *chunk, uint8_t *data,
			 size_t len, uint64_t off)
{
	uint64_t end = off + len, at = off;
	int r = 0;

	while (!r && at < end) {
		size_t n = direct_len(gen, chunk, at, end);

		if (n) {
			r = read_direct(gen, chunk, data + (at - off), n, at);
		} else {
			uint64_t stop = block_end(gen, at / SUMS_BLOCK_BYTES);

			n = (size_t)((stop < end ? stop : end) - at);
			r = read_part(gen, chunk, data + (at - off), n, at);
		}
		at += n;
	}
	return r;
}

static int read_extent(struct store_gen *gen, uint8_t *data, size_t len, uint64_t off)
{
	uint64_t end = off + len, at = off;
	int r = 0;

	if (!gen->shared) /* else it is not all in its own file */
		ahead_note(gen->st->ahead, &gen->place, gen->ino, gen->size_bytes, off,
			   len);
	while (!r && at < end) {
		uint64_t stop = (at / SUMS_CHUNK_BYTES + 1) * SUMS_CHUNK_BYTES;
		size_t n = (size_t)((stop < end ? stop : end) - at);
		struct gen_chunk *chunk = NULL;

		r = chunk_at(gen, at, &chunk);
		if (!r)
			r = read_in_chunk(gen, chunk, data + (at - off), n, at);
		at += n;
	}
	return r;
}

int store_gen_read(struct store_gen *gen, void *data, size_t len, uint64_t off,
		   size_t *ret_len)
{
	uint64_t left = off < gen->size_bytes ? gen->size_bytes - off : 0;
	size_t n = left < len ? (size_t)left : len;
	int r = 0;

	if (gen->tree)
		return store_gen_read(gen->tree->gen, data, n, gen->tree_off + off,
				      ret_len);
	if (atomic_load_explicit(&gen->condemned, memory_order_relaxed))
		return -EUCLEAN;
	if (n && gen->layout == LAYOUT_SMALL)
		r = read_small(gen, data, n, off);
	else if (n)
		r = read_extent(gen, data, n, off);
	if (!r)
		*ret_len = n;
	return r;
}

int store_gen_seek(struct store_gen *gen, uint64_t off, int whence, uint64_t *ret_off)
{
	off_t found;

	if (whence != SEEK_DATA && whence != SEEK_HOLE)
		return -EINVAL;
	if (off >= gen->size_bytes)
		return -ENXIO;
	/* The holes of what is shared are full of what others have. */
	if (gen->fd < 0 || gen->shared) {
		*ret_off = whence == SEEK_DATA ? off : gen->size_bytes;
		return 0;
	}
	found = lseek(gen->fd, (off_t)off, whence);
	if (found < 0)
		return -errno;
	*ret_off = (uint64_t)found;
	return 0;
}
