/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the mount has done: counters of a namespace, and latencies.
 *
 * Counting takes no lock and writes to no cache line that another CPU writes to: each
 * thread has a shard, and who reads adds up. So counters of different names that are
 * read at one moment may be of slightly different ones.
 *
 * A namespace gets its counters when something is counted for it, METRICS_NAMESPACES
 * at most; the others, and what is of no namespace (the entries of the root), are
 * counted together, as number 0. Numbers are those of store_namespace().
 *
 * Totals outlive the process: metrics_tick() writes them to the store once a minute,
 * and metrics_save() at the end, so that a crash loses a minute of them.
 */
#ifndef MEMOFS_FS_METRICS_H
#define MEMOFS_FS_METRICS_H

#include <stdbool.h>
#include <stdint.h>

#include "store/history.h"

/* Found in the ways of a table: see metrics.c. */
#define METRICS_NAMESPACES 1024

struct metrics;
/* The counters of a namespace. To be used at once: another may get them. */
struct metrics_ns;

/*
 * With the totals that the store has. What cannot be read is logged, and begins anew.
 * -ENOMEM.
 */
int metrics_new(struct store *st, struct metrics **ret_m);
void metrics_free(struct metrics *m); /* NULL is fine; writes nothing */

/* ---- counting ---- */

/* Never NULL. */
struct metrics_ns *metrics_ns(struct metrics *m, uint64_t ns_ino);
/* Of what is in a branch; of one that is gone: number 0. */
struct metrics_ns *metrics_branch(struct metrics *m, uint64_t branch);
uint64_t metrics_ns_ino(const struct metrics_ns *ns);

void metrics_add(struct metrics_ns *ns, enum store_count what, uint64_t by);
/* Seconds, kept as nanoseconds. What is not known (negative) counts nothing. */
void metrics_add_s(struct metrics_ns *ns, enum store_count what, double by_s);

/* An open for reading: a hit, and what it saved. */
struct metrics_ns *metrics_hit(struct metrics *m, const struct store_gen *gen);
/* What the store has dropped by itself. */
void metrics_dropped(struct metrics *m, const struct store_dropped *what);

/* ---- latencies ---- */

enum metrics_op {
	METRICS_LOOKUP,
	METRICS_OPEN,
	METRICS_READ,
	METRICS_WRITE,
	METRICS_CLOSE,
	METRICS_PUBLISH,
	METRICS_OPS
};
const char *metrics_op_name(enum metrics_op op);

/* Bucket i has what took up to 2^(i + 10) ns, but longer than half of it; the last
 * the rest. */
enum { METRICS_BUCKETS = 28 };
/* Its end in seconds; of the last none. */
static inline double metrics_bucket_s(unsigned int i)
{
	return (double)(UINT64_C(1) << (i + 10)) / 1e9;
}

void metrics_took(struct metrics *m, enum metrics_op op, int64_t took_ns);

struct metrics_latency {
	uint64_t count;
	double sum_s;
	uint64_t buckets[METRICS_BUCKETS]; /* each of its own, not added up */
};
void metrics_latency(struct metrics *m, enum metrics_op op,
		     struct metrics_latency *ret_latency);
/* Half of all, 0.5, or another part, took so long or less: the end of a bucket. */
double metrics_quantile_s(const struct metrics_latency *l, double part);

/* ---- reading ---- */

struct metrics_totals {
	struct store_counts start; /* since this process has begun */
	struct store_counts ever;  /* since the store counts */
};
/* Of all. *ret_since_ns: when `ever` began. */
void metrics_totals(struct metrics *m, struct metrics_totals *ret_totals,
		    int64_t *ret_since_ns);
void metrics_ns_totals(const struct metrics_ns *ns, struct metrics_totals *ret_totals);
/* Call `each` for every namespace that has counters, in no order, 0 among them. */
void metrics_each(struct metrics *m, void (*each)(void *arg, const struct metrics_ns *ns),
		  void *arg);

/* ---- keeping ---- */

/*
 * To be called about once a second by one thread: does something once a minute. Also
 * says in one line what was dropped since the last one.
 */
void metrics_tick(struct metrics *m, int64_t now_ns);
/* Write what was not written yet. */
void metrics_save(struct metrics *m);

#endif
