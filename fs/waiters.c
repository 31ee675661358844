/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/waiters.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "fs/metrics.h"
#include "fs/open.h"
#include "fs/pending.h"
#include "fs/reply.h"
#include "fs/retry.h"
#include "fs/sealed.h"
#include "fs/session.h"
#include "fs/wait_table.h"
#include "store/lease.h"
#include "store/util/keep.h"

/* execve(2) opens with it; fcntl.h of the C library does not have it. */
#define OPEN_FOR_EXEC 00000040

/* What there is to know about a name. */
struct name_state {
	bool being_written;
	bool leased;
	bool published; /* and live, whatever the view says */
	struct store_lease lease;
	struct store_attr attr;
};

struct waiters {
	struct fs *fs;
	struct wait_table *table;
	/* The thread's, from look() to answer(). */
	uint64_t branch;
	const char *name;
	struct name_state state;
	/* struct kept_wait, of a daemon before this one; sorted, its length is fixed. */
	struct buf kept;
};

/* An open that is kept. */
struct parked {
	struct waiter w;
	fuse_req_t req;
	uint64_t nodeid;
	uint64_t unique;
	struct kept *kept; /* its deadline: see "kept" */
	int flags;	   /* of open(2) */
	int64_t since_ns;  /* monotonic: since when it has to wait; 0: not yet */
	uint64_t ns_ino;   /* from then on: where */
	struct limit_hold hold;
};

/* ---- what there is ---- */

/*
 * Who computes it comes first: what is published then is found after it, so that a
 * name is never seen as free and missing when it was one or the other all the time.
 */
static void look_at_name(struct fs *fs, uint64_t branch, const char *name,
			 struct name_state *ret_state)
{
	ret_state->leased =
	    store_lease_get(fs->store, branch, name, &ret_state->lease) == 0;
	ret_state->being_written = pending_busy(fs->pending, branch, name);
	ret_state->published =
	    store_lookup(fs->store, branch, name, &ret_state->attr) == 0;
}

static bool is_hit(const struct name_state *s, const struct view *v)
{
	return s->published && view_admits(v, &s->attr, time_now_ns(), NULL);
}

/* Does anybody compute it? Who has the lease does not wait for himself. */
static bool is_computed(const struct name_state *s, const struct view *v)
{
	return s->being_written || (s->leased && !view_owns(v, &s->lease));
}

/* ---- the node ---- */

/*
 * Not the node's id: between stat(2) and open(2) the kernel may forget the node and
 * find another.
 */
static ino_t st_ino_of(const struct vnode *v)
{
	return VNODE_BIT | hash_bytes(v->name, strlen(v->name), v->dir_ino);
}

/*
 * Its owner and mode are those of what is to come, as far as they are known, since
 * cp takes them from here: those which the value has so far; before there is one,
 * who may write the directory may write it, and all may read.
 */
static void stat_empty(struct fs *fs, const struct vnode *v, uint64_t branch,
		       struct stat *ret_st)
{
	struct store_attr attr = {.mtime_ns = fs->started_ns};
	struct store_lease lease;

	if (pending_attr(fs->pending, branch, v->name, &attr)) {
		store_getattr(fs->store, v->dir_ino, &attr);
		attr.mode = S_IFREG | 0444 | (attr.mode & 0222);
		if (store_lease_get(fs->store, branch, v->name, &lease) == 0)
			attr.mtime_ns = lease.since_ns;
		attr.atime_ns = attr.ctime_ns = attr.mtime_ns;
	}
	attr.ino = st_ino_of(v);
	attr.size_bytes = attr.disk_bytes = 0;
	attr_to_stat(&attr, ret_st);
}

