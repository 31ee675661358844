/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands for reservations read and write: IDs, views, the text. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/command.h"
#include "cli/owner.h"
#include "cli/policy.h"
#include "cli/reservation.h"
#include "cli/viewpath.h"
#include "store/util/duration.h"

/* ---- IDs ------------------------------------------------------------------- */

static void ids_are_words(void **state)
{
	char longest[OWNER_MAX + 2];

	memset(longest, 'x', sizeof(longest));
	longest[OWNER_MAX + 1] = '\0';
	assert_false(owner_valid(longest));
	longest[OWNER_MAX] = '\0';
	assert_true(owner_valid(longest));
	assert_true(owner_valid("build@web1:4711:9f86d081884c7d65"));
	assert_true(owner_valid("a,b/c%d=\xc3\xa9"));
	assert_true(owner_valid("freedom"));
	assert_false(owner_valid(""));
	assert_false(owner_valid("free"));
	assert_false(owner_valid("held"));
	assert_false(owner_valid("a b"));
	assert_false(owner_valid("a\tb"));
	assert_false(owner_valid("a\x7f"));
	assert_false(owner_valid("a\xc2\xa0")); /* a blank that does not break */
	assert_false(owner_valid("a\xff"));
}

static void made_ids_differ(void **state)
{
	char *a = owner_new(), *b = owner_new();

	assert_non_null(a);
	assert_non_null(b);
	assert_string_not_equal(a, b);
	assert_true(owner_valid(a));
	assert_int_equal(strcspn(a, ",/% '\"$"), strlen(a)); /* needs no quotes */
	free(a);
	free(b);
}

static void an_id_is_given_or_of_the_environment(void **state)
{
	unsetenv("MEMOFS_OWNER");
	assert_null(owner_find("x", NULL));
	assert_string_equal(owner_find("x", "me"), "me");
	setenv("MEMOFS_OWNER", "us", 1);
	assert_string_equal(owner_find("x", NULL), "us");
	assert_string_equal(owner_find("x", "me"), "me");
	assert_null(owner_find("x", ""));
	setenv("MEMOFS_OWNER", "", 1);
	assert_null(owner_find("x", NULL));
	unsetenv("MEMOFS_OWNER");
}

/* ---- views --------------------------------------------------------------------- */

static void view_is(const char *path, const char *value, const char *want)
{
	CLEANUP_BUF struct buf options = BUF_INIT;
	char *view;

	view_option(&options, "owner", value);
	view_option(&options, "ro", NULL);
	view = view_path(path, &options);
	assert_string_equal(view, want);
	free(view);
}

static void options_of_a_view_are_encoded(void **state)
{
	view_is("k", "me", "./.memofs/view/owner=me,ro/k");
	view_is("/m/ns/k", "a,b/c%d=e", "/m/ns/.memofs/view/owner=a%2Cb%2Fc%25d=e,ro/k");
	view_is("ns//k", "\xc3\xa9\n", "ns/.memofs/view/owner=\xc3\xa9%0A,ro/k");
	view_is("/k", "", "//.memofs/view/owner=,ro/k");
}

/* ---- the text ------------------------------------------------------------------- */

static void a_reservation_is_read(void **state)
{
	struct reservation rv = RESERVATION_INIT;

	assert_int_equal(reservation_parse("held owner=a=b since=12.5 expires=72.5 "
					   "token=18446744073709551615",
					   &rv),
			 0);
	assert_string_equal(rv.owner, "a=b");
	assert_true(rv.since_ns == 25 * NSEC_PER_SEC / 2);
	assert_true(rv.expires_ns == 145 * NSEC_PER_SEC / 2);
	assert_true(rv.token == UINT64_MAX);
	assert_false(rv.writing);
	assert_null(rv.writer);
	assert_null(rv.failure);
	reservation_deinit(&rv);

	assert_int_equal(reservation_parse("free", &rv), 0);
	assert_null(rv.owner);
	reservation_deinit(&rv);
}

