/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/readahead.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "fs/fs.h"
#include "fs/mountpoint.h"
#include "store/util/log.h"

/* VM_READAHEAD_PAGES of the kernel. */
enum { DEFAULT_KIB = 128 };

static int read_number(int fd, unsigned long *ret_n)
{
	char text[32], *end;
	ssize_t len = pread(fd, text, sizeof(text) - 1, 0);

	if (len < 0)
		return -errno;
	text[len] = '\0';
	*ret_n = strtoul(text, &end, 10);
	return end == text || (*end && *end != '\n') ? -EINVAL : 0;
}

static int raise_in(int fd)
{
	char text[16];
	unsigned long kib = 0;
	int len, r = read_number(fd, &kib);
	ssize_t n;

	if (r)
		return r;
	if (kib != DEFAULT_KIB)
		return -EEXIST;
	len = snprintf(text, sizeof(text), "%d\n", READAHEAD_KIB);
	n = pwrite(fd, text, (size_t)len, 0);
	return n < 0 ? -errno : n < len ? -EIO : 0;
}

int readahead_raise(const char *bdis, dev_t dev)
{
	char path[128];
	int fd, r;

	if (major(dev) || !minor(dev)) /* a disk has its own, for all that is on it */
		return -EINVAL;
	snprintf(path, sizeof(path), "%s/%u:%u/read_ahead_kb", bdis, major(dev),
		 minor(dev));
	fd = open(path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	r = raise_in(fd);
	close(fd);
	return r;
}

void readahead_begin(struct fs *fs)
{
	dev_t dev = fs->dev;
	int r = dev ? 0 : mountpoint_dev(fs->mountpoint, &dev);

	if (!r)
		r = readahead_raise("/sys/class/bdi", dev);
	if (r && r != -EEXIST)
		log_debug("%s: the kernel reads ahead as far as it does: %s",
			  fs->mountpoint, strerror(-r));
	else
		log_debug("%s: the kernel reads ahead %s", fs->mountpoint,
			  r ? "as far as somebody has set" : "further");
}
