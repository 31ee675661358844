/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers over time: rings of minutes and hours, and totals. */
#include "tests/conformance/store_fixture.h"

#include <string.h>

#include "store/history.h"
#include "store/history_rows.h"
#include "store/internal.h"

#define MINUTE (60 * NSEC_PER_SEC)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
/* Some time in 2026, at the full hour. */
#define T0 (INT64_C(1767225600) * NSEC_PER_SEC)

static struct store *store_of(void **state)
{
	return ((struct fixture *)*state)->st;
}

static void add(struct store *st, int64_t at_ns, uint64_t hits, uint64_t total_bytes)
{
	struct store_sample sample = {.at_ns = at_ns, .total_bytes = total_bytes};

	sample.counts.n[STORE_COUNT_HITS] = hits;
	sample.counts.n[STORE_COUNT_WAITED_US] = 2 * hits;
	assert_ok(store_history_add(st, &sample, NULL, 0));
}

struct seen {
	size_t count;
	struct store_sample samples[STORE_HISTORY_HOURS];
};

static int keep(void *arg, const struct store_sample *sample)
{
	struct seen *seen = arg;

	assert_true(seen->count < STORE_HISTORY_HOURS);
	seen->samples[seen->count++] = *sample;
	return 0;
}

static const struct seen *read_all(struct store *st, enum store_history_step step,
				   int64_t now_ns)
{
	static struct seen seen;

	seen.count = 0;
	assert_ok(store_history_each(st, step, now_ns, keep, &seen));
	return &seen;
}

static void assert_sample(const struct store_sample *s, int64_t at_ns, uint64_t hits,
			  uint64_t total_bytes)
{
	assert_int_equal(s->at_ns, at_ns);
	assert_int_equal(s->counts.n[STORE_COUNT_HITS], hits);
	assert_int_equal(s->counts.n[STORE_COUNT_WAITED_US], 2 * hits);
	assert_int_equal(s->counts.n[STORE_COUNT_MISSES_ABSENT], 0);
	assert_int_equal(s->total_bytes, total_bytes);
}

static void test_samples_add_up_in_their_step(void **state)
{
	struct store *st = store_of(state);
	const struct seen *seen;

	add(st, T0 + 5 * NSEC_PER_SEC, 3, 10);
	add(st, T0 + 59 * NSEC_PER_SEC, 4, 20);
	add(st, T0 + MINUTE, 5, 30);
	seen = read_all(st, STORE_HISTORY_MINUTE, T0 + MINUTE);
	assert_int_equal(seen->count, 2);
	assert_sample(&seen->samples[0], T0, 7, 20);
	assert_sample(&seen->samples[1], T0 + MINUTE, 5, 30);
	seen = read_all(st, STORE_HISTORY_HOUR, T0 + MINUTE);
	assert_int_equal(seen->count, 1);
	assert_sample(&seen->samples[0], T0, 12, 30);
}

static void test_ring_keeps_a_day(void **state)
{
	struct store *st = store_of(state);
	const struct seen *seen;

	for (int64_t i = 0; i < STORE_HISTORY_MINUTES + 10; i++)
		add(st, T0 + i * MINUTE, (uint64_t)i + 1, 1);
	seen = read_all(st, STORE_HISTORY_MINUTE, T0 + DAY + 9 * MINUTE);
	assert_int_equal(seen->count, STORE_HISTORY_MINUTES);
	assert_sample(&seen->samples[0], T0 + 10 * MINUTE, 11, 1);
	assert_sample(&seen->samples[STORE_HISTORY_MINUTES - 1], T0 + DAY + 9 * MINUTE,
		      STORE_HISTORY_MINUTES + 10, 1);
	seen = read_all(st, STORE_HISTORY_HOUR, T0 + DAY + 9 * MINUTE);
	assert_int_equal(seen->count, 25);
}

static void test_what_is_too_old_does_not_count(void **state)
{
	struct store *st = store_of(state);

	add(st, T0, 1, 1);
	add(st, T0 + 2 * DAY + MINUTE, 2, 1);
	assert_int_equal(read_all(st, STORE_HISTORY_MINUTE, T0 + 2 * DAY + MINUTE)->count,
			 1);
	assert_int_equal(read_all(st, STORE_HISTORY_HOUR, T0 + 2 * DAY + MINUTE)->count,
			 2);
	assert_int_equal(read_all(st, STORE_HISTORY_HOUR, T0 + 100 * DAY)->count, 0);
}

