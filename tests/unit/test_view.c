/* SPDX-License-Identifier: Apache-2.0 */
/* What a view's name says, what one inside another does, and what it admits. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "fs/view.h"

#define SEC NSEC_PER_SEC
#define MINUTE (60 * SEC)
#define HOUR (60 * MINUTE)

/* A view by its text, as the tests below need them. */
static struct view view(const char *text)
{
	struct view v = {0};
	struct errmsg err = {0};

	if (*text && view_parse(text, &v, &err))
		fail_msg("\"%s\": %s", text, err.text);
	return v;
}

/* ---- parsing ---- */

static const struct {
	const char *text;
	struct view want;
} good[] = {
    {"ro", {.set = VIEW_RO}},
    {"stale", {.set = VIEW_STALE}},
    {"pack", {.set = VIEW_PACK}},
    {"wait", {.set = VIEW_WAIT, .wait_ns = DURATION_UNSET}},
    {"wait=30s", {.set = VIEW_WAIT, .wait_ns = 30 * SEC}},
    {"wait=0", {.set = VIEW_WAIT}},
    {"wait=none", {.set = VIEW_WAIT, .wait_ns = DURATION_NONE}},
    {"max-age=PT1H", {.set = VIEW_MAX_AGE, .max_age_ns = HOUR}},
    {"max-age=1h 30m", {.set = VIEW_MAX_AGE, .max_age_ns = HOUR + 30 * MINUTE}},
    {"max-age=0", {.set = VIEW_MAX_AGE}},
    {"max-age=none", {.set = 0}},
    {"max-age=none,ro", {.set = VIEW_RO}},
    {"since=@100.5", {.set = VIEW_SINCE, .since_ns = 100 * SEC + SEC / 2}},
    {"since=1970-01-02", {.set = VIEW_SINCE, .since_ns = 24 * HOUR}},
    {"since=1970-01-01T01:00+01:00", {.set = VIEW_SINCE}},
    {"since=1969-12-31", {.set = VIEW_SINCE, .since_ns = -24 * HOUR}},
    {"version=v1", {.set = VIEW_VERSION, .version = "v1"}},
    {"version=", {.set = VIEW_VERSION}},
    {"version=a=b", {.set = VIEW_VERSION, .version = "a=b"}},
    {"version=a%2Cb", {.set = VIEW_VERSION, .version = "a,b"}},
    {"version=100%25", {.set = VIEW_VERSION, .version = "100%"}},
    {"version=%41%6a%6A", {.set = VIEW_VERSION, .version = "Ajj"}},
    {"version=%252C", {.set = VIEW_VERSION, .version = "%2C"}},
    {"version=\xc3\xa4 x", {.set = VIEW_VERSION, .version = "\xc3\xa4 x"}},
    {"owner=me@host:1", {.set = VIEW_OWNER, .owner = "me@host:1"}},
    {"owner=a%2Fb", {.set = VIEW_OWNER, .owner = "a/b"}},
    {"max-age=%31h", {.set = VIEW_MAX_AGE, .max_age_ns = HOUR}},
    {"pack,ro,stale,wait=1,max-age=2,since=3,owner=me,version=v",
     {.set = 255,
      .max_age_ns = 2 * SEC,
      .since_ns = 3 * SEC,
      .wait_ns = SEC,
      .version = "v",
      .owner = "me"}},
};

static void test_good(void **state)
{
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
		struct view v = {.set = 99};
		struct errmsg err = {0};

		if (view_parse(good[i].text, &v, &err))
			fail_msg("\"%s\": %s", good[i].text, err.text);
		if (!view_equal(&v, &good[i].want))
			fail_msg("\"%s\" is another view", good[i].text);
		assert_true(view_hash(&v) == view_hash(&good[i].want));
	}
}

static void test_any_order(void **state)
{
	struct view one = view("version=v,ro,max-age=1h,wait");
	struct view other = view("wait,max-age=1h,ro,version=v");

	assert_true(view_equal(&one, &other));
	assert_true(view_hash(&one) == view_hash(&other));
}

