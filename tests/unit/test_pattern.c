/* SPDX-License-Identifier: Apache-2.0 */
/* Which paths patterns choose, which directories need not be read, and what is refused.
 */
#include "cli/tree/pattern.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define PATTERNS_MAX 4

static struct patterns *compiled(const char *const *texts)
{
	struct patterns *ps;
	struct errmsg err = {""};
	size_t n = 0;

	while (n < PATTERNS_MAX && texts[n])
		n++;
	if (patterns_new(texts, n, &ps, &err))
		fail_msg("%s: %s", texts[0], err.text);
	return ps;
}

/* A path that ends with a slash is a directory. */
static bool chosen(struct patterns *ps, const char *path)
{
	char name[256];
	size_t len = strlen(path);
	bool is_dir = len && path[len - 1] == '/';

	memcpy(name, path, len + 1);
	if (is_dir)
		name[len - 1] = '\0';
	return patterns_match(ps, name, is_dir);
}

static void test_globs(void **state)
{
	static const struct {
		const char *pattern;
		const char *yes[8], *no[8];
	} rows[] = {
	    {"node_modules/**",
	     {"node_modules/", "node_modules/a", "node_modules/a/b/", "node_modules/.x"},
	     {"node_modules", "node_modules2/", "x/node_modules/", "node_module"}},
	    {"node_modules",
	     {"node_modules/", "node_modules", "node_modules/a/b", "node_modules/.x"},
	     {"node_modulesx", "x/node_modules", "node_module"}},
	    {"node_modules/", {"node_modules/", "node_modules/a"}, {"node_modules"}},
	    {"./a//b/./c/.", {"a/b/c/", "a/b/c/d"}, {"a/b/c", "a/b"}},
	    {"**", {"a", "a/b", ".x", "a/", "a/.b/c"}, {0}},
	    {".", {"a", "a/b", ".x", "a/"}, {0}},
	    {"./", {"a", "a/b", ".x", "a/"}, {0}},
	    {"**/", {"a/", "a/b", "a/b/"}, {"a"}},
	    {"*.o", {"a.o", ".o", "\xff.o", "d.o/x"}, {"a.oo", "a/b.o", "a.", "ao"}},
	    {"**.o", {"a.o", "a/b.o", "a/b/.o"}, {"a.oo"}},
	    {"**/*.o", {"a.o", "a/b.o", "a/b/c.o"}, {"a.oo", "a/bo"}},
	    {"src/?.c",
	     {"src/a.c", "src/\xc3\xa9.c", "src/\xff.c", "src/..c"},
	     {"src/ab.c", "src/.c", "asrc/a.c", "src/\xc3\xa9\xc3\xa9.c"}},
	    {"a/**/b",
	     {"a/b", "a/x/b", "a/x/y/b", "a/x/b/c"},
	     {"ab", "a/xb", "a", "a/", "b", "a/bx"}},
	    {"a**b", {"ab", "axb", "a/b", "a/x/yb"}, {"a", "b", "xab"}},
	    {"a**/b", {"ax/b", "a/b", "a/x/b"}, {"ab", "b"}},
	    {"**/b/**", {"b/", "b/x", "a/b/", "a/b/c/d"}, {"b", "ab/", "a/"}},
	    {"a/*/c", {"a/b/c", "a/.b/c"}, {"a/c", "a/b/b/c"}},
	    {"a*a*b", {"aab", "aaab", "axab", "aabab"}, {"ab", "aa", "a/ab"}},
	    {"[a-c]", {"a", "b", "c"}, {"d", "A", "", "ab", "/"}},
	    {"[!a-c]", {"d", "-", "\xc3\xa9", "\xff"}, {"a", "c", "/", "xy"}},
	    {"[^a-c]x", {"dx"}, {"ax", "/x"}},
	    {"x[+-9]y", {"x.y", "x+y"}, {"x/y"}},
	    {"[]x]", {"]", "x"}, {"[", "a"}},
	    {"[!]x]", {"[", "a"}, {"]", "x"}},
	    {"[a-]", {"a", "-"}, {"b"}},
	    {"[\\]\\-]", {"]", "-"}, {"\\", "a"}},
	    {"[[:digit:]x]*", {"7", "x", "1a"}, {"a", ""}},
	    {"[![:space:]]", {"a"}, {" ", "\t"}},
	    {"[\xc3\xa0-\xc3\xbf]", {"\xc3\xa9"}, {"\xc3", "\xa9", "e"}},
	    {"\xff*", {"\xff", "\xff\xfe"}, {"\xc3\xbf", "\xfe"}},
	    {"{a,b/c}", {"a", "b/c", "b/c/d"}, {"b", "c", "{a,b/c}"}},
	    {"x{,y}z", {"xz", "xyz"}, {"xyyz", "x"}},
	    {"{a,{b,c}d}e", {"ae", "bde", "cde"}, {"de", "be", "ade"}},
	    {"{a/**,b}", {"a/", "a/x", "b"}, {"a", "c"}},
	    {"{a/**,b}/c", {"a/c", "a/x/c", "b/c"}, {"a", "c", "a/x"}},
	    {"{**/,}x", {"x", "a/x", "a/b/x"}, {"ax"}},
	    {"{a/,b}c", {"a/c", "bc"}, {"a/", "b"}},
	    {"a,b}", {"a,b}"}, {"a", "b"}},
	    {"\\*\\{a\\\\", {"*{a\\"}, {"x{a\\"}},
	    {"\\!a", {"!a"}, {"a"}},
	    {"regex", {"regex"}, {"x"}},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		const char *one[] = {rows[i].pattern, NULL};
		struct patterns *ps = compiled(one);

		for (size_t k = 0; rows[i].yes[k]; k++) {
			if (!chosen(ps, rows[i].yes[k]))
				fail_msg("%s: not %s", one[0], rows[i].yes[k]);
		}
		for (size_t k = 0; rows[i].no[k]; k++) {
			if (chosen(ps, rows[i].no[k]))
				fail_msg("%s: also %s", one[0], rows[i].no[k]);
		}
		patterns_free(ps);
	}
}

