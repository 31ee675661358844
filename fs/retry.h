/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opens that were answered ESTALE, so that the kernel looks the name up again.
 *
 * After ESTALE from OPEN the kernel repeats the walk once, asking for every
 * component anew, in the same thread. The note left here tells the LOOKUP of
 * the last component what the open wanted: for a writer it makes a pending
 * value, for a reader it opens the generation at once and hands it to the OPEN
 * that follows, and a directory of a sealed tree to the OPENDIR. Without that, a reader
 * could lose the race against overwriters twice and see ESTALE itself, which the kernel
 * does not repeat.
 *
 * One note per thread; the next OPEN or a failed LOOKUP of the thread ends it,
 * and so does time. Threads that the daemon cannot see all have the number 0:
 * theirs are told apart by what was opened, so that nobody who looks at another
 * file gets what a writer was meant to.
 *
 * Notes are kept, or a writer would get ESTALE itself because the daemon died between its
 * open and its lookup. A request that is sent again begins where it began first: what it
 * had left is gone, and what it had taken is there.
 */
#ifndef MEMOFS_FS_RETRY_H
#define MEMOFS_FS_RETRY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "store/store.h"
#include "store/util/keep.h"

struct retry_table;

/* RETRY_CREATE: the open found a name that is being computed (fs/waiters.h). */
enum retry_kind { RETRY_READ, RETRY_WRITE, RETRY_CREATE };

/* Whose note it is. */
struct retry_key {
	pid_t tid;
	uid_t uid;
	uint64_t place; /* for tid 0: one of these, or 0: not known */
};

/* Numbers for a name, and for a node whose inode a LOOKUP has pinned; never 0. */
uint64_t retry_place(uint64_t branch, const char *name);
uint64_t retry_place_ino(uint64_t ino);

struct retry {
	enum retry_kind kind;
	uint64_t ino;	       /* the node that was stale, or that was pinned */
	bool truncate;	       /* RETRY_WRITE, RETRY_CREATE: O_TRUNC */
	bool damaged;	       /* RETRY_READ: what was found could not be read */
	uint64_t place;	       /* RETRY_CREATE: the name, as in struct retry_key */
	bool looked_up;	       /* the kernel has asked for the name since */
	struct store_gen *gen; /* RETRY_READ: pinned by the LOOKUP; or */
	uint64_t gen_ino;      /* its number */
	struct store_dir *dir; /* in a sealed tree, at its beginning */
};
/* Of a note that was taken. */
void retry_unpin(struct retry *note);

int retry_table_new(struct retry_table **ret_table);
void retry_table_free(struct retry_table *t); /* NULL is fine */

/*
 * Leave a note for a thread; replaces its former one. Takes over what is pinned.
 * Without memory: none; nor for a writer of which nothing is known.
 */
void retry_put(struct retry_table *t, const struct retry_key *key,
	       const struct retry *note);
/*
 * Take the note of a thread away; false when there is none. The caller owns what is
 * pinned then. Costs one atomic read when the table is empty.
 */
bool retry_take(struct retry_table *t, const struct retry_key *key,
		struct retry *ret_note);
/*
 * What retry_take() has left: a note for a writer among the invisible stays, since
 * another may have taken it, until the value it asks for can be found instead.
 */
void retry_drop(struct retry_table *t, const struct retry_key *key);
/* Drop what nobody came back for. Call it now and then. */
void retry_reap(struct retry_table *t);

/*
 * Notes of a process that died (fs/resume.h). The numbers of what is pinned, for
 * store_options.kept_inos; then, when the store is open, the notes, and from here on the
 * table keeps its own; then each request that is sent again; then, when all of these are
 * known, the notes are there. -ENOMEM; -EUCLEAN: a record is bad.
 */
int retry_inos(struct keep *k, struct buf *ret_inos);
int retry_resume(struct retry_table *t, struct store *st, struct keep *k);
void retry_expect(struct retry_table *t, uint64_t unique);
void retry_sweep(struct retry_table *t);

#endif
