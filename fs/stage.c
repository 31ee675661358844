/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/stage.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/caller.h"
#include "fs/metrics.h"
#include "fs/node.h"
#include "fs/pending.h"
#include "fs/process.h"
#include "fs/reply.h"
#include "fs/session.h"
#include "store/util/log.h"

/* ---- the place ---- */

int stage_get(fuse_req_t req, const struct vnode *control, bool make, uint64_t *ret_ino)
{
	struct fs *fs = fs_of(req);
	struct store_attr dir;
	bool staged;
	int r = store_stage_dir(fs->store, control->dir_ino, false, ret_ino);

	if (r != -ENOENT || is_read_only(fs, &control->view))
		return r;
	r = store_branch_staged(fs->store, control->dir_ino, &staged);
	if (!r && staged)
		return -ENOENT;
	if (!r)
		r = store_getattr(fs->store, control->dir_ino, &dir);
	if (!r && !caller_may(req, &dir, S_IWOTH))
		r = -ENOENT;
	if (r)
		return r;
	*ret_ino = 0;
	return make ? store_stage_dir(fs->store, control->dir_ino, true, ret_ino) : 0;
}

uint64_t stage_follow(struct store *st, const struct store_attr *dir)
{
	struct store_attr want = *dir, is;
	uint64_t stage;
	int r;

	if (store_stage_dir(st, dir->ino, false, &stage))
		return 0;
	want.mode = (dir->mode & 07777) | S_ISVTX;
	r = store_setattr(st, stage, STORE_SET_MODE | STORE_SET_UID | STORE_SET_GID,
			  &want, &is);
	if (r)
		log_warning("the stage of a directory keeps its former mode: %s",
			    strerror(-r));
	return r ? 0 : stage;
}

/* ---- sealing ---- */

static int is_plain_dir(struct fs *fs, const struct stage_place *at, bool *ret_is)
{
	struct store_attr attr;
	int r = store_lookup(fs->store, at->branch, at->name, &attr);

	*ret_is = !r && S_ISDIR(attr.mode) && !attr.sealed;
	return r == -ENOENT ? 0 : r;
}

static int are_staged(struct fs *fs, const struct stage_place *from,
		      const struct stage_place *to, bool *ret_from, bool *ret_to)
{
	int r = store_branch_staged(fs->store, from->branch, ret_from);

	return r ? r : store_branch_staged(fs->store, to->branch, ret_to);
}

int stage_judge_rename(struct fs *fs, const struct stage_place *from,
		       const struct stage_place *to, bool exchange, bool *ret_seals)
{
	bool from_dir, to_dir = false, from_staged, to_staged;
	int r = is_plain_dir(fs, from, &from_dir);

	*ret_seals = false;
	if (!r && exchange)
		r = is_plain_dir(fs, to, &to_dir);
	if (r || (!from_dir && !to_dir) || from->branch == to->branch)
		return r;
	r = are_staged(fs, from, to, &from_staged, &to_staged);
	if (r || from_staged == to_staged)
		return r;
	if (exchange)
		return -EINVAL;
	*ret_seals = from_staged;
	return 0;
}

struct below {
	struct store *store;
	uint64_t top; /* a directory */
};

static bool is_below(void *arg, uint64_t branch)
{
	CLEANUP_BUF struct buf version = BUF_INIT;
	const struct below *b = arg;
	uint64_t dir, parent, unused;

	if (store_branch_owner(b->store, branch, &dir, &version))
		return false;
	while (dir != b->top && dir != STORE_ROOT_INO) {
		if (store_parent(b->store, dir, &parent, &unused))
			return false;
		dir = parent;
	}
	return dir == b->top;
}

/* What was closed in it is decided first; what is not closed has no place in a tree. */
static int settle(fuse_req_t req, const struct stage_place *from)
{
	struct fs *fs = fs_of(req);
	struct below b = {.store = fs->store};
	struct store_attr attr;
	int r = store_lookup(fs->store, from->branch, from->name, &attr);

	if (r)
		return r;
	b.top = attr.ino;
	r = pending_settle_below(fs->pending, is_below, &b, fuse_req_ctx(req)->pid);
	if (r == -EBUSY)
		log_warning("\"%s\" is not sealed: something in it is still being "
			    "written; close it first",
			    from->name);
	return r;
}

/* What rename(2) does not answer otherwise. */
static int explain(const char *name, int r)
{
	const char *why = NULL;

	if (r == -EACCES)
		why = "who moves it may not read all that is in it";
	else if (r == -EUCLEAN)
		why = "a file in it was damaged, and is gone; try again without it";
	else if (r == -E2BIG)
		why =
		    "it has more than 2,097,151 entries; seal its directories one by one";
	else if (r == -EFBIG)
		why = "its files are too large, or one has holes of more than 1 GiB";
	if (why)
		log_warning("\"%s\" is not sealed: %s", name, why);
	return r == -EUCLEAN ? -EIO : r;
}

/* Else a file that somebody else keeps for himself would become his who has the tree. */
static bool may_read(void *arg, const struct store_attr *attr)
{
	return caller_may(arg, attr, S_ISDIR(attr->mode) ? S_IROTH | S_IXOTH : S_IROTH);
}

int stage_seal(fuse_req_t req, const struct stage_place *from,
	       const struct stage_place *to, bool noreplace)
{
	struct fs *fs = fs_of(req);
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	struct store_sealer by = {
	    .writer = {.uid = ctx->uid, .gid = ctx->gid, .pid = ctx->pid},
	    .may_read = may_read,
	    .arg = req,
	};
	int r = settle(req, from);

	if (r)
		return r;
	process_comm(ctx->pid, by.writer.comm, sizeof(by.writer.comm));
	session_pass_token(); /* it takes as long as copying */
	r = store_seal(fs->store, from->branch, from->name, to->branch, to->name,
		       noreplace, &by, NULL, NULL);
	if (r)
		return explain(from->name, r);
	metrics_add(metrics_branch(fs->metrics, to->branch), STORE_COUNT_PUBLISHED, 1);
	return 0;
}
