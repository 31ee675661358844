/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening.
 *
 * A published inode is never opened for writing: the open is answered ESTALE
 * once, and the kernel comes back through LOOKUP with a value of its own (see
 * fs/retry.h). An open for reading of an inode that is no longer what its name
 * shows is answered ESTALE as well, unless the kernel has just looked the name
 * up for this very open.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "fs/backing.h"
#include "fs/fuse_passthrough.h"
#include "fs/handle.h"
#include "fs/kcache.h"
#include "fs/metrics.h"
#include "fs/node.h"
#include "fs/open.h"
#include "fs/pending.h"
#include "fs/pending_reply.h"
#include "fs/reply.h"
#include "fs/retry.h"
#include "fs/sealed.h"
#include "fs/session.h"
#include "fs/texts.h"
#include "fs/waiters.h"

static bool wants_write(int flags)
{
	return (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC);
}

/* An open that nobody got. It counted in pending_open(). */
static void give_up(struct pending *p)
{
	pending_abandon(p);
	pending_note_release(p);
	pending_release(p);
}

/* The caller was interrupted: the kernel does not know the handle. */
void open_abandon(struct fs *fs, struct handle *h)
{
	if (h->writer)
		give_up(h->pending);
	backing_close(fs->backings, h);
	handle_free(fs->handles, h);
}

void open_tell(struct handle *h, struct fuse_file_info *fi)
{
	fi->fh = h->fh;
	h->told = (fi->direct_io ? HANDLE_DIRECT_IO : 0) |
		  (fi->keep_cache ? HANDLE_KEEP_CACHE : 0) |
		  (fi->noflush ? HANDLE_NOFLUSH : 0) |
		  (fi->cache_readdir ? HANDLE_CACHE_READDIR : 0);
}

struct handle *open_again(fuse_req_t req, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct handle *h = NULL;

	if (session_resent())
		h = handle_by_unique(fs->handles, session_unique());
	if (h && h->kind == HANDLE_LOST) { /* nobody knows of it */
		handle_free(fs->handles, h);
		h = NULL;
	}
	if (!h)
		return NULL;
	fi->fh = h->fh;
	fi->direct_io = !!(h->told & HANDLE_DIRECT_IO);
	fi->keep_cache = !!(h->told & HANDLE_KEEP_CACHE);
	fi->noflush = !!(h->told & HANDLE_NOFLUSH);
	fi->cache_readdir = !!(h->told & HANDLE_CACHE_READDIR);
	return h;
}

/* fuse_reply_open() has no number to send before libfuse 3.17. */
static int reply_backed(fuse_req_t req, const struct handle *h,
			const struct fuse_file_info *fi)
{
	const struct open_backed_out out = {
	    .fh = h->fh,
	    .open_flags = OPEN_PASSTHROUGH | (fi->noflush ? OPEN_NOFLUSH : 0) |
			  (fi->direct_io ? OPEN_DIRECT_IO : 0),
	    .backing_id = h->backing_id,
	};

	return fuse_reply_buf(req, (const char *)&out, sizeof(out));
}

static void send_open(fuse_req_t req, struct handle *h, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	int r = h->backing_id ? reply_backed(req, h, fi) : fuse_reply_open(req, fi);

	if (r == -ENOENT)
		open_abandon(fs, h);
}

void reply_open(fuse_req_t req, struct handle *h, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	const struct fuse_file_info asked = *fi;
	int r = backing_open(fs->backings, h, fi);

	if (!r) {
		open_tell(h, fi);
		handle_keep(fs->handles, h, buf_slice(&h->text));
	}
	/* A successor that does not know of it would have others get EIO. */
	if (!r && h->backing_id && fs->keep && !h->kept) {
		backing_off(fs->backings);
		backing_close(fs->backings, h);
		*fi = asked;
		r = backing_open(fs->backings, h, fi);
	}
	if (r) {
		open_abandon(fs, h);
		reply_err(req, r);
		return;
	}
	send_open(req, h, fi);
}

/* ---- a value being written ---- */

/* After pending_open(). Takes over the caller's reference of `p`, also on failure. */
static int open_pending(struct fs *fs, struct pending *p, bool writer, bool truncate,
			struct handle **ret_h, struct fuse_file_info *fi)
{
	struct handle *h = handle_new(fs->handles, HANDLE_PENDING);
	char name[STORE_NAME_MAX + 1];
	uint64_t branch;
	int r = 0;

