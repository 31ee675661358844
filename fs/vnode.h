/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Virtual nodes: `.memofs`, what is below it, and directories under a view.
 *
 * A node id with the top bit set is one of these; all others are inode numbers
 * of the store. The kernel allows a directory inode only one name, so every
 * directory that is reached through a view gets a node of its own, known by
 * (parent node, what it shows). A file or symlink under a view that restricts has
 * one, too, since OPEN names nothing else; it is known by (inode, view), and stays
 * the same when it is renamed. A node lives as long as the kernel holds lookups of
 * it, and its id is never used again.
 */
#ifndef MEMOFS_FS_VNODE_H
#define MEMOFS_FS_VNODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fs/view.h"
#include "store/util/buf.h"

#define VNODE_BIT (UINT64_C(1) << 63)

static inline bool vnode_is(uint64_t nodeid)
{
	return nodeid & VNODE_BIT;
}

enum vnode_kind {
	VNODE_CONTROL,	    /* DIR/.memofs */
	VNODE_VERSIONS,	    /* DIR/.memofs/versions */
	VNODE_VIEWS,	    /* DIR/.memofs/view */
	VNODE_RESERVATIONS, /* DIR/.memofs/reservations */
	VNODE_RESERVATION,  /* `name` in it */
	VNODE_DIR,	    /* a directory of the store, seen through a view */
	VNODE_FILE,	    /* a file or symlink, seen through a view that restricts */
	VNODE_WAIT,	    /* `name`, which is missing and reserved, in a wait view */
	VNODE_TEXT,	    /* /.memofs/status and the like */
	VNODE_JOBS,	    /* /.memofs/jobs */
	VNODE_JOB,	    /* a file in it: `text` is which */
};

/* A copy of what a node is; good for as long as the caller likes. */
struct vnode {
	uint64_t id;
	uint64_t parent_id; /* the node it was found in; not of VNODE_FILE */
	enum vnode_kind kind;
	uint64_t dir_ino; /* its directory in the store; not of VNODE_FILE */
	uint64_t ino; /* of the store: of VNODE_FILE; VNODE_WAIT: vnode_bind(), or 0 */
	struct view view;  /* under which it is seen; VNODE_FILE: see view_of_entry() */
	unsigned int text; /* VNODE_TEXT, VNODE_JOB: which */
	char name[STORE_NAME_MAX + 1]; /* VNODE_RESERVATION, VNODE_WAIT */
};

/* Is it a file whose text is made when it is asked for? */
static inline bool vnode_is_text(const struct vnode *v)
{
	return v->kind == VNODE_TEXT || v->kind == VNODE_JOB ||
	       v->kind == VNODE_RESERVATION;
}

struct keep;
struct vnode_table;

int vnode_table_new(struct vnode_table **ret_table); /* -ENOMEM */
void vnode_table_free(struct vnode_table *t);	     /* NULL is fine */

/*
 * What a table has that was kept by a process before this one; from then on it keeps
 * what it has (NULL: nothing). Before anything is in it. -ENOMEM; -ENOSPC; -EUCLEAN: a
 * record is bad.
 */
int vnode_resume(struct vnode_table *t, struct keep *k);
/* The ids of all nodes but files and those of who waits, as uint64_t. -ENOMEM: not all.
 */
int vnode_places(struct vnode_table *t, struct buf *ret_ids);

/*
 * Find or make the node that `want` describes (its id is ignored) and count one
 * lookup of it; *ret_id is its id, *ret_new (may be NULL) tells whether it was
 * made. -ENOMEM.
 */
int vnode_intern(struct vnode_table *t, const struct vnode *want, uint64_t *ret_id,
		 bool *ret_new);
/* -ENOENT: the kernel has forgotten it. */
int vnode_get(struct vnode_table *t, uint64_t id, struct vnode *ret_vnode);
void vnode_forget(struct vnode_table *t, uint64_t id, uint64_t nlookup);
/*
 * A VNODE_WAIT has become this inode, for good: vnode_get() tells it as `ino`, and
 * vnode_intern() makes another for the name. -EBUSY: it is a different one already;
 * -ENOENT.
 */
int vnode_bind(struct vnode_table *t, uint64_t id, uint64_t ino);

/*
 * A directory has got a VNODE_DIR: true when it had none lately, so that the kernel
 * may remember names as absent there. From then on it is not told so
 * (vnode_dir_shared), also while there is no such node: the kernel forgets a node
 * with every walk by its path that finds names stale, and would find them stale at
 * every walk if each node it makes anew made them so.
 */
bool vnode_dir_share(struct vnode_table *t, uint64_t dir_ino);
/* Has it been seen by more than one path lately? */
bool vnode_dir_shared(struct vnode_table *t, uint64_t dir_ino);

/* How many there are. */
uint64_t vnode_count(struct vnode_table *t);
/* Is any directory of the store seen through a view? Costs one atomic read. */
bool vnode_any_dir(const struct vnode_table *t);
/*
 * The VNODE_DIR nodes that show `dir_ino`, and the VNODE_FILE nodes of `ino`: up to
 * `max` ids (`ret_ids` may be NULL with 0). Returns how many there are. Cheap when
 * no view is in use.
 */
size_t vnode_dirs_of(struct vnode_table *t, uint64_t dir_ino, uint64_t *ret_ids,
		     size_t max);
size_t vnode_files_of(struct vnode_table *t, uint64_t ino, uint64_t *ret_ids, size_t max);

#endif
