/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is cheapest to lose: priorities of entries, and how they age.
 *
 * GreedyDual-Size-Frequency (Cherkasova, "Improving WWW Proxies Performance with
 * Greedy-Dual-Size-Frequency Caching Policy", HP Labs 1998): an entry is worth the
 * computing time that its next read saves, times how often it is read, for each byte
 * that it takes, above the level L at which the store evicted when it was last used.
 *	H = L(last use) + frequency * cost / charge
 * L only rises, so what is not used any more is overtaken by what is. It is a
 * function of time, which is kept (struct priority_history), and what else is needed
 * is known of each entry anyway: nothing is written for a hit.
 *
 * The other policy, lru, goes by the last use alone.
 *
 * Nothing here locks, and nothing knows the store.
 */
#ifndef MEMOFS_STORE_PRIORITY_H
#define MEMOFS_STORE_PRIORITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/store.h"

/* A cost that is not known, and the least there is: what it takes to copy a file. */
#define PRIORITY_COST_UNKNOWN_S 0.1
#define PRIORITY_COST_MIN_S 0.001

/* Points of L over time; between two of them it rises evenly. */
#define PRIORITY_POINTS_MAX 512
struct priority_point {
	int64_t at_ns;
	double level; /* seconds for each byte */
};
/* Sorted: each point is later and higher than the one before. A zeroed one is empty. */
struct priority_history {
	size_t count;
	struct priority_point points[PRIORITY_POINTS_MAX];
};

/* L at a time: 0 before the first point, and what it is now after the last. */
double priority_level(const struct priority_history *h, int64_t at_ns);
/*
 * Something of that priority was evicted now. What is not above the last point changes
 * nothing. When there are too many points the one goes that is missed least.
 */
void priority_raise(struct priority_history *h, int64_t now_ns, double level);

/* Replaces ret_raw. -ENOMEM. */
int priority_encode(const struct priority_history *h, struct buf *ret_raw);
/* -EUCLEAN: not what the encoder writes. */
int priority_decode(struct slice raw, struct priority_history *ret_history);

struct priority_facts {
	int64_t created_ns, last_read_ns; /* 0: never read */
	uint64_t reads;
	double cost_s; /* negative: not known */
	uint64_t charge_bytes;
};

/*
 * How often it is read, the publish included. Reads fade when they stay away for as
 * long as they came: to the half after the time over which they were spread.
 */
double priority_frequency(const struct priority_facts *f, int64_t now_ns);

/* The lower goes first. Of one policy they can be compared. */
double priority_of(enum store_policy policy, const struct priority_history *h,
		   const struct priority_facts *f, int64_t now_ns);

#endif
