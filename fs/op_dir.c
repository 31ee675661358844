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
#include <string.h>

#include "fs/attach.h"
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
#include "fs/sealed.h"
#include "fs/session.h"

#define COMPUTED_OFF (UINT64_C(1) << 62)

static void free_names(struct listing *d)
{
	for (size_t i = 0; i < d->count; i++)
		free(d->names[i].name);
	free(d->names);
	d->names = NULL;
	d->count = 0;
}

struct listing *listing_new(struct fs *fs)
{
	struct listing *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->fs = fs;
	atomic_init(&d->refs, 1);
	pthread_mutex_init(&d->lock, NULL);
	return d;
}

void listing_ref(struct listing *d)
{
	atomic_fetch_add(&d->refs, 1);
}

void dir_page_deinit(struct dir_page *pg)
{
	free(pg->data);
	buf_deinit(&pg->names);
}

void listing_drop_ahead(struct listing *d)
{
	if (!d->has_ahead)
		return;
	d->has_ahead = false;
	dir_page_deinit(&d->ahead);
	d->ahead = (struct dir_page){0};
	atomic_fetch_sub(&d->fs->aheads, 1);
}

void listing_unref(struct listing *d)
{
	if (atomic_fetch_sub(&d->refs, 1) > 1)
		return;
	store_dir_close(d->stream);
	free_names(d);
	listing_drop_ahead(d);
	buf_deinit(&d->page);
	pthread_mutex_destroy(&d->lock);
	free(d);
}

void listing_free(struct listing *d)
{
	if (!d)
		return;
	if (d->copied)
		dircache_close(d->copied, d->dir.nodeid, d);
	listing_unref(d);
}

/* ---- kept ---- */

/*
 * With the handle: which directory it is, and the names that are not found by listing
 * again. Beside it, of a directory of the store, the names that were given out last with
 * their offsets, since who goes on has another snapshot, and asks for one of them, or for
 * what comes after the last. (An offset from before them is counted from the beginning
 * then, and may be a little off when names have come and gone meanwhile.)
 */
struct dir_head {
	uint64_t ino, branch;
	uint32_t control, count; /* of names, each a struct kept_name and its bytes */
};

struct kept_name {
	uint64_t off; /* of the entry after it; in a struct dir_head: its type */
	uint32_t len, unused;
};

static int append_name(struct buf *b, uint64_t off, const char *name)
{
	struct kept_name kn = {.off = off, .len = (uint32_t)strlen(name)};
	int r = buf_append(b, &kn, sizeof(kn));

	return r ? r : buf_append(b, name, kn.len);
}

/* Takes it off the beginning. False: there is none. */
static bool take_name(struct slice *s, uint64_t *ret_off,
		      char ret_name[STORE_NAME_MAX + 1])
{
	struct kept_name kn;

	if (s->len < sizeof(kn))
		return false;
	memcpy(&kn, s->data, sizeof(kn));
	if (kn.len > STORE_NAME_MAX || s->len - sizeof(kn) < kn.len)
		return false;
	memcpy(ret_name, (const uint8_t *)s->data + sizeof(kn), kn.len);
	ret_name[kn.len] = '\0';
	*ret_off = kn.off;
	*s = slice((const uint8_t *)s->data + sizeof(kn) + kn.len,
		   s->len - sizeof(kn) - kn.len);
	return true;
}

void listing_keep(struct fs *fs, struct handle *h)
{
	const struct listing *d = h->listing;
	struct dir_head head = {d->dir.ino, d->branch, d->control, (uint32_t)d->count};
	CLEANUP_BUF struct buf extra = BUF_INIT;
	int r;

	if (!fs->keep)
		return;
	r = buf_append(&extra, &head, sizeof(head));
	for (size_t i = 0; !r && i < d->count; i++)
		r = append_name(&extra, d->names[i].type, d->names[i].name);
	if (!r)
		handle_keep(fs->handles, h, buf_slice(&extra));
}

