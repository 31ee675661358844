/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attributes of inodes, symlinks' targets, and the file system's own figures.
 */
#include <errno.h>
#include <string.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "fs/attach.h"
#include "fs/fast.h"
#include "fs/handle.h"
#include "fs/kcache.h"
#include "fs/metrics.h"
#include "fs/node.h"
#include "fs/pending.h"
#include "fs/recent.h"
#include "fs/reply.h"
#include "fs/reservation.h"
#include "fs/sealed.h"
#include "fs/stage.h"
#include "fs/waiters.h"
#include "store/util/log.h"

/* `gone`: it has no name any more, and the kernel is to ask each time. */
static void reply_attr(fuse_req_t req, int r, const struct store_attr *attr, bool cache,
		       bool gone)
{
	struct stat st;

	if (r) {
		reply_stale(req, r);
		return;
	}
	attr_to_stat(attr, &st);
	if (gone)
		st.st_nlink = 0;
	fuse_reply_attr(req, &st, cache ? kcache_attr_timeout(fs_of(req)) : 0);
}

/* ---- virtual nodes ---- */

/* It has lost its name, and somebody may have it open inside the kernel. */
static int attr_of_nameless(struct fs *fs, uint64_t ino, struct store_attr *ret_attr)
{
	int r = store_gen_attr_by_ino(fs->store, ino, ret_attr);
	struct store_gen *gen;

	if (r != -ENOENT || !fs->fast || fast_gen(fs->fast, ino, &gen))
		return r;
	r = store_gen_attr_by_ino(fs->store, ino, ret_attr);
	store_gen_close(gen);
	return r;
}

/* Of what is published, or removed and still open, or was given out lately. */
static int attr_of_published(struct fs *fs, uint64_t ino, struct store_attr *ret_attr,
			     bool *ret_gone)
{
	int r = store_getattr(fs->store, ino, ret_attr);

	*ret_gone = r == -ENOENT;
	if (r == -ENOENT)
		r = attr_of_nameless(fs, ino, ret_attr);
	if (!r) {
		sealed_stream_mode(ret_attr);
		sealed_restrict(fs, ret_attr);
	}
	return r == -ENOENT ? recent_get(fs->recent, ino, ret_attr) : r;
}

/* All kinds but files, which have attributes of an inode. `dir_ns`: see dir_times(). */
static int stat_vnode(struct fs *fs, const struct vnode *v, int64_t dir_ns,
		      struct stat *ret_st)
{
	struct store_attr attr;
	bool gone;
	int r;

	switch (v->kind) {
	case VNODE_DIR:
		r = attr_of_published(fs, v->dir_ino, &attr, &gone);
		if (r)
			return r;
		store_dir_times(dir_ns, &attr.mtime_ns, &attr.ctime_ns);
		attr_to_stat(&attr, ret_st);
		ret_st->st_ino = vnode_st_ino(v);
		return 0;
	case VNODE_RESERVATIONS:
	case VNODE_RESERVATION:
		return reservation_stat(fs, v, ret_st);
	case VNODE_WAIT:
		return wait_getattr(fs, v, ret_st);
	default:
		vnode_to_stat(fs, v, ret_st);
		return 0;
	}
}

/* The size of a text that cannot be opened is asked for. */
static int stat_text(struct fs *fs, const struct vnode *v, struct stat *st)
{
	size_t len;
	int r;

	if (!fs->no_open || !vnode_is_text(v))
		return 0;
	r = fast_text_len(fs->fast, v->id, &len);
	if (!r)
		st->st_size = (off_t)len;
	return r;
}

static void getattr_vnode(fuse_req_t req, const struct vnode *v, int64_t dir_ns)
{
	struct stat st;
	int r = stat_vnode(fs_of(req), v, dir_ns, &st);

	if (!r)
		r = stat_text(fs_of(req), v, &st);
	if (r)
		reply_stale(req, r);
	else
		fuse_reply_attr(req, &st, 0);
}

/* ---- get ---- */

/* The same, or being written. */
static int attr_of(struct fs *fs, uint64_t ino, struct store_attr *ret_attr,
		   bool *ret_cache, bool *ret_gone)
{
	struct pending *p = pending_by_ino(fs->pending, ino);
	int r;

	*ret_cache = true;
	*ret_gone = false;
	if (p) {
		store_staged_attr(pending_staged(p), ret_attr);
		pending_unref(p);
		return 0;
	}
	r = attr_of_published(fs, ino, ret_attr, ret_gone);
	*ret_cache = !*ret_gone;
	return r;
}