	if (!h) {
		if (writer)
			give_up(p);
		pending_unref(p);
		return -ENOMEM;
	}
	h->pending = p;
	h->writer = writer;
	h->ino = h->nodeid = pending_ino(p);
	h->unique = session_unique();
	pending_where(p, &branch, name);
	h->ns_ino = metrics_ns_ino(metrics_branch(fs->metrics, branch));
	if (truncate)
		r = store_staged_truncate(pending_staged(p), 0);
	if (r) {
		open_abandon(fs, h);
		return r;
	}
	/* Its pages are never cached: what is published starts clean. */
	fi->direct_io = 1;
	fi->noflush = !writer;
	*ret_h = h;
	return 0;
}

/* A writer that was sent round has come back. */
static void forget_note(struct fs *fs, const struct fuse_ctx *ctx,
			const struct dirref *dir, uint64_t branch, const char *name)
{
	struct retry_key key = {ctx->pid, ctx->uid,
				view_retry_place(&dir->view, branch, name)};

	retry_drop(fs->retries, &key);
}

/* Takes over the handle. */
static void reply_create(fuse_req_t req, struct handle *h, struct fuse_file_info *fi)
{
	struct fuse_entry_param e;

	pending_entry(h->pending, &e);
	if (fuse_reply_create(req, &e, fi) == -ENOENT)
		open_abandon(fs_of(req), h);
}

void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	       struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	struct pending_args args = {
	    .name = name,
	    .truncate = true,
	    .exclusive = fi->flags & O_EXCL,
	    .mode = mode,
	    .uid = ctx->uid,
	    .gid = ctx->gid,
	    .tid = ctx->pid,
	};
	struct store_attr attr;
	struct pending *p = NULL;
	struct handle *h = open_again(req, fi);
	struct dirref dir;
	struct limit_hold hold = {0};
	int r;

	if (h) {
		reply_create(req, h, fi);
		return;
	}
	r = limits_take(fs->limits, LIMIT_HANDLES, ctx->uid, 1, &hold);
	if (r) {
		reply_err(req, r);
		return;
	}
	r = dirref_child(fs, parent, name, true, &dir, &args.branch);
	if (!r && (dir.view.set & VIEW_OWNER))
		args.owner = dir.view.owner;
	if (!r)
		args.sealed = dir.view.set & VIEW_PACK;
	if (!r)
		forget_note(fs, ctx, &dir, args.branch, name);
	if (!r)
		pending_wait(fs->pending, args.branch, name, ctx->pid);
	if (!r && (dir.view.set & (VIEW_MAX_AGE | VIEW_SINCE)))
		r = dirref_may_replace(fs, &dir, args.branch, name, ctx->uid);
	if (!r)
		r = pending_new(fs->pending, &args, &p);
	/* It is being computed by this one. */
	dir.view.set &= ~VIEW_STALE;
	/* After it is in the table: of two that create, one sees the other. */
	if (!r && dirref_lookup(fs, &dir, args.branch, name, &attr) == 0) {
		if (S_ISDIR(attr.mode))
			r = -EISDIR;
		else if (args.exclusive)
			r = -EEXIST;
	}
	if (r) {
		if (p)
			pending_drop(p);
		limit_give(&hold);
		reply_err(req, r);
		return;
	}
	/* Whoever makes it publishes it, also when opened for reading only. Nobody
	 * knows it yet, so that this cannot fail. */
	pending_open(p, true);
	r = open_pending(fs, p, true, false, &h, fi);
	if (r) {
		limit_give(&hold);
		reply_err(req, r);
		return;
	}
	limit_move(&h->hold, &hold);
	open_tell(h, fi);
	handle_keep(fs->handles, h, slice(NULL, 0));
	reply_create(req, h, fi);
}

/* ---- notes ---- */

/* A published inode, as the node that is opened shows it. */
struct target {
	fuse_ino_t nodeid;
	uint64_t ino;
	struct view view; /* of a VNODE_FILE; else none */
};

static struct retry_key note_key(fuse_req_t req, const struct target *t)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	char name[STORE_NAME_MAX + 1];
	struct retry_key key = {.tid = ctx->pid, .uid = ctx->uid};
	uint64_t branch;

	if (!key.tid && name_of_ino(fs_of(req), t->ino, &branch, name) == 0)
		key.place = view_retry_place(&t->view, branch, name);
	return key;
}

/* Ask for another lookup, which will pin what it finds. `why`: as it was opened. */
static int refuse_read(fuse_req_t req, const struct target *t, int why)
{
	struct retry_key key = note_key(req, t);
	struct retry note = {
	    .kind = RETRY_READ,
	    .ino = t->nodeid,
	    .damaged = why == -EUCLEAN,
	};

	retry_put(fs_of(req)->retries, &key, &note);
	return -ESTALE;
}

/* Nobody goes on from a pack that he may not read; the LOOKUP to come asks again. */
static int check_base(fuse_req_t req, const struct target *t)
{
	struct store_attr attr;

	if (!(t->view.set & VIEW_PACK) || store_getattr(fs_of(req)->store, t->ino, &attr))
		return 0;
	return sealed_may_go_on(req, &attr) == -EACCES ? -EACCES : 0;
}

