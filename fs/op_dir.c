/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listings; "fs/listing.h" says what one is.
 *
 * A directory of a sealed tree is held from the open on, so that who is listing goes
 * on when the tree is replaced. It never changes: the kernel may keep the listing.
 *
 * So may it that of a large directory at its ordinary place, as long as nothing in it
 * changes (fs/dircache.h). Then the snapshot is of the open, too: the kernel may lose
 * what it has, and ask in the midst of it, and the offsets are to mean the same.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>

#include "fs/control.h"
#include "fs/dircache.h"
#include "fs/handle.h"
#include "fs/kcache.h"
#include "fs/listing.h"
#include "fs/node.h"
#include "fs/open.h"
#include "fs/pending.h"
#include "fs/reply.h"
#include "fs/retry.h"
#include "fs/session.h"

/* ---- open ---- */

/* What the thread's LOOKUP has pinned for it, or NULL. */
static struct store_dir *take_pinned(fuse_req_t req, fuse_ino_t ino)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	struct retry_key key = {ctx->pid, ctx->uid, retry_place_ino(ino)};
	struct store_dir *dir = NULL;
	struct retry note;

	if (!retry_take(fs_of(req)->retries, &key, &note))
		return NULL;
	if (note.ino == ino) {
		dir = note.dir;
		note.dir = NULL;
	}
	retry_unpin(&note);
	return dir;
}

/* It was replaced since it was looked up: the next LOOKUP is to pin what it finds. */
static int look_again(fuse_req_t req, fuse_ino_t ino)
{
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	struct retry_key key = {ctx->pid, ctx->uid, 0};
	struct retry note = {.kind = RETRY_READ, .ino = ino};

	if (key.tid)
		retry_put(fs_of(req)->retries, &key, &note);
	return -ESTALE;
}

static int open_sealed(fuse_req_t req, fuse_ino_t ino, struct listing *d)
{
	struct fs *fs = fs_of(req);
	int r;

	d->at = LISTING_FIRST_OFF;
	d->stream = take_pinned(req, ino);
	if (d->stream)
		return 0;
	r = dirref_branch(fs, &d->dir, false, &d->branch);
	if (!r)
		r = store_dir_open(fs->store, d->branch, &d->stream);
	if (!r)
		r = view_judge_ino(fs, &d->dir.view, d->dir.ino);
	return r == -ENOENT ? look_again(req, ino) : r;
}

static int open_dir(fuse_req_t req, fuse_ino_t ino, struct listing *d)
{
	struct fs *fs = fs_of(req);
	int r = dirref_get(fs, ino, &d->dir);

	if (r == -EPERM) {
		d->control = true;
		r = vnode_get(fs->vnodes, ino, &d->v);
		return r ? r : control_list(req, &d->v, listing_add_name, d);
	}
	if (!r && store_ino_in_tree(d->dir.ino))
		return open_sealed(req, ino, d);
	return r ? r : dirref_branch(fs, &d->dir, false, &d->branch);
}

/*
 * Is it one whose names the kernel may keep, and should? opendir(3) says O_NONBLOCK. Who
 * opens a directory to do something else with it does not, and is not to pay for a look.
 */
static enum dircache_worth worth_copying(struct fs *fs, const struct listing *d,
					 const struct fuse_file_info *fi)
{
	enum dircache_worth w;

	/* From 6.9 to 6.12 kernels keep a copy that they are told to drop; those with
	 * epochs do not. */
	if (d->control || d->dir.view.set || store_ino_in_tree(d->dir.ino) ||
	    !kcache_has_epoch(fs->kcache))
		return DIRCACHE_NO;
	w = dircache_worth(fs->dircache, d->dir.nodeid);
	return w == DIRCACHE_UNKNOWN && !(fi->flags & O_NONBLOCK) ? DIRCACHE_NO : w;
}

/* Has it many names? A few are counted now, and read again, from memory. */
static bool learn_worth(struct fs *fs, struct listing *d)
{
	bool many = store_dir_reaches(d->stream, DIRCACHE_NAMES_MIN - 1);

	dircache_learn(fs->dircache, d->dir.nodeid, many);
	return many;
}

/* What the first READDIR would do, if the kernel is to keep what it brings. */
static int open_copied(fuse_req_t req, struct listing *d, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct store_dir_stamp names;
	enum dircache_worth worth = worth_copying(fs, d, fi);
	enum dircache_use use;
	int r;

	if (worth == DIRCACHE_NO)
		return 0;
	session_pass_token(); /* behind many deletions the first name is far */
	pending_wait_branch(fs->pending, d->branch, fuse_req_ctx(req)->pid);
	r = store_dir_open(fs->store, d->branch, &d->stream);
	if (r)
		return r;
	d->at = LISTING_FIRST_OFF;
	if (worth == DIRCACHE_UNKNOWN && !learn_worth(fs, d))
		return 0;
	store_dir_stamp(d->stream, &names);
	use = dircache_open(fs->dircache, d->dir.nodeid, d, &names);
	fi->cache_readdir = use != DIRCACHE_NONE;
	/* Others may be reading it. */
	fi->keep_cache = use != DIRCACHE_FILL;
	if (use == DIRCACHE_NONE) {
		store_dir_close(d->stream); /* the names are those of the first read */
		d->stream = NULL;
		return 0;
	}
	d->copied = fs->dircache;
	return 0;
}

