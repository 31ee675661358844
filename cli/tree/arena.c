/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/tree/arena.h"

#include <stdalign.h>
#include <stdint.h>
#include <stdlib.h>

#define BLOCK_MIN ((size_t)8 * 1024)
#define BLOCK_MAX ((size_t)1024 * 1024)

struct arena_block {
	alignas(max_align_t) struct arena_block *next;
};

/* The rest of the block before is given up. */
static int add_block(struct arena *a, size_t size)
{
	size_t grown = a->block_bytes ? 2 * a->block_bytes : BLOCK_MIN;
	size_t bytes = grown < BLOCK_MAX ? grown : BLOCK_MAX;
	struct arena_block *b;

	a->block_bytes = bytes;
	if (size > bytes)
		bytes = size;
	b = malloc(sizeof(*b) + bytes);
	if (!b)
		return -1;
	b->next = a->blocks;
	a->blocks = b;
	a->at = (char *)(b + 1);
	a->left = bytes;
	return 0;
}

void *arena_get(struct arena *a, size_t size)
{
	const size_t unit = alignof(max_align_t);
	char *p;

	if (size > SIZE_MAX / 2)
		return NULL;
	size = (size + unit - 1) / unit * unit;
	if (size > a->left && add_block(a, size))
		return NULL;
	p = a->at;
	a->at += size;
	a->left -= size;
	return p;
}

void arena_join(struct arena *into, struct arena *from)
{
	struct arena_block **end = &from->blocks;

	while (*end)
		end = &(*end)->next;
	*end = into->blocks;
	into->blocks = from->blocks;
	*from = (struct arena){0};
}

void arena_deinit(struct arena *a)
{
	while (a->blocks) {
		struct arena_block *next = a->blocks->next;

		free(a->blocks);
		a->blocks = next;
	}
	*a = (struct arena){0};
}
