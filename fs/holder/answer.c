/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/holder/answer.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

/* The kernel gives a request only to who could take the largest: 1 MiB and its head are
 * what libfuse agrees on, and kernels from 6.16 may be asked for more. */
enum { BUFFER_BYTES = 16 << 20, RESEND = 7 };

struct answerer {
	int fd;
	void *buffer; /* of which the kernel touches what it needs */
};

static void set_blocking(int fd, bool blocking)
{
	int flags = fcntl(fd, F_GETFL);

	if (flags >= 0)
		fcntl(fd, F_SETFL, blocking ? flags & ~O_NONBLOCK : flags | O_NONBLOCK);
}

static int reply(int fd, uint64_t unique, int error)
{
	const struct fuse_out_header out = {
	    .len = sizeof(out), .error = error, .unique = unique};

	return write(fd, &out, sizeof(out)) < 0 ? -errno : 0;
}

int answerer_new(int fuse_fd, struct answerer **ret_a)
{
	struct answerer *a = calloc(1, sizeof(*a));

	if (a)
		a->buffer = malloc(BUFFER_BYTES);
	if (!a || !a->buffer) {
		free(a);
		return -ENOMEM;
	}
	a->fd = fuse_fd;
	/* The next daemon has the same open file, and wants to sleep in read. */
	set_blocking(fuse_fd, false);
	/* An older kernel does not know it: what was received is lost then. */
	(void)reply(fuse_fd, 0, RESEND);
	*ret_a = a;
	return 0;
}

void answerer_free(struct answerer *a)
{
	if (!a)
		return;
	set_blocking(a->fd, true);
	free(a->buffer);
	free(a);
}

/* Some requests are only told. */
static bool wants_answer(const struct fuse_in_header *in)
{
	return in->opcode != FUSE_FORGET && in->opcode != FUSE_BATCH_FORGET &&
	       in->opcode != FUSE_INTERRUPT && in->opcode != FUSE_NOTIFY_REPLY;
}

int answerer_run(struct answerer *a)
{
	for (;;) {
		const struct fuse_in_header *in = a->buffer;
		ssize_t n = read(a->fd, a->buffer, BUFFER_BYTES);

		if (n < 0 && (errno == EINTR || errno == ENOENT))
			continue; /* the asker has given up */
		if (n < 0)
			return errno == EAGAIN ? 0 : -errno;
		if ((size_t)n >= sizeof(*in) && wants_answer(in))
			(void)reply(a->fd, in->unique, -EIO);
	}
}
