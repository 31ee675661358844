/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/holder/protocol.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "store/util/fdpass.h"

_Static_assert((int)HOLDER_FDS_MAX <= (int)FDPASS_MAX, "messages have so many");

int holder_send(int socket, const struct holder_message *m, const int *fds,
		unsigned int count)
{
	return fdpass_send(socket, m, sizeof(*m), fds, count);
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
	ssize_t n;

	memset(ret_m, 0, sizeof(*ret_m));
	n = fdpass_receive(socket, ret_m, sizeof(*ret_m), ret_fds, HOLDER_FDS_MAX);
	if (n < 0)
		return (int)n;
	if (n >= HOLDER_MESSAGE_MIN && holder_is_sound(ret_m))
		return 0;
	holder_close_fds(ret_fds);
	return -EPROTO;
}

void holder_close_fds(int fds[HOLDER_FDS_MAX])
{
	fdpass_close(fds, HOLDER_FDS_MAX);
}

void holder_set_text(struct holder_message *m, const char *text)
{
	snprintf(m->text, sizeof(m->text), "%s", text);
}
