/* SPDX-License-Identifier: Apache-2.0 */
/*
 * DIR/.memofs/stage: a real directory, in which trees are built with any tool; who
 * renames one from there to a key seals it.
 *
 * It is made when somebody who may write DIR first looks for it. It has a node like any
 * directory of the store where `.memofs` was reached without a view, because then there
 * is one path to it; else a virtual one. Of a view only `ro` holds in it: what is being
 * built is nobody's hit, and has no lease.
 */
#ifndef MEMOFS_FS_STAGE_H
#define MEMOFS_FS_STAGE_H

#include "fs/fs.h"
#include "fs/vnode.h"

#define STAGE_NAME "stage"

/*
 * The directory behind it, for who asks; without `make` *ret_ino is 0 when he would be
 * the first. -ENOENT: it is not there and he may not make it; or `control` is in a
 * stage itself.
 */
int stage_get(fuse_req_t req, const struct vnode *control, bool make, uint64_t *ret_ino);

/*
 * The mode or owner of a directory has changed: where trees are built in it is open to
 * the same people. Returns the number of that, or 0: there is none, or it stays (logged).
 */
uint64_t stage_follow(struct store *st, const struct store_attr *dir);

/* A name in a directory of the store. */
struct stage_place {
	uint64_t branch;
	const char *name;
};
/*
 * What a rename is to be. *ret_seals: a directory leaves a stage, and becomes a tree.
 * -EINVAL: it would be exchanged with something that is in none.
 */
int stage_judge_rename(struct fs *fs, const struct stage_place *from,
		       const struct stage_place *to, bool exchange, bool *ret_seals);
/*
 * Such a rename; as store_seal(). -EBUSY: something in the directory is still being
 * written.
 */
int stage_seal(fuse_req_t req, const struct stage_place *from,
	       const struct stage_place *to, bool noreplace);

#endif
