/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What has been counted, over time: a part of the public interface, as
 * "store/store.h" is. The store keeps the numbers and counts none of them itself.
 *
 * One sample a minute for a day, one an hour for ninety days, in rings, and totals of
 * each namespace since counting began. All are written by one thread at a time.
 */
#ifndef MEMOFS_STORE_HISTORY_H
#define MEMOFS_STORE_HISTORY_H

#include "store/store.h"

/* What is counted. Times are microseconds, which do not run over. */
enum store_count {
	STORE_COUNT_SAVED_US, /* what the entries that were read had cost */
	STORE_COUNT_HITS,
	STORE_COUNT_MISSES_ABSENT,
	STORE_COUNT_MISSES_EXPIRED,
	STORE_COUNT_MISSES_TOO_OLD, /* for the view */
	STORE_COUNT_MISSES_DAMAGED,
	STORE_COUNT_BYTES_READ,
	STORE_COUNT_BYTES_WRITTEN,
	STORE_COUNT_PUBLISHED,
	STORE_COUNT_FAILED,	 /* values that were dropped, whatever the reason */
	STORE_COUNT_COMPUTED_US, /* what the published had cost */
	STORE_COUNT_EVICTED,
	STORE_COUNT_EVICTED_BYTES,
	STORE_COUNT_EVICTED_COST_US,
	STORE_COUNT_EXPIRED, /* and deleted */
	STORE_COUNT_EXPIRED_BYTES,
	STORE_COUNT_RESERVED,
	STORE_COUNT_RESERVED_BUSY, /* refused: another has it */
	STORE_COUNT_WAITS,
	STORE_COUNT_WAITED_US,
	STORE_COUNTS
};

struct store_counts {
	uint64_t n[STORE_COUNTS];
};

static inline uint64_t store_counts_misses(const struct store_counts *c)
{
	return c->n[STORE_COUNT_MISSES_ABSENT] + c->n[STORE_COUNT_MISSES_EXPIRED] +
	       c->n[STORE_COUNT_MISSES_TOO_OLD] + c->n[STORE_COUNT_MISSES_DAMAGED];
}

/* `a` more, or less, by what `b` has. */
void store_counts_add(struct store_counts *a, const struct store_counts *b);
void store_counts_sub(struct store_counts *a, const struct store_counts *b);
bool store_counts_are_zero(const struct store_counts *c);

enum store_history_step { STORE_HISTORY_MINUTE, STORE_HISTORY_HOUR };
#define STORE_HISTORY_MINUTES 1440
#define STORE_HISTORY_HOURS (90 * 24)

/* The length of a step. */
static inline int64_t store_history_step_ns(enum store_history_step step)
{
	return (step == STORE_HISTORY_MINUTE ? 60 : 3600) * NSEC_PER_SEC;
}

struct store_sample {
	int64_t at_ns;		    /* when its step began */
	struct store_counts counts; /* during it */
	uint64_t total_bytes;	    /* of the store, at the end of it */
	uint64_t entries;
};

/* Of a namespace, by store_namespace(); 0: what belongs to none. */
struct store_total {
	uint64_t ns_ino;
	int64_t since_ns; /* when it began */
	struct store_counts counts;
	bool gone; /* to be written: the namespace is no more, and its row goes */
};

/*
 * Add `sample` to the minute and to the hour that its `at_ns` is in, which may be any
 * time in them, and put the totals in the place of those that are there. All or
 * nothing.
 */
int store_history_add(struct store *st, const struct store_sample *sample,
		      const struct store_total *totals, size_t total_count);

/*
 * The samples of the last day, or of the last ninety, oldest first, until `each`
 * returns non-zero, which is returned. A step in which nothing happened has none.
 */
int store_history_each(struct store *st, enum store_history_step step, int64_t now_ns,
		       int (*each)(void *arg, const struct store_sample *sample),
		       void *arg);

/* In no order. What cannot be read is logged and left out. */
int store_totals_each(struct store *st,
		      int (*each)(void *arg, const struct store_total *total), void *arg);

#endif
