/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names: looking up, making, removing.
 *
 * A name is a DIRENT row, and the inode it leads to repeats branch and name in
 * its own row. Both are written by the same batch, always, under `names`. The
 * dirent carries a copy of what lookup and listing answer, so that a lookup is
 * one get without a lock.
 */
#include <errno.h>

#include "store/gen.h"
#include "store/internal.h"
#include "store/sealed.h"

/* What the kernel's own clock for file times moves by, at most. */
#define TICK_NS (4 * (NSEC_PER_SEC / 1000))

int name_check(const char *name)
{
	size_t len = strlen(name);

	if (len > STORE_NAME_MAX)
		return -ENAMETOOLONG;
	if (len == 0 || !strcmp(name, ".") || !strcmp(name, "..") ||
	    memchr(name, '/', len))
		return -EINVAL;
	return 0;
}

/* ---- what goes into a batch ---- */

void batch_put_inode(struct batch *b, const struct inode_row *row)
{
	CLEANUP_BUF struct buf raw = BUF_INIT;
	struct key key = key_ino(row->core.ino);

	if (inode_encode(row, &raw)) {
		b->failed = true;
		return;
	}
	batch_put(b, TABLE_INODE, key_slice(&key), buf_slice(&raw));
	if (row->parent_branch == 0)
		return;
	buf_clear(&raw);
	if (dirent_encode(&row->core, &raw)) {
		b->failed = true;
		return;
	}
	key = key_dirent(row->parent_branch, row->name);
	batch_put(b, TABLE_DIRENT, key_slice(&key), buf_slice(&raw));
}

void batch_count(struct batch *b, const struct row_core *core, int sign)
{
	int64_t charge = (int64_t)core_charge(core);

	if (charge)
		batch_add(b, slice_str("used"), sign * charge);
	batch_add(b, slice_str(S_ISDIR(core->mode) ? "dirs" : "entries"), sign);
	if (core->size_bytes > 0)
		batch_add(b, slice_str("bytes"), sign * (int64_t)core->size_bytes);
}

/* To the same: `now` instead of `old`. An addition costs as much as a row. */
static void batch_count_replace(struct batch *b, const struct row_core *old,
				const struct row_core *now)
{
	int64_t more = (int64_t)now->size_bytes - (int64_t)old->size_bytes;
	int64_t charge = (int64_t)core_charge(now) - (int64_t)core_charge(old);

	if (S_ISDIR(old->mode) != S_ISDIR(now->mode)) {
		batch_count(b, old, -1);
		batch_count(b, now, 1);
		return;
	}
	if (more)
		batch_add(b, slice_str("bytes"), more);
	if (charge)
		batch_add(b, slice_str("used"), charge);
}

static void batch_queue(struct batch *b, const struct row_core *old)
{
	CLEANUP_BUF struct buf raw = BUF_INIT;
	struct key key = key_ino(old->ino);
	struct gcq_row row = {.kind = S_ISDIR(old->mode) ? GCQ_TREE : GCQ_CONTENT,
			      .layout = old->layout,
			      .size_bytes = old->size_bytes,
			      .disk_bytes = core_content_bytes(old)};

	if (gcq_encode(&row, &raw))
		b->failed = true;
	else
		batch_put(b, TABLE_GCQ, key_slice(&key), buf_slice(&raw));
	usage_batch_dead(b, (int64_t)row.disk_bytes);
}

void batch_drop_inode(struct batch *b, const struct row_core *old)
{
	struct key key = key_ino(old->ino);

	batch_del(b, TABLE_INODE, key_slice(&key));
	/* A symlink is nothing but its row. */
	if (!S_ISLNK(old->mode))
		batch_queue(b, old);
}

void batch_drop_name(struct batch *b, uint64_t branch, struct slice name,
		     const struct row_core *old)
{
	struct key key = key_dirent(branch, name);

	batch_del(b, TABLE_DIRENT, key_slice(&key));
	batch_drop_inode(b, old);
	batch_count(b, old, -1);
}

int batch_touch_dir(struct store *st, struct batch *b, uint64_t dir_ino, int64_t now_ns)
{
	CLEANUP_INODE struct inode dir = INODE_INIT;
	int r;

	if (st->touched_dir == dir_ino && now_ns >= st->touched_ns &&
	    now_ns - st->touched_ns < TICK_NS)
		return 0;
	r = inode_load(st, dir_ino, &dir);
	if (r)
		return r;
	dir.row.core.mtime_ns = dir.row.core.ctime_ns = now_ns;
	batch_put_inode(b, &dir.row);
	st->touched_dir = dir_ino;
	st->touched_ns = now_ns;
	return 0;
}

int64_t dir_time_ns(int64_t completed_ns)
{
	return completed_ns - completed_ns % TICK_NS;
}

/*
 * What changes it now was complete before, and that time has been told. Of changes in
 * one tick the first writes the row, as above.
 */