/* A clock that was set back: what is in the future does not count, and is replaced. */
static void test_clock_that_goes_back(void **state)
{
	struct store *st = store_of(state);
	const struct seen *seen;

	add(st, T0 + DAY, 9, 1);
	add(st, T0, 1, 1); /* the same slot */
	seen = read_all(st, STORE_HISTORY_MINUTE, T0);
	assert_int_equal(seen->count, 1);
	assert_sample(&seen->samples[0], T0, 1, 1);
	add(st, T0 + MINUTE, 2, 1);
	assert_int_equal(read_all(st, STORE_HISTORY_MINUTE, T0)->count, 1);
	add(st, -5, 1, 1); /* before the epoch: a time all the same */
}

/* ---- totals ---- */

struct totals {
	size_t count;
	struct store_total totals[8];
};

static int keep_total(void *arg, const struct store_total *total)
{
	struct totals *t = arg;

	assert_true(t->count < 8);
	t->totals[t->count++] = *total;
	return 0;
}

static struct totals totals_of(struct store *st)
{
	struct totals t = {0};

	assert_ok(store_totals_each(st, keep_total, &t));
	return t;
}

static struct store_total total(uint64_t ns_ino, uint64_t hits)
{
	struct store_total t = {.ns_ino = ns_ino, .since_ns = T0};

	t.counts.n[STORE_COUNT_HITS] = hits;
	return t;
}

static void test_totals_are_replaced_and_go(void **state)
{
	struct store *st = store_of(state);
	struct store_sample sample = {.at_ns = T0};
	struct store_total t[] = {total(0, 1), total(7, 2), total(9, 3)};
	struct totals found;

	assert_int_equal(totals_of(st).count, 0);
	assert_ok(store_history_add(st, &sample, t, 3));
	found = totals_of(st);
	assert_int_equal(found.count, 3);
	assert_int_equal(found.totals[1].ns_ino, 7);
	assert_int_equal(found.totals[1].since_ns, T0);
	assert_int_equal(found.totals[1].counts.n[STORE_COUNT_HITS], 2);
	t[0] = total(0, 3);
	t[1].gone = true;
	assert_ok(store_history_add(st, &sample, t, 2));
	found = totals_of(st);
	assert_int_equal(found.count, 2);
	assert_int_equal(found.totals[0].counts.n[STORE_COUNT_HITS], 3);
	assert_int_equal(found.totals[1].ns_ino, 9);
}

static void test_it_is_kept(void **state)
{
	struct fixture *fx = *state;
	struct store_sample sample = {.at_ns = T0, .entries = 4};
	struct store_total t = total(7, 2);

	if (fx->kind == STORE_MEMORY)
		return;
	assert_ok(store_history_add(fx->st, &sample, &t, 1));
	fixture_close(fx);
	fixture_open(fx);
	assert_int_equal(totals_of(fx->st).count, 1);
	assert_int_equal(read_all(fx->st, STORE_HISTORY_MINUTE, T0)->samples[0].entries,
			 4);
}

/* A row that cannot be read is passed over, and written anew. */
static void test_damaged_rows(void **state)
{
	struct store *st = store_of(state);
	struct key key =
	    key_history(HISTORY_MINUTE, (uint64_t)(T0 / MINUTE) % STORE_HISTORY_MINUTES);
	struct key total_key = key_history(HISTORY_TOTAL, 7);
	CLEANUP_BATCH struct batch b = BATCH_INIT;

	add(st, T0, 1, 1);
	add(st, T0 + MINUTE, 2, 1);
	batch_put(&b, TABLE_HISTORY, key_slice(&key), slice("?", 1));
	batch_put(&b, TABLE_HISTORY, key_slice(&total_key), slice("?", 1));
	assert_ok(backend_commit(st->be, &b));
	assert_int_equal(read_all(st, STORE_HISTORY_MINUTE, T0 + MINUTE)->count, 1);
	assert_int_equal(totals_of(st).count, 0);
	add(st, T0, 5, 1);
	assert_int_equal(read_all(st, STORE_HISTORY_MINUTE, T0 + MINUTE)->count, 2);
}

int main(int argc, char **argv)
{
	struct CMUnitTest tests[] = {
	    STORE_TEST(test_samples_add_up_in_their_step),
	    STORE_TEST(test_ring_keeps_a_day),
	    STORE_TEST(test_what_is_too_old_does_not_count),
	    STORE_TEST(test_clock_that_goes_back),
	    STORE_TEST(test_totals_are_replaced_and_go),
	    STORE_TEST(test_it_is_kept),
	    STORE_TEST(test_damaged_rows),
	};

	return fixture_main(argc, argv, tests, sizeof(tests) / sizeof(*tests));
}
