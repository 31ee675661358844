/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values being written: who writes what, and when it becomes visible.
 *
 * A pending value is known by its inode number and by (branch, name). By name
 * only its owner sees it: the process that opened it, told by the thread that
 * the kernel names in a request. Until its first opener has come it is that
 * thread's alone, so that no other can close it before. A process which the
 * daemon cannot see (tid 0: of a pid namespace that is not below the daemon's)
 * cannot be told from others like it, and sees no more than these do. Several
 * may be pending under one name; the last to close wins.
 *
 * From the moment its last writer is gone a value is closing: it cannot be
 * opened for writing, renamed or removed any more as something that is being
 * written. Who wants to waits, and then finds it published.
 *
 * The gate. RELEASE comes after close(2) has returned, so the session notes it
 * (pending_note_release) before it receives anything else, and whatever depends
 * on the name waits (pending_wait) until that release was handled. Waiting costs
 * nothing while no release of a writer is under way.
 */
#ifndef MEMOFS_FS_PENDING_H
#define MEMOFS_FS_PENDING_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "store/store.h"

struct pending;
struct pending_table;

struct pending_args {
	uint64_t branch;
	const char *name;
	uint64_t base_ino; /* the generation it replaces, or 0 */
	bool truncate;	   /* do not take over the content of the base */
	bool exclusive;	   /* O_EXCL: fail while anyone else writes the name */
	mode_t mode;
	uid_t uid;
	gid_t gid;
	pid_t tid; /* as in the request; 0: not visible from here */
};

int pending_table_new(struct store *st, struct pending_table **ret_table);
/* Drops what was never closed. NULL is fine. */
void pending_table_free(struct pending_table *t);

/*
 * Begin a value. It has no opener yet: unless pending_open() follows within a
 * few seconds, pending_reap() drops it. The caller gets a reference.
 * -EEXIST with `exclusive`; else as store_stage().
 */
int pending_new(struct pending_table *t, const struct pending_args *args,
		struct pending **ret_p);
void pending_unref(struct pending *p); /* NULL is fine */
/* Take it out of the table without publishing, and drop the caller's reference. */
void pending_drop(struct pending *p);

uint64_t pending_ino(const struct pending *p);
/* For reading and writing its bytes and attributes; lives as long as `p`. */
struct store_staged *pending_staged(const struct pending *p);

/* A reference, or NULL. What is closing is waited for, and then is not found. */
struct pending *pending_by_ino(struct pending_table *t, uint64_t ino);
/*
 * Of that name, what was begun for this thread, else the newest it may see. A
 * reference, or NULL.
 */
struct pending *pending_by_owner(struct pending_table *t, uint64_t branch,
				 const char *name, pid_t tid, uid_t uid);
/* The name it has now. */
void pending_where(struct pending *p, uint64_t *ret_branch,
		   char ret_name[STORE_NAME_MAX + 1]);
/* Still being written? Waits while it is closing; false: published or dropped. */
bool pending_is_open(struct pending *p);
/* Is anyone writing this name, or anything in this branch? */
bool pending_busy(struct pending_table *t, uint64_t branch, const char *name);
bool pending_branch_busy(struct pending_table *t, uint64_t branch);
/* How many there are. */
uint64_t pending_count(const struct pending_table *t);

/*
 * An open descriptor more; `writer` when it may write. -ESTALE: it was published
 * or dropped meanwhile; it waits for its first writer, and this is none; or it
 * belongs to an invisible process, which has come for it already.
 */
int pending_open(struct pending *p, bool writer);
/* A RELEASE of a writing descriptor has been received. */
void pending_note_release(struct pending *p);
/*
 * That release, handled: the last writer publishes. 0, or what store_publish()
 * said (logged already). *ret_published: the value is at the name that is given.
 */
int pending_release(struct pending *p, bool *ret_published, uint64_t *ret_branch,
		    char ret_name[STORE_NAME_MAX + 1]);
/* close(2) of a descriptor: store_staged_flush() under its present name. */
int pending_flush(struct pending *p);

/* An open that nobody got: it was the only one, so nothing is published. */
void pending_abandon(struct pending *p);

/*
 * Give it another name, or none: what is closed then is dropped. -ESTALE: it was
 * published or dropped meanwhile.
 */
int pending_rename(struct pending *p, uint64_t branch, const char *name);
int pending_detach(struct pending *p);

/*
 * Wait for the releases that were noted, of a name or of all in a branch. `tid` is
 * the thread that asks (0: not known).
 */
void pending_wait(struct pending_table *t, uint64_t branch, const char *name, pid_t tid);
void pending_wait_branch(struct pending_table *t, uint64_t branch, pid_t tid);
/* False: there is nothing to wait for anywhere. */
bool pending_releasing(const struct pending_table *t);

/* Drop what was begun and never opened. Call it now and then. */
void pending_reap(struct pending_table *t);

#endif
