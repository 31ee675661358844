/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening a store for the successor of a process that died: what is in kept memory of
 * values being written, and the generations that were open.
 */
#ifndef MEMOFS_STORE_RESUME_H
#define MEMOFS_STORE_RESUME_H

#include "store/internal.h"

/*
 * Before the backend is opened: what there is. Makes st->resume. -EUCLEAN: what is kept
 * cannot be read.
 */
int resume_begin(struct store *st, const struct store_options *opt);
/* The extents that stay staged. */
const uint64_t *resume_extents(const struct store *st, size_t *ret_count);
/* Was it being written when that process died? Then it is nobody's that was left. */
bool resume_has(const struct store *st, uint64_t ino);
/* Before gc: open the generations, then the values. What cannot be is logged. */
int resume_open(struct store *st);
void resume_free(struct store *st);

#endif
