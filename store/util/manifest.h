/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The file MANIFEST of a backup, which is written last: what the backup consists of, so
 * that one that is not whole is known for that.
 *
 *   memofs backup, format 1
 *   store 4                       the format of the store
 *   made 1763740000               seconds since the epoch
 *   extents COUNT BYTES SUM       SUM: of all numbers and sizes, in any order
 *   db NAME BYTES                 one for each file of the database
 *   end HASH                      XXH3-64 of everything before this line
 *
 * Numbers are decimal; SUM and HASH are 16 hex digits.
 */
#ifndef MEMOFS_STORE_UTIL_MANIFEST_H
#define MEMOFS_STORE_UTIL_MANIFEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/util/buf.h"
#include "store/util/err.h"

#define MANIFEST_FILE "MANIFEST"
/* The FORMAT of the store, by a name under which it makes no store of the backup. */
#define MANIFEST_FORMAT_FILE "STORE_FORMAT"
#define MANIFEST_MAX_BYTES (16 * 1024 * 1024)
#define MANIFEST_DB_MAX 100000
#define MANIFEST_NAME_MAX 255

struct manifest_file {
	char name[MANIFEST_NAME_MAX + 1];
	uint64_t size_bytes;
};

struct manifest {
	unsigned int store_format;
	int64_t made_s;
	uint64_t extents, extent_bytes, extent_sum;
	struct manifest_file *db; /* owned */
	size_t db_count;
};
#define MANIFEST_INIT ((struct manifest){0})
void manifest_deinit(struct manifest *m);
#define CLEANUP_MANIFEST __attribute__((cleanup(manifest_deinit)))

/* -ENAMETOOLONG, -EINVAL: no name of a file; -ENOMEM. */
int manifest_add_db(struct manifest *m, const char *name, uint64_t size_bytes);
/* One extent more. */
void manifest_add_extent(struct manifest *m, uint64_t ino, uint64_t size_bytes);

/* Do two of them say the same of what there is? The first difference is told. */
int manifest_compare(const struct manifest *said, const struct manifest *found,
		     struct errmsg *err); /* -EUCLEAN */

int manifest_format(const struct manifest *m,
		    struct buf *ret_text); /* appends; -ENOMEM */
/* -EUCLEAN with a message; -EPROTO: of a format this program does not know; -ENOMEM. */
int manifest_parse(struct slice text, struct manifest *ret_manifest, struct errmsg *err);

#endif
