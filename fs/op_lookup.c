/* SPDX-License-Identifier: Apache-2.0 */
/*
 * LOOKUP: the one place where names become nodes.
 *
 * In this order: wait for a publish of the name that is under way; answer the
 * thread whose open was told to look again (see fs/retry.h); show a value being
 * written to its owner; else ask the store.
 */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/attach.h"
#include "fs/caller.h"
#include "fs/control.h"
#include "fs/dircache.h"
#include "fs/fast.h"
#include "fs/kcache.h"
#include "fs/metrics.h"
#include "fs/node.h"
#include "fs/pending.h"
#include "fs/pending_reply.h"
#include "fs/reply.h"
#include "fs/retry.h"
#include "fs/sealed.h"
#include "fs/waiters.h"
#include "store/util/log.h"

struct lookup {
	fuse_req_t req;
	struct fs *fs;
	const struct fuse_ctx *ctx;
	struct dirref dir;
	uint64_t branch;
	const char *name;
	struct retry_key key;
	uint64_t gone_ino; /* what the name led to last, and was not there */
	unsigned int gone_times;
};

/*
 * The row of a name and that of its inode go in one commit. Where the name leads to what
 * is not there again and again, the row is lost: `memofs check` tells, and repairs.
 */
enum { GONE_TIMES = 4 };

static int note_gone(struct lookup *l, uint64_t ino)
{
	l->gone_times = ino == l->gone_ino ? l->gone_times + 1 : 1;
	l->gone_ino = ino;
	if (l->gone_times < GONE_TIMES)
		return 0;
	log_error("%s: a name in the branch %llu leads to inode %llu, which is missing",
		  l->fs->store_path, (unsigned long long)l->branch,
		  (unsigned long long)ino);
	return -EIO;
}

/* To a writer what is stale is a miss: there is nothing of it to go on from. */
static int look(struct lookup *l, const struct retry *note, struct store_attr *ret_attr)
{
	struct dirref dir = l->dir;

	if (note && note->kind != RETRY_READ)
		dir.view.set &= ~VIEW_STALE;
	return dirref_lookup(l->fs, &dir, l->branch, l->name, ret_attr);
}

/* What the name shows has just been replaced: see what it shows now. */
static int look_again(struct lookup *l, const struct retry *note, struct store_attr *attr)
{
	int r = note_gone(l, attr->ino) ?: look(l, note, attr);

	return !r && !S_ISREG(attr->mode) ? -ESTALE : r;
}

/* Who goes on from what is there reads it, too. -ENOENT, -ETIME: it is gone. */
static int begin_on(struct lookup *l, bool truncate, const struct store_attr *attr,
		    struct pending_args *args, struct pending **ret_p)
{
	int r = truncate ? 0 : sealed_may_go_on(l->req, attr);

	args->base_ino = attr->ino;
	return r ? r : pending_new(l->fs->pending, args, ret_p);
}

/* A writer comes back: it gets a value of its own, on top of what is published. */
static int begin_overwrite(struct lookup *l, const struct retry *note,
			   struct store_attr *attr, struct fuse_entry_param *ret_e)
{
	struct pending_args args = {
	    .branch = l->branch,
	    .name = l->name,
	    .truncate = note->truncate,
	    .uid = l->ctx->uid,
	    .gid = l->ctx->gid,
	    .tid = l->ctx->pid,
	    .owner = l->dir.view.set & VIEW_OWNER ? l->dir.view.owner : NULL,
	    .sealed = l->dir.view.set & VIEW_PACK,
	};
	struct pending *p;
	int r = begin_on(l, note->truncate, attr, &args, &p);

	while (r == -ENOENT || r == -ETIME) {
		r = look_again(l, note, attr);
		if (r)
			return r;
		r = begin_on(l, note->truncate, attr, &args, &p);
	}
	if (r)
		return r;
	retry_drop(l->fs->retries, &l->key);
	pending_entry(p, ret_e);
	pending_unref(p);
	return 0;
}

