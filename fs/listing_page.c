/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/listing.h"

#include <errno.h>
#include <linux/fuse.h>
#include <stdlib.h>

#include "fs/attach.h"
#include "fs/kcache.h"
#include "fs/pending.h"
#include "fs/sealed.h"

#define COMPUTED_OFF (UINT64_C(1) << 62)

void dir_page_deinit(struct dir_page *pg)
{
	free(pg->data);
	buf_deinit(&pg->names);
}

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
static int fill_entry(struct fs *fs, struct listing *d, bool nodes,
		      const struct store_dirent *ent, struct fuse_entry_param *ret_e)
{
	const struct store_dir *listed = ent == &d->ent ? d->stream : NULL;
	struct store_attr now;
	int r = -ENOENT;

	if (nodes && find_now(fs, d, ent, &now))
		r = entry_fill_listed(fs, &d->dir, listed, &now, false, ret_e);
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
			r = fill_entry(fs, d, pg->nodes, &ent, &e);
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
			r = fill_entry(fs, d, pg->nodes, &d->ent, &e);
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

/* Attributes that may have changed since they were looked at, of a node that the kernel
 * may not have been told of: it is to ask for them again. */
static void distrust_changed(struct fs *fs, struct dir_page *pg,
			     const struct kcache_changes *before)
{
	struct fuse_direntplus *e;

	for (size_t at = 0; at < pg->used; at += FUSE_DIRENTPLUS_SIZE(e)) {
		e = (struct fuse_direntplus *)(pg->data + at);
		if (!e->entry_out.nodeid ||
		    !kcache_changed_since(fs->kcache, before, e->entry_out.attr.mode))
			continue;
		e->entry_out.attr_valid = 0;
		e->entry_out.attr_valid_nsec = 0;
	}
}

int listing_fill_store(fuse_req_t req, struct handle *h, struct dir_page *pg,
		       uint64_t off)
{
	struct fs *fs = fs_of(req);
	const struct dirref *dir = &h->listing->dir;
	struct kcache_changes before = kcache_changes(fs->kcache);
	int r;

	pg->nodes = pg->plus && kcache_lists_nodes(fs->kcache, dir->nodeid, dir->ino);
	if (off >= COMPUTED_OFF) {
		r = fill_computed(fs, h->listing, pg, off);
	} else {
		r = seek_to(req, h, off);
		if (!r)
			r = listing_fill_rows(fs, h->listing, pg);
	}
	if (pg->nodes)
		distrust_changed(fs, pg, &before);
	return r;
}
