/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The numbers of a mount: stats.json and history.csv, as the daemon writes them.
 *
 * What a daemon does not say is 0 (or as a field says), so that an older or a newer
 * one is no error. Sizes are bytes, times seconds (points in time since 1970).
 */
#ifndef MEMOFS_CLI_LOOK_NUMBERS_H
#define MEMOFS_CLI_LOOK_NUMBERS_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/look/jdoc.h"
#include "store/util/err.h"

/* What is counted as it happens, of the whole store and of each namespace. */
enum total {
	SAVED_S,
	HITS,
	MISSES,
	MISSES_ABSENT,
	MISSES_EXPIRED,
	MISSES_TOO_OLD,
	MISSES_DAMAGED,
	BYTES_READ,
	BYTES_WRITTEN,
	PUBLISHED,
	FAILED,
	COMPUTED_S,
	EVICTED,
	EVICTED_BYTES,
	EVICTED_COST_S,
	EXPIRED,
	EXPIRED_BYTES,
	RESERVED,
	RESERVED_BUSY,
	WAITS,
	WAITED_S,
	TOTALS,
};
struct totals {
	double of[TOTALS];
};

/* Why it was a miss, for people; the first reason is MISSES_ABSENT. */
#define MISS_REASONS 4
extern const char *const miss_reasons[MISS_REASONS];

/* b - a; what became less (another store, lost numbers) is 0. */
struct totals totals_since(const struct totals *a, const struct totals *b);
/* Hits of all that was looked up, 0 to 1; NAN when nothing was. */
double totals_hit_ratio(const struct totals *t);

struct histogram_bucket {
	double le;	       /* what is at most this; INFINITY: the rest */
	double entries, bytes; /* not those of the buckets before */
};
struct histogram {
	struct histogram_bucket *bucket;
	size_t n;
};

#define LATENCIES 6
extern const char *const latency_names[LATENCIES];
struct latency {
	double count, sum_s;
	struct histogram buckets; /* in `entries` */
};
/* So many of a hundred took at most this; NAN when nothing was measured. */
double latency_percentile(const struct latency *l, double percent);

struct namespace_numbers {
	const char *name; /* "": what is in none */
	double entries, bytes, expired_entries, expired_bytes;
	double quota_bytes; /* 0: none */
	struct totals total, since_start;
	const struct jval *json; /* the object */
};

/* What is in no namespace is shown only when there is something. */
bool namespace_is_empty(const struct namespace_numbers *ns);

struct numbers {
	struct jdoc doc;
	const char *version, *policy;
	double time_s, started_s, since_s;
	struct totals total, since_start;
	double size_bytes, total_bytes, shared_bytes, dead_bytes, staged_bytes, bytes;
	double entries, dirs, memory_bytes, db_disk_bytes, disk_avail_bytes;
	double max_entry_bytes, min_free_bytes;
	double open_handles, pending_writes, waiting_opens, reservations;
	struct latency latency[LATENCIES];
	double census_time_s; /* 0: there was none yet */
	struct histogram age_s, cost_s, entry_bytes;
	struct namespace_numbers *ns; /* the largest first */
	size_t n_ns;
};
#define NUMBERS_INIT ((struct numbers){0})
#define CLEANUP_NUMBERS __attribute__((cleanup(numbers_deinit)))

/* stats.json. -EINVAL, -E2BIG, with a message. `text` may go away after. */
int numbers_read(const char *text, size_t len, struct numbers *ret_numbers,
		 struct errmsg *err);
void numbers_deinit(struct numbers *n);
/* NULL when nothing is known of it. */
const struct namespace_numbers *numbers_of(const struct numbers *n, const char *ns);

/* ---- history.csv --------------------------------------------------------------- */

/* A step in which nothing happened has none. */
struct sample {
	double step_s, time_s; /* its length, and when it began */
	double total_bytes, entries;
	struct totals t; /* of this step alone */
};
struct history {
	struct sample *list; /* oldest first */
	size_t n;
};
#define HISTORY_INIT ((struct history){0})
#define CLEANUP_HISTORY __attribute__((cleanup(history_deinit)))
#define HISTORY_MAX 100000

/* -EINVAL: not in this format, or cut off; -E2BIG: too many; with a message. */
int history_read(const char *text, size_t len, struct history *ret_history,
		 struct errmsg *err);
void history_deinit(struct history *h);

#endif
