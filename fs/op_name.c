/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that make, move and remove names.
 *
 * Each waits for a publish of the name that is under way, so that what a
 * process does after close(2) finds what it closed. Under a view with owner=, a
 * change of an entry needs the lease of its name (fence_enter()); what gives the
 * name a value ends it. Directories are made and removed without, but a sealed tree
 * is an entry.
 *
 * What a daemon before this one may have done already is looked for first (fs/once.h).
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/kcache.h"
#include "fs/metrics.h"
#include "fs/node.h"
#include "fs/once.h"
#include "fs/pending.h"
#include "fs/pending_reply.h"
#include "fs/reply.h"
#include "fs/reservation.h"
#include "fs/sealed.h"
#include "fs/stage.h"
#include "fs/waiters.h"

#ifndef RENAME_NOREPLACE
#define RENAME_NOREPLACE (1 << 0)
#define RENAME_EXCHANGE (1 << 1)
#endif

/* A name in a directory of the store, found for a change. */
struct place {
	struct dirref dir;
	uint64_t branch;
	const char *name;
};

static int place_get(fuse_req_t req, fuse_ino_t parent, const char *name, bool create,
		     struct place *ret_at)
{
	struct fs *fs = fs_of(req);
	int r = dirref_child(fs, parent, name, create, &ret_at->dir, &ret_at->branch);

	if (!r)
		r = dirref_may_change(fs, &ret_at->dir);
	if (r)
		return r;
	ret_at->name = name;
	pending_wait(fs->pending, ret_at->branch, name, fuse_req_ctx(req)->pid);
	return 0;
}

/* The same for a change of an entry: to be followed by fence_leave(). */
static int place_enter(fuse_req_t req, fuse_ino_t parent, const char *name, bool create,
		       struct place *ret_at, struct fence *ret_fence)
{
	int r = place_get(req, parent, name, create, ret_at);

	*ret_fence = (struct fence){0};
	return r ? r
		 : fence_enter(fs_of(req), &ret_at->dir.view, ret_at->branch, name,
			       ret_fence);
}

static int may_replace(fuse_req_t req, const struct place *at)
{
	return dirref_may_replace(fs_of(req), &at->dir, at->branch, at->name,
				  fuse_req_ctx(req)->uid);
}

/* Returns what to kcache_wait() for before the answer. */
static uint64_t place_changed(struct fs *fs, const struct place *at)
{
	uint64_t of_name =
	    kcache_name_changed(fs->kcache, at->branch, at->name, at->dir.nodeid);

	return kcache_later(of_name,
			    kcache_dir_changed(fs->kcache, at->dir.ino, at->dir.nodeid));
}

static void reply_new(fuse_req_t req, const struct place *at, int r,
		      const struct store_attr *attr)
{
	struct fs *fs = fs_of(req);
	struct fuse_entry_param e;

	/* Somebody may be writing the same name, and will replace this. */
	if (!r)
		r = entry_fill(fs, &at->dir, attr,
			       pending_busy(fs->pending, at->branch, at->name), &e);
	if (r) {
		reply_err(req, r);
		return;
	}
	if (!S_ISDIR(attr->mode))
		metrics_add(metrics_branch(fs->metrics, at->branch),
			    STORE_COUNT_PUBLISHED, 1);
	kcache_wait(fs->kcache, place_changed(fs, at));
	fs_name_settled(fs, at->branch, at->name);
	if (fuse_reply_entry(req, &e) == -ENOENT && vnode_is(e.ino))
		vnode_forget(fs->vnodes, e.ino, 1);
}

/* ---- make ---- */

/* A daemon before this one has made what the name shows, for this request. */
static bool made_before(const struct once *once, const struct place *at, mode_t type,
			const struct fuse_ctx *ctx, struct store_attr *ret_attr)
{
	struct store_attr attr;

	if (once->state == ONCE_NEW || once->result ||
	    store_lookup(once->fs->store, at->branch, at->name, &attr) ||
	    (attr.mode & S_IFMT) != type || attr.uid != ctx->uid ||
	    attr.created_ns < once->begun_ns)
		return false;
	*ret_attr = attr;
	return true;
}

