/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Large values go to the disk while they are written, so that the fsync at their end
 * has little left to do.
 *
 * sync_file_range(2) makes who calls it wait for a busy disk, so a thread of its own
 * does. What it does not come to in time is left to the kernel and to fsync: nobody ever
 * waits for it, and nothing depends on it. An error of the disk is the file's, and told
 * to who syncs it.
 */
#ifndef MEMOFS_STORE_WRITEBACK_H
#define MEMOFS_STORE_WRITEBACK_H

#include <stdbool.h>
#include <stdint.h>

/* It is asked for in pieces of this size. */
#define WRITEBACK_STEP_BYTES (UINT64_C(8) << 20)

struct writeback;

int writeback_new(struct writeback **ret_wb);
/* Ends the thread; what it has not come to is left. NULL is fine. */
void writeback_free(struct writeback *wb);
/*
 * These bytes of the file will not change any more, as far as is known: begin to write
 * them. False: too much is waiting; ask again with more. `fd` stays the caller's. The
 * thread is started by the first call, and where it cannot be, nothing is done.
 */
bool writeback_ask(struct writeback *wb, uint64_t ino, int fd, uint64_t off,
		   uint64_t len);
/* It is removed: what waits of it is not to keep its blocks, nor to be written. */
void writeback_forget(struct writeback *wb, uint64_t ino);

#endif
