/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of every open, for those that are answered later, too (op_open.c).
 */
#ifndef MEMOFS_FS_OPEN_H
#define MEMOFS_FS_OPEN_H

#include "fs/fs.h"
#include "fs/handle.h"

/* A handle for reading; counts a hit. Takes over `gen`, also on failure. -ENOMEM. */
int open_found(struct fs *fs, struct store_gen *gen, struct handle **ret_h,
	       struct fuse_file_info *fi);
/* Takes over the handle. */
void reply_open(fuse_req_t req, struct handle *h, struct fuse_file_info *fi);

#endif
