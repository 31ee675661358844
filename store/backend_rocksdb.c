/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The RocksDB backend: a column family for each table in STORE/db, extents as
 * files beside it.
 *
 * A commit goes into the database's log without a sync; backend_sync() syncs
 * the log. There is no lock of ours: RocksDB's functions are safe from any
 * thread, and commits go on while a sync is under way.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/backend_rocksdb.h"
#include "store/backend_rocksdb_error.h"
#include "store/backend_rocksdb_options.h"
#include "store/extent_dir.h"

/* RocksDB always has a family of this name; it stays empty. */
#define DEFAULT_FAMILY "default"

/* ---- rows ---------------------------------------------------------------------- */

static int rocks_get(struct backend *be, enum table t, struct slice key,
		     struct buf *ret_value)
{
	struct rocks *r = rocks(be);
	rocksdb_pinnableslice_t *pin;
	char *text = NULL;
	const char *value;
	size_t len;
	int rc;

	rocks_count_nothing();
	pin =
	    rocksdb_get_pinned_cf(r->db, r->read, r->family[t], key.data, key.len, &text);
	if (text)
		return rocks_error(text, "reading a row");
	if (!pin)
		return -ENOENT;
	value = rocksdb_pinnableslice_value(pin, &len);
	rc = buf_set(ret_value, value, len);
	rocksdb_pinnableslice_destroy(pin);
	return rc;
}

static void add_op(rocksdb_writebatch_t *wb, rocksdb_column_family_handle_t *family,
		   const struct batch_op *op)
{
	const char *key = op->key.data, *value = op->value.data;
	uint64_t delta;

	switch (op->kind) {
	case BATCH_PUT:
		rocksdb_writebatch_put_cf(wb, family, key, op->key.len, value,
					  op->value.len);
		break;
	case BATCH_DEL:
		rocksdb_writebatch_delete_cf(wb, family, key, op->key.len);
		break;
	case BATCH_ADD:
		delta = htole64((uint64_t)op->delta);
		rocksdb_writebatch_merge_cf(wb, family, key, op->key.len,
					    (const char *)&delta, sizeof(delta));
		break;
	case BATCH_DEL_RANGE:
		rocksdb_writebatch_delete_range_cf(wb, family, key, op->key.len, value,
						   op->value.len);
		break;
	}
}

static int rocks_commit(struct backend *be, const struct batch *b)
{
	struct rocks *r = rocks(be);
	rocksdb_writebatch_t *wb = rocksdb_writebatch_create();
	struct batch_op op;
	char *text = NULL;
	size_t pos = 0;

	while (batch_next(b, &pos, &op))
		add_op(wb, r->family[op.table], &op);
	rocksdb_write(r->db, r->write, wb, &text);
	rocksdb_writebatch_destroy(wb);
	return rocks_error(text, "writing a batch");
}

/* ---- extents ---------------------------------------------------------------- */

static int rocks_extent_stage(struct backend *be, uint64_t ino, int *ret_fd)
{
	return extent_dir_stage(rocks(be)->extents, ino, ret_fd);
}

static int rocks_extent_commit(struct backend *be, uint64_t ino)
{
	return extent_dir_commit(rocks(be)->extents, ino);
}

static int rocks_extent_open(struct backend *be, uint64_t ino, int *ret_fd)
{
	return extent_dir_open(rocks(be)->extents, ino, ret_fd);
}

static int rocks_extent_remove(struct backend *be, uint64_t ino)
{
	return extent_dir_remove(rocks(be)->extents, ino);
}

static int rocks_extent_punch(struct backend *be, uint64_t ino, uint64_t off,
			      uint64_t len)
{
	return extent_dir_punch(rocks(be)->extents, ino, off, len);
}

static int rocks_extent_list(struct backend *be, int (*each)(void *arg, uint64_t ino),
			     void *arg)
{
	return extent_dir_list(rocks(be)->extents, each, arg);
}

static int rocks_extent_sync_dir(struct backend *be)
{
	return extent_dir_sync(rocks(be)->extents);
}

static int rocks_extent_sync_name(struct backend *be, uint64_t ino)
{
	return extent_dir_sync_name(rocks(be)->extents, ino);
}

static int rocks_extent_resume(struct backend *be, uint64_t ino, bool *ret_committed,
			       int *ret_fd)
{
	return extent_dir_resume(rocks(be)->extents, ino, ret_committed, ret_fd);
}

static int rocks_extent_strays(struct backend *be,
			       int (*each)(void *arg, const char *path), void *arg)
{
	return extent_dir_strays(rocks(be)->extents, each, arg);
}

/* ---- life ------------------------------------------------------------------- */

/* Also for one that is half made. */
static void rocks_free(struct backend *be)
{
	struct rocks *r = rocks(be);

	if (r->db) {
		/* rocksdb_close() would leave it all to the log, to be replayed. */
		(void)rocks_flush(r);
		for (int i = 0; i < FAMILY_COUNT; i++)
			rocksdb_column_family_handle_destroy(r->family[i]);
		rocksdb_close(r->db);
		rocks_manifest_seen(r);
	}
	rocksdb_readoptions_destroy(r->read);
	rocksdb_writeoptions_destroy(r->write);
	extent_dir_free(r->extents);
	if (r->store_fd >= 0)
		close(r->store_fd);
	sync_group_deinit(&r->syncs);
	free(r);
}

