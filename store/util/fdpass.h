/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Messages through unix sockets that may have descriptors with them (SCM_RIGHTS).
 *
 * Who receives one says how many descriptors it may have. With more it is refused as a
 * whole, and so is one whose descriptors did not all arrive: nothing of it stays open.
 */
#ifndef MEMOFS_STORE_UTIL_FDPASS_H
#define MEMOFS_STORE_UTIL_FDPASS_H

#include <stddef.h>
#include <sys/types.h>

enum { FDPASS_MAX = 8 }; /* descriptors of one message */

/*
 * Send `len` bytes, of a stream at least one of them, with `count` descriptors, which
 * stay the caller's. No SIGPIPE. -EPIPE: nobody is there any more; else -errno as
 * sendmsg(2), but -EINTR.
 */
int fdpass_send(int socket, const void *data, size_t len, const int *fds,
		unsigned int count);
/*
 * Wait for a message, of which `size` bytes are of interest (a longer packet is cut), and
 * return its length. Its descriptors are the caller's, closed on exec; the rest of the
 * `max` is -1, on failure all.
 *
 * -EPIPE: the other end is gone (or has sent an empty packet); -EPROTO: it had more than
 * `max` descriptors, some of them could not be had (this process has as many as it may),
 * or nothing but descriptors; else -errno as recvmsg(2), but -EINTR.
 */
ssize_t fdpass_receive(int socket, void *ret_data, size_t size, int *ret_fds,
		       unsigned int max);
/* Close those that are not -1, and make them -1. */
void fdpass_close(int *fds, unsigned int count);

#endif