void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct handle *h = fi ? handle_get(fs_of(req)->handles, fi->fh) : NULL;
	struct store_attr attr;
	bool cache = false, gone = false, stays;
	struct vnode v;
	int64_t dir_ns;
	/* First: what is published in between is in the store. */
	int r = dir_times(fs_of(req), ino, &dir_ns, &stays);

	if (r) {
		reply_err(req, r);
		return;
	}
	if (vnode_is(ino)) {
		if (vnode_get(fs_of(req)->vnodes, ino, &v)) {
			reply_err(req, -ESTALE);
			return;
		}
		if (v.kind != VNODE_FILE) {
			getattr_vnode(req, &v, dir_ns);
			return;
		}
		ino = v.ino;
	}
	r = attr_of(fs_of(req), ino, &attr, &cache, &gone);
	if (r == -ENOENT && h && h->kind == HANDLE_PENDING) {
		/* Closed by its writers, unlinked, and still open here. */
		store_staged_attr(pending_staged(h->pending), &attr);
		r = 0;
	}
	if (!r && S_ISDIR(attr.mode)) {
		store_dir_times(dir_ns, &attr.mtime_ns, &attr.ctime_ns);
		cache = cache && stays;
	}
	reply_attr(req, r, &attr, cache, gone);
}

/* ---- set ---- */

/* What is before or after all times that can be kept is the first or the last. */
static int64_t from_timespec(const struct timespec *ts)
{
	int64_t ns;

	if (__builtin_mul_overflow(ts->tv_sec, NSEC_PER_SEC, &ns) ||
	    __builtin_add_overflow(ns, ts->tv_nsec, &ns))
		return ts->tv_sec < 0 ? INT64_MIN + 1 : INT64_MAX - 1;
	return ns;
}

/* What the store is to set, out of what the kernel asks. The size apart. */
static unsigned int decode(const struct stat *st, int to_set, struct store_attr *ret_attr)
{
	int64_t now_ns = time_now_ns();
	unsigned int set = 0;

	*ret_attr = (struct store_attr){
	    .mode = st->st_mode & 07777,
	    .uid = st->st_uid,
	    .gid = st->st_gid,
	    .atime_ns = from_timespec(&st->st_atim),
	    .mtime_ns = from_timespec(&st->st_mtim),
	};
	if (to_set & FUSE_SET_ATTR_MODE)
		set |= STORE_SET_MODE;
	if (to_set & FUSE_SET_ATTR_UID)
		set |= STORE_SET_UID;
	if (to_set & FUSE_SET_ATTR_GID)
		set |= STORE_SET_GID;
	if (to_set & (FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_ATIME_NOW))
		set |= STORE_SET_ATIME;
	if (to_set & (FUSE_SET_ATTR_MTIME | FUSE_SET_ATTR_MTIME_NOW))
		set |= STORE_SET_MTIME;
	if (to_set & FUSE_SET_ATTR_ATIME_NOW)
		ret_attr->atime_ns = now_ns;
	if (to_set & FUSE_SET_ATTR_MTIME_NOW)
		ret_attr->mtime_ns = now_ns;
	return set;
}

static int set_staged(struct store_staged *sg, const struct stat *st, int to_set,
		      struct store_attr *ret_attr)
{
	struct store_attr want;
	unsigned int set = decode(st, to_set, &want);
	int r = 0;

	if (to_set & FUSE_SET_ATTR_SIZE)
		r = store_staged_truncate(sg, (uint64_t)st->st_size);
	if (!r && set)
		r = store_staged_setattr(sg, set, &want, ret_attr);
	else if (!r)
		store_staged_attr(sg, ret_attr);
	return r;
}

/* A pack of another length is none. */
static int check_truncated(struct store_staged *sg, const char *name)
{
	struct errmsg err = {0};
	int r = store_staged_check(sg, &err);

	if (r)
		log_warning("\"%s\" is not truncated: %s", name, err.text);
	return r;
}

/*
 * truncate(2) of a published value makes a new generation at once: there is no
 * close to wait for. ESTALE then lets the kernel look the name up and find it,
 * with the size it asked for.
 */
