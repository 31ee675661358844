/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Namespaces are found in a table of buckets with a few ways each, without a lock: a
 * way is filled in and emptied under the lock, and its number is written last and
 * taken away first. When all ways of its bucket are taken, or METRICS_NAMESPACES have
 * counters, a namespace is counted as number 0.
 *
 * The counters of a namespace that is no more are added to those of number 0, so that
 * sums stay, and are used again for another. Who has found them just before that may
 * count for the other one: one count, of something that is no more.
 */
#include "fs/metrics.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "store/util/duration.h"
#include "store/util/htab.h"
#include "store/util/log.h"
#include "store/util/size.h"

enum { SHARDS = 16, BUCKETS = 256, WAYS = 16, CACHE_LINE = 64 };

#define USEC_PER_SEC 1e6
/* More than one thing can have cost, so that no single one makes sums run over. */
#define COST_MAX_S (366 * 86400.0)

/* Each in cache lines of its own. */
struct counts_shard {
	_Alignas(CACHE_LINE) _Atomic uint64_t n[STORE_COUNTS];
};
struct latency_shard {
	_Alignas(CACHE_LINE) _Atomic uint64_t sum_ns;
	_Atomic uint64_t buckets[METRICS_BUCKETS];
};

struct metrics_ns {
	struct counts_shard shards[SHARDS];
	_Atomic uint64_t ino;
	struct metrics *m;
	/* Under the metrics' lock: */
	struct store_counts before;  /* of former processes */
	struct store_counts adopted; /* 0: of namespaces that are no more */
	struct metrics_ns *next;     /* of the unused ones */
	/* Changed under it, by the thread that ticks: */
	int64_t since_ns;
	struct store_counts written; /* as its row is */
	bool has_row;
};

struct way {
	_Atomic uint64_t ino; /* 0: empty */
	_Atomic(struct metrics_ns *) ns;
};

struct metrics {
	struct store *st;
	struct way ways[BUCKETS][WAYS]; /* changed under lock */
	struct metrics_ns *rest;	/* number 0 */
	struct latency_shard latencies[METRICS_OPS][SHARDS];
	_Atomic uint64_t dearest_us; /* of what was evicted since the last tick */

	pthread_mutex_t lock;
	unsigned int count;	   /* of namespaces, without 0 */
	struct metrics_ns *unused; /* emptied */

	/* Of the thread that ticks: */
	int64_t minute;		     /* the one that is being counted */
	struct store_counts sampled; /* in samples that were written */
	struct store_counts told;    /* in lines of the log */
	uint64_t total_bytes, entries;
	bool failing;
};

/* ---- the shard of a thread ---- */

static unsigned int shard_of_thread(void)
{
	static _Atomic unsigned int next;
	static __thread unsigned int mine; /* one more; 0: none yet */

	if (!mine)
		mine = atomic_fetch_add(&next, 1) % SHARDS + 1;
	return mine - 1;
}

static void count_up(_Atomic uint64_t *n, uint64_t by)
{
	atomic_fetch_add_explicit(n, by, memory_order_relaxed);
}

static uint64_t read_count(const _Atomic uint64_t *n)
{
	return atomic_load_explicit(n, memory_order_relaxed);
}

/* ---- namespaces ---- */

static struct way *bucket_of(struct metrics *m, uint64_t ino)
{
	return m->ways[hash_u64(ino) % BUCKETS];
}

/* NULL: it has none. */
static struct metrics_ns *find(struct metrics *m, uint64_t ino)
{
	struct way *bucket = bucket_of(m, ino);

	for (int i = 0; i < WAYS; i++) {
		struct metrics_ns *ns;

		if (atomic_load_explicit(&bucket[i].ino, memory_order_acquire) != ino)
			continue;
		ns = atomic_load_explicit(&bucket[i].ns, memory_order_acquire);
		if (read_count(&ns->ino) == ino)
			return ns;
	}
	return NULL;
}

static struct metrics_ns *ns_new(struct metrics *m, uint64_t ino)
{
	struct metrics_ns *ns = m->unused;

	if (ns) {
		m->unused = ns->next;
	} else {
		ns = aligned_alloc(CACHE_LINE, sizeof(*ns));
		if (!ns)
			return NULL;
		memset(ns, 0, sizeof(*ns));
	}
	ns->m = m;
	ns->since_ns = time_now_ns();
	atomic_store_explicit(&ns->ino, ino, memory_order_relaxed);
	return ns;
}

