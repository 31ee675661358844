/* SPDX-License-Identifier: Apache-2.0 */
/* What is counted, by many threads, over a store in memory. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/metrics.h"

#define assert_ok(call) assert_int_equal((call), 0)
#define MINUTE (60 * NSEC_PER_SEC)

struct fixture {
	struct store *st;
	struct metrics *m;
};

static int setup(void **state)
{
	static struct fixture fx;
	struct store_options opt = {.kind = STORE_MEMORY, .root_mode = 0755};
	struct errmsg err;

	assert_ok(store_open(&opt, &fx.st, &err));
	assert_ok(metrics_new(fx.st, &fx.m));
	*state = &fx;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fx = *state;

	metrics_free(fx->m);
	store_close(fx->st);
	return 0;
}

static uint64_t make_dir(struct store *st, const char *name)
{
	struct store_attr attr;

	assert_ok(store_mkdir(st, STORE_ROOT_INO, name, S_IFDIR | 0755, 0, 0, &attr));
	return attr.ino;
}

static struct metrics_totals totals_of(struct metrics *m, uint64_t ns_ino)
{
	struct metrics_totals t;

	metrics_ns_totals(metrics_ns(m, ns_ino), &t);
	return t;
}

static struct metrics_totals sum_of(struct metrics *m)
{
	struct metrics_totals t;
	int64_t since_ns;

	metrics_totals(m, &t, &since_ns);
	assert_true(since_ns > 0);
	return t;
}

/* ---- counting ---- */

enum { THREADS = 24, ROUNDS = 2000, DIRS = 5 };

struct crowd {
	struct metrics *m;
	uint64_t dirs[DIRS];
	atomic_bool end;
};

static void *count(void *arg)
{
	struct crowd *c = arg;

	for (int i = 0; i < ROUNDS; i++) {
		struct metrics_ns *ns = metrics_ns(c->m, c->dirs[i % DIRS]);

		metrics_add(ns, STORE_COUNT_HITS, 1);
		metrics_add_s(ns, STORE_COUNT_SAVED_US, 0.5);
		metrics_took(c->m, METRICS_OPEN, 3000);
	}
	return NULL;
}

/* Reads while others count: never more than there will be, and never less again. */
static void *look(void *arg)
{
	struct crowd *c = arg;
	uint64_t before = 0;

	while (!atomic_load(&c->end)) {
		uint64_t hits = sum_of(c->m).start.n[STORE_COUNT_HITS];

		assert_true(hits >= before && hits <= THREADS * ROUNDS);
		before = hits;
	}
	return NULL;
}

static void test_threads(void **state)
{
	struct fixture *fx = *state;
	struct crowd c = {.m = fx->m};
	pthread_t threads[THREADS], looker;
	struct metrics_latency l;
	char name[16];

	for (int i = 0; i < DIRS; i++) {
		snprintf(name, sizeof(name), "d%d", i);
		c.dirs[i] = make_dir(fx->st, name);
	}
	assert_ok(pthread_create(&looker, NULL, look, &c));
	for (int i = 0; i < THREADS; i++)
		assert_ok(pthread_create(&threads[i], NULL, count, &c));
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	atomic_store(&c.end, true);
	pthread_join(looker, NULL);
	for (int i = 0; i < DIRS; i++) {
		struct metrics_totals t = totals_of(fx->m, c.dirs[i]);

		assert_int_equal(t.start.n[STORE_COUNT_HITS], THREADS * ROUNDS / DIRS);
		assert_int_equal(t.ever.n[STORE_COUNT_SAVED_US],
				 500000ull * THREADS * ROUNDS / DIRS);
	}
	assert_int_equal(sum_of(fx->m).start.n[STORE_COUNT_HITS], THREADS * ROUNDS);
	metrics_latency(fx->m, METRICS_OPEN, &l);
	assert_int_equal(l.count, THREADS * ROUNDS);
	assert_int_equal(l.buckets[2], THREADS * ROUNDS); /* up to 4,096 ns */
}

