/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MEMOFS_STORE_EXTENT_SYNC_H
#define MEMOFS_STORE_EXTENT_SYNC_H

#include "store/internal.h"
#include "store/notes.h"

/*
 * Sync the noted extents, or all in UNSYNCED, and delete their rows there. What
 * the disk does not take is dropped, and the error returned when the rest is
 * done. One caller at a time.
 */
int extents_sync(struct store *st, const struct notes *notes);

#endif
