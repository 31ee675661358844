/* SPDX-License-Identifier: Apache-2.0 */
/*
 * systemd, by hand: what a service of Type=notify says, and descriptors that it gives
 * away to have them again when it is started anew. See sd_notify(3) and
 * sd_listen_fds(3). Without systemd every function does nothing.
 */
#ifndef MEMOFS_FS_HOLDER_NOTIFY_H
#define MEMOFS_FS_HOLDER_NOTIFY_H

#include <stdint.h>

struct notify {
	char path[108];	     /* of the socket; "": nobody listens */
	int64_t watchdog_ns; /* how often it must hear something; 0: need not */
};

/* Takes what the environment says out of it: it is not for the daemon. */
void notify_begin(struct notify *n);
/* "READY=1", "STOPPING=1", "WATCHDOG=1", "STATUS=…". */
void notify_say(const struct notify *n, const char *state);
/* Keep this descriptor under that name, in place of one that has it. */
void notify_store(const struct notify *n, const char *name, int fd);

/*
 * The descriptor of that name that was kept, the caller's now, or -1. Before
 * notify_begin().
 */
int notify_stored(const char *name);

#endif
