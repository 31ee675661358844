/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listings.
 *
 * Offsets 0 and 1 are before "." and before ".."; from 2 on they are the
 * store's, moved by 2. A listing shows the directory as it was when it was
 * opened (or last rewound), which POSIX allows, so that offsets stay good.
 *
 * Under `stale` the names that were being computed at that moment come last, at
 * offsets of their own: the store's listing leaves out what has expired, and what
 * expires while it is read is neither to be missed nor to come twice.
 *
 * A directory of a sealed tree is held from the open on, so that who is listing goes
 * on when the tree is replaced. It never changes: the kernel may keep the listing.
 */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "fs/control.h"
#include "fs/handle.h"
#include "fs/kcache.h"
#include "fs/node.h"
#include "fs/open.h"
#include "fs/pending.h"
#include "fs/reply.h"
#include "fs/retry.h"
#include "fs/sealed.h"
#include "fs/session.h"

enum { FIRST_OFF = 2 };
#define COMPUTED_OFF (UINT64_C(1) << 62)

struct listed {
	char *name;
	mode_t type;
};

struct listing {
	bool control;

	/* A directory of the store. One request at a time: the kernel holds the
	 * directory's lock, exclusively unless it is asked not to; `lock` is for
	 * descriptors shared between processes. */
	pthread_mutex_t lock;
	struct dirref dir;
	uint64_t branch;
	struct store_dir *stream; /* NULL: to be opened */
	uint64_t at;		  /* the position `stream` is at */
	bool held;		  /* `ent` was read and did not fit: it comes next */
	struct store_dirent ent;

	/* A control directory: all its names. Else those being computed, sorted. */
	struct vnode v;
	struct listed *names;
	size_t count;

	/* For who goes on: see "kept". */
	struct buf page; /* names given out last */
	bool page_new;	 /* and not kept yet */
	bool resumed;	 /* `stream` is not the one that gave the offsets out */
};

static void free_names(struct listing *d)
{
	for (size_t i = 0; i < d->count; i++)
		free(d->names[i].name);
	free(d->names);
	d->names = NULL;
	d->count = 0;
}

