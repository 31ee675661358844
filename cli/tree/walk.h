/* SPDX-License-Identifier: Apache-2.0 */
/* The files below a directory that patterns choose. */
#ifndef MEMOFS_CLI_TREE_WALK_H
#define MEMOFS_CLI_TREE_WALK_H

#include <stddef.h>
#include <sys/stat.h>

#include "cli/tree/arena.h"
#include "cli/tree/pattern.h"

struct tree_item {
	const char *path;   /* relative to the directory */
	struct stat st;	    /* of lstat(2): symlinks are items, not followed */
	const char *target; /* of symlinks */
};

struct tree_items {
	struct tree_item *list; /* a directory before what is in it, else sorted */
	size_t n;
	struct arena texts; /* their paths and targets */
};
#define TREE_ITEMS_INIT ((struct tree_items){0})
#define CLEANUP_ITEMS __attribute__((cleanup(tree_items_deinit)))
void tree_items_deinit(struct tree_items *items);

/*
 * All files, directories and symlinks below `dirfd` that are chosen. Directories
 * that were chosen are items also when they are empty; others, above what was chosen,
 * are none. What vanishes meanwhile is left out. Never leaves the directory: symlinks
 * are not followed; a file system mounted below it is entered. -errno with a message
 * that names the path: a directory that cannot be read; -EAGAIN: one that has become
 * something else meanwhile; -EINVAL: a socket, fifo or device was chosen. No more
 * descriptors and stack are used for a deep tree than for a flat one.
 */
int tree_walk(int dirfd, struct patterns *ps, struct tree_items *ret_items,
	      struct errmsg *err);
/*
 * The same, but sockets, fifos and devices are left out. *ret_skipped is the path of
 * the first; the caller frees it; NULL: there was none.
 */
int tree_walk_skipping(int dirfd, struct patterns *ps, struct tree_items *ret_items,
		       char **ret_skipped, struct errmsg *err);

#endif