/*
 * A reader comes back: hold what it will open, so that it cannot lose again. An
 * overwriter may be faster even here; then there is a newer one to hold.
 */
static int pin(struct lookup *l, struct retry *note, struct store_attr *attr)
{
	const struct view *view = &l->dir.view;
	int r = view_gen_open(l->fs, view, attr->ino, &note->gen);

	while (r == -ENOENT) {
		r = look_again(l, note, attr);
		if (r)
			return r;
		r = view_gen_open(l->fs, view, attr->ino, &note->gen);
	}
	note->gen_ino = attr->ino;
	return r == -ETIME || r == -EUCLEAN ? -ENOENT : r;
}

/* What has gone meanwhile lists nothing. */
static int open_listing(struct fs *fs, uint64_t ino, struct store_dir **ret_dir)
{
	uint64_t branch;
	int r = store_branch(fs->store, ino, NULL, false, &branch);

	if (!r)
		r = store_dir_open(fs->store, branch, ret_dir);
	return !r && sealed_is_gone(fs, ino) ? -ENOENT : r;
}

/*
 * The same for who opens a directory of a tree; what is on the way to the last name is
 * pinned as well, for so long. The invisible would not be found by the next name.
 */
static int pin_dir(struct lookup *l, struct retry *note, struct store_attr *attr)
{
	int r = open_listing(l->fs, attr->ino, &note->dir);

	while (r == -ENOENT) {
		retry_unpin(note);
		r = note_gone(l, attr->ino) ?: look(l, note, attr);
		if (!r && !(attr->sealed && S_ISDIR(attr->mode)))
			r = -ESTALE;
		if (r)
			return r;
		r = open_listing(l->fs, attr->ino, &note->dir);
	}
	return r;
}

static int answer_component(struct lookup *l, struct retry *note, struct store_attr *attr)
{
	retry_unpin(note);
	if (note->kind == RETRY_READ && l->key.tid && attr->sealed && S_ISDIR(attr->mode))
		return pin_dir(l, note, attr);
	retry_put(l->fs->retries, &l->key, note);
	return 0;
}

/* It is left for the OPEN of the node that the kernel is told of. */
static void leave_pinned(struct lookup *l, struct retry *note, uint64_t nodeid)
{
	note->ino = nodeid;
	note->looked_up = true;
	l->key.place = retry_place_ino(nodeid);
	retry_put(l->fs->retries, &l->key, note);
}

static uint64_t place_of(const struct lookup *l)
{
	return view_retry_place(&l->dir.view, l->branch, l->name);
}

/* The name is published as `attr`; give the thread's note its due. */
static int answer_note(struct lookup *l, struct retry *note, struct store_attr *attr,
		       bool *ret_answered, struct fuse_entry_param *ret_e)
{
	if (!S_ISREG(attr->mode)) /* a component on the way: the last is to come */
		return answer_component(l, note, attr);
	retry_unpin(note);
	if (note->kind == RETRY_READ)
		return pin(l, note, attr);
	if (dirref_is_fixed(&l->dir)) /* of another's open, or by another path */
		return 0;
	if (note->kind == RETRY_CREATE && note->place != place_of(l))
		return 0;
	/* The file that it was sent round with need not be the one it comes by now. */
	if (l->key.tid && !caller_may(l->req, attr, S_IWOTH))
		return 0;
	*ret_answered = true;
	return begin_overwrite(l, note, attr, ret_e);
}

/*
 * Has the thread come back to create this name? The kernel may ask twice, once about
 * what it knew and once anew, before it does.
 */
static bool is_creator(struct lookup *l, struct retry *note)
{
	if (!note || note->kind == RETRY_READ)
		return false;
	if (note->kind == RETRY_CREATE && note->place != place_of(l))
		return false;
	if (!note->looked_up) {
		note->looked_up = true;
		note->kind = RETRY_CREATE;
		note->place = place_of(l);
		retry_put(l->fs->retries, &l->key, note);
	}
	return true;
}