static void test_buckets(void **state)
{
	struct fixture *fx = *state;
	struct metrics_latency l;

	metrics_took(fx->m, METRICS_READ, -5); /* a clock that goes back */
	metrics_took(fx->m, METRICS_READ, 0);
	metrics_took(fx->m, METRICS_READ, 1024);
	metrics_took(fx->m, METRICS_READ, 1025);
	metrics_took(fx->m, METRICS_READ, 2048);
	metrics_took(fx->m, METRICS_READ, INT64_MAX);
	metrics_latency(fx->m, METRICS_READ, &l);
	assert_int_equal(l.count, 6);
	assert_int_equal(l.buckets[0], 3);
	assert_int_equal(l.buckets[1], 2);
	assert_int_equal(l.buckets[METRICS_BUCKETS - 1], 1);
	assert_true(metrics_quantile_s(&l, 0.5) == metrics_bucket_s(0));
	assert_true(metrics_quantile_s(&l, 0.8) == metrics_bucket_s(1));
	metrics_latency(fx->m, METRICS_WRITE, &l);
	assert_true(l.count == 0 && metrics_quantile_s(&l, 0.5) == 0);
}

/* What cannot be, or is not known, counts nothing; what is too much, a year. */
static void test_costs(void **state)
{
	struct fixture *fx = *state;
	struct metrics_ns *ns = metrics_ns(fx->m, 0);

	metrics_add_s(ns, STORE_COUNT_SAVED_US, -1);
	metrics_add_s(ns, STORE_COUNT_SAVED_US, 0.0 / 0.0);
	assert_int_equal(sum_of(fx->m).ever.n[STORE_COUNT_SAVED_US], 0);
	metrics_add_s(ns, STORE_COUNT_SAVED_US, 1e300);
	assert_int_equal(sum_of(fx->m).ever.n[STORE_COUNT_SAVED_US],
			 366ull * 86400 * 1000000);
}

/* ---- namespaces ---- */

static void test_too_many_are_counted_together(void **state)
{
	struct fixture *fx = *state;
	uint64_t all = METRICS_NAMESPACES + 500, own = 0;

	for (uint64_t i = 1; i <= all; i++)
		metrics_add(metrics_ns(fx->m, i * 7), STORE_COUNT_HITS, 1);
	for (uint64_t i = 1; i <= all; i++)
		own += metrics_ns_ino(metrics_ns(fx->m, i * 7)) == i * 7;
	assert_true(own > METRICS_NAMESPACES / 2 && own <= METRICS_NAMESPACES);
	assert_int_equal(sum_of(fx->m).start.n[STORE_COUNT_HITS], all);
	assert_int_equal(totals_of(fx->m, 0).start.n[STORE_COUNT_HITS], all - own);
}

/* Counters of a directory that is removed go to those of none, and stay in the sum. */
static void test_a_namespace_goes(void **state)
{
	struct fixture *fx = *state;
	uint64_t ns_ino = make_dir(fx->st, "ns");

	metrics_add(metrics_ns(fx->m, ns_ino), STORE_COUNT_HITS, 3);
	metrics_tick(fx->m, time_now_ns() + MINUTE);
	assert_int_equal(totals_of(fx->m, 0).ever.n[STORE_COUNT_HITS], 0);
	assert_ok(store_rmdir(fx->st, STORE_ROOT_INO, "ns"));
	metrics_add(metrics_ns(fx->m, ns_ino), STORE_COUNT_HITS, 4);
	metrics_tick(fx->m, time_now_ns() + 2 * MINUTE);
	assert_int_equal(totals_of(fx->m, 0).ever.n[STORE_COUNT_HITS], 7);
	assert_int_equal(totals_of(fx->m, 0).start.n[STORE_COUNT_HITS], 7);
	assert_int_equal(sum_of(fx->m).ever.n[STORE_COUNT_HITS], 7);
}

/* ---- keeping ---- */

