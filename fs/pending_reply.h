/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A value being written as the kernel sees it: its name is asked for each time.
 * Its attributes change by requests of its writer only, all of which go through
 * the kernel, and need not be asked for.
 */
#ifndef MEMOFS_FS_PENDING_REPLY_H
#define MEMOFS_FS_PENDING_REPLY_H

#include "fs/fs.h"
#include "fs/kcache.h"
#include "fs/pending.h"
#include "fs/reply.h"

static inline void pending_entry(struct pending *p, struct fuse_entry_param *ret_e)
{
	struct store_attr attr;

	store_staged_attr(pending_staged(p), &attr);
	*ret_e = (struct fuse_entry_param){
	    .ino = pending_ino(p),
	    .attr_timeout = ATTR_TIMEOUT_S,
	};
	attr_to_stat(&attr, &ret_e->attr);
}

#endif
