/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "fs/known.h"

static void test_counts_and_forgets(void **state)
{
	struct known k = KNOWN_INIT;
	bool sure = true;

	assert_int_equal(known_get(&k, 7), 0);
	assert_int_equal(known_sub(&k, 7, 1), 0);
	known_be_sure(&k, 7);
	assert_int_equal(known_add(&k, 7, &sure), 0);
	assert_false(sure);
	assert_int_equal(known_get(&k, 7), 1);
	known_be_sure(&k, 8);
	assert_int_equal(known_add(&k, 7, &sure), 0);
	assert_false(sure);
	assert_int_equal(known_get(&k, 7), 2);
	assert_int_equal(known_sub(&k, 7, 1), 1);
	assert_int_equal(known_get(&k, 7), 1);
	assert_int_equal(known_sub(&k, 7, 5), 0);
	assert_int_equal(known_get(&k, 7), 0);
	assert_int_equal(k.used, 0);
	known_deinit(&k);
}

enum { NUMBERS = 5000, STEPS = 200000 };

/* Against an array, while it grows and shrinks. */
static void test_as_an_array(void **state)
{
	static uint64_t want[NUMBERS];
	struct known k = KNOWN_INIT;
	static bool want_sure[NUMBERS];
	unsigned int seed = 1;
	bool sure;

	for (int i = 0; i < STEPS; i++) {
		uint64_t ino = 1 + (uint64_t)rand_r(&seed) % (NUMBERS - 1);
		bool grows = (i / (STEPS / 4)) % 2 == 0;

		if (rand_r(&seed) % 4 ? grows : !grows) {
			assert_int_equal(known_add(&k, ino, &sure), 0);
			assert_int_equal(sure, want_sure[ino]);
			want[ino]++;
			if (rand_r(&seed) % 2)
				continue;
			known_be_sure(&k, ino);
			want_sure[ino] = true;
		} else {
			uint64_t n = 1 + (uint64_t)rand_r(&seed) % 3;

			want[ino] -= n < want[ino] ? n : want[ino];
			want_sure[ino] = want_sure[ino] && want[ino];
			assert_int_equal(known_sub(&k, ino, n), want[ino]);
		}
	}
	for (uint64_t ino = 1; ino < NUMBERS; ino++)
		assert_int_equal(known_get(&k, ino), want[ino]);
	for (uint64_t ino = 1; ino < NUMBERS; ino++)
		known_sub(&k, ino, UINT64_MAX);
	assert_int_equal(k.used, 0);
	assert_true(k.mask < 256);
	known_deinit(&k);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_counts_and_forgets),
	    cmocka_unit_test(test_as_an_array),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
