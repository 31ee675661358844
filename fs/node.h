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
/* The branch in which a virtual node is, or which it shows; as dirref_branch(). */
int vnode_branch(struct fs *fs, const struct vnode *v, bool create, uint64_t *ret_branch);

/* Can nothing be changed: is the mount read-only, or the view? */
static inline bool is_read_only(const struct fs *fs, const struct view *view)
{
	return fs->read_only || (view->set & VIEW_RO);
}

/* store_where(), with the name as a string. */
int name_of_ino(struct fs *fs, uint64_t ino, uint64_t *ret_branch,
		char ret_name[STORE_NAME_MAX + 1]);
/* The same of the entry that it is, or is part of. */
int entry_of_ino(struct fs *fs, uint64_t ino, uint64_t *ret_branch,
		 char ret_name[STORE_NAME_MAX + 1]);

/*
 * The directory behind a node. -ENOENT: the node is gone; -EPERM: a control
 * directory, in which nothing can be made; -ENOTDIR.
 */
int dirref_get(struct fs *fs, fuse_ino_t nodeid, struct dirref *ret_dir);
/* The branch it shows. With `create` one that can be written to. See store_branch(). */
int dirref_branch(struct fs *fs, const struct dirref *dir, bool create,
		  uint64_t *ret_branch);
/*
 * Both at once, and the name checked: -ENAMETOOLONG, -EPERM for `.memofs`. With
 * `create`, as dirref_may_change(). -ESTALE: a view of a directory that is gone, or
 * part of a sealed tree that is.
 */
int dirref_child(struct fs *fs, fuse_ino_t nodeid, const char *name, bool create,
		 struct dirref *ret_dir, uint64_t *ret_branch);

/* Can nothing in it be changed through this node? */
bool dirref_is_fixed(const struct dirref *dir);
/* Something in it is to be changed: 0; -EROFS; -EPERM: in a sealed tree (logged). */
int dirref_may_change(struct fs *fs, const struct dirref *dir);
/* Do the same rules hold for what is in both? Else a rename changes more than names. */
bool dirref_same_rules(const struct dirref *a, const struct dirref *b);

/*
 * What the view shows under the name; under `pack` the stream of a sealed tree.
 * -ENOENT: nothing; expired, or no hit by the view's rules, unless it is `stale` and
 * the entry is being computed anew. -ESTALE: `dir` is part of a tree that is gone.
 */
int dirref_lookup(struct fs *fs, const struct dirref *dir, uint64_t branch,
		  const char *name, struct store_attr *ret_attr);
/*
 * May the user take what has the name away, or put something in its place? In a directory
 * with the sticky bit the kernel has compared the owner of what it saw; there may be
 * something else by now, or what the view does not show. -EPERM: it is another's.
 */
int dirref_may_replace(struct fs *fs, const struct dirref *dir, uint64_t branch,
		       const char *name, uid_t uid);
/* The same judgement now, of an inode that was found before. Also -ENOENT: it is gone. */
int view_judge_ino(struct fs *fs, const struct view *view, uint64_t ino);

/* Open for reading what the view has been found to show; errors as store_gen_open(). */
int view_gen_open(struct fs *fs, const struct view *view, uint64_t ino,
		  struct store_gen **ret_gen);
/* For fs/retry.h: of a name in a directory under the view, or of a file's node. */
uint64_t view_retry_place(const struct view *view, uint64_t branch, const char *name);

/*
 * The inode of the store behind a node, for attributes: a directory or file under a
 * view is the directory or file itself. -EPERM: a control node.
 */
int node_ino(struct fs *fs, fuse_ino_t nodeid, uint64_t *ret_ino);
/* The view of what is behind it; none for nodes at their ordinary place. */
int node_view(struct fs *fs, fuse_ino_t nodeid, struct view *ret_view);

/*
 * Answer about a child found in the store: its node (a directory below a view gets
 * a virtual one, and so does a file where the view restricts; one lookup is
 * counted), attributes and timeouts, which end when the view admits it no more. A
 * name that `busy` says someone is writing is not cached. -ENOENT: on a read-only mount,
 * what `attr` describes has lost its name since.
 */
int entry_fill(struct fs *fs, const struct dirref *dir, const struct store_attr *attr,
	       bool busy, struct fuse_entry_param *ret_e);
/* The same, cheaper, of what this listing has given; NULL: of no listing. */
int entry_fill_listed(struct fs *fs, const struct dirref *dir,
		      const struct store_dir *listed, const struct store_attr *attr,
		      bool busy, struct fuse_entry_param *ret_e);
/* So many lookups of a node are forgotten by the kernel, or were never counted. */
void node_forget(struct fs *fs, uint64_t nodeid, uint64_t nlookup);
/* A publish in it is ahead, which will change its times: they are not cached. */
bool dir_busy(struct fs *fs, uint64_t dir_ino);
/*
 * If the node is a directory: see pending_dir_times(), which says *ret_stays; true of all
 * else. As attach_settle().
 */
int dir_times(struct fs *fs, fuse_ino_t nodeid, int64_t *ret_dir_ns, bool *ret_stays);
/* If the node is a directory: wait for the publishes under way in it. */
void dir_settle(fuse_req_t req, fuse_ino_t nodeid);
/*
 * Absent, and the kernel may remember that, unless somebody is writing the name
 * or the directory is seen by more than one path: what is published by one would
 * be missed by the other until the kernel is told. (So, when a directory gets
 * another path, all names are made stale.)
 */
void entry_negative(struct fs *fs, const struct dirref *dir, bool busy,
		    struct fuse_entry_param *ret_e);

#endif
