/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sealing: a directory that was built file by file becomes a sealed tree.
 *
 * It is read through the calls that everybody uses, directory by directory, so that
 * expired files are left out, blocks are checked, and what changes meanwhile is there
 * as it was found. Only the index and the names of the directories still to be read
 * are in memory.
 *
 * The tree appears and the directory goes in one batch, so that a crash leaves the
 * one or the other. What was fsynced in the directory must not be lost with it by a
 * power loss: the pack is on disk before the batch is committed.
 */
#include "store/seal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/staged.h"
#include "store/util/log.h"
#include "store/util/pack.h"

/* A directory to be read. The first is the tree's own. */
struct pending_dir {
	uint64_t ino;
	size_t parent;		   /* its index; of the first: itself */
	size_t name_off, name_len; /* in `names` */
};

struct sealer {
	struct store *st;
	const struct store_sealer *by;
	struct store_staged *sg;
	struct pack_maker *maker;
	uint64_t len;	 /* of the contents so far */
	struct buf dirs; /* of struct pending_dir */
	struct buf names;
	struct buf path; /* of the entry at hand, with its NUL */
	struct buf target;
};

static void sealer_deinit(struct sealer *s)
{
	store_staged_free(s->sg);
	pack_maker_free(s->maker);
	buf_deinit(&s->dirs);
	buf_deinit(&s->names);
	buf_deinit(&s->path);
	buf_deinit(&s->target);
}

/* ---- directories to be read ---- */

static size_t dirs_count(const struct sealer *s)
{
	return s->dirs.len / sizeof(struct pending_dir);
}

static struct pending_dir dir_at(const struct sealer *s, size_t i)
{
	struct pending_dir dir;

	memcpy(&dir, s->dirs.data + i * sizeof(dir), sizeof(dir));
	return dir;
}

static int push_dir(struct sealer *s, uint64_t ino, size_t parent, const char *name)
{
	struct pending_dir dir = {.ino = ino,
				  .parent = parent,
				  .name_off = s->names.len,
				  .name_len = strlen(name)};

	if (buf_append(&s->names, name, dir.name_len) ||
	    buf_append(&s->dirs, &dir, sizeof(dir)))
		return -ENOMEM;
	return 0;
}

/* The path of a directory, with a slash at its end; of the first it is empty. */
static int set_path(struct sealer *s, size_t i)
{
	struct pending_dir dir;
	size_t len = 0, at;

	for (at = i; at; at = dir.parent) {
		dir = dir_at(s, at);
		len += dir.name_len + 1;
	}
	buf_clear(&s->path);
	if (buf_reserve(&s->path, len + STORE_NAME_MAX + 1))
		return -ENOMEM;
	s->path.len = len;
	for (at = i; at; at = dir.parent) {
		dir = dir_at(s, at);
		s->path.data[--len] = '/';
		len -= dir.name_len;
		memcpy(s->path.data + len, s->names.data + dir.name_off, dir.name_len);
	}
	return 0;
}

/* ---- entries ---- */

static int add_item(struct sealer *s, enum pack_type type, const struct store_attr *attr,
		    const uint8_t *hash)
{
	struct pack_item item = {
	    .path = (const char *)s->path.data,
	    .type = type,
	    .mode = attr->mode & 0777,
	    .mtime_ns = attr->mtime_ns,
	    .off = s->len,
	    .size_bytes = type == PACK_FILE ? attr->size_bytes : 0,
	    .hash = hash,
	    .target = type == PACK_LINK ? (const char *)s->target.data : NULL,
	};

	return pack_maker_add(s->maker, &item);
}

static int copy_range(struct sealer *s, struct store_gen *gen, uint64_t off, uint64_t end)
{
	size_t n = 0;
	int r = store_staged_copy(s->sg, s->len + off, gen, off, end - off, &n);

	return !r && n < end - off ? -EIO : r;
}

/* Append the content of a file, its holes as holes. */
static int copy_content(struct sealer *s, struct store_gen *gen, uint64_t size_bytes)
{
	uint64_t at = 0, data, hole;
	int r = 0;

	while (!r && at < size_bytes) {
		r = store_gen_seek(gen, at, SEEK_DATA, &data);
		if (r == -ENXIO) { /* a hole to the end */
			r = 0;
			break;
		}
		if (!r)
			r = store_gen_seek(gen, data, SEEK_HOLE, &hole);
		if (!r)
			r = copy_range(s, gen, data, hole);
		at = hole;
	}
	if (!r)
		s->len += size_bytes;
	return r;
}

/* -ENOENT, -ETIME: it is gone, or has expired. */
static int add_file(struct sealer *s, const struct store_attr *attr)
{
	struct store_facts facts;
	struct store_gen *gen;
	int r;

	r = store_facts(s->st, attr->ino, &facts);
	if (r)
		return r;
	if (!facts.has_hash) /* more of it is holes than anybody would copy */
		return -EFBIG;
	r = store_gen_open(s->st, attr->ino, &gen);
	if (r)
		return r;
	r = add_item(s, PACK_FILE, attr, facts.hash);
	if (!r)
		r = copy_content(s, gen, attr->size_bytes);
	store_gen_close(gen);
	return r;
}

