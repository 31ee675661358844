/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a node id of the kernel stands for, and the answers to LOOKUP.
 */
#ifndef MEMOFS_FS_NODE_H
#define MEMOFS_FS_NODE_H

#include "fs/fs.h"
#include "fs/vnode.h"

#define CONTROL_NAME ".memofs"

/* A directory of the store as a node shows it. */
struct dirref {
	uint64_t nodeid;
	uint64_t ino;
	struct view view;
};

/* The version it is seen at, for store_branch(); NULL: its current one. */
const char *dirref_version(const struct dirref *dir);

/*
 * The directory behind a node. -ENOENT: the node is gone; -EPERM: a control
 * directory, in which nothing can be made; -ENOTDIR.
 */
int dirref_get(struct fs *fs, fuse_ino_t nodeid, struct dirref *ret_dir);
/* The branch it shows. With `create` one that can be written to. See store_branch(). */
int dirref_branch(struct fs *fs, const struct dirref *dir, bool create,
		  uint64_t *ret_branch);
/* Both at once, and the name checked: -ENAMETOOLONG, -EPERM for `.memofs`. */
int dirref_child(struct fs *fs, fuse_ino_t nodeid, const char *name, bool create,
		 struct dirref *ret_dir, uint64_t *ret_branch);

/*
 * The inode of the store behind a node, for attributes: a directory under a view
 * is the directory itself. -EPERM: a control node.
 */
int node_ino(struct fs *fs, fuse_ino_t nodeid, uint64_t *ret_ino);

/*
 * Answer about a child found in the store: its node (a directory below a view
 * gets a virtual one, and one lookup is counted), attributes and timeouts. A
 * name that `busy` says someone is writing is not cached.
 */
int entry_fill(struct fs *fs, const struct dirref *dir, const struct store_attr *attr,
	       bool busy, struct fuse_entry_param *ret_e);
/* A publish in it is ahead, which will change its times: they are not cached. */
bool dir_busy(struct fs *fs, uint64_t dir_ino);
/* If the node is a directory: wait for the publishes under way in it; `tid` asks. */
void dir_settle(struct fs *fs, fuse_ino_t nodeid, pid_t tid);
/*
 * Absent, and the kernel may remember that, unless somebody is writing the name
 * or the directory is seen by more than one path: what is published by one would
 * be missed by the other until the kernel is told. (So, when a directory gets
 * another path, all names are made stale.)
 */
void entry_negative(struct fs *fs, const struct dirref *dir, bool busy,
		    struct fuse_entry_param *ret_e);

/* Names below a control directory. -ENOENT. Counts one lookup. */
int control_lookup(struct fs *fs, const struct vnode *parent, const char *name,
		   struct fuse_entry_param *ret_e);

#endif
