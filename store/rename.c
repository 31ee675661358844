/* SPDX-License-Identifier: Apache-2.0 */
/*
 * rename(2), and rmdir, which shares with it the question whether a directory
 * is empty.
 *
 * A rename moves one DIRENT row and rewrites the inode row it leads to; what is
 * below a directory stays where it is, since its branches belong to its number.
 *
 * Empty means: no live child at the current version. To find that out may take
 * a walk over many expired names, so it is done before the lock is taken, and
 * again under it only when names were added anywhere meanwhile.
 */
#include <errno.h>

#include "store/gen.h"
#include "store/internal.h"
#include "store/sealed.h"
#include "store/stage.h"

/* One end of a rename. */
struct end {
	uint64_t branch;
	struct slice name;
	struct policy policy;
	struct row_core core; /* of what has the name */
	bool exists;	      /* something has it, maybe expired */
	bool live;
};

static int end_load(struct store *st, struct end *end, int64_t now_ns)
{
	int r;

	r = policy_get(st, end->branch, &end->policy);
	if (r)
		return r == -ENOTDIR ? -ENOENT : r;
	r = dirent_load(st, end->branch, end->name, &end->core);
	if (r && r != -ENOENT)
		return r;
	end->exists = r == 0;
	end->live =
	    end->exists && core_expires_ns(&end->core, end->policy.ttl_ns) > now_ns;
	return 0;
}

static bool end_is_dir(const struct end *end)
{
	return end->live && S_ISDIR(end->core.mode);
}

/* ---- emptiness ---- */

/* Whether the row under the iterator is a child that a listing would show. */
static bool is_live_child(struct store *st, const struct backend_iter *it, int64_t ttl_ns,
			  int64_t now_ns)
{
	struct row_core core;
	struct slice name;
	uint64_t branch;

	return key_dirent_decode(backend_iter_key(it), &branch, &name) == 0 &&
	       !name_is_stage(name) &&
	       dirent_read(st, branch, backend_iter_value(it), &core) == 0 &&
	       core_expires_ns(&core, ttl_ns) > now_ns;
}

/* -ENOTEMPTY: the branch has a live name. */
static int check_branch_empty(struct store *st, uint64_t branch, int64_t ttl_ns)
{
	struct backend_iter *it;
	int64_t now_ns = time_now_ns();
	struct key key = key_branch(branch), end = key_branch(branch + 1);
	int r;

	r = backend_iter_new_until(st->be, TABLE_DIRENT, key_slice(&end), &it);
	if (r)
		return r;
	for (backend_iter_seek(it, key_slice(&key)); r == 0 && backend_iter_valid(it);
	     backend_iter_next(it)) {
		if (is_live_child(st, it, ttl_ns, now_ns))
			r = -ENOTEMPTY;
	}
	if (r == 0)
		r = backend_iter_status(it);
	backend_iter_free(it);
	return r;
}

static int check_dir_empty(struct store *st, uint64_t dir_ino)
{
	struct policy policy;
	int r;

	r = policy_get(st, dir_ino, &policy);
	if (r == -EUCLEAN) /* its row is damaged: nothing in it can be reached */
		return 0;
	if (r)
		return r;
	return check_branch_empty(st, policy.current_branch, policy.ttl_ns);
}

/* A directory that was found empty when `names_added` was `added`. */
struct empty_mark {
	uint64_t dir_ino; /* 0: none */
	uint64_t epoch;
	uint64_t added;
};

/*
 * Look, without the lock, whether the directory that has the name is empty. The
 * mark spares check_still_empty() the walk when nothing happened in between.
 */
static void mark_if_empty(struct store *st, uint64_t branch, struct slice name,
			  struct empty_mark *ret_mark)
{
	struct empty_mark mark = {0};
	struct row_core core;

	*ret_mark = mark;
	pthread_mutex_lock(&st->names);
	mark.added = st->names_added;
	mark.epoch = policy_epoch(st);
	pthread_mutex_unlock(&st->names);
	if (dirent_load(st, branch, name, &core) || !S_ISDIR(core.mode) ||
	    check_dir_empty(st, core.ino))
		return;
	mark.dir_ino = core.ino;
	*ret_mark = mark;
}

/* Under `names`. A ttl made longer revives what had expired: hence the epoch. */
static int check_still_empty(struct store *st, uint64_t dir_ino,
			     const struct empty_mark *mark)
{
	if (mark->dir_ino == dir_ino && mark->added == st->names_added &&
	    mark->epoch == policy_epoch(st))
		return 0;
	return check_dir_empty(st, dir_ino);
}

/* ---- rmdir ---- */

