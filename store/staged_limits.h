/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a value being written may take: max-entry, quotas, the size of the store. All
 * under the value's lock.
 */
#ifndef MEMOFS_STORE_STAGED_LIMITS_H
#define MEMOFS_STORE_STAGED_LIMITS_H

#include "store/staged.h"

/* Read max-entry where the value begins, and what it is to replace. */
void staged_limits_init(struct store_staged *sg);

/*
 * May it have `size_bytes`, with so many more written into it? -EFBIG, with a line in the
 * log, once; -EDQUOT: it is larger than a whole quota. Whether something can be evicted
 * for it is seen when it is closed.
 */
int staged_may_grow(struct store_staged *sg, uint64_t size_bytes, uint64_t more_bytes);

/*
 * Room for it at (branch, name), where it is to be published: in the store and below its
 * quotas, kept until it is. A close that was answered well has it: the publish may come
 * later, and values closed after it count it. Waits a few seconds for evictions.
 * `sums_bytes` are those of its checksums. -ENOSPC, -EDQUOT.
 */
int staged_take_place(struct store_staged *sg, uint64_t branch, struct slice name,
		      uint64_t sums_bytes);

#endif
