/* SPDX-License-Identifier: Apache-2.0 */
/* Which files a tree is about, and the removal of those that it has not. */
#ifndef MEMOFS_CLI_TREE_EXACT_H
#define MEMOFS_CLI_TREE_EXACT_H

#include <stdint.h>

#include "cli/tree/pattern.h"
#include "cli/tree/walk.h"
#include "store/util/pack.h"

/*
 * The patterns a tree was saved with, which are the lines of its pack's meta; without
 * any, its names at the top, with all that is in them. -EINVAL: they are none;
 * -ENOENT: the tree is empty, and has neither; with a message.
 */
int exact_patterns(const struct pack *p, struct patterns **ret_patterns,
		   struct errmsg *err);

/* What was there, and is in the tree. */
struct exact_found {
	struct tree_items items;
	const struct stat **by_entry; /* of files and symlinks, borrowed from `items` */
};
#define EXACT_FOUND_INIT ((struct exact_found){.items = TREE_ITEMS_INIT})
void exact_found_deinit(struct exact_found *found);

/*
 * Remove below `dirfd` what `saved`, and `only` if it is not NULL, choose and the tree
 * does not have, or has as a directory where this is none, or the other way round.
 * With `p` NULL, all that is chosen. A directory goes when it is empty then. Symlinks
 * are removed, not followed; sockets, fifos and devices stay. -errno with a message
 * that names the path; what was removed so far is. ret_found may be NULL, and is with
 * `p`; by_entry has as many as the pack has entries.
 */
int exact_remove(int dirfd, const struct pack *p, struct patterns *saved,
		 struct patterns *only, uint64_t *ret_removed,
		 struct exact_found *ret_found, struct errmsg *err);

/* A pattern that means this name, and what is below it. The caller frees it. */
char *exact_pattern_of(struct slice name);

#endif