/* The message names the option, its value, and what to do. */
static const struct {
	const char *text, *option, *remedy;
} bad[] = {
    {"", "empty option", "version="},
    {",", "empty option", "comma"},
    {"ro,", "empty option", "comma"},
    {",ro", "empty option", "comma"},
    {"ro,,stale", "empty option", "comma"},
    {"colour=red", "\"colour\" is not known", "max-age="},
    {"RO", "\"RO\"", "ro"},
    {" ro", "\" ro\"", "ro"},
    {"=x", "\"\" is not known", "max-age="},
    {"ro=", "ro takes no value", "write ro"},
    {"ro=1", "ro takes no value", "write ro"},
    {"pack=", "pack takes no value", "write pack"},
    {"packs", "\"packs\"", "ro and pack"},
    {"ro,,pack", "empty option", "ro, pack"},
    {"pack,ro,pack", "pack is given twice", "leave one out"},
    {"stale=yes", "stale takes no value", "write stale"},
    {"version", "version has no value", "version="},
    {"max-age", "max-age has no value", "90s"},
    {"since", "since has no value", "2026-11-20"},
    {"owner", "owner has no value", "200 bytes"},
    {"ro,ro", "ro is given twice", "leave one out"},
    {"max-age=1,stale,max-age=1", "max-age is given twice", "leave one out"},
    {"max-age=none,max-age=1", "max-age is given twice", "leave one out"},
    {"max-age=", "max-age: \"\"", "90s"},
    {"max-age=soon", "max-age: \"soon\"", "90s"},
    {"max-age=-1", "max-age: \"-1\"", "90s"},
    {"max-age=1y", "max-age: \"1y\"", "90s"},
    {"max-age=99999999999999999999", "too large", "90s"},
    {"wait=", "wait: \"\"", "30s"},
    {"wait=a while", "wait: \"a while\"", "30s"},
    {"since=yesterday", "since: \"yesterday\"", "2026-11-20"},
    {"since=2026-02-30", "since: \"2026-02-30\"", "2026-11-20"},
    {"since=9999-01-01", "too large", "2026-11-20"},
    {"owner=", "owner: \"\"", "without blanks"},
    {"owner=a b", "owner: \"a b\"", "without blanks"},
    {"owner=free", "owner: \"free\"", "not free or held"},
    {"owner=a%20b", "owner: \"a%20b\"", "without blanks"},
    {"version=a%2Fb", "version: \"a%2Fb\"", "without a slash"},
    {"version=..", "version: \"..\"", "without a slash"},
    {"version=a%0Ab", "version: \"a%0Ab\"", "control characters"},
    {"version=a%00", "version: \"a%00\"", "control characters"},
    {"version=100%", "version: \"100%\"", "a version"},
    {"version=%4", "version: \"%4\"", "a version"},
    {"version=%4g", "version: \"%4g\"", "a version"},
    {"version=%%25", "version: \"%%25\"", "a version"},
    {"version=\x01", "version: \"\\x01\"", "control characters"},
    {"%72o", "\"%72o\"", "ro"}, /* only values are decoded */
    {"ro%2Cstale", "\"ro%2Cstale\"", "stale"},
};

static void test_bad(void **state)
{
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct view v = {.set = 99};
		struct errmsg err = {0};

		if (view_parse(bad[i].text, &v, &err) != -EINVAL)
			fail_msg("\"%s\" is a view", bad[i].text);
		assert_int_equal(v.set, 99);
		if (!strstr(err.text, bad[i].option) || !strstr(err.text, bad[i].remedy))
			fail_msg("\"%s\": %s", bad[i].text, err.text);
	}
}

static void test_long_values(void **state)
{
	char text[3 * 300 + 16], *end;
	struct errmsg err;
	struct view v;

	for (int len = 1; len <= 300; len++) {
		snprintf(text, sizeof(text), "version=%0*d", len, 7);
		assert_int_equal(view_parse(text, &v, &err),
				 len <= STORE_VERSION_MAX ? 0 : -EINVAL);
		snprintf(text, sizeof(text), "owner=%0*d", len, 7);
		assert_int_equal(view_parse(text, &v, &err),
				 len <= STORE_OWNER_MAX ? 0 : -EINVAL);
		end = text + sprintf(text, "version=");
		for (int i = 0; i < len; i++)
			end += sprintf(end, "%%61");
		assert_int_equal(view_parse(text, &v, &err),
				 len <= STORE_VERSION_MAX ? 0 : -EINVAL);
	}
}

