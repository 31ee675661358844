/* SPDX-License-Identifier: Apache-2.0 */
/* Symlinks into a sealed tree where it is mounted, in place of a copy. */
#ifndef MEMOFS_CLI_TREE_LINK_H
#define MEMOFS_CLI_TREE_LINK_H

#include <stdbool.h>
#include <stdint.h>

#include "store/util/pack.h"

/*
 * For each name at the top of the tree a symlink in `dirfd` to it, at the absolute path
 * `entry`. A symlink that has the name is replaced at once. -EEXIST with a message:
 * something else has it; then none is made. With `force` that is removed, a directory
 * with all that is in it, after the symlink has its name. *ret_made: how many.
 */
int link_tree(const struct pack *p, const char *entry, int dirfd, bool force,
	      uint64_t *ret_made, struct errmsg *err);

#endif