int wait_getattr(struct fs *fs, const struct vnode *v, struct stat *ret_st)
{
	struct store_attr attr;
	uint64_t branch;
	int r;

	if (!v->ino) {
		r = vnode_branch(fs, v, false, &branch);
		if (!r)
			stat_empty(fs, v, branch, ret_st);
		return r;
	}
	r = store_getattr(fs->store, v->ino, &attr);
	if (r == -ENOENT)
		r = store_gen_attr_by_ino(fs->store, v->ino, &attr);
	if (r)
		return r;
	sealed_stream_mode(&attr);
	attr_to_stat(&attr, ret_st);
	ret_st->st_ino = st_ino_of(v);
	return 0;
}

/* It is never cached: not the name, which means something else any moment. */
static int make_node(struct fs *fs, const struct dirref *dir, uint64_t branch,
		     const char *name, struct fuse_entry_param *ret_e)
{
	struct vnode v = {
	    .parent_id = dir->nodeid,
	    .kind = VNODE_WAIT,
	    .dir_ino = dir->ino,
	    .view = dir->view,
	};
	int r;

	strcpy(v.name, name);
	r = vnode_intern(fs->vnodes, &v, &v.id, NULL);
	if (r)
		return r;
	*ret_e = (struct fuse_entry_param){.ino = v.id};
	stat_empty(fs, &v, branch, &ret_e->attr);
	return 0;
}

int wait_lookup(struct fs *fs, const struct dirref *dir, uint64_t branch,
		const char *name, struct fuse_entry_param *ret_e)
{
	struct name_state state;

	look_at_name(fs, branch, name, &state);
	if (is_hit(&state, &dir->view))
		return -EAGAIN;
	if (!is_computed(&state, &dir->view))
		return -ENOENT;
	return make_node(fs, dir, branch, name, ret_e);
}

/* ---- answering; by the thread ---- */

static void see_name(void *arg, uint64_t branch, const char *name, int64_t *ret_left_ns)
{
	struct waiters *ws = arg;

	ws->branch = branch;
	ws->name = name;
	look_at_name(ws->fs, branch, name, &ws->state);
	/* A descriptor's lease ends with an event, a named one by time, too. */
	*ret_left_ns = ws->state.leased ? ws->state.lease.left_ns : DURATION_NONE;
}

/*
 * May the caller read it for certain? The kernel has checked the node's mode only.
 * Which groups the caller is in besides its own is not known, so that others are
 * let in only where the group is, too; nor is what privileges it has.
 */
static bool may_read(const struct fuse_ctx *ctx, const struct store_attr *attr)
{
	if (ctx->uid == attr->uid)
		return attr->mode & S_IRUSR;
	if (ctx->gid == attr->gid)
		return attr->mode & S_IRGRP;
	return (attr->mode & S_IRGRP) && (attr->mode & S_IROTH);
}

/*
 * The kernel is to walk again, and to check by itself whether the caller may read,
 * write or execute what it finds. (cp then says that the file was replaced.)
 */
static int send_round(fuse_req_t req, const struct vnode *v, uint64_t branch,
		      const struct retry *note)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	struct retry_key key = {ctx->pid, ctx->uid,
				view_retry_place(&v->view, branch, v->name)};

	retry_put(fs_of(req)->retries, &key, note);
	return -ESTALE;
}

/*
 * The node is this generation from now on. Somebody else may just be told that it is
 * an empty file: what the kernel has asked before this notice it does not believe any
 * more. Otherwise the answer to what the reader asks next could come second, and be
 * the one that is not believed, and he would read nothing.
 */
static int become(struct fs *fs, const struct vnode *v, uint64_t ino)
{
	int r = vnode_bind(fs->vnodes, v->id, ino);

	if (!r && !v->ino)
		fuse_lowlevel_notify_inval_inode(fs->se, v->id, -1, 0);
	return r;
}

static int open_limited(struct fs *fs, uid_t uid, uint64_t ino, struct store_gen *gen,
			struct handle **ret_h, struct fuse_file_info *fi)
{
	struct limit_hold hold = {0};
	int r = limits_take(fs->limits, LIMIT_HANDLES, uid, 1, &hold);