static int rmdir_locked(struct store *st, struct end *end, const struct empty_mark *mark)
{
	CLEANUP_BATCH struct batch b = BATCH_INIT;
	int64_t now_ns = time_now_ns();
	int r;

	r = end_load(st, end, now_ns);
	if (r)
		return r;
	if (!end->live)
		return -ENOENT;
	if (!S_ISDIR(end->core.mode) && !end->core.sealed)
		return -ENOTDIR;
	/* A sealed tree goes whole. */
	r = end->core.sealed ? 0 : check_still_empty(st, end->core.ino, mark);
	if (r)
		return r;
	gen_keep_nameless(st, end->core.ino);
	batch_drop_name(&b, end->branch, end->name, &end->core);
	usage_batch_charge(st, &b, &end->policy, -(int64_t)core_charge(&end->core));
	usage_batch_dir_removed(st, &b, end->core.ino);
	r = batch_touch_dir(st, &b, end->policy.dir_ino, now_ns);
	if (r)
		return r;
	r = store_commit(st, &b);
	if (r)
		return r;
	usage_dir_removed(st, &end->policy, &end->core);
	if (!end->core.sealed)
		policy_changed(st);
	return 0;
}

int store_rmdir(struct store *st, uint64_t branch, const char *name)
{
	struct end end = {.branch = branch, .name = slice_str(name)};
	struct empty_mark mark;
	int r;

	r = name_check(name);
	if (r)
		return r;
	if (store_ino_in_tree(branch))
		return -EPERM;
	mark_if_empty(st, branch, end.name, &mark);
	pthread_mutex_lock(&st->names);
	r = rmdir_locked(st, &end, &mark);
	pthread_mutex_unlock(&st->names);
	if (r == 0)
		gc_reap(st, end.core.ino);
	return r;
}

/* ---- rename ---- */

/* Whether `dir_ino` is the directory of `branch` or above it. */
static int is_above(struct store *st, uint64_t dir_ino, uint64_t branch, bool *ret_above)
{
	uint64_t each = 0;
	int r;

	while (branch != 0 && each != dir_ino) {
		r = policy_place(st, branch, &each, &branch);
		if (r)
			return r;
	}
	*ret_above = each == dir_ino;
	return 0;
}

/* Neither may become its own descendant. */
static int check_no_ring(struct store *st, const struct end *from, const struct end *to,
			 bool exchange)
{
	bool above = false;
	int r = 0;

	if (end_is_dir(from))
		r = is_above(st, from->core.ino, to->branch, &above);
	if (r)
		return r;
	if (above)
		return -EINVAL;
	if (end_is_dir(to))
		r = is_above(st, to->core.ino, from->branch, &above);
	if (r)
		return r;
	/* What the target holds, at whatever version, is in the way. */
	return !above ? 0 : exchange ? -EINVAL : -ENOTEMPTY;
}

/*
 * An entry may take the place of another, whether file or sealed tree: where it is
 * seen as a directory it is the kernel that keeps files and directories apart.
 */
static int check_target(struct store *st, const struct end *from, const struct end *to,
			unsigned int flags, const struct empty_mark *mark)
{
	if (flags & STORE_RENAME_EXCHANGE)
		return to->live ? 0 : -ENOENT;
	if (!to->live)
		return 0;
	if (S_ISDIR(from->core.mode) && !S_ISDIR(to->core.mode))
		return to->core.sealed ? -ENOTEMPTY : -ENOTDIR;
	if (!S_ISDIR(from->core.mode) && !from->core.sealed && S_ISDIR(to->core.mode))
		return -EISDIR;
	return S_ISDIR(to->core.mode) ? check_still_empty(st, to->core.ino, mark) : 0;
}

/* Put the inode at `from` to the name of `to`. */
static int batch_move(struct store *st, struct batch *b, const struct end *from,
		      const struct end *to, int64_t now_ns, struct row_core *ret_core)
{
	CLEANUP_INODE struct inode in = INODE_INIT;
	int r;

	r = inode_load(st, from->core.ino, &in);
	if (r)
		return r == -ENOENT ? store_damaged(st, "the inode row", from->core.ino)
				    : r;
	in.row.parent_branch = to->branch;
	in.row.name = to->name;
	in.row.core.ctime_ns = now_ns;
	batch_put_inode(b, &in.row);
	*ret_core = in.row.core;
	return 0;
}

static bool is_same_area(const struct end *from, const struct end *to)
{
	return from->policy.quota_ino == to->policy.quota_ino;
}

/* A directory's charge is not known. As XFS does it with projects: it is not moved. */
static int check_area(const struct end *from, const struct end *to, bool exchange)
{
	if (is_same_area(from, to))
		return 0;
	return end_is_dir(from) || (exchange && end_is_dir(to)) ? -EXDEV : 0;
}

