/* SPDX-License-Identifier: Apache-2.0 */
/* Paths of results from templates. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/key/template.h"
#include "store/util/duration.h"

/* Saturday, 2026-11-21 14:05:06 UTC */
#define NOW_S INT64_C(1795269906)

static const struct cli_list params = {
    .item = {"day=monday", "path=../a/b", "dots=..", "empty=", "date=never", "p%=x\ny",
	     "name=value", "sub=c"},
    .len = 8,
};
static const struct cli_list envs = {.item = {"MEMOFS_T_SET", "MEMOFS_T_UNSET"},
				     .len = 2};

static int expand(const char *template, const char *version, int64_t now_s,
		  struct buf *ret, struct errmsg *err)
{
	struct template_values v = {
	    .now_ns = now_s * NSEC_PER_SEC,
	    .name = "make/report",
	    .version = version,
	    .id = "0123",
	    .params = &params,
	    .envs = &envs,
	};

	return template_expand(template, &v, ret, err);
}

static void becomes_at(int64_t now_s, const char *template, const char *want)
{
	struct errmsg err = {""};
	struct buf path = BUF_INIT;
	int r = expand(template, "1.0", now_s, &path, &err);

	if (r)
		print_error("%s: %s\n", template, err.text);
	assert_int_equal(r, 0);
	assert_int_equal(buf_append(&path, "", 1), 0);
	assert_string_equal((char *)path.data, want);
	buf_deinit(&path);
}

static void becomes(const char *template, const char *want)
{
	becomes_at(NOW_S, template, want);
}

/* -EINVAL, with a message that has `word` in it; nothing was written. */
static void refuses(const char *template, const char *word)
{
	struct errmsg err = {""};
	struct buf path = BUF_INIT;

	assert_int_equal(expand(template, NULL, NOW_S, &path, &err), -EINVAL);
	if (!strstr(err.text, word))
		print_error("%s: %s\n", template, err.text);
	assert_non_null(strstr(err.text, word));
	assert_non_null(strstr(err.text, "--key"));
	assert_int_equal(path.len, 0);
	buf_deinit(&path);
}

static void in_zone(const char *zone)
{
	setenv("TZ", zone, 1);
}

static void dates_are_those_of_the_clock(void **state)
{
	in_zone("UTC");
	becomes("{date:%A}/{task_name}.txt", "Saturday/make%2Freport.txt");
	becomes("{today}", "2026-11-21");
	/* What was declared comes first; a format is a date's. */
	becomes("{date}", "never");
	becomes("{now}", "2026-11-21T14:05:06");
	becomes("{now:%H}h", "14h");
	becomes("{yesterday}_{today}_{tomorrow}", "2026-11-20_2026-11-21_2026-11-22");
	becomes("{yesterday_nodash}{today_nodash}{tomorrow_nodash}",
		"202611202026112120261122");
	becomes("{date:%Y/%m/%d}", "2026/11/21");
	becomes("{yesterday:%a %-d}", "Fri 20");
	becomes("{tomorrow:%j%%}", "326%");
}

static void the_zone_is_that_of_tz(void **state)
{
	in_zone("Pacific/Kiritimati"); /* 14 hours ahead */
	becomes("{today}", "2026-11-22");
	in_zone("UTC");
	becomes("{today}", "2026-11-21");
	/* The night of the 25th of October has 25 hours, that of March 29th 23. */
	in_zone("Europe/Berlin");
	becomes_at(1792969200, "{yesterday} {today} {tomorrow}",
		   "2026-10-25 2026-10-26 2026-10-27");
	becomes_at(1792965600, "{yesterday} {today} {tomorrow}",
		   "2026-10-24 2026-10-25 2026-10-26");
	becomes_at(1792880100, "{yesterday} {today} {tomorrow}",
		   "2026-10-24 2026-10-25 2026-10-26");
	becomes_at(1774736999, "{tomorrow} {yesterday}", "2026-03-29 2026-03-27");
	in_zone("UTC");
}

static void values_are_one_part(void **state)
{
	becomes("a/{day}", "a/monday");
	becomes("a/{param:day}.{parameters[day]}", "a/monday.monday");
	becomes("x{path}", "x..%2Fa%2Fb");
	becomes("{p%}", "x%0Ay");
	becomes("{param:date}-{param:name}", "never-value");
	becomes("{name}-{version}-{id}-{hash}", "make%2Freport-1.0-0123-0123");
	setenv("MEMOFS_T_SET", "a/%", 1);
	becomes("{env:MEMOFS_T_SET}", "a%2F%25");
	becomes("{{{day}}}", "{monday}");
	becomes("{{}}", "{}");
	becomes("plain/path", "plain/path");
}

static void user_and_host_are_one_part_each(void **state)
{
	struct errmsg err = {""};
	struct buf path = BUF_INIT;

	assert_int_equal(expand("{user}@{host}", NULL, NOW_S, &path, &err), 0);
	assert_true(path.len >= 3);
	assert_null(memchr(path.data, '/', path.len));
	buf_deinit(&path);
}

static void what_is_no_field_is_named(void **state)
{
	refuses("{dat}", "did you mean {date}");
	refuses("{dya}", "did you mean {day}");
	refuses("{x}", "\"x\" is no field");
	refuses("{}", "\"\" is no field");
	refuses("{day[0]}", "is no field");
	refuses("{param:dya}", "\"dya\"");
	refuses("{parameters[x]}", "\"x\"");
	refuses("{parameters[day}", "is no field");
	refuses("{env:HOME}", "not declared");
	refuses("{version}", "--version");
	unsetenv("MEMOFS_T_UNSET");
	refuses("{env:MEMOFS_T_UNSET}", "not set");
	refuses("{day:%A}", "only dates");
	refuses("{name:x}", "only dates");
	refuses("{date:}", "format");
}

static void braces_come_in_pairs(void **state)
{
	refuses("{", "brace");
	refuses("}", "brace");
	refuses("a}b", "brace");
	refuses("{date", "brace");
	refuses("{{date}", "brace");
	refuses("{da{te}}", "brace");
}

static void only_paths_below_the_cache_are_made(void **state)
{
	char longest[600];

	refuses("", "empty");
	refuses("/a", "absolute");
	refuses("a//b", "empty part");
	refuses("a/", "empty part");
	refuses("{empty}", "empty");
	refuses("a/{empty}/b", "empty part");
	refuses("..", "..");
	refuses("a/../b", "..");
	refuses("{dots}/x", "..");
	refuses("./a", "`.`");
	refuses("a/.memofs", ".memofs");
	refuses("a/.memofs/b", ".memofs");
	memset(longest, 'x', sizeof(longest));
	longest[256] = '\0';
	refuses(longest, "255");
	longest[255] = '\0';
	becomes(longest, longest);
	becomes(".memofsx/...", ".memofsx/...");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(dates_are_those_of_the_clock),
	    cmocka_unit_test(the_zone_is_that_of_tz),
	    cmocka_unit_test(values_are_one_part),
	    cmocka_unit_test(user_and_host_are_one_part_each),
	    cmocka_unit_test(what_is_no_field_is_named),
	    cmocka_unit_test(braces_come_in_pairs),
	    cmocka_unit_test(only_paths_below_the_cache_are_made),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