/* The file; the time of the writing line is not that of the reservation. */
static void lines_about_writers_and_failures_are_read(void **state)
{
	struct reservation rv = RESERVATION_INIT;

	assert_int_equal(
	    reservation_parse("held owner=sh:9#4 since=5 expires=none token=4\n"
			      "writing pid=9 comm=sh uid=0 bytes=3 since=6\n"
			      "failed 7.25 exit status 1 of owner=x (pid 3)\n",
			      &rv),
	    0);
	assert_string_equal(rv.owner, "sh:9#4");
	assert_true(rv.expires_ns == DURATION_NONE);
	assert_true(rv.since_ns == 5 * NSEC_PER_SEC);
	assert_true(rv.writing);
	assert_string_equal(rv.writer, "pid=9 comm=sh uid=0 bytes=3 since=6");
	assert_string_equal(rv.failure, "exit status 1 of owner=x (pid 3)");
	assert_true(rv.failure_ns == 29 * NSEC_PER_SEC / 4);
	reservation_deinit(&rv);

	assert_int_equal(reservation_parse("free\nfailed 7 why\n", &rv), 0);
	assert_null(rv.owner);
	assert_string_equal(rv.failure, "why");
	reservation_deinit(&rv);
}

static void other_texts_are_refused(void **state)
{
	static const char *const texts[] = {
	    "",
	    "freed",
	    "hel",
	    "held",
	    "held since=1 expires=2 token=3", /* by whom? */
	    "held owner=a since=x expires=2 token=3",
	    "held owner=a since=1 expires=2 token=-3",
	    "held owner=a since=1 expires=2 token=3x",
	    "free owner=a",
	    "free\nfailed soon why",
	    "free\nfailed 7",
	};
	struct reservation rv = RESERVATION_INIT;

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++)
		assert_int_equal(reservation_parse(texts[i], &rv), -EINVAL);
	assert_null(rv.owner);
}

/* ---- options ---------------------------------------------------------------------- */

static const struct cli_option wait_options[] = {
    {'w', "wait", CLI_WAIT, 0, "D", "", NULL},
    CLI_END,
};
static const struct command wait_command = {
    .name = "sample",
    .args = "",
    .options = wait_options,
    .options_size = sizeof(struct cli_duration),
};

static int parse_wait(const char *a, const char *b, struct cli_duration *ret)
{
	char *argv[] = {(char *)"sample", (char *)a, (char *)b, NULL};
	int first = 0;

	*ret = (struct cli_duration){.text = NULL};
	if (options_parse(&wait_command, 3, argv, ret, &first))
		return -EINVAL;
	return first;
}

static void an_option_may_have_no_argument(void **state)
{
	struct cli_duration d;

	assert_int_equal(parse_wait("--wait", "k", &d), 2);
	assert_string_equal(d.text, "");
	assert_int_equal(parse_wait("--wait=2s", "k", &d), 2);
	assert_true(d.ns == 2 * NSEC_PER_SEC);
	assert_int_equal(parse_wait("-w", "2s", &d), 3);
	assert_true(d.ns == 2 * NSEC_PER_SEC);
	assert_int_equal(parse_wait("k", "l", &d), 1);
	assert_null(d.text);
	assert_int_equal(parse_wait("--wait=", "k", &d), -EINVAL);
	assert_int_equal(parse_wait("--wait=soon", "k", &d), -EINVAL);
}

static void policies_of_reservations_are_words(void **state)
{
	char *words[] = {(char *)"lease=5m", (char *)"wait=none",
			 (char *)"publish=always"};
	char *empty[] = {(char *)"lease=", (char *)"publish="};
	char *lease[] = {(char *)"lease=soon"}, *publish[] = {(char *)"publish=never"};
	struct policy p;

	assert_int_equal(policy_parse(words, 3, &p), 0);
	assert_string_equal(p.lease, "5m");
	assert_string_equal(p.wait, "none");
	assert_string_equal(p.publish, "always");
	assert_null(p.ttl);
	assert_int_equal(policy_parse(empty, 2, &p), 0);
	assert_string_equal(p.lease, "");
	assert_string_equal(p.publish, "");
	assert_null(p.wait);
	assert_int_equal(policy_parse(lease, 1, &p), -EINVAL);
	assert_int_equal(policy_parse(publish, 1, &p), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(ids_are_words),
	    cmocka_unit_test(made_ids_differ),
	    cmocka_unit_test(an_id_is_given_or_of_the_environment),
	    cmocka_unit_test(options_of_a_view_are_encoded),
	    cmocka_unit_test(a_reservation_is_read),
	    cmocka_unit_test(lines_about_writers_and_failures_are_read),
	    cmocka_unit_test(other_texts_are_refused),
	    cmocka_unit_test(an_option_may_have_no_argument),
	    cmocka_unit_test(policies_of_reservations_are_words),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
