/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded into the daemon: a kernel before 6.9, which does not know
 * FUSE_NOTIFY_RESEND.
 */
#include <dlfcn.h>
#include <errno.h>
#include <linux/fuse.h>
#include <unistd.h>

enum { NOTIFY_RESEND = 7 };

ssize_t write(int fd, const void *data, size_t len)
{
	static ssize_t (*real)(int fd, const void *data, size_t len);
	const struct fuse_out_header *out = data;

	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "write");
	if (len == sizeof(*out) && out->len == sizeof(*out) && !out->unique &&
	    out->error == NOTIFY_RESEND) {
		errno = EINVAL;
		return -1;
	}
	return real(fd, data, len);
}
