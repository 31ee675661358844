/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The copy is made of hard links for table files, which nobody changes, and of bytes for
 * the rest. It is called db.new until it is whole; then the two change places.
 */
#include "store/rebuild.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/backend.h"
#include "store/backend_rocksdb_seen.h"
#include "store/format.h"
#include "store/internal.h"
#include "store/lock.h"
#include "store/rows.h"

#define NEW "db.new"
#define OLD "db.damaged"

struct rebuild {
	const char *path;
	int store_fd, from_fd, to_fd;
	struct errmsg *err;
};

static int failed(const struct rebuild *rb, int errnum, const char *what)
{
	return err_set(rb->err, errnum, "%s/%s: %s", rb->path, what, strerror(errnum));
}

/* ---- files ---- */

static int copy_bytes(int from, int to)
{
	ssize_t n;

	do
		n = sendfile(to, from, NULL, 1 << 20);
	while (n > 0);
	return n < 0 ? -errno : 0;
}

static int copy_file(const struct rebuild *rb, const char *name)
{
	int from = openat(rb->from_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	int to, r;

	if (from < 0)
		return -errno;
	to = openat(rb->to_fd, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	r = to < 0 ? -errno : copy_bytes(from, to);
	if (to >= 0)
		close(to);
	close(from);
	return r;
}

static bool is_table(const char *name)
{
	size_t len = strlen(name);

	return len > 4 && !strcmp(name + len - 4, ".sst");
}

static int take_file(const struct rebuild *rb, const char *name)
{
	struct stat st;

	if (fstatat(rb->from_fd, name, &st, AT_SYMLINK_NOFOLLOW))
		return -errno;
	if (!S_ISREG(st.st_mode))
		return 0;
	if (is_table(name) && linkat(rb->from_fd, name, rb->to_fd, name, 0) == 0)
		return 0;
	return copy_file(rb, name);
}

static int each_name(const struct rebuild *rb, int dir_fd,
		     int (*each)(const struct rebuild *rb, const char *name))
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *ent;

	if (!dir) {
		r = -errno;
		if (fd >= 0)
			close(fd);
		return r;
	}
	while (!r && (ent = readdir(dir)))
		if (strcmp(ent->d_name, ".") && strcmp(ent->d_name, ".."))
			r = each(rb, ent->d_name);
	closedir(dir);
	return r;
}

/* What RocksDB put aside in a folder of its own goes, too. */
static int remove_name(const struct rebuild *rb, const char *name)
{
	struct rebuild below = *rb;
	int r;

	if (unlinkat(rb->to_fd, name, 0) == 0)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -errno;
	below.to_fd = openat(rb->to_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (below.to_fd < 0)
		return -errno;
	r = each_name(&below, below.to_fd, remove_name);
	close(below.to_fd);
	return r || unlinkat(rb->to_fd, name, AT_REMOVEDIR) == 0 ? r : -errno;
}

/* Of an attempt that failed. */
static int remove_new(struct rebuild *rb)
{
	int r;

	rb->to_fd = openat(rb->store_fd, NEW, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (rb->to_fd < 0)
		return errno == ENOENT ? 0 : -errno;
	r = each_name(rb, rb->to_fd, remove_name);
	close(rb->to_fd);
	rb->to_fd = -1;
	return r || unlinkat(rb->store_fd, NEW, AT_REMOVEDIR) == 0 ? r : -errno;
}

/* ---- steps ---- */

static int copy_database(struct rebuild *rb)
{
	int r = remove_new(rb);

	if (!r && mkdirat(rb->store_fd, NEW, 0700))
		r = -errno;
	if (r)
		return failed(rb, -r, NEW);
	rb->from_fd = openat(rb->store_fd, "db", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (rb->from_fd < 0)
		return failed(rb, errno, "db");
	rb->to_fd = openat(rb->store_fd, NEW, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (rb->to_fd < 0)
		return failed(rb, errno, NEW);
	r = each_name(rb, rb->from_fd, take_file);
	return r ? failed(rb, -r, NEW) : 0;
}

/*
 * The new one takes the name of the old one before they change places: ended in between,
 * there is no moment at which the old one has a name that the next attempt removes.
 */
static int change_places(struct rebuild *rb)
{
	if (syncfs(rb->store_fd))
		return failed(rb, errno, NEW);
	if (renameat2(rb->store_fd, NEW, rb->store_fd, OLD, RENAME_NOREPLACE))
		return failed(rb, errno, OLD);
	if (renameat2(rb->store_fd, "db", rb->store_fd, OLD, RENAME_EXCHANGE))
		return failed(rb, errno, "db");
	(void)unlinkat(rb->store_fd, ROCKS_SEEN_FILE, 0); /* of the old one */
	return fsync(rb->store_fd) ? failed(rb, errno, "db") : 0;
}

static int rebuild_database(struct rebuild *rb)
{
	char path[PATH_MAX];
	int r;

	if (faccessat(rb->store_fd, OLD, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return err_set(rb->err, EEXIST,
			       "%s/" OLD ": is there from an earlier time; move it away "
			       "or remove it first",
			       rb->path);
	r = copy_database(rb);
	if (r)
		return r;
	snprintf(path, sizeof(path), "%s/" NEW, rb->path);
	r = backend_rocksdb_rebuild(path, rb->err);
	return r ? r : change_places(rb);
}

/* ---- what marks it as a store's ---- */

static int load_ids(struct backend *be, uint64_t *ret_ids)
{
	CLEANUP_BUF struct buf raw = BUF_INIT;
	int r = backend_get(be, TABLE_META, slice("ids", 3), &raw);

	*ret_ids = 0;
	if (!r && u64_decode(buf_slice(&raw), ret_ids))
		*ret_ids = 0;
	return r == -ENOENT || r == -EUCLEAN ? 0 : r;
}

/* The rows of META without which it cannot be opened, if they are among the lost. */
static int put_meta(struct backend *be)
{
	CLEANUP_BATCH struct batch b = BATCH_INIT;
	CLEANUP_BUF struct buf raw = BUF_INIT;
	const uint8_t format = STORE_FORMAT;
	uint64_t ids = 0, max = 0;
	int r = backend_get(be, TABLE_META, slice("root", 4), &raw);

	if (r == -ENOENT)
		batch_put(&b, TABLE_META, slice("root", 4), slice(&format, 1));
	else if (r)
		return r;
	r = load_ids(be, &ids);
	if (!r)
		r = ids_in_use(be, &max);
	buf_clear(&raw);
	if (!r && ids <= max) { /* else numbers would be given out twice */
		r = u64_encode(max + 1, &raw);
		batch_put(&b, TABLE_META, slice("ids", 3), buf_slice(&raw));
	}
	/* It was not closed by what it is now: extents nobody names are looked for. */
	batch_del(&b, TABLE_META, slice("clean", 5));
	if (!r)
		r = backend_commit(be, &b);
	return r ? r : backend_sync(be);
}

static int repair_meta(struct rebuild *rb)
{
	const struct backend_options opt = {.path = rb->path};
	struct backend *be;
	int r = backend_rocksdb_new(&opt, &be, rb->err);

	if (r)
		return r;
	r = put_meta(be);
	backend_free(be);
	return r ? failed(rb, -r, "db") : 0;
}

/* Only where there is what it would be the format of. */
static int repair_format(struct rebuild *rb)
{
	unsigned int format;
	struct errmsg ignored;
	int r = format_check(rb->path, &format, &ignored);

	if (r != -EUCLEAN && r != -ENOTEMPTY)
		return r ? err_set(rb->err, -r, "%s", ignored.text) : 0;
	if (faccessat(rb->store_fd, "db", F_OK, 0) ||
	    faccessat(rb->store_fd, "extents", F_OK, 0))
		return err_set(rb->err, ENOENT, "%s: is no store", rb->path);
	r = format_begin(rb->path, rb->err);
	return r ? r : format_end(rb->path, rb->err);
}

int store_rebuild(const char *store_path, struct errmsg *err)
{
	struct rebuild rb = {
	    .path = store_path, .store_fd = -1, .from_fd = -1, .to_fd = -1, .err = err};
	struct lockfile *lock = NULL;
	int r;

	rb.store_fd = open(store_path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (rb.store_fd < 0)
		return err_set(err, errno, "%s: cannot be opened: %s", store_path,
			       strerror(errno));
	r = repair_format(&rb);
	if (!r)
		r = lockfile_new(store_path, &lock, err);
	if (!r)
		r = rebuild_database(&rb);
	if (!r)
		r = repair_meta(&rb);
	lockfile_free(lock);
	if (rb.from_fd >= 0)
		close(rb.from_fd);
	if (rb.to_fd >= 0)
		close(rb.to_fd);
	close(rb.store_fd);
	return r;
}
