/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Large values go to the disk while they are written, so that the fsync at their end
 * has little left to do.
 *
 * sync_file_range(2) makes who calls it wait for a busy disk, so a thread of its own
 * does. What it does not come to in time is left to the kernel and to fsync. An error of
 * the disk is the file's, and told to who syncs it.
 */
#ifndef MEMOFS_STORE_WRITEBACK_H
#define MEMOFS_STORE_WRITEBACK_H

#include "store/piece_queue.h"

/* It is asked for in pieces of this size. */
#define WRITEBACK_STEP_BYTES (UINT64_C(8) << 20)

/*
 * A queue of what begins to be written: bytes that will not change any more, as far as is
 * known, each piece with a descriptor. -ENOMEM.
 */
int writeback_new(struct piece_queue **ret_queue);

#endif
