/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Waiting for what is being computed, under a view with `wait`.
 *
 * LOOKUP never waits: it would keep the directory's lock, nobody could interrupt
 * it, and it is not told of O_NONBLOCK. A name that is missing and reserved is
 * answered with a node of its own (VNODE_WAIT), an empty file, and OPEN of that is
 * kept until there is something to say (fs/wait_table.h).
 *
 * The node becomes what is published: the first open that is answered binds it to
 * that generation, for good. So its pages can be cached and mapped like those of
 * any other file, and its st_ino is the same before and after, which cp compares.
 * Who waits for the name after that gets another node.
 *
 * The node has the owner and mode that the value has so far, and the kernel lets in
 * who may read that. Who may read what comes of it is decided when it is there
 * (may_read).
 */
#ifndef MEMOFS_FS_WAITERS_H
#define MEMOFS_FS_WAITERS_H

#include "fs/fs.h"
#include "fs/node.h"
#include "fs/vnode.h"

struct waiters;

/* Starts the thread that answers. fs->waiters is set by the caller. -ENOMEM, -EAGAIN. */
int waiters_new(struct fs *fs, struct waiters **ret_waiters);
/*
 * Of fs->keep: until when those wait whose OPENs are sent again. Before the session
 * starts; -ENOMEM. waiters_resent() for each request that is sent again, before any is
 * handled, then waiters_resume_end(): the others wait no more. waiters_each_kept() tells
 * the requests by whose OPENs there is something to resume.
 */
int waiters_resume(struct waiters *ws);
void waiters_resent(struct waiters *ws, uint64_t unique);
void waiters_each_kept(struct waiters *ws, void (*each)(void *arg, uint64_t unique),
		       void *arg);
void waiters_resume_end(struct waiters *ws);
/* Whoever waits, now and later, is answered ENOTCONN. Before the session ends. */
void waiters_stop(struct waiters *ws); /* NULL is fine */
void waiters_free(struct waiters *ws); /* NULL is fine */
/* How many wait. */
uint64_t waiters_count(const struct waiters *ws);

/*
 * To be called when a name was published, when a value or a lease of it has ended,
 * and when a value of it begins to linger: after the fact, and without locks. Costs
 * one atomic read while nobody waits.
 */
void fs_name_settled(struct fs *fs, uint64_t branch, const char *name);

/* See wait_table_list(). */
int waiters_list(const struct waiters *ws, size_t max,
		 int (*each)(void *arg, uint64_t branch, const char *name,
			     size_t waiters),
		 void *arg);

/*
 * The name was missing a moment ago, in a directory under a view with VIEW_WAIT. 0:
 * somebody computes it; here is its node (one lookup is counted). -ENOENT: nobody
 * does. -EAGAIN: it has been published or dropped meanwhile, look again.
 */
int wait_lookup(struct fs *fs, const struct dirref *dir, uint64_t branch,
		const char *name, struct fuse_entry_param *ret_e);
/* OPEN of such a node: replies, sooner or later. */
void wait_open(fuse_req_t req, const struct vnode *v, int flags);
/*
 * The node's attributes: those of an empty file, or of what it is bound to, except
 * for its st_ino. -ENOENT: that is gone, and nobody has it open.
 */
int wait_getattr(struct fs *fs, const struct vnode *v, struct stat *ret_st);

#endif