static int make_dir(struct once *once, const struct place *at, mode_t mode,
		    const struct fuse_ctx *ctx, struct store_attr *ret_attr)
{
	int r;

	if (made_before(once, at, S_IFDIR, ctx, ret_attr))
		return 0;
	once_begin(once, 0);
	r = store_mkdir(once->fs->store, at->branch, at->name, mode, ctx->uid, ctx->gid,
			ret_attr);
	once_done(once, r);
	return r;
}

void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	struct fs *fs = fs_of(req);
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	struct once once = once_enter(fs);
	struct store_attr attr;
	struct place at;
	int r = place_get(req, parent, name, true, &at);

	if (!r)
		r = make_dir(&once, &at, mode, ctx, &attr);
	reply_new(req, &at, r, &attr);
	once_leave(&once);
}

static int make_symlink(struct once *once, const struct place *at, const char *target,
			const struct fuse_ctx *ctx, struct store_attr *ret_attr)
{
	int r;

	if (made_before(once, at, S_IFLNK, ctx, ret_attr))
		return 0;
	once_begin(once, 0);
	r = store_symlink(once->fs->store, at->branch, at->name, target, ctx->uid,
			  ctx->gid, ret_attr);
	once_done(once, r);
	return r;
}

void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	struct fs *fs = fs_of(req);
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	struct once once = once_enter(fs);
	struct store_attr attr;
	struct fence fence;
	struct place at;
	int r = place_enter(req, parent, name, true, &at, &fence);

	if (!r)
		r = make_symlink(&once, &at, target, ctx, &attr);
	fence_leave(&fence, !r);
	reply_new(req, &at, r, &attr);
	once_leave(&once);
}

/* An empty file, published at once: tar makes one before it sets attributes. */
static int stage_empty(struct fs *fs, const struct place *at, mode_t mode,
		       const struct fuse_ctx *ctx, struct store_attr *ret_attr)
{
	struct store_stage_args args = {
	    .branch = at->branch,
	    .mode = mode,
	    .writer = {.uid = ctx->uid, .gid = ctx->gid, .pid = ctx->pid},
	};
	struct store_staged *sg;
	uint64_t ino;
	int r = store_stage(fs->store, &args, &sg);

	if (r)
		return r;
	r = store_publish(sg, at->branch, at->name, true, &ino, NULL);
	store_staged_free(sg);
	return r ? r : store_getattr(fs->store, ino, ret_attr);
}

static int make_empty(struct once *once, const struct place *at, mode_t mode,
		      const struct fuse_ctx *ctx, struct store_attr *ret_attr)
{
	int r;

	if (made_before(once, at, S_IFREG, ctx, ret_attr))
		return 0;
	once_begin(once, 0);
	r = stage_empty(once->fs, at, mode, ctx, ret_attr);
	once_done(once, r);
	return r;
}

void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	      dev_t rdev)
{
	struct fs *fs = fs_of(req);
	struct once once = once_enter(fs);
	struct store_attr attr;
	struct fence fence;
	struct place at;
	int r;

	if (!S_ISREG(mode)) {
		/* mknod(2): "does not support the type of node requested" */
		reply_err(req, -EPERM);
		return;
	}
	r = place_enter(req, parent, name, true, &at, &fence);
	if (!r && (at.dir.view.set & VIEW_PACK))
		r = -EPERM; /* an empty file is no pack */
	if (!r)
		r = make_empty(&once, &at, mode, fuse_req_ctx(req), &attr);
	fence_leave(&fence, !r);
	reply_new(req, &at, r, &attr);
	once_leave(&once);
}

void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
	/* link(2): EPERM where the file system does not support hard links;
	 * git, ln and tar know what to do with it. */
	reply_err(req, -EPERM);
}

/* ---- remove ---- */

static bool is_tree(struct fs *fs, const struct place *at)
{
	struct store_attr attr;

	return store_lookup(fs->store, at->branch, at->name, &attr) == 0 &&
	       sealed_is_tree(&attr);
}

/* Where a tree is a file, it is removed as one. */
static int unlink_published(struct fs *fs, const struct place *at)
{
	if ((at->dir.view.set & VIEW_PACK) && is_tree(fs, at))
		return store_rmdir(fs->store, at->branch, at->name);
	return store_unlink(fs->store, at->branch, at->name);
}