	if (r) {
		store_gen_close(gen);
		return r;
	}
	r = open_found(fs, ino, gen, ret_h, fi);
	if (r)
		limit_give(&hold);
	else
		limit_move(&(*ret_h)->hold, &hold);
	return r;
}

/* -ENOENT, -ETIME, -EUCLEAN: it has just lost its name. */
static int open_published(struct waiters *ws, struct parked *p, const struct vnode *v,
			  struct handle **ret_h, struct fuse_file_info *fi)
{
	struct retry note = {.kind = RETRY_READ};
	struct store_attr attr = ws->state.attr;
	struct store_gen *gen;
	int r = sealed_show(ws->fs, &v->view, &attr);

	if (r)
		return r;
	if (!S_ISREG(attr.mode) || (p->flags & OPEN_FOR_EXEC) ||
	    !may_read(fuse_req_ctx(p->req), &attr))
		return send_round(p->req, v, ws->branch, &note);
	r = store_gen_open(ws->fs->store, attr.ino, &gen);
	if (r)
		return r;
	r = sealed_may_read(p->req, attr.ino);
	if (r) {
		store_gen_close(gen);
		return r;
	}
	if (become(ws->fs, v, attr.ino)) {
		store_gen_close(gen); /* the node is another generation already */
		return send_round(p->req, v, ws->branch, &note);
	}
	fi->keep_cache = 1; /* a generation never changes */
	r = open_limited(ws->fs, fuse_req_ctx(p->req)->uid, attr.ino, gen, ret_h, fi);
	if (!r) {
		(*ret_h)->nodeid = p->nodeid;
		(*ret_h)->unique = p->unique;
	}
	return r;
}

/* It has to wait, which it counts once. */
static void count_wait(struct waiters *ws, struct parked *p)
{
	struct metrics_ns *ns = metrics_branch(ws->fs->metrics, ws->branch);

	if (p->since_ns)
		return;
	p->since_ns = time_monotonic_ns();
	p->ns_ino = metrics_ns_ino(ns);
	metrics_add(ns, STORE_COUNT_WAITS, 1);
}

/* Before the answer: who gets it may look at the count, or wait for something else. */
static void count_end(struct parked *p)
{
	struct metrics *m = fs_of(p->req)->metrics;

	limit_give(&p->hold);
	if (p->since_ns)
		metrics_add(metrics_ns(m, p->ns_ino), STORE_COUNT_WAITED_US,
			    (uint64_t)(time_monotonic_ns() - p->since_ns) / 1000);
}

static enum wait_verdict answer_hit(struct waiters *ws, struct parked *p,
				    const struct vnode *v)
{
	struct fuse_file_info fi = {.flags = p->flags};
	struct handle *h;
	int r = open_published(ws, p, v, &h, &fi);

	if (r == -ENOENT || r == -ETIME || r == -EUCLEAN)
		return WAIT_AGAIN;
	count_end(p);
	if (r)
		reply_err(p->req, r);
	else
		reply_open(p->req, h, &fi);
	return WAIT_ANSWERED;
}

static enum wait_verdict refuse(struct parked *p, int r)
{
	count_end(p);
	reply_err(p->req, r);
	return WAIT_ANSWERED;
}

static enum wait_verdict answer(void *arg, struct waiter *w, enum wait_why why)
{
	struct waiters *ws = arg;
	struct parked *p = CONTAINER_OF(w, struct parked, w);
	struct vnode v;

	if (why == WAIT_STOPPED)
		return refuse(p, -ENOTCONN);
	if (why == WAIT_INTERRUPTED)
		return refuse(p, -EINTR);
	if (vnode_get(ws->fs->vnodes, p->nodeid, &v))
		return refuse(p, -ESTALE);
	if (is_hit(&ws->state, &v.view))
		return answer_hit(ws, p, &v);
	if (!is_computed(&ws->state, &v.view))
		return refuse(p, -ENOENT);
	if (p->flags & O_NONBLOCK)
		return refuse(p, -EAGAIN);
	if (why == WAIT_TIME_IS_UP)
		return refuse(p, -ETIMEDOUT);
	pending_ask(ws->fs->pending, ws->branch, ws->name, fuse_req_ctx(p->req)->pid);
	count_wait(ws, p);
	return WAIT_ON;
}

