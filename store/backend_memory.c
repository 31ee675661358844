/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The memory backend: for tests, and for stores that need not outlive the daemon.
 *
 * A table is a persistent tree. A commit changes shares of the trees and puts
 * them in place when the whole batch is in, so it is all or nothing, readers
 * never wait for it, and an iterator is a share that nobody changes. An extent
 * is a memfd.
 */
#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "store/backend.h"
#include "store/memtree.h"

struct memory {
	struct backend be;
	pthread_mutex_t writer; /* held by the one commit in progress */
	pthread_mutex_t lock;	/* protects what is below; held for no long work */
	struct memtree tables[TABLE_COUNT]; /* changed by the holder of both */
	struct memtree extents;		    /* be64(ino) → struct extent */
};

struct extent {
	int fd; /* ours; callers get descriptors of their own */
	bool committed;
};

static struct memory *memory(struct backend *be)
{
	return (struct memory *)be;
}

/* ---- rows ------------------------------------------------------------------ */

/* A tree that stays as it is now. */
static struct memtree snapshot(struct memory *m, const struct memtree *tree)
{
	struct memtree share;

	pthread_mutex_lock(&m->lock);
	share = memtree_share(tree);
	pthread_mutex_unlock(&m->lock);
	return share;
}

static int memory_get(struct backend *be, enum table t, struct slice key,
		      struct buf *ret_value)
{
	struct memory *m = memory(be);
	struct memtree tree = snapshot(m, &m->tables[t]);
	const struct memtree_row *row = memtree_get(&tree, key);
	int rc = -ENOENT;

	if (row)
		rc = buf_set(ret_value, memtree_value(row).data, row->value_len);
	memtree_deinit(&tree);
	return rc;
}

static int apply_add(struct memtree *tree, struct slice key, int64_t delta)
{
	const struct memtree_row *row = memtree_get(tree, key);
	uint64_t n = 0;

	if (row && row->value_len == sizeof(n))
		memcpy(&n, memtree_value(row).data, sizeof(n));
	n = htole64(le64toh(n) + (uint64_t)delta);
	return memtree_put(tree, key, slice(&n, sizeof(n)));
}

static int apply_del_range(struct memtree *tree, struct slice begin, struct slice end)
{
	const struct memtree_row *row;

	while ((row = memtree_seek(tree, begin, false)) &&
	       slice_cmp(memtree_key(row), end) < 0) {
		int rc = memtree_del(tree, memtree_key(row));

		if (rc)
			return rc;
	}
	return 0;
}

static int apply(struct memtree tables[TABLE_COUNT], const struct batch_op *op)
{
	struct memtree *tree = &tables[op->table];

	switch (op->kind) {
	case BATCH_PUT:
		return memtree_put(tree, op->key, op->value);
	case BATCH_DEL:
		return memtree_del(tree, op->key);
	case BATCH_ADD:
		return apply_add(tree, op->key, op->delta);
	case BATCH_DEL_RANGE:
		return apply_del_range(tree, op->key, op->value);
	}
	assert(!"an operation of a batch");
	return -EIO;
}

static int memory_commit(struct backend *be, const struct batch *b)
{
	struct memory *m = memory(be);
	struct memtree next[TABLE_COUNT];
	struct batch_op op;
	size_t pos = 0;
	int rc = 0;

	pthread_mutex_lock(&m->writer);
	for (int t = 0; t < TABLE_COUNT; t++)
		next[t] = memtree_share(&m->tables[t]);
	while (rc == 0 && batch_next(b, &pos, &op))
		rc = apply(next, &op);
	if (rc == 0) {
		pthread_mutex_lock(&m->lock);
		for (int t = 0; t < TABLE_COUNT; t++) {
			struct memtree old = m->tables[t];

			m->tables[t] = next[t];
			next[t] = old;
		}
		pthread_mutex_unlock(&m->lock);
	}
	pthread_mutex_unlock(&m->writer);
	/* What was replaced, or what came of a batch that failed. */
	for (int t = 0; t < TABLE_COUNT; t++)
		memtree_deinit(&next[t]);
	return rc;
}

static int memory_reclaim(struct backend *be)
{
	return 0; /* what is deleted is gone */
}

static int memory_sync(struct backend *be)
{
	return 0;
}

static void memory_stats(struct backend *be, struct backend_stats *ret_stats)
{
	struct memory *m = memory(be);
	struct backend_stats stats = {0};

	pthread_mutex_lock(&m->lock);
	for (int t = 0; t < TABLE_COUNT; t++)
		stats.memory_bytes += m->tables[t].bytes;
	stats.keys_estimate = m->tables[TABLE_INODE].rows;
	pthread_mutex_unlock(&m->lock);
	*ret_stats = stats;
}

/* ---- iterators ------------------------------------------------------------- */

struct memory_iter {
	struct backend_iter it;
	struct memtree tree;	       /* a share: nobody changes it */
	const struct memtree_row *row; /* where it is; NULL: nowhere */
	struct buf end;		       /* empty: none */
};

