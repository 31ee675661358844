/* SPDX-License-Identifier: Apache-2.0 */
/* Places in sealed trees: what the calls of store.h answer for them. */
#include "store/sealed.h"

#include <errno.h>

#include "store/gen.h"

/* ---- places ---- */

void tree_place_deinit(struct tree_place *p)
{
	sealed_index_put(p->index);
	inode_deinit(&p->in);
	*p = TREE_PLACE_INIT;
}

static int place_index(struct store *st, struct tree_place *p)
{
	int r;

	if (p->index)
		return 0;
	r = sealed_index_get(st, p->in.row.core.ino, &p->index);
	if (r)
		return r;
	if (p->i >= pack_entries(&p->index->pack))
		return -ENOENT;
	pack_get(&p->index->pack, p->i, &p->entry);
	return 0;
}

int tree_place_load(struct store *st, uint64_t ino, struct tree_place *ret_place)
{
	CLEANUP_PLACE struct tree_place p = TREE_PLACE_INIT;
	int r;

	r = inode_load_placed(st, store_tree_stream(ino), &p.in, &p.policy);
	if (r)
		return r;
	if (!p.in.row.core.sealed)
		return -ENOENT;
	p.ino = ino;
	p.i = tree_entry_of(ino);
	r = p.i ? place_index(st, &p) : 0;
	if (r)
		return r;
	*ret_place = p;
	p = TREE_PLACE_INIT;
	return 0;
}

/* The same with the index, and with -ENOTDIR when it is no directory. */
static int dir_load(struct store *st, uint64_t ino, struct tree_place *ret_place)
{
	CLEANUP_PLACE struct tree_place p = TREE_PLACE_INIT;
	int r;

	r = tree_place_load(st, ino, &p);
	if (!r)
		r = place_index(st, &p);
	if (r)
		return r;
	if (p.entry.type != PACK_DIR)
		return -ENOTDIR;
	*ret_place = p;
	p = TREE_PLACE_INIT;
	return 0;
}

/* ---- attributes ---- */

/* A directory has no size of its own: what it holds is counted where it is. */
void core_shown_attr(const struct row_core *core, int64_t inherited_ttl_ns,
		     struct store_attr *ret_attr)
{
	core_attr(core, inherited_ttl_ns, ret_attr);
	if (!core->sealed)
		return;
	ret_attr->ino = store_tree_of_stream(core->ino);
	ret_attr->mode = S_IFDIR | (core->mode & 07777);
	ret_attr->size_bytes = ret_attr->disk_bytes = 0;
}

void tree_entry_attr(const struct row_core *core, int64_t inherited_ttl_ns, uint32_t i,
		     const struct pack_entry *entry, struct store_attr *ret_attr)
{
	core_shown_attr(core, inherited_ttl_ns, ret_attr);
	if (i == 0)
		return;
	ret_attr->ino += i;
	ret_attr->mode = entry->mode;
	ret_attr->size_bytes = entry->size_bytes;
	if (entry->type == PACK_FILE)
		ret_attr->disk_bytes = (entry->size_bytes + 511) / 512 * 512;
	ret_attr->atime_ns = ret_attr->mtime_ns = entry->mtime_ns;
	ret_attr->ctime_ns = core->created_ns;
}

static void place_attr(const struct tree_place *p, struct store_attr *ret_attr)
{
	tree_entry_attr(&p->in.row.core, p->policy.ttl_ns, p->i, &p->entry, ret_attr);
}

int sealed_getattr(struct store *st, uint64_t ino, struct store_attr *ret_attr)
{
	CLEANUP_PLACE struct tree_place p = TREE_PLACE_INIT;
	int r = tree_place_load(st, ino, &p);

	if (!r)
		place_attr(&p, ret_attr);
	return r;
}

int sealed_where(struct store *st, uint64_t ino, uint64_t *ret_branch,
		 struct buf *ret_name)
{
	CLEANUP_PLACE struct tree_place p = TREE_PLACE_INIT;
	struct slice name;
	int r;

	r = tree_place_load(st, ino, &p);
	if (r)
		return r;
	name = p.i ? p.entry.name : p.in.row.name;
	/* A NUL behind it, so that it can be used as a string. */
	if (buf_reserve(ret_name, name.len + 1))
		return -ENOMEM;
	buf_set(ret_name, name.data, name.len);
	ret_name->data[ret_name->len] = '\0';
	*ret_branch =
	    p.i ? store_tree_root(ino) + p.entry.parent : p.in.row.parent_branch;
	return 0;
}

int sealed_readlink(struct store *st, uint64_t ino, struct buf *ret_target)
{
	CLEANUP_PLACE struct tree_place p = TREE_PLACE_INIT;
	int r = tree_place_load(st, ino, &p);

	if (r)
		return r;
	if (!p.i || p.entry.type != PACK_LINK)
		return -EINVAL;
	return buf_set(ret_target, p.entry.target.data, p.entry.target.len);
}

static int place_facts(struct store *st, struct tree_place *p,
		       struct store_facts *ret_facts)
{
	struct store_facts facts = {.cost_s = p->in.row.cost_s,
				    .writer = p->in.row.writer};
	const uint8_t *hash = NULL;
	int r;

