/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a tree that is stored is what would be stored now. */
#ifndef MEMOFS_CLI_TREE_STORED_H
#define MEMOFS_CLI_TREE_STORED_H

#include <stdbool.h>

#include "cli/tree/filehash.h"
#include "cli/tree/walk.h"
#include "store/util/buf.h"

/*
 * `fd` reads as a pack. Has it these items, below `dirfd`, and this meta? Where all
 * hashes are known its end is read and nothing else; what is not known is read, until
 * a difference is found. A pack that is damaged is not the same. -errno with a
 * message: an item cannot be read, or changed meanwhile.
 */
int stored_same(int fd, const struct tree_items *items, int dirfd, struct slice meta,
		struct filehash *fh, bool *ret_same, struct errmsg *err);

#endif
