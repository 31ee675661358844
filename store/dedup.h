/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Equal contents of sealed trees are stored once.
 *
 * A tree is published with all its bytes. Later, in the background, it is compared
 * with the other trees of its top-level directory; what is in the extent of another
 * is read from there from then on, and punched out of its own (dedup.c).
 */
#ifndef MEMOFS_STORE_DEDUP_H
#define MEMOFS_STORE_DEDUP_H

#include "store/internal.h"
#include "store/notes.h"

/* In the batch that publishes the extent of a tree: it is to be compared. */
void dedup_batch_publish(struct batch *b, uint64_t ino);

/*
 * Compare those of the noted trees that have not been. One that cannot be compared now,
 * or at all, is left for the next start, and no error; so are all when the notes say
 * "all". Given up early when `stop` becomes true. One caller at a time, who is also the
 * only one that deletes contents; nobody has the staged value of a noted tree any more.
 */
int dedup_noted(struct store *st, const struct notes *notes, const atomic_bool *stop);
/* The same for all whose numbers are smaller than `below`. */
int dedup_left(struct store *st, uint64_t below, const atomic_bool *stop);

/*
 * The tree has lost its name, and nobody has it open. It stops reading from others. If
 * *ret_used, others read from it, and its extent must stay; otherwise all that is known
 * of its contents is deleted, at last by `b`. Cheap for what is no tree.
 */
int dedup_release(struct store *st, uint64_t ino, struct batch *b, bool *ret_used);

#endif