/* The names of one answer: the first is preceded by the offset that was asked for. */
void listing_keep_page(struct fs *fs, struct handle *h)
{
	struct slice names = buf_slice(&h->listing->page);
	int r = 0;

	if (!h->kept || !h->listing->page_new)
		return;
	h->listing->page_new = false;
	if (!h->page)
		r = keep_new(fs->keep, KEEP_HANDLE_DIR, h->fh, &h->page);
	if (!r)
		r = keep_replace(h->page, &names, 1);
	if (!r)
		return;
	keep_free(h->page); /* what is kept does not fit any more */
	h->page = NULL;
}

void listing_note_added(const struct listing *d, struct dir_page *pg)
{
	int r = 0;

	if (!d->fs->keep || store_ino_in_tree(d->dir.ino))
		return;
	if (!pg->names.len)
		r = buf_append(&pg->names, &pg->off, sizeof(pg->off));
	if (!r)
		r = append_name(&pg->names, pg->next_off, d->ent.name);
	if (r)
		buf_clear(&pg->names);
}

void listing_note_given(struct listing *d, struct dir_page *pg)
{
	struct buf was = d->page;

	if (!pg->names.len)
		return;
	d->page = pg->names;
	pg->names = was;
	d->page_new = true;
}

bool listing_find_given(const struct listing *d, uint64_t off,
			char ret_name[STORE_NAME_MAX + 1], bool *ret_after)
{
	struct slice s = buf_slice(&d->page);
	uint64_t first, next_off;

	if (s.len < sizeof(first))
		return false;
	memcpy(&first, s.data, sizeof(first));
	s = slice((const uint8_t *)s.data + sizeof(first), s.len - sizeof(first));
	*ret_after = false;
	while (take_name(&s, &next_off, ret_name)) {
		if (off == first)
			return true;
		*ret_after = true;
		if (off == next_off)
			return true;
	}
	return false;
}

static int resume_names(struct listing *d, struct slice extra, uint32_t count)
{
	char name[STORE_NAME_MAX + 1];
	uint64_t type;
	int r = 0;

	for (uint32_t i = 0; !r && i < count; i++) {
		if (!take_name(&extra, &type, name))
			return -EUCLEAN;
		r = listing_add_name(d, name, (mode_t)type);
	}
	return r;
}

/* What becomes of a directory that is gone is found out by who reads on. */
static int resume_dir(struct fs *fs, uint64_t nodeid, bool copied, struct listing *d)
{
	if (d->control)
		return vnode_get(fs->vnodes, nodeid, &d->v);
	if (dirref_get(fs, nodeid, &d->dir))
		d->dir.nodeid = nodeid;
	d->resumed = true;
	if (!store_ino_in_tree(d->dir.ino)) {
		if (copied)
			dircache_resume(fs->dircache, nodeid);
		d->copied = copied ? fs->dircache : NULL;
		return 0;
	}
	d->at = LISTING_FIRST_OFF;
	return store_dir_open(fs->store, d->branch, &d->stream);
}

int listing_resume(struct fs *fs, struct handle *h, struct slice extra)
{
	struct listing *d = listing_new(fs);
	struct dir_head head;
	int r;

	if (!d)
		return -ENOMEM;
	h->listing = d;
	if (extra.len < sizeof(head))
		return -EUCLEAN;
	memcpy(&head, extra.data, sizeof(head));
	d->dir.ino = head.ino;
	d->branch = head.branch;
	d->control = head.control;
	r = resume_names(
	    d,
	    slice((const uint8_t *)extra.data + sizeof(head), extra.len - sizeof(head)),
	    head.count);
	return r ? r : resume_dir(fs, h->nodeid, h->told & HANDLE_CACHE_READDIR, d);
}

void listing_resume_page(struct handle *h, struct kept *o)
{
	struct slice names;

	h->page = o;
	/* Without memory it goes on as if it had not been kept. */
	if (h->listing && keep_record(o, &names) == 0 &&
	    buf_set(&h->listing->page, names.data, names.len))
		buf_clear(&h->listing->page);
}

/* ---- open ---- */

int listing_add_name(void *listing, const char *name, mode_t type)
{
	struct listing *d = listing;
	struct listed *names = realloc(d->names, (d->count + 1) * sizeof(*names));

	if (!names)
		return -ENOMEM;
	d->names = names;
	names[d->count].type = type;
	names[d->count].name = strdup(name);
	if (!names[d->count].name)
		return -ENOMEM;
	d->count++;
	return 0;
}

