/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Numbers for inodes and branches.
 *
 * META "ids" says from where on no number was ever given out. Numbers are taken
 * from chunks: the row is moved past a whole chunk, and synced, before the first
 * of it is used. A process that dies wastes the rest of its chunk; 2^64 numbers
 * last for 2^48 such deaths.
 */
#include <errno.h>

#include "store/internal.h"

#define IDS_CHUNK 65536
/* The numbers below are for inodes that are part of the format, as the root. */
#define IDS_FIRST INO_FIRST

/* What could not have been given out is damaged. */
static int max_number(void *arg, uint64_t number)
{
	uint64_t *max = arg;

	if (number > *max && number <= ROW_SEALED_INO_MAX)
		*max = number;
	return 0;
}

/* Of all keys that end with a number: inodes, what waits to be deleted, branches. */
static int max_key(struct backend *be, enum table table, uint64_t *max)
{
	struct backend_iter *it;
	uint64_t ino;
	int r = backend_iter_new(be, table, &it);

	if (r)
		return r;
	for (backend_iter_seek(it, slice("", 0)); backend_iter_valid(it);
	     backend_iter_next(it)) {
		struct slice key = backend_iter_key(it);
		size_t skip = table == TABLE_BRANCH ? 1 : 0;

		if (key.len == skip + 8 &&
		    key_ino_decode(slice((const char *)key.data + skip, 8), &ino) == 0)
			max_number(max, ino);
	}
	r = backend_iter_status(it);
	backend_iter_free(it);
	return r;
}

int ids_in_use(struct backend *be, uint64_t *ret_max)
{
	static const enum table tables[] = {TABLE_INODE, TABLE_GCQ, TABLE_INTENT,
					    TABLE_BRANCH};
	uint64_t max = 0;
	int r = backend_extent_list(be, max_number, &max);

	for (size_t i = 0; !r && i < sizeof(tables) / sizeof(tables[0]); i++)
		r = max_key(be, tables[i], &max);
	if (!r)
		*ret_max = max;
	return r;
}

/* The row is missing: the store is new, or it was lost. */
static int begin_anew(struct store *st, uint64_t *ret_limit)
{
	uint64_t max = 0;
	int r = ids_in_use(st->be, &max);

	if (!r)
		*ret_limit = max < IDS_FIRST ? IDS_FIRST : max + 1;
	return r;
}

static int reserved_load(struct store *st, uint64_t *ret_limit)
{
	CLEANUP_BUF struct buf raw = BUF_INIT;
	int r;

	r = backend_get(st->be, TABLE_META, slice_str("ids"), &raw);
	if (r == -ENOENT)
		return begin_anew(st, ret_limit);
	if (r)
		return r;
	r = u64_decode(buf_slice(&raw), ret_limit);
	return r ? store_damaged(st, "the counter of ids", 0) : 0;
}

/* The row is synced, lest a power loss takes the row back but leaves an extent. */
static int reserved_store(struct store *st, uint64_t limit)
{
	CLEANUP_BATCH struct batch b = BATCH_INIT;
	CLEANUP_BUF struct buf raw = BUF_INIT;
	int r;

	r = u64_encode(limit, &raw);
	if (r)
		return r;
	batch_put(&b, TABLE_META, slice_str("ids"), buf_slice(&raw));
	r = backend_commit(st->be, &b);
	return r ? r : backend_sync(st->be);
}

static int reserve_chunk(struct store *st)
{
	uint64_t first;
	int r;

	r = reserved_load(st, &first);
	if (r)
		return r;
	if (first > UINT64_MAX - IDS_CHUNK)
		return -ENOSPC;
	r = reserved_store(st, first + IDS_CHUNK);
	if (r)
		return r;
	st->ids_next = first;
	st->ids_limit = first + IDS_CHUNK;
	return 0;
}

int ino_alloc(struct store *st, uint64_t *ret_ino)
{
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&st->ids);

	if (st->ids_next == st->ids_limit) {
		int r = reserve_chunk(st);

		if (r)
			return r;
	}
	*ret_ino = st->ids_next++;
	return 0;
}

uint64_t ino_end(struct store *st)
{
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&st->ids);

	return st->ids_next;
}
