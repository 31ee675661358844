/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Does the daemon still answer? By its pulse ("store/util/keep.h") and by what waits in
 * the kernel. One that does not gets some seconds to write the stacks of its threads.
 */
#ifndef MEMOFS_FS_HOLDER_WATCH_H
#define MEMOFS_FS_HOLDER_WATCH_H

#include <stdbool.h>
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
};

/* A daemon is ready. Without a pulse, or a limit, it is not watched. */
void watch_begin(struct watch *w, pid_t pid, int keep_fd, int64_t limit_ns);
void watch_end(struct watch *w);
/* When to look next, or INT64_MAX. */
int64_t watch_next_ns(const struct watch *w);
/* True: it hangs, its stacks are written as far as they could be, and it is to be
 * killed. */
bool watch_look(struct watch *w, int64_t now_ns);

#endif
