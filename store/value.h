/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a published value has on disk beside its inode row: the SMALL row, or an
 * extent and its SUMS rows.
 */
#ifndef MEMOFS_STORE_VALUE_H
#define MEMOFS_STORE_VALUE_H

#include "store/internal.h"

/*
 * Add the rows of a value to a batch: `small` for LAYOUT_SMALL, `sums`, of
 * sums_rows(), for LAYOUT_EXTENT. The core tells which.
 */
void batch_put_value(struct batch *b, const struct row_core *core, struct slice small,
		     struct slice sums);
/* Take them away, and all else that is kept by the inode's number. */
void batch_del_value(struct batch *b, uint64_t ino, enum layout layout,
		     uint64_t size_bytes);

/* The same where the row that says what there is cannot be read. */
void batch_del_any_value(struct batch *b, uint64_t ino);

/*
 * Load a small value and check it. -EUCLEAN: missing or damaged; *ret_why then
 * says what is wrong (a literal).
 */
int value_load_small(struct store *st, const struct inode_row *row, struct buf *ret_data,
		     const char **ret_why);
/* The row of a chunk of an extent's checksums, which is valid. -EUCLEAN as above. */
int value_load_sums(struct store *st, const struct row_core *core, uint64_t chunk,
		    struct buf *ret_row, const char **ret_why);

/* Read all of it and compare with its checksums. -EUCLEAN as above. */
int value_verify(struct store *st, const struct inode_row *row, const char **ret_why);

/* Append the path of an inode, as far up as it can be followed: for people. */
void value_path(struct store *st, uint64_t ino, struct buf *ret_path);

/*
 * The content of `ino` is bad: say so in the log, with its path, and drop the
 * entry so that the next lookup misses. Returns -EUCLEAN.
 */
int value_condemn(struct store *st, uint64_t ino, const char *why);

#endif