static int add_computed(void *arg, const char *name, const struct store_lease *lease)
{
	return listing_add_name(arg, name, S_IFREG);
}

static int compare_names(const void *a, const void *b)
{
	const struct listed *la = a, *lb = b;

	return strcmp(la->name, lb->name);
}

int listing_load_computed(struct fs *fs, struct listing *d)
{
	int r = 0;

	free_names(d);
	if (d->branch && (d->dir.view.set & VIEW_STALE))
		r = store_lease_list(fs->store, d->branch, add_computed, d);
	if (d->count)
		qsort(d->names, d->count, sizeof(*d->names), compare_names);
	return r;
}

bool listing_is_computed(const struct listing *d, const char *name)
{
	struct listed key = {.name = (char *)name};

	return d->count && bsearch(&key, d->names, d->count, sizeof(key), compare_names);
}

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

void op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);

	handle_free(fs->handles, handle_get(fs->handles, fi->fh));
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

/* ---- read ---- */

/* False: the page is full, and nothing was added. */
static bool page_add(struct dir_page *pg, const char *name,
		     const struct fuse_entry_param *e, uint64_t next_off)
{
	size_t left = pg->size - pg->used, need;

	if (pg->plus)
		need = fuse_add_direntry_plus(NULL, pg->data + pg->used, left, name, e,
					      (off_t)next_off);
	else
		need = fuse_add_direntry(NULL, pg->data + pg->used, left, name, &e->attr,
					 (off_t)next_off);
	if (need > left)
		return false;
	pg->used += need;
	return true;
}

static bool add_dot(struct dir_page *pg, const char *name, uint64_t ino,
		    uint64_t next_off)
{
	/* No node id: the kernel knows these two itself. */
	struct fuse_entry_param e = {.attr = {.st_ino = ino, .st_mode = S_IFDIR}};

	return page_add(pg, name, &e, next_off);
}

bool listing_fill_dots(struct fs *fs, struct listing *d, struct dir_page *pg,
		       uint64_t *off)
{
	uint64_t self = d->control ? d->v.id : d->dir.ino, parent, branch;

	if (d->control || store_parent(fs->store, d->dir.ino, &parent, &branch))
		parent = d->control ? d->v.dir_ino : self;
	for (; *off < LISTING_FIRST_OFF; ++*off)
		if (!add_dot(pg, *off ? ".." : ".", *off ? parent : self, *off + 1))
			return false;
	return true;
}

void listing_fill_control(struct listing *d, struct dir_page *pg, uint64_t off)
{
	for (size_t i = off - LISTING_FIRST_OFF; i < d->count; i++) {
		struct fuse_entry_param e = {
		    .attr = {.st_ino = FUSE_ROOT_ID, .st_mode = d->names[i].type}};

		if (!page_add(pg, d->names[i].name, &e, LISTING_FIRST_OFF + i + 1))
			return;
	}
}

/*
 * Is what was read of the snapshot this moment what a lookup would find? After `busy` was
 * asked for, as a lookup is. What was held back for the next page was judged long ago.
 */
static bool is_current(const struct listing *d, const struct store_dirent *ent)
{
	return ent == &d->ent && !d->held && !(d->dir.view.set & ~VIEW_VERSION) &&
	       store_dir_is_current(d->stream);
}

/* What the name is now, of which the listing has a snapshot: a node must be that. */
static bool find_now(struct fs *fs, struct listing *d, const struct store_dirent *ent,
		     struct store_attr *ret_now)
{
	*ret_now = ent->attr;
	if (store_ino_in_tree(d->dir.ino))
		return true;
	if (pending_busy(fs->pending, d->branch, ent->name))
		return false;
	if (is_current(d, ent))
		return true;
	return d->branch &&
	       dirref_lookup(fs, &d->dir, d->branch, ent->name, ret_now) == 0 &&
	       ret_now->ino == ent->attr.ino;
}

