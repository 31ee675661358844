/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Writing a pack ("store/util/pack.h") to a descriptor, front to back.
 *
 * Equal contents are written once; they are compared before one stands for both.
 * Permissions are stored without set-id and sticky bits. Holes become zeros, and hard
 * links files of their own.
 *
 * What is small is gathered, so that a small tree is one write(2). A large one is
 * written by a second thread, while the next files are read.
 */
#ifndef MEMOFS_CLI_TREE_PACKWRITE_H
#define MEMOFS_CLI_TREE_PACKWRITE_H

#include <stdint.h>

#include "cli/tree/filehash.h"
#include "cli/tree/walk.h"
#include "store/util/buf.h"
#include "store/util/pack.h"

struct packwrite;

/* To `fd`, from where it stands. The caller keeps and closes it. -ENOMEM. */
int packwrite_new(int fd, struct packwrite **ret_writer);
/* What was not finished is not a pack. NULL is fine. */
void packwrite_free(struct packwrite *w);

/* Bytes from memory as a file. -errno with a message; so the others. */
int packwrite_bytes(struct packwrite *w, const char *path, mode_t mode, int64_t mtime_ns,
		    struct slice bytes, struct errmsg *err);
/*
 * A chosen file, directory or symlink of `dirfd`, at `prefix` (may be "") in the
 * pack. Its hash is computed on the way and learnt (`fh` may be NULL). -EAGAIN: it
 * changed since it was found or while it was read; -ENOENT: it has vanished. `dirfd`
 * and `item` have to stay until the writer is freed.
 */
int packwrite_item(struct packwrite *w, int dirfd, const char *prefix,
		   const struct tree_item *item, struct filehash *fh, struct errmsg *err);
/* The whole content of an open file, from its beginning, as a file at `path`. -EAGAIN:
 * it changed while it was read. */
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
 * These items have this tree hash: have packwrite_foresee() know that at once. Nothing
 * is remembered where a file among them is not known, since it was changed just now.
 */
void packwrite_remember(const struct tree_items *items, const char *prefix,
			struct filehash *fh, const uint8_t tree_hash[PACK_HASH_BYTES]);
/*
 * The tree hash these items would get, where all their contents are known without
 * reading; -ENODATA: some are not.
 */
int packwrite_foresee(const struct tree_items *items, const char *prefix,
		      struct filehash *fh, uint8_t ret_tree_hash[PACK_HASH_BYTES]);
/*
 * The same, but what is not known is read, as long as nothing differs from `stored`:
 * -ESTALE when something does; NULL: all is read. -errno with a message, as
 * packwrite_item().
 */
int packwrite_look(const struct tree_items *items, int dirfd, const char *prefix,
		   struct filehash *fh, const struct pack *stored,
		   uint8_t ret_tree_hash[PACK_HASH_BYTES], struct errmsg *err);

#endif
