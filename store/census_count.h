/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Adding up what a census sees. Bounded: a table of namespaces, two lists of the best.
 */
#ifndef MEMOFS_STORE_CENSUS_COUNT_H
#define MEMOFS_STORE_CENSUS_COUNT_H

#include "store/store.h"
#include "store/util/htab.h"

/* What is known of an entry. The name is borrowed. */
struct census_entry {
	uint64_t ns_ino; /* 0: it is in the root itself */
	uint64_t branch;
	struct slice name;
	uint64_t bytes; /* its charge */
	uint64_t size_bytes;
	int64_t age_ns;
	double cost_s; /* negative: not known */
	uint64_t hits;
	bool expired;
};

/* The best so far, in no order, until census_count_end(). */
struct census_best {
	struct store_census_top top[STORE_CENSUS_TOP];
	double value[STORE_CENSUS_TOP];
	size_t count, least; /* where the least one is, when there are so many */
};

struct census_count {
	struct htab namespaces;
	struct census_ns *other; /* of number 0 */
	struct store_histogram age_s, cost_ms, size_bytes;
	struct census_best hottest, dearest;
};

int census_count_init(struct census_count *count); /* -ENOMEM */
void census_count_deinit(struct census_count *count);

void census_count_entry(struct census_count *count, const struct census_entry *entry);
/* A directory: it has no entries of its own, but a charge, and is its namespace. */
void census_count_dir(struct census_count *count, uint64_t ns_ino, uint64_t bytes);

/*
 * The result; namespaces have a number and no name yet, and are in order. -ENOMEM.
 * Times are the caller's to fill in.
 */
int census_count_end(struct census_count *count, struct store_census **ret_census);

/* The bucket of a histogram that `value` is in. */
unsigned int census_bucket(uint64_t value);

#endif
