/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kept with the handle: which directory it is, and the names that are not found by
 * listing again. Beside it, of a directory of the store, the names that were given out
 * last with their offsets, since who goes on has another snapshot, and asks for one of
 * them, or for what comes after the last. (An offset from before them is counted from the
 * beginning then, and may be a little off when names have come and gone meanwhile.)
 */
#include "fs/listing.h"

#include <errno.h>
#include <string.h>

#include "store/util/keep.h"

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
