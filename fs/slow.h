/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Answers that are held back, so that who writes does not outrun what is evicted for it:
 * store_pressure_ns(). One thread gives them when their time has come; what is held back
 * is a request, not a worker. An interrupt, and the end of the mount, have it answered at
 * once: the work is done already.
 */
#ifndef MEMOFS_FS_SLOW_H
#define MEMOFS_FS_SLOW_H

#include "fs/fs.h"

struct slow;

/* Starts the thread. -ENOMEM, -EAGAIN. */
int slow_new(struct slow **ret_slow);
/* All is answered, now and later, at once. Before the session ends. NULL is fine. */
void slow_stop(struct slow *slow);
void slow_free(struct slow *slow); /* NULL is fine */

/* Answer a write of so many bytes, later if the store is under pressure. */
void slow_reply_write(fuse_req_t req, size_t size);
/* The same where the answer is only that it was done. */
void slow_reply_done(fuse_req_t req, uint64_t bytes);

#endif