static const struct backend_ops rocks_ops = {
    .name = "rocksdb",
    .free = rocks_free,
    .get = rocks_get,
    .commit = rocks_commit,
    .sync = rocks_sync,
    .reclaim = rocks_reclaim,
    .headroom = rocks_headroom,
    .wasted = rocks_wasted,
    .is_shrinking = rocks_is_shrinking,
    .compact = rocks_compact,
    .tidy = rocks_tidy,
    .iter_new = rocks_iter_new,
    .stats = rocks_stats,
    .extent_stage = rocks_extent_stage,
    .extent_commit = rocks_extent_commit,
    .extent_open = rocks_extent_open,
    .extent_remove = rocks_extent_remove,
    .extent_punch = rocks_extent_punch,
    .extent_list = rocks_extent_list,
    .extent_sync_dir = rocks_extent_sync_dir,
    .extent_sync_name = rocks_extent_sync_name,
    .extent_resume = rocks_extent_resume,
    .extent_strays = rocks_extent_strays,
    .checkpoint = rocks_checkpoint,
};

static rocksdb_t *open_families(struct rocks *r, const char *path,
				const struct rocksdb_tuning *tuning, char **ret_text)
{
	const rocksdb_options_t *options[FAMILY_COUNT];
	const char *names[FAMILY_COUNT];

	for (int t = 0; t < TABLE_COUNT; t++) {
		names[t] = table_name((enum table)t);
		options[t] = tuning->table[t];
	}
	names[TABLE_COUNT] = DEFAULT_FAMILY;
	options[TABLE_COUNT] = tuning->table[TABLE_META];
	return rocksdb_open_column_families(tuning->db, path, FAMILY_COUNT, names,
					    options, r->family, ret_text);
}

/* The text of what went wrong, or NULL. To be freed by rocks_error(). */
static char *open_tuned(struct rocks *r, const char *path, uint64_t cache_bytes,
			bool create, bool compress)
{
	struct rocksdb_tuning tuning;
	char *text = NULL;

	rocksdb_tuning_init(&tuning, cache_bytes, rocks_disk_bytes(r), compress);
	rocksdb_options_set_create_if_missing(tuning.db, create);
	r->db = open_families(r, path, &tuning, &text);
	rocksdb_tuning_deinit(&tuning);
	return text;
}

static int open_db(struct rocks *r, const struct backend_options *opt, struct errmsg *err)
{
	struct errmsg reason;
	CLEANUP_BUF struct buf path = BUF_INIT;
	bool exists = false;
	char *text;
	int rc;

	rc = rocks_check_space(r);
	if (rc)
		return rocks_explain(rc, opt->path, strerror(-rc), err);
	rc = rocks_check_folder(r, &exists);
	if (rc)
		return rocks_explain(
		    rc, opt->path,
		    rc == -EUCLEAN ? "it has lost its file CURRENT" : strerror(-rc), err);
	if (rocks_manifest_is_short(r))
		return rocks_explain(-EUCLEAN, opt->path,
				     "its MANIFEST is shorter than it was", err);
	if (buf_printf(&path, "%s/db", opt->path) || buf_append(&path, "", 1))
		return err_set(err, ENOMEM, "no memory to open %s", opt->path);
	text = open_tuned(r, (const char *)path.data, opt->cache_bytes, !exists, true);
	if (text && strstr(text, "is not linked with the binary")) {
		rocksdb_free(text);
		text = open_tuned(r, (const char *)path.data, opt->cache_bytes, !exists,
				  false);
	}
	if (!text) {
		rocks_manifest_seen(r);
		return 0;
	}
	err_set(&reason, 0, "%s", text);
	rc = rocks_error(text, NULL);
	/* All that it was told to look for was there once. */
	return rocks_explain(rc == -ENOENT ? -EUCLEAN : rc, opt->path, reason.text, err);
}

int backend_rocksdb_new(const struct backend_options *opt, struct backend **ret_be,
			struct errmsg *err)
{
	struct rocks *r = calloc(1, sizeof(*r));
	int rc = 0;

	if (!r)
		return err_set(err, ENOMEM, "no memory for the store");
	r->be.ops = &rocks_ops;
	sync_group_init(&r->syncs);
	r->read = rocksdb_readoptions_create();
	r->write = rocksdb_writeoptions_create();
	r->store_fd = open(opt->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (r->store_fd < 0)
		rc = err_set(err, errno, "cannot open the store %s: %s", opt->path,
			     strerror(errno));
	if (rc == 0 && mkdirat(r->store_fd, "db", 0700) && errno != EEXIST)
		rc = rocks_explain(-errno, opt->path, strerror(errno), err);
	if (rc == 0) {
		rc = extent_dir_new(r->store_fd, opt->staged, opt->staged_count,
				    &r->extents);
		if (rc)
			err_set(err, -rc,
				"cannot prepare the folders of the store %s: %s",
				opt->path, strerror(-rc));
	}
	if (rc == 0)
		rc = open_db(r, opt, err);
	if (rc) {
		rocks_free(&r->be);
		return rc;
	}
	*ret_be = &r->be;
	return 0;
}
