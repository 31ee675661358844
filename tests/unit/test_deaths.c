/* SPDX-License-Identifier: Apache-2.0 */
/* When a daemon that died is started again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fs/holder/deaths.h"

#define SEC INT64_C(1000000000)

static void test_quick_ones_wait_longer(void **state)
{
	static const int64_t pause_ns[] = {0,	    SEC / 20, SEC / 5, SEC,
					   5 * SEC, 30 * SEC, 30 * SEC};
	struct deaths d = {.quick_ns = DEATHS_QUICK_NS};

	(void)state;
	for (unsigned int i = 0; i < sizeof(pause_ns) / sizeof(pause_ns[0]); i++) {
		/* Never ready, and ready for a moment, are the same. */
		assert_int_equal(deaths_note(&d, i % 2 ? SEC : -1), pause_ns[i]);
		assert_int_equal(deaths_many(&d), i >= 4);
		assert_int_equal(d.total, i + 1);
	}
}

static void test_one_that_lived_is_forgiven(void **state)
{
	struct deaths d = {.quick_ns = DEATHS_QUICK_NS};

	(void)state;
	for (unsigned int i = 0; i < 6; i++)
		deaths_note(&d, -1);
	assert_true(deaths_many(&d));
	assert_int_equal(deaths_note(&d, DEATHS_QUICK_NS), 0);
	assert_false(deaths_many(&d));
	assert_int_equal(deaths_note(&d, DEATHS_QUICK_NS - 1), 0);
	assert_int_equal(deaths_note(&d, -1), SEC / 20);
}

/* What is kept is given up later than all else was tried, and not by one that worked. */
static void test_what_is_kept_is_given_up(void **state)
{
	struct deaths d = {.quick_ns = DEATHS_QUICK_NS};

	(void)state;
	for (unsigned int i = 0; i < 6; i++) {
		assert_false(deaths_hopeless(&d));
		deaths_note(&d, -1);
		deaths_blame_keep(&d, -1);
	}
	assert_true(deaths_many(&d));
	assert_true(deaths_hopeless(&d));
	deaths_forgive_keep(&d);
	assert_false(deaths_hopeless(&d));
	for (unsigned int i = 0; i < 11; i++) {
		deaths_note(&d, SEC);
		deaths_blame_keep(&d, SEC);
		assert_false(deaths_hopeless(&d));
	}
	deaths_note(&d, DEATHS_QUICK_NS);
	deaths_blame_keep(&d, DEATHS_QUICK_NS);
	deaths_note(&d, SEC);
	deaths_blame_keep(&d, SEC);
	assert_false(deaths_hopeless(&d));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_quick_ones_wait_longer),
	    cmocka_unit_test(test_one_that_lived_is_forgiven),
	    cmocka_unit_test(test_what_is_kept_is_given_up),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
