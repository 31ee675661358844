/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is found and listed below a `.memofs`; the texts themselves are fs/texts.h's.
 */
#ifndef MEMOFS_FS_CONTROL_H
#define MEMOFS_FS_CONTROL_H

#include "fs/fs.h"
#include "fs/vnode.h"

/* Names below a control directory. -ENOENT. Counts one lookup. */
int control_lookup(fuse_req_t req, const struct vnode *parent, const char *name,
		   struct fuse_entry_param *ret_e);
/* Call `each` for every name that the caller finds there, until non-zero. */
int control_list(fuse_req_t req, const struct vnode *dir,
		 int (*each)(void *arg, const char *name, mode_t type), void *arg);

#endif