/* Why it is missing, as far as it can be told afterwards. */
static enum store_count why_missing(const struct lookup *l, const struct retry *note)
{
	int64_t now_ns = time_now_ns();
	struct store_attr attr;

	if (note && note->damaged)
		return STORE_COUNT_MISSES_DAMAGED;
	if (!l->branch || store_lookup_expired(l->fs->store, l->branch, l->name, &attr))
		return STORE_COUNT_MISSES_ABSENT;
	if (store_attr_expired(&attr, now_ns))
		return STORE_COUNT_MISSES_EXPIRED;
	return view_admits(&l->dir.view, &attr, now_ns, NULL)
		   ? STORE_COUNT_MISSES_ABSENT
		   : STORE_COUNT_MISSES_TOO_OLD;
}

/*
 * Who comes back to write it asks for nothing, and what a sealed tree does not have
 * is a part of the result.
 */
static void count_miss(const struct lookup *l, const struct retry *note)
{
	struct metrics *m = l->fs->metrics;

	if ((note && note->kind != RETRY_READ) || store_ino_in_tree(l->dir.ino))
		return;
	metrics_add(metrics_branch(m, l->branch ? l->branch : l->dir.ino),
		    why_missing(l, note), 1);
}

/* The name is missing. -EAGAIN: not any more. */
static int answer_miss(struct lookup *l, struct retry *note, bool busy,
		       struct fuse_entry_param *ret_e)
{
	int r = -ENOENT;

	if ((l->dir.view.set & VIEW_WAIT) && !l->fs->no_open && !is_creator(l, note))
		r = wait_lookup(l->fs, &l->dir, l->branch, l->name, ret_e);
	if (r != -ENOENT)
		return r;
	count_miss(l, note);
	entry_negative(l->fs, &l->dir, busy, ret_e);
	return 0;
}

/* `note`: the thread's, or NULL. -EAGAIN: once more. */
static int lookup_published(struct lookup *l, struct retry *note,
			    struct fuse_entry_param *ret_e)
{
	bool busy = pending_busy(l->fs->pending, l->branch, l->name);
	struct kcache_changes before = kcache_changes(l->fs->kcache);
	struct store_attr attr;
	bool answered = false;
	int r = look(l, note, &attr);

	if (!r && l->fs->live) { /* what is missing is not kept */
		attach_telling(l->fs, l->branch, l->name);
		busy = pending_busy(l->fs->pending, l->branch, l->name);
		r = look(l, note, &attr);
	}
	if (note && r) {
		retry_unpin(note);
	} else if (note) {
		r = answer_note(l, note, &attr, &answered, ret_e);
	}
	if (r == -ENOENT)
		return answer_miss(l, note, busy, ret_e);
	if (r || answered)
		return r;
	r = entry_fill(l->fs, &l->dir, &attr, busy, ret_e);
	if (!r && kcache_changed_since(l->fs->kcache, &before, ret_e->attr.st_mode))
		ret_e->attr_timeout = 0;
	if (r == -ENOENT)
		r = note_gone(l, attr.ino) ?: -EAGAIN;
	if (note && r)
		retry_unpin(note);
	else if (note && (note->gen || note->dir))
		leave_pinned(l, note, ret_e->ino);
	return r;
}

