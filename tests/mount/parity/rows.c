/* SPDX-License-Identifier: Apache-2.0 */
/* The rows of the .def files: first as functions, then as a table. */
#include "parity.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/falloc.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#define BIG INT64_C(0x7fffffffffffffff)

/* Bind a socket at the path. */
static long bind_at(const char *path)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), err;
	long ret;

	snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
	ret = bind(fd, (struct sockaddr *)&addr, sizeof(addr));
	err = errno;
	close(fd);
	errno = err;
	return ret;
}

#define ROW(id, ...)                                                                     \
	static long row_##id(void)                                                       \
	{                                                                                \
		return (long)(__VA_ARGS__);                                              \
	}
#define ROW_ROOT(id, ...) ROW(id, __VA_ARGS__)
#include "attrs.def"
#include "data.def"
#include "names.def"
#include "perms.def"
#undef ROW
#undef ROW_ROOT

#define ROW(id, ...) {#id, #__VA_ARGS__, row_##id, false, NULL, 0},
#define ROW_ROOT(id, ...) {#id, #__VA_ARGS__, row_##id, true, NULL, 0},
const struct row def_rows[] = {
#include "attrs.def"
#include "data.def"
#include "names.def"
#include "perms.def"
};
const size_t def_row_count = sizeof(def_rows) / sizeof(def_rows[0]);