/* ---- a view inside a view ---- */

static const struct {
	const char *base, *add, *want;
} combined[] = {
    {"", "ro", "ro"},
    {"ro", "stale", "ro,stale"},
    {"ro", "max-age=none", "ro"},
    {"max-age=1h", "max-age=1m", "max-age=1m"},
    {"max-age=1m", "max-age=1h", "max-age=1m"},
    {"max-age=1m", "max-age=none", "max-age=1m"},
    {"max-age=0", "max-age=1h", "max-age=0"},
    {"max-age=1h", "ro", "max-age=1h,ro"},
    {"since=@5", "since=@9", "since=@9"},
    {"since=@9", "since=@5", "since=@9"},
    {"since=1969-12-31", "since=@0", "since=@0"},
    {"since=1970-01-01", "since=1969-12-31", "since=@0"},
    {"since=@9", "max-age=1h", "since=@9,max-age=1h"},
    {"version=a", "version=b", "version=b"},
    {"version=a", "version=", "version="},
    {"version=a", "ro", "version=a,ro"},
    {"ro", "version=b", "ro,version=b"},
    {"owner=me", "owner=you", "owner=you"},
    {"owner=me", "wait", "owner=me,wait"},
    {"wait=1h", "wait=1s", "wait=1s"},
    {"wait=1s", "wait", "wait"},
    {"wait", "ro", "wait,ro"},
    {"", "pack", "pack"},
    {"pack", "wait,version=b", "pack,wait,version=b"},
    {"version=a,wait", "pack", "version=a,wait,pack"},
    /* stale: never more than what was handed on */
    {"max-age=1h", "stale", "max-age=1h"},
    {"since=@9", "stale", "since=@9"},
    {"since=@9", "stale,max-age=1h", "since=@9,max-age=1h"},
    {"", "stale,max-age=1h", "stale,max-age=1h"},
    {"stale", "ro", "stale,ro"},
    {"stale", "max-age=1h", "max-age=1h"},
    {"stale", "since=@9", "since=@9"},
    {"stale", "stale,max-age=1h", "stale,max-age=1h"},
    {"stale,max-age=1h", "ro", "stale,max-age=1h,ro"},
    {"stale,max-age=1h", "stale", "stale,max-age=1h"},
    {"stale,max-age=1h", "max-age=1m", "max-age=1m"},
};

static void test_combine(void **state)
{
	for (size_t i = 0; i < sizeof(combined) / sizeof(combined[0]); i++) {
		struct view base = view(combined[i].base), add = view(combined[i].add);
		struct view want = view(combined[i].want);
		struct view got = view_combine(&base, &add);

		if (!view_equal(&got, &want))
			fail_msg("\"%s\" in \"%s\" is not \"%s\"", combined[i].add,
				 combined[i].base, combined[i].want);
		/* Once more changes nothing. */
		got = view_combine(&got, &add);
		if (!view_equal(&got, &want))
			fail_msg("\"%s\" twice in \"%s\"", combined[i].add,
				 combined[i].base);
	}
}

static const struct {
	const char *text, *below, *entry;
	bool restricts;
} inherited[] = {
    {"", "", "", false},
    {"version=v", "", "", false},
    {"wait=1s", "wait=1s", "", false},
    {"version=v,wait", "wait", "", false},
    {"ro,version=v", "ro", "ro", true},
    {"max-age=1h,wait", "max-age=1h,wait", "max-age=1h", true},
    {"since=@9", "since=@9", "since=@9", true},
    {"stale", "stale", "stale", true},
    {"owner=me,wait", "owner=me,wait", "owner=me", true},
    {"pack", "pack", "pack", true},
    {"pack,version=v,wait", "pack,wait", "pack", true},
};

static void test_below(void **state)
{
	for (size_t i = 0; i < sizeof(inherited) / sizeof(inherited[0]); i++) {
		struct view v = view(inherited[i].text);
		struct view below = view_below(&v), entry = view_of_entry(&v);
		struct view want_below = view(inherited[i].below);
		struct view want_entry = view(inherited[i].entry);

		if (!view_equal(&below, &want_below) ||
		    !view_equal(&entry, &want_entry) ||
		    view_restricts(&v) != inherited[i].restricts)
			fail_msg("what is below \"%s\"", inherited[i].text);
	}
}