static int truncate_published(fuse_req_t req, const struct view *view,
			      const struct store_attr *attr, uint64_t size)
{
	struct fs *fs = fs_of(req);
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	struct store_stage_args args = {
	    .base_ino = attr->ino,
	    .truncate = size == 0,
	    .sealed = attr->sealed || (view->set & VIEW_PACK),
	    .writer = {.uid = ctx->uid, .gid = ctx->gid, .pid = ctx->pid},
	};
	char name[STORE_NAME_MAX + 1];
	struct store_staged *sg;
	struct fence fence;
	int r = name_of_ino(fs, attr->ino, &args.branch, name);

	if (!r)
		r = store_stage(fs->store, &args, &sg);
	if (r == -ETIME) /* it has expired, as the kernel will find */
		r = -ESTALE;
	if (r)
		return r;
	r = fence_enter(fs, view, args.branch, name, &fence);
	if (!r)
		r = store_staged_truncate(sg, size);
	if (!r && args.sealed)
		r = check_truncated(sg, name);
	if (!r)
		r = store_publish(sg, args.branch, name, false, NULL, NULL);
	fence_leave(&fence, !r);
	store_staged_free(sg);
	if (r)
		return r;
	metrics_add(metrics_branch(fs->metrics, args.branch), STORE_COUNT_PUBLISHED, 1);
	kcache_wait(fs->kcache, kcache_name_changed(fs->kcache, args.branch, name, 0));
	fs_name_settled(fs, args.branch, name);
	return -ESTALE;
}

static int set_published(fuse_req_t req, const struct view *view, uint64_t ino,
			 const struct stat *st, int to_set, struct store_attr *ret_attr)
{
	struct fs *fs = fs_of(req);
	struct store_attr want;
	unsigned int set = decode(st, to_set, &want);
	int r = store_getattr(fs->store, ino, ret_attr);

	if (r)
		return r;
	if (to_set & FUSE_SET_ATTR_SIZE) {
		if (S_ISDIR(ret_attr->mode))
			return -EISDIR;
		if (st->st_size < 0 || st->st_size > STORE_FILE_MAX)
			return -EFBIG;
		if ((uint64_t)st->st_size != ret_attr->size_bytes)
			return truncate_published(req, view, ret_attr,
						  (uint64_t)st->st_size);
	}
	return set ? store_setattr(fs->store, ino, set, &want, ret_attr) : 0;
}

/* The kernel knows the stage by a node of its own. Returns what to kcache_wait() for. */
static uint64_t stage_changed(struct fs *fs, const struct store_attr *dir)
{
	uint64_t stage = stage_follow(fs->store, dir);

	return stage ? kcache_dir_changed(fs->kcache, stage, 0) : 0;
}

/* A tree is known by two numbers. Returns the same. */
static uint64_t tree_changed(struct fs *fs, uint64_t ino, uint64_t through)
{
	uint64_t stream = store_ino_in_tree(ino) ? store_tree_stream(ino) : ino;
	uint64_t of_stream = kcache_file_changed(fs->kcache, stream, through);

	return kcache_later(
	    of_stream,
	    kcache_dir_changed(fs->kcache, store_tree_of_stream(stream), through));
}

static uint64_t node_changed(struct fs *fs, const struct store_attr *attr,
			     uint64_t through)
{
	if (attr->sealed)
		return tree_changed(fs, attr->ino, through);
	if (S_ISDIR(attr->mode))
		return kcache_dir_changed(fs->kcache, attr->ino, through);
	return kcache_file_changed(fs->kcache, attr->ino, through);
}

/* What is published has got these attributes by a request about `through`, which is to be
 * answered when every other path to it shows them. */
static void attr_changed(struct fs *fs, struct store_attr *attr, int to_set,
			 uint64_t through)
{
	uint64_t told = 0;

	sealed_stream_mode(attr);
	if (!S_ISDIR(attr->mode) || attr->sealed)
		recent_put(fs->recent, attr);
	/* All that is in a tree has its owner, by which the kernel lets people in. */
	if (attr->sealed && (to_set & (FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID)))
		kcache_all_changed(fs->kcache);
	if (S_ISDIR(attr->mode) && !attr->sealed &&
	    (to_set & (FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID)))
		told = stage_changed(fs, attr);
	/* Of an attached mount a lookup may be under way, which has looked at it. */
	if (S_ISDIR(attr->mode) &&
	    (to_set & (FUSE_SET_ATTR_MODE | FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID)))
		attach_all_changed(fs);
	kcache_wait(fs->kcache, kcache_later(told, node_changed(fs, attr, through)));
}

