/* SPDX-License-Identifier: Apache-2.0 */
/* Sizes, suggestions and escapes: what messages to people are made of. */
#include "store/util/size.h"
#include "store/util/suggest.h"
#include "store/util/text.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)

static void test_size_parses(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
	} good[] = {
	    {"0", 0},
	    {"4096", 4096},
	    {"4096B", 4096},
	    {"64MiB", 64 * MIB},
	    {"64M", 64 * MIB},
	    {"64m", 64 * MIB},
	    {"64 MiB\n", 64 * MIB},
	    {"64MB", 64000000},
	    {"1G", GIB},
	    {"1k", KIB},
	    {"1kB", 1000},
	    {"1.5GiB", GIB * 3 / 2},
	    {"0.1K", 102},
	    {"0.1kB", 100},
	    {"1TiB", 1024 * GIB},
	    {"1P", 1024 * 1024 * GIB},
	    {"7E", UINT64_C(7) << 60},
	    {"7.999999999999999999E", INT64_MAX - 1},
	    {"9223372036854775807", INT64_MAX},
	};

	for (size_t i = 0; i < COUNT(good); i++) {
		uint64_t bytes = 7;
		int r = size_parse(good[i].text, strlen(good[i].text), &bytes);

		if (r || bytes != good[i].bytes)
			fail_msg("\"%s\": got %d, %llu, not %llu", good[i].text, r,
				 (unsigned long long)bytes,
				 (unsigned long long)good[i].bytes);
	}
}

static void test_size_refuses(void **state)
{
	static const struct {
		const char *text;
		int errnum;
	} bad[] = {
	    {"", EINVAL},
	    {"-1", EINVAL},
	    {"+1", EINVAL},
	    {"MiB", EINVAL},
	    {"1.5", EINVAL},
	    {"1.5B", EINVAL},
	    {"1,5K", EINVAL},
	    {".5K", EINVAL},
	    {"5.K", EINVAL},
	    {"1Q", EINVAL},
	    {"1KiBs", EINVAL},
	    {"1Kb", EINVAL},
	    {"1KIB", EINVAL},
	    {"1iB", EINVAL},
	    {"1b", EINVAL},
	    {"0x10", EINVAL},
	    {"1e3", EINVAL},
	    {"1 0", EINVAL},
	    {"10%", EINVAL},
	    {"1+", EINVAL},
	    {"8E", ERANGE},
	    {"9999P", ERANGE},
	    {"9223372036854775808", ERANGE},
	    {"99999999999999999999999", ERANGE},
	};

	for (size_t i = 0; i < COUNT(bad); i++) {
		uint64_t bytes = 7;
		int r = size_parse(bad[i].text, strlen(bad[i].text), &bytes);

		if (r != -bad[i].errnum || bytes != 7)
			fail_msg("\"%s\": got %d, not %d", bad[i].text, r,
				 -bad[i].errnum);
	}
	assert_int_equal(size_parse("1\0K", 3, &(uint64_t){0}), -EINVAL);
	assert_int_equal(size_parse("1K\0", 3, &(uint64_t){0}), -EINVAL);
}

static void test_size_formats(void **state)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} formats[] = {
	    {0, "0B"},
	    {1023, "1023B"},
	    {1024, "1KiB"},
	    {1536, "1.5KiB"},
	    {KIB * 2 - 1, "1.9KiB"},
	    {64 * MIB, "64MiB"},
	    {64 * MIB + MIB / 2, "64.5MiB"},
	    {MIB - 1, "1023KiB"},
	    {812 * GIB + GIB / 2, "812GiB"},
	    {INT64_MAX, "7.9EiB"},
	    {UINT64_MAX, "15.9EiB"},
	};

	for (size_t i = 0; i < COUNT(formats); i++) {
		char text[SIZE_TEXT_MAX];

		size_format(formats[i].bytes, text);
		assert_string_equal(text, formats[i].text);
	}
}

static size_t distance(const char *a, const char *b)
{
	size_t there = suggest_distance(a, strlen(a), b, strlen(b));

	assert_int_equal(suggest_distance(b, strlen(b), a, strlen(a)), there);
	return there;
}