/* Under the lock. NULL: there is no room, or no memory. */
static struct metrics_ns *add(struct metrics *m, uint64_t ino)
{
	struct way *bucket = bucket_of(m, ino);
	struct metrics_ns *ns;
	int i = 0;

	while (i < WAYS && read_count(&bucket[i].ino))
		i++;
	if (i == WAYS || m->count == METRICS_NAMESPACES)
		return NULL;
	ns = ns_new(m, ino);
	if (!ns)
		return NULL;
	m->count++;
	atomic_store_explicit(&bucket[i].ns, ns, memory_order_release);
	atomic_store_explicit(&bucket[i].ino, ino, memory_order_release);
	return ns;
}

static struct metrics_ns *find_or_add(struct metrics *m, uint64_t ino)
{
	struct metrics_ns *ns;

	pthread_mutex_lock(&m->lock);
	ns = find(m, ino);
	if (!ns)
		ns = add(m, ino);
	pthread_mutex_unlock(&m->lock);
	return ns ? ns : m->rest;
}

struct metrics_ns *metrics_ns(struct metrics *m, uint64_t ns_ino)
{
	struct metrics_ns *ns;

	if (!ns_ino)
		return m->rest;
	ns = find(m, ns_ino);
	return ns ? ns : find_or_add(m, ns_ino);
}

struct metrics_ns *metrics_branch(struct metrics *m, uint64_t branch)
{
	uint64_t ns_ino;

	return store_namespace(m->st, branch, &ns_ino) ? m->rest : metrics_ns(m, ns_ino);
}

uint64_t metrics_ns_ino(const struct metrics_ns *ns)
{
	return read_count(&ns->ino);
}

/* ---- counting ---- */

void metrics_add(struct metrics_ns *ns, enum store_count what, uint64_t by)
{
	count_up(&ns->shards[shard_of_thread()].n[what], by);
}

static uint64_t us_of(double s)
{
	if (!(s > 0)) /* or no number */
		return 0;
	return (uint64_t)((s < COST_MAX_S ? s : COST_MAX_S) * USEC_PER_SEC);
}

void metrics_add_s(struct metrics_ns *ns, enum store_count what, double by_s)
{
	uint64_t us = us_of(by_s);

	if (us)
		metrics_add(ns, what, us);
}

struct metrics_ns *metrics_hit(struct metrics *m, const struct store_gen *gen)
{
	struct metrics_ns *ns;
	uint64_t branch;
	double cost_s;

	store_gen_origin(gen, &branch, &cost_s);
	ns = metrics_branch(m, branch);
	metrics_add(ns, STORE_COUNT_HITS, 1);
	metrics_add_s(ns, STORE_COUNT_SAVED_US, cost_s);
	return ns;
}

static void raise_to(_Atomic uint64_t *max, uint64_t value)
{
	uint64_t was = read_count(max);

	while (was < value && !atomic_compare_exchange_weak(max, &was, value))
		;
}

void metrics_dropped(struct metrics *m, const struct store_dropped *what)
{
	struct metrics_ns *ns = metrics_ns(m, what->ns_ino);

	if (what->why == STORE_DROP_EVICTED) {
		metrics_add(ns, STORE_COUNT_EVICTED, 1);
		metrics_add(ns, STORE_COUNT_EVICTED_BYTES, what->bytes);
		metrics_add_s(ns, STORE_COUNT_EVICTED_COST_US, what->cost_s);
		raise_to(&m->dearest_us, us_of(what->cost_s));
	} else if (what->why == STORE_DROP_EXPIRED) {
		metrics_add(ns, STORE_COUNT_EXPIRED, 1);
		metrics_add(ns, STORE_COUNT_EXPIRED_BYTES, what->bytes);
	}
}

/* ---- latencies ---- */

const char *metrics_op_name(enum metrics_op op)
{
	static const char *const names[METRICS_OPS] = {
	    [METRICS_LOOKUP] = "lookup", [METRICS_OPEN] = "open",
	    [METRICS_READ] = "read",	 [METRICS_WRITE] = "write",
	    [METRICS_CLOSE] = "close",	 [METRICS_PUBLISH] = "publish",
	};

	return names[op];
}

