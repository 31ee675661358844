/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opens for which the kernel reads the extent itself: passthrough to a *backing file*
 * (docs/passthrough.md). When it may is the store's to say: store_gen_backing().
 *
 * The kernel has rules for all opens of an inode, and EIO for who breaks them: they go
 * through its page cache, or to a backing file, never both at a time; and to the same
 * backing file, which has a number on the connection until it is closed. So it is counted
 * how each node is open, from before an open is answered to its RELEASE, which the kernel
 * sends when it does not count that open any more itself.
 *
 * Numbers outlive this process, as the connection does. A handle keeps its number (see
 * handle.h), so that a successor gives the same one to others, and closes it. It is kept
 * after the kernel has given it and closed before it is kept no more; what that leaves
 * open when the process dies in between, backing_resume_end() closes.
 */
#ifndef MEMOFS_FS_BACKING_H
#define MEMOFS_FS_BACKING_H

#include <stdbool.h>
#include <stdint.h>

#include "fs/handle.h"

struct backing_table;
struct fuse_file_info;

/* The kernel's side; -errno. The first returns a number above 0. */
struct backing_calls {
	int (*open)(void *arg, int fd);
	int (*close)(void *arg, int id);
	void *arg;
};

/* Off. `calls` is copied. -ENOMEM. */
int backing_table_new(const struct backing_calls *calls, struct backing_table **ret_t);
/* What is open stays so. NULL is fine, here and below: then nothing is passed through. */
void backing_table_free(struct backing_table *t);
/* Of the session of `fs`, which may come later. */
struct backing_calls backing_kernel(struct fs *fs);

/* The kernel has offered it, and nobody does not want it. */
void backing_on(struct backing_table *t);

/* From here on no node is passed through that is not already. */
void backing_off(struct backing_table *t);

/*
 * A handle is about to be answered with `fi`: it is counted, and where it is passed
 * through, h->backing_id is set and `fi` is what goes with that. Otherwise it must not be
 * answered: -ENOMEM; -ESTALE: its node has other content by now.
 */
int backing_open(struct backing_table *t, struct handle *h, struct fuse_file_info *fi);
/* It is being released (release_noted(), which is before anything that was asked later),
 * or nobody got it. Before handle_free(). */
void backing_close(struct backing_table *t, struct handle *h);

/* Of a daemon before this one: count it. -ENOMEM. */
int backing_resume(struct backing_table *t, struct handle *h);
/* There may be opens that were not kept: nothing is passed through any more. */
void backing_lost(struct backing_table *t);
/* All are there, and the session is: numbers that nobody has are closed. */
void backing_resume_end(struct backing_table *t);

struct backing_counts {
	bool on;
	uint64_t opens; /* that were passed through, by this process */
	uint64_t files; /* that the kernel has now */
};
void backing_count(struct backing_table *t, struct backing_counts *ret_counts);

#endif
