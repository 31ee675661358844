/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The texts that are read at /.memofs and, those that make sense of a part of the
 * store, at NAMESPACE/.memofs.
 */
#ifndef MEMOFS_FS_TEXTS_H
#define MEMOFS_FS_TEXTS_H

#include "fs/fs.h"
#include "fs/vnode.h"

/* Where a text is. */
enum text_place { TEXT_OF_ROOT = 1 << 0, TEXT_OF_NAMESPACE = 1 << 1 };

/* What the directory is, of enum text_place; 0: it has no texts. */
unsigned int text_place_of(struct fs *fs, uint64_t dir_ino);
/* Which text of a directory is called `name`; -ENOENT. */
int text_find(struct fs *fs, uint64_t dir_ino, const char *name, unsigned int *ret_text);
/* The names of the texts in a place: that of text `i`, or NULL when it is not there. */
unsigned int text_count(void);
const char *text_name(unsigned int i, unsigned int place);
/* Of a text: for all, or for who runs the daemon only. */
mode_t text_mode(unsigned int text);
/* Write it as it is now, of the directory it was found in. */
int text_write(fuse_req_t req, unsigned int text, uint64_t dir_ino, struct buf *ret_text);
/* The same of any node for which vnode_is_text(), a job and a reservation, too. */
int text_of_node(fuse_req_t req, const struct vnode *v, struct buf *ret_text);
/* As pread(2) of what was written: how many bytes were copied. */
size_t text_read(const struct buf *text, void *data, size_t size, uint64_t off);

#endif
