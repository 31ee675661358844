/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attributes of published inodes.
 *
 * Each change is the same: under `names`, load the inode row, change it, and
 * write it with its dirent. ctime becomes now. A sealed tree is changed as the
 * file that its row is; nothing in it can be.
 */
#include <errno.h>

#include "store/internal.h"
#include "store/sealed.h"
#include "store/xattrs.h"

/* The row of an inode, or that of the sealed tree it is in. */
static int load_shown(struct store *st, uint64_t ino, struct inode *ret_in)
{
	struct policy policy;
	int r = inode_load_placed(st, row_ino(ino), ret_in, &policy);

	return !r && store_ino_in_tree(ino) && !ret_in->row.core.sealed ? -ENOENT : r;
}

int store_getattr(struct store *st, uint64_t ino, struct store_attr *ret_attr)
{
	CLEANUP_INODE struct inode in = INODE_INIT;
	struct policy policy;
	int r;

	if (store_ino_in_tree(ino))
		return sealed_getattr(st, ino, ret_attr);
	r = inode_load_placed(st, ino, &in, &policy);
	if (r == 0)
		core_attr(&in.row.core, policy.ttl_ns, ret_attr);
	return r;
}

int store_where(struct store *st, uint64_t ino, uint64_t *ret_branch,
		struct buf *ret_name)
{
	CLEANUP_INODE struct inode in = INODE_INIT;
	struct policy policy;
	int r;

	if (store_ino_in_tree(ino))
		return sealed_where(st, ino, ret_branch, ret_name);
	r = inode_load_placed(st, ino, &in, &policy);
	if (r)
		return r;
	if (ino == STORE_ROOT_INO)
		return -EINVAL;
	/* A NUL behind it, so that it can be used as a string. */
	r = buf_reserve(ret_name, in.row.name.len + 1);
	if (r)
		return r;
	buf_set(ret_name, in.row.name.data, in.row.name.len);
	ret_name->data[ret_name->len] = '\0';
	*ret_branch = in.row.parent_branch;
	return 0;
}

int store_readlink(struct store *st, uint64_t ino, struct buf *ret_target)
{
	CLEANUP_INODE struct inode in = INODE_INIT;
	struct policy policy;
	int r;

	if (store_ino_in_tree(ino))
		return sealed_readlink(st, ino, ret_target);
	r = inode_load_placed(st, ino, &in, &policy);
	if (r)
		return r;
	if (!S_ISLNK(in.row.core.mode))
		return -EINVAL;
	return buf_set(ret_target, in.row.target.data, in.row.target.len);
}

/* ---- changing ---- */

/*
 * One change: alters the row, and may keep in `scratch` what it makes the row
 * borrow. What it alters of a directory is seen by its children.
 */
struct change {
	int (*apply)(struct inode_row *row, const struct change *change,
		     struct buf *scratch);
	unsigned int set;
	const struct store_attr *attr;
	int64_t ttl_ns;
	const char *text; /* of a ttl, or an attribute's name */
	struct slice value;
	unsigned int flags;
	double cost_s;
};

static int change_locked(struct store *st, uint64_t ino, const struct change *change,
			 struct store_attr *ret_attr)
{
	CLEANUP_INODE struct inode in = INODE_INIT;
	CLEANUP_BUF struct buf scratch = BUF_INIT;
	CLEANUP_BATCH struct batch b = BATCH_INIT;
	bool tree = store_ino_in_tree(ino);
	struct policy policy;
	int r;

	if (tree && tree_entry_of(ino))
		return -EPERM;
	r = inode_load_placed(st, row_ino(ino), &in, &policy);
	if (r)
		return r;
	if (tree && !in.row.core.sealed)
		return -ENOENT;
	r = change->apply(&in.row, change, &scratch);
	if (r)
		return r;
	in.row.core.ctime_ns = time_now_ns();
	batch_put_inode(&b, &in.row);
	r = backend_commit(st->be, &b);
	if (r)
		return r;
	if (st->touched_dir == ino)
		st->touched_dir = 0; /* its mtime may be anything now */
	if (S_ISDIR(in.row.core.mode))
		policy_changed(st);
	else
		gen_attr_changed(st, &in.row.core);
	if (ret_attr && tree)
		core_shown_attr(&in.row.core, policy.ttl_ns, ret_attr);
	else if (ret_attr)
		core_attr(&in.row.core, policy.ttl_ns, ret_attr);
	return 0;
}

static int change_inode(struct store *st, uint64_t ino, const struct change *change,
			struct store_attr *ret_attr)
{
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&st->names);

	return change_locked(st, ino, change, ret_attr);
}

static int apply_attr(struct inode_row *row, const struct change *change,
		      struct buf *scratch)
{
	const struct store_attr *attr = change->attr;
	struct row_core *core = &row->core;

	if (change->set & STORE_SET_MODE)
		core->mode = (core->mode & S_IFMT) | (attr->mode & 07777);
	if (change->set & STORE_SET_MODE && core->sealed)
		core->mode = tree_mode(core->mode, 0777);
	if (change->set & STORE_SET_UID)
		core->uid = attr->uid;
	if (change->set & STORE_SET_GID)
		core->gid = attr->gid;
	if (change->set & STORE_SET_ATIME)
		core->atime_ns = attr->atime_ns;
	if (change->set & STORE_SET_MTIME)
		core->mtime_ns = attr->mtime_ns;
	return 0;
}

int store_setattr(struct store *st, uint64_t ino, unsigned int set,
		  const struct store_attr *attr, struct store_attr *ret_attr)
{
	struct change change = {.apply = apply_attr, .set = set, .attr = attr};

	return change_inode(st, ino, &change, ret_attr);
}