static void test_expressions(void **state)
{
	static const struct {
		const char *pattern;
		const char *yes[8], *no[8];
	} rows[] = {
	    {"regex:a.c",
	     {"abc", "a/c",
	      "a\xc3\xa9"
	      "c"},
	     {"ac", "abcd", "xabc", "abc/d"}},
	    {"regex:src/[^/]+\\.(c|h)", {"src/a.c", "src/b.h"}, {"src/a/b.c", "src/.c/"}},
	    {"regex:^a$", {"a", "a/"}, {"b", "ab", "a/b"}},
	    {"regex:a|b|cd", {"a", "b", "cd"}, {"c", "ab", ""}},
	    {"regex:(a|)b", {"ab", "b"}, {"a"}},
	    {"regex:(ab)*c", {"c", "abc", "ababc"}, {"ac", "bc"}},
	    {"regex:(a*)*b", {"b", "aaab"}, {"a"}},
	    {"regex:a{2}", {"aa"}, {"a", "aaa"}},
	    {"regex:a{2,}", {"aa", "aaaa"}, {"a"}},
	    {"regex:a{1,3}", {"a", "aa", "aaa"}, {"", "aaaa"}},
	    {"regex:a{,2}b", {"b", "ab", "aab"}, {"aaab"}},
	    {"regex:a{0}b", {"b"}, {"ab"}},
	    {"regex:(ab){0,2}", {"ab", "abab"}, {"ababab", "a"}},
	    {"regex:a+b?", {"a", "aab"}, {"b", "abb"}},
	    {"regex:[]a-]+", {"]a-"}, {"b"}},
	    {"regex:[\\d]", {"\\", "d"}, {"1"}},
	    {"regex:\\d+\\.\\w\\S", {"12.a-"}, {"a.aa", "1.a "}},
	    {"regex:\\D\\W\\s", {"a- "}, {"1- ", "aa "}},
	    {"regex:[[:upper:]]x", {"Ax"}, {"ax"}},
	    {"regex:\\(\\{\\\\", {"({\\"}, {"("}},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		const char *one[] = {rows[i].pattern, NULL};
		struct patterns *ps = compiled(one);

		for (size_t k = 0; rows[i].yes[k]; k++) {
			if (!chosen(ps, rows[i].yes[k]))
				fail_msg("%s: not %s", one[0], rows[i].yes[k]);
		}
		for (size_t k = 0; rows[i].no[k]; k++) {
			if (chosen(ps, rows[i].no[k]))
				fail_msg("%s: also %s", one[0], rows[i].no[k]);
		}
		patterns_free(ps);
	}
}

