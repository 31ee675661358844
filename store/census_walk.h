/* SPDX-License-Identifier: Apache-2.0 */
/* One walk of a census. */
#ifndef MEMOFS_STORE_CENSUS_WALK_H
#define MEMOFS_STORE_CENSUS_WALK_H

#include "store/census_count.h"
#include "store/expire.h"
#include "store/internal.h"

struct census_walk {
	struct store *st;
	int64_t keep_ns;
	int64_t now_ns; /* when it began */

	uint64_t next_ino; /* where it goes on */
	struct census_count count;
	struct buf due; /* u64: of the slice, what is to be dropped */
	struct expired expired;
	int64_t next_due_ns; /* of what is not due yet; DURATION_NONE: nothing */
};

int census_walk_init(struct census_walk *walk, struct store *st, int64_t keep_ns);
void census_walk_deinit(struct census_walk *walk);

/* A slice, and the drops in it, which `stop` ends. *ret_done: there is no more. */
int census_walk_step(struct census_walk *walk, const atomic_bool *stop, bool *ret_done);

/* After the last step: the result, with names. -ENOMEM. */
int census_walk_end(struct census_walk *walk, struct store_census **ret_census);

#endif
