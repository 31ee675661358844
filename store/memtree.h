/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sorted map in memory whose copies are free.
 *
 * It is a persistent treap. memtree_share() makes a second tree of the same
 * content in O(1); from then on each may be changed without the other seeing
 * it, because a change copies the nodes on its path that somebody else can
 * still reach. This is how the memory backend gives out snapshots and takes
 * back half-applied batches.
 *
 * A struct memtree belongs to one thread at a time. Different trees that share
 * nodes may be used by different threads at once: nodes that are shared are
 * never written, only counted.
 *
 * Priorities are hashes of the keys, so the shape depends on the content alone.
 * All operations take O(log n).
 */
#ifndef MEMOFS_STORE_MEMTREE_H
#define MEMOFS_STORE_MEMTREE_H

#include <stdbool.h>
#include <stdint.h>

#include "store/util/buf.h"

/* Immutable, and alive as long as any tree that holds it. */
struct memtree_row {
	uint32_t refs; /* atomic */
	uint32_t key_len;
	uint32_t value_len;
	uint8_t data[]; /* the key, then the value */
};

static inline struct slice memtree_key(const struct memtree_row *row)
{
	return slice(row->data, row->key_len);
}

static inline struct slice memtree_value(const struct memtree_row *row)
{
	return slice(row->data + row->key_len, row->value_len);
}

struct memtree_node;

struct memtree {
	struct memtree_node *root;
	uint64_t rows;
	uint64_t bytes; /* of memory, nodes included */
};

#define MEMTREE_INIT ((struct memtree){0})

void memtree_deinit(struct memtree *tree);
struct memtree memtree_share(const struct memtree *tree);

/*
 * Insert or replace; remove (absent is fine). After -ENOMEM the tree may have
 * lost its order and is good for memtree_deinit() only: work on a share.
 */
int memtree_put(struct memtree *tree, struct slice key, struct slice value);
int memtree_del(struct memtree *tree, struct slice key);

/* NULL when there is none. The row is borrowed from the tree. */
const struct memtree_row *memtree_get(const struct memtree *tree, struct slice key);
/* The first row at or, with `strictly`, after the key. */
const struct memtree_row *memtree_seek(const struct memtree *tree, struct slice key,
				       bool strictly);

#endif
