/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of every open, for those that are answered later, too (op_open.c).
 */
#ifndef MEMOFS_FS_OPEN_H
#define MEMOFS_FS_OPEN_H

#include "fs/fs.h"
#include "fs/handle.h"

/* A handle for reading `ino`; counts a hit. Takes over `gen`, also on failure. -ENOMEM.
 */
int open_found(struct fs *fs, uint64_t ino, struct store_gen *gen, struct handle **ret_h,
	       struct fuse_file_info *fi);
/* What the kernel is told with it, from `fi` to the handle; the handle's number to `fi`.
 */
void open_tell(struct handle *h, struct fuse_file_info *fi);
/*
 * This request was handled by a daemon before this one, up to the handle: here it is, or
 * NULL. Fills `fi` as it was.
 */
struct handle *open_again(fuse_req_t req, struct fuse_file_info *fi);
/* One that nobody got. */
void open_abandon(struct fs *fs, struct handle *h);
/* Takes over the handle, whose node and request are set. */
void reply_open(fuse_req_t req, struct handle *h, struct fuse_file_info *fi);

#endif
