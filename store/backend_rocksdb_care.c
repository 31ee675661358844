/* SPDX-License-Identifier: Apache-2.0 */
/* The RocksDB backend: a copy of the database, and one that is made of what is left. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
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

	rocksdb_tuning_init(&tuning, 0, 0, true);
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

/* ---- how long the manifest was ------------------------------------------------- */

#define SEEN_NEW ROCKS_SEEN_FILE ".new"

/* The name in CURRENT, and the size of that file. */
static int manifest_now(struct rocks *r, char ret_name[64], uint64_t *ret_size)
{
	int fd = openat(r->store_fd, "db/CURRENT", O_RDONLY | O_CLOEXEC);
	char path[80];
	struct stat st;
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, ret_name, 63);
	close(fd);
	if (n <= 0)
		return -EUCLEAN;
	ret_name[n] = '\0';
	ret_name[strcspn(ret_name, "\n")] = '\0';
	snprintf(path, sizeof(path), "db/%s", ret_name);
	if (fstatat(r->store_fd, path, &st, AT_SYMLINK_NOFOLLOW))
		return -errno;
	*ret_size = (uint64_t)st.st_size;
	return 0;
}

/* A file that is not there, or not understood, has nothing to say. */
bool rocks_manifest_is_short(struct rocks *r)
{
	int fd = openat(r->store_fd, ROCKS_SEEN_FILE, O_RDONLY | O_CLOEXEC);
	char text[128] = "", seen[64], now[64];
	uint64_t seen_size, size;
	ssize_t n;

	if (fd < 0)
		return false;
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n <= 0 || sscanf(text, "%63s %" SCNu64, seen, &seen_size) != 2)
		return false;
	return manifest_now(r, now, &size) == 0 && strcmp(seen, now) == 0 &&
	       size < seen_size;
}

void rocks_manifest_seen(struct rocks *r)
{
	char name[64], text[128];
	uint64_t size;
	int fd, len;

	if (manifest_now(r, name, &size))
		return;
	len = snprintf(text, sizeof(text), "%s %" PRIu64 "\n", name, size);
	fd =
	    openat(r->store_fd, SEEN_NEW, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	/* Without it, less damage is noticed, and that is all. */
	if (write(fd, text, (size_t)len) == len)
		(void)renameat(r->store_fd, SEEN_NEW, r->store_fd, ROCKS_SEEN_FILE);
	close(fd);
}
