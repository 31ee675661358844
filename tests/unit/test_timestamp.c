/* SPDX-License-Identifier: Apache-2.0 */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "store/util/duration.h"
#include "store/util/timestamp.h"

static const struct {
	const char *text;
	int r;
	int64_t ns;
} cases[] = {
    /* seconds since 1970 */
    {"0", 0, 0},
    {"@0", 0, 0},
    {"1795532640", 0, 1795532640 * NSEC_PER_SEC},
    {"@1795532640.25", 0, 1795532640 * NSEC_PER_SEC + 250000000},
    {"0.000000001", 0, 1},
    {"0.0000000019", 0, 1},
    {" 7 ", 0, 7 * NSEC_PER_SEC},
    {"9223372036.854775807", 0, INT64_MAX},
    {"9223372036.854775808", -ERANGE, 0},
    {"99999999999999999999999", -ERANGE, 0},
    {"@", -EINVAL, 0},
    {"@@1", -EINVAL, 0},
    {"1.", -EINVAL, 0},
    {".5", -EINVAL, 0},
    {"-1", -EINVAL, 0},
    {"@-1", -EINVAL, 0},
    {"+1", -EINVAL, 0},
    {"1s", -EINVAL, 0},
    {"1,5", -EINVAL, 0},
    {"0x10", -EINVAL, 0},
    {"20261120", 0, INT64_C(20261120) * NSEC_PER_SEC},
    /* ISO 8601 */
    {"1970-01-01", 0, 0},
    {"2026-11-20", 0, INT64_C(1795132800) * NSEC_PER_SEC},
    {"2026-11-20T15:04", 0, INT64_C(1795187040) * NSEC_PER_SEC},
    {"2026-11-20T15:04:05", 0, INT64_C(1795187045) * NSEC_PER_SEC},
    {"2026-11-20 15:04:05", 0, INT64_C(1795187045) * NSEC_PER_SEC},
    {"2026-11-20T15:04:05Z", 0, INT64_C(1795187045) * NSEC_PER_SEC},
    {"2026-11-20T15:04Z", 0, INT64_C(1795187040) * NSEC_PER_SEC},
    {"2026-11-20T15:04:05+01:00", 0, INT64_C(1795183445) * NSEC_PER_SEC},
    {"2026-11-20T15:04:05-05:30", 0, INT64_C(1795206845) * NSEC_PER_SEC},
    {"2026-11-20T15:04+00:00", 0, INT64_C(1795187040) * NSEC_PER_SEC},
    {"2026-11-20T15:04:05.25", 0, INT64_C(1795187045) * NSEC_PER_SEC + 250000000},
    {"2026-11-20T15:04:05,25Z", 0, INT64_C(1795187045) * NSEC_PER_SEC + 250000000},
    {"2026-11-20 15:04:05.123456789+01:00", 0,
     INT64_C(1795183445) * NSEC_PER_SEC + 123456789},
    {"2024-02-29", 0, INT64_C(1709164800) * NSEC_PER_SEC},
    {"2000-02-29", 0, INT64_C(951782400) * NSEC_PER_SEC},
    {"1969-12-31T23:59:59.5", 0, -500000000},
    {"1970-01-01T00:00:00+00:01", 0, -60 * NSEC_PER_SEC},
    /* the ends of the range */
    {"1677-09-21T00:12:43.145224192", 0, INT64_MIN},
    {"1677-09-21T00:12:43.145224191", -ERANGE, 0},
    {"2262-04-11T23:47:16.854775807", 0, INT64_MAX},
    {"2262-04-11T23:47:16.854775808", -ERANGE, 0},
    {"9999-12-31", -ERANGE, 0},
    {"0001-01-01", -ERANGE, 0},
    /* no times */
    {"", -EINVAL, 0},
    {"   ", -EINVAL, 0},
    {"now", -EINVAL, 0},
    {"none", -EINVAL, 0},
    {"0000-01-01", -EINVAL, 0},
    {"2026-02-29", -EINVAL, 0},
    {"1900-02-29", -EINVAL, 0},
    {"2026-00-20", -EINVAL, 0},
    {"2026-13-20", -EINVAL, 0},
    {"2026-04-31", -EINVAL, 0},
    {"2026-11-00", -EINVAL, 0},
    {"2026-11", -EINVAL, 0},
    {"2026-1-2", -EINVAL, 0},
    {"2026-11-20T", -EINVAL, 0},
    {"2026-11-20T15", -EINVAL, 0},
    {"2026-11-20T24:00", -EINVAL, 0},
    {"2026-11-20T15:60", -EINVAL, 0},
    {"2026-11-20T15:04:60", -EINVAL, 0},
    {"2026-11-20T15:04:5", -EINVAL, 0},
    {"2026-11-20T15:04:", -EINVAL, 0},
    {"2026-11-20T15:04:05.", -EINVAL, 0},
    {"2026-11-20T15:04:05.Z", -EINVAL, 0},
    {"2026-11-20T15:04:05 Z", -EINVAL, 0},
    {"2026-11-20T15:04:05z", -EINVAL, 0},
    {"2026-11-20t15:04:05", -EINVAL, 0},
    {"2026-11-20T15:04:05+1", -EINVAL, 0},
    {"2026-11-20T15:04:05+0100", -EINVAL, 0},
    {"2026-11-20T15:04:05+24:00", -EINVAL, 0},
    {"2026-11-20T15:04:05+01:60", -EINVAL, 0},
    {"2026-11-20T15:04:05+01:00x", -EINVAL, 0},
    {"2026-11-20Z", -EINVAL, 0},
    {"2026-11-20T15:04.5", -EINVAL, 0},
    {"@2026-11-20", -EINVAL, 0},
    {"-026-11-20", -EINVAL, 0},
};

static void test_table(void **state)
{
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int64_t ns = -7;
		int r = timestamp_parse(cases[i].text, strlen(cases[i].text), &ns);

		if (r != cases[i].r || ns != (r ? -7 : cases[i].ns))
			fail_msg("\"%s\": %d, %" PRId64, cases[i].text, r, ns);
	}
}

static void test_length_counts(void **state)
{
	int64_t ns;

	assert_int_equal(timestamp_parse("2026-11-20T15:04:05", 10, &ns), 0);
	assert_true(ns == INT64_C(1795132800) * NSEC_PER_SEC);
	assert_int_equal(timestamp_parse("1\0", 2, &ns), -EINVAL);
}

/* Every day in the range, against the C library, in a zone that is not UTC. */
static void test_days_as_in_the_library(void **state)
{
	char text[64];

	setenv("TZ", "America/St_Johns", 1);
	tzset();
	for (int64_t day = -106000; day < 106000; day++) {
		time_t seconds = (time_t)(day * 86400 + 45296);
		struct tm tm;
		int64_t ns;

		gmtime_r(&seconds, &tm);
		strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm);
		assert_int_equal(timestamp_parse(text, strlen(text), &ns), 0);
		if (ns != (int64_t)seconds * NSEC_PER_SEC)
			fail_msg("%s: %" PRId64, text, ns);
	}
	unsetenv("TZ");
	tzset();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_table),
	    cmocka_unit_test(test_length_counts),
	    cmocka_unit_test(test_days_as_in_the_library),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
