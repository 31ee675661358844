/* SPDX-License-Identifier: Apache-2.0 */
/* The checked way to a backend: the contract of "store/backend.h" is asserted here. */
#include "store/backend.h"

#include <assert.h>
#include <errno.h>
#include <string.h>

#include "store/commits.h"

const char *table_name(enum table table)
{
	static const char *const names[TABLE_COUNT] = {
	    [TABLE_META] = "meta",	 [TABLE_INODE] = "inode",
	    [TABLE_DIRENT] = "dirent",	 [TABLE_SMALL] = "small",
	    [TABLE_SUMS] = "sums",	 [TABLE_BRANCH] = "branch",
	    [TABLE_GCQ] = "gcq",	 [TABLE_UNSYNCED] = "unsynced",
	    [TABLE_INTENT] = "intent",	 [TABLE_HEAT] = "heat",
	    [TABLE_LEASE] = "lease",	 [TABLE_SHARE] = "share",
	    [TABLE_SAME] = "same",	 [TABLE_HISTORY] = "history",
	    [TABLE_COUNTER] = "counter",
	};

	assert((unsigned int)table < TABLE_COUNT);
	return names[table];
}

int slice_cmp(struct slice a, struct slice b)
{
	size_t len = a.len < b.len ? a.len : b.len;
	int c = len ? memcmp(a.data, b.data, len) : 0;

	return c ? c : (a.len > b.len) - (a.len < b.len);
}

void backend_free(struct backend *be)
{
	if (!be)
		return;
	commits_free(be->commits);
	be->commits = NULL;
	be->ops->free(be);
}

int backend_get(struct backend *be, enum table t, struct slice key, struct buf *ret_value)
{
	assert((unsigned int)t < TABLE_COUNT && ret_value);
	return be->ops->get(be, t, key, ret_value);
}

int backend_commit(struct backend *be, const struct batch *b)
{
	int r;

	if (b->failed)
		return -ENOMEM;
	if (!b->count)
		return 0;
	commits_begin(be->commits, b);
	r = be->ops->commit(be, b);
	commits_end(be->commits, b, r == 0);
	return r;
}

int backend_sync(struct backend *be)
{
	return be->ops->sync(be);
}

int backend_iter_new(struct backend *be, enum table t, struct backend_iter **ret_it)
{
	assert((unsigned int)t < TABLE_COUNT && ret_it);
	return be->ops->iter_new(be, t, slice(NULL, 0), ITER_PASS, ret_it);
}

int backend_iter_new_until(struct backend *be, enum table t, struct slice end,
			   struct backend_iter **ret_it)
{
	assert((unsigned int)t < TABLE_COUNT && end.len && ret_it);
	return be->ops->iter_new(be, t, end, ITER_FEW, ret_it);
}

int backend_iter_new_many(struct backend *be, enum table t, struct slice end,
			  struct backend_iter **ret_it)
{
	assert((unsigned int)t < TABLE_COUNT && end.len && ret_it);
	return be->ops->iter_new(be, t, end, ITER_MANY, ret_it);
}

void backend_iter_free(struct backend_iter *it)
{
	if (it)
		it->ops->free(it);
}

void backend_iter_seek(struct backend_iter *it, struct slice key)
{
	it->ops->seek(it, key);
}

void backend_iter_next(struct backend_iter *it)
{
	assert(it->ops->valid(it));
	it->ops->next(it);
}

bool backend_iter_valid(const struct backend_iter *it)
{
	return it->ops->valid(it);
}

struct slice backend_iter_key(const struct backend_iter *it)
{
	assert(it->ops->valid(it));
	return it->ops->key(it);
}

struct slice backend_iter_value(const struct backend_iter *it)
{
	assert(it->ops->valid(it));
	return it->ops->value(it);
}

int backend_iter_status(const struct backend_iter *it)
{
	return it->ops->status(it);
}

int backend_reclaim(struct backend *be)
{
	return be->ops->reclaim(be);
}

uint64_t backend_headroom(struct backend *be)
{
	return be->ops->headroom ? be->ops->headroom(be) : 0;
}

uint64_t backend_wasted(struct backend *be)
{
	return be->ops->wasted ? be->ops->wasted(be) : 0;
}

bool backend_is_shrinking(struct backend *be)
{
	return be->ops->is_shrinking && be->ops->is_shrinking(be);
}

void backend_stats(struct backend *be, struct backend_stats *ret_stats)
{
	be->ops->stats(be, ret_stats);
}

int backend_extent_stage(struct backend *be, uint64_t ino, int *ret_fd)
{
	assert(ret_fd);
	return be->ops->extent_stage(be, ino, ret_fd);
}

int backend_extent_commit(struct backend *be, uint64_t ino)
{
	return be->ops->extent_commit(be, ino);
}

int backend_extent_open(struct backend *be, uint64_t ino, int *ret_fd)
{
	assert(ret_fd);
	return be->ops->extent_open(be, ino, ret_fd);
}

int backend_extent_remove(struct backend *be, uint64_t ino)
{
	return be->ops->extent_remove(be, ino);
}

int backend_extent_punch(struct backend *be, uint64_t ino, uint64_t off, uint64_t len)
{
	assert(len);
	return be->ops->extent_punch(be, ino, off, len);
}

int backend_extent_list(struct backend *be, int (*each)(void *arg, uint64_t ino),
			void *arg)
{
	assert(each);
	return be->ops->extent_list(be, each, arg);
}

int backend_extent_sync_dir(struct backend *be)
{
	return be->ops->extent_sync_dir(be);
}

int backend_extent_sync_name(struct backend *be, uint64_t ino)
{
	return be->ops->extent_sync_name(be, ino);
}

int backend_extent_resume(struct backend *be, uint64_t ino, bool *ret_committed,
			  int *ret_fd)
{
	assert(ret_committed && ret_fd);
	if (!be->ops->extent_resume)
		return -ENOENT;
	return be->ops->extent_resume(be, ino, ret_committed, ret_fd);
}

int backend_tidy(struct backend *be)
{
	return be->ops->tidy ? be->ops->tidy(be) : 0;
}

int backend_compact(struct backend *be, const atomic_bool *stop)
{
	return be->ops->compact ? be->ops->compact(be, stop) : 0;
}

int backend_extent_strays(struct backend *be, int (*each)(void *arg, const char *path),
			  void *arg)
{
	assert(each);
	return be->ops->extent_strays ? be->ops->extent_strays(be, each, arg) : 0;
}

int backend_checkpoint(struct backend *be, const char *path)
{
	return be->ops->checkpoint ? be->ops->checkpoint(be, path) : -EOPNOTSUPP;
}
