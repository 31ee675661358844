/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading a tree whose contents are partly in the extents of others.
 *
 * Offsets are those of the stream; what lies elsewhere is a hole in the tree's own
 * extent. Nothing is checked here: the sums of the tree are those of its stream.
 */
#ifndef MEMOFS_STORE_SHARE_H
#define MEMOFS_STORE_SHARE_H

#include "store/digest.h"
#include "store/internal.h"
#include "store/share_rows.h"

/* -ENOENT: it was not compared yet, or is no tree. */
int share_load(struct store *st, uint64_t ino, struct share_row *ret_row);

/* Fixed: any number of threads may read. */
struct share;
/*
 * What `ino` reads elsewhere, with descriptors that stay good whatever is removed.
 * *ret_share is NULL when its extent has all of it. -EUCLEAN: *ret_why says what is
 * wrong (a literal).
 */
int share_open(struct store *st, uint64_t ino, struct share **ret_share,
	       const char **ret_why);
void share_close(struct share *share); /* NULL is fine */

/* As file_read(), of the stream. `fd` is the tree's own extent; `share` may be NULL. */
int share_read(const struct share *share, int fd, void *data, size_t len, uint64_t off,
	       size_t *ret_len);

/* As content_digest_file(). */
int share_digest(const struct share *share, int fd, uint64_t size_bytes,
		 struct digest *d);

#endif