static int touch_dir_later(struct store *st, struct batch *b, uint64_t dir_ino,
			   int64_t completed_ns)
{
	CLEANUP_INODE struct inode dir = INODE_INIT;
	struct row_core *core = &dir.row.core;
	int64_t at_ns = dir_time_ns(completed_ns);
	int r;

	if (st->touched_dir == dir_ino && st->touched_ns >= at_ns)
		return 0;
	r = inode_load(st, dir_ino, &dir);
	if (r)
		return r;
	store_dir_times(at_ns, &core->mtime_ns, &core->ctime_ns);
	batch_put_inode(b, &dir.row);
	st->touched_dir = dir_ino;
	st->touched_ns = at_ns;
	return 0;
}

void store_dir_times(int64_t at_ns, int64_t *mtime_ns, int64_t *ctime_ns)
{
	/* An mtime of the future may have been set, before. */
	if (*ctime_ns < at_ns || *mtime_ns < at_ns)
		*mtime_ns = at_ns;
	if (*ctime_ns < at_ns)
		*ctime_ns = at_ns;
}

/* ---- looking up ---- */

int store_lookup_expired(struct store *st, uint64_t branch, const char *name,
			 struct store_attr *ret_attr)
{
	struct policy policy;
	struct row_core core;
	int r;

	r = name_check(name);
	if (r)
		return r;
	if (branch == 0)
		return -ENOENT;
	if (store_ino_in_tree(branch))
		return sealed_lookup(st, branch, name, ret_attr);
	r = dirent_load(st, branch, slice_str(name), &core);
	if (r)
		return r;
	r = policy_get(st, branch, &policy);
	if (r)
		return r;
	core_shown_attr(&core, policy.ttl_ns, ret_attr);
	return 0;
}

int store_lookup(struct store *st, uint64_t branch, const char *name,
		 struct store_attr *ret_attr)
{
	struct store_attr attr;
	int r;

	r = store_lookup_expired(st, branch, name, &attr);
	if (r)
		return r;
	if (store_attr_expired(&attr, time_now_ns()))
		return -ENOENT;
	*ret_attr = attr;
	return 0;
}

/* ---- making ---- */

/* Whether what has the name may be replaced by `row`. */
static int check_replace(const struct row_core *old, const struct policy *policy,
			 const struct inode_row *row, bool noreplace, int64_t now_ns)
{
	bool live = core_expires_ns(old, policy->ttl_ns) > now_ns;

	if (live && (noreplace || S_ISDIR(row->core.mode)))
		return -EEXIST;
	return S_ISDIR(old->mode) ? -EISDIR : 0;
}

/* Whether `row`, which goes on from what somebody had, is his who has `old`. */
static bool is_replacer(const struct inode_row *row, const struct row_core *old)
{
	return row->writer.uid == 0 || row->writer.uid == old->uid ||
	       row->core.uid == old->uid;
}

static int check_sticky(struct store *st, const struct row_core *old,
			const struct policy *policy, const struct inode_row *row)
{
	CLEANUP_INODE struct inode dir = INODE_INIT;
	int r;

	if (!(policy->mode & S_ISVTX) || is_replacer(row, old) ||
	    core_expires_ns(old, policy->ttl_ns) <= time_now_ns())
		return 0;
	r = inode_load(st, policy->dir_ino, &dir);
	if (r)
		return r;
	return dir.row.core.uid == row->writer.uid ? 0 : -EPERM;
}

int name_may_replace(struct store *st, const struct inode_row *row, uint64_t branch,
		     struct slice name)
{
	struct policy policy;
	struct row_core old;
	int r = policy_get(st, branch, &policy);

	if (r || !(policy.mode & S_ISVTX))
		return 0; /* if the directory is gone: for who publishes to see */
	r = dirent_load(st, branch, name, &old);
	return r ? 0 : check_sticky(st, &old, &policy, row);
}

int name_publish(struct store *st, struct batch *b, const struct inode_row *row,
		 unsigned int flags, const struct usage_promise *promise,
		 int64_t completed_ns, uint64_t *ret_replaced_ino)
{
	int64_t now_ns = time_now_ns(), more = (int64_t)core_charge(&row->core);
	uint64_t replaced_ino = 0;
	struct policy policy;
	struct row_core old;
	int r;

	r = policy_get(st, row->parent_branch, &policy);
	if (r)
		return r == -ENOTDIR ? -ENOENT : r;
	r = dirent_load(st, row->parent_branch, row->name, &old);
	if (r && r != -ENOENT)
		return r;
	if (r == 0) {
		r = check_replace(&old, &policy, row, flags & NAME_NOREPLACE, now_ns);
		if (!r)
			r = check_sticky(st, &old, &policy, row);
		if (r)
			return r;
		more -= (int64_t)core_charge(&old);
		gen_keep_nameless(st, old.ino);
		batch_drop_inode(b, &old);
		batch_count_replace(b, &old, &row->core);
		replaced_ino = core_shown_ino(&old);
	} else {
		batch_count(b, &row->core, 1);
	}
	r = flags & NAME_PROMISED ? 0
				  : usage_check_quota(st, &policy, NULL, more, promise);
	if (r)
		return r;
	usage_batch_charge(st, b, &policy, more);
	batch_put_inode(b, row);
	r = completed_ns ? touch_dir_later(st, b, policy.dir_ino, completed_ns)
			 : batch_touch_dir(st, b, policy.dir_ino, now_ns);
	if (r)
		return r;
	r = store_commit(st, b);
	if (r)
		return r;
	st->names_added++;
	if (ret_replaced_ino)
		*ret_replaced_ino = replaced_ino;
	return 0;
}