/* The charges of what is moved and replaced go from quota to quota. -EDQUOT. */
static int move_charges(struct store *st, struct batch *b, const struct end *from,
			const struct end *to, bool exchange)
{
	int64_t here = (int64_t)core_charge(&from->core);
	int64_t there = to->exists ? (int64_t)core_charge(&to->core) : 0;
	int r;

	if (is_same_area(from, to)) {
		if (!exchange)
			usage_batch_charge(st, b, &to->policy, -there);
		return 0;
	}
	r = usage_check_quota(st, &to->policy, &from->policy, here - there, NULL);
	if (!r && exchange)
		r = usage_check_quota(st, &from->policy, &to->policy, there - here, NULL);
	if (r)
		return r;
	usage_batch_charge(st, b, &to->policy, here - there);
	usage_batch_charge(st, b, &from->policy, (exchange ? there : 0) - here);
	return 0;
}

static int rename_commit(struct store *st, const struct end *from, const struct end *to,
			 bool exchange, int64_t now_ns)
{
	CLEANUP_BATCH struct batch b = BATCH_INIT;
	struct key from_key = key_dirent(from->branch, from->name);
	struct row_core moved, back;
	int r;

	if (!exchange) {
		batch_del(&b, TABLE_DIRENT, key_slice(&from_key));
		if (to->exists) {
			gen_keep_nameless(st, to->core.ino);
			batch_drop_inode(&b, &to->core);
			batch_count(&b, &to->core, -1);
			usage_batch_dir_removed(st, &b, to->core.ino);
		}
	}
	r = move_charges(st, &b, from, to, exchange);
	if (r)
		return r;
	r = batch_move(st, &b, from, to, now_ns, &moved);
	if (r == 0 && exchange)
		r = batch_move(st, &b, to, from, now_ns, &back);
	if (r == 0)
		r = batch_touch_dir(st, &b, from->policy.dir_ino, now_ns);
	if (r == 0 && to->policy.dir_ino != from->policy.dir_ino)
		r = batch_touch_dir(st, &b, to->policy.dir_ino, now_ns);
	if (r == 0)
		r = store_commit(st, &b);
	if (r)
		return r;
	if (to->exists && !exchange)
		usage_dir_removed(st, &to->policy, &to->core);
	st->names_added++;
	if (end_is_dir(from) || end_is_dir(to))
		policy_changed(st);
	gen_attr_changed(st, &moved);
	if (exchange)
		gen_attr_changed(st, &back);
	return 0;
}

static int rename_locked(struct store *st, struct end *from, struct end *to,
			 unsigned int flags, const struct empty_mark *mark)
{
	bool exchange = flags & STORE_RENAME_EXCHANGE;
	int64_t now_ns = time_now_ns();
	int r;

	r = end_load(st, from, now_ns);
	if (r)
		return r;
	r = end_load(st, to, now_ns);
	if (r)
		return r;
	if (!from->live)
		return -ENOENT;
	if (to->live && (flags & STORE_RENAME_NOREPLACE))
		return -EEXIST;
	if (to->exists && from->core.ino == to->core.ino) {
		to->exists = false; /* nothing is replaced */
		return 0;
	}
	r = check_no_ring(st, from, to, exchange);
	if (r)
		return r;
	r = check_target(st, from, to, flags, mark);
	if (!r)
		r = check_area(from, to, exchange);
	if (r)
		return r;
	return rename_commit(st, from, to, exchange, now_ns);
}

int store_rename(struct store *st, uint64_t from_branch, const char *from,
		 uint64_t to_branch, const char *to, unsigned int flags,
		 uint64_t *ret_replaced_ino)
{
	bool exchange = flags & STORE_RENAME_EXCHANGE;
	struct end source = {.branch = from_branch, .name = slice_str(from)};
	struct end target = {.branch = to_branch, .name = slice_str(to)};
	struct empty_mark mark = {0};
	int r;

	if (exchange && (flags & STORE_RENAME_NOREPLACE))
		return -EINVAL;
	r = name_check(from);
	if (r)
		return r;
	r = name_check(to);
	if (r)
		return r;
	if (store_ino_in_tree(from_branch) || store_ino_in_tree(to_branch))
		return -EPERM;
	if (!flags)
		mark_if_empty(st, to_branch, target.name, &mark);
	pthread_mutex_lock(&st->names);
	r = rename_locked(st, &source, &target, flags, &mark);
	pthread_mutex_unlock(&st->names);
	if (r)
		return r;
	if (target.exists && !exchange)
		gc_reap(st, target.core.ino);
	if (ret_replaced_ino)
		*ret_replaced_ino =
		    target.exists && !exchange ? core_shown_ino(&target.core) : 0;
	return 0;
}
