/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/resume.h"

#include <errno.h>
#include <string.h>

#include "fs/backing.h"
#include "fs/fs.h"
#include "fs/handle.h"
#include "fs/kcache.h"
#include "fs/listing.h"
#include "fs/once.h"
#include "fs/open.h"
#include "fs/pending.h"
#include "fs/retry.h"
#include "fs/vnode.h"
#include "fs/waiters.h"
#include "store/util/keep.h"
#include "store/util/log.h"

/* ---- before the store is opened ---- */

/* A directory in a sealed tree has no content of its own: the whole tree's is meant. */
static int add_ino(void *arg, struct kept *o)
{
	enum handle_kind kind;
	uint64_t ino, nodeid;
	int r = handle_kept_ino(o, &kind, &ino, &nodeid);

	if (r)
		return r == -ENODATA ? 0 : r;
	if (kind == HANDLE_DIR && store_ino_in_tree(ino))
		ino = store_tree_stream(ino);
	else if (kind != HANDLE_GEN)
		return 0;
	return buf_append(arg, &ino, sizeof(ino));
}

int resume_inos(struct keep *k, struct buf *ret_inos)
{
	int r = keep_each(k, KEEP_HANDLE, add_ino, ret_inos);

	return r ? r : retry_inos(k, ret_inos);
}

/* ---- descriptors ---- */

/* What has no value any more was closed: only its RELEASE comes. */
static void attach_value(struct fs *fs, struct handle *h)
{
	h->pending = pending_resumed(fs->pending, h->ino);
	if (h->pending && h->writer)
		pending_resume_writer(h->pending);
	if (h->pending)
		return;
	h->writer = false;
	h->kind = HANDLE_LOST;
}

static int attach_text(struct fs *fs, struct handle *h, struct slice text)
{
	int r = buf_set(&h->text, text.data, text.len);

	/* It was let in before. */
	if (!r)
		handle_count_text(fs->handles, h);
	return r;
}

/* It is a HANDLE_LOST when what it has open cannot be had. */
static int attach(struct fs *fs, struct handle *h, struct slice extra)
{
	int r = 0;

	switch (h->kind) {
	case HANDLE_GEN:
		r = store_gen_reopen(fs->store, h->ino, &h->gen);
		break;
	case HANDLE_PENDING:
		attach_value(fs, h);
		break;
	case HANDLE_TEXT:
		r = attach_text(fs, h, extra);
		break;
	case HANDLE_DIR:
		r = listing_resume(fs, h, extra);
		break;
	case HANDLE_LOST:
		break;
	}
	if (!r || r == -ENOMEM)
		return r;
	log_error("what is open as %016llx cannot be taken up, and reads EIO: %s",
		  (unsigned long long)h->ino, strerror(-r));
	listing_free(h->listing);
	h->listing = NULL;
	h->kind = HANDLE_LOST;
	return 0;
}

static int resume_handle(void *arg, struct kept *o)
{
	struct fs *fs = arg;
	struct handle *h;
	struct slice extra;
	int r = handle_resume(fs->handles, o, &h, &extra);

	if (r == -ENODATA) { /* the kernel was never told of it */
		keep_free(o);
		return 0;
	}
	if (!r)
		r = attach(fs, h, extra);
	return r ? r : backing_resume(fs->backings, h);
}

static int resume_page(void *arg, struct kept *o)
{
	struct fs *fs = arg;
	struct handle *h = handle_get(fs->handles, keep_id(o));

	if (h->kind == HANDLE_DIR)
		listing_resume_page(h, o);
	else
		keep_free(o); /* it was just being closed */
	return 0;
}

static int resume_handles(struct fs *fs)
{
	int r;

	handle_list_keep(fs->handles, fs->keep);
	if (handle_some_unkept(fs->handles))
		backing_lost(fs->backings);
	r = keep_each(fs->keep, KEEP_HANDLE, resume_handle, fs);
	if (!r)
		r = keep_each(fs->keep, KEEP_HANDLE_DIR, resume_page, fs);
	if (!r)
		r = handle_resume_end(fs->handles);
	return r;
}

int resume_tables(struct fs *fs, struct errmsg *err)
{
	int r = 0;

	if (!fs->keep)
		return 0;
	r = vnode_resume(fs->vnodes, fs->keep);
	if (!r)
		r = pending_resume(fs->pending);
	if (!r)
		r = resume_handles(fs);
	if (!r)
		r = waiters_resume(fs->waiters);
	if (!r)
		r = once_resume(fs->keep, &fs->once);
	if (!r)
		r = retry_resume(fs->retries, fs->store, fs->keep);
	return r ? err_set(err, -r, "what is kept cannot be taken up: %s", strerror(-r))
		 : 0;
}

/* ---- the kernel ---- */

static void ask_anew(void *arg, struct handle *h)
{
	struct fs *fs = arg;
	struct vnode v;

	if (vnode_is(h->nodeid) && vnode_get(fs->vnodes, h->nodeid, &v) == 0 &&
	    v.kind == VNODE_WAIT)
		return;
	kcache_node_changed(fs->kcache, h->nodeid);
}

/*
 * What was told to the daemon before this one's queue may not have been told to the
 * kernel. Names become stale all at once; who looks one up again gets its attributes,
 * too. So it is left what is reached without a name: the root, and what is open; and
 * nodes that show what has other paths, too. But not those of who waits, of which nothing
 * is cached: answers that are under way are not believed after this, and one that was an
 * empty file before would stay empty.
 */
void resume_session_begin(struct fs *fs)
{
	CLEANUP_BUF struct buf ids = BUF_INIT;
	uint64_t id;

	backing_resume_end(fs->backings);
	kcache_probe(fs->kcache);
	kcache_node_changed(fs->kcache, FUSE_ROOT_ID);
	handle_each(fs->handles, ask_anew, fs);
	if (vnode_places(fs->vnodes, &ids))
		log_warning("some attributes may be old for a while: %s",
			    strerror(ENOMEM));
	for (size_t at = 0; at < ids.len; at += sizeof(id)) {
		memcpy(&id, ids.data + at, sizeof(id));
		kcache_node_changed(fs->kcache, id);
	}
}

void resume_failed(struct fs *fs, uint64_t unique)
{
	struct handle *h = handle_by_unique(fs->handles, unique);

	if (h)
		open_abandon(fs, h);
}

static void release_late(void *arg, struct handle *h)
{
	struct fs *fs = arg;

	if (!handle_was_releasing(h))
		return;
	release_noted(fs, h->fh);
	close_handle(fs, h);
}

void resume_releases(struct fs *fs)
{
	handle_each(fs->handles, release_late, fs);
}

void resume_session_end(struct fs *fs)
{
	once_sweep(fs->once);
	retry_sweep(fs->retries);
	pending_resume_end(fs->pending);
	store_resume_end(fs->store);
}