/* Publish a directory or a symlink, whose row needs only its place. */
static int make(struct store *st, uint64_t branch, const char *name,
		struct inode_row *row, struct store_attr *ret_attr)
{
	CLEANUP_BATCH struct batch b = BATCH_INIT;
	CLEANUP_ROOM struct room_hold hold = ROOM_HOLD_INIT;
	uint64_t replaced_ino;
	struct policy policy;
	int r;

	r = name_check(name);
	if (r)
		return r;
	if (store_ino_in_tree(branch))
		return -EPERM;
	row->parent_branch = branch;
	row->name = slice_str(name);
	row->core.ttl_ns = DURATION_UNSET;
	r = room_take(st, ROOM_ROWS_BYTES + row->target.len, ROOM_WAIT, &hold);
	if (r)
		return r;
	r = ino_alloc(st, &row->core.ino);
	if (r)
		return r;
	if (S_ISDIR(row->core.mode))
		row->branch = row->core.ino;
	pthread_mutex_lock(&st->names);
	r = policy_get(st, branch, &policy);
	if (r == 0) {
		policy_adopt(&policy, &row->core.mode, &row->core.gid);
		row->core.created_ns = time_now_ns();
		row->core.atime_ns = row->core.mtime_ns = row->core.ctime_ns =
		    row->core.created_ns;
		r = name_publish(st, &b, row, NAME_NOREPLACE, NULL, 0, &replaced_ino);
	}
	pthread_mutex_unlock(&st->names);
	if (r)
		return r == -ENOTDIR ? -ENOENT : r;
	if (replaced_ino)
		gc_reap(st, row_ino(replaced_ino));
	core_attr(&row->core, policy.ttl_ns, ret_attr);
	return 0;
}

int store_mkdir(struct store *st, uint64_t branch, const char *name, mode_t mode,
		uid_t uid, gid_t gid, struct store_attr *ret_attr)
{
	struct inode_row row = {
	    .core = {.mode = S_IFDIR | (mode & 07777), .uid = uid, .gid = gid},
	    .cost_s = -1,
	};

	return make(st, branch, name, &row, ret_attr);
}

int store_symlink(struct store *st, uint64_t branch, const char *name, const char *target,
		  uid_t uid, gid_t gid, struct store_attr *ret_attr)
{
	struct inode_row row = {
	    .core = {.mode = S_IFLNK | 0777,
		     .uid = uid,
		     .gid = gid,
		     .size_bytes = strlen(target)},
	    .cost_s = -1,
	    .writer = {.uid = uid, .gid = gid},
	    .target = slice_str(target),
	};

	if (row.target.len > STORE_SYMLINK_MAX)
		return -ENAMETOOLONG;
	if (row.target.len == 0)
		return -ENOENT; /* symlink(2) */
	return make(st, branch, name, &row, ret_attr);
}

/* ---- removing ---- */

static int unlink_locked(struct store *st, uint64_t branch, struct slice name,
			 uint64_t *ret_ino)
{
	CLEANUP_BATCH struct batch b = BATCH_INIT;
	int64_t now_ns = time_now_ns();
	struct policy policy;
	struct row_core core;
	int r;

	r = policy_get(st, branch, &policy);
	if (r)
		return r == -ENOTDIR ? -ENOENT : r;
	r = dirent_load(st, branch, name, &core);
	if (r)
		return r;
	if (core_expires_ns(&core, policy.ttl_ns) <= now_ns)
		return -ENOENT;
	if (S_ISDIR(core.mode) || core.sealed)
		return -EISDIR;
	gen_keep_nameless(st, core.ino);
	batch_drop_name(&b, branch, name, &core);
	usage_batch_charge(st, &b, &policy, -(int64_t)core_charge(&core));
	r = batch_touch_dir(st, &b, policy.dir_ino, now_ns);
	if (r == 0)
		r = store_commit(st, &b);
	if (r == 0)
		*ret_ino = core.ino;
	return r;
}

int store_unlink(struct store *st, uint64_t branch, const char *name)
{
	uint64_t ino;
	int r;

	r = name_check(name);
	if (r)
		return r;
	if (store_ino_in_tree(branch))
		return -EPERM;
	pthread_mutex_lock(&st->names);
	r = unlink_locked(st, branch, slice_str(name), &ino);
	pthread_mutex_unlock(&st->names);
	if (r == 0)
		gc_reap(st, ino);
	return r;
}
