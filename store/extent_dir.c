/* SPDX-License-Identifier: Apache-2.0 */
#include "store/extent_dir.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FOLDERS 256
#define NAME_DIGITS 16
#define NAME_MAX_BYTES (sizeof("xx/") + NAME_DIGITS)

/*
 * How many names a folder was given, and how many of them are known to be
 * durable. Both only grow, so callers of extent_dir_sync() need no lock: at
 * worst two of them sync the same folder.
 */
struct folder {
	uint64_t named;	 /* atomic */
	uint64_t synced; /* atomic; <= named */
};

struct extent_dir {
	int stage_fd;
	int extents_fd;
	struct folder folders[FOLDERS];
};

/* ---- names -------------------------------------------------------------------- */

static unsigned int folder_of(uint64_t ino)
{
	return ino % FOLDERS;
}

static void stage_name(uint64_t ino, char ret_name[NAME_MAX_BYTES])
{
	snprintf(ret_name, NAME_MAX_BYTES, "%016" PRIx64, ino);
}

/* Below extents/. */
static void extent_name(uint64_t ino, char ret_name[NAME_MAX_BYTES])
{
	snprintf(ret_name, NAME_MAX_BYTES, "%02x/%016" PRIx64, folder_of(ino), ino);
}

/* False when it is not a name that we give. */
static bool name_parse(const char *name, uint64_t *ret_ino)
{
	uint64_t ino;

	if (strlen(name) != NAME_DIGITS ||
	    strspn(name, "0123456789abcdef") != NAME_DIGITS)
		return false;
	ino = strtoull(name, NULL, 16);
	*ret_ino = ino;
	return true;
}

/* ---- folders ------------------------------------------------------------------ */

