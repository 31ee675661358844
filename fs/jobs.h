/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Long work that somebody asks the daemon for: /.memofs/jobs/NAME.
 *
 * Writing a line of options starts the job; reading tells how it is. One runs at a
 * time, in a thread of its own. The files are the daemon's user's, mode 0600.
 *
 *   run: 3                    how often it was started; 0: never
 *   state: running            or idle, done, failed
 *   progress: 512 4096        what was done, of a total that is an estimate
 *   bytes: 1048576 8388608    the same of contents, where they are read
 *   found: /ns/key: …         a line for each thing found
 *   result: …                 at the end: a line, or several
 *
 * `upgrade` is one that the holder does: its option is the path of a binary, or nothing.
 * It ends in another process, which is told what came of it.
 */
#ifndef MEMOFS_FS_JOBS_H
#define MEMOFS_FS_JOBS_H

#include "store/store.h"

struct jobs;
struct held;

/* `held` is the holder, or NULL. -ENOMEM. */
int jobs_new(struct store *st, struct held *held, struct jobs **ret_jobs);
/* End what runs, wait for that, and start no more. NULL is fine. */
void jobs_stop(struct jobs *jobs);
/* The same, when no request comes any more. NULL is fine. */
void jobs_free(struct jobs *jobs);

unsigned int jobs_count(void);
const char *jobs_name(unsigned int i);
int jobs_find(const char *name, unsigned int *ret_job); /* -ENOENT */

/*
 * Start one, with options apart by white space. -EBUSY: one is running, or the daemon is
 * about to end; -EINVAL: not its options, which the log says; -EAGAIN: no thread;
 * -ENOMEM; for an upgrade also -ENOTSUP: there is no holder; -EPIPE: there was one.
 */
int jobs_start(struct jobs *jobs, unsigned int job, const char *options, size_t len);
/* The holder says what came of an upgrade, maybe one that another process began. */
void jobs_upgraded(struct jobs *jobs, uint64_t run, bool done, const char *text);
/* Appends what the file says. -ENOMEM. */
int jobs_text(struct jobs *jobs, unsigned int job, struct buf *ret_text);

#endif
