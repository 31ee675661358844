/* SPDX-License-Identifier: Apache-2.0 */
/* Deleting what nobody can reach; gc.c says when. */
#ifndef MEMOFS_STORE_REAP_H
#define MEMOFS_STORE_REAP_H

#include "store/internal.h"
#include "store/notes.h"

struct reaped {
	bool any;
	uint64_t bytes; /* of contents, as they count among the bounds */
};

/*
 * Delete what the noted numbers, or all, have in TABLE_GCQ, except what is open.
 * Given up early, as a success, when `stop` becomes true: the rows keep what is
 * left. Adds to *sum what it has deleted, also before an error. One caller at a time.
 */
int reap_noted(struct store *st, const struct notes *notes, const atomic_bool *stop,
	       struct reaped *sum);

/*
 * Remove the extents that neither an inode nor TABLE_GCQ names. Numbers from
 * `below` on are left alone: they may be of values being written. -ECANCELED:
 * `stop` became true.
 */
int orphans_drop(struct store *st, uint64_t below, const atomic_bool *stop);

#endif
