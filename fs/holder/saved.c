/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/holder/saved.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define FUSE_NAME "memofs-fuse"
#define KEEP_NAME "memofs-keep"
#define MOUNTED_NAME "memofs-mounted"

int saved_init(struct saved *s)
{
	*s = (struct saved){.fuse_fd = -1};
	s->keep_fd = memfd_create(KEEP_NAME, MFD_CLOEXEC);
	return s->keep_fd < 0 ? -errno : 0;
}

/* -1: some of it is missing. Another version's may be shorter or longer. */
static int read_mounted(int fd, struct holder_message *ret_m)
{
	struct holder_message m = {0};

	if (pread(fd, &m, sizeof(m), 0) < HOLDER_MESSAGE_MIN || !holder_is_sound(&m) ||
	    *m.mountpoint != '/')
		return -1;
	*ret_m = m;
	return 0;
}

static void close_all(int *fds, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

bool saved_take_up(struct saved *s)
{
	int fds[] = {notify_stored(FUSE_NAME), notify_stored(KEEP_NAME),
		     notify_stored(MOUNTED_NAME)};
	struct saved taken = {.fuse_fd = fds[0], .keep_fd = fds[1]};

	if (fds[0] < 0 || fds[1] < 0 || fds[2] < 0 ||
	    read_mounted(fds[2], &taken.mounted) || saved_is_gone(&taken)) {
		close_all(fds, 3);
		return false;
	}
	close(fds[2]);
	saved_deinit(s);
	*s = taken;
	return true;
}

void saved_mounted(struct saved *s, int fuse_fd, const struct holder_message *m,
		   const struct notify *n)
{
	int fd;

	if (s->fuse_fd >= 0)
		close(s->fuse_fd);
	s->fuse_fd = fuse_fd;
	s->mounted = *m;
	fd = memfd_create(MOUNTED_NAME, MFD_CLOEXEC);
	if (fd < 0)
		return;
	if (write(fd, m, sizeof(*m)) == (ssize_t)sizeof(*m)) {
		notify_store(n, FUSE_NAME, s->fuse_fd);
		notify_store(n, KEEP_NAME, s->keep_fd);
		notify_store(n, MOUNTED_NAME, fd);
	}
	close(fd);
}

int64_t saved_empty(struct saved *s)
{
	struct stat st;

	/* It stays the same file, which systemd has as well. */
	if (fstat(s->keep_fd, &st) || ftruncate(s->keep_fd, 0))
		return -errno;
	return st.st_blocks * 512;
}

void saved_deinit(struct saved *s)
{
	int fds[] = {s->fuse_fd, s->keep_fd};

	close_all(fds, 2);
	s->fuse_fd = s->keep_fd = -1;
}

/* The kernel says so to who polls, without a request being read. */
bool saved_is_gone(const struct saved *s)
{
	struct pollfd pfd = {.fd = s->fuse_fd};

	return s->fuse_fd >= 0 && poll(&pfd, 1, 0) == 1 && (pfd.revents & POLLERR);
}
