/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/tree/beneath.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Also where a sandbox does not know the call, and then says that it is forbidden. */
static int open_at_once(int dirfd, const char *path, int flags)
{
	struct open_how how = {
	    .flags = (uint64_t)flags,
	    .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS,
	};
	long fd;

	do
		fd = syscall(SYS_openat2, dirfd, path, &how, sizeof(how));
	while (fd < 0 && (errno == EINTR || errno == EAGAIN));
	return fd < 0 ? -errno : (int)fd;
}

/* Directory by directory. */
static int open_by_parts(int dirfd, const char *path, int flags)
{
	int at = dirfd, fd;
	const char *slash;

	while ((slash = strchr(path, '/'))) {
		char part[NAME_MAX + 1];
		size_t len = (size_t)(slash - path);

		fd = -ENAMETOOLONG;
		if (len < sizeof(part)) {
			memcpy(part, path, len);
			part[len] = '\0';
			fd = openat(at, part,
				    O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
			fd = fd < 0 ? -errno : fd;
		}
		if (at != dirfd)
			close(at);
		if (fd < 0)
			return fd;
		at = fd;
		path = slash + 1;
	}
	fd = openat(at, path, flags);
	fd = fd < 0 ? -errno : fd;
	if (at != dirfd)
		close(at);
	return fd;
}

int beneath_open(int dirfd, const char *path, int flags)
{
	const char *name = *path ? path : ".";
	int fd;

	flags |= O_NOFOLLOW | O_CLOEXEC;
	fd = open_at_once(dirfd, name, flags);
	return fd == -ENOSYS || fd == -EPERM ? open_by_parts(dirfd, name, flags) : fd;
}
