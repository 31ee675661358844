/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Closing: FLUSH at each close(2), RELEASE when the last descriptor has gone.
 */
#include <errno.h>

#include "fs/attach.h"
#include "fs/backing.h"
#include "fs/handle.h"
#include "fs/kcache.h"
#include "fs/pending.h"
#include "fs/recent.h"
#include "fs/reply.h"
#include "fs/topic.h"
#include "fs/vnode.h"

void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct handle *h = handle_get(fs->handles, fi->fh);
	char name[STORE_NAME_MAX + 1];
	uint64_t branch;
	int r = 0;

	if (fs->no_open) {
		reply_err(req, -ENOSYS);
		return;
	}
	if (h->writer) {
		topic_enter(TOPIC_NAMESPACE, h->ns_ino); /* it has no name yet */
		r = pending_flush(h->pending, fuse_req_ctx(req)->pid);
	}

	if (!h->writer || !(vnode_any_dir(fs->vnodes) || attach_any(fs))) {
		reply_err(req, r);
		return;
	}
	/* Other paths to the name may have it cached, and other mounts. */
	pending_where(h->pending, &branch, name);
	kcache_name_changing(fs->kcache, branch, name, req, r);
}

/* A value of this size is hashed and published in no time. */
enum { SHORT_VALUE_BYTES = 256 * 1024 };

static bool is_large(const struct handle *h)
{
	struct store_attr attr;

	store_staged_attr(pending_staged(h->pending), &attr);
	return attr.size_bytes > SHORT_VALUE_BYTES;
}

bool flush_is_long(struct fs *fs, uint64_t fh)
{
	const struct handle *h = handle_get(fs->handles, fh);

	return h->writer && (atomic_load(&h->synced) || is_large(h));
}

bool release_is_long(struct fs *fs, uint64_t fh)
{
	const struct handle *h = handle_get(fs->handles, fh);

	return h->writer && is_large(h);
}

bool fsync_is_long(struct fs *fs, uint64_t fh)
{
	const struct handle *h = handle_get(fs->handles, fh);

	return !h->writer || !store_staged_in_memory(pending_staged(h->pending));
}

void release_noted(struct fs *fs, uint64_t fh)
{
	struct handle *h = handle_get(fs->handles, fh);

	handle_releasing(h);
	backing_close(fs->backings, h); /* who opens it next may have it otherwise */
	limit_closing(&h->hold);
	if (h->writer)
		pending_note_release(h->pending);
}

void close_handle(struct fs *fs, struct handle *h)
{
	struct store_attr attr;

	if (h->writer) {
		/* Before it can be replaced: who has just looked it up may ask. */
		store_staged_attr(pending_staged(h->pending), &attr);
		recent_put(fs->recent, &attr);
		pending_release(h->pending);
	}
	handle_free(fs->handles, h);
}

void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct fs *fs = fs_of(req);
	struct handle *h = handle_get(fs->handles, fi->fh);
	struct limits_user *user = h->hold.user;

	close_handle(fs, h);
	limit_closed(user);
	reply_err(req, 0);
}