	r = place_index(st, p);
	if (!r)
		r = heat_hits(st, p->in.row.core.ino, &facts.hits);
	if (r)
		return r;
	if (!p->i)
		hash = p->index->pack.trailer.tree_hash;
	else if (p->entry.type == PACK_FILE)
		hash = p->entry.hash;
	facts.has_hash = hash != NULL;
	if (hash)
		memcpy(facts.hash, hash, sizeof(facts.hash));
	*ret_facts = facts;
	return 0;
}

int sealed_facts(struct store *st, uint64_t ino, struct store_facts *ret_facts)
{
	CLEANUP_PLACE struct tree_place p = TREE_PLACE_INIT;
	int r = tree_place_load(st, ino, &p);

	return r ? r : place_facts(st, &p, ret_facts);
}

/* Of S_IRUSR, S_IRGRP and S_IROTH. */
static mode_t readable(const struct pack_entry *entry)
{
	mode_t mode = entry->mode;

	if (entry->type == PACK_LINK)
		return 0444;
	return entry->type == PACK_DIR ? mode & mode << 2 & 0444 : mode & 0444;
}

int store_tree_readable(struct store *st, uint64_t stream_ino, mode_t *ret_mode)
{
	struct sealed_index *index;
	struct pack_entry entry;
	mode_t mode = 0444;
	int r = sealed_index_get(st, stream_ino, &index);

	if (r)
		return r;
	/* Those of the root are in the row. */
	for (uint32_t i = 1; mode && i < pack_entries(&index->pack); i++) {
		pack_get(&index->pack, i, &entry);
		mode &= readable(&entry);
	}
	sealed_index_put(index);
	*ret_mode = mode;
	return 0;
}

/* ---- directories ---- */

int sealed_lookup(struct store *st, uint64_t branch, const char *name,
		  struct store_attr *ret_attr)
{
	CLEANUP_PLACE struct tree_place p = TREE_PLACE_INIT;
	uint32_t i;
	int r;

	r = dir_load(st, branch, &p);
	if (!r)
		r = pack_child(&p.index->pack, p.i, slice_str(name), &i);
	if (r)
		return r == -ENOTDIR ? -ENOENT : r;
	pack_get(&p.index->pack, i, &p.entry);
	p.i = i;
	place_attr(&p, ret_attr);
	return 0;
}

int sealed_check_dir(struct store *st, uint64_t ino)
{
	CLEANUP_PLACE struct tree_place p = TREE_PLACE_INIT;
	int r = tree_place_load(st, ino, &p);

	if (r)
		return r;
	return p.i && p.entry.type != PACK_DIR ? -ENOTDIR : 0;
}

int sealed_parent(struct store *st, uint64_t dir_ino, uint64_t *ret_parent_ino,
		  uint64_t *ret_parent_branch)
{
	CLEANUP_PLACE struct tree_place p = TREE_PLACE_INIT;
	int r = tree_place_load(st, dir_ino, &p);

	if (r)
		return r;
	if (p.i && p.entry.type != PACK_DIR)
		return -ENOTDIR;
	if (p.i) {
		*ret_parent_ino = *ret_parent_branch =
		    store_tree_root(dir_ino) + p.entry.parent;
		return 0;
	}
	*ret_parent_ino = p.policy.dir_ino;
	*ret_parent_branch = p.in.row.parent_branch;
	return 0;
}

/* ---- listing ---- */

int tree_list_init(struct store *st, uint64_t dir_ino, struct tree_list *ret_list)
{
	CLEANUP_PLACE struct tree_place p = TREE_PLACE_INIT;
	uint64_t epoch = policy_epoch(st);
	int r = dir_load(st, dir_ino, &p);

	if (r)
		return r;
	*ret_list = (struct tree_list){
	    .index = p.index,
	    .root_ino = store_tree_root(dir_ino),
	    .first = p.entry.first_child,
	    .children = p.entry.children,
	    .inherited_ttl_ns = p.policy.ttl_ns,
	    .epoch = epoch,
	};
	p.index = NULL;
	return 0;
}

void tree_list_deinit(struct tree_list *list)
{
	sealed_index_put(list->index);
	*list = (struct tree_list){0};
}

/* A directory above has changed: another ttl may apply. One that is gone keeps its. */
static int refresh_ttl(struct tree_list *list)
{
	CLEANUP_INODE struct inode in = INODE_INIT;
	struct store *st = list->index->st;
	uint64_t epoch = policy_epoch(st);
	struct policy policy;
	int r;

	if (epoch == list->epoch)
		return 0;
	r = inode_load_placed(st, list->index->stream_ino, &in, &policy);
	if (r && r != -ENOENT)
		return r;
	if (!r)
		list->inherited_ttl_ns = policy.ttl_ns;
	list->epoch = epoch;
	return 0;
}

int tree_list_get(struct tree_list *list, uint64_t pos, struct slice *ret_name,
		  struct store_attr *ret_attr)
{
	struct pack_entry entry;
	struct row_core core;
	int64_t unused;
	uint32_t i;
	int r;

	if (pos >= list->children)
		return -ENOENT;
	r = refresh_ttl(list);
	if (r)
		return r;
	i = list->first + (uint32_t)pos;
	pack_get(&list->index->pack, i, &entry);
	gen_core(list->index->gen, &core, &unused);
	tree_entry_attr(&core, list->inherited_ttl_ns, i, &entry, ret_attr);
	*ret_name = entry.name;
	return 0;
}