static int lookup(struct lookup *l, struct fuse_entry_param *ret_e)
{
	struct retry note;
	struct pending *p;
	bool noted;
	int r = attach_settle(l->fs, l->branch, l->name);

	if (r)
		return r;
	l->key = (struct retry_key){l->ctx->pid, l->ctx->uid, place_of(l)};
	noted = retry_take(l->fs->retries, &l->key, &note);
	pending_wait(l->fs->pending, l->branch, l->name, l->ctx->pid);
	/* A writer that comes back gets a value that nobody else can close before
	 * it is there; a reader was refused what it would find. */
	/* Where nothing can be changed nobody is an owner. */
	p = noted || l->fs->read_only || dirref_is_fixed(&l->dir)
		? NULL
		: pending_by_owner(l->fs->pending, l->branch, l->name, l->ctx->pid,
				   l->ctx->uid);
	if (!p && !noted && !l->key.tid) { /* a reader whose file was replaced */
		l->key.place = 0;
		noted = retry_take(l->fs->retries, &l->key, &note);
	}
	if (p) {
		pending_entry(p, ret_e);
		pending_unref(p);
		return 0;
	}
	do
		r = lookup_published(l, noted ? &note : NULL, ret_e);
	while (r == -EAGAIN);
	return r;
}

/* `.memofs` is in every directory, but not in a sealed tree: there is nothing to do. */
static int lookup_control(struct fs *fs, fuse_ino_t parent,
			  struct fuse_entry_param *ret_e)
{
	struct vnode want = {.parent_id = parent, .kind = VNODE_CONTROL};
	struct dirref dir;
	int r = dirref_get(fs, parent, &dir);

	if (!r && store_ino_in_tree(dir.ino))
		r = -ENOENT;
	if (r)
		return r;
	want.dir_ino = dir.ino;
	want.view = dir.view;
	memset(ret_e, 0, sizeof(*ret_e));
	r = vnode_intern(fs->vnodes, &want, &ret_e->ino, NULL);
	if (r)
		return r;
	want.id = ret_e->ino;
	vnode_to_stat(fs, &want, &ret_e->attr);
	ret_e->entry_timeout = kcache_control_timeout(fs);
	ret_e->attr_timeout = ret_e->entry_timeout;
	return 0;
}

/* In a control directory. */
static int lookup_below_control(fuse_req_t req, fuse_ino_t parent, const char *name,
				struct fuse_entry_param *ret_e)
{
	struct vnode v;
	int r = vnode_get(fs_of(req)->vnodes, parent, &v);

	return r ? r : control_lookup(req, &v, name, ret_e);
}

/* A file that the kernel knows is looked up when it is used, and listed otherwise. */
static void count_use(struct lookup *l, const struct fuse_entry_param *e)
{
	if (S_ISREG(e->attr.st_mode) && l->branch &&
	    fast_knows(l->fs->fast, e->attr.st_ino, 2))
		fast_used(l->fs->fast, e->attr.st_ino);
}

static void send_entry(struct lookup *l, const struct fuse_entry_param *e)
{
	struct fs *fs = l->fs;

	if (e->ino && fs->no_open)
		count_use(l, e);
	if (dircache_looked_up(fs->dircache, l->dir.nodeid))
		kcache_listing_changed(fs->kcache, l->dir.nodeid);
	if (fuse_reply_entry(l->req, e) == -ENOENT && e->ino)
		node_forget(fs, e->ino, 1); /* interrupted: not counted */
}

void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct lookup l = {
	    .req = req, .fs = fs_of(req), .ctx = fuse_req_ctx(req), .name = name};
	struct fuse_entry_param e;
	int r;

	if (strcmp(name, CONTROL_NAME) == 0) {
		r = lookup_control(l.fs, parent, &e);
		if (r == -EPERM) /* not inside itself */
			r = -ENOENT;
	} else {
		r = dirref_child(l.fs, parent, name, false, &l.dir, &l.branch);
		if (r == -EPERM)
			r = lookup_below_control(req, parent, name, &e);
		else if (r == 0)
			r = lookup(&l, &e);
	}
	if (r == -EUCLEAN) /* a tree that was dropped for it: now it misses */
		r = -ESTALE;
	if (r)
		reply_err(req, r);
	else
		send_entry(&l, &e);
}

void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup)
{
	node_forget(fs_of(req), ino, nlookup);
	fuse_reply_none(req);
}

void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < count; i++)
		node_forget(fs_of(req), forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(req);
}
