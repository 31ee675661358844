/* SPDX-License-Identifier: Apache-2.0 */
/* What is cheapest to lose, L over time, and where to look for entries. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "store/priority.h"
#include "store/sampler.h"

#define S NSEC_PER_SEC
#define T0 (INT64_C(1763740000) * S)

/* ---- L ---- */

static void test_level_follows_what_was_evicted(void **state)
{
	struct priority_history h = {0};

	assert_true(priority_level(&h, T0) == 0);
	priority_raise(&h, T0, 1);
	priority_raise(&h, T0 + 10 * S, 3);
	assert_true(priority_level(&h, T0 - 1) == 0);
	assert_true(priority_level(&h, T0) == 1);
	assert_true(fabs(priority_level(&h, T0 + 5 * S) - 2) < 1e-9);
	assert_true(priority_level(&h, T0 + 10 * S) == 3);
	assert_true(priority_level(&h, T0 + 1000 * S) == 3);
}

static void test_level_within_a_moment(void **state)
{
	struct priority_history h = {0};

	priority_raise(&h, T0, 1);
	priority_raise(&h, T0 + 2, 3);
	assert_true(priority_level(&h, T0) == 1);
	assert_true(priority_level(&h, T0 + 1) == 2);
	assert_true(priority_level(&h, T0 + 2) == 3);
}

static void test_level_never_falls(void **state)
{
	struct priority_history h = {0};

	priority_raise(&h, T0, 5);
	priority_raise(&h, T0 + S, 4);
	priority_raise(&h, T0 + S, NAN);
	priority_raise(&h, T0 + S, INFINITY);
	assert_int_equal(h.count, 1);
	/* The clock was set back. */
	priority_raise(&h, T0 - 100 * S, 6);
	assert_int_equal(h.count, 1);
	assert_true(priority_level(&h, T0) == 6);
}

/* It had been years ahead: what is used now goes by what is evicted now. */
static void test_level_when_the_clock_was_ahead(void **state)
{
	const int64_t ahead = T0 + 1000000000 * S;
	struct priority_history h = {0};

	priority_raise(&h, T0, 1);
	priority_raise(&h, ahead, 2);
	priority_raise(&h, ahead + S, 3);
	priority_raise(&h, T0 + 10 * S, 4);
	assert_true(priority_level(&h, T0 + 10 * S) == 4);
	priority_raise(&h, T0 + 20 * S, 6);
	assert_true(priority_level(&h, T0) == 1);
	assert_true(fabs(priority_level(&h, T0 + 15 * S) - 5) < 1e-9);
	assert_true(priority_level(&h, T0 + 20 * S) == 6);
	assert_true(priority_level(&h, ahead) == 6);
}

/* A curve that bends: many times as many points as are kept. */
static double bent(int i)
{
	return sqrt((double)i + 1) + (i > 50000 ? (i - 50000) * 1e-3 : 0);
}

static void test_history_is_thinned_where_it_is_even(void **state)
{
	struct priority_history *h = calloc(1, sizeof(*h));
	double worst = 0;

	for (int i = 0; i < 100000; i++)
		priority_raise(h, T0 + i * S, bent(i));
	assert_true(h->count <= PRIORITY_POINTS_MAX);
	for (size_t i = 1; i < h->count; i++) {
		assert_true(h->points[i].at_ns > h->points[i - 1].at_ns);
		assert_true(h->points[i].level > h->points[i - 1].level);
	}
	for (int i = 0; i < 100000; i++) {
		double off = fabs(priority_level(h, T0 + i * S) - bent(i));

		worst = off > worst ? off : worst;
	}
	/* Of 366 from the first to the last. */
	assert_true(worst < 1);
	free(h);
}

static void test_history_is_kept_as_a_row(void **state)
{
	CLEANUP_BUF struct buf raw = BUF_INIT;
	struct priority_history h = {0}, back;

	assert_int_equal(priority_encode(&h, &raw), 0);
	assert_int_equal(priority_decode(buf_slice(&raw), &back), 0);
	assert_int_equal(back.count, 0);
	for (int i = 0; i < 600; i++)
		priority_raise(&h, T0 + i * i, i * 0.25);
	assert_int_equal(priority_encode(&h, &raw), 0);
	assert_int_equal(priority_decode(buf_slice(&raw), &back), 0);
	assert_int_equal(back.count, h.count);
	assert_memory_equal(back.points, h.points, h.count * sizeof(*h.points));
}

static void expect_damaged(const struct buf *raw, size_t len)
{
	struct priority_history h = {.count = 7};

	assert_int_equal(priority_decode(slice(raw->data, len), &h), -EUCLEAN);
	assert_int_equal(h.count, 7);
}

