/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reads counted in memory until they are written to TABLE_HEAT.
 *
 * The map is bounded: when it is full, reads of inodes that are not in it are
 * not counted until the next flush. heat_add() is called when a generation is
 * closed, not on every read.
 */
#ifndef MEMOFS_STORE_HEAT_H
#define MEMOFS_STORE_HEAT_H

#include "store/internal.h"

struct heat;

int heat_new(struct heat **ret_heat);
void heat_free(struct heat *heat); /* NULL is fine; what is in it is lost */

/* Returns true when it is time for a flush. */
bool heat_add(struct heat *heat, uint64_t ino, uint64_t hits, int64_t now_ns);

/* Write everything. What fails stays, to be written by the next one. */
int heat_flush(struct store *st, struct heat *heat);

/*
 * Reads and the last of them, without waiting for a flush; what is being written may
 * count twice. -ENOMEM, -EIO.
 */
int heat_peek(struct store *st, struct heat *heat, uint64_t ino,
	      struct heat_row *ret_row);

/* What is written and what is in the map, as one sum. */
int heat_sum(struct store *st, struct heat *heat, uint64_t ino, uint64_t *ret_hits);

#endif