/* What its writer removes is not published at close. */
static int unlink_own(struct fs *fs, pid_t tid, uid_t uid, const struct place *at)
{
	struct pending *own =
	    pending_by_owner(fs->pending, at->branch, at->name, tid, uid);
	bool removed = own && pending_detach(own) == 0;
	int r;

	pending_unref(own);
	/* After it: if it was closed meanwhile, it is published now. */
	r = unlink_published(fs, at);
	return removed && (r == -ENOENT || r == -EISDIR) ? 0 : r;
}

static int unlink_place(struct once *once, const struct fuse_ctx *ctx,
			const struct place *at)
{
	int r;

	if (once_known(once))
		return once->result;
	once_begin(once, 0);
	r = once_again(once, unlink_own(once->fs, ctx->pid, ctx->uid, at), -ENOENT);
	once_done(once, r);
	return r;
}

void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs *fs = fs_of(req);
	struct once once = once_enter(fs);
	struct fence fence;
	struct place at;
	int r = place_enter(req, parent, name, false, &at, &fence);

	if (!r)
		r = may_replace(req, &at);
	if (!r)
		r = unlink_place(&once, fuse_req_ctx(req), &at);
	fence_leave(&fence, false);
	if (!r)
		kcache_wait(fs->kcache, place_changed(fs, &at));
	reply_err(req, r);
	once_leave(&once);
}

/* What was closed just now makes a directory of that name not empty. */
static void settle_below(fuse_req_t req, const struct place *at)
{
	struct fs *fs = fs_of(req);
	struct store_attr attr;
	uint64_t branch;

	if (pending_releasing(fs->pending) &&
	    store_lookup(fs->store, at->branch, at->name, &attr) == 0 &&
	    S_ISDIR(attr.mode) && !attr.sealed &&
	    store_branch(fs->store, attr.ino, NULL, false, &branch) == 0)
		pending_wait_branch(fs->pending, branch, fuse_req_ctx(req)->pid);
}

static int rmdir_place(struct once *once, const struct place *at)
{
	int r;

	if (once_known(once))
		return once->result;
	once_begin(once, 0);
	r = once_again(once, store_rmdir(once->fs->store, at->branch, at->name), -ENOENT);
	once_done(once, r);
	return r;
}

void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fs *fs = fs_of(req);
	struct once once = once_enter(fs);
	struct fence fence = {0};
	struct place at;
	int r = place_get(req, parent, name, false, &at);

	if (!r && is_tree(fs, &at))
		r = fence_enter(fs, &at.dir.view, at.branch, name, &fence);
	if (!r)
		r = may_replace(req, &at);
	if (!r)
		settle_below(req, &at);
	if (!r)
		r = rmdir_place(&once, &at);
	fence_leave(&fence, false);
	if (!r)
		kcache_wait(fs->kcache, place_changed(fs, &at));
	reply_err(req, r);
	once_leave(&once);
}

/* ---- move ---- */

/* Whose lease a value needs is settled when it is begun. */
static bool same_owner(const struct view *a, const struct view *b)
{
	return (a->set & VIEW_OWNER) == (b->set & VIEW_OWNER) &&
	       strcmp(a->owner, b->owner) == 0;
}

/*
 * The process renames what it is still writing: the value goes along, and is
 * published under the new name when it is closed. -EXDEV: from one owner to another,
 * or to none; mv(1) copies then. -ESTALE: it was closed
 * meanwhile, and is published. *ret_moved: what was published has been moved.
 */
static int rename_own(struct fs *fs, struct pending *own, const struct place *from,
		      const struct place *to, unsigned int flags, bool *ret_moved)
{
	struct store_attr attr;
	uint64_t replaced;
	int r;

	if (flags & RENAME_EXCHANGE)
		return -EINVAL; /* half of it has no name to exchange */
	if (!same_owner(&from->dir.view, &to->dir.view))
		return -EXDEV;
	if ((flags & RENAME_NOREPLACE) &&
	    (pending_busy(fs->pending, to->branch, to->name) ||
	     store_lookup(fs->store, to->branch, to->name, &attr) == 0))
		return -EEXIST;
	if (store_lookup(fs->store, to->branch, to->name, &attr) == 0 &&
	    S_ISDIR(attr.mode) && !attr.sealed)
		return -EISDIR;
	r = store_rename(fs->store, from->branch, from->name, to->branch, to->name, flags,
			 &replaced);
	if (r && r != -ENOENT) /* it need not be published under the old name */
		return r;
	*ret_moved = r == 0;
	return pending_rename(own, to->branch, to->name);
}

