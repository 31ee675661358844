/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extents are linked twice: most of them while everything goes on, then, with gc held so
 * that none is removed, after the copy of the database was made, those that came
 * meanwhile. So what the copy names has its extent in the backup. What the copy does not
 * name is dropped by who opens the backup, as after any crash.
 */
#include "store/backup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/extent_dir.h"
#include "store/format.h"
#include "store/gc.h"
#include "store/internal.h"
#include "store/util/log.h"
#include "store/util/manifest.h"

struct backup {
	struct store *st;
	const struct store_backup_options *opt;
	struct buf path;      /* ended by NUL */
	int store_fd, dir_fd; /* -1: not open */
	uint64_t linked;
	struct manifest manifest;
};

static void backup_deinit(struct backup *b)
{
	buf_deinit(&b->path);
	if (b->store_fd >= 0)
		close(b->store_fd);
	if (b->dir_fd >= 0)
		close(b->dir_fd);
	manifest_deinit(&b->manifest);
}

/* ---- dropping one ---- */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	return remove(path) && errno != ENOENT ? -1 : 0;
}

void backup_drop(const char *store_path)
{
	CLEANUP_BUF struct buf path = BUF_INIT;

	if (buf_printf(&path, "%s/" BACKUP_DIR, store_path) || buf_append(&path, "", 1))
		return;
	if (access((const char *)path.data, F_OK))
		return;
	log_info("%s: dropping what is left of a backup", store_path);
	if (nftw((const char *)path.data, remove_one, 16, FTW_DEPTH | FTW_PHYS))
		log_warning("%s: cannot be removed: %s", (const char *)path.data,
			    strerror(errno));
}

/* ---- directories ---- */