static int folder_open(int at_fd, const char *name, int *ret_fd)
{
	int fd = openat(at_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

/* *made becomes true when it was not there; else it is left alone. */
static int folder_make(int at_fd, const char *name, bool *made)
{
	if (mkdirat(at_fd, name, 0700) == 0)
		*made = true;
	else if (errno != EEXIST)
		return -errno;
	return 0;
}

/* Call `each` for every name in a folder, until non-zero. */
static int folder_names(int at_fd, const char *name,
			int (*each)(void *arg, const char *name), void *arg)
{
	struct dirent *ent;
	int fd = -1, rc;
	DIR *d;

	rc = folder_open(at_fd, name, &fd);
	if (rc)
		return rc;
	d = fdopendir(fd);
	if (!d) {
		rc = -errno;
		close(fd);
		return rc;
	}
	while (rc == 0) {
		errno = 0;
		ent = readdir(d);
		if (!ent) {
			rc = -errno;
			break;
		}
		rc = each(arg, ent->d_name);
	}
	closedir(d);
	return rc;
}

struct ino_args {
	int (*each)(void *arg, uint64_t ino);
	void *arg;
};

static int each_ino(void *arg, const char *name)
{
	const struct ino_args *args = arg;
	uint64_t ino;

	return name_parse(name, &ino) ? args->each(args->arg, ino) : 0;
}

/*
 * Call `each` for every name of ours in a folder. What `each` removes or adds
 * may or may not be met.
 */
static int folder_each(int at_fd, const char *name, int (*each)(void *arg, uint64_t ino),
		       void *arg)
{
	struct ino_args args = {each, arg};

	return folder_names(at_fd, name, each_ino, &args);
}

static int make_folders(struct extent_dir *dir, int store_fd)
{
	bool made = false;
	int rc;

	rc = folder_make(store_fd, "stage", &made);
	if (rc == 0)
		rc = folder_make(store_fd, "extents", &made);
	if (rc == 0)
		rc = folder_open(store_fd, "stage", &dir->stage_fd);
	if (rc == 0)
		rc = folder_open(store_fd, "extents", &dir->extents_fd);
	for (unsigned int i = 0; rc == 0 && i < FOLDERS; i++) {
		char name[3];

		snprintf(name, sizeof(name), "%02x", i);
		rc = folder_make(dir->extents_fd, name, &made);
	}
	/* Names in a folder are durable only if the folder is. */
	if (rc == 0 && made && (fsync(dir->extents_fd) || fsync(store_fd)))
		rc = -errno;
	return rc;
}

static int drop_staged(void *arg, uint64_t ino)
{
	struct extent_dir *dir = arg;
	char name[NAME_MAX_BYTES];

	stage_name(ino, name);
	return unlinkat(dir->stage_fd, name, 0) && errno != ENOENT ? -errno : 0;
}

/* What an earlier process left staged. */
struct left {
	struct extent_dir *dir;
	const uint64_t *staged;
	size_t count;
};

static int drop_left(void *arg, uint64_t ino)
{
	const struct left *left = arg;

	for (size_t i = 0; i < left->count; i++)
		if (left->staged[i] == ino)
			return 0;
	return drop_staged(left->dir, ino);
}

int extent_dir_new(int store_fd, const uint64_t *staged, size_t staged_count,
		   struct extent_dir **ret_dir)
{
	struct extent_dir *dir = calloc(1, sizeof(*dir));
	struct left left = {dir, staged, staged_count};
	int rc;

	if (!dir)
		return -ENOMEM;
	dir->stage_fd = -1;
	dir->extents_fd = -1;
	/* What an earlier process named it may not have synced. */
	for (unsigned int i = 0; i < FOLDERS; i++)
		dir->folders[i].named = 1;
	rc = make_folders(dir, store_fd);
	if (rc == 0)
		rc = folder_each(store_fd, "stage", drop_left, &left);
	if (rc) {
		extent_dir_free(dir);
		return rc;
	}
	*ret_dir = dir;
	return 0;
}

void extent_dir_free(struct extent_dir *dir)
{
	if (!dir)
		return;
	if (dir->stage_fd >= 0)
		close(dir->stage_fd);
	if (dir->extents_fd >= 0)
		close(dir->extents_fd);
	free(dir);
}

/* ---- extents -------------------------------------------------------------------- */

int extent_dir_stage(struct extent_dir *dir, uint64_t ino, int *ret_fd)
{
	char name[NAME_MAX_BYTES];
	int fd;

	stage_name(ino, name);
	fd = openat(dir->stage_fd, name,
		    O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	*ret_fd = fd;
	return 0;
}

int extent_dir_commit(struct extent_dir *dir, uint64_t ino)
{
	char from[NAME_MAX_BYTES], to[NAME_MAX_BYTES];

	stage_name(ino, from);
	extent_name(ino, to);
	if (renameat(dir->stage_fd, from, dir->extents_fd, to))
		return -errno;
	__atomic_add_fetch(&dir->folders[folder_of(ino)].named, 1, __ATOMIC_RELEASE);
	return 0;
}

int extent_dir_open(struct extent_dir *dir, uint64_t ino, int *ret_fd)
{
	char name[NAME_MAX_BYTES];
	struct stat st;
	int fd;

	extent_name(ino, name);
	/* A symlink, a directory or a fifo that has the name is no extent. */
	fd =
	    openat(dir->extents_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	if (fd < 0)
		return errno == ELOOP || errno == ENXIO ? -ENOENT : -errno;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		close(fd);
		return -ENOENT;
	}
	*ret_fd = fd;
	return 0;
}

int extent_dir_resume(struct extent_dir *dir, uint64_t ino, bool *ret_committed,
		      int *ret_fd)
{
	const int flags = O_RDWR | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
	char staged[NAME_MAX_BYTES], named[NAME_MAX_BYTES];
	bool committed = false;
	struct stat st;
	int fd;

	stage_name(ino, staged);
	extent_name(ino, named);
	fd = openat(dir->stage_fd, staged, flags);
	if (fd < 0 && errno == ENOENT) {
		committed = true;
		fd = openat(dir->extents_fd, named, flags);
	}
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) || !S_ISREG(st.st_mode)) {
		close(fd);
		return -ENOENT;
	}
	*ret_committed = committed;
	*ret_fd = fd;
	return 0;
}

int extent_dir_remove(struct extent_dir *dir, uint64_t ino)
{
	char name[NAME_MAX_BYTES];

	extent_name(ino, name);
	if (unlinkat(dir->extents_fd, name, 0) == 0)
		return 0;
	/* A directory, which is no extent: whatever is in it is not ours. */
	if (errno == EISDIR)
		return unlinkat(dir->extents_fd, name, AT_REMOVEDIR) && errno != ENOTEMPTY
			   ? -errno
			   : 0;
	if (errno != ENOENT)
		return -errno;
	return drop_staged(dir, ino);
}

void extent_dir_name(uint64_t ino, char ret_name[EXTENT_NAME_MAX])
{
	snprintf(ret_name, EXTENT_NAME_MAX, "extents/%02x/%016" PRIx64, folder_of(ino),
		 ino);
}

/* Is it a backup's, too? That knows nothing of what is read elsewhere from now on. */
static bool has_links(int fd)
{
	struct stat st;

	return fstat(fd, &st) || st.st_nlink > 1;
}

int extent_dir_punch(struct extent_dir *dir, uint64_t ino, uint64_t off, uint64_t len)
{
	char name[NAME_MAX_BYTES];
	int fd, rc;

	extent_name(ino, name);
	fd = openat(dir->extents_fd, name, O_WRONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (has_links(fd)) {
		close(fd);
		return -EOPNOTSUPP;
	}
	rc = fallocate(fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, (off_t)off,
		       (off_t)len)
		 ? -errno
		 : 0;
	close(fd);
	return rc;
}

struct list_args {
	unsigned int folder;
	int (*each)(void *arg, uint64_t ino);
	void *arg;
};

/* A file in a folder that is not its own would not be found by its number. */
static int list_own(void *arg, uint64_t ino)
{
	struct list_args *args = arg;

	return folder_of(ino) == args->folder ? args->each(args->arg, ino) : 0;
}

int extent_dir_list(struct extent_dir *dir, int (*each)(void *arg, uint64_t ino),
		    void *arg)
{
	struct list_args args = {.each = each, .arg = arg};
	int rc = 0;

	for (unsigned int i = 0; rc == 0 && i < FOLDERS; i++) {
		char name[3];

		snprintf(name, sizeof(name), "%02x", i);
		args.folder = i;
		rc = folder_each(dir->extents_fd, name, list_own, &args);
	}
	return rc;
}

static int folder_sync(struct extent_dir *dir, unsigned int i)
{
	char name[3];
	int fd = -1, rc;

	snprintf(name, sizeof(name), "%02x",
		 i % FOLDERS); /* the compiler sees that it fits */
	rc = folder_open(dir->extents_fd, name, &fd);
	if (rc)
		return rc;
	if (fsync(fd))
		rc = -errno;
	close(fd);
	return rc;
}

/* Raise to `value`, unless it is higher already. */
static void atomic_raise(uint64_t *n, uint64_t value)
{
	uint64_t was = __atomic_load_n(n, __ATOMIC_RELAXED);

	while (was < value &&
	       !__atomic_compare_exchange_n(n, &was, value, true, __ATOMIC_RELEASE,
					    __ATOMIC_RELAXED))
		;
}

static int names_sync(struct extent_dir *dir, unsigned int i)
{
	struct folder *folder = &dir->folders[i];
	uint64_t named = __atomic_load_n(&folder->named, __ATOMIC_ACQUIRE);
	int rc;

	if (__atomic_load_n(&folder->synced, __ATOMIC_ACQUIRE) >= named)
		return 0;
	rc = folder_sync(dir, i);
	if (rc)
		return rc;
	atomic_raise(&folder->synced, named);
	return 0;
}

int extent_dir_sync(struct extent_dir *dir)
{
	int rc = 0;

	for (unsigned int i = 0; rc == 0 && i < FOLDERS; i++)
		rc = names_sync(dir, i);
	return rc;
}

int extent_dir_sync_name(struct extent_dir *dir, uint64_t ino)
{
	return names_sync(dir, folder_of(ino));
}

/* ---- what is not ours --------------------------------------------------------- */

struct stray_args {
	int folder; /* -1: extents/ itself */
	int (*each)(void *arg, const char *path);
	void *arg;
};

static bool is_folder_name(const char *name)
{
	return strlen(name) == 2 && strspn(name, "0123456789abcdef") == 2;
}

static bool is_stray(const struct stray_args *args, const char *name)
{
	uint64_t ino;

	if (!strcmp(name, ".") || !strcmp(name, ".."))
		return false;
	if (args->folder < 0)
		return !is_folder_name(name);
	return !name_parse(name, &ino) || folder_of(ino) != (unsigned int)args->folder;
}

static int each_stray(void *arg, const char *name)
{
	const struct stray_args *args = arg;
	char path[NAME_MAX + sizeof("extents/xx/")];

	if (!is_stray(args, name))
		return 0;
	if (args->folder < 0)
		snprintf(path, sizeof(path), "extents/%s", name);
	else
		snprintf(path, sizeof(path), "extents/%02x/%s", args->folder, name);
	return args->each(args->arg, path);
}

int extent_dir_strays(struct extent_dir *dir, int (*each)(void *arg, const char *path),
		      void *arg)
{
	struct stray_args args = {.folder = -1, .each = each, .arg = arg};
	int rc = folder_names(dir->extents_fd, ".", each_stray, &args);

	for (unsigned int i = 0; rc == 0 && i < FOLDERS; i++) {
		char name[3];

		snprintf(name, sizeof(name), "%02x", i);
		args.folder = (int)i;
		rc = folder_names(dir->extents_fd, name, each_stray, &args);
	}
	return rc;
}