/* With plus the kernel gets a node, and counts a lookup of it. */
static int fill_entry(struct fs *fs, struct listing *d, bool plus,
		      const struct store_dirent *ent, struct fuse_entry_param *ret_e)
{
	const struct store_dir *listed = ent == &d->ent ? d->stream : NULL;
	uint64_t changes = kcache_attr_changes(fs->kcache);
	struct store_attr now;
	int r = -ENOENT;

	if (plus && find_now(fs, d, ent, &now))
		r = entry_fill_listed(fs, &d->dir, listed, &now, false, ret_e);
	if (!r && vnode_is(ret_e->ino) && kcache_attr_changes(fs->kcache) != changes)
		ret_e->attr_timeout = 0;
	if (r != -ENOENT)
		return r;
	/* Without a node, also when it has just lost its name: that and its type. */
	*ret_e = (struct fuse_entry_param){
	    .attr = {.st_ino = ent->attr.ino, .st_mode = ent->attr.mode}};
	return 0;
}

/* Another snapshot than the one that gave the offset out. */
static int seek_resumed(struct listing *d, uint64_t off)
{
	char name[STORE_NAME_MAX + 1];
	bool after;

	if (!listing_find_given(d, off, name, &after))
		return store_dir_seek(d->stream, off - LISTING_FIRST_OFF);
	return store_dir_seek_name(d->stream, name, after, off - LISTING_FIRST_OFF);
}

static int open_stream(fuse_req_t req, struct handle *h, bool again)
{
	struct fs *fs = fs_of(req);
	struct listing *d = h->listing;
	int r = attach_settle(fs, d->branch, NULL);

	if (r)
		return r;
	pending_wait_branch(fs->pending, d->branch, fuse_req_ctx(req)->pid);
	if (!again) {
		r = listing_load_computed(fs, d);
		if (d->count)
			listing_keep(fs, h);
	}
	if (!r)
		r = store_dir_open(fs->store, d->branch, &d->stream);
	d->at = LISTING_FIRST_OFF;
	return r;
}

static int seek_to(fuse_req_t req, struct handle *h, uint64_t off)
{
	struct listing *d = h->listing;
	bool resumed = d->resumed && off != LISTING_FIRST_OFF;
	int r = 0;

	if (d->stream && off == LISTING_FIRST_OFF && d->at != off &&
	    !store_ino_in_tree(d->dir.ino)) {
		store_dir_close(d->stream); /* rewound: as it is now */
		d->stream = NULL;
		d->held = d->renumbered = false;
	}
	if (!d->stream)
		r = open_stream(req, h, resumed);
	if (!r && d->at != off) {
		r = resumed ? seek_resumed(d, off)
			    : store_dir_seek(d->stream, off - LISTING_FIRST_OFF);
		d->held = false;
	}
	if (r)
		return r;
	d->at = off;
	d->renumbered |= resumed;
	d->resumed = false; /* from here on the offsets are this snapshot's */
	return 0;
}

/*
 * What is in a tree was judged with it, when it was opened; and what no view restricts
 * has been judged by the store just now.
 */
static bool is_listed(struct listing *d)
{
	return !listing_is_computed(d, d->ent.name) &&
	       (store_ino_in_tree(d->dir.ino) || !view_restricts(&d->dir.view) ||
		view_admits(&d->dir.view, &d->ent.attr, time_now_ns(), NULL));
}

/* The next one that the view shows; -ENOENT: the end. */
static int next_entry(struct listing *d)
{
	int r;

	if (d->held)
		return 0;
	do
		r = store_dir_next(d->stream, &d->ent);
	while (!r && !is_listed(d));
	if (!r)
		sealed_show_type(&d->dir.view, &d->ent.attr);
	return r;
}

/* False: the page is full, and nothing was added. */
static bool add_filled(struct fs *fs, struct dir_page *pg, const char *name,
		       const struct fuse_entry_param *e, uint64_t next_off)
{
	bool added = page_add(pg, name, e, next_off);

	if (!added && pg->plus && e->ino)
		node_forget(fs, e->ino, 1);
	return added;
}

