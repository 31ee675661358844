/* SPDX-License-Identifier: Apache-2.0 */
/* A process that dies while it drops what has expired. */
#include <errno.h>
#include <stdio.h>

#include "store/census.h"
#include "store/internal.h"
#include "store/usage.h"
#include "tests/conformance/crash_fixture.h"
#include "tests/conformance/store_check.h"
#include "tests/conformance/store_fixture.h"

enum { ENTRIES = 300, TOLD_MAX = 100 };

static void keep_expired(struct store *st, int64_t keep_ns)
{
	atomic_store(&st->usage.keep_expired_ns, keep_ns);
}

static void make_many_expired(struct store *st)
{
	struct store_attr dir;
	char name[32];

	must(store_mkdir(st, ROOT, "dir", 0755, 0, 0, &dir));
	for (int i = 0; i < ENTRIES; i++) {
		struct store_stage_args args = {.branch = dir.ino, .mode = 0644};
		struct store_staged *sg;

		snprintf(name, sizeof(name), "f%d", i);
		must(store_stage(st, &args, &sg));
		must(store_staged_write(sg, name, sizeof(name), 0));
		must(store_publish(sg, dir.ino, name, false, NULL, NULL));
		store_staged_free(sg);
	}
	must(store_ttl_set(st, dir.ino, 1, "1ns"));
}

static void die_later(void *arg, const struct store_dropped *what)
{
	unsigned int *told = arg;

	if (++*told == TOLD_MAX)
		die();
}

static void watch_and_die(struct store *st)
{
	static unsigned int told;
	static const struct store_watch watch = {.dropped = die_later, .arg = &told};

	make_many_expired(st);
	store_watch(st, &watch);
}

static void die_in_census(struct store *st)
{
	keep_expired(st, 1);
	watch_and_die(st);
	must(census_now(st));
}

static void die_in_reclaim(struct store *st)
{
	struct store_reclaimed freed;

	watch_and_die(st);
	must(store_reclaim(st, NULL, &freed));
}

/* What is left of them is whole, and goes the next time. */
static void check_rest(struct fixture *fx)
{
	struct store_reclaimed freed;

	check_rows(fx->st);
	assert_int_not_equal(lookup(fx->st, ROOT, "dir"), 0);
	assert_ok(store_reclaim(fx->st, NULL, &freed));
	assert_true(freed.expired_entries > 0 && freed.expired_entries < ENTRIES);
	check_settled(fx->st);
	assert_int_equal(count_rows(fx->st, TABLE_DIRENT), 1);
	assert_int_equal(count_rows(fx->st, TABLE_SMALL), 0);
}

static void test_dies_in_census(void **state)
{
	struct fixture *fx = *state;

	kill_in(fx, die_in_census, 0);
	check_rest(fx);
}

static void test_dies_in_reclaim(void **state)
{
	struct fixture *fx = *state;

	kill_in(fx, die_in_reclaim, 0);
	check_rest(fx);
}

/* What has expired before a start is dropped after it, without anything published. */
static void test_after_restart(void **state)
{
	struct fixture *fx = *state;

	make_many_expired(fx->st);
	fixture_close(fx);
	fixture_open(fx);
	keep_expired(fx->st, 1);
	assert_ok(census_now(fx->st));
	check_settled(fx->st);
	assert_int_equal(count_rows(fx->st, TABLE_DIRENT), 1);
}

int main(int argc, char **argv)
{
	struct CMUnitTest tests[] = {
	    STORE_TEST(test_dies_in_census),
	    STORE_TEST(test_dies_in_reclaim),
	    STORE_TEST(test_after_restart),
	};

	return fixture_main(argc, argv, tests, sizeof(tests) / sizeof(tests[0]));
}