void listing_free(struct listing *d)
{
	if (!d)
		return;
	store_dir_close(d->stream);
	free_names(d);
	buf_deinit(&d->page);
	pthread_mutex_destroy(&d->lock);
	free(d);
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

static void keep_listing(struct fs *fs, struct handle *h)
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
static void keep_page(struct fs *fs, struct handle *h)
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

static void note_given(struct fs *fs, struct listing *d, bool first, uint64_t off,
		       uint64_t next_off)
{
	int r = 0;

	if (!fs->keep || store_ino_in_tree(d->dir.ino))
		return;
	if (first)
		r = buf_set(&d->page, &off, sizeof(off));
	if (!r)
		r = append_name(&d->page, next_off, d->ent.name);
	d->page_new = !r;
	if (r)
		buf_clear(&d->page);
}

/* Where to go on at `off`: at a name, or after it. False: it was not given out last. */
static bool find_in_page(const struct listing *d, uint64_t off,
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

static int add_name(void *arg, const char *name, mode_t type);

static int resume_names(struct listing *d, struct slice extra, uint32_t count)
{
	char name[STORE_NAME_MAX + 1];
	uint64_t type;
	int r = 0;

	for (uint32_t i = 0; !r && i < count; i++) {
		if (!take_name(&extra, &type, name))
			return -EUCLEAN;
		r = add_name(d, name, (mode_t)type);
	}
	return r;
}

/* What becomes of a directory that is gone is found out by who reads on. */
static int resume_dir(struct fs *fs, uint64_t nodeid, struct listing *d)
{
	if (d->control)
		return vnode_get(fs->vnodes, nodeid, &d->v);
	if (dirref_get(fs, nodeid, &d->dir))
		d->dir.nodeid = nodeid;
	d->resumed = true;
	if (!store_ino_in_tree(d->dir.ino))
		return 0;
	d->at = FIRST_OFF;
	return store_dir_open(fs->store, d->branch, &d->stream);
}

int listing_resume(struct fs *fs, struct handle *h, struct slice extra)
{
	struct listing *d = calloc(1, sizeof(*d));
	struct dir_head head;
	int r;

	if (!d)
		return -ENOMEM;
	pthread_mutex_init(&d->lock, NULL);
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
	return r ? r : resume_dir(fs, h->nodeid, d);
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

static int add_name(void *arg, const char *name, mode_t type)
{
	struct listing *d = arg;
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
	return add_name(arg, name, S_IFREG);
}

static int compare_names(const void *a, const void *b)
{
	const struct listed *la = a, *lb = b;

	return strcmp(la->name, lb->name);
}

static int load_computed(struct fs *fs, struct listing *d)
{
	int r = 0;

	free_names(d);
	if (d->branch && (d->dir.view.set & VIEW_STALE))
		r = store_lease_list(fs->store, d->branch, add_computed, d);
	if (d->count)
		qsort(d->names, d->count, sizeof(*d->names), compare_names);
	return r;
}

static bool is_computed(const struct listing *d, const char *name)
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

	d->at = FIRST_OFF;
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
		return r ? r : control_list(req, &d->v, add_name, d);
	}
	if (!r && store_ino_in_tree(d->dir.ino))
		return open_sealed(req, ino, d);
	return r ? r : dirref_branch(fs, &d->dir, false, &d->branch);
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
		h->listing = calloc(1, sizeof(*h->listing));
	if (h && h->listing) {
		pthread_mutex_init(&h->listing->lock, NULL);
		h->nodeid = ino;
		h->unique = session_unique();
		r = open_dir(req, ino, h->listing);
	}
	if (r) {
		handle_free(fs->handles, h);
		limit_give(&hold); /* without a handle */
		return r;
	}
	h->ino = h->listing->dir.ino;
	fi->cache_readdir = fi->keep_cache = store_ino_in_tree(h->ino);
	open_tell(h, fi);
	keep_listing(fs, h);
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

/* The reply under construction. */
struct page {
	fuse_req_t req;
	bool plus;
	char *data;
	size_t size, used;
};

/* False: the page is full, and nothing was added. */
static bool page_add(struct page *pg, const char *name, const struct fuse_entry_param *e,
		     uint64_t next_off)
{
	size_t left = pg->size - pg->used, need;

	if (pg->plus)
		need = fuse_add_direntry_plus(pg->req, pg->data + pg->used, left, name, e,
					      (off_t)next_off);
	else
		need = fuse_add_direntry(pg->req, pg->data + pg->used, left, name,
					 &e->attr, (off_t)next_off);
	if (need > left)
		return false;
	pg->used += need;
	return true;
}

static bool add_dot(struct page *pg, const char *name, uint64_t ino, uint64_t next_off)
{
	/* No node id: the kernel knows these two itself. */
	struct fuse_entry_param e = {.attr = {.st_ino = ino, .st_mode = S_IFDIR}};

	return page_add(pg, name, &e, next_off);
}

/* "." and ".."; moves *off on. False: full. */
static bool add_dots(struct fs *fs, struct listing *d, struct page *pg, uint64_t *off)
{
	uint64_t self = d->control ? d->v.id : d->dir.ino, parent, branch;

	if (d->control || store_parent(fs->store, d->dir.ino, &parent, &branch))
		parent = d->control ? d->v.dir_ino : self;
	for (; *off < FIRST_OFF; ++*off)
		if (!add_dot(pg, *off ? ".." : ".", *off ? parent : self, *off + 1))
			return false;
	return true;
}

static void fill_control(struct listing *d, struct page *pg, uint64_t off)
{
	for (size_t i = off - FIRST_OFF; i < d->count; i++) {
		struct fuse_entry_param e = {
		    .attr = {.st_ino = FUSE_ROOT_ID, .st_mode = d->names[i].type}};

		if (!page_add(pg, d->names[i].name, &e, FIRST_OFF + i + 1))
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

/* With plus the kernel gets a node, and counts a lookup of it. */
static int fill_entry(struct fs *fs, struct listing *d, bool plus,
		      const struct store_dirent *ent, struct fuse_entry_param *ret_e)
{
	bool busy;
	int r;

	if (!plus) {
		memset(ret_e, 0, sizeof(*ret_e));
		attr_to_stat(&ent->attr, &ret_e->attr);
		return 0;
	}
	if (store_ino_in_tree(d->dir.ino)) {
		r = entry_fill(fs, &d->dir, &ent->attr, false, ret_e);
		if (r != -ENOENT) /* else it has lost its name */
			return r;
	}
	busy = pending_busy(fs->pending, d->branch, ent->name);
	if (!busy && is_current(d, ent)) {
		r = entry_fill(fs, &d->dir, &ent->attr, false, ret_e);
		if (r != -ENOENT)
			return r;
	}
	if (!busy && d->branch) {
		struct store_attr now;

		/* The listing is a snapshot; a node must be what the name is now. */
		if (dirref_lookup(fs, &d->dir, d->branch, ent->name, &now) == 0 &&
		    now.ino == ent->attr.ino) {
			r = entry_fill(fs, &d->dir, &now, false, ret_e);
			if (r != -ENOENT)
				return r;
		}
	}
	memset(ret_e, 0, sizeof(*ret_e)); /* the name and its type, without a node */
	attr_to_stat(&ent->attr, &ret_e->attr);
	return 0;
}

/* Another snapshot than the one that gave the offset out. */
static int seek_resumed(struct listing *d, uint64_t off)
{
	char name[STORE_NAME_MAX + 1];
	bool after;

	if (!find_in_page(d, off, name, &after))
		return store_dir_seek(d->stream, off - FIRST_OFF);
	return store_dir_seek_name(d->stream, name, after, off - FIRST_OFF);
}

static int open_stream(fuse_req_t req, struct handle *h, bool again)
{
	struct fs *fs = fs_of(req);
	struct listing *d = h->listing;
	int r = 0;

	pending_wait_branch(fs->pending, d->branch, fuse_req_ctx(req)->pid);
	if (!again) {
		r = load_computed(fs, d);
		if (d->count)
			keep_listing(fs, h);
	}
	if (!r)
		r = store_dir_open(fs->store, d->branch, &d->stream);
	d->at = FIRST_OFF;
	return r;
}

static int seek_to(fuse_req_t req, struct handle *h, uint64_t off)
{
	struct listing *d = h->listing;
	bool resumed = d->resumed && off != FIRST_OFF;
	int r = 0;

	if (d->stream && off == FIRST_OFF && d->at != off &&
	    !store_ino_in_tree(d->dir.ino)) {
		store_dir_close(d->stream); /* rewound: as it is now */
		d->stream = NULL;
		d->held = false;
	}
	if (!d->stream)
		r = open_stream(req, h, resumed);
	if (!r && d->at != off) {
		r = resumed ? seek_resumed(d, off)
			    : store_dir_seek(d->stream, off - FIRST_OFF);
		d->held = false;
	}
	if (r)
		return r;
	d->at = off;
	d->resumed = false; /* from here on the offsets are this snapshot's */
	return 0;
}

/* What is in a tree was judged with it, when it was opened. */
static bool is_listed(struct listing *d)
{
	return !is_computed(d, d->ent.name) &&
	       (store_ino_in_tree(d->dir.ino) ||
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
static bool add_filled(struct fs *fs, struct page *pg, const char *name,
		       const struct fuse_entry_param *e, uint64_t next_off)
{
	bool added = page_add(pg, name, e, next_off);

	if (!added && pg->plus && e->ino)
		node_forget(fs, e->ino, 1);
	return added;
}

/* What is being computed, and what is shown of it meanwhile. */
static int fill_computed(struct fs *fs, struct listing *d, struct page *pg, uint64_t off)
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

static int fill_store(struct fs *fs, struct handle *h, struct page *pg, uint64_t off)
{
	struct listing *d = h->listing;
	struct fuse_entry_param e;
	bool first = true;
	int r;

	if (off >= COMPUTED_OFF)
		return fill_computed(fs, d, pg, off);
	r = seek_to(pg->req, h, off);
	while (!r) {
		r = next_entry(d);
		if (!r)
			r = fill_entry(fs, d, pg->plus, &d->ent, &e);
		if (r)
			break;
		d->held =
		    !add_filled(fs, pg, d->ent.name, &e, FIRST_OFF + d->ent.next_off);
		if (d->held)
			return 0;
		d->at = FIRST_OFF + d->ent.next_off;
		note_given(fs, d, first, off, d->at);
		first = false;
	}
	return r == -ENOENT ? fill_computed(fs, d, pg, COMPUTED_OFF) : r;
}

static void list(fuse_req_t req, size_t size, off_t off, struct fuse_file_info *fi,
		 bool plus)
{
	struct fs *fs = fs_of(req);
	struct handle *h = handle_get(fs->handles, fi->fh);
	struct listing *d = h->listing;
	struct page pg = {.req = req, .plus = plus, .data = malloc(size), .size = size};
	uint64_t at = (uint64_t)off;
	int r = pg.data ? 0 : -ENOMEM;

	if (!d) {
		free(pg.data);
		reply_err(req, -EIO);
		return;
	}
	pthread_mutex_lock(&d->lock);
	if (!r && add_dots(fs, d, &pg, &at)) {
		if (d->control)
			fill_control(d, &pg, at);
		else
			r = fill_store(fs, h, &pg, at);
	}
	keep_page(fs, h);
	pthread_mutex_unlock(&d->lock);
	if (r && !pg.used)
		reply_err(req, r);
	else
		fuse_reply_buf(req, pg.data, pg.used);
	free(pg.data);
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
