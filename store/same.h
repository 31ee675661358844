/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Where the contents of trees are: TABLE_SAME, and the search for equal ones.
 *
 * For the thread that does the background work, which alone deletes extents: what was
 * found stays there as long as the caller does not return to it.
 */
#ifndef MEMOFS_STORE_SAME_H
#define MEMOFS_STORE_SAME_H

#include "store/internal.h"
#include "store/share_rows.h"

/* Does a tree read from the extent of `ino`? */
int same_in_use(struct store *st, uint64_t ino, bool *ret_used);

/*
 * Compare a tree with what the others of `ns` hold. Appends parts of its contents that
 * are byte for byte in the extents of at most SHARE_HOLDERS_MAX others, which are
 * synced. -EUCLEAN: the tree cannot be read; -ECANCELED: `stop` became true.
 */
int same_find(struct store *st, uint64_t ino, uint64_t ns, const atomic_bool *stop,
	      struct buf *ret_parts);

/* Name what the tree holds itself, so that others find it. Errors as above. */
int same_offer(struct store *st, uint64_t ino, const struct share_row *row,
	       const atomic_bool *stop);

/* Its extent is about to go: nobody shall find it any more. All of `ns` is looked through
 * when the tree cannot be read. */
int same_withdraw(struct store *st, uint64_t ino, uint64_t ns);

#endif
