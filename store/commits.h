/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is being committed, for those who have a copy of what they have read: the rows of
 * the inodes and names that were asked for last, kept here (also that there is none), and
 * listings, which have a snapshot.
 *
 * A commit is told before it is made and after it. In between nothing of what it touches
 * is known from here, and who reads then may have read what was before: so a copy counts
 * only if no commit of it was under way when it was read, nor has begun since.
 */
#ifndef MEMOFS_STORE_COMMITS_H
#define MEMOFS_STORE_COMMITS_H

#include <stdbool.h>
#include <stdint.h>

#include "store/backend.h"

struct commits;

/* -ENOMEM. */
int commits_new(struct commits **ret_commits);
void commits_free(struct commits *c); /* NULL is fine */

/* Around each commit, with its batch; NULL is fine. `done`: it was made. */
void commits_begin(struct commits *c, const struct batch *b);
void commits_end(struct commits *c, const struct batch *b, bool done);

/*
 * Before the names of a branch are read; 0: they are being changed. As long as
 * commits_unchanged() says so they are what was read.
 */
uint64_t commits_mark(struct commits *c, uint64_t branch);
bool commits_unchanged(struct commits *c, uint64_t branch, uint64_t mark);

/*
 * A row of TABLE_INODE or TABLE_DIRENT, to *ret_row, the caller's. -ENOENT: there is
 * none. -EAGAIN: it is not known here. Then it may be read, and offered with *ret_mark;
 * NULL: there was none. -ENOMEM.
 */
int commits_row(struct commits *c, enum table table, struct slice key,
		struct buf *ret_row, uint64_t *ret_mark);
void commits_offer(struct commits *c, enum table table, struct slice key,
		   const struct slice *row, uint64_t mark);

#endif