static void test_a_damaged_history_is_refused(void **state)
{
	CLEANUP_BUF struct buf raw = BUF_INIT;
	struct priority_history h = {0};

	priority_raise(&h, T0, 1);
	priority_raise(&h, T0 + S, 2);
	assert_int_equal(priority_encode(&h, &raw), 0);
	for (size_t len = 0; len < raw.len; len++)
		if (len % 16 != 1)
			expect_damaged(&raw, len);
	/* Later and not higher, higher and not later, no number, no format. */
	memcpy(raw.data + 25, raw.data + 9, 8);
	expect_damaged(&raw, raw.len);
	assert_int_equal(priority_encode(&h, &raw), 0);
	memcpy(raw.data + 17, raw.data + 1, 8);
	expect_damaged(&raw, raw.len);
	assert_int_equal(priority_encode(&h, &raw), 0);
	memset(raw.data + 9, 0xff, 8);
	expect_damaged(&raw, raw.len);
	assert_int_equal(priority_encode(&h, &raw), 0);
	raw.data[0] = 2;
	expect_damaged(&raw, raw.len);
	/* One point too many. */
	raw.len = 0;
	assert_int_equal(buf_reserve(&raw, 1 + 16 * (PRIORITY_POINTS_MAX + 1)), 0);
	memset(raw.data, 1, raw.cap);
	expect_damaged(&raw, 1 + 16 * (PRIORITY_POINTS_MAX + 1));
}

/* ---- priorities ---- */

static double gdsf(const struct priority_history *h, const struct priority_facts *f,
		   int64_t now_ns)
{
	return priority_of(STORE_GDSF, h, f, now_ns);
}

static void test_gdsf_weighs_cost_size_and_reads(void **state)
{
	const struct priority_history h = {0};
	const struct priority_facts plain = {
	    .created_ns = T0, .cost_s = 1, .charge_bytes = 1000};
	struct priority_facts dear = plain, large = plain, read = plain, unknown = plain;

	dear.cost_s = 10;
	large.charge_bytes = 10000;
	read.reads = 5;
	read.last_read_ns = T0;
	unknown.cost_s = -1;
	assert_true(gdsf(&h, &dear, T0) > gdsf(&h, &plain, T0));
	assert_true(gdsf(&h, &large, T0) < gdsf(&h, &plain, T0));
	assert_true(gdsf(&h, &read, T0) > gdsf(&h, &plain, T0));
	assert_true(gdsf(&h, &unknown, T0) < gdsf(&h, &plain, T0));
	unknown.cost_s = NAN;
	assert_true(isfinite(gdsf(&h, &unknown, T0)));
	dear.cost_s = INFINITY;
	assert_true(isfinite(gdsf(&h, &dear, T0)));
	large.charge_bytes = 0;
	assert_true(isfinite(gdsf(&h, &large, T0)));
}

/* What was dear once is overtaken when L has risen above it. */
static void test_gdsf_ages(void **state)
{
	struct priority_history h = {0};
	const struct priority_facts old = {
	    .created_ns = T0, .cost_s = 100, .charge_bytes = 1000};
	struct priority_facts fresh = {
	    .created_ns = T0 + 100 * S, .cost_s = 1, .charge_bytes = 1000};

	assert_true(gdsf(&h, &fresh, T0 + 100 * S) < gdsf(&h, &old, T0 + 100 * S));
	priority_raise(&h, T0 + 50 * S, 0.1);
	assert_true(gdsf(&h, &fresh, T0 + 100 * S) > gdsf(&h, &old, T0 + 100 * S));
}

static void test_reads_fade(void **state)
{
	const struct priority_facts f = {.created_ns = T0,
					 .last_read_ns = T0 + 3600 * S,
					 .reads = 100,
					 .cost_s = 1,
					 .charge_bytes = 1000};

	assert_true(priority_frequency(&f, T0 + 3600 * S) == 101);
	assert_true(fabs(priority_frequency(&f, T0 + 7200 * S) - 51) < 1e-6);
	assert_true(priority_frequency(&f, T0 + 1000 * 3600 * S) < 1.2);
	/* A clock that was set back makes nobody famous. */
	assert_true(priority_frequency(&f, T0) == 101);
}

