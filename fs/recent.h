/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Attributes given out lately, of inodes that may be gone by now.
 *
 * Between LOOKUP and OPEN the kernel may ask for the attributes again (it does
 * when inodes are evicted meanwhile) to check permissions. If the generation has
 * been replaced by then, ESTALE would use up the one repetition that OPEN needs
 * for itself (see fs/retry.h), and a program would see ESTALE. So such a question
 * is answered from here, with no links left.
 *
 * A fixed number of slots, the newest of each kept: an old inode that has lost
 * its slot is answered ESTALE, and the kernel looks again.
 */
#ifndef MEMOFS_FS_RECENT_H
#define MEMOFS_FS_RECENT_H

#include "store/store.h"

struct recent;

int recent_new(struct recent **ret_recent); /* -ENOMEM */
void recent_free(struct recent *rec);	    /* NULL is fine */
void recent_put(struct recent *rec, const struct store_attr *attr);
int recent_get(struct recent *rec, uint64_t ino,
	       struct store_attr *ret_attr); /* -ENOENT */

#endif
