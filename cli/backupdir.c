/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/backupdir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/copy.h"
#include "cli/message.h"
#include "cli/paths.h"

#define FOLDERS 256
#define STEP_BYTES ((size_t)8 * 1024 * 1024)

/* ---- walking ---- */

typedef int (*file_fn)(void *arg, int dir_fd, const char *name, const struct stat *st);

/* Call `each` for all files of a folder. */
static int each_file(int fd, file_fn each, void *arg)
{
	DIR *dir = fdopendir(dup(fd));
	struct dirent *ent;
	struct stat st;
	int r = 0;

	if (!dir)
		return -errno;
	while (!r && (ent = readdir(dir))) {
		if (ent->d_name[0] == '.')
			continue;
		r = fstatat(fd, ent->d_name, &st, AT_SYMLINK_NOFOLLOW) ? -errno : 0;
		if (!r)
			r = each(arg, fd, ent->d_name, &st);
	}
	closedir(dir);
	return r;
}

static int open_folder(const char *path, const char *name, int *ret_fd)
{
	CLEANUP_FREE char *whole = path_join(path, name);
	int fd = open(whole, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

/* Its name, of `db` for -1. */
static void folder_name(int i, char ret_name[16])
{
	if (i < 0)
		strcpy(ret_name, "db");
	else
		snprintf(ret_name, 16, "extents/%02x", (unsigned int)i);
}

/* ---- verifying ---- */

static int count_db(void *arg, int dir_fd, const char *name, const struct stat *st)
{
	return manifest_add_db(arg, name, (uint64_t)st->st_size);
}

static int count_extent(void *arg, int dir_fd, const char *name, const struct stat *st)
{
	manifest_add_extent(arg, strtoull(name, NULL, 16), (uint64_t)st->st_size);
	return 0;
}

static int count_all(const char *path, struct manifest *found, struct errmsg *err)
{
	for (int i = -1; i < FOLDERS; i++) {
		CLEANUP_FD int fd = -1;
		char name[16];
		int r;

		folder_name(i, name);
		r = open_folder(path, name, &fd);
		if (!r)
			r = each_file(fd, i < 0 ? count_db : count_extent, found);
		if (r)
			return err_set(err, r == -ENOENT ? EUCLEAN : -r, "%s/%s: %s",
				       path, name, strerror(-r));
	}
	return 0;
}

static int read_manifest(const char *path, struct manifest *ret_manifest,
			 struct errmsg *err)
{
	CLEANUP_FREE char *name = path_join(path, MANIFEST_FILE);
	CLEANUP_FD int fd = open(name, O_RDONLY | O_CLOEXEC);
	CLEANUP_BUF struct buf text = BUF_INIT;
	struct errmsg why;
	int r;

	if (fd < 0 && errno == ENOENT)
		return err_set(
		    err, ENOENT,
		    "%s: is no backup, or one that was not made to its end: it "
		    "has no file " MANIFEST_FILE,
		    path);
	r = fd < 0 ? -errno : copy_to_memory(fd, MANIFEST_MAX_BYTES, &text);
	if (r)
		return err_set(err, -r, "%s: %s", name, strerror(-r));
	r = manifest_parse(buf_slice(&text), ret_manifest, &why);
	return r ? err_set(err, -r, "%s: %s", name, why.text) : 0;
}

int backupdir_verify(const char *path, struct manifest *ret_manifest, struct errmsg *err)
{
	CLEANUP_MANIFEST struct manifest said = MANIFEST_INIT, found = MANIFEST_INIT;
	struct errmsg why;
	int r = read_manifest(path, &said, err);

	if (!r)
		r = count_all(path, &found, err);
	if (r)
		return r;
	r = manifest_compare(&said, &found, &why);
	if (r)
		return err_set(err, -r, "%s: is not whole: %s", path, why.text);
	*ret_manifest = said;
	said = MANIFEST_INIT;
	return 0;
}

/* ---- copying ---- */

/* Where the kernel cannot do it by itself: between kinds of file systems. */
static ssize_t copy_by_hand(int from, int to, off_t off, size_t len)
{
	static char data[256 * 1024];
	ssize_t n = pread(from, data, len < sizeof(data) ? len : sizeof(data), off);

	return n > 0 ? pwrite(to, data, (size_t)n, off) : n;
}

static ssize_t copy_some(int from, int to, off_t off, size_t len)
{
	off_t from_off = off, to_off = off;
	ssize_t n = copy_file_range(from, &from_off, to, &to_off, len, 0);

	if (n < 0 &&
	    (errno == EXDEV || errno == EINVAL || errno == EOPNOTSUPP || errno == ENOSYS))
		return copy_by_hand(from, to, off, len);
	return n;
}

static bool is_stopped(const atomic_int *stop)
{
	return stop && *stop;
}

/* The bytes from `off` to the next hole, or what a step takes of them. */
static int copy_run(int from, int to, off_t *off, off_t size, const atomic_int *stop)
{
	off_t data = lseek(from, *off, SEEK_DATA), hole;
	ssize_t n;

	if (data < 0 && errno == ENXIO) {
		*off = size;
		return 0;
	}
	hole = data < 0 ? size : lseek(from, data, SEEK_HOLE);
	if (data < 0)
		data = *off;
	while (data < hole) {
		size_t want = (size_t)(hole - data);

		if (is_stopped(stop))
			return -ECANCELED;
		n = copy_some(from, to, data, want < STEP_BYTES ? want : STEP_BYTES);
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EIO; /* shorter than it was */
		data += n;
	}
	*off = hole;
	return 0;
}

static int copy_content(int from, int to, const struct stat *st, const atomic_int *stop)
{
	const struct timespec times[] = {st->st_atim, st->st_mtim};
	off_t off = 0;
	int r = ftruncate(to, st->st_size) ? -errno : 0;

	while (!r && off < st->st_size)
		r = copy_run(from, to, &off, st->st_size, stop);
	if (!r && futimens(to, times))
		r = -errno;
	return r;
}

static int copy_named(int from_fd, const char *name, int to_fd, const char *new_name,
		      const struct stat *st, const atomic_int *stop)
{
	CLEANUP_FD int from = openat(from_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	CLEANUP_FD int to = -1;

	if (from < 0)
		return -errno;
	to = openat(to_fd, new_name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	return to < 0 ? -errno : copy_content(from, to, st, stop);
}

struct copying {
	const struct backupdir_copy *args;
	int to_fd, previous_fd; /* the folder there; -1: none */
	bool is_db;
	uint64_t files, bytes;
};

static bool never_changes(const struct copying *c, const char *name)
{
	size_t len = strlen(name);

	return !c->is_db || (len > 4 && strcmp(name + len - 4, ".sst") == 0);
}

/* Of an earlier backup, which may be one of another store: numbers alone say nothing. */
static bool link_previous(const struct copying *c, const char *name,
			  const struct stat *st)
{
	struct stat was;

	return c->previous_fd >= 0 &&
	       fstatat(c->previous_fd, name, &was, AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISREG(was.st_mode) && was.st_size == st->st_size &&
	       was.st_mtim.tv_sec == st->st_mtim.tv_sec &&
	       was.st_mtim.tv_nsec == st->st_mtim.tv_nsec &&
	       linkat(c->previous_fd, name, c->to_fd, name, 0) == 0;
}

static int take_file(void *arg, int dir_fd, const char *name, const struct stat *st)
{
	struct copying *c = arg;
	int r = 0;

	if (!S_ISREG(st->st_mode))
		return 0;
	if (is_stopped(c->args->stop))
		return -ECANCELED;
	if (!c->is_db && link_previous(c, name, st))
		;
	else if (c->args->copy || !never_changes(c, name) ||
		 linkat(dir_fd, name, c->to_fd, name, 0))
		r = copy_named(dir_fd, name, c->to_fd, name, st, c->args->stop);
	c->files++;
	c->bytes += (uint64_t)st->st_size;
	if (c->args->progress.copied)
		c->args->progress.copied(c->args->progress.arg, c->files, c->bytes);
	return r;
}

static int copy_folder(struct copying *c, int i)
{
	CLEANUP_FD int from_fd = -1, to_fd = -1, previous_fd = -1;
	CLEANUP_FREE char *to = NULL;
	char name[16];
	int r;

	folder_name(i, name);
	to = path_join(c->args->to, name);
	if (mkdir(to, 0700))
		return -errno;
	r = open_folder(c->args->from, name, &from_fd);
	if (!r)
		r = open_folder(c->args->to, name, &to_fd);
	if (r)
		return r;
	if (c->args->previous)
		(void)open_folder(c->args->previous, name, &previous_fd);
	c->to_fd = to_fd;
	c->previous_fd = previous_fd;
	c->is_db = i < 0;
	return each_file(from_fd, take_file, c);
}

static int sync_all(const char *path)
{
	CLEANUP_FD int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 || syncfs(fd) ? -errno : 0;
}

int backupdir_copy(const struct backupdir_copy *args, struct errmsg *err)
{
	CLEANUP_FREE char *extents = path_join(args->to, "extents");
	struct copying c = {.args = args};
	int r = 0;

	if (mkdir(args->to, 0700) && errno != EEXIST)
		r = -errno;
	if (!r && mkdir(extents, 0700))
		r = -errno;
	for (int i = -1; !r && i < FOLDERS; i++)
		r = copy_folder(&c, i);
	if (!r)
		r = sync_all(args->to);
	return r ? err_set(err, -r, "%s: cannot be made of %s: %s", args->to, args->from,
			   strerror(-r))
		 : 0;
}

int backupdir_copy_file(const char *from, const char *name, const char *to,
			const char *new_name, struct errmsg *err)
{
	CLEANUP_FD int from_fd = -1, to_fd = -1;
	struct stat st;
	int r = open_folder(from, ".", &from_fd);

	if (!r)
		r = open_folder(to, ".", &to_fd);
	if (!r && fstatat(from_fd, name, &st, AT_SYMLINK_NOFOLLOW))
		r = -errno;
	if (!r)
		r = copy_named(from_fd, name, to_fd, new_name, &st, NULL);
	if (!r && syncfs(to_fd))
		r = -errno;
	return r ? err_set(err, -r, "%s/%s: %s", to, new_name, strerror(-r)) : 0;
}

/* ---- the rest ---- */

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at)
{
	return remove(path);
}

int backupdir_remove(const char *path)
{
	if (access(path, F_OK) && errno == ENOENT)
		return 0;
	return nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) ? -errno : 0;
}

bool backupdir_is_empty(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *ent;
	bool empty = true;

	if (!dir)
		return errno == ENOENT;
	while ((ent = readdir(dir)))
		if (strcmp(ent->d_name, ".") && strcmp(ent->d_name, "..") &&
		    strcmp(ent->d_name, "lost+found"))
			empty = false;
	closedir(dir);
	return empty;
}
