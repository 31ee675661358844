/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `memofs mount --attach` says to the daemon of the live mount, through the socket
 * STORE/attach: one packet, with the descriptor of /dev/fuse. The answer is one packet of
 * text, what is wrong, or a byte of 0 when nothing is.
 *
 * The socket then stays open for as long as the mount is served. Its other end is kept by
 * a child of the command, with the connection: when the daemon dies, the kernel would go
 * by what it was told, for half a minute, while a successor makes something else of the
 * live mount. So the child makes that stale, by ATTACH_NOTIFY_INC_EPOCH, and ends.
 */
#ifndef MEMOFS_STORE_UTIL_ATTACH_PACKET_H
#define MEMOFS_STORE_UTIL_ATTACH_PACKET_H

#include <inttypes.h>
#include <limits.h>
#include <stdint.h>

#define ATTACH_SOCKET "attach" /* in the store's directory; SOCK_SEQPACKET */

/* linux/fuse.h has it from 6.16 on; the number is the kernel's interface, and so is this
 * message. */
#define ATTACH_NOTIFY_INC_EPOCH 8
struct attach_notice {
	uint32_t len;	 /* of all of it */
	int32_t error;	 /* the number */
	uint64_t unique; /* 0 */
};

/* A line of the live mount's status: st_dev and st_ino of /proc/self/ns/user there. */
#define ATTACH_USER_NS "user_ns"
#define ATTACH_USER_NS_FORM "%" PRIuMAX ":%" PRIuMAX

enum { ATTACH_FORM = 2, ATTACH_ANSWER_MAX = 512 };

struct attach_packet {
	uint32_t form;	      /* ATTACH_FORM */
	uint32_t spare;	      /* 0 */
	uint64_t dev;	      /* st_dev of what was mounted */
	uint64_t pid_ns;      /* st_ino of /proc/self/ns/pid of who has mounted */
	uint64_t user_ns_dev; /* st_dev and st_ino of his /proc/self/ns/user */
	uint64_t user_ns;
	char mountpoint[PATH_MAX]; /* absolute, as he sees it; with a 0 */
};

#endif