static void test_lru_goes_by_the_last_use(void **state)
{
	const struct priority_history h = {0};
	const struct priority_facts read = {
	    .created_ns = T0, .last_read_ns = T0 + 10 * S, .charge_bytes = 1};
	const struct priority_facts made = {
	    .created_ns = T0 + 5 * S, .cost_s = 1000, .charge_bytes = 1};

	assert_true(priority_of(STORE_LRU, &h, &made, T0 + 20 * S) <
		    priority_of(STORE_LRU, &h, &read, T0 + 20 * S));
}

/* ---- where to look ---- */

enum { RUN = 16 };

/* Numbers in order, as a table has them. */
struct numbers {
	uint64_t *inos;
	size_t count;
	uint64_t end;
};

static size_t first_at(const struct numbers *n, uint64_t ino)
{
	size_t low = 0, high = n->count;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (n->inos[mid] < ino)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* One look; counts what was found below and from `edge` on. */
static void look(struct sampler *s, const struct numbers *n, uint64_t edge,
		 size_t found[2])
{
	uint64_t from = sampler_pick(s, 16, n->end),
		 to = sampler_until(s, n->end, from, RUN);
	size_t i = first_at(n, from), count = first_at(n, to) - i;

	assert_true(from >= 16 && from < to && to <= n->end);
	if (count >= RUN) {
		count = RUN;
		to = n->inos[i + RUN - 1] + 1;
	}
	sampler_saw(s, n->end, from, to, n->inos + i, count);
	for (size_t k = i; k < i + count; k++)
		found[n->inos[k] >= edge]++;
}

/*
 * A thousand survivors of a billion numbers, and a hundred thousand lately given
 * ones: by the numbers alone the former would be found ten thousand times as often.
 */
static void test_survivors_are_not_all_that_is_found(void **state)
{
	const uint64_t end = UINT64_C(1) << 30, edge = end - 200000;
	struct numbers n = {.inos = calloc(101000, sizeof(uint64_t)), .end = end};
	size_t found[2] = {0};
	struct sampler s;

	for (uint64_t i = 0; i < 1000; i++)
		n.inos[n.count++] = 16 + i * 1000000;
	for (uint64_t i = 0; i < 100000; i++)
		n.inos[n.count++] = edge + 2 * i;
	sampler_init(&s, 1);
	for (int i = 0; i < 10000; i++)
		look(&s, &n, edge, found);
	assert_true(found[0] > 100); /* a hundredth of all is theirs */
	assert_true(found[1] > 10 * found[0]);
	free(n.inos);
}

/* Each tenth of a dense table is found about as often as any other. */
static void test_dense_numbers_are_found_evenly(void **state)
{
	struct numbers n = {.inos = calloc(50000, sizeof(uint64_t)), .end = 50016};
	struct sampler s;

	for (uint64_t i = 0; i < 50000; i++)
		n.inos[n.count++] = 16 + i;
	sampler_init(&s, 7);
	for (uint64_t tenth = 1; tenth < 10; tenth++) {
		size_t found[2] = {0};
		double part;

		for (int i = 0; i < 5000; i++)
			look(&s, &n, 16 + tenth * 5000, found);
		part = (double)found[0] / (double)(found[0] + found[1]);
		assert_true(fabs(part - (double)tenth / 10) < 0.05);
	}
	free(n.inos);
}

/* The smallest and the largest there can be. */
static void test_picks_are_within(void **state)
{
	struct sampler s;

	sampler_init(&s, 3);
	assert_int_equal(sampler_pick(&s, 16, 17), 16);
	for (int i = 0; i < 1000; i++) {
		uint64_t at = sampler_pick(&s, 16, UINT64_MAX);

		assert_true(at >= 16 && at < UINT64_MAX);
		sampler_saw(&s, UINT64_MAX, at, sampler_until(&s, UINT64_MAX, at, RUN),
			    NULL, 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_level_follows_what_was_evicted),
	    cmocka_unit_test(test_level_within_a_moment),
	    cmocka_unit_test(test_level_never_falls),
	    cmocka_unit_test(test_level_when_the_clock_was_ahead),
	    cmocka_unit_test(test_history_is_thinned_where_it_is_even),
	    cmocka_unit_test(test_history_is_kept_as_a_row),
	    cmocka_unit_test(test_a_damaged_history_is_refused),
	    cmocka_unit_test(test_gdsf_weighs_cost_size_and_reads),
	    cmocka_unit_test(test_gdsf_ages),
	    cmocka_unit_test(test_reads_fade),
	    cmocka_unit_test(test_lru_goes_by_the_last_use),
	    cmocka_unit_test(test_survivors_are_not_all_that_is_found),
	    cmocka_unit_test(test_dense_numbers_are_found_evenly),
	    cmocka_unit_test(test_picks_are_within),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