/* ---- ttl ---- */

static int apply_ttl(struct inode_row *row, const struct change *change,
		     struct buf *scratch)
{
	row->core.ttl_ns = change->ttl_ns;
	row->ttl_text =
	    change->ttl_ns == DURATION_UNSET ? slice("", 0) : slice_str(change->text);
	return 0;
}

int store_ttl_set(struct store *st, uint64_t ino, int64_t ttl_ns, const char *text)
{
	struct change change = {
	    .apply = apply_ttl, .ttl_ns = ttl_ns, .text = text ? text : ""};
	int r;

	if (ttl_ns < DURATION_UNSET || strlen(change.text) > ROW_TTL_TEXT_MAX)
		return -EINVAL;
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&st->names);
	r = change_locked(st, ino, &change, NULL);
	if (r == 0)
		st->names_added++; /* what had expired may be live again */
	return r;
}

int store_ttl_get(struct store *st, uint64_t ino, int64_t *ret_ttl_ns,
		  struct buf *ret_text)
{
	CLEANUP_INODE struct inode in = INODE_INIT;
	int r;

	r = load_shown(st, ino, &in);
	if (r)
		return r;
	r = buf_set(ret_text, in.row.ttl_text.data, in.row.ttl_text.len);
	if (r)
		return r;
	*ret_ttl_ns = in.row.core.ttl_ns;
	return 0;
}

/* ---- foreign attributes ---- */

static int apply_xattr_set(struct inode_row *row, const struct change *change,
			   struct buf *scratch)
{
	int r;

	r = xattrs_set(row->xattrs, change->text, change->value, change->flags, scratch);
	if (r == 0)
		row->xattrs = buf_slice(scratch);
	return r;
}

static int apply_xattr_remove(struct inode_row *row, const struct change *change,
			      struct buf *scratch)
{
	int r;

	r = xattrs_remove(row->xattrs, change->text, scratch);
	if (r == 0)
		row->xattrs = buf_slice(scratch);
	return r;
}

int store_xattr_set(struct store *st, uint64_t ino, const char *name, struct slice value,
		    unsigned int flags)
{
	struct change change = {
	    .apply = apply_xattr_set, .text = name, .value = value, .flags = flags};

	return change_inode(st, ino, &change, NULL);
}

int store_xattr_remove(struct store *st, uint64_t ino, const char *name)
{
	struct change change = {.apply = apply_xattr_remove, .text = name};

	return change_inode(st, ino, &change, NULL);
}

/* The attributes of a tree are those of its directory, not of each file below it. */
static bool in_a_tree(uint64_t ino)
{
	return store_ino_in_tree(ino) && tree_entry_of(ino);
}

int store_xattr_get(struct store *st, uint64_t ino, const char *name,
		    struct buf *ret_value)
{
	CLEANUP_INODE struct inode in = INODE_INIT;
	int r;

	r = load_shown(st, ino, &in);
	if (!r && in_a_tree(ino))
		return -ENODATA;
	return r ? r : xattrs_get(in.row.xattrs, name, ret_value);
}

int store_xattr_list(struct store *st, uint64_t ino, struct buf *ret_names)
{
	CLEANUP_INODE struct inode in = INODE_INIT;
	int r;

	r = load_shown(st, ino, &in);
	if (!r && in_a_tree(ino))
		return 0;
	return r ? r : xattrs_list(in.row.xattrs, ret_names);
}

/* ---- pins ---- */

static int apply_pin(struct inode_row *row, const struct change *change,
		     struct buf *scratch)
{
	int r;

	if (S_ISDIR(row->core.mode))
		return -EINVAL;
	r = xattrs_pin(row->xattrs, change->flags, scratch);
	if (r == 0)
		row->xattrs = buf_slice(scratch);
	return r;
}

int store_pin_set(struct store *st, uint64_t ino, bool pinned)
{
	struct change change = {.apply = apply_pin, .flags = pinned};

	return change_inode(st, ino, &change, NULL);
}

int store_pin_get(struct store *st, uint64_t ino, bool *ret_pinned)
{
	CLEANUP_INODE struct inode in = INODE_INIT;
	int r = load_shown(st, ino, &in);

	if (!r && S_ISDIR(in.row.core.mode))
		r = -EINVAL;
	if (!r)
		*ret_pinned = xattrs_pinned(in.row.xattrs);
	return r;
}

/* ---- facts ---- */

int store_facts(struct store *st, uint64_t ino, struct store_facts *ret_facts)
{
	CLEANUP_INODE struct inode in = INODE_INIT;
	struct store_facts facts = {0};
	struct policy policy;
	int r;

	if (store_ino_in_tree(ino))
		return sealed_facts(st, ino, ret_facts);
	r = inode_load_placed(st, ino, &in, &policy);
	if (r)
		return r;
	if (S_ISDIR(in.row.core.mode))
		return -ENOENT;
	r = heat_hits(st, ino, &facts.hits);
	if (r)
		return r;
	facts.has_hash = in.row.has_hash;
	memcpy(facts.hash, in.row.hash, sizeof(facts.hash));
	facts.cost_s = in.row.cost_s;
	facts.writer = in.row.writer;
	*ret_facts = facts;
	return 0;
}

static int apply_cost(struct inode_row *row, const struct change *change,
		      struct buf *scratch)
{
	if (S_ISDIR(row->core.mode))
		return -ENOENT;
	row->cost_s = change->cost_s;
	return 0;
}

int store_cost_set(struct store *st, uint64_t ino, double cost_s)
{
	struct change change = {.apply = apply_cost, .cost_s = cost_s};

	return change_inode(st, ino, &change, NULL);
}
