/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The LOCK file of a store: one process at a time, and who it is.
 *
 * The lock is flock(2)'s, so it ends with the process however that ends. The
 * text in the file is for people: it says who has the lock while it is held,
 * and means nothing when it is not.
 */
#ifndef MEMOFS_STORE_LOCK_H
#define MEMOFS_STORE_LOCK_H

#include "store/util/err.h"

#define LOCK_FILE "LOCK"

struct lockfile;

/*
 * Lock the store in the directory `path`, which exists. -EBUSY with a message
 * that names the holder and what to do; -EROFS, -EACCES, -ENOSPC, …
 */
int lockfile_new(const char *path, struct lockfile **ret_lock, struct errmsg *err);
/* Say where the store is mounted; NULL or "": nowhere. */
void lockfile_note(struct lockfile *lock, const char *mountpoint);
void lockfile_free(struct lockfile *lock); /* unlocks; NULL is fine */

#endif
