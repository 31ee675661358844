/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names that the store takes away by itself: evicted, expired, damaged.
 *
 * What was dropped is collected under `names`, beside the batch that drops it, and
 * told when that is committed and the lock is free: to gc, which deletes the content,
 * and to the caller's store_watch().
 */
#ifndef MEMOFS_STORE_DROP_H
#define MEMOFS_STORE_DROP_H

#include "store/internal.h"

/* A zeroed one is empty. */
struct drops {
	struct buf list;
};
#define DROPS_INIT ((struct drops){0})
void drops_deinit(struct drops *d);
#define CLEANUP_DROPS __attribute__((cleanup(drops_deinit)))

/*
 * Take the name away from an entry, not a directory, whose row was read under `names`,
 * which is held; the directory's times become now. The caller commits `b`, by
 * store_commit(). -ENOMEM, -EIO.
 */
int drop_name(struct store *st, struct batch *b, const struct inode_row *row,
	      enum store_drop why, struct drops *drops);

/* It was committed: tell of it. Without a lock. `drops` is empty then. */
void drops_tell(struct store *st, struct drops *drops);

#endif
