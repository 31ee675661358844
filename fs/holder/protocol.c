/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/holder/protocol.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union control {
	struct cmsghdr align;
	char bytes[CMSG_SPACE(HOLDER_FDS_MAX * sizeof(int))];
};

int holder_send(int socket, const struct holder_message *m, const int *fds,
		unsigned int count)
{
	struct iovec iov = {.iov_base = (void *)m, .iov_len = sizeof(*m)};
	union control control = {0};
	struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};

	if (count) {
		struct cmsghdr *c;

		msg.msg_control = control.bytes;
		msg.msg_controllen = CMSG_SPACE(count * sizeof(int));
		c = CMSG_FIRSTHDR(&msg);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(count * sizeof(int));
		memcpy(CMSG_DATA(c), fds, count * sizeof(int));
	}
	for (;;) {
		if (sendmsg(socket, &msg, MSG_NOSIGNAL) >= 0)
			return 0;
		if (errno != EINTR)
			return errno == ECONNRESET ? -EPIPE : -errno;
	}
}

static void take_fds(struct msghdr *msg, int ret_fds[HOLDER_FDS_MAX])
{
	for (struct cmsghdr *c = CMSG_FIRSTHDR(msg); c; c = CMSG_NXTHDR(msg, c)) {
		if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
			memcpy(ret_fds, CMSG_DATA(c), c->cmsg_len - CMSG_LEN(0));
	}
}

/* Nothing in it is trusted to be ended or in bounds: the binary may be any. */
bool holder_is_sound(const struct holder_message *m)
{
	return m->init_len <= HOLDER_INIT_MAX &&
	       memchr(m->version, '\0', sizeof(m->version)) &&
	       memchr(m->text, '\0', sizeof(m->text)) &&
	       memchr(m->mountpoint, '\0', sizeof(m->mountpoint));
}

int holder_receive(int socket, struct holder_message *ret_m, int ret_fds[HOLDER_FDS_MAX])
{
	struct iovec iov = {.iov_base = ret_m, .iov_len = sizeof(*ret_m)};
	union control control;
	struct msghdr msg = {.msg_iov = &iov,
			     .msg_iovlen = 1,
			     .msg_control = control.bytes,
			     .msg_controllen = sizeof(control.bytes)};
	ssize_t n;

	memset(ret_m, 0, sizeof(*ret_m));
	for (unsigned int i = 0; i < HOLDER_FDS_MAX; i++)
		ret_fds[i] = -1;
	do {
		n = recvmsg(socket, &msg, MSG_CMSG_CLOEXEC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return errno == ECONNRESET ? -EPIPE : -errno;
	if (n == 0)
		return -EPIPE;
	take_fds(&msg, ret_fds);
	if (n >= HOLDER_MESSAGE_MIN && holder_is_sound(ret_m))
		return 0;
	holder_close_fds(ret_fds);
	return -EPROTO;
}

void holder_close_fds(int fds[HOLDER_FDS_MAX])
{
	for (unsigned int i = 0; i < HOLDER_FDS_MAX; i++) {
		if (fds[i] >= 0)
			close(fds[i]);
		fds[i] = -1;
	}
}

void holder_set_text(struct holder_message *m, const char *text)
{
	snprintf(m->text, sizeof(m->text), "%s", text);
}
