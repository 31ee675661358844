/* SPDX-License-Identifier: Apache-2.0 */
/* What a publish takes along when it seals a directory; see seal.c. */
#ifndef MEMOFS_STORE_SEAL_H
#define MEMOFS_STORE_SEAL_H

#include "store/internal.h"

/* The directory that becomes a sealed tree, and goes in the same batch. */
struct seal_source {
	uint64_t branch;
	struct slice name; /* the caller's */
	uint64_t ino;
};

/*
 * Add its removal to the batch that publishes in `branch`. Under `names`. -ENOENT:
 * it has not this name any more; -EINVAL: it holds the branch.
 */
int seal_drop_source(struct store *st, struct batch *b, const struct seal_source *source,
		     uint64_t branch);

/* It was committed. Under `names`. */
void seal_source_dropped(struct store *st, const struct seal_source *source);

#endif