static int rename_published(struct fs *fs, const struct place *from,
			    const struct place *to, unsigned int flags)
{
	unsigned int store_flags = 0;
	uint64_t replaced;

	if (flags & RENAME_NOREPLACE)
		store_flags |= STORE_RENAME_NOREPLACE;
	if (flags & RENAME_EXCHANGE)
		store_flags |= STORE_RENAME_EXCHANGE;
	return store_rename(fs->store, from->branch, from->name, to->branch, to->name,
			    store_flags, &replaced);
}

/*
 * The kernel moves what it knows of the name along, and with it how long that is
 * good. Under another directory's ttl it may be too long.
 */
static void life_after_rename(struct fs *fs, const struct place *to)
{
	struct store_attr attr;

	if (store_lookup(fs->store, to->branch, to->name, &attr) == -ENOENT ||
	    S_ISDIR(attr.mode))
		kcache_all_changed(fs->kcache);
	else if (attr.expires_ns != DURATION_NONE)
		kcache_name_expires(fs->kcache, to->dir.nodeid, to->name);
}

/* Somebody is writing a name, and will replace what the kernel has moved there. */
static void busy_after_rename(struct fs *fs, const struct place *from,
			      const struct place *to)
{
	if (pending_busy(fs->pending, to->branch, to->name) ||
	    pending_busy(fs->pending, from->branch, from->name))
		kcache_all_changed(fs->kcache);
}

/* Its own unfinished value of the new name is replaced as well. */
static void detach_over(struct fs *fs, const struct fuse_ctx *ctx, const struct place *to)
{
	struct pending *over =
	    pending_by_owner(fs->pending, to->branch, to->name, ctx->pid, ctx->uid);

	if (over)
		pending_detach(over);
	pending_unref(over);
}

/*
 * A directory leaves the stage. The kernel moves the node that it knows to the new
 * name, where there is another from now on.
 */
static int seal_place(fuse_req_t req, const struct stage_place *from,
		      const struct place *to, unsigned int flags)
{
	struct fs *fs = fs_of(req);
	struct stage_place target = {to->branch, to->name};
	int r = stage_seal(req, from, &target, flags & RENAME_NOREPLACE);

	if (r)
		return r;
	detach_over(fs, fuse_req_ctx(req), to);
	kcache_all_changed(fs->kcache);
	kcache_name_expires(fs->kcache, to->dir.nodeid, to->name);
	return 0;
}

static int rename_listed(struct fs *fs, const struct fuse_ctx *ctx,
			 const struct place *from, const struct place *to,
			 unsigned int flags, bool *ret_moved)
{
	struct pending *own, *over;
	bool moved = false;
	int r = -ESTALE;

	own = pending_by_owner(fs->pending, from->branch, from->name, ctx->pid, ctx->uid);
	over = pending_by_owner(fs->pending, to->branch, to->name, ctx->pid, ctx->uid);
	if (own)
		r = rename_own(fs, own, from, to, flags, &moved);
	if (r == -ESTALE) {
		r = rename_published(fs, from, to, flags);
		if (r == -ENOENT && moved) /* closed just before, and moved already */
			r = 0;
		moved = !r;
	}
	*ret_moved = moved;
	/* As in detach_over(). */
	if (!r && over && over != own && !(flags & RENAME_EXCHANGE))
		pending_detach(over);
	pending_unref(own);
	pending_unref(over);
	return r;
}

/* Is the same entry a file in one of them and a directory in the other? */
static bool differ_in_kind(const struct place *a, const struct place *b)
{
	return (a->dir.view.set ^ b->dir.view.set) & VIEW_PACK;
}

