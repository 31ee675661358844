/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Memory for many small things that go together. Blocks grow, so that few things cost
 * little, and many threads, each with an arena of its own, ask the system rarely.
 */
#ifndef MEMOFS_CLI_TREE_ARENA_H
#define MEMOFS_CLI_TREE_ARENA_H

#include <stddef.h>

struct arena_block;

/* {0} is one that is empty. */
struct arena {
	struct arena_block *blocks;
	char *at;
	size_t left, block_bytes;
};

/* Aligned for anything, not cleared; NULL: no memory. Lives as long as the arena. */
void *arena_get(struct arena *a, size_t size);
/* What `from` has is `into`'s from now on; `from` is empty. */
void arena_join(struct arena *into, struct arena *from);
void arena_deinit(struct arena *a);

#endif