/* As another process would begin on the same store. */
static void begin_again(struct fixture *fx)
{
	metrics_free(fx->m);
	assert_ok(metrics_new(fx->st, &fx->m));
}

static void test_totals_are_kept(void **state)
{
	struct fixture *fx = *state;
	uint64_t ns_ino = make_dir(fx->st, "ns");

	metrics_add(metrics_ns(fx->m, ns_ino), STORE_COUNT_HITS, 3);
	metrics_add(metrics_ns(fx->m, 0), STORE_COUNT_MISSES_ABSENT, 5);
	metrics_save(fx->m);
	metrics_save(fx->m); /* nothing is new */
	begin_again(fx);
	assert_int_equal(totals_of(fx->m, ns_ino).ever.n[STORE_COUNT_HITS], 3);
	assert_int_equal(totals_of(fx->m, ns_ino).start.n[STORE_COUNT_HITS], 0);
	assert_int_equal(sum_of(fx->m).ever.n[STORE_COUNT_MISSES_ABSENT], 5);
	metrics_add(metrics_ns(fx->m, ns_ino), STORE_COUNT_HITS, 1);
	metrics_tick(fx->m, time_now_ns() + MINUTE);
	metrics_add(metrics_ns(fx->m, ns_ino), STORE_COUNT_HITS, 100); /* is lost */
	begin_again(fx);
	assert_int_equal(sum_of(fx->m).ever.n[STORE_COUNT_HITS], 4);
}

static int sum_hits(void *arg, const struct store_sample *sample)
{
	*(uint64_t *)arg += sample->counts.n[STORE_COUNT_HITS];
	return 0;
}

/* What samples have together is what was counted, over a restart in the minute, too. */
static void test_samples(void **state)
{
	struct fixture *fx = *state;
	int64_t now_ns = time_now_ns();
	uint64_t hits = 0;

	metrics_add(metrics_ns(fx->m, 0), STORE_COUNT_HITS, 3);
	metrics_save(fx->m);
	begin_again(fx);
	metrics_add(metrics_ns(fx->m, 0), STORE_COUNT_HITS, 4);
	metrics_tick(fx->m, now_ns + MINUTE);
	metrics_add(metrics_ns(fx->m, 0), STORE_COUNT_HITS, 5);
	metrics_tick(fx->m, now_ns + 2 * MINUTE);
	metrics_tick(fx->m, now_ns + 3 * MINUTE); /* nothing happened */
	assert_ok(store_history_each(fx->st, STORE_HISTORY_MINUTE, now_ns + 3 * MINUTE,
				     sum_hits, &hits));
	assert_int_equal(hits, 12);
}

static void test_dropped(void **state)
{
	struct fixture *fx = *state;
	struct store_dropped d = {.why = STORE_DROP_EVICTED,
				  .ns_ino = make_dir(fx->st, "ns"),
				  .bytes = 700,
				  .cost_s = 2};
	struct store_counts c;

	metrics_dropped(fx->m, &d);
	d.why = STORE_DROP_EXPIRED;
	metrics_dropped(fx->m, &d);
	d.why = STORE_DROP_DAMAGED; /* counted as the miss that it is */
	metrics_dropped(fx->m, &d);
	c = totals_of(fx->m, d.ns_ino).ever;
	assert_int_equal(c.n[STORE_COUNT_EVICTED], 1);
	assert_int_equal(c.n[STORE_COUNT_EVICTED_BYTES], 700);
	assert_int_equal(c.n[STORE_COUNT_EVICTED_COST_US], 2000000);
	assert_int_equal(c.n[STORE_COUNT_EXPIRED], 1);
	assert_int_equal(c.n[STORE_COUNT_EXPIRED_BYTES], 700);
	assert_int_equal(store_counts_misses(&c), 0);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_threads),
	    TEST(test_buckets),
	    TEST(test_costs),
	    TEST(test_too_many_are_counted_together),
	    TEST(test_a_namespace_goes),
	    TEST(test_totals_are_kept),
	    TEST(test_samples),
	    TEST(test_dropped),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
