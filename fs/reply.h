/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From the store's answers to the kernel's.
 *
 * Errors are 0 or -errno everywhere in memofs; reply_err() is the one place
 * that turns the sign for FUSE.
 */
#ifndef MEMOFS_FS_REPLY_H
#define MEMOFS_FS_REPLY_H

#include "fs/fs.h"
#include "fs/vnode.h"

/* `r` is 0 or -errno. */
void reply_err(fuse_req_t req, int r);
/* What is gone under a node id, or was dropped because the index of its tree is
 * damaged: the kernel is asked to look the name up again. */
void reply_stale(fuse_req_t req, int r);

/*
 * A message to the kernel that is only a header: an answer with -errno, or with `unique`
 * 0 the notification of that number. -errno.
 */
int reply_header(struct fs *fs, uint64_t unique, int error);

/* Is the caller in this group? For what the kernel cannot decide. */
bool caller_in_group(fuse_req_t req, gid_t gid);

struct timespec to_timespec(int64_t ns);
/* Fill a stat from the store's attributes. */
void attr_to_stat(const struct store_attr *attr, struct stat *ret_st);
/* A virtual node's own: control directories and texts belong to the mount's owner. */
void vnode_to_stat(const struct fs *fs, const struct vnode *v, struct stat *ret_st);

/* The inode number people see: a version's view is not the directory itself. */
uint64_t vnode_st_ino(const struct vnode *v);

#endif
