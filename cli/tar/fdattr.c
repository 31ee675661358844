/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/tar/fdattr.h"

#include <errno.h>
#include <stdio.h>
#include <sys/xattr.h>

#include "cli/attrs.h"
#include "cli/message.h"

#define FD_PATH_MAX 40

static const char *fd_path(int fd, char text[FD_PATH_MAX])
{
	snprintf(text, FD_PATH_MAX, "/proc/self/fd/%d", fd);
	return text;
}

/* The calls for descriptors refuse those with O_PATH: these go by way of /proc. */
static ssize_t get(int fd, const char *name, void *value, size_t cap)
{
	ssize_t n = fgetxattr(fd, name, value, cap);
	char path[FD_PATH_MAX];

	return n < 0 && errno == EBADF ? getxattr(fd_path(fd, path), name, value, cap)
				       : n;
}

static ssize_t list(int fd, char *names, size_t cap)
{
	ssize_t n = flistxattr(fd, names, cap);
	char path[FD_PATH_MAX];

	return n < 0 && errno == EBADF ? listxattr(fd_path(fd, path), names, cap) : n;
}

int fdattr_set(int fd, const char *name, struct slice value)
{
	int r = fsetxattr(fd, name, value.data, value.len, 0);
	char path[FD_PATH_MAX];

	if (r && errno == EBADF)
		r = setxattr(fd_path(fd, path), name, value.data, value.len, 0);
	return r ? -errno : 0;
}

/* -ENODATA also where there cannot be any, as on a symlink. */
static int missing(int err)
{
	return err == EOPNOTSUPP || err == EPERM || err == ELOOP ? -ENODATA : -err;
}

int fdattr_get(int fd, const char *name, struct buf *ret_value)
{
	size_t cap = 256;
	ssize_t n;

	for (;;) {
		buf_clear(ret_value);
		must(buf_reserve(ret_value, cap + 1));
		n = get(fd, name, ret_value->data, cap);
		if (n >= 0 || errno != ERANGE)
			break;
		cap *= 4;
	}
	if (n < 0)
		return missing(errno);
	ret_value->len = (size_t)n;
	ret_value->data[n] = '\0';
	return 0;
}

int fdattr_list(int fd, struct buf *ret_names)
{
	size_t cap = 1024;
	ssize_t n;

	for (;;) {
		buf_clear(ret_names);
		must(buf_reserve(ret_names, cap));
		n = list(fd, (char *)ret_names->data, cap);
		if (n >= 0 || errno != ERANGE)
			break;
		cap *= 4;
	}
	if (n < 0)
		return missing(errno) == -ENODATA ? 0 : -errno;
	ret_names->len = (size_t)n;
	return 0;
}

int fdattr_time(int fd, const char *name, int64_t *ret_ns)
{
	CLEANUP_BUF struct buf value = BUF_INIT;
	int r = fdattr_get(fd, name, &value);

	return r ? r : attr_seconds_parse((const char *)value.data, ret_ns);
}
