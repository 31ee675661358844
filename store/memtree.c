/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ownership: a pointer to a node (a tree's root, a node's child) holds one
 * reference. A node counted once, on a path of nodes counted once from our own
 * root, is reachable by nobody else and may be written; node_own() makes a node
 * so. A count can only grow through a path that is shared already, so a count
 * of one, seen by the owner of the path, stays one.
 */
#include "store/memtree.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "store/backend.h"

struct memtree_node {
	uint32_t refs; /* atomic */
	uint64_t priority;
	struct memtree_row *row;
	struct memtree_node *left, *right; /* of lower priority */
};

/* ---- counting ----------------------------------------------------------- */

static void get_ref(uint32_t *refs)
{
	__atomic_add_fetch(refs, 1, __ATOMIC_RELAXED);
}

/* True when it was the last. Orders the others' reads before what follows. */
static bool put_ref(uint32_t *refs)
{
	return __atomic_sub_fetch(refs, 1, __ATOMIC_ACQ_REL) == 0;
}

static struct memtree_row *row_new(struct slice key, struct slice value)
{
	struct memtree_row *row;

	if (key.len > UINT32_MAX || value.len > UINT32_MAX)
		return NULL;
	row = malloc(sizeof(*row) + key.len + value.len);
	if (!row)
		return NULL;
	row->refs = 1;
	row->key_len = (uint32_t)key.len;
	row->value_len = (uint32_t)value.len;
	if (key.len)
		memcpy(row->data, key.data, key.len);
	if (value.len)
		memcpy(row->data + key.len, value.data, value.len);
	return row;
}

static void row_unref(struct memtree_row *row)
{
	if (put_ref(&row->refs))
		free(row);
}

static uint64_t row_bytes(const struct memtree_row *row)
{
	return sizeof(struct memtree_node) + sizeof(*row) + row->key_len + row->value_len;
}

static struct memtree_node *node_ref(struct memtree_node *node)
{
	if (node)
		get_ref(&node->refs);
	return node;
}

/* Recurses to the left only: a treap is some 2 log2(n) deep. */
static void node_unref(struct memtree_node *node)
{
	while (node && put_ref(&node->refs)) {
		struct memtree_node *right = node->right;

		node_unref(node->left);
		row_unref(node->row);
		free(node);
		node = right;
	}
}

/* Make the node in an owned slot writable: ours alone, a copy if need be. */
static int node_own(struct memtree_node **slot)
{
	struct memtree_node *node = *slot, *copy;

	if (__atomic_load_n(&node->refs, __ATOMIC_ACQUIRE) == 1)
		return 0;
	copy = malloc(sizeof(*copy));
	if (!copy)
		return -ENOMEM;
	copy->refs = 1;
	copy->priority = node->priority;
	copy->row = node->row;
	get_ref(&copy->row->refs);
	copy->left = node_ref(node->left);
	copy->right = node_ref(node->right);
	node_unref(node);
	*slot = copy;
	return 0;
}

/* ---- shape --------------------------------------------------------------- */

/* The left child of an owned node, itself owned, takes its place. */
static void rotate_right(struct memtree_node **slot)
{
	struct memtree_node *node = *slot, *up = node->left;

	node->left = up->right;
	up->right = node;
	*slot = up;
}

static void rotate_left(struct memtree_node **slot)
{
	struct memtree_node *node = *slot, *up = node->right;

	node->right = up->left;
	up->left = node;
	*slot = up;
}

static int insert_leaf(struct memtree *tree, struct memtree_node **slot,
		       struct memtree_row *row)
{
	struct memtree_node *node = calloc(1, sizeof(*node));

	if (!node)
		return -ENOMEM;
	node->refs = 1;
	node->priority = XXH3_64bits(row->data, row->key_len);
	node->row = row;
	*slot = node;
	tree->rows++;
	tree->bytes += row_bytes(row);
	return 0;
}

static void replace_row(struct memtree *tree, struct memtree_node *node,
			struct memtree_row *row)
{
	tree->bytes += row_bytes(row) - row_bytes(node->row);
	row_unref(node->row);
	node->row = row;
}

/* Takes the row over when it succeeds. */
static int insert(struct memtree *tree, struct memtree_node **slot,
		  struct memtree_row *row)
{
	int c, rc;

	if (!*slot)
		return insert_leaf(tree, slot, row);
	rc = node_own(slot);
	if (rc)
		return rc;
	c = slice_cmp(memtree_key(row), memtree_key((*slot)->row));
	if (c == 0) {
		replace_row(tree, *slot, row);
	} else if (c < 0) {
		rc = insert(tree, &(*slot)->left, row);
		if (rc == 0 && (*slot)->left->priority > (*slot)->priority)
			rotate_right(slot);
	} else {
		rc = insert(tree, &(*slot)->right, row);
		if (rc == 0 && (*slot)->right->priority > (*slot)->priority)
			rotate_left(slot);
	}
	return rc;
}

/* Move an owned node down until it has one child at most, then unlink it. */
static int remove_node(struct memtree_node **slot)
{
	struct memtree_node *node = *slot;

	while (node->left && node->right) {
		if (node->left->priority > node->right->priority) {
			if (node_own(&node->left))
				return -ENOMEM;
			rotate_right(slot);
			slot = &(*slot)->right;
		} else {
			if (node_own(&node->right))
				return -ENOMEM;
			rotate_left(slot);
			slot = &(*slot)->left;
		}
	}
	*slot = node->left ? node->left : node->right;
	node->left = NULL;
	node->right = NULL;
	node_unref(node);
	return 0;
}

/* ---- the tree -------------------------------------------------------------- */

void memtree_deinit(struct memtree *tree)
{
	node_unref(tree->root);
	*tree = MEMTREE_INIT;
}

struct memtree memtree_share(const struct memtree *tree)
{
	node_ref(tree->root);
	return *tree;
}

int memtree_put(struct memtree *tree, struct slice key, struct slice value)
{
	struct memtree_row *row = row_new(key, value);
	int rc;

	if (!row)
		return -ENOMEM;
	rc = insert(tree, &tree->root, row);
	if (rc)
		row_unref(row);
	return rc;
}

int memtree_del(struct memtree *tree, struct slice key)
{
	const struct memtree_row *row = memtree_get(tree, key);
	struct memtree_node **slot = &tree->root;

	if (!row)
		return 0;
	tree->rows--;
	tree->bytes -= row_bytes(row);
	for (;;) {
		int c;

		if (node_own(slot))
			return -ENOMEM;
		c = slice_cmp(key, memtree_key((*slot)->row));
		if (c == 0)
			return remove_node(slot);
		slot = c < 0 ? &(*slot)->left : &(*slot)->right;
	}
}

const struct memtree_row *memtree_get(const struct memtree *tree, struct slice key)
{
	const struct memtree_node *node = tree->root;

	while (node) {
		int c = slice_cmp(key, memtree_key(node->row));

		if (c == 0)
			return node->row;
		node = c < 0 ? node->left : node->right;
	}
	return NULL;
}

const struct memtree_row *memtree_seek(const struct memtree *tree, struct slice key,
				       bool strictly)
{
	const struct memtree_node *node = tree->root;
	const struct memtree_row *best = NULL;

	while (node) {
		int c = slice_cmp(key, memtree_key(node->row));

		if (c < 0 || (c == 0 && !strictly)) {
			best = node->row;
			node = node->left;
		} else {
			node = node->right;
		}
	}
	return best;
}