/*
 * Ask for another lookup, at which the writer gets its own value. When the same
 * inode comes again without one (through /proc/PID/fd, where there is no name) it
 * stays at that, and no note may be left for what the thread looks up next.
 */
static int refuse_write(fuse_req_t req, const struct target *t, int flags)
{
	struct fs *fs = fs_of(req);
	struct retry_key key = note_key(req, t);
	struct retry former, note = {
				 .kind = RETRY_WRITE,
				 .ino = t->nodeid,
				 .truncate = flags & O_TRUNC,
			     };

	if (is_read_only(fs, &t->view))
		return -EROFS;
	if (store_ino_in_tree(t->ino))
		return sealed_refuse(fs, t->ino);
	if (!note.truncate && check_base(req, t))
		return -EACCES;
	if (retry_take(fs->retries, &key, &former)) {
		retry_unpin(&former);
		if (former.kind == RETRY_WRITE && former.ino == t->nodeid)
			return -ESTALE;
	}
	retry_put(fs->retries, &key, &note);
	return -ESTALE;
}

/* ---- a published generation ---- */

/* A publish of this inode's name may be under way: let it be done first. */
static void wait_for_name(struct fs *fs, uint64_t ino, pid_t tid)
{
	char name[STORE_NAME_MAX + 1];
	uint64_t branch;

	if (pending_releasing(fs->pending) && entry_of_ino(fs, ino, &branch, name) == 0)
		pending_wait(fs->pending, branch, name, tid);
}

/* Is it a hit now, by the view's own rules? -ENOENT: no, or gone meanwhile. */
static int judge(struct fs *fs, const struct target *t)
{
	if (!(t->view.set & (VIEW_MAX_AGE | VIEW_SINCE | VIEW_STALE)))
		return 0;
	return view_judge_ino(fs, &t->view, t->ino);
}

static int open_current(struct fs *fs, const struct target *t, struct store_gen **ret_gen)
{
	struct store_gen *gen;
	int r = view_gen_open(fs, &t->view, t->ino, &gen);

	if (r)
		return r;
	r = judge(fs, t);
	if (r)
		store_gen_close(gen);
	else
		*ret_gen = gen;
	return r;
}

/*
 * The generation for reading. -ESTALE: look again. What the thread's note has
 * pinned was current when this very open looked the name up.
 */
static int find_gen(fuse_req_t req, const struct target *t, struct store_gen **ret_gen)
{
	struct fs *fs = fs_of(req);
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	struct retry_key key = {ctx->pid, ctx->uid, retry_place_ino(t->nodeid)};
	struct retry note;
	bool noted = retry_take(fs->retries, &key, &note);
	int r;

	if (!noted && !key.tid) {
		key = note_key(req, t);
		noted = retry_take(fs->retries, &key, &note);
	}

	if (noted && note.gen && note.ino == t->nodeid) {
		*ret_gen = note.gen;
		return 0;
	}
	if (noted)
		retry_unpin(&note);
	wait_for_name(fs, t->ino, ctx->pid);
	r = open_current(fs, t, ret_gen);
	if (r != -ENOENT && r != -ETIME && r != -EUCLEAN)
		return r;
	/* The same inode again without a lookup: through /proc/PID/fd, where
	 * there is no name. What is open may be opened again. */
	if (noted && note.ino == t->nodeid && !note.looked_up &&
	    store_gen_reopen(fs->store, t->ino, ret_gen) == 0)
		return 0;
	return refuse_read(req, t, r);
}

int open_found(struct fs *fs, uint64_t ino, struct store_gen *gen, struct handle **ret_h,
	       struct fuse_file_info *fi)
{
	struct handle *h = handle_new(fs->handles, HANDLE_GEN);

	if (!h) {
		store_gen_close(gen);
		return -ENOMEM;
	}
	h->gen = gen;
	h->ino = ino;
	store_gen_hit(gen);
	h->ns_ino = metrics_ns_ino(metrics_hit(fs->metrics, gen));
	fi->noflush = 1;
	*ret_h = h;
	return 0;
}

static int open_gen(fuse_req_t req, const struct target *t, struct handle **ret_h,
		    struct fuse_file_info *fi)
{
	struct store_gen *gen;
	int r = find_gen(req, t, &gen);

	if (r)
		return r;
	if (t->view.set & VIEW_PACK)
		r = sealed_may_read(req, t->ino);
	if (r) {
		store_gen_close(gen);
		return r == -ENOENT ? refuse_read(req, t, r) : r;
	}
	fi->keep_cache = 1; /* a generation never changes */
	return open_found(fs_of(req), t->ino, gen, ret_h, fi);
}