/* The smallest whose end is not below it. */
static unsigned int bucket_of_ns(int64_t ns)
{
	unsigned int i =
	    ns <= 1 << 10 ? 0 : 64 - (unsigned int)__builtin_clzll((uint64_t)ns - 1) - 10;

	return i < METRICS_BUCKETS ? i : METRICS_BUCKETS - 1;
}

void metrics_took(struct metrics *m, enum metrics_op op, int64_t took_ns)
{
	struct latency_shard *s = &m->latencies[op][shard_of_thread()];

	count_up(&s->sum_ns, took_ns > 0 ? (uint64_t)took_ns : 0);
	count_up(&s->buckets[bucket_of_ns(took_ns)], 1);
}

void metrics_latency(struct metrics *m, enum metrics_op op,
		     struct metrics_latency *ret_latency)
{
	struct metrics_latency l = {0};

	for (int i = 0; i < SHARDS; i++) {
		struct latency_shard *s = &m->latencies[op][i];

		l.sum_s += (double)read_count(&s->sum_ns) / (double)NSEC_PER_SEC;
		for (int b = 0; b < METRICS_BUCKETS; b++)
			l.buckets[b] += read_count(&s->buckets[b]);
	}
	for (int b = 0; b < METRICS_BUCKETS; b++)
		l.count += l.buckets[b];
	*ret_latency = l;
}

double metrics_quantile_s(const struct metrics_latency *l, double part)
{
	double below = 0;

	for (unsigned int i = 0; i < METRICS_BUCKETS; i++) {
		below += (double)l->buckets[i];
		if (below > 0 && below >= part * (double)l->count)
			return metrics_bucket_s(i);
	}
	return 0;
}

/* ---- reading ---- */

/* Under the lock. */
static void ns_totals(const struct metrics_ns *ns, struct metrics_totals *ret_totals)
{
	ret_totals->start = ns->adopted;
	for (int i = 0; i < SHARDS; i++)
		for (int c = 0; c < STORE_COUNTS; c++)
			ret_totals->start.n[c] += read_count(&ns->shards[i].n[c]);
	ret_totals->ever = ns->before;
	store_counts_add(&ret_totals->ever, &ret_totals->start);
}

void metrics_ns_totals(const struct metrics_ns *ns, struct metrics_totals *ret_totals)
{
	pthread_mutex_lock(&ns->m->lock);
	ns_totals(ns, ret_totals);
	pthread_mutex_unlock(&ns->m->lock);
}

/* Under the lock. *ret_list has room for METRICS_NAMESPACES and one. */
static size_t list(struct metrics *m, struct metrics_ns **ret_list)
{
	size_t count = 0;

	ret_list[count++] = m->rest;
	for (int b = 0; b < BUCKETS; b++)
		for (int i = 0; i < WAYS; i++)
			if (read_count(&m->ways[b][i].ino))
				ret_list[count++] = atomic_load(&m->ways[b][i].ns);
	return count;
}

void metrics_totals(struct metrics *m, struct metrics_totals *ret_totals,
		    int64_t *ret_since_ns)
{
	struct metrics_ns *all[METRICS_NAMESPACES + 1];
	struct metrics_totals sum = {0}, one;
	size_t count;

	pthread_mutex_lock(&m->lock);
	count = list(m, all);
	for (size_t i = 0; i < count; i++) {
		ns_totals(all[i], &one);
		store_counts_add(&sum.start, &one.start);
		store_counts_add(&sum.ever, &one.ever);
	}
	*ret_since_ns = m->rest->since_ns;
	pthread_mutex_unlock(&m->lock);
	*ret_totals = sum;
}

void metrics_each(struct metrics *m, void (*each)(void *arg, const struct metrics_ns *ns),
		  void *arg)
{
	struct metrics_ns *all[METRICS_NAMESPACES + 1];
	size_t count;

	pthread_mutex_lock(&m->lock);
	count = list(m, all);
	pthread_mutex_unlock(&m->lock);
	for (size_t i = 0; i < count; i++)
		each(arg, all[i]);
}

/* ---- keeping ---- */

