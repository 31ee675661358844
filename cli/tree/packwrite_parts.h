/* SPDX-License-Identifier: Apache-2.0 */
/* What the parts of "cli/tree/packwrite.h" share; nobody else includes it. */
#ifndef MEMOFS_CLI_TREE_PACKWRITE_PARTS_H
#define MEMOFS_CLI_TREE_PACKWRITE_PARTS_H

#include <stdint.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "cli/tree/walk.h"
#include "store/util/buf.h"
#include "store/util/pack.h"

/* Messages: each returns -errnum. `name` is quoted. */
int packwrite_no_memory(struct errmsg *err);
int packwrite_fail(struct errmsg *err, const char *name, int errnum, const char *what);
int packwrite_fail_changed(struct errmsg *err, const char *name);

int64_t packwrite_mtime_ns(const struct stat *st);
void packwrite_digest(XXH128_hash_t h, uint8_t ret_hash[PACK_HASH_BYTES]);
/* PREFIX/PATH, ended by NUL. -ENOMEM. */
int packwrite_join(struct buf *b, const char *prefix, const char *path);
/* Chosen a while ago: is it what it was then? A descriptor, or -errno with a message. */
int packwrite_open_item(int dirfd, const struct tree_item *item, struct errmsg *err);
/* An entry of the index. -errno with a message. */
int packwrite_add(struct pack_maker *m, const struct pack_item *item, struct errmsg *err);
/* Index and trailer; the tree hash is out of the latter. ret_tree_hash may be NULL. */
int packwrite_index(struct pack_maker *m, uint64_t contents_bytes, struct buf *ret_raw,
		    uint8_t ret_tree_hash[PACK_HASH_BYTES], struct errmsg *err);

#endif