void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *st, int to_set,
		struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct handle *h = fi ? handle_get(fs->handles, fi->fh) : NULL;
	struct store_attr attr = {0};
	struct pending *p;
	struct view view;
	uint64_t target;
	bool cache = true, published;
	int r = node_ino(fs, ino, &target);

	if (!r)
		r = node_view(fs, ino, &view);
	if (!r && (view.set & VIEW_RO))
		r = -EROFS;
	if (!r && sealed_is_inside(target))
		r = sealed_refuse(fs, target);
	if (r) {
		reply_stale(req, r);
		return;
	}
	dir_settle(req, ino); /* else a publish could overwrite times set after it */
	p = vnode_is(ino) ? NULL : pending_by_ino(fs->pending, target);
	if (p && (to_set & FUSE_SET_ATTR_SIZE))
		pending_wrote(p, fuse_req_ctx(req)->pid);
	if (p)
		r = set_staged(pending_staged(p), st, to_set, &attr);
	published = !p || !pending_is_open(p);
	if (published) /* perhaps meanwhile, and without */
		r = set_published(req, &view, target, st, to_set, &attr);
	if (r == -ENOENT && h && h->kind == HANDLE_PENDING)
		r = set_staged(pending_staged(h->pending), st, to_set, &attr);
	if (!r && published)
		attr_changed(fs, &attr, to_set, ino);
	if (!r && S_ISDIR(attr.mode))
		cache = !vnode_is(ino) && !dir_busy(fs, attr.ino);
	reply_attr(req, r, &attr, cache, false);
	pending_unref(p);
}

/* ---- the rest ---- */

void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
	CLEANUP_BUF struct buf target = BUF_INIT;
	uint64_t link;
	int r = node_ino(fs_of(req), ino, &link);

	if (!r)
		r = store_readlink(fs_of(req)->store, link, &target);
	if (!r)
		r = buf_append(&target, "", 1);
	if (r)
		reply_stale(req, r);
	else
		fuse_reply_readlink(req, (const char *)target.data);
}

/* Of what df shows, the bytes. */
struct space {
	uint64_t total, used, avail;
};

static uint64_t less_or_0(uint64_t a, uint64_t b)
{
	return a > b ? a - b : 0;
}

static uint64_t min_u64(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static struct space store_space(struct store *st, const struct store_stats *s)
{
	struct store_bounds b;

	store_bounds(st, &b);
	if (b.size_bytes == STORE_SIZE_NONE)
		return (struct space){
		    .total = s->disk_total_bytes,
		    .used = less_or_0(s->disk_total_bytes, s->disk_free_bytes),
		    .avail = s->disk_avail_bytes};
	return (struct space){.total = b.size_bytes,
			      .used = min_u64(b.total_bytes, b.size_bytes),
			      .avail = min_u64(less_or_0(b.size_bytes, b.total_bytes),
					       s->disk_avail_bytes)};
}

/* Where the children of a directory are, or where anything else is. -ENOENT. */
static int branch_of(struct fs *fs, fuse_ino_t nodeid, uint64_t *ret_branch)
{
	CLEANUP_BUF struct buf name = BUF_INIT;
	struct store_attr attr;
	struct vnode v;
	int r;

	if (nodeid & VNODE_BIT) {
		r = vnode_get(fs->vnodes, nodeid, &v);
		if (!r)
			*ret_branch = v.dir_ino;
		return r;
	}
	r = store_getattr(fs->store, nodeid, &attr);
	if (r || S_ISDIR(attr.mode)) {
		*ret_branch = nodeid;
		return r;
	}
	return store_where(fs->store, nodeid, ret_branch, &name);
}

/* Below a quota there is no more than that has left. */
static void bound_by_quota(struct fs *fs, fuse_ino_t nodeid, struct space *space)
{
	struct store_quota q;
	uint64_t branch;

	if (branch_of(fs, nodeid, &branch) || store_quota(fs->store, branch, &q))
		return;
	space->total = min_u64(space->total, q.quota_bytes);
	space->used = min_u64(q.used_bytes, space->total);
	space->avail = min_u64(space->avail, less_or_0(q.quota_bytes, q.used_bytes));
}

void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	enum { BLOCK = 4096 };
	struct fs *fs = fs_of(req);
	struct statvfs sv = {.f_bsize = BLOCK, .f_frsize = BLOCK, .f_namemax = 255};
	struct store_stats s;
	struct space space;
	int r = store_stats(fs->store, &s);

	if (r) {
		reply_err(req, r);
		return;
	}
	space = store_space(fs->store, &s);
	bound_by_quota(fs, ino, &space);
	sv.f_blocks = space.total / BLOCK;
	sv.f_bfree = sv.f_blocks - (space.used + BLOCK - 1) / BLOCK;
	if (space.used + BLOCK - 1 > space.total)
		sv.f_bfree = 0;
	sv.f_bavail = min_u64(space.avail / BLOCK, sv.f_bfree);
	/* Inode numbers do not run out; the disk does. */
	sv.f_files = s.entries + s.dirs + sv.f_bavail;
	sv.f_ffree = sv.f_bavail;
	sv.f_favail = sv.f_bavail;
	fuse_reply_statfs(req, &sv);
}
