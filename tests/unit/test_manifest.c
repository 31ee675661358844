/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <errno.h>
#include <string.h>

#include "store/util/manifest.h"

static void sample(struct manifest *m)
{
	*m = (struct manifest){.store_format = 4, .made_s = 1763740000};
	manifest_add_extent(m, 17, 1000);
	manifest_add_extent(m, 18, 0);
	assert_int_equal(manifest_add_db(m, "000012.sst", 4096), 0);
	assert_int_equal(manifest_add_db(m, "CURRENT", 16), 0);
}

static void test_round_trip(void **state)
{
	struct manifest m, again;
	struct buf text = BUF_INIT;
	struct errmsg err;

	sample(&m);
	assert_int_equal(manifest_format(&m, &text), 0);
	assert_int_equal(manifest_parse(buf_slice(&text), &again, &err), 0);
	assert_int_equal(again.store_format, 4);
	assert_int_equal(again.made_s, 1763740000);
	assert_int_equal(again.db_count, 2);
	assert_int_equal(manifest_compare(&m, &again, &err), 0);
	buf_deinit(&text);
	manifest_deinit(&m);
	manifest_deinit(&again);
}

/* Cut anywhere, or with any byte changed, it is no manifest. */
static void test_damage(void **state)
{
	struct manifest m, none = MANIFEST_INIT;
	struct buf text = BUF_INIT;
	struct errmsg err;

	sample(&m);
	assert_int_equal(manifest_format(&m, &text), 0);
	for (size_t len = 0; len < text.len; len++)
		assert_int_equal(manifest_parse(slice(text.data, len), &none, &err),
				 -EUCLEAN);
	for (size_t i = 0; i < text.len; i++) {
		text.data[i] ^= 1;
		assert_true(manifest_parse(buf_slice(&text), &none, &err) < 0);
		text.data[i] ^= 1;
	}
	assert_int_equal(buf_append(&text, "\n", 1), 0);
	assert_int_equal(manifest_parse(buf_slice(&text), &none, &err), -EUCLEAN);
	assert_null(none.db);
	buf_deinit(&text);
	manifest_deinit(&m);
}

static void test_format(void **state)
{
	static const char text[] = "memofs backup, format 2\n";
	struct manifest none = MANIFEST_INIT;
	struct errmsg err;

	assert_int_equal(manifest_parse(slice(text, strlen(text)), &none, &err), -EPROTO);
	assert_non_null(strstr(err.text, "format 2"));
}

static void assert_differ(struct manifest *a, struct manifest *b, const char *word)
{
	struct errmsg err;

	assert_int_equal(manifest_compare(a, b, &err), -EUCLEAN);
	assert_non_null(strstr(err.text, word));
}

static void test_compare(void **state)
{
	struct manifest a, b = MANIFEST_INIT;
	struct errmsg err;

	sample(&a);
	assert_differ(&a, &b, "0 extents");
	/* In any order, and more files of the database are no matter. */
	manifest_add_extent(&b, 18, 0);
	manifest_add_extent(&b, 17, 1000);
	assert_differ(&a, &b, "000012.sst is missing");
	assert_int_equal(manifest_add_db(&b, "CURRENT", 16), 0);
	assert_int_equal(manifest_add_db(&b, "LOG", 16), 0);
	assert_int_equal(manifest_add_db(&b, "000012.sst", 4095), 0);
	assert_differ(&a, &b, "4095");
	b.db[2].size_bytes++;
	assert_int_equal(manifest_compare(&a, &b, &err), 0);
	manifest_deinit(&b);
	/* As many of as many bytes, of other numbers. */
	manifest_add_extent(&b, 17, 1000);
	manifest_add_extent(&b, 19, 0);
	assert_differ(&a, &b, "not those");
	manifest_deinit(&a);
}

static void test_names(void **state)
{
	static const char *const bad[] = {"", ".", "..", ".x", "a/b", "a b", "a\nb"};
	struct manifest m = MANIFEST_INIT;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		assert_int_equal(manifest_add_db(&m, bad[i], 1), -EINVAL);
	assert_int_equal(m.db_count, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_round_trip), cmocka_unit_test(test_damage),
	    cmocka_unit_test(test_format),     cmocka_unit_test(test_compare),
	    cmocka_unit_test(test_names),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
