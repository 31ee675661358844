/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/tar/fdattr.h"

#include <errno.h>
#include <stdio.h>
#include <sys/xattr.h>

#include "cli/attrs.h"
#include "cli/message.h"

#define FD_PATH_MAX 40

/* The calls for descriptors want one that can be read or written. */
static const char *fd_path(int fd, char text[FD_PATH_MAX])
{
	snprintf(text, FD_PATH_MAX, "/proc/self/fd/%d", fd);
	return text;
}

/* -ENODATA also where there cannot be any, as on a symlink. */
static int missing(int err)
{
	return err == EOPNOTSUPP || err == EPERM || err == ELOOP ? -ENODATA : -err;
}

int fdattr_get(int fd, const char *name, struct buf *ret_value)
{
	char path[FD_PATH_MAX];
	size_t cap = 256;
	ssize_t n;

	fd_path(fd, path);
	for (;;) {
		buf_clear(ret_value);
		must(buf_reserve(ret_value, cap + 1));
		n = getxattr(path, name, ret_value->data, cap);
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

int fdattr_set(int fd, const char *name, struct slice value)
{
	char path[FD_PATH_MAX];

	return setxattr(fd_path(fd, path), name, value.data, value.len, 0) ? -errno : 0;
}

int fdattr_list(int fd, struct buf *ret_names)
{
	char path[FD_PATH_MAX];
	size_t cap = 1024;
	ssize_t n;

	fd_path(fd, path);
	for (;;) {
		buf_clear(ret_names);
		must(buf_reserve(ret_names, cap));
		n = listxattr(path, (char *)ret_names->data, cap);
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
