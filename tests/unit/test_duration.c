/* SPDX-License-Identifier: Apache-2.0 */
#include "store/util/duration.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#define SEC NSEC_PER_SEC
#define HOUR (3600 * SEC)
#define DAY (24 * HOUR)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct {
	const char *text;
	int64_t ns;
} good[] = {
    {"none", DURATION_NONE},
    {"0", 0},
    {"0s", 0},
    {"3600", HOUR},
    {"0.5", SEC / 2},
    {"90s", 90 * SEC},
    {"1h30m", 5400 * SEC},
    {"1h 30m", 5400 * SEC},
    {" \t90s\n", 90 * SEC},
    {"1w2d3h4m5s6ms7us8ns", 9 * DAY + 3 * HOUR + 245 * SEC + INT64_C(6007008)},
    {"250ms", 250 * 1000 * 1000},
    {"90m", 5400 * SEC},
    {"25h", 25 * HOUR},
    {"1h1ns", HOUR + 1},
    {"007s", 7 * SEC},
    {"1.5h30m", 2 * HOUR},
    /* What binary floating point would miss by one. */
    {"0.1s", 100000000},
    {"0.3s", 300000000},
    {"1.1s", 1100000000},
    {"0.000000001s", 1},
    {"0.1us", 100},
    {"4.35s", 4350000000},
    {"9007199.254740993s", INT64_C(9007199254740993)},
    {"9223372036.854775806s", INT64_MAX - 1},
    {"9223372036.854775806", INT64_MAX - 1},
    {"9223372036854775806ns", INT64_MAX - 1},
    {"0.1w", DAY * 7 / 10},
    {"0.333333333333333333333333333333h", 1199999999999},
    {"0.33333333333333333333333333333334h", 1200000000000},
    /* Rounded down. */
    {"0.9ns", 0},
    {"1.9999999999s", 1999999999},
    {"PT1H", HOUR},
    {"PT90M", 5400 * SEC},
    {"P1DT2H30M", DAY + 9000 * SEC},
    {"PT0.5S", SEC / 2},
    {"PT0,5S", SEC / 2},
    {"PT1.5H", 5400 * SEC},
    {"P2W", 14 * DAY},
    {"P1W2D", 9 * DAY},
    {"P0.5D", DAY / 2},
    {"P3D", 3 * DAY},
    {"P0D", 0},
    {"PT0S", 0},
    {"PT1H2M3S", 3723 * SEC},
    {"PT36H", 36 * HOUR},
};

static const struct {
	const char *text;
	int errnum;
} bad[] = {
    {"", EINVAL},
    {" ", EINVAL},
    {"-1", EINVAL},
    {"-5s", EINVAL},
    {"+5s", EINVAL},
    {"s", EINVAL},
    {".5s", EINVAL},
    {"5.s", EINVAL},
    {"5.", EINVAL},
    {"1..5s", EINVAL},
    {"1,5s", EINVAL},
    {"5 parsecs", EINVAL},
    {"5 s", EINVAL},
    {"5sec", EINVAL},
    {"5S", EINVAL},
    {"5M", EINVAL},
    {"1y", EINVAL},
    {"1h30", EINVAL},
    {"30 1h", EINVAL},
    {"30m1h", EINVAL},
    {"1s1s", EINVAL},
    {"1h,30m", EINVAL},
    {"1e3s", EINVAL},
    {"0x10s", EINVAL},
    {"None", EINVAL},
    {"nones", EINVAL},
    {"none 1s", EINVAL},
    {"never", EINVAL},
    {"inf", EINVAL},
    {"1h\xc2\xa0", EINVAL},
    {"\xd9\xa1s", EINVAL},
    {"P", EINVAL},
    {"PT", EINVAL},
    {"P1", EINVAL},
    {"P1DT", EINVAL},
    {"P1H", EINVAL},
    {"PT1D", EINVAL},
    {"P1Y", EINVAL},
    {"P1M", EINVAL},
    {"P1M1D", EINVAL},
    {"PT1", EINVAL},
    {"PT1S1H", EINVAL},
    {"PT1S1S", EINVAL},
    {"PT0.5H1M", EINVAL},
    {"P0.5DT1H", EINVAL},
    {"P1D2W", EINVAL},
    {"PT 1H", EINVAL},
    {"P-1D", EINVAL},
    {"pt1h", EINVAL},
    {"PT1H ago", EINVAL},
    {"PTT1H", EINVAL},
    {"9223372036854775807ns", ERANGE},
    {"9223372036854775808ns", ERANGE},
    {"9223372036.854775807s", ERANGE},
    {"9223372036854775807w", ERANGE},
    {"99999999999999999999999s", ERANGE},
    {"99999999999999999999999", ERANGE},
    {"9223372036s1000000000ns", ERANGE},
    {"PT99999999999999999999S", ERANGE},
    {"P15251W", ERANGE},
    /* Too long, but no duration in the first place. */
    {"99999999999999999999999 parsecs", EINVAL},
    {"P99999999999999999999999Y", EINVAL},
};

static void test_parses(void **state)
{
	for (size_t i = 0; i < COUNT(good); i++) {
		int64_t ns = -7;
		int r = duration_parse(good[i].text, strlen(good[i].text), &ns);

		if (r != 0 || ns != good[i].ns)
			fail_msg("\"%s\": got %d, %lld ns, not %lld", good[i].text, r,
				 (long long)ns, (long long)good[i].ns);
	}
}

