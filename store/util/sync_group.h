/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One fdatasync(2) for all who wait for one, as databases do in a group commit.
 *
 * Who asks needs a sync that begins after that: one that runs already may have looked
 * past what was written last. So everybody who asks while one runs shares the next.
 *
 * The kernel tells of what it could not write once, and forgets it. So after a call that
 * failed, `sync` returns 0 only when that is on the disk in some other way.
 */
#ifndef MEMOFS_STORE_UTIL_SYNC_GROUP_H
#define MEMOFS_STORE_UTIL_SYNC_GROUP_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct sync_group {
	pthread_mutex_t lock;
	pthread_cond_t ended;
	/* Under the lock. Syncs are numbered from 1 on, in the order they run. */
	bool running;
	uint64_t done;	 /* the last that ended */
	uint64_t failed; /* the last that failed; 0: none */
	int error;	 /* what it said: -errno */
};

void sync_group_init(struct sync_group *g);
/* Nobody waits in it any more. */
void sync_group_deinit(struct sync_group *g);
/*
 * Returns when `sync` was called after this call began, by whichever thread, and has
 * ended: 0, or -errno of it or of another that ended meanwhile. It is never called by
 * two threads at once.
 */
int sync_group_run(struct sync_group *g, int (*sync)(void *arg), void *arg);

#endif
