/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does the daemon still answer? By its pulse ("store/util/keep.h") and by what waits in
 * the kernel. One that does not gets some seconds to write the stacks of its threads.
 *
 * A single request that takes long while others are answered may have much to do, or wait
 * for what never comes. It is told of, with stacks, and ten times later the daemon has to
 * go as well. If the next one takes as long, it has twice the time, and so on: so what
 * really has much to do comes to its end.
 */
#ifndef MEMOFS_FS_HOLDER_WATCH_H
#define MEMOFS_FS_HOLDER_WATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct keep_pulse;

struct watch {
	int64_t limit_ns; /* 0: nothing is watched */
	struct keep_pulse *pulse;
	pid_t pid;
	int fuse_fd, stacks_fd; /* the holder's */

	int64_t looked_ns;   /* 0: never */
	int64_t answered_ns; /* when it was seen to answer, or none was asked */
	int64_t read_ns;     /* when nothing was seen to wait in the kernel */
	uint64_t begun, answered;
	int64_t asked_ns; /* for stacks; 0: not asked */

	int64_t slow_ns; /* the beginning of the request that was told of last; 0: none */
	int64_t slow_asked_ns; /* and its stacks are being written; 0: not */
	unsigned int patience; /* times ten limits; the only one that outlives a daemon */
};

/* A daemon is ready. Without a pulse, or a limit, it is not watched. */
void watch_begin(struct watch *w, pid_t pid, int keep_fd, int64_t limit_ns);
void watch_end(struct watch *w);
/* When to look next, or INT64_MAX. */
int64_t watch_next_ns(const struct watch *w);
/* Words for what it does, when it hangs, its stacks are written as far as they could be,
 * and it is to be killed; else NULL. */
const char *watch_look(struct watch *w, int64_t now_ns);
/* A request takes long, and the stacks of the daemon's threads are there for it to log,
 * under this text: true once. */
bool watch_slow(struct watch *w, int64_t now_ns, char *ret_text, size_t size);

#endif