static int make_dirs(struct backup *b)
{
	char name[sizeof("extents/xx")];
	int r = 0;

	if (mkdirat(b->store_fd, BACKUP_DIR, 0700))
		return -errno;
	b->dir_fd = openat(b->store_fd, BACKUP_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (b->dir_fd < 0 || mkdirat(b->dir_fd, "extents", 0700))
		return -errno;
	for (unsigned int i = 0; !r && i < 256; i++) {
		snprintf(name, sizeof(name), "extents/%02x", i);
		if (mkdirat(b->dir_fd, name, 0700))
			r = -errno;
	}
	return r;
}

static bool is_stopped(const struct backup *b)
{
	return b->opt->stop && atomic_load(b->opt->stop);
}

/* ---- extents ---- */

static int link_extent(void *arg, uint64_t ino)
{
	char name[EXTENT_NAME_MAX];
	struct backup *b = arg;

	if (is_stopped(b))
		return -ECANCELED;
	extent_dir_name(ino, name);
	if (linkat(b->store_fd, name, b->dir_fd, name, 0)) {
		/* There already; or removed since the folder was read. */
		if (errno == EEXIST || errno == ENOENT)
			return 0;
		return -errno;
	}
	b->linked++;
	if (b->opt->progress && b->linked % 64 == 0)
		b->opt->progress(b->opt->arg, b->linked);
	return 0;
}

static int link_extents(struct backup *b)
{
	return backend_extent_list(b->st->be, link_extent, b);
}

/* The tables, and the extents they name. */
static int copy_tables(struct backup *b)
{
	CLEANUP_BUF struct buf path = BUF_INIT;
	int r = buf_printf(&path, "%s/db", (const char *)b->path.data);

	if (!r)
		r = buf_append(&path, "", 1);
	if (r)
		return r;
	gc_hold(b->st);
	r = backend_checkpoint(b->st->be, (const char *)path.data);
	if (!r)
		r = link_extents(b);
	gc_release(b->st);
	return r;
}

/* ---- the manifest ---- */

static int each_file(struct backup *b, const char *name,
		     int (*each)(struct backup *b, const char *name, uint64_t size_bytes))
{
	int fd = openat(b->dir_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *ent;
	struct stat st;

	if (!dir) {
		r = -errno;
		if (fd >= 0)
			close(fd);
		return r;
	}
	while (!r && (ent = readdir(dir))) {
		if (ent->d_name[0] == '.')
			continue;
		r = fstatat(fd, ent->d_name, &st, AT_SYMLINK_NOFOLLOW) ? -errno : 0;
		if (!r)
			r = each(b, ent->d_name, (uint64_t)st.st_size);
	}
	closedir(dir);
	return r;
}

static int count_db(struct backup *b, const char *name, uint64_t size_bytes)
{
	return manifest_add_db(&b->manifest, name, size_bytes);
}

static int count_extent(struct backup *b, const char *name, uint64_t size_bytes)
{
	manifest_add_extent(&b->manifest, strtoull(name, NULL, 16), size_bytes);
	return is_stopped(b) ? -ECANCELED : 0;
}

static int count_all(struct backup *b)
{
	char name[sizeof("extents/xx")];
	int r = each_file(b, "db", count_db);

	for (unsigned int i = 0; !r && i < 256; i++) {
		snprintf(name, sizeof(name), "extents/%02x", i);
		r = each_file(b, name, count_extent);
	}
	return r;
}

static int write_file(int dir_fd, const char *name, struct slice text)
{
	int fd = openat(dir_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	size_t done = 0;
	int r = fd < 0 ? -errno : 0;

	while (!r && done < text.len) {
		ssize_t n = write(fd, (const char *)text.data + done, text.len - done);

		if (n < 0)
			r = -errno;
		else
			done += (size_t)n;
	}
	if (!r && fsync(fd))
		r = -errno;
	if (fd >= 0)
		close(fd);
	return r;
}

static int write_manifest(struct backup *b)
{
	CLEANUP_BUF struct buf text = BUF_INIT, format = BUF_INIT;
	int r = count_all(b);

	b->manifest.store_format = STORE_FORMAT;
	b->manifest.made_s = time_now_ns() / NSEC_PER_SEC;
	if (!r)
		r = format_text(&format);
	if (!r)
		r = write_file(b->dir_fd, MANIFEST_FORMAT_FILE, buf_slice(&format));
	if (!r)
		r = manifest_format(&b->manifest, &text);
	if (!r && syncfs(b->dir_fd))
		r = -errno;
	return r ? r : write_file(b->dir_fd, MANIFEST_FILE, buf_slice(&text));
}

/* ---- all of it ---- */

static int make_backup(struct backup *b)
{
	int r = make_dirs(b);

	if (!r)
		r = gc_sync_extents(b->st);
	if (!r)
		r = link_extents(b);
	if (!r)
		r = copy_tables(b);
	return r ? r : write_manifest(b);
}

static int prepare(struct backup *b)
{
	b->store_fd = open(b->st->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (b->store_fd < 0)
		return -errno;
	backup_drop(b->st->path);
	if (buf_printf(&b->path, "%s/" BACKUP_DIR, b->st->path) ||
	    buf_append(&b->path, "", 1))
		return -ENOMEM;
	return 0;
}

int store_backup(struct store *st, const struct store_backup_options *opt,
		 struct buf *ret_path, struct errmsg *err)
{
	struct backup b = {.st = st, .opt = opt, .store_fd = -1, .dir_fd = -1};
	int r;

	if (!st->lock)
		return err_set(err, EOPNOTSUPP,
			       "a store in memory has no backup; `memofs export` writes "
			       "what is in it");
	r = prepare(&b);
	if (!r)
		r = make_backup(&b);
	if (!r)
		r = buf_set(ret_path, b.path.data, b.path.len);
	if (r) {
		err_set(err, -r, "%s/" BACKUP_DIR ": the backup cannot be made: %s",
			st->path, strerror(-r));
		if (b.dir_fd >= 0)
			backup_drop(st->path);
	}
	backup_deinit(&b);
	return r;
}