/* Is it still a directory of the root? Only a clear answer makes it gone. */
static bool is_gone(struct metrics *m, uint64_t ino)
{
	uint64_t parent, branch;
	int r = store_parent(m->st, ino, &parent, &branch);

	return r == -ENOENT || r == -ENOTDIR || (!r && parent != STORE_ROOT_INO);
}

/* Its counts are the rest's from now on. Under the lock. */
static void adopt(struct metrics *m, struct metrics_ns *ns)
{
	uint64_t ino = metrics_ns_ino(ns);
	struct way *bucket = bucket_of(m, ino);
	struct metrics_totals t;

	for (int i = 0; i < WAYS; i++)
		if (read_count(&bucket[i].ino) == ino)
			atomic_store(&bucket[i].ino, 0);
	atomic_store(&ns->ino, 0);
	ns_totals(ns, &t);
	store_counts_add(&m->rest->adopted, &t.start);
	store_counts_add(&m->rest->before, &ns->before);
	for (int i = 0; i < SHARDS; i++)
		for (int c = 0; c < STORE_COUNTS; c++)
			atomic_store(&ns->shards[i].n[c], 0);
	ns->before = ns->written = (struct store_counts){0};
	ns->has_row = false;
	ns->next = m->unused;
	m->unused = ns;
	m->count--;
}

/* What is to be written: rows that are not as the counters are. */
struct rows {
	struct store_total totals[METRICS_NAMESPACES + 1];
	struct metrics_ns *of[METRICS_NAMESPACES + 1];
	size_t count;
};

static void put_row(struct rows *rows, struct metrics_ns *ns, bool gone,
		    const struct store_counts *counts)
{
	rows->of[rows->count] = ns;
	rows->totals[rows->count++] = (struct store_total){
	    .ns_ino = metrics_ns_ino(ns),
	    .since_ns = ns->since_ns,
	    .counts = *counts,
	    .gone = gone,
	};
}

/*
 * Those that are gone are in the row of the rest, and are adopted when it is written.
 * The store is asked without the lock: only this thread takes one out.
 */
static void collect(struct metrics *m, struct rows *rows)
{
	struct metrics_ns *all[METRICS_NAMESPACES + 1];
	struct metrics_totals rest, t;
	size_t count;

	rows->count = 0;
	pthread_mutex_lock(&m->lock);
	count = list(m, all);
	ns_totals(m->rest, &rest);
	pthread_mutex_unlock(&m->lock);
	for (size_t i = 1; i < count; i++) {
		bool gone = is_gone(m, metrics_ns_ino(all[i]));

		metrics_ns_totals(all[i], &t);
		if (gone)
			store_counts_add(&rest.ever, &t.ever);
		if (gone || !all[i]->has_row ||
		    memcmp(&t.ever, &all[i]->written, sizeof(t.ever)) != 0)
			put_row(rows, all[i], gone, &t.ever);
	}
	put_row(rows, m->rest, false, &rest.ever);
}

static void note_written(struct metrics *m, const struct rows *rows)
{
	pthread_mutex_lock(&m->lock);
	for (size_t i = 0; i < rows->count; i++) {
		struct metrics_ns *ns = rows->of[i];

		if (rows->totals[i].gone) {
			adopt(m, ns);
			continue;
		}
		ns->written = rows->totals[i].counts;
		ns->has_row = true;
	}
	pthread_mutex_unlock(&m->lock);
}

/* Of the minute that is being counted; false: nothing has happened. */
static bool take_sample(struct metrics *m, struct store_sample *ret_sample,
			struct store_counts *ret_now)
{
	struct store_stats stats = {0};
	struct store_bounds bounds;
	struct metrics_totals t;
	int64_t since_ns;

	metrics_totals(m, &t, &since_ns);
	store_bounds(m->st, &bounds);
	*ret_now = t.start;
	*ret_sample = (struct store_sample){
	    .at_ns = m->minute * 60 * NSEC_PER_SEC,
	    .counts = t.start,
	    .total_bytes = bounds.total_bytes,
	    .entries = store_stats(m->st, &stats) ? m->entries : stats.entries,
	};
	store_counts_sub(&ret_sample->counts, &m->sampled);
	return !store_counts_are_zero(&ret_sample->counts) ||
	       ret_sample->total_bytes != m->total_bytes ||
	       ret_sample->entries != m->entries;
}

