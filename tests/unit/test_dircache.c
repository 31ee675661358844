/* SPDX-License-Identifier: Apache-2.0 */
/* When the kernel may go by the listing that it has. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <time.h>

#include "fs/dircache.h"

enum { DIR = 7 };
#define MARGIN_NS NSEC_PER_SEC /* of dircache.c */
#define SOON_NS (NSEC_PER_SEC / 5)

static const struct store_dir_stamp now = {.branch = 1, .names = 5, .rules = 1},
				    later = {.branch = 1, .names = 6, .rules = 1};
/* Who lists. */
static const char a, b, c;

static int setup(void **state)
{
	struct dircache *dc;

	assert_int_equal(dircache_new(&dc), 0);
	assert_int_equal(dircache_worth(dc, DIR), DIRCACHE_UNKNOWN);
	dircache_learn(dc, DIR, true);
	assert_int_equal(dircache_worth(dc, DIR), DIRCACHE_YES);
	*state = dc;
	return 0;
}

static int teardown(void **state)
{
	dircache_free(*state);
	return 0;
}

static void wait_for(int64_t at_ns)
{
	const struct timespec pause = {.tv_nsec = NSEC_PER_SEC / 100};

	while (time_now_ns() < at_ns)
		nanosleep(&pause, NULL);
}

static void open_as(struct dircache *dc, const void *by,
		    const struct store_dir_stamp *names, enum dircache_use want)
{
	assert_int_equal(dircache_open(dc, DIR, by, names), want);
}

/* From the first name on. */
static void give(struct dircache *dc, const void *by, int64_t until_ns)
{
	dircache_read(dc, DIR, by, 0, true);
	dircache_gave(dc, DIR, by, 100, until_ns, true);
}

static void list_all(struct dircache *dc, const void *by, int64_t until_ns)
{
	give(dc, by, until_ns);
	dircache_end(dc, DIR, by);
	dircache_close(dc, DIR, by);
}

static void a_whole_copy_is_kept_while_nothing_changes(void **state)
{
	struct dircache *dc = *state;

	open_as(dc, &a, &now, DIRCACHE_FILL);
	list_all(dc, &a, DURATION_NONE);
	open_as(dc, &b, &now, DIRCACHE_KEEP);
	open_as(dc, &c, &now, DIRCACHE_KEEP);
	dircache_close(dc, DIR, &b);
	open_as(dc, &b, &later, DIRCACHE_NONE); /* it is read by another one */
	dircache_close(dc, DIR, &c);
	open_as(dc, &b, &later, DIRCACHE_FILL);
}

static void one_alone_fills(void **state)
{
	struct dircache *dc = *state;

	open_as(dc, &a, &now, DIRCACHE_FILL);
	open_as(dc, &b, &now, DIRCACHE_NONE);
	give(dc, &a, DURATION_NONE);
	dircache_read(dc, DIR, &a, 0, false); /* from the beginning: maybe others */
	dircache_end(dc, DIR, &a);
	dircache_close(dc, DIR, &a);
	open_as(dc, &a, &now, DIRCACHE_FILL);
}

static void what_expires_ends_the_copy(void **state)
{
	int64_t until_ns = time_now_ns() + MARGIN_NS + SOON_NS;
	struct dircache *dc = *state;

	open_as(dc, &a, &now, DIRCACHE_FILL);
	list_all(dc, &a, until_ns);
	wait_for(until_ns - MARGIN_NS);
	open_as(dc, &b, &now, DIRCACHE_FILL);
}

/* The name that expires is in the part that the kernel has. */
static void what_expires_ends_a_part(void **state)
{
	int64_t until_ns = time_now_ns() + MARGIN_NS + SOON_NS;
	struct dircache *dc = *state;

	open_as(dc, &a, &now, DIRCACHE_FILL);
	give(dc, &a, until_ns);
	dircache_close(dc, DIR, &a);
	wait_for(until_ns - MARGIN_NS);
	open_as(dc, &b, &now, DIRCACHE_FILL);
}

static void a_part_that_is_gone_on_with_expires_as_before(void **state)
{
	int64_t until_ns = time_now_ns() + MARGIN_NS + SOON_NS;
	struct dircache *dc = *state;

	open_as(dc, &a, &now, DIRCACHE_FILL);
	give(dc, &a, until_ns);
	dircache_close(dc, DIR, &a);
	if (dircache_open(dc, DIR, &b, &now) != DIRCACHE_KEEP)
		skip(); /* a busy machine */
	list_all(dc, &b, DURATION_NONE);
	wait_for(until_ns - MARGIN_NS);
	open_as(dc, &c, &now, DIRCACHE_FILL);
}

/* It may not have come to the kernel, which then still has what was before. */
static void one_that_asked_for_nothing_leaves_nothing(void **state)
{
	struct dircache *dc = *state;

	open_as(dc, &a, &now, DIRCACHE_FILL);
	dircache_close(dc, DIR, &a);
	open_as(dc, &b, &now, DIRCACHE_FILL);
}

static void attributes_that_are_asked_for_drop_the_copy(void **state)
{
	struct dircache *dc = *state;
	int lookups = 0;

	open_as(dc, &a, &now, DIRCACHE_FILL);
	assert_false(dircache_looked_up(dc, DIR));
	list_all(dc, &a, DURATION_NONE);
	open_as(dc, &b, &now, DIRCACHE_KEEP);
	while (!dircache_looked_up(dc, DIR))
		assert_in_range(++lookups, 1, 1000);
	dircache_close(dc, DIR, &b);
	open_as(dc, &b, &now, DIRCACHE_FILL);
}

static void of_an_attached_mount_there_is_none(void **state)
{
	(void)state;
	dircache_learn(NULL, DIR, true);
	assert_int_equal(dircache_worth(NULL, DIR), DIRCACHE_NO);
	assert_false(dircache_looked_up(NULL, DIR));
}

static void a_few_names_are_not_counted_again_until_they_are_many(void **state)
{
	struct dircache *dc = *state;

	dircache_learn(dc, DIR + 1, false);
	assert_int_equal(dircache_worth(dc, DIR + 1), DIRCACHE_NO);
	assert_int_equal(dircache_worth(dc, DIR + 2), DIRCACHE_UNKNOWN);
	dircache_learn(dc, DIR + 1, true);
	assert_int_equal(dircache_worth(dc, DIR + 1), DIRCACHE_YES);
}

/* More directories are open than there is place for: the rest is not counted at each
 * open. */
static void what_has_no_place_is_not_counted_again(void **state)
{
	struct dircache *dc = *state;
	uint64_t dir = DIR;

	while (dircache_worth(dc, dir) == DIRCACHE_YES) {
		assert_int_equal(dircache_open(dc, dir, &a, &now), DIRCACHE_FILL);
		assert_in_range(++dir, DIR + 1, 100000);
		dircache_learn(dc, dir, true);
	}
	assert_int_equal(dircache_worth(dc, dir), DIRCACHE_NO);
	assert_int_equal(dircache_open(dc, dir, &a, &now), DIRCACHE_NONE);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_whole_copy_is_kept_while_nothing_changes),
	    TEST(one_alone_fills),
	    TEST(what_expires_ends_the_copy),
	    TEST(what_expires_ends_a_part),
	    TEST(a_part_that_is_gone_on_with_expires_as_before),
	    TEST(one_that_asked_for_nothing_leaves_nothing),
	    TEST(attributes_that_are_asked_for_drop_the_copy),
	    TEST(of_an_attached_mount_there_is_none),
	    TEST(a_few_names_are_not_counted_again_until_they_are_many),
	    TEST(what_has_no_place_is_not_counted_again),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
