/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The foreign attributes of one inode, packed as they lie in its row.
 *
 * The packed form is a run of (u8 name length, name, u32 value length, value),
 * in the order in which they were set. It is at most STORE_XATTR_MAX bytes of
 * names and values, so a walk is cheap. A packed run that came from a row has
 * been checked by inode_decode(); an empty one is no attributes.
 */
#ifndef MEMOFS_STORE_XATTRS_H
#define MEMOFS_STORE_XATTRS_H

#include <stdbool.h>

#include "store/store.h"
#include "store/util/buf.h"

/* Start with *pos = 0; false at the end, or where the rest is not well-formed. */
bool xattrs_next(struct slice packed, size_t *pos, struct slice *ret_name,
		 struct slice *ret_value);
bool xattrs_valid(struct slice packed);

/* -ENODATA. ret_value is replaced. */
int xattrs_get(struct slice packed, const char *name, struct buf *ret_value);
/* Appends each name with its NUL. */
int xattrs_list(struct slice packed, struct buf *ret_names);
/*
 * Write `packed` with the change to ret_packed, which is replaced and must not
 * be what `packed` borrows from. -EEXIST, -ENODATA, -E2BIG (one value over
 * 16 KiB), -ENOSPC (all together), -EINVAL (name empty or over 255 bytes).
 */
int xattrs_set(struct slice packed, const char *name, struct slice value,
	       unsigned int flags, struct buf *ret_packed);
int xattrs_remove(struct slice packed, const char *name, struct buf *ret_packed);

/*
 * Whether the entry is pinned lies among them, under a name that no foreign attribute
 * has: the functions above do not list it, find it, or change it (-EINVAL).
 */
bool xattrs_pinned(struct slice packed);
/* Write `packed` with the change, as above. -ENOSPC. */
int xattrs_pin(struct slice packed, bool pinned, struct buf *ret_packed);

#endif