/*
 * A reader has found the value that a LOOKUP made for a writer who is still to
 * come: the two cannot be told apart when the daemon sees neither. It reads what
 * is published, which must not get into the pages of the writer's inode.
 */
static int open_behind(fuse_req_t req, struct pending *p, struct handle **ret_h,
		       struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct target t = {.nodeid = pending_ino(p), .ino = pending_ino(p)};
	char name[STORE_NAME_MAX + 1];
	struct store_gen *gen;
	struct store_attr attr;
	uint64_t branch;
	int r;

	if (!pending_is_open(p)) /* it came, and has closed it */
		return open_gen(req, &t, ret_h, fi);
	pending_where(p, &branch, name);
	r = store_lookup(fs->store, branch, name, &attr);
	if (!r && sealed_is_tree(&attr)) /* who sees this value sees packs */
		attr.ino = store_tree_stream(attr.ino);
	if (!r)
		r = store_gen_open(fs->store, attr.ino, &gen);
	if (r)
		return refuse_read(req, &t, r);
	fi->direct_io = 1;
	return open_found(fs, attr.ino, gen, ret_h, fi);
}

/* ---- a control file ---- */

static int open_text(fuse_req_t req, uint64_t nodeid, int flags, struct handle **ret_h,
		     struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct vnode v;
	struct handle *h;
	int r = vnode_get(fs->vnodes, nodeid, &v);

	if (r)
		return -ESTALE;
	if (!vnode_is_text(&v))
		return -EISDIR;
	if (wants_write(flags) && v.kind == VNODE_TEXT)
		return -EPERM;
	if (wants_write(flags) && is_read_only(fs, &v.view))
		return -EROFS;
	h = handle_new(fs->handles, HANDLE_TEXT);
	if (!h)
		return -ENOMEM;
	if (v.kind != VNODE_RESERVATION)
		session_pass_token(); /* some take as long as thousands of reads */
	r = text_of_node(req, &v, &h->text);
	if (!r)
		r = handle_count_text(fs->handles, h);
	if (r) {
		handle_free(fs->handles, h);
		return r;
	}
	fi->direct_io = 1; /* its length is not known before it is read */
	fi->noflush = 1;
	*ret_h = h;
	return 0;
}

/* ---- the requests ---- */

static int open_file(fuse_req_t req, uint64_t ino, struct handle **ret_h,
		     struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	bool writer = wants_write(fi->flags);
	struct pending *p = pending_by_ino(fs->pending, ino);
	struct target t = {.nodeid = ino, .ino = ino};
	int r;

	if (p && pending_open(p, writer) == 0)
		return open_pending(fs, p, writer, fi->flags & O_TRUNC, ret_h, fi);
	if (writer)
		r = refuse_write(req, &t, fi->flags);
	else if (p)
		r = open_behind(req, p, ret_h, fi);
	else
		r = open_gen(req, &t, ret_h, fi);
	pending_unref(p);
	return r;
}

/* A file under a view: it has been published, and its node is not that of a value. */
static int open_viewed(fuse_req_t req, const struct vnode *v, struct handle **ret_h,
		       struct fuse_file_info *fi)
{
	struct target t = {.nodeid = v->id, .ino = v->ino, .view = v->view};

	return wants_write(fi->flags) ? refuse_write(req, &t, fi->flags)
				      : open_gen(req, &t, ret_h, fi);
}

void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct limit_hold hold = {0};
	struct handle *h = open_again(req, fi);
	struct vnode v = {0};
	int r;

	if (fs_of(req)->no_open) { /* nor will it ask again */
		reply_err(req, -ENOSYS);
		return;
	}
	if (h) {
		send_open(req, h, fi);
		return;
	}
	if (vnode_is(ino) && vnode_get(fs_of(req)->vnodes, ino, &v) == 0 &&
	    v.kind == VNODE_WAIT) {
		wait_open(req, &v, fi->flags);
		return;
	}
	r = limits_take(fs_of(req)->limits, LIMIT_HANDLES, fuse_req_ctx(req)->uid, 1,
			&hold);
	if (r) {
		reply_err(req, r);
		return;
	}
	if (!vnode_is(ino))
		r = open_file(req, ino, &h, fi);
	else if (v.kind == VNODE_FILE)
		r = open_viewed(req, &v, &h, fi);
	else
		r = open_text(req, ino, fi->flags, &h, fi);
	if (r) {
		limit_give(&hold);
		reply_err(req, r);
		return;
	}
	limit_move(&h->hold, &hold);
	h->nodeid = ino;
	h->unique = session_unique();
	reply_open(req, h, fi);
}