/* What is being computed, and what is shown of it meanwhile. */
static int fill_computed(struct fs *fs, struct listing *d, struct dir_page *pg,
			 uint64_t off)
{
	uint64_t i = off > COMPUTED_OFF ? off - COMPUTED_OFF : 0;

	for (; i < d->count; i++) {
		struct store_dirent ent = {.name = d->names[i].name};
		struct fuse_entry_param e;
		int r = dirref_lookup(fs, &d->dir, d->branch, ent.name, &ent.attr);

		if (!r)
			r = fill_entry(fs, d, pg->plus, &ent, &e);
		if (r == -ENOENT)
			continue;
		if (r)
			return r;
		if (!add_filled(fs, pg, ent.name, &e, COMPUTED_OFF + i + 1))
			break;
	}
	return 0;
}

int listing_fill_rows(struct fs *fs, struct listing *d, struct dir_page *pg)
{
	struct fuse_entry_param e;
	int r = 0;

	pg->off = pg->next_off = d->at;
	pg->until_ns = DURATION_NONE;
	pg->rules = store_dir_rules(d->stream);
	while (!r) {
		r = next_entry(d);
		if (!r)
			r = fill_entry(fs, d, pg->plus, &d->ent, &e);
		if (r)
			break;
		d->held = !add_filled(fs, pg, d->ent.name, &e,
				      LISTING_FIRST_OFF + d->ent.next_off);
		if (d->held)
			return 0;
		d->at = pg->next_off = LISTING_FIRST_OFF + d->ent.next_off;
		if (d->ent.attr.expires_ns < pg->until_ns)
			pg->until_ns = d->ent.attr.expires_ns;
		listing_note_added(d, pg);
	}
	return r == -ENOENT ? fill_computed(fs, d, pg, COMPUTED_OFF) : r;
}

int listing_fill_store(fuse_req_t req, struct handle *h, struct dir_page *pg,
		       uint64_t off)
{
	struct fs *fs = fs_of(req);
	int r;

	if (off >= COMPUTED_OFF)
		return fill_computed(fs, h->listing, pg, off);
	r = seek_to(req, h, off);
	return r ? r : listing_fill_rows(fs, h->listing, pg);
}

/* ---- ahead ---- */

/*
 * Reading the names and taking them cost about as much, and are done by two processes.
 * So who has answered reads on, as long as the names are read one after the other. What
 * was read is used at once or not at all: its names must still be those to be shown.
 *
 * With attributes it is not done: the kernel would have to be told of nodes that it may
 * never ask for.
 */
enum { AHEAD_BYTES_MAX = 64 * 1024, AHEADS_MAX = 64 };

bool listing_take_ahead(struct listing *d, struct dir_page *pg, uint64_t off)
{
	struct dir_page *ahead = &d->ahead;
	bool good = d->has_ahead && !pg->plus && !pg->used && ahead->off == off &&
		    ahead->size == pg->size &&
		    ahead->rules == store_dir_rules(d->stream) &&
		    (ahead->until_ns == DURATION_NONE || ahead->until_ns > time_now_ns());

	if (good) {
		struct dir_page empty = *pg;

		*pg = *ahead;
		*ahead = empty;
	}
	listing_drop_ahead(d);
	return good;
}

/* Likely to be asked for, and needs nothing but the stream. */
bool listing_may_read_ahead(const struct listing *d, const struct dir_page *pg)
{
	return d->held && !pg->plus && pg->size <= AHEAD_BYTES_MAX && !d->has_ahead &&
	       !d->renumbered && !d->count && !view_restricts(&d->dir.view) &&
	       !store_ino_in_tree(d->dir.ino);
}

void listing_read_ahead(struct listing *d, size_t size)
{
	struct dir_page pg = {.data = malloc(size), .size = size};
	struct fs *fs = d->fs;
	bool room = atomic_fetch_add(&fs->aheads, 1) < AHEADS_MAX && pg.data;
	bool kept = false;

	pthread_mutex_lock(&d->lock);
	/* Who asks next finds out what is wrong. */
	if (room && !d->has_ahead && d->held && listing_fill_rows(fs, d, &pg) == 0) {
		d->has_ahead = kept = true;
		d->ahead = pg;
	}
	pthread_mutex_unlock(&d->lock);
	if (!kept) {
		dir_page_deinit(&pg);
		atomic_fetch_sub(&fs->aheads, 1);
	}
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
