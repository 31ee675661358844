/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing a pack ("store/util/pack.h") to a descriptor, front to back.
 *
 * Equal contents are written once; they are compared before one stands for both.
 * Permissions are stored without set-id and sticky bits.
 */
#ifndef MEMOFS_CLI_TREE_PACKWRITE_H
#define MEMOFS_CLI_TREE_PACKWRITE_H

#include <stdint.h>

#include "cli/tree/filehash.h"
#include "cli/tree/walk.h"
#include "store/util/buf.h"
#include "store/util/pack.h"

struct packwrite;

/* To `fd`, from where it stands. The caller keeps and closes it. */
int packwrite_new(int fd, struct packwrite **ret_writer);
void packwrite_free(struct packwrite *w); /* NULL is fine */

/* Bytes from memory as a file. -errno with a message; so the others. */
int packwrite_bytes(struct packwrite *w, const char *path, mode_t mode, int64_t mtime_ns,
		    struct slice bytes, struct errmsg *err);
/*
 * A chosen file, directory or symlink of `dirfd`, at `prefix` (may be "") in the
 * pack. Its hash is computed on the way and learnt. -EAGAIN: it changed since it was
 * found or while it was read; -ENOENT: it has vanished.
 */
int packwrite_item(struct packwrite *w, int dirfd, const char *prefix,
		   const struct tree_item *item, struct filehash *fh, struct errmsg *err);
/* The whole content of an open file, from its beginning, as a file at `path`. */
int packwrite_fd(struct packwrite *w, const char *path, mode_t mode, int64_t mtime_ns,
		 int fd, struct errmsg *err);
int packwrite_dir(struct packwrite *w, const char *path, mode_t mode, int64_t mtime_ns,
		  struct errmsg *err);
/* Content bytes handed in so far, for progress. */
uint64_t packwrite_done_bytes(const struct packwrite *w);
/* Index and trailer. `meta` may be empty. ret_tree_hash may be NULL. */
int packwrite_finish(struct packwrite *w, struct slice meta,
		     uint8_t ret_tree_hash[PACK_HASH_BYTES], struct errmsg *err);

/*
 * The tree hash these items would get, where all their contents are known without
 * reading; -ENODATA: some are not.
 */
int packwrite_foresee(const struct tree_items *items, const char *prefix,
		      struct filehash *fh, uint8_t ret_tree_hash[PACK_HASH_BYTES]);

#endif
