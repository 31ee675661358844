/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The directories of a tree that is being extracted, opened as they are needed.
 *
 * What is named in them is named with *at() calls, and each level is opened by itself
 * without following a symlink, so that nothing is ever reached that is not below the
 * directory one began with, whoever changes the tree meanwhile. The directories above
 * the last one stay open: in the order of a walk each is opened once.
 */
#ifndef MEMOFS_CLI_TREE_DIRSTACK_H
#define MEMOFS_CLI_TREE_DIRSTACK_H

#include "store/util/pack.h"

/* Deeper ones are opened anew each time: descriptors are few. */
#define DIRSTACK_DEPTH 64

struct dirstack {
	const struct pack *pack;
	uint32_t root; /* the entry that `root_fd`, the caller's, stands for */
	int root_fd;
	uint32_t entry[DIRSTACK_DEPTH];
	int fd[DIRSTACK_DEPTH];
	size_t n;
	uint32_t deep; /* the last one beyond that, or 0 */
	int deep_fd;
	struct buf chain; /* of the numbers of those above */
};
#define CLEANUP_DIRSTACK __attribute__((cleanup(dirstack_deinit)))

struct dirstack dirstack_of(const struct pack *pack, uint32_t root, int root_fd);
void dirstack_deinit(struct dirstack *d);

/* The descriptor of the directory `entry`, good until the next call. -errno of
 * openat(2): -ENOENT, -ENOTDIR, -ELOOP: another has changed the tree; -ENOMEM. */
int dirstack_get(struct dirstack *d, uint32_t entry, int *ret_fd);

#endif
