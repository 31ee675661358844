/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Sealed trees as a mount shows them (store/store.h).
 *
 * At its ordinary path a tree is a directory, whose number and whose members' numbers
 * have STORE_TREE_BIT. Under `pack` it is a file, by the number of its stream, which a
 * value that is being written has from the start. So a name that was a file becomes a
 * directory by getting another node, never by a change of type.
 *
 * Nothing in a tree changes, so there are no values being written, reservations or
 * control files in it.
 */
#ifndef MEMOFS_FS_SEALED_H
#define MEMOFS_FS_SEALED_H

#include "fs/fs.h"
#include "fs/view.h"

/* Is it a tree itself, as a directory? */
static inline bool sealed_is_tree(const struct store_attr *attr)
{
	return store_ino_in_tree(attr->ino) && attr->ino == store_tree_root(attr->ino);
}
/* Is it something inside one? */
static inline bool sealed_is_inside(uint64_t ino)
{
	return store_ino_in_tree(ino) && ino != store_tree_root(ino);
}

/*
 * What the view shows of it: under `pack` the stream of a tree. -ENOENT: it was
 * replaced or removed meanwhile.
 */
int sealed_show(struct fs *fs, const struct view *view, struct store_attr *attr);
/* The same for a listing, which needs no more than the number and the type. */
void sealed_show_type(const struct view *view, struct store_attr *attr);
/* Permissions of a stream: those of its tree, but it is no program. */
void sealed_stream_mode(struct store_attr *attr);

/*
 * Where no OPEN is seen, the kernel must know who may read a stream: only classes that
 * may read all that is in it. Looks at the whole index. Of anything else nothing happens.
 */
void sealed_restrict(struct fs *fs, struct store_attr *attr);
/*
 * May who asks read this stream, which is open? The kernel has compared the tree's own
 * mode only, and a pack has all that is in it. 0, also of a plain file; -EACCES
 * (logged); -ENOENT: it is gone.
 */
int sealed_may_read(fuse_req_t req, uint64_t ino);
/* The same of a stream that is published, for who begins a value on top of it: he can
 * read it there, and the kernel has compared as little. */
int sealed_may_go_on(fuse_req_t req, const struct store_attr *attr);

/* Has the tree that this is part of lost its name? */
bool sealed_is_gone(struct fs *fs, uint64_t ino);

/*
 * -EPERM, for what would change something in a tree. The first time, and then now and
 * then, the log says what to do instead.
 */
int sealed_refuse(struct fs *fs, uint64_t ino);

#endif
