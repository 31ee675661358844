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

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_quick_ones_wait_longer),
	    cmocka_unit_test(test_one_that_lived_is_forgiven),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