static void test_refuses(void **state)
{
	for (size_t i = 0; i < COUNT(bad); i++) {
		int64_t ns = -7;
		int r = duration_parse(bad[i].text, strlen(bad[i].text), &ns);

		if (r != -bad[i].errnum || ns != -7)
			fail_msg("\"%s\": got %d, %lld ns, not %d", bad[i].text, r,
				 (long long)ns, -bad[i].errnum);
	}
}

/* Attribute values have no NUL at their end, and may have one inside. */
static void test_the_length_counts(void **state)
{
	int64_t ns = -7;

	assert_int_equal(duration_parse("90s", 2, &ns), 0);
	assert_int_equal(ns, 90 * SEC);
	assert_int_equal(duration_parse("nonesuch", 4, &ns), 0);
	assert_int_equal(ns, DURATION_NONE);
	assert_int_equal(duration_parse("1s\0", 3, &ns), -EINVAL);
	assert_int_equal(duration_parse("1\0", 2, &ns), -EINVAL);
	assert_int_equal(duration_parse("P\0D", 3, &ns), -EINVAL);
	assert_int_equal(duration_parse("PT1\0", 4, &ns), -EINVAL);
}

/* A heap copy of exactly that length: sanitizers see a byte read too far. */
static void test_reads_nothing_behind_the_end(void **state)
{
	for (size_t i = 0; i < COUNT(good); i++) {
		for (size_t len = 0; len <= strlen(good[i].text); len++) {
			char *copy = malloc(len ? len : 1);
			int64_t ns;

			assert_non_null(copy);
			memcpy(copy, good[i].text, len);
			duration_parse(copy, len, &ns);
			free(copy);
		}
	}
}

static const struct {
	int64_t ns;
	const char *text, *short_text;
} formats[] = {
    {0, "0s", "0s"},
    {1, "1ns", "0s"},
    {999, "999ns", "0s"},
    {1500, "1.5us", "0s"},
    {999999, "999.999us", "0s"},
    {1000000, "1ms", "0.001s"},
    {1500000, "1.5ms", "0.001s"},
    {250000000, "250ms", "0.25s"},
    {SEC - 1, "999.999999ms", "0.999s"},
    {SEC, "1s", "1s"},
    {SEC + 1, "1.000000001s", "1s"},
    {1500000000, "1.5s", "1.5s"},
    {INT64_C(10999999999), "10.999999999s", "10s"},
    {60 * SEC - 1, "59.999999999s", "59s"},
    {60 * SEC, "1m", "1m"},
    {90 * SEC, "1m30s", "1m 30s"},
    {60 * SEC + 250000000, "1m0.25s", "1m"},
    {12 * 60 * SEC, "12m", "12m"},
    {5400 * SEC, "1h30m", "1h 30m"},
    {HOUR + SEC, "1h1s", "1h"},
    {DAY, "1d", "1d"},
    {DAY - 1, "23h59m59.999999999s", "23h 59m"},
    {3 * DAY + 4 * HOUR + 59 * 60 * SEC, "3d4h59m", "3d 4h"},
    {14 * DAY, "14d", "14d"},
    {400 * DAY, "400d", "400d"},
    {INT64_MAX - 1, "106751d23h47m16.854775806s", "106751d 23h"},
    {DURATION_NONE, "none", "never"},
};

static void test_formats(void **state)
{
	for (size_t i = 0; i < COUNT(formats); i++) {
		char text[DURATION_TEXT_MAX];

		duration_format(formats[i].ns, text);
		assert_string_equal(text, formats[i].text);
		duration_format_short(formats[i].ns, text);
		assert_string_equal(text, formats[i].short_text);
	}
}

static void test_formats_what_is_to_come(void **state)
{
	char text[DURATION_TEXT_MAX];

	duration_format_short(-3 * 60 * SEC, text);
	assert_string_equal(text, "-3m");
	duration_format_short(INT64_MIN, text);
	assert_string_equal(text, "-106751d 23h");
}

static void assert_round_trip(int64_t ns)
{
	char text[DURATION_TEXT_MAX];
	int64_t again = -7;

	duration_format(ns, text);
	assert_true(strlen(text) < sizeof(text));
	assert_int_equal(duration_parse(text, strlen(text), &again), 0);
	if (again != ns)
		fail_msg("%lld: \"%s\" reads back as %lld", (long long)ns, text,
			 (long long)again);
}

static void test_round_trip(void **state)
{
	uint64_t random = 88172645463325252;

	for (size_t i = 0; i < COUNT(formats); i++)
		assert_round_trip(formats[i].ns);
	for (int i = 0; i < 200000; i++) {
		random ^= random << 13; /* xorshift64: the same run every time */
		random ^= random >> 7;
		random ^= random << 17;
		/* All magnitudes, with and without a tail of zeros. */
		assert_round_trip((int64_t)(random >> (1 + random % 62)));
		assert_round_trip((int64_t)(random % 100000) * SEC);
		assert_round_trip((int64_t)(random % 1000000) * 1000000);
	}
}

static void test_now(void **state)
{
	int64_t before = (int64_t)time(NULL);
	int64_t now = time_now_ns();

	/* time(2) may lag behind by a tick of the kernel's clock. */
	assert_true(now / SEC >= before);
	assert_true(now / SEC <= before + 60);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_parses),
	    cmocka_unit_test(test_refuses),
	    cmocka_unit_test(test_the_length_counts),
	    cmocka_unit_test(test_reads_nothing_behind_the_end),
	    cmocka_unit_test(test_formats),
	    cmocka_unit_test(test_formats_what_is_to_come),
	    cmocka_unit_test(test_round_trip),
	    cmocka_unit_test(test_now),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
