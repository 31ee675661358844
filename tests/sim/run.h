/* SPDX-License-Identifier: Apache-2.0 */
/* A trace against a bounded cache. */
#ifndef MEMOFS_TESTS_SIM_RUN_H
#define MEMOFS_TESTS_SIM_RUN_H

#include "store/store.h"
#include "tests/sim/trace.h"

struct score {
	uint64_t hits, requests;
	uint64_t hit_bytes, bytes;
	double saved_s, cost_s; /* computing time */
	uint64_t evicted;
	uint64_t peak_bytes; /* of charges, when a request was done */
};

/*
 * The real thing: a store in memory, the real eviction, its steps made by hand, and a
 * clock that the trace sets. Contents are not stored: entries are rows that say how
 * large they are.
 */
void run_store(const struct trace *t, uint64_t size_bytes, enum store_policy policy,
	       uint64_t seed, struct score *ret_score);

/*
 * A model that sorts all entries, at the same marks as the store:
 *	gdsf, lru	by the same priorities
 *	fifo, random
 *	best		knows the future: what is not asked for any more first, then what
 *			saves least time for the room and the time until it is asked for.
 *			A heuristic, like Belady's rule for sizes and costs: what is
 *really best is NP-hard. Nothing is kept that is not asked for again.
 *	unbounded	keeps everything
 */
enum model {
	MODEL_GDSF,
	MODEL_LRU,
	MODEL_FIFO,
	MODEL_RANDOM,
	MODEL_BEST,
	MODEL_UNBOUNDED
};
void run_model(const struct trace *t, uint64_t size_bytes, enum model model,
	       uint64_t seed, struct score *ret_score);

#endif
