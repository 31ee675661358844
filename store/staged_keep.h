/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A value being written in kept memory: what is known of it but its bytes, which
 * "store/content.h" keeps. One record, written anew with each change; its time and number
 * of writes, which change with every write, are counters. Of an intent the disk has the
 * truth; the record says only what it was recorded of.
 */
#ifndef MEMOFS_STORE_STAGED_KEEP_H
#define MEMOFS_STORE_STAGED_KEEP_H

#include "store/staged.h"

/* A new one, complete but for what is kept of it. -ENOSPC, -ENOMEM. */
int staged_keep_begin(struct store_staged *sg);
/* It was published. Under `names`, so that nobody has replaced it before. */
void staged_keep_published(struct store_staged *sg);
/* Was it, as far as its content knows? */
bool staged_kept_published(struct kept *content);
/* Does the content count, or still that of the base? -EUCLEAN. */
int staged_kept_base(struct kept *staged, bool *ret_held, uint64_t *ret_base_ino);

/*
 * As it was when its process died; takes over both objects. The generations that it needs
 * are open. Otherwise nothing is left of it.
 */
int staged_resume(struct store *st, struct kept *staged, struct kept *content,
		  struct store_staged **ret_staged);

#endif
