/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who reads a large extent in order finds in memory what he comes to next.
 *
 * The kernel reads ahead by itself. But it does when a read comes near the end of what it
 * has, and that read waits until all of the next has got its memory and is asked of the
 * disk; and how far it goes is a setting of the disk, some hundred KiB. So a thread goes
 * before the reader. It copies nothing and checks nothing: blocks are compared where
 * their bytes are given out, as ever. What it does not come to in time, or cannot read,
 * is left to who reads it. Nobody waits for it, and nothing depends on it.
 *
 * Extents are named to it by number and opened anew, since the number is never that of
 * another; so it keeps nobody's content open but for the moment in which it reads it.
 */
#ifndef MEMOFS_STORE_AHEAD_H
#define MEMOFS_STORE_AHEAD_H

#include <stdatomic.h>
#include <stdint.h>

/* So far it goes before the reader, and no further than he has come. */
#define AHEAD_BYTES (UINT64_C(8) << 20)
/* It is asked for so much at least, except at the end. */
#define AHEAD_STEP_BYTES (UINT64_C(2) << 20)

struct ahead;
struct backend;

/* Where one extent is read; zeroed at first. Threads that race make it ask twice, or not.
 */
struct ahead_place {
	_Atomic uint64_t begun; /* where the reads in order began */
	_Atomic uint64_t end;	/* how far they have come */
	_Atomic uint64_t asked; /* so far the thread was asked for */
};

int ahead_new(struct backend *be, struct ahead **ret_ahead);
/* Ends the thread; what it has not come to is left. NULL is fine. */
void ahead_free(struct ahead *a);
/*
 * `len` bytes from `off` on of an extent of `size_bytes` are about to be read, with all
 * of it in its own file. The thread is started by the first that it is asked for; where
 * it cannot be, nothing is done. NULL is fine.
 */
void ahead_note(struct ahead *a, struct ahead_place *place, uint64_t ino,
		uint64_t size_bytes, uint64_t off, uint64_t len);
/* It is removed: it is not to keep its blocks, nor to be read. NULL is fine. */
void ahead_forget(struct ahead *a, uint64_t ino);

#endif
