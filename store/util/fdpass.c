/* SPDX-License-Identifier: Apache-2.0 */
#include "store/util/fdpass.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union control {
	struct cmsghdr head;
	char room[CMSG_SPACE(FDPASS_MAX * sizeof(int))];
};

static int error_now(void)
{
	return errno == ECONNRESET ? -EPIPE : -errno;
}

int fdpass_send(int socket, const void *data, size_t len, const int *fds,
		unsigned int count)
{
	struct iovec iov = {.iov_base = (void *)data, .iov_len = len};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
	union control control = {0};

	assert(count <= FDPASS_MAX);
	if (count) {
		control.head.cmsg_level = SOL_SOCKET;
		control.head.cmsg_type = SCM_RIGHTS;
		control.head.cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(&control.head), fds, count * sizeof(int));
		msg.msg_control = &control;
		msg.msg_controllen = CMSG_SPACE(count * sizeof(int));
	}
	while (sendmsg(socket, &msg, MSG_NOSIGNAL) < 0)
		if (errno != EINTR)
			return error_now();
	return 0;
}

/* There was room for as many as were asked for, and no more. */
static unsigned int take(struct msghdr *msg, int *ret_fds)
{
	const struct cmsghdr *c = CMSG_FIRSTHDR(msg);
	size_t bytes;

	if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
		return 0;
	bytes = c->cmsg_len - CMSG_LEN(0);
	memcpy(ret_fds, CMSG_DATA(c), bytes);
	return (unsigned int)(bytes / sizeof(int));
}

ssize_t fdpass_receive(int socket, void *ret_data, size_t size, int *ret_fds,
		       unsigned int max)
{
	struct iovec iov = {.iov_base = ret_data, .iov_len = size};
	union control control = {0};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control};
	unsigned int count;
	ssize_t n;

	assert(max <= FDPASS_MAX);
	for (unsigned int i = 0; i < max; i++)
		ret_fds[i] = -1;
	/* Not CMSG_SPACE(), whose padding has room for one more. */
	msg.msg_controllen = CMSG_LEN(max * sizeof(int));
	do
		n = recvmsg(socket, &msg, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return error_now();
	count = take(&msg, ret_fds);
	if (n > 0 && !(msg.msg_flags & MSG_CTRUNC))
		return n;
	fdpass_close(ret_fds, count);
	return count || (msg.msg_flags & MSG_CTRUNC) ? -EPROTO : -EPIPE;
}

void fdpass_close(int *fds, unsigned int count)
{
	for (unsigned int i = 0; i < count; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
		fds[i] = -1;
	}
}