static int handle_new_dir(fuse_req_t req, fuse_ino_t ino, struct handle **ret_h,
			  struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct limit_hold hold = {0};
	int r = limits_take(fs->limits, LIMIT_HANDLES, fuse_req_ctx(req)->uid, 1, &hold);
	struct handle *h = r ? NULL : handle_new(fs->handles, HANDLE_DIR);

	if (h)
		limit_move(&h->hold, &hold);
	if (!r)
		r = -ENOMEM;
	if (h)
		h->listing = listing_new(fs);
	if (h && h->listing) {
		h->nodeid = ino;
		h->unique = session_unique();
		fi->cache_readdir = fi->keep_cache = false;
		r = open_dir(req, ino, h->listing);
		if (!r)
			r = open_copied(req, h->listing, fi);
	}
	if (r) {
		handle_free(fs->handles, h);
		limit_give(&hold); /* without a handle */
		return r;
	}
	h->ino = h->listing->dir.ino;
	if (store_ino_in_tree(h->ino))
		fi->cache_readdir = fi->keep_cache = true;
	open_tell(h, fi);
	listing_keep(fs, h);
	*ret_h = h;
	return 0;
}

void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct handle *h = open_again(req, fi);
	int r = h ? 0 : handle_new_dir(req, ino, &h, fi);

	if (r) {
		reply_stale(req, r);
		return;
	}
	if (fuse_reply_open(req, fi) == -ENOENT)
		handle_free(fs->handles, h);
}

void releasedir_noted(struct fs *fs, uint64_t fh)
{
	limit_closing(&handle_get(fs->handles, fh)->hold);
}

void op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct handle *h = handle_get(fs->handles, fi->fh);
	struct limits_user *user = h->hold.user;

	handle_free(fs->handles, h);
	limit_closed(user);
	reply_err(req, 0);
}

void op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	/* The names closed so far, those of other directories too: one log. */
	struct fs *fs = fs_of(req);
	struct listing *d = handle_get(fs->handles, fi->fh)->listing;

	if (d && !d->control)
		pending_wait_branch(fs->pending, d->branch, fuse_req_ctx(req)->pid);
	reply_err(req, store_sync(fs->store));
}

/* ---- answer ---- */

static void copy_end(struct fs *fs, struct listing *d, const struct dir_page *pg)
{
	bool end = !pg->used && !d->held;

	if (d->copied && pg->used)
		dircache_gave(d->copied, d->dir.nodeid, d, pg->next_off, pg->until_ns,
			      pg->plus);
	else if (d->copied && end)
		dircache_end(d->copied, d->dir.nodeid, d);
	else if (end && !d->dir.view.set && !store_ino_in_tree(d->dir.ino) &&
		 pg->next_off >= LISTING_FIRST_OFF + DIRCACHE_NAMES_MIN)
		dircache_learn(fs->dircache, d->dir.nodeid, true);
}

/* `off`: after the dots. */
static int fill_copied(fuse_req_t req, struct handle *h, struct dir_page *pg,
		       uint64_t off)
{
	struct fs *fs = fs_of(req);
	struct listing *d = h->listing;
	int r = 0;

	if (d->copied)
		dircache_read(d->copied, d->dir.nodeid, d, pg->off, !d->copy_begun);
	d->copy_begun = true;
	if (!listing_take_ahead(d, pg, off))
		r = listing_fill_store(req, h, pg, off);
	if (!r || pg->used)
		copy_end(fs, d, pg);
	listing_note_given(d, pg);
	return r;
}

static int fill(fuse_req_t req, struct handle *h, struct dir_page *pg)
{
	struct listing *d = h->listing;
	uint64_t at = pg->off;
	int r = 0;

	if (!listing_fill_dots(fs_of(req), d, pg, &at))
		return 0;
	if (d->control)
		listing_fill_control(d, pg, at);
	else
		r = fill_copied(req, h, pg, at);
	return r;
}

/* True: it is to be gone on with, with a reference. */
static bool make_page(fuse_req_t req, struct handle *h, struct dir_page *pg, int *ret_r)
{
	struct listing *d = h->listing;
	bool ahead;

	pthread_mutex_lock(&d->lock);
	*ret_r = fill(req, h, pg);
	listing_keep_page(d->fs, h);
	ahead = !*ret_r && listing_may_read_ahead(d, pg);
	if (ahead)
		listing_ref(d);
	pthread_mutex_unlock(&d->lock);
	return ahead;
}

static void list(fuse_req_t req, size_t size, off_t off, struct fuse_file_info *fi,
		 bool plus)
{
	struct handle *h = handle_get(fs_of(req)->handles, fi->fh);
	struct listing *d = h->listing;
	struct dir_page pg = {.plus = plus,
			      .data = malloc(size),
			      .size = size,
			      .off = (uint64_t)off,
			      .next_off = (uint64_t)off,
			      .until_ns = DURATION_NONE};
	int r = d ? -ENOMEM : -EIO;
	bool ahead = d && pg.data && make_page(req, h, &pg, &r);

	if (r && !pg.used)
		reply_err(req, r);
	else
		fuse_reply_buf(req, pg.data, pg.used);
	dir_page_deinit(&pg);
	if (!ahead)
		return;
	listing_read_ahead(d, size);
	listing_unref(d);
}

void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		struct fuse_file_info *fi)
{
	list(req, size, off, fi, false);
}

void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		    struct fuse_file_info *fi)
{
	list(req, size, off, fi, true);
}
