/* SPDX-License-Identifier: Apache-2.0 */
/* Which files a tree is about, and the removal of those that it has not. */
#ifndef MEMOFS_CLI_TREE_EXACT_H
#define MEMOFS_CLI_TREE_EXACT_H

#include <stdint.h>

#include "cli/tree/pattern.h"
#include "store/util/pack.h"

/*
 * The patterns a tree was saved with, which are the lines of its pack's meta; without
 * any, its names at the top, with all that is in them. -EINVAL: they are none;
 * -ENOENT: the tree is empty, and has neither; with a message.
 */
int exact_patterns(const struct pack *p, struct patterns **ret_patterns,
		   struct errmsg *err);

/*
 * Remove below `dirfd` what `saved`, and `only` if it is not NULL, choose and the tree
 * does not have, or has as a directory where this is none, or the other way round.
 * With `p` NULL, all that is chosen. A directory goes when it is empty then. Symlinks
 * are removed, not followed; sockets, fifos and devices stay. -errno with a message
 * that names the path; what was removed so far is.
 */
int exact_remove(int dirfd, const struct pack *p, struct patterns *saved,
		 struct patterns *only, uint64_t *ret_removed, struct errmsg *err);

/* A pattern that means this name, and what is below it. The caller frees it. */
char *exact_pattern_of(struct slice name);

#endif