static int add_link(struct sealer *s, const struct store_attr *attr)
{
	int r = store_readlink(s->st, attr->ino, &s->target);

	if (!r)
		r = buf_append(&s->target, "", 1);
	return r ? r : add_item(s, PACK_LINK, attr, NULL);
}

static int check_readable(const struct sealer *s, const struct store_attr *attr)
{
	const struct store_sealer *by = s->by;

	if (!by->may_read || S_ISLNK(attr->mode) || by->may_read(by->arg, attr))
		return 0;
	return -EACCES;
}

/* What `s->path` names, in the directory `parent`. */
static int add_entry(struct sealer *s, size_t parent, const struct store_dirent *ent)
{
	const struct store_attr *attr = &ent->attr;
	int r = check_readable(s, attr);

	if (r)
		return r;
	if (S_ISDIR(attr->mode)) {
		r = add_item(s, PACK_DIR, attr, NULL);
		return r ? r : push_dir(s, attr->ino, parent, ent->name);
	}
	r = S_ISLNK(attr->mode) ? add_link(s, attr) : add_file(s, attr);
	/* Removed or expired since it was listed. */
	return r == -ENOENT || r == -ETIME ? 0 : r;
}

static int add_listed(struct sealer *s, size_t i, struct store_dir *list)
{
	struct store_dirent ent;
	size_t len = s->path.len;
	int r;

	while ((r = store_dir_next(list, &ent)) == 0) {
		s->path.len = len;
		r = buf_append(&s->path, ent.name, strlen(ent.name) + 1);
		if (!r)
			r = add_entry(s, i, &ent);
		if (r)
			return r;
	}
	return r == -ENOENT ? 0 : r;
}

/* What is in it; nothing where it was removed meanwhile. */
static int add_children(struct sealer *s, size_t i)
{
	struct store_dir *list = NULL;
	uint64_t branch;
	int r;

	r = store_branch(s->st, dir_at(s, i).ino, NULL, false, &branch);
	if (!r)
		r = store_dir_open(s->st, branch, &list);
	if (r)
		return r == -ENOENT ? 0 : r;
	r = set_path(s, i);
	if (!r)
		r = add_listed(s, i, list);
	store_dir_close(list);
	return r;
}

/* ---- the pack ---- */

static int add_index(struct sealer *s)
{
	CLEANUP_BUF struct buf raw = BUF_INIT;
	int r = pack_maker_finish(s->maker, s->len, &raw);

	return r ? r : store_staged_write(s->sg, raw.data, raw.len, s->len);
}

static int write_pack(struct sealer *s, const struct store_attr *root)
{
	int r;

	r = check_readable(s, root);
	if (!r)
		r = push_dir(s, root->ino, 0, "");
	if (!r)
		r = buf_set(&s->path, "", 1);
	if (!r)
		r = add_item(s, PACK_DIR, root, NULL);
	for (size_t i = 0; !r && i < dirs_count(s); i++)
		r = add_children(s, i);
	return r ? r : add_index(s);
}

/* What the directory has beside its children, as a rename would have kept it. */
static int adopt_dir(struct store_staged *sg, const struct store_attr *root)
{
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&sg->lock);
	CLEANUP_INODE struct inode dir = INODE_INIT;
	struct inode_row *row = &sg->row;
	int r;

	r = inode_load(sg->st, root->ino, &dir);
	if (r)
		return r;
	if (buf_set(&sg->ttl_text, dir.row.ttl_text.data, dir.row.ttl_text.len) ||
	    buf_set(&sg->xattrs, dir.row.xattrs.data, dir.row.xattrs.len))
		return -ENOMEM;
	row->ttl_text = buf_slice(&sg->ttl_text);
	row->xattrs = buf_slice(&sg->xattrs);
	row->core.ttl_ns = dir.row.core.ttl_ns;
	row->core.uid = root->uid;
	row->core.gid = root->gid;
	row->core.mtime_ns = root->mtime_ns;
	return staged_attr_changed(sg);
}

static int begin(struct sealer *s, uint64_t branch, const struct store_attr *root)
{
	int64_t age_ns = time_now_ns() - root->created_ns;
	struct store_stage_args args = {
	    .branch = branch,
	    .sealed = true,
	    .mode = root->mode & 0777,
	    /* It was being made since the directory was. */
	    .before_ns = age_ns > 0 ? age_ns : 0,
	    .writer = s->by->writer,
	};
	int r = pack_maker_new(&s->maker);

	return r ? r : store_stage(s->st, &args, &s->sg);
}

static int check(struct sealer *s)
{
	struct errmsg err = {0};
	int r = store_staged_check(s->sg, &err);

	if (r == -EBADMSG) {
		log_error("%s: a directory could not be sealed: %s", s->st->path,
			  err.text);
		return -EIO;
	}
	return r;
}

/* ---- the names ---- */

/* -EINVAL: the branch is of the directory, or below it. Under `names`. */
static int check_outside(struct store *st, uint64_t dir_ino, uint64_t branch)
{
	while (branch) {
		uint64_t each;
		int r = policy_place(st, branch, &each, &branch);

		if (r)
			return r == -ENOTDIR ? -ENOENT : r;
		if (each == dir_ino)
			return -EINVAL;
	}
	return 0;
}