/* ---- what is a hit ---- */

/* Seconds: created, expires (-1: never), now; and until when (-1: for ever). */
static const struct {
	const char *text;
	int64_t created, expires, now;
	bool hit;
	int64_t until;
} admitted[] = {
    {"", 100, -1, 1000, true, -1},
    {"", 100, 200, 199, true, 200},
    {"", 100, 200, 200, false, 200},
    {"ro", 100, 200, 199, true, 200},
    {"stale", 100, 200, 200, false, 200},
    {"max-age=10", 100, -1, 109, true, 110},
    {"max-age=10", 100, -1, 110, false, 110},
    {"max-age=10", 100, 105, 104, true, 105},
    {"max-age=10", 100, 105, 105, false, 105},
    {"max-age=10", 100, 500, 109, true, 110},
    {"max-age=0", 100, -1, 100, false, 100},
    {"max-age=0", 100, -1, 50, false, 50}, /* by a clock that was ahead */
    {"max-age=10", 100, -1, 50, true, 110},
    {"max-age=9223372035", 100, -1, 1000, true, -1},
    {"since=@100", 100, -1, 1000, true, -1},
    {"since=@101", 100, -1, 1000, false, 100},
    {"since=@100", 100, 200, 150, true, 200},
    {"since=@100,max-age=10", 100, 200, 105, true, 110},
    {"since=@101,max-age=1000", 100, 2000, 105, false, 100},
    {"since=2262-01-01", 100, -1, 105, false, 100},
};

static void test_admits(void **state)
{
	for (size_t i = 0; i < sizeof(admitted) / sizeof(admitted[0]); i++) {
		struct view v = view(admitted[i].text);
		int64_t expires = admitted[i].expires, until = admitted[i].until, got;
		struct store_attr attr = {
		    .mode = S_IFREG | 0644,
		    .created_ns = admitted[i].created * SEC,
		    .expires_ns = expires < 0 ? DURATION_NONE : expires * SEC,
		};
		bool hit = view_admits(&v, &attr, admitted[i].now * SEC, &got);

		if (hit != admitted[i].hit ||
		    got != (until < 0 ? DURATION_NONE : until * SEC))
			fail_msg("line %zu: \"%s\": %d until %lld", i, admitted[i].text,
				 hit, (long long)got);
		assert_int_equal(view_admits(&v, &attr, admitted[i].now * SEC, NULL),
				 hit);
		/* Symlinks are entries, and so are sealed trees. */
		attr.mode = S_IFLNK | 0777;
		assert_int_equal(view_admits(&v, &attr, admitted[i].now * SEC, NULL),
				 hit);
		attr.mode = S_IFDIR | 0755;
		attr.sealed = true;
		assert_int_equal(view_admits(&v, &attr, admitted[i].now * SEC, NULL),
				 hit);
	}
}

static void test_directories_are_no_entries(void **state)
{
	struct view v = view("max-age=0,since=2262-01-01");
	struct store_attr attr = {.mode = S_IFDIR, .expires_ns = DURATION_NONE};
	int64_t until;

	assert_true(view_admits(&v, &attr, HOUR, &until));
	assert_true(until == DURATION_NONE);
}

/* At one nanosecond it is a hit, at the next it is none. */
static void test_admits_to_the_nanosecond(void **state)
{
	struct view v = view("max-age=1ns");
	struct store_attr attr = {
	    .mode = S_IFREG, .created_ns = 7, .expires_ns = DURATION_NONE};

	assert_true(view_admits(&v, &attr, 7, NULL));
	assert_false(view_admits(&v, &attr, 8, NULL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_good),
	    cmocka_unit_test(test_any_order),
	    cmocka_unit_test(test_bad),
	    cmocka_unit_test(test_long_values),
	    cmocka_unit_test(test_combine),
	    cmocka_unit_test(test_below),
	    cmocka_unit_test(test_admits),
	    cmocka_unit_test(test_directories_are_no_entries),
	    cmocka_unit_test(test_admits_to_the_nanosecond),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
