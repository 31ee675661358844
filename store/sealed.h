/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sealed trees. To the rest of the engine one is a file whose row says `sealed` and
 * whose content is a pack; what makes a directory of it is here.
 *
 * Nothing in a tree has rows. Its number says which row is the tree's and which
 * entry of the index it is, so a lookup below a tree is one row, for what may
 * change (is it there, whose is it, when does it expire), and a bisection of the
 * index. Indexes are kept, with their generation open, as long as they are used,
 * and some of them longer: see sealed_index.c.
 */
#ifndef MEMOFS_STORE_SEALED_H
#define MEMOFS_STORE_SEALED_H

#include "store/internal.h"
#include "store/util/htab.h"
#include "store/util/pack.h"

/* ---- sealed_index.c ---- */

struct sealed_cache;

int sealed_cache_new(struct sealed_cache **ret_cache);
void sealed_cache_free(struct sealed_cache *cache); /* NULL is fine; none in use */

/* The index of a tree. It keeps the generation open. */
struct sealed_index {
	struct store *st;
	uint64_t stream_ino;

	/* Under the cache's lock. */
	struct hlink link;
	unsigned int refs;
	bool dropped;			    /* not in the table any more */
	struct sealed_index *older, *newer; /* of those without references */

	pthread_mutex_t load; /* to become ready */
	bool ready;

	/* Fixed once ready. */
	struct pack pack;
	struct store_gen *gen;
	size_t bytes; /* in memory */
};

/*
 * Load it, unless that was done. An expired tree has one, too. -ENOENT: gone;
 * -EUCLEAN: damaged, and the tree was dropped. Never under `names`.
 */
int sealed_index_get(struct store *st, uint64_t stream_ino,
		     struct sealed_index **ret_index);
void sealed_index_put(struct sealed_index *index); /* NULL is fine */

/* The tree has lost its name: its index is freed when nobody uses it. */
void sealed_forget(struct store *st, uint64_t stream_ino);
/* The same for all that nobody uses. */
void sealed_forget_unused(struct store *st);
/*
 * Is there an index of the tree, which has its generation open? *ret_used: it is used,
 * so something in the tree is open.
 */
bool sealed_has_index(struct store *st, uint64_t stream_ino, bool *ret_used);
/* How many indexes were loaded so far; for tests. */
uint64_t sealed_loads(struct store *st);

/* ---- sealed.c: places in trees ---- */

static inline uint32_t tree_entry_of(uint64_t ino)
{
	return (uint32_t)(ino & ((UINT64_C(1) << STORE_TREE_INDEX_BITS) - 1));
}

/* The number under which a row is found, of a number that has a name. */
static inline uint64_t row_ino(uint64_t ino)
{
	return store_ino_in_tree(ino) ? store_tree_stream(ino) : ino;
}

/* The other way: the number by which a name leads to the inode of a row. */
static inline uint64_t core_shown_ino(const struct row_core *core)
{
	return core->sealed ? store_tree_of_stream(core->ino) : core->ino;
}

/* What has a name, as it is seen by that name: a sealed tree as a directory. */
void core_shown_attr(const struct row_core *core, int64_t inherited_ttl_ns,
		     struct store_attr *ret_attr);

/*
 * The mode of a tree's row: of what its root has, what was allowed to the value. Who
 * may read may search, because a file that is written has no such bits.
 */
static inline mode_t tree_mode(mode_t given, mode_t root)
{
	return S_IFREG | (root & 0777 & (given | (given & 0444) >> 2));
}

/* A tree, or something in one. */
struct tree_place {
	struct inode in; /* the tree's */
	struct policy policy;
	uint64_t ino;
	uint32_t i;
	struct sealed_index *index; /* NULL: the tree itself, until it is needed */
	struct pack_entry entry;    /* when there is an index */
};
#define TREE_PLACE_INIT ((struct tree_place){0})
void tree_place_deinit(struct tree_place *p);
#define CLEANUP_PLACE __attribute__((cleanup(tree_place_deinit)))

/* Also when it has expired. -ENOENT, -EUCLEAN. */
int tree_place_load(struct store *st, uint64_t ino, struct tree_place *ret_place);

/* What the row of its tree and its entry make of entry `i`. */
void tree_entry_attr(const struct row_core *core, int64_t inherited_ttl_ns, uint32_t i,
		     const struct pack_entry *entry, struct store_attr *ret_attr);

/* The functions of store.h without the prefix, for numbers with STORE_TREE_BIT. */
int sealed_getattr(struct store *st, uint64_t ino, struct store_attr *ret_attr);
int sealed_where(struct store *st, uint64_t ino, uint64_t *ret_branch,
		 struct buf *ret_name);
int sealed_readlink(struct store *st, uint64_t ino, struct buf *ret_target);
int sealed_lookup(struct store *st, uint64_t branch, const char *name,
		  struct store_attr *ret_attr);
int sealed_facts(struct store *st, uint64_t ino, struct store_facts *ret_facts);
int sealed_parent(struct store *st, uint64_t dir_ino, uint64_t *ret_parent_ino,
		  uint64_t *ret_parent_branch);
/* -ENOENT, -ENOTDIR. */
int sealed_check_dir(struct store *st, uint64_t ino);

/* The listing of a directory in a tree: the part of "list.c" that is different. */
struct tree_list {
	struct sealed_index *index; /* NULL: it is no such listing */
	uint64_t root_ino;
	uint32_t first, children;
	int64_t inherited_ttl_ns; /* as of `epoch` */
	uint64_t epoch;
};
/* Also of a tree that has expired. -ENOENT, -ENOTDIR, -EUCLEAN. */
int tree_list_init(struct store *st, uint64_t dir_ino, struct tree_list *ret_list);
void tree_list_deinit(struct tree_list *list);
/* The child at `pos`, until the listing ends. -ENOENT: there are no more. */
int tree_list_get(struct tree_list *list, uint64_t pos, struct slice *ret_name,
		  struct store_attr *ret_attr);

#endif
