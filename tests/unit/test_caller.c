/* SPDX-License-Identifier: Apache-2.0 */
/* What /proc says of who asks. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "fs/caller.h"

static void test_maps(void **state)
{
	static const char all[] = "         0          0 4294967295\n";
	static const char two[] = "         0     100000      65536\n"
				  "     65536       1000          1\n";

	assert_true(caller_map_has(all, 0));
	assert_true(caller_map_has(all, 4294967294));
	assert_false(caller_map_has(all, 4294967295));
	assert_false(caller_map_has(two, 0));
	assert_false(caller_map_has(two, 99999));
	assert_true(caller_map_has(two, 100000));
	assert_true(caller_map_has(two, 165535));
	assert_false(caller_map_has(two, 165536));
	assert_false(caller_map_has(two, 999));
	assert_true(caller_map_has(two, 1000));
	assert_false(caller_map_has(two, 1001));
	assert_false(caller_map_has("", 0));
	assert_false(caller_map_has("what else", 0));
}

static void test_capabilities(void **state)
{
	/* What a process is called comes before, without line breaks. */
	static const char status[] = "Name:\tCapEff:\\tffff\nUmask:\t0022\n"
				     "CapPrm:\tffffffffffffffff\n"
				     "CapEff:\t0000000000280002\nCapBnd:\tffff\n";

	assert_true(caller_status_has(status, 1));
	assert_true(caller_status_has(status, 19));
	assert_true(caller_status_has(status, 21));
	assert_false(caller_status_has(status, 0));
	assert_false(caller_status_has(status, 2));
	assert_false(caller_status_has("Name:\tx\n", 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_maps),
	    cmocka_unit_test(test_capabilities),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
