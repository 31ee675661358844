/* SPDX-License-Identifier: Apache-2.0 */
/* The RocksDB backend: iterators. */
#include <errno.h>
#include <stdlib.h>

#include "store/backend_rocksdb.h"
#include "store/backend_rocksdb_error.h"

/* Each level of tables that an iterator reads from has a buffer of this size. With larger
 * ones a cold listing takes as long. */
enum { READ_AHEAD_BYTES = 256 * 1024 };

struct rocks_iter {
	struct backend_iter base;
	rocksdb_iterator_t *it;
	rocksdb_readoptions_t *read; /* `it` and the bound in it point to these */
	struct buf end;
	bool valid; /* asked for several times a row, and far away */
};

static struct rocks_iter *rocks_iter(struct backend_iter *it)
{
	return (struct rocks_iter *)it;
}

static const struct rocks_iter *rocks_iter_const(const struct backend_iter *it)
{
	return (const struct rocks_iter *)it;
}

static void rocks_iter_free(struct backend_iter *base)
{
	struct rocks_iter *it = rocks_iter(base);

	rocksdb_iter_destroy(it->it);
	rocksdb_readoptions_destroy(it->read);
	buf_deinit(&it->end);
	free(it);
}

static void rocks_iter_seek(struct backend_iter *it, struct slice key)
{
	struct rocks_iter *ri = rocks_iter(it);

	rocks_count_nothing();
	rocksdb_iter_seek(ri->it, key.data, key.len);
	ri->valid = rocksdb_iter_valid(ri->it);
}

static void rocks_iter_next(struct backend_iter *it)
{
	struct rocks_iter *ri = rocks_iter(it);

	rocks_count_nothing();
	rocksdb_iter_next(ri->it);
	ri->valid = rocksdb_iter_valid(ri->it);
}

static bool rocks_iter_valid(const struct backend_iter *it)
{
	return rocks_iter_const(it)->valid;
}

static struct slice rocks_iter_key(const struct backend_iter *it)
{
	size_t len;
	const char *key = rocksdb_iter_key(rocks_iter_const(it)->it, &len);

	return slice(key, len);
}

static struct slice rocks_iter_value(const struct backend_iter *it)
{
	size_t len;
	const char *value = rocksdb_iter_value(rocks_iter_const(it)->it, &len);

	return slice(value, len);
}

static int rocks_iter_status(const struct backend_iter *it)
{
	char *text = NULL;

	rocksdb_iter_get_error(rocks_iter_const(it)->it, &text);
	return rocks_error(text, "listing rows");
}

static const struct backend_iter_ops rocks_iter_ops = {
    .free = rocks_iter_free,
    .seek = rocks_iter_seek,
    .next = rocks_iter_next,
    .valid = rocks_iter_valid,
    .key = rocks_iter_key,
    .value = rocks_iter_value,
    .status = rocks_iter_status,
};

int rocks_iter_new(struct backend *be, enum table t, struct slice end, enum iter_use use,
		   struct backend_iter **ret_it)
{
	struct rocks *r = rocks(be);
	struct rocks_iter *it = calloc(1, sizeof(*it));

	if (!it || buf_set(&it->end, end.data, end.len)) {
		free(it);
		return -ENOMEM;
	}
	it->base.ops = &rocks_iter_ops;
	it->read = rocksdb_readoptions_create();
	/* Files that only this iterator kept are deleted by somebody with time. */
	rocksdb_readoptions_set_background_purge_on_iterator_cleanup(it->read, 1);
	if (end.len)
		rocksdb_readoptions_set_iterate_upper_bound(
		    it->read, (const char *)it->end.data, it->end.len);
	rocksdb_readoptions_set_fill_cache(it->read, use == ITER_FEW);
	if (use == ITER_MANY)
		rocksdb_readoptions_set_readahead_size(it->read, READ_AHEAD_BYTES);
	it->it = rocksdb_create_iterator_cf(r->db, it->read, r->family[t]);
	*ret_it = &it->base;
	return 0;
}
