/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Looking through a whole store for damage, and dropping it.
 *
 * What is looked at is every row of every table, by itself and against the rows it
 * belongs to; every extent; and, with `contents`, every byte against its checksums.
 * It may run beside everything else that uses the store, since a fault is looked at
 * a second time under the lock of names before it is believed. Memory is bounded.
 */
#ifndef MEMOFS_STORE_CHECK_H
#define MEMOFS_STORE_CHECK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "store/store.h"

struct store_check_progress {
	uint64_t rows, rows_total;   /* the total is an estimate */
	uint64_t bytes, bytes_total; /* of contents; 0 without `contents` */
};

struct store_check_options {
	bool contents;
	/* Drop what is damaged. What is sound is not touched. */
	bool repair;
	const atomic_bool *stop; /* NULL: none. Ends it early: -ECANCELED */
	/* One line for each fault: where, what, what was or would be done. */
	void (*found)(void *arg, const char *line);
	void (*progress)(void *arg, const struct store_check_progress *progress);
	void *arg;
};

struct store_check_result {
	uint64_t rows, bytes; /* looked at */
	uint64_t found;	      /* faults */
	uint64_t repaired;    /* of them */
	/* Of them, parts of the database that cannot be read: store_rebuild() is left. */
	uint64_t unreadable;
};

/*
 * -ECANCELED, -EIO, -ENOMEM, -ENOSPC: it ended early, and the result is what there
 * was so far. Damage is no error. A fault in a row of the database that cannot be
 * repaired here is counted in `unreadable`.
 */
int store_check(struct store *st, const struct store_check_options *opt,
		struct store_check_result *ret_result);

/* ---- scrub ---- */

struct store_scrub {
	uint64_t bytes, entries; /* read since it was started */
	uint64_t damaged;	 /* entries that were dropped */
	uint64_t passes;	 /* through the whole store */
};

/* Gentle: 20 GiB in six hours. */
#define STORE_SCRUB_DEFAULT (UINT64_C(1) << 20)

/*
 * Read everything once a day in the background, so many bytes a second, from where the
 * last process was. 0 stops it. What is damaged is dropped as a read would. Ends by
 * itself when the store is closed. One caller at a time. -EAGAIN, -ENOMEM: no thread.
 */
int store_scrub_set(struct store *st, uint64_t bytes_per_s);
void store_scrub_get(struct store *st, struct store_scrub *ret_scrub);

#endif