static void free_parked(struct waiter *w)
{
	struct parked *p = CONTAINER_OF(w, struct parked, w);

	keep_free(p->kept);
	limit_give(&p->hold);
	free(p);
}

/* ---- kept ---- */

/*
 * Until when somebody waits, in counter 0, of CLOCK_MONOTONIC, which goes on when the
 * daemon dies. His OPEN is sent again, and does not begin to wait anew.
 */
struct kept_wait {
	uint64_t unique;
	struct kept *kept;
	bool resent;
};

static void keep_deadline(struct waiters *ws, struct parked *p)
{
	/* Without room he waits longer, should the daemon die. */
	if (keep_new(ws->fs->keep, KEEP_WAIT, p->unique, &p->kept))
		p->kept = NULL;
	if (p->kept)
		atomic_store(keep_counter(p->kept, 0), (uint64_t)p->w.deadline_ns);
}

static int add_kept(void *arg, struct kept *o)
{
	struct kept_wait kw = {.unique = keep_id(o), .kept = o};
	struct waiters *ws = arg;

	return buf_append(&ws->kept, &kw, sizeof(kw));
}

static int compare_kept(const void *a, const void *b)
{
	const struct kept_wait *ka = a, *kb = b;

	return ka->unique < kb->unique ? -1 : ka->unique > kb->unique;
}

int waiters_resume(struct waiters *ws)
{
	int r = keep_each(ws->fs->keep, KEEP_WAIT, add_kept, ws);

	if (ws->kept.len)
		qsort(ws->kept.data, ws->kept.len / sizeof(struct kept_wait),
		      sizeof(struct kept_wait), compare_kept);
	return r;
}

static struct kept_wait *find_kept(struct waiters *ws, uint64_t unique)
{
	struct kept_wait key = {.unique = unique};

	return ws->kept.len ? bsearch(&key, ws->kept.data, ws->kept.len / sizeof(key),
				      sizeof(key), compare_kept)
			    : NULL;
}

void waiters_resent(struct waiters *ws, uint64_t unique)
{
	struct kept_wait *found = find_kept(ws, unique);

	if (found)
		found->resent = true;
}

void waiters_each_kept(struct waiters *ws, void (*each)(void *arg, uint64_t unique),
		       void *arg)
{
	const struct kept_wait *all = (void *)ws->kept.data;

	for (size_t i = 0; i < ws->kept.len / sizeof(*all); i++)
		each(arg, all[i].unique);
}

void waiters_resume_end(struct waiters *ws)
{
	struct kept_wait *all = (void *)ws->kept.data;

	for (size_t i = 0; i < ws->kept.len / sizeof(*all); i++) {
		if (!all[i].resent)
			keep_free(all[i].kept);
		if (!all[i].resent)
			all[i].kept = NULL;
	}
}

/* The workers take some at the same time, each its own. */
static bool take_kept(struct waiters *ws, struct parked *p)
{
	struct kept_wait *found = find_kept(ws, p->unique);

	if (!found || !found->kept)
		return false;
	p->kept = found->kept;
	found->kept = NULL;
	p->w.deadline_ns = (int64_t)atomic_load(keep_counter(p->kept, 0));
	return true;
}

/* ---- parking ---- */

/*
 * libfuse calls it with the request's own lock, and keeps the request alive until
 * it returns, though it may be answered by then.
 */
static void on_interrupt(fuse_req_t req, void *data)
{
	wait_table_interrupt(fs_of(req)->waiters->table, (uint64_t)(uintptr_t)data);
}

