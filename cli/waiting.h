/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting until somebody else has computed an entry.
 *
 * The daemon does the waiting: opening the entry below view/wait returns when
 * it was published, when its reservation has ended, or when the time is over.
 */
#ifndef MEMOFS_CLI_WAITING_H
#define MEMOFS_CLI_WAITING_H

#include <stdint.h>

#include "cli/command.h"
#include "store/util/buf.h"

/* How long to wait in all, from now on. */
struct waiting {
	int64_t limit_ns; /* DURATION_NONE: for ever; WAITING_POLICY */
	int64_t begun_ns; /* of the monotonic clock */
};

/* As long as the policy of the directory says. */
#define WAITING_POLICY INT64_C(-1)

/* `limit` is an option; absent, or without a duration: WAITING_POLICY. */
struct waiting waiting_begin(const struct cli_duration *limit);

/* Append the option of a view that waits for what is left of the time. */
void waiting_option(const struct waiting *w, struct buf *options);

/*
 * Open `path` for reading, and wait while it is reserved and not there. Only
 * what was published at `since_ns` (wall clock) or later counts, 0: anything.
 * Returns a descriptor, or -ENOENT: nobody computes it and it is not there;
 * -ETIMEDOUT; or another -errno of open(2).
 */
int waiting_open(const struct waiting *w, const char *path, int64_t since_ns);

#endif
