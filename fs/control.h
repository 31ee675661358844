/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The texts in /.memofs, and what else is listed below a `.memofs`.
 */
#ifndef MEMOFS_FS_CONTROL_H
#define MEMOFS_FS_CONTROL_H

#include "fs/fs.h"
#include "fs/vnode.h"

/* Which text is called `name`; -ENOENT. */
int control_text_find(const char *name, unsigned int *ret_text);
/* Write it as it is now. */
int control_text_write(struct fs *fs, unsigned int text, struct buf *ret_text);

/* Call `each` for every name in a control directory, until non-zero. */
int control_list(struct fs *fs, const struct vnode *dir,
		 int (*each)(void *arg, const char *name, mode_t type), void *arg);

#endif
