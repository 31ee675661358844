/* SPDX-License-Identifier: Apache-2.0 */
#include "store/util/buf.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static void test_starts_empty(void **state)
{
	struct buf b = BUF_INIT;

	assert_null(b.data);
	assert_int_equal(b.len, 0);
	assert_int_equal(b.cap, 0);
	assert_null(buf_slice(&b).data);
	buf_deinit(&b);
	buf_deinit(&b);
	assert_null(b.data);
}

static void test_append_keeps_what_was_there(void **state)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	char want[1000];

	for (int i = 0; i < 1000; i++) {
		char c = (char)('a' + i % 26);

		want[i] = c;
		assert_int_equal(buf_append(&b, &c, 1), 0);
		assert_int_equal(b.len, i + 1);
		assert_true(b.cap >= b.len);
	}
	assert_memory_equal(b.data, want, sizeof(want));
}

static void test_append_of_nothing(void **state)
{
	CLEANUP_BUF struct buf b = BUF_INIT;

	assert_int_equal(buf_append(&b, NULL, 0), 0);
	assert_int_equal(b.len, 0);
	assert_int_equal(buf_append(&b, "x\0y", 3), 0);
	assert_int_equal(buf_append(&b, NULL, 0), 0);
	assert_int_equal(b.len, 3);
	assert_memory_equal(b.data, "x\0y", 3);
}

static void test_set_replaces(void **state)
{
	CLEANUP_BUF struct buf b = BUF_INIT;

	assert_int_equal(buf_set(&b, "long text", 9), 0);
	assert_int_equal(buf_set(&b, "ab", 2), 0);
	assert_int_equal(b.len, 2);
	assert_memory_equal(b.data, "ab", 2);
	assert_int_equal(buf_set(&b, NULL, 0), 0);
	assert_int_equal(b.len, 0);
}

static void test_clear_keeps_the_memory(void **state)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	const uint8_t *data;

	assert_int_equal(buf_reserve(&b, 1000), 0);
	assert_true(b.cap >= 1000);
	data = b.data;
	assert_int_equal(buf_append(&b, "abc", 3), 0);
	buf_clear(&b);
	assert_int_equal(b.len, 0);
	assert_ptr_equal(b.data, data);
	assert_int_equal(buf_reserve(&b, 10), 0);
	assert_ptr_equal(b.data, data);
}

static void test_printf_appends_without_nul(void **state)
{
	CLEANUP_BUF struct buf b = BUF_INIT;
	char wide[5000];

	assert_int_equal(buf_printf(&b, "%s-%d", "a", 7), 0);
	assert_int_equal(buf_printf(&b, "%c", '!'), 0);
	assert_int_equal(b.len, 4);
	assert_memory_equal(b.data, "a-7!", 4);

	assert_int_equal(buf_printf(&b, "%*d", (int)sizeof(wide), 1), 0);
	memset(wide, ' ', sizeof(wide));
	wide[sizeof(wide) - 1] = '1';
	assert_int_equal(b.len, 4 + sizeof(wide));
	assert_memory_equal(b.data + 4, wide, sizeof(wide));
}

static void test_too_large_leaves_it_as_it_was(void **state)
{
	CLEANUP_BUF struct buf b = BUF_INIT;

	assert_int_equal(buf_append(&b, "keep", 4), 0);
	assert_int_equal(buf_reserve(&b, SIZE_MAX), -ENOMEM);
	assert_int_equal(buf_reserve(&b, SIZE_MAX / 2 + 2), -ENOMEM);
	assert_int_equal(buf_append(&b, "x", SIZE_MAX), -ENOMEM);
	assert_int_equal(buf_append(&b, "x", SIZE_MAX - 4), -ENOMEM);
	assert_int_equal(buf_set(&b, "x", SIZE_MAX - 1), -ENOMEM);
	assert_int_equal(b.len, 4);
	assert_memory_equal(b.data, "keep", 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_starts_empty),
	    cmocka_unit_test(test_append_keeps_what_was_there),
	    cmocka_unit_test(test_append_of_nothing),
	    cmocka_unit_test(test_set_replaces),
	    cmocka_unit_test(test_clear_keeps_the_memory),
	    cmocka_unit_test(test_printf_appends_without_nul),
	    cmocka_unit_test(test_too_large_leaves_it_as_it_was),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
