/* SPDX-License-Identifier: Apache-2.0 */
#include "store/format.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/lock.h"
#include "store/util/buf.h"

#define FORMAT_FILE "FORMAT"
#define FORMAT_NEW "FORMAT.new"
#define FORMAT_TEXT "memofs store, format "

static void close_fd(int *fd)
{
	if (*fd >= 0)
		close(*fd);
}
#define CLEANUP_FD __attribute__((cleanup(close_fd)))

static int open_dir(const char *path, int *ret_fd, struct errmsg *err)
{
	int mkdir_errno = mkdir(path, 0700) < 0 ? errno : 0;
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd >= 0) {
		*ret_fd = fd;
		return 0;
	}
	if (errno == ENOTDIR && mkdir_errno == EEXIST)
		return err_set(err, ENOTDIR,
			       "%s: is not a directory; a store needs one of its own",
			       path);
	if (mkdir_errno == ENOENT)
		return err_set(err, ENOENT,
			       "%s: the directory it should be in does not exist; make "
			       "that first",
			       path);
	/* When it is not there, what matters is why it could not be made. */
	if (mkdir_errno && mkdir_errno != EEXIST)
		return err_set(err, mkdir_errno, "%s: cannot make the store: %s", path,
			       strerror(mkdir_errno));
	return err_set(err, errno, "%s: cannot open the store: %s", path,
		       strerror(errno));
}

/* "memofs store, format N\n". -EUCLEAN: not that. */
static int parse(const char *text, uint64_t *ret_format)
{
	size_t skip = strlen(FORMAT_TEXT);
	uint64_t format;
	char *end;

	if (strncmp(text, FORMAT_TEXT, skip) || text[skip] < '0' || text[skip] > '9')
		return -EUCLEAN;
	errno = 0;
	format = strtoull(text + skip, &end, 10);
	if (errno || strcmp(end, "\n"))
		return -EUCLEAN;
	*ret_format = format;
	return 0;
}

/* -ENOENT without a message: there is no such file. */
static int check_file(const char *path, int dir_fd, unsigned int *ret_format,
		      struct errmsg *err)
{
	CLEANUP_FD int fd =
	    openat(dir_fd, FORMAT_FILE, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	char text[128];
	uint64_t format;
	ssize_t n;

	if (fd < 0 && errno == ENOENT)
		return -ENOENT;
	if (fd < 0)
		return err_set(err, errno, "%s/" FORMAT_FILE ": cannot be opened: %s",
			       path, strerror(errno));
	n = read(fd, text, sizeof(text) - 1);
	if (n < 0)
		return err_set(err, errno, "%s/" FORMAT_FILE ": cannot be read: %s", path,
			       strerror(errno));
	text[n] = '\0';
	if (parse(text, &format))
		return err_set(err, EUCLEAN,
			       "%s/" FORMAT_FILE
			       ": is damaged or not a memofs file; use another "
			       "directory, or delete this one to begin anew",
			       path);
	if (format < STORE_FORMAT_OLDEST || format > STORE_FORMAT)
		return err_set(err, EPROTO,
			       "%s/" FORMAT_FILE ": the store has format %" PRIu64
			       ", this memofs (%s) knows %d to %d only; use the memofs "
			       "that made it, or another directory",
			       path, format, MEMOFS_VERSION, STORE_FORMAT_OLDEST,
			       STORE_FORMAT);
	*ret_format = (unsigned int)format;
	return 0;
}

/* What may be in a directory that is not a store yet, besides one being made. */
static bool is_harmless(const char *name)
{
	return !strcmp(name, ".") || !strcmp(name, "..") || !strcmp(name, LOCK_FILE) ||
	       !strcmp(name, "lost+found");
}

static int check_empty(const char *path, int dir_fd, struct errmsg *err)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *ent;
	int r = 0;

	if (!dir) {
		r = err_set(err, errno, "%s: cannot be listed: %s", path,
			    strerror(errno));
		if (fd >= 0)
			close(fd);
		return r;
	}
	while (r == 0 && (ent = readdir(dir))) {
		if (!is_harmless(ent->d_name))
			r = err_set(err, ENOTEMPTY,
				    "%s: is not a store, and not empty (it has %s); "
				    "use an empty or a new directory",
				    path, ent->d_name);
	}
	closedir(dir);
	return r;
}

int format_check(const char *path, unsigned int *ret_format, struct errmsg *err)
{
	CLEANUP_FD int dir_fd = -1;
	int r;

	r = open_dir(path, &dir_fd, err);
	if (r)
		return r;
	r = check_file(path, dir_fd, ret_format, err);
	if (r != -ENOENT)
		return r;
	*ret_format = 0;
	if (faccessat(dir_fd, FORMAT_NEW, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	return check_empty(path, dir_fd, err);
}

int format_text(struct buf *ret_text)
{
	return buf_printf(ret_text, FORMAT_TEXT "%d\n", STORE_FORMAT);
}

static int write_new(int dir_fd)
{
	CLEANUP_FD int fd =
	    openat(dir_fd, FORMAT_NEW,
		   O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	char text[64];
	int len = snprintf(text, sizeof(text), FORMAT_TEXT "%d\n", STORE_FORMAT);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = write(fd, text, (size_t)len);
	if (n != len)
		return n < 0 ? -errno : -ENOSPC;
	return fsync(fd) < 0 || fsync(dir_fd) < 0 ? -errno : 0;
}

int format_begin(const char *path, struct errmsg *err)
{
	CLEANUP_FD int dir_fd = -1;
	int r;

	r = open_dir(path, &dir_fd, err);
	if (r)
		return r;
	r = write_new(dir_fd);
	return r ? err_set(err, -r, "%s/" FORMAT_NEW ": cannot be written: %s", path,
			   strerror(-r))
		 : 0;
}

int format_end(const char *path, struct errmsg *err)
{
	CLEANUP_FD int dir_fd = -1;
	int r;

	r = open_dir(path, &dir_fd, err);
	if (r)
		return r;
	if (renameat(dir_fd, FORMAT_NEW, dir_fd, FORMAT_FILE) < 0 || fsync(dir_fd) < 0)
		return err_set(err, errno, "%s/" FORMAT_FILE ": cannot be made: %s", path,
			       strerror(errno));
	return 0;
}
