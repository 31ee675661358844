/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rows of TABLE_HISTORY:
 *
 *   'm' be64(slot)   → struct history_row: a minute; slot: its number modulo
 *                      STORE_HISTORY_MINUTES
 *   'h' be64(slot)   → struct history_row: an hour, in the same way
 *   't' be64(ns_ino) → struct total_row
 *
 * A ring writes each slot over, so that nothing is ever deleted from it. A row whose
 * number does not belong into its slot, or is older than the ring, does not count.
 */
#ifndef MEMOFS_STORE_HISTORY_ROWS_H
#define MEMOFS_STORE_HISTORY_ROWS_H

#include "store/history.h"
#include "store/keys.h"

enum history_tag { HISTORY_MINUTE = 'm', HISTORY_HOUR = 'h', HISTORY_TOTAL = 't' };

struct key key_history(enum history_tag tag, uint64_t number);
int key_history_decode(struct slice raw, enum history_tag *ret_tag, uint64_t *ret_number);

struct history_row {
	uint64_t number; /* of the minute or hour, since the epoch */
	uint64_t total_bytes, entries;
	struct store_counts counts;
};
/* Appends. -ENOMEM. */
int history_encode(const struct history_row *row, struct buf *ret_raw);
int history_decode(struct slice raw, struct history_row *ret_row); /* -EUCLEAN */

struct total_row {
	int64_t since_ns;
	struct store_counts counts;
};
int total_encode(const struct total_row *row, struct buf *ret_raw);
int total_decode(struct slice raw, struct total_row *ret_row);

#endif
