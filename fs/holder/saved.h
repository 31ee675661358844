/* SPDX-License-Identifier: Apache-2.0 */
/* What a mount needs to go on with another daemon. */
#ifndef MEMOFS_FS_HOLDER_SAVED_H
#define MEMOFS_FS_HOLDER_SAVED_H

#include <stdbool.h>
#include <stdint.h>

#include "fs/holder/notify.h"
#include "fs/holder/protocol.h"

struct saved {
	int fuse_fd; /* -1: no daemon has mounted yet */
	int keep_fd;
	/* INIT and the mount point, as a daemon told them. */
	struct holder_message mounted;
};

/* With memory that is empty. -errno. */
int saved_init(struct saved *s);
/* What systemd has kept of a holder before this one, instead: false when there is none,
 * or its mount is gone. */
bool saved_take_up(struct saved *s);
/* A daemon has mounted: it takes the descriptor, and systemd gets all of it. */
void saved_mounted(struct saved *s, int fuse_fd, const struct holder_message *m,
		   const struct notify *n);
/* The memory is empty again. How many bytes it had, or -errno. */
int64_t saved_empty(struct saved *s);
void saved_deinit(struct saved *s);
/* Was it unmounted? */
bool saved_is_gone(const struct saved *s);

#endif