static void test_the_last_decides(void **state)
{
	const char *texts[] = {"a", "!a/b", "a/b/keep", "!*.tmp"};
	struct patterns *ps = compiled(texts);

	assert_true(chosen(ps, "a/"));
	assert_true(chosen(ps, "a/x"));
	assert_false(chosen(ps, "a/b/"));
	assert_false(chosen(ps, "a/b/x"));
	assert_true(chosen(ps, "a/b/keep/x"));
	assert_true(chosen(ps, "a/x.tmp"));
	assert_false(chosen(ps, "x.tmp"));
	assert_false(chosen(ps, "b"));
	patterns_free(ps);
}

static void test_reach(void **state)
{
	static const struct {
		const char *patterns[PATTERNS_MAX + 1];
		const char *yes[6], *no[6];
	} rows[] = {
	    {{"src/*.c"}, {"src"}, {"doc", "src/x", "sr", "src.c"}},
	    {{"a/b/c"}, {"a", "a/b", "a/b/c", "a/b/c/d"}, {"b", "a/c", "a/bb"}},
	    {{"**/*.o"}, {"a", "a/b"}, {0}},
	    {{"regex:a/b+/.*"}, {"a", "a/b", "a/bb/c"}, {"b", "a/c", "ab"}},
	    {{"regex:a"}, {0}, {"a", "b"}},
	    {{"a", "!a/b"}, {"a", "a/c"}, {"a/b", "a/b/c", "b"}},
	    {{"a", "!a/b", "a/b/c"}, {"a/b", "a/b/c/d"}, {"a/b/d"}},
	    {{"**", "!**/*.o"}, {"a"}, {"a.o"}},
	    {{"**", "!regex:.*"}, {"a"}, {0}},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct patterns *ps = compiled(rows[i].patterns);

		for (size_t k = 0; rows[i].yes[k]; k++) {
			if (!patterns_reach(ps, rows[i].yes[k]))
				fail_msg("%zu: not %s", i, rows[i].yes[k]);
		}
		for (size_t k = 0; rows[i].no[k]; k++) {
			if (patterns_reach(ps, rows[i].no[k]))
				fail_msg("%zu: also %s", i, rows[i].no[k]);
		}
		patterns_free(ps);
	}
}

static void test_unused(void **state)
{
	const char *texts[] = {"a", "a/*", "!c", "c"};
	struct patterns *ps = compiled(texts);

	assert_string_equal(patterns_unused(ps), "a");
	/* Whoever would have chosen it counts, not only the last. */
	assert_true(chosen(ps, "a/b"));
	assert_string_equal(patterns_unused(ps), "c");
	assert_true(chosen(ps, "c"));
	assert_null(patterns_unused(ps));
	patterns_free(ps);
}

/* Does all below a directory go without saying, once this is chosen? */
static bool takes_all(const char *const *texts, const char *met, const char *dir)
{
	struct patterns *ps = compiled(texts);
	bool all;

	patterns_match(ps, met, true);
	all = patterns_take_all(ps, dir);
	patterns_free(ps);
	return all;
}

#define TAKES_ALL(met, dir, ...)                                                         \
	takes_all((const char *const[]){__VA_ARGS__, NULL}, met, dir)

static void test_take_all(void **state)
{
	(void)state;
	assert_true(TAKES_ALL("a", "a", "."));
	assert_true(TAKES_ALL("a", "a", "a"));
	assert_true(TAKES_ALL("a", "a/b", "a/**"));
	assert_true(TAKES_ALL("a", "a", "!b", "a"));
	assert_false(TAKES_ALL("a", "b", "a"));
	assert_false(TAKES_ALL("a", "a", "a", "!a/b"));
	assert_false(TAKES_ALL("a", "a", "regex:a"));
	/* It may choose something there, and is to know that. */
	assert_false(TAKES_ALL("a", "a", "a", "**/x"));
}

static void test_excluded_is_not_used(void **state)
{
	const char *texts[] = {"a*", "!ab", NULL};
	struct patterns *ps = compiled(texts);

	assert_false(chosen(ps, "ab"));
	assert_string_equal(patterns_unused(ps), "a*");
	assert_true(chosen(ps, "ac"));
	assert_null(patterns_unused(ps));
	patterns_free(ps);
}

