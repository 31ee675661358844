/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Taking the names of entries that have expired. Whether one really has is seen under
 * `names`: its ttl or that of a directory above may have changed, and it may have been
 * read out by somebody who is making it anew.
 *
 * What a live lease is held of stays: `view/stale` shows it until the new one is there.
 * A pin keeps from eviction, not from this.
 */
#ifndef MEMOFS_STORE_EXPIRE_H
#define MEMOFS_STORE_EXPIRE_H

#include "store/internal.h"

struct expired {
	uint64_t entries, bytes; /* bytes: charges */
};

/* When it goes, having been expired for `keep_ns`; DURATION_NONE: never. */
int64_t expire_due_ns(const struct row_core *core, int64_t inherited_ttl_ns,
		      int64_t keep_ns);
/* Somebody has reserved the name. */
bool expire_is_leased(struct store *st, uint64_t branch, struct slice name);

/*
 * Drop those of `inos` (u64) that have been expired for `keep_ns`, a few at a time
 * under `names`; add to *sum what went. Takes no notice of what is gone. Ended early,
 * as a success, when `stop` becomes true.
 */
int expire_drop(struct store *st, const struct buf *inos, int64_t keep_ns,
		const atomic_bool *stop, struct expired *sum);

#endif