int seal_drop_source(struct store *st, struct batch *b, const struct seal_source *source,
		     uint64_t branch)
{
	struct policy policy;
	struct row_core core;
	int r;

	r = policy_get(st, source->branch, &policy);
	if (!r)
		r = dirent_load(st, source->branch, source->name, &core);
	if (!r && core.ino != source->ino)
		r = -ENOENT;
	if (!r)
		r = check_outside(st, source->ino, branch);
	if (r)
		return r == -ENOTDIR ? -ENOENT : r;
	batch_drop_name(b, source->branch, source->name, &core);
	usage_batch_charge(st, b, &policy, -(int64_t)core_charge(&core));
	usage_batch_dir_removed(st, b, core.ino);
	return batch_touch_dir(st, b, policy.dir_ino, time_now_ns());
}

void seal_source_dropped(struct store *st, const struct seal_source *source)
{
	const struct row_core dir = {.ino = source->ino, .mode = S_IFDIR};
	struct policy policy;

	if (!policy_get(st, source->branch, &policy))
		usage_dir_removed(st, &policy, &dir);
	policy_changed(st);
}

/* Whether there may be a tree at the name; the reasons are those of rename(2). */
static int check_target(struct store *st, uint64_t branch, const char *name,
			bool noreplace, struct store_attr *ret_old)
{
	int r;

	*ret_old = (struct store_attr){0};
	r = store_lookup(st, branch, name, ret_old);
	if (r)
		return r == -ENOENT ? 0 : r;
	return noreplace ? -EEXIST : 0;
}

static bool was_dir(const struct store_attr *old)
{
	return S_ISDIR(old->mode) && !old->sealed;
}

/*
 * An empty directory makes place. It is nobody's result, so that for a moment there
 * may be nothing. Late, when little else can fail.
 */
static int clear_target(struct store *st, uint64_t branch, const char *name,
			const struct store_attr *old)
{
	int r;

	if (!was_dir(old))
		return 0;
	r = store_rmdir(st, branch, name);
	return r == -ENOENT || r == -ENOTDIR ? 0 : r;
}

/* ---- sealing ---- */

static int publish(struct sealer *s, const struct seal_source *source, uint64_t branch,
		   const char *name, bool noreplace, uint64_t *ret_ino,
		   uint64_t *ret_replaced_ino)
{
	int r = store_staged_sync(s->sg);

	if (!r)
		r = store_staged_flush(s->sg, branch, name);
	if (r)
		return r;
	s->sg->source = source;
	r = store_publish(s->sg, branch, name, noreplace, ret_ino, ret_replaced_ino);
	s->sg->source = NULL;
	if (!r)
		gc_reap(s->st, source->ino);
	return r;
}

static int seal(struct sealer *s, const struct seal_source *source,
		const struct store_attr *root, uint64_t branch, const char *name,
		bool noreplace, uint64_t *ret_ino, uint64_t *ret_replaced_ino)
{
	uint64_t replaced_ino = 0;
	struct store_attr old;
	int r;

	r = check_target(s->st, branch, name, noreplace, &old);
	if (!r) /* again when it is published: here it saves the copy */
		r = check_outside(s->st, root->ino, branch);
	if (!r)
		r = begin(s, branch, root);
	if (!r)
		r = write_pack(s, root);
	if (!r)
		r = adopt_dir(s->sg, root);
	if (!r)
		r = check(s);
	if (!r)
		r = clear_target(s->st, branch, name, &old);
	if (!r)
		r = publish(s, source, branch, name, noreplace, ret_ino, &replaced_ino);
	if (r)
		return r;
	if (ret_replaced_ino)
		*ret_replaced_ino = replaced_ino ?: (was_dir(&old) ? old.ino : 0);
	return 0;
}

int store_seal(struct store *st, uint64_t from_branch, const char *from, uint64_t branch,
	       const char *name, bool noreplace, const struct store_sealer *by,
	       uint64_t *ret_ino, uint64_t *ret_replaced_ino)
{
	struct seal_source source = {.branch = from_branch, .name = slice_str(from)};
	struct sealer s = {.st = st, .by = by};
	struct store_attr root;
	int r;

	r = name_check(name);
	if (!r && store_ino_in_tree(branch))
		r = -EPERM;
	if (!r)
		r = store_lookup(st, from_branch, from, &root);
	if (r)
		return r;
	if (!S_ISDIR(root.mode))
		return -ENOTDIR;
	if (root.sealed) { /* built elsewhere, and only moved */
		r = store_rename(st, from_branch, from, branch, name,
				 noreplace ? STORE_RENAME_NOREPLACE : 0,
				 ret_replaced_ino);
		if (!r && ret_ino)
			*ret_ino = root.ino;
		return r;
	}
	source.ino = root.ino;
	r = seal(&s, &source, &root, branch, name, noreplace, ret_ino, ret_replaced_ino);
	sealer_deinit(&s);
	return r;
}