static void test_refused(void **state)
{
	static const struct {
		const char *pattern, *says;
		int errnum;
	} rows[] = {
	    {"", "empty", EINVAL},
	    {"regex:", "empty", EINVAL},
	    {"/a", "absolute", EINVAL},
	    {"..", "out of the directory", EINVAL},
	    {"../a", "out of the directory", EINVAL},
	    {"./../a", "out of the directory", EINVAL},
	    {"a/..", "out of the directory", EINVAL},
	    {"a/../b", "out of the directory", EINVAL},
	    {"a[b", "not closed", EINVAL},
	    {"a[", "not closed", EINVAL},
	    {"a[]", "not closed", EINVAL},
	    {"a[[:digit:", "not closed", EINVAL},
	    {"[[:foo:]]", "no such class", EINVAL},
	    {"[[.a.]]", "no meaning", EINVAL},
	    {"[z-a]", "wrong way round", EINVAL},
	    {"[a/b]", "/ is not", EINVAL},
	    {"{a,b", "not closed", EINVAL},
	    {"a\\", "ends with", EINVAL},
	    {"!a", "leave something out", EINVAL},
	    {"regex:(a", "( is not closed", EINVAL},
	    {"regex:a)", "closes nothing", EINVAL},
	    {"regex:*a", "behind what it repeats", EINVAL},
	    {"regex:a|+", "behind what it repeats", EINVAL},
	    {"regex:(?:a)", "behind what it repeats", EINVAL},
	    {"regex:a{", "repetition", EINVAL},
	    {"regex:a{,}", "repetition", EINVAL},
	    {"regex:a{3,2}", "repetition", EINVAL},
	    {"regex:a{1x}", "repetition", EINVAL},
	    {"regex:(a)\\1", "refers back", EINVAL},
	    {"regex:\\bx", "no meaning", EINVAL},
	    {"regex:a\\", "ends with", EINVAL},
	    {"regex:[a", "not closed", EINVAL},
	    {"regex:a{99999}", "too often", E2BIG},
	    {"regex:((a{100}){100}){100}", "too large", E2BIG},
	};

	for (size_t i = 0; i < COUNT(rows); i++) {
		struct patterns *ps = NULL;
		struct errmsg err = {""};
		int r = patterns_new(&rows[i].pattern, 1, &ps, &err);

		if (r != -rows[i].errnum || !strstr(err.text, rows[i].says) ||
		    !strstr(err.text, "pattern \""))
			fail_msg("\"%s\": %d: %s", rows[i].pattern, r, err.text);
		assert_null(ps);
	}
}

static void test_all_negated(void **state)
{
	const char *texts[] = {"!a", "!b"};
	struct patterns *ps = NULL;
	struct errmsg err;

	assert_int_equal(patterns_new(texts, 2, &ps, &err), -EINVAL);
	assert_non_null(strstr(err.text, "!a"));
	assert_int_equal(patterns_new(NULL, 0, &ps, &err), -EINVAL);
}

/* Each of these takes the age of the universe where ways are tried one by one. */
static void test_hostile_patterns_end(void **state)
{
	static const char *const rows[] = {
	    "a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b",
	    "**/a/**/a/**/a/**/a/**/a/**/a/**/a/**/a/**/b",
	    "regex:(a*)*(a*)*(a*)*(a*)*(a*)*b",
	    "regex:(a|a)*(a|a)*(a|a)*(a|a)*b",
	    "regex:(((a*)*)*)*b",
	    "{a,a}{a,a}{a,a}{a,a}{a,a}{a,a}{a,a}{a,a}{a,a}{a,a}{a,a}{a,a}{a,a}{a,a}*b",
	    "regex:(.?){400}.{400}b",
	};
	char path[4096];

	for (size_t i = 0; i < sizeof(path) - 1; i++)
		path[i] = i % 200 == 199 ? '/' : 'a';
	path[sizeof(path) - 1] = '\0';
	for (size_t i = 0; i < COUNT(rows); i++) {
		const char *one[] = {rows[i], NULL};
		struct patterns *ps = compiled(one);

		assert_false(patterns_match(ps, path, false));
		patterns_free(ps);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_globs),
	    cmocka_unit_test(test_expressions),
	    cmocka_unit_test(test_the_last_decides),
	    cmocka_unit_test(test_reach),
	    cmocka_unit_test(test_unused),
	    cmocka_unit_test(test_take_all),
	    cmocka_unit_test(test_excluded_is_not_used),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_all_negated),
	    cmocka_unit_test(test_hostile_patterns_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
