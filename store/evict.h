/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Eviction: takes names away when the store, the disk or a directory with a quota is
 * above its high mark, those first that are cheapest to lose ("store/priority.h").
 */
#ifndef MEMOFS_STORE_EVICT_H
#define MEMOFS_STORE_EVICT_H

#include "store/internal.h"

/* Once, before the threads. -ENOMEM. */
int evict_new(struct store *st);
/* After gc_start(). -EAGAIN: no thread. */
int evict_start(struct store *st);
/*
 * Ends the thread, before gc_stop(), and saves what is known. Steps can be made by hand
 * until evict_free().
 */
void evict_stop(struct store *st);
void evict_free(struct store *st); /* after gc_stop() */

/* Something may be above its high mark. Cheap; from any thread, under any lock. */
void evict_wake(struct store *st);

/* What one step did. */
struct evict_step {
	bool idle; /* nothing is above its mark */
	size_t seen, dropped;
	uint64_t dropped_bytes;
};
/*
 * One step, as the thread makes them: looks at some hundred entries, and drops some
 * dozens at most. For the thread, tests and the simulator. Under no lock.
 */
int evict_step(struct store *st, struct evict_step *ret_step);

/* Where the random numbers of a sample begin, for what is to be repeated. */
void evict_seed(struct store *st, uint64_t seed);

#endif
