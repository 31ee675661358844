/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One computes a result, the others wait for it.
 *
 * Who computes holds the name open: DIR/.memofs/view/pack/PATH, made with O_EXCL. So
 * nobody else can, the reservation needs no heartbeat, ends with the process whatever
 * kills it, and the result is written into that descriptor and published by its close,
 * which the daemon refuses for less than a whole pack. A reservation with a name would
 * survive a restart of the daemon, but also, for its lease, the death of its holder; and
 * one who is stopped for long would lose it. Here he keeps it: who does not want to wait
 * for him says --wait.
 *
 * What is too old for --max-age or --since is invisible under the view that is used, so
 * it can be created over; and what must not answer (--overwrite, another key) is so under
 * `max-age=0`. (A `since` of now would do, but each is a view of its own to the daemon.)
 */
#ifndef MEMOFS_CLI_RUN_FLIGHT_H
#define MEMOFS_CLI_RUN_FLIGHT_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/waiting.h"
#include "store/util/err.h"

struct flight {
	char *dir;	     /* of the cache; NULL: not known */
	const char *path;    /* of the result in it */
	int64_t max_age_ns;  /* DURATION_NONE: any age */
	int64_t since_ns;    /* wall clock; INT64_MIN: any time */
	bool anew;	     /* what is there does not count for beginning and waiting */
	struct waiting wait; /* for as long as this, in all */
	int fd;		     /* of what we compute; -1: nothing */
};

enum flight_how {
	FLIGHT_LOOK,  /* a hit by the rules */
	FLIGHT_STALE, /* one that has expired, while somebody computes it anew */
	FLIGHT_WAIT,  /* a hit, also one that is still computed */
};

/*
 * Open what is stored. Returns a descriptor; -ENOENT: there is none, and nobody computes
 * it; -ETIMEDOUT: FLIGHT_WAIT, it took too long; or another -errno of open(2).
 */
int flight_open(const struct flight *f, enum flight_how how);

/*
 * Begin to compute it. 0: f->fd is ours. -EEXIST: it is there, or somebody else computes
 * it; -ENOENT: the directory of PATH does not exist, or `dir` is in no mount; or another
 * -errno of open(2).
 */
int flight_begin(struct flight *f);
/*
 * Publish what was written to f->fd. It is seen by others when this has returned. The
 * name is free afterwards, also on failure. -errno of close(2); -EIO: the daemon did
 * not publish it.
 */
int flight_publish(struct flight *f);
/* Publish nothing. Does nothing when nothing was begun. */
void flight_give_up(struct flight *f);
void flight_deinit(struct flight *f);

/*
 * A failure of who computed, for those who waited for it: a result beside PATH that
 * lasts a minute. `id` is that of the key. Open it for writing, replacing an older one;
 * or for reading, if it was published at `since_ns` or later. A descriptor, or -errno.
 */
int flight_open_failure(const struct flight *f, const char *id, bool writing,
			int64_t since_ns);
/* Publish what was written to it, `fd`. What was not written whole is dropped. */
void flight_publish_failure(const struct flight *f, const char *id, int fd);

#endif
