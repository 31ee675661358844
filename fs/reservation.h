/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reservations as a mount shows them: DIR/.memofs/reservations/KEY, the attribute
 * `reservation`, and the fence around what a view with owner=ID changes.
 *
 * A key is (branch, name): that of the version which the directory is seen at.
 * Who may write the directory may reserve in it, which the kernel checks by the
 * mode that reservation_stat() gives. All functions are for any thread and take no
 * lock of their own. What `tid`, the thread that asks, has closed just before is
 * waited for, so that a value which is not being written any more reserves nothing.
 */
#ifndef MEMOFS_FS_RESERVATION_H
#define MEMOFS_FS_RESERVATION_H

#include <sys/stat.h>

#include "fs/fs.h"
#include "fs/node.h"
#include "fs/reservation_text.h"

/* ---- of a key ---- */

/* Who changes one, and whether by the name alone: else the kernel let him write what
 * has the name. */
struct reservation_caller {
	pid_t tid;
	uid_t uid;
	bool by_name;
};

/* What the attribute reads; appends to `out`. */
int reservation_get(struct fs *fs, uint64_t branch, const char *name, pid_t tid,
		    struct buf *out);
/* Has anybody reserved it, or is writing it? */
bool reservation_is_held(struct fs *fs, uint64_t branch, const char *name);
/*
 * Do what `text` says. `extend_only`: never take what ID does not have. -EINVAL
 * (logged); -EBUSY: another has it; -ESTALE: ID does not have it, and was only to
 * extend; -EDQUOT: the caller has too many; -EPERM: the directory has the sticky bit, and
 * it, or what has the name, is another user's. A release is else always a success.
 */
int reservation_set(struct fs *fs, uint64_t branch, const char *name,
		    const struct reservation_caller *by, const char *text, size_t len,
		    bool extend_only);

/* ---- VNODE_RESERVATION and VNODE_RESERVATIONS ---- */

int reservation_node_get(struct fs *fs, const struct vnode *v, pid_t tid,
			 struct buf *out);
/* Besides, -EROFS: the mount or the view is read-only. */
int reservation_node_set(struct fs *fs, const struct vnode *v,
			 const struct reservation_caller *by, const char *text,
			 size_t len, bool extend_only);
/* What reading the file gives; appends to `out`. */
int reservation_node_text(struct fs *fs, const struct vnode *v, pid_t tid,
			  struct buf *out);
/* -ENOENT: the directory is gone. */
int reservation_stat(struct fs *fs, const struct vnode *v, struct stat *ret_st);
/* What is reserved or being written in a directory now, each name once. */
int reservation_list(struct fs *fs, const struct vnode *v,
		     int (*each)(void *arg, const char *name, mode_t type), void *arg);

/* ---- the fence ---- */

/* Between enter and leave nobody else gets the lease of the name. */
struct fence {
	struct fs *fs; /* NULL: the view has no owner */
	uint64_t branch;
	const char *name; /* of the caller */
	uint64_t token;
};

/*
 * Before a change of `name` through `view`. -ESTALE: its owner= does not have the
 * lease (logged). Without owner=, and on failure, the fence is one that may be left.
 */
int fence_enter(struct fs *fs, const struct view *view, uint64_t branch, const char *name,
		struct fence *ret_fence);
/* `published`: the name has what it was reserved for, and the lease ends. */
void fence_leave(struct fence *f, bool published);

#endif