/* When to give up, on the monotonic clock. */
static int64_t deadline(struct fs *fs, const struct view *v, uint64_t branch)
{
	struct store_settings settings;
	int64_t wait_ns = v->wait_ns, now_ns = time_monotonic_ns();

	if (wait_ns == DURATION_UNSET &&
	    store_settings(fs->store, branch, &settings) == 0)
		wait_ns = settings.wait_ns;
	if (wait_ns == DURATION_UNSET || wait_ns >= DURATION_NONE - now_ns)
		return DURATION_NONE;
	return now_ns + wait_ns;
}

static int park(fuse_req_t req, const struct vnode *v, uint64_t branch, int flags)
{
	struct fs *fs = fs_of(req);
	struct parked *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	p->req = req;
	p->nodeid = v->id;
	p->flags = flags;
	p->unique = session_unique();
	r = limits_take(fs->limits, LIMIT_WAITERS, fuse_req_ctx(req)->uid, 1, &p->hold);
	if (r) {
		free(p);
		return r;
	}
	if (!session_resent() || !take_kept(fs->waiters, p)) {
		p->w.deadline_ns = deadline(fs, &v->view, branch);
		keep_deadline(fs->waiters, p);
	}
	r = wait_table_add(fs->waiters->table, &p->w, branch, v->name);
	if (r) {
		free_parked(&p->w);
		return r;
	}
	/* May call back at once. Not before it is in the table, where it is found;
	 * not after it is ready, when it may be gone. */
	fuse_req_interrupt_func(req, on_interrupt, (void *)(uintptr_t)p->w.id);
	wait_table_ready(fs->waiters->table, &p->w);
	return 0;
}

static int open_or_park(fuse_req_t req, const struct vnode *v, int flags)
{
	struct fs *fs = fs_of(req);
	bool writes = (flags & O_ACCMODE) != O_RDONLY || (flags & O_TRUNC);
	struct retry note = {.kind = RETRY_CREATE, .truncate = flags & O_TRUNC};
	uint64_t branch;
	int r = vnode_branch(fs, v, false, &branch);

	note.place = r ? 0 : view_retry_place(&v->view, branch, v->name);
	if (r)
		return r == -ENOENT ? -ESTALE : r;
	if (writes && is_read_only(fs, &v->view))
		return -EROFS;
	if (writes) /* what the kernel finds next is nothing, and it creates */
		return send_round(req, v, branch, &note);
	return park(req, v, branch, flags);
}

void wait_open(fuse_req_t req, const struct vnode *v, int flags)
{
	int r = open_or_park(req, v, flags);

	if (r)
		reply_err(req, r);
}

/* ---- the rest ---- */

void fs_name_settled(struct fs *fs, uint64_t branch, const char *name)
{
	if (fs->waiters) /* not while the daemon starts */
		wait_table_settled(fs->waiters->table, branch, name);
}

int waiters_new(struct fs *fs, struct waiters **ret_waiters)
{
	static const struct wait_ops ops = {
	    .look = see_name,
	    .answer = answer,
	    .free = free_parked,
	};
	struct waiters *ws = calloc(1, sizeof(*ws));
	int r;

	if (!ws)
		return -ENOMEM;
	ws->fs = fs;
	r = wait_table_new(&ops, ws, &ws->table);
	if (r)
		free(ws);
	else
		*ret_waiters = ws;
	return r;
}

void waiters_stop(struct waiters *ws)
{
	if (ws)
		wait_table_stop(ws->table);
}

void waiters_free(struct waiters *ws)
{
	if (!ws)
		return;
	wait_table_free(ws->table);
	buf_deinit(&ws->kept);
	free(ws);
}

uint64_t waiters_count(const struct waiters *ws)
{
	return wait_table_count(ws->table);
}

int waiters_list(const struct waiters *ws, size_t max,
		 int (*each)(void *arg, uint64_t branch, const char *name,
			     size_t waiters),
		 void *arg)
{
	return wait_table_list(ws->table, max, each, arg);
}