static struct memory_iter *memory_iter(struct backend_iter *it)
{
	return (struct memory_iter *)it;
}

static const struct memory_iter *memory_iter_const(const struct backend_iter *it)
{
	return (const struct memory_iter *)it;
}

static void iter_move(struct memory_iter *it, struct slice key, bool strictly)
{
	const struct memtree_row *row = memtree_seek(&it->tree, key, strictly);

	if (row && it->end.len && slice_cmp(memtree_key(row), buf_slice(&it->end)) >= 0)
		row = NULL;
	it->row = row;
}

static void memory_iter_free(struct backend_iter *base)
{
	struct memory_iter *it = memory_iter(base);

	memtree_deinit(&it->tree);
	buf_deinit(&it->end);
	free(it);
}

static void memory_iter_seek(struct backend_iter *it, struct slice key)
{
	iter_move(memory_iter(it), key, false);
}

static void memory_iter_next(struct backend_iter *base)
{
	struct memory_iter *it = memory_iter(base);

	iter_move(it, memtree_key(it->row), true);
}

static bool memory_iter_valid(const struct backend_iter *it)
{
	return memory_iter_const(it)->row != NULL;
}

static struct slice memory_iter_key(const struct backend_iter *it)
{
	return memtree_key(memory_iter_const(it)->row);
}

static struct slice memory_iter_value(const struct backend_iter *it)
{
	return memtree_value(memory_iter_const(it)->row);
}

static int memory_iter_status(const struct backend_iter *it)
{
	return 0;
}

static const struct backend_iter_ops memory_iter_ops = {
    .free = memory_iter_free,
    .seek = memory_iter_seek,
    .next = memory_iter_next,
    .valid = memory_iter_valid,
    .key = memory_iter_key,
    .value = memory_iter_value,
    .status = memory_iter_status,
};

/* Whatever it is for: all is in memory. */
static int memory_iter_new(struct backend *be, enum table t, struct slice end,
			   enum iter_use use, struct backend_iter **ret_it)
{
	struct memory *m = memory(be);
	struct memory_iter *it = calloc(1, sizeof(*it));

	if (!it || buf_set(&it->end, end.data, end.len)) {
		free(it);
		return -ENOMEM;
	}
	it->it.ops = &memory_iter_ops;
	it->tree = snapshot(m, &m->tables[t]);
	*ret_it = &it->it;
	return 0;
}

/* ---- extents ----------------------------------------------------------------- */

static bool extent_find(const struct memory *m, uint64_t ino, struct extent *ret_ext)
{
	uint64_t key = htobe64(ino);
	const struct memtree_row *row;

	row = memtree_get(&m->extents, slice(&key, sizeof(key)));
	if (row)
		memcpy(ret_ext, memtree_value(row).data, sizeof(*ret_ext));
	return row;
}

/* Put, or with NULL remove, a row of the extents; the caller holds the lock. */
static int extent_store(struct memory *m, uint64_t ino, const struct extent *ext)
{
	struct memtree next = memtree_share(&m->extents), old = m->extents;
	uint64_t be_ino = htobe64(ino);
	struct slice key = slice(&be_ino, sizeof(be_ino));
	int rc;

	rc = ext ? memtree_put(&next, key, slice(ext, sizeof(*ext)))
		 : memtree_del(&next, key);
	if (rc) {
		memtree_deinit(&next);
		return rc;
	}
	m->extents = next;
	memtree_deinit(&old);
	return 0;
}

/* A descriptor with an offset and an access mode of its own. */
static int reopen(int fd, int flags, int *ret_fd)
{
	char path[sizeof("/proc/self/fd/") + 3 * sizeof(int)];
	int again;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	again = open(path, flags | O_CLOEXEC);
	if (again < 0)
		/* Without /proc: not to be mistaken for an extent that is absent. */
		return errno == ENOENT ? -EIO : -errno;
	*ret_fd = again;
	return 0;
}

static int extent_insert(struct memory *m, uint64_t ino, const struct extent *ext)
{
	struct extent other;
	int rc;

	pthread_mutex_lock(&m->lock);
	rc = extent_find(m, ino, &other) ? -EEXIST : extent_store(m, ino, ext);
	pthread_mutex_unlock(&m->lock);
	return rc;
}

static int memory_extent_stage(struct backend *be, uint64_t ino, int *ret_fd)
{
	struct extent ext = {.fd = memfd_create("memofs-extent", MFD_CLOEXEC)};
	int fd = -1, rc;

	if (ext.fd < 0)
		return -errno;
	rc = reopen(ext.fd, O_RDWR, &fd);
	if (rc) {
		close(ext.fd);
		return rc;
	}
	rc = extent_insert(memory(be), ino, &ext);
	if (rc) {
		close(ext.fd);
		close(fd);
		return rc;
	}
	*ret_fd = fd;
	return 0;
}

