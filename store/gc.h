/* SPDX-License-Identifier: Apache-2.0 */
/* What the content half tells the background thread; see gc.c. */
#ifndef MEMOFS_STORE_GC_H
#define MEMOFS_STORE_GC_H

#include "store/internal.h"

/* `ino` is in UNSYNCED, and so much of it may have to be written; holes have not. */
void gc_unsynced(struct store *st, uint64_t ino, uint64_t disk_bytes);

/* The intent of a value that was dropped could not be deleted: try it again. */
void gc_intent(struct store *st, uint64_t ino);

/* A tree was published, and nobody writes it any more: compare it with others. */
void gc_tree(struct store *st, uint64_t ino);

/* Count reads of an inode whose last reader has closed it. */
void gc_hits(struct store *st, uint64_t ino, uint64_t hits);

/* A pass is wanted, at once when `urgent`. Cheap; any lock may be held. */
void gc_soon(struct store *st, bool urgent);

/*
 * Delete now what was going to be deleted, unless the thread is at work. True when there
 * was something. Locks as gc_make_room().
 */
bool gc_delete_now(struct store *st);

/*
 * The disk is full: delete now what was going to be deleted, and have the database give
 * back what it has twice. True when there was something, so that it is worth trying
 * again. The caller holds no lock of the store but that of a value being written.
 */
bool gc_make_room(struct store *st);

/*
 * Delete everything that may be deleted, and add up its contents. The caller holds no
 * lock of the store. -ECANCELED: `stop` became true.
 */
int gc_reclaim(struct store *st, const atomic_bool *stop, uint64_t *ret_bytes);

/* Sync every extent that was published before this call. */
int gc_sync_extents(struct store *st);

/* Extents that nobody names, of an earlier process; if that is still to be done. */
int gc_drop_orphans(struct store *st);

/* Nothing is deleted, and no extent changed, from hold to release. */
void gc_hold(struct store *st);
void gc_release(struct store *st);

/* Numbers from here on were given out by this process. */
uint64_t gc_ours_above(const struct store *st);

#endif
