/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The place in a directory where trees are built.
 *
 * It is a directory as any other, with rows of its own, under a name that nobody
 * can give: `.memofs`, in the unnamed branch, so that it is there at whatever
 * version. Inheritance, renaming and removal of its directory, and recovery need
 * not know of it. Listings and the question whether a directory is empty leave the
 * name out.
 *
 * It has the ttl `none`: what is built for longer than results are good there would be
 * sealed without what was made first.
 */
#include "store/stage.h"

#include <errno.h>
#include <string.h>

#include "store/internal.h"

bool name_is_stage(struct slice name)
{
	return name.len == strlen(STAGE_NAME) &&
	       !memcmp(name.data, STAGE_NAME, strlen(STAGE_NAME));
}

/* The row of what is made, like the directory it is in. Under `names`. */
static int stage_row(struct store *st, uint64_t dir_ino, struct inode_row *row,
		     struct policy *ret_policy)
{
	CLEANUP_INODE struct inode dir = INODE_INIT;
	int r;

	/* The directory may be below one that was removed. */
	r = policy_get(st, dir_ino, ret_policy);
	if (r == 0 && ret_policy->dir_ino != dir_ino)
		r = -ENOENT; /* the number of a branch */
	if (r == 0)
		r = inode_load(st, dir_ino, &dir);
	if (r)
		return r;
	row->core.mode = dir.row.core.mode | S_ISVTX;
	row->core.uid = dir.row.core.uid;
	row->core.gid = dir.row.core.gid;
	return 0;
}

/* `fresh` is the number it gets when there is none. Under `names`. */
static int stage_make(struct store *st, uint64_t dir_ino, uint64_t fresh,
		      uint64_t *ret_ino)
{
	CLEANUP_BATCH struct batch b = BATCH_INIT;
	int64_t now_ns = time_now_ns();
	struct inode_row row = {.core = {.ino = fresh,
					 .atime_ns = now_ns,
					 .mtime_ns = now_ns,
					 .ctime_ns = now_ns,
					 .created_ns = now_ns,
					 .ttl_ns = DURATION_NONE},
				.parent_branch = dir_ino,
				.name = slice_str(STAGE_NAME),
				.ttl_text = slice_str("none"),
				.branch = fresh,
				.cost_s = -1};
	struct policy policy;
	struct row_core core;
	int r;

	r = stage_row(st, dir_ino, &row, &policy);
	if (r)
		return r;
	r = dirent_load(st, dir_ino, row.name, &core);
	if (r == 0)
		*ret_ino = core.ino;
	if (r != -ENOENT)
		return r;
	/* Its directory's times stay: no child was made. */
	batch_put_inode(&b, &row);
	batch_count(&b, &row.core, 1);
	usage_batch_charge(st, &b, &policy, (int64_t)core_charge(&row.core));
	r = store_commit(st, &b);
	if (r)
		return r;
	st->names_added++;
	*ret_ino = fresh;
	return 0;
}

static int stage_find(struct store *st, uint64_t dir_ino, uint64_t *ret_ino)
{
	struct policy policy;
	struct row_core core;
	int r;

	r = policy_get(st, dir_ino, &policy);
	if (r)
		return r;
	if (policy.dir_ino != dir_ino)
		return -ENOENT;
	r = dirent_load(st, dir_ino, slice_str(STAGE_NAME), &core);
	if (r == 0)
		*ret_ino = core.ino;
	return r;
}

int store_stage_dir(struct store *st, uint64_t dir_ino, bool create, uint64_t *ret_ino)
{
	CLEANUP_ROOM struct room_hold hold = ROOM_HOLD_INIT;
	uint64_t fresh;
	int r;

	if (store_ino_in_tree(dir_ino))
		return create ? -EPERM : -ENOENT;
	r = stage_find(st, dir_ino, ret_ino);
	if (r != -ENOENT || !create)
		return r;
	r = room_take(st, ROOM_ROWS_BYTES, ROOM_WAIT, &hold);
	if (r == 0)
		r = ino_alloc(st, &fresh);
	if (r)
		return r;
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&st->names);
	return stage_make(st, dir_ino, fresh, ret_ino);
}

/* What has the branch: a directory, or the stream of a sealed tree. */
static int owner_of(struct store *st, uint64_t branch, uint64_t *ret_ino)
{
	uint64_t above;

	if (!store_ino_in_tree(branch))
		return policy_place(st, branch, ret_ino, &above);
	*ret_ino = store_tree_stream(branch);
	return 0;
}

/* From a branch to the one that its owner is in; 0 above the root. */
static int step_up(struct store *st, uint64_t *branch, bool *ret_stage)
{
	CLEANUP_INODE struct inode dir = INODE_INIT;
	uint64_t ino;
	int r;

	r = owner_of(st, *branch, &ino);
	if (r == 0)
		r = inode_load(st, ino, &dir);
	if (r)
		return r;
	*branch = dir.row.parent_branch;
	*ret_stage = name_is_stage(dir.row.name);
	return 0;
}

int store_branch_staged(struct store *st, uint64_t branch, bool *ret_staged)
{
	/* What is moved meanwhile is seen where it was or where it is. */
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&st->names);
	struct policy policy;
	bool staged = false;
	int r = 0;

	while (!r && !staged && branch)
		r = step_up(st, &branch, &staged);
	if (staged) /* rows below a removed directory wait for gc */
		r = policy_get(st, branch, &policy);
	if (r && r != -ENOENT && r != -ENOTDIR)
		return r;
	*ret_staged = staged && !r;
	return 0;
}