static int memory_extent_commit(struct backend *be, uint64_t ino)
{
	struct memory *m = memory(be);
	struct extent ext;
	int rc = -ENOENT;

	pthread_mutex_lock(&m->lock);
	if (extent_find(m, ino, &ext) && !ext.committed) {
		ext.committed = true;
		rc = extent_store(m, ino, &ext);
	}
	pthread_mutex_unlock(&m->lock);
	return rc;
}

static int memory_extent_open(struct backend *be, uint64_t ino, int *ret_fd)
{
	struct memory *m = memory(be);
	struct extent ext;
	int rc = -ENOENT;

	pthread_mutex_lock(&m->lock);
	if (extent_find(m, ino, &ext) && ext.committed)
		rc = reopen(ext.fd, O_RDONLY, ret_fd);
	pthread_mutex_unlock(&m->lock);
	return rc;
}

static int memory_extent_remove(struct backend *be, uint64_t ino)
{
	struct memory *m = memory(be);
	struct extent ext;
	bool found;
	int rc = 0;

	pthread_mutex_lock(&m->lock);
	found = extent_find(m, ino, &ext);
	if (found)
		rc = extent_store(m, ino, NULL);
	pthread_mutex_unlock(&m->lock);
	if (found && rc == 0)
		close(ext.fd);
	return rc;
}

static int memory_extent_punch(struct backend *be, uint64_t ino, uint64_t off,
			       uint64_t len)
{
	struct memory *m = memory(be);
	struct extent ext;
	int rc = -ENOENT;

	pthread_mutex_lock(&m->lock);
	if (extent_find(m, ino, &ext) && ext.committed)
		rc = fallocate(ext.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			       (off_t)off, (off_t)len)
			 ? -errno
			 : 0;
	pthread_mutex_unlock(&m->lock);
	return rc;
}

/* Calls without the lock, so that `each` may use the backend. */
static int extent_each(struct memory *m,
		       int (*each)(void *arg, uint64_t ino, const struct extent *ext),
		       void *arg)
{
	struct memtree extents = snapshot(m, &m->extents);
	const struct memtree_row *row = memtree_seek(&extents, slice(NULL, 0), false);
	int rc = 0;

	while (rc == 0 && row) {
		struct extent ext;
		uint64_t ino;

		memcpy(&ino, memtree_key(row).data, sizeof(ino));
		memcpy(&ext, memtree_value(row).data, sizeof(ext));
		rc = each(arg, be64toh(ino), &ext);
		row = memtree_seek(&extents, memtree_key(row), true);
	}
	memtree_deinit(&extents);
	return rc;
}

struct list_args {
	int (*each)(void *arg, uint64_t ino);
	void *arg;
};

static int list_committed(void *arg, uint64_t ino, const struct extent *ext)
{
	struct list_args *args = arg;

	return ext->committed ? args->each(args->arg, ino) : 0;
}

static int memory_extent_list(struct backend *be, int (*each)(void *arg, uint64_t ino),
			      void *arg)
{
	struct list_args args = {.each = each, .arg = arg};

	return extent_each(memory(be), list_committed, &args);
}

static int memory_extent_sync_dir(struct backend *be)
{
	return 0;
}

static int memory_extent_sync_name(struct backend *be, uint64_t ino)
{
	return 0;
}

/* ---- life ---------------------------------------------------------------------- */

static int close_extent(void *arg, uint64_t ino, const struct extent *ext)
{
	close(ext->fd);
	return 0;
}

static void memory_free(struct backend *be)
{
	struct memory *m = memory(be);

	extent_each(m, close_extent, NULL);
	memtree_deinit(&m->extents);
	for (int t = 0; t < TABLE_COUNT; t++)
		memtree_deinit(&m->tables[t]);
	pthread_mutex_destroy(&m->lock);
	pthread_mutex_destroy(&m->writer);
	free(m);
}

static const struct backend_ops memory_ops = {
    .name = "memory",
    .free = memory_free,
    .get = memory_get,
    .commit = memory_commit,
    .sync = memory_sync,
    .reclaim = memory_reclaim,
    .iter_new = memory_iter_new,
    .stats = memory_stats,
    .extent_stage = memory_extent_stage,
    .extent_commit = memory_extent_commit,
    .extent_open = memory_extent_open,
    .extent_remove = memory_extent_remove,
    .extent_punch = memory_extent_punch,
    .extent_list = memory_extent_list,
    .extent_sync_dir = memory_extent_sync_dir,
    .extent_sync_name = memory_extent_sync_name,
};

int backend_memory_new(const struct backend_options *opt, struct backend **ret_be,
		       struct errmsg *err)
{
	struct memory *m = calloc(1, sizeof(*m));

	if (!m)
		return err_set(err, ENOMEM, "no memory for the store");
	m->be.ops = &memory_ops;
	pthread_mutex_init(&m->writer, NULL);
	pthread_mutex_init(&m->lock, NULL);
	*ret_be = &m->be;
	return 0;
}
