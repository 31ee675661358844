/* SPDX-License-Identifier: Apache-2.0 */
/* The RocksDB backend: a copy of the database, and one that is made of what is left. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "store/backend_rocksdb.h"
#include "store/backend_rocksdb_error.h"
#include "store/backend_rocksdb_options.h"

static int sync_folder(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int rc = 0;

	if (fd < 0)
		return -errno;
	if (fsync(fd))
		rc = -errno;
	close(fd);
	return rc;
}

/*
 * Everything is flushed first (a log of no size is allowed for), so that the copy is
 * table files, which are linked and do not change, and a few small files of its own.
 * RocksDB syncs what it writes; the names are ours to sync.
 */
int rocks_checkpoint(struct backend *be, const char *path)
{
	rocksdb_checkpoint_t *checkpoint;
	char *text = NULL;
	int rc;

	/* A flush that finds the disk full ends the process: see rocks_check_space(). */
	rc = rocks_check_space(rocks(be));
	if (rc)
		return rc;
	checkpoint = rocksdb_checkpoint_object_create(rocks(be)->db, &text);
	if (!text)
		rocksdb_checkpoint_create(checkpoint, path, 0, &text);
	rc = rocks_error(text, "making a copy of the database");
	if (checkpoint)
		rocksdb_checkpoint_object_destroy(checkpoint);
	return rc ? rc : sync_folder(path);
}

int backend_rocksdb_rebuild(const char *path, struct errmsg *err)
{
	struct rocksdb_tuning tuning;
	struct errmsg reason;
	char *text = NULL;
	int rc;

	rocksdb_tuning_init(&tuning, 0, true);
	/* What is in the log is of all tables, and it knows none of their options. */
	rocksdb_options_set_uint64add_merge_operator(tuning.db);
	rocksdb_repair_db(tuning.db, path, &text);
	rocksdb_tuning_deinit(&tuning);
	if (!text)
		return 0;
	err_set(&reason, 0, "%s", text);
	rc = rocks_error(text, NULL);
	return err_set(err, -rc, "the database %s cannot be put together again: %s", path,
		       reason.text);
}