static void test_distance(void **state)
{
	char wide[66];

	assert_int_equal(distance("", ""), 0);
	assert_int_equal(distance("", "abc"), 3);
	assert_int_equal(distance("abc", "abc"), 0);
	assert_int_equal(distance("abc", "abd"), 1);
	assert_int_equal(distance("abc", "ab"), 1);
	assert_int_equal(distance("abc", "acb"), 1);
	assert_int_equal(distance("ca", "abc"), 3); /* OSA: no edit inside a swap */
	assert_int_equal(distance("kitten", "sitting"), 3);
	assert_int_equal(distance("ALLOW_other", "allow-OTHER"), 0);
	memset(wide, 'a', sizeof(wide));
	assert_int_equal(suggest_distance(wide, 64, "a", 1), 63);
	assert_int_equal(suggest_distance("a", 1, wide, 65), SIZE_MAX);
}

static const char *nearest(const char *word)
{
	static const char *const names[] = {"allow-other", "read-only", "threads",
					    "log",	   "log-level", "ttl"};
	struct suggest s = suggest_for(word, strlen(word));

	for (size_t i = 0; i < COUNT(names); i++)
		suggest_offer(&s, names[i]);
	return s.best;
}

static void test_suggests(void **state)
{
	assert_string_equal(nearest("alow-other"), "allow-other");
	assert_string_equal(nearest("allow_others"), "allow-other");
	assert_string_equal(nearest("Threads"), "threads");
	assert_string_equal(nearest("therads"), "threads");
	assert_string_equal(nearest("readonly"), "read-only");
	assert_string_equal(nearest("lgo"), "log");
	assert_string_equal(nearest("loglevel"), "log-level");
	assert_string_equal(nearest("tl"), "ttl");
	assert_null(nearest("quota"));
	assert_null(nearest("x"));
	assert_null(nearest("xyz"));
	assert_null(nearest(""));
}

static void assert_escaped(const char *text, size_t len, size_t cap, const char *want)
{
	char got[64];
	size_t n;

	memset(got, '#', sizeof(got));
	n = text_escape(got, cap, text, len);
	assert_string_equal(got, want);
	assert_int_equal(n, strlen(want));
	assert_true(n < cap);
}

static void test_escapes(void **state)
{
	assert_escaped("", 0, 4, "");
	assert_escaped("plain \xc3\xa9\xff", 9, 64, "plain \xc3\xa9\xff");
	assert_escaped("a\nb\tc\\", 6, 64, "a\\nb\\tc\\\\");
	assert_escaped("\0\x1b[31m\x7f", 7, 64, "\\x00\\x1b[31m\\x7f");
	assert_escaped("abc", 3, 4, "abc");
	assert_escaped("abcd", 4, 4, "...");
	assert_escaped("abcdefgh", 8, 8, "abcd...");
	assert_escaped("abcdefg", 7, 8, "abcdefg");
	assert_escaped("abc\n\n\n", 6, 8, "abc...");
}

static void test_quotes(void **state)
{
	char text[TEXT_QUOTE_MAX], wide[1000];

	assert_string_equal(text_quote(text, "a\"b", 3), "\"a\"b\"");
	memset(wide, '\n', sizeof(wide));
	text_quote(text, wide, sizeof(wide));
	assert_true(strlen(text) < sizeof(text));
	assert_true(strlen(text) > sizeof(text) - 6);
	assert_string_equal(text + strlen(text) - 4, "...\"");
}

static void assert_trimmed(const char *text, const char *want)
{
	size_t len = strlen(text);

	text_trim(&text, &len);
	assert_int_equal(len, strlen(want));
	assert_memory_equal(text, want, len);
}

static void test_trims(void **state)
{
	assert_trimmed("", "");
	assert_trimmed(" \t\n\v\f\r", "");
	assert_trimmed("a", "a");
	assert_trimmed(" a b\n", "a b");
	assert_trimmed("\xa0", "\xa0");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_size_parses),	 cmocka_unit_test(test_size_refuses),
	    cmocka_unit_test(test_size_formats), cmocka_unit_test(test_distance),
	    cmocka_unit_test(test_suggests),	 cmocka_unit_test(test_escapes),
	    cmocka_unit_test(test_quotes),	 cmocka_unit_test(test_trims),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