/* *ret_moved: what was published has been moved. -EXDEV: mv(1) copies then. */
static int rename_place(fuse_req_t req, const struct place *from, const struct place *to,
			unsigned int flags, bool *ret_moved)
{
	struct fs *fs = fs_of(req);
	struct stage_place leaves = {from->branch, from->name};
	struct stage_place comes = {to->branch, to->name};
	bool seals;
	int r;

	if (flags & ~(unsigned int)(RENAME_NOREPLACE | RENAME_EXCHANGE))
		return -EINVAL; /* whiteouts: rename(2) */
	r = stage_judge_rename(fs, &leaves, &comes, flags & RENAME_EXCHANGE, &seals);
	if (r)
		return r;
	if (!seals && differ_in_kind(from, to))
		return -EXDEV;
	if (!seals)
		return rename_listed(fs, fuse_req_ctx(req), from, to, flags, ret_moved);
	r = seal_place(req, &leaves, to, flags);
	*ret_moved = !r;
	return r;
}

/* What is moved: the caller's own value, else what is published; 0: neither. */
static uint64_t moved_ino(struct fs *fs, const struct fuse_ctx *ctx,
			  const struct place *at)
{
	struct pending *own =
	    pending_by_owner(fs->pending, at->branch, at->name, ctx->pid, ctx->uid);
	struct store_attr attr = {0};
	uint64_t ino = own ? pending_ino(own) : 0;

	pending_unref(own);
	if (!ino && store_lookup(fs->store, at->branch, at->name, &attr) == 0)
		ino = attr.ino;
	return ino;
}

static bool moved_before(const struct once *once, const struct fuse_ctx *ctx,
			 const struct place *from, const struct place *to)
{
	return once->state == ONCE_DOUBT && once->ino &&
	       moved_ino(once->fs, ctx, to) == once->ino &&
	       moved_ino(once->fs, ctx, from) != once->ino;
}

/* A tree that was sealed has another number; nothing else makes its directory go. */
static bool sealed_before(const struct once *once, const struct place *from,
			  const struct place *to)
{
	struct store_attr attr;

	return once->state == ONCE_DOUBT &&
	       store_lookup(once->fs->store, from->branch, from->name, &attr) ==
		   -ENOENT &&
	       store_lookup(once->fs->store, to->branch, to->name, &attr) == 0 &&
	       sealed_is_tree(&attr) && attr.created_ns >= once->begun_ns;
}

static int rename_once(fuse_req_t req, struct once *once, const struct place *from,
		       const struct place *to, unsigned int flags, bool *ret_moved)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	int r;

	if (once_known(once) || moved_before(once, ctx, from, to) ||
	    sealed_before(once, from, to)) {
		*ret_moved = once->result == 0;
		return once->result;
	}
	once_begin(once, once->fs->keep ? moved_ino(once->fs, ctx, from) : 0);
	r = rename_place(req, from, to, flags, ret_moved);
	once_done(once, r);
	return r;
}

static void renamed(struct fs *fs, const struct place *from, const struct place *to,
		    unsigned int flags)
{
	uint64_t of_from = place_changed(fs, from);
	uint64_t of_to = place_changed(fs, to);

	kcache_wait(fs->kcache, kcache_later(of_from, of_to));
	if (from->branch != to->branch)
		life_after_rename(fs, to);
	if (from->branch != to->branch && (flags & RENAME_EXCHANGE))
		life_after_rename(fs, from);
	/* What it knows was found under other rules. */
	if (!dirref_same_rules(&from->dir, &to->dir))
		kcache_all_changed(fs->kcache);
	busy_after_rename(fs, from, to);
	fs_name_settled(fs, from->branch, from->name);
	fs_name_settled(fs, to->branch, to->name);
}

void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent,
	       const char *newname, unsigned int flags)
{
	struct fs *fs = fs_of(req);
	struct once once = once_enter(fs);
	struct fence from_fence, to_fence = {0};
	struct place from, to;
	bool moved = false;
	int r = place_enter(req, parent, name, false, &from, &from_fence);

	if (!r)
		r = place_enter(req, newparent, newname, true, &to, &to_fence);
	if (!r)
		r = may_replace(req, &from);
	if (!r)
		r = may_replace(req, &to);
	if (!r)
		settle_below(req, &to);
	if (!r)
		r = rename_once(req, &once, &from, &to, flags, &moved);
	fence_leave(&from_fence, moved && (flags & RENAME_EXCHANGE));
	fence_leave(&to_fence, moved);
	if (!r)
		renamed(fs, &from, &to, flags);
	reply_err(req, r);
	once_leave(&once);
}