static void fail(struct metrics *m, int r)
{
	if (!m->failing)
		log_warning("the numbers of the last minute could not be stored: %s; "
			    "they will be with later ones",
			    strerror(-r));
	m->failing = true;
}

void metrics_save(struct metrics *m)
{
	struct store_sample sample;
	struct store_counts now;
	struct rows *rows;
	int r = -ENOMEM;

	if (!take_sample(m, &sample, &now))
		return;
	rows = malloc(sizeof(*rows));
	if (rows) {
		collect(m, rows);
		r = store_history_add(m->st, &sample, rows->totals, rows->count);
	}
	if (r) {
		fail(m, r);
	} else {
		note_written(m, rows);
		m->sampled = now;
		m->total_bytes = sample.total_bytes;
		m->entries = sample.entries;
		m->failing = false;
	}
	free(rows);
}

/* ---- what was dropped ---- */

static void tell(struct metrics *m, const char *did, uint64_t entries, uint64_t bytes,
		 uint64_t dearest_us)
{
	char size[SIZE_TEXT_MAX], cost[DURATION_TEXT_MAX];

	size_format(bytes, size);
	duration_format_short((int64_t)dearest_us * 1000, cost);
	log_info("%s %llu entries, %s%s%s", did, (unsigned long long)entries, size,
		 dearest_us ? ", the dearest had cost " : "", dearest_us ? cost : "");
}

static void tell_dropped(struct metrics *m)
{
	struct metrics_totals t;
	struct store_counts d;
	int64_t since_ns;

	metrics_totals(m, &t, &since_ns);
	d = t.start;
	store_counts_sub(&d, &m->told);
	m->told = t.start;
	if (d.n[STORE_COUNT_EVICTED])
		tell(m, "evicted", d.n[STORE_COUNT_EVICTED],
		     d.n[STORE_COUNT_EVICTED_BYTES], atomic_exchange(&m->dearest_us, 0));
	if (d.n[STORE_COUNT_EXPIRED])
		tell(m, "deleted what has expired:", d.n[STORE_COUNT_EXPIRED],
		     d.n[STORE_COUNT_EXPIRED_BYTES], 0);
}

void metrics_tick(struct metrics *m, int64_t now_ns)
{
	int64_t minute = now_ns / (60 * NSEC_PER_SEC);

	if (minute == m->minute)
		return;
	metrics_save(m);
	m->minute = minute;
	tell_dropped(m);
}

/* ---- beginning and end ---- */

static int adopt_total(void *arg, const struct store_total *total)
{
	struct metrics *m = arg;
	struct metrics_ns *ns = m->rest;

	pthread_mutex_lock(&m->lock);
	if (total->ns_ino)
		ns = add(m, total->ns_ino);
	if (!ns) {
		store_counts_add(&m->rest->before, &total->counts);
	} else {
		store_counts_add(&ns->before, &total->counts);
		ns->written = total->counts;
		ns->has_row = ns != m->rest;
		ns->since_ns = total->since_ns;
	}
	pthread_mutex_unlock(&m->lock);
	return 0;
}

int metrics_new(struct store *st, struct metrics **ret_m)
{
	struct metrics *m = aligned_alloc(CACHE_LINE, sizeof(*m));
	int r;

	if (!m)
		return -ENOMEM;
	memset(m, 0, sizeof(*m));
	m->st = st;
	pthread_mutex_init(&m->lock, NULL);
	m->minute = time_now_ns() / (60 * NSEC_PER_SEC);
	m->rest = ns_new(m, 0);
	if (!m->rest) {
		metrics_free(m);
		return -ENOMEM;
	}
	r = store_totals_each(st, adopt_total, m);
	if (r)
		log_warning("what was counted before cannot be read: %s", strerror(-r));
	*ret_m = m;
	return 0;
}

void metrics_free(struct metrics *m)
{
	if (!m)
		return;
	for (int b = 0; b < BUCKETS; b++)
		for (int i = 0; i < WAYS; i++)
			if (read_count(&m->ways[b][i].ino))
				free(atomic_load(&m->ways[b][i].ns));
	while (m->unused) {
		struct metrics_ns *ns = m->unused;

		m->unused = ns->next;
		free(ns);
	}
	free(m->rest);
	pthread_mutex_destroy(&m->lock);
	free(m);
}
