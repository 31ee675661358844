/* SPDX-License-Identifier: Apache-2.0 */
/* The text of reservations: what is written and what is read. */
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

#include "fs/reservation_text.h"

#define SEC NSEC_PER_SEC

static int parse(const char *text, struct reservation_command *ret_cmd)
{
	struct errmsg err;

	return reservation_parse(text, strlen(text), ret_cmd, &err);
}

static void test_commands(void **state)
{
	static const struct {
		const char *text, *owner;
		enum reservation_verb verb;
		int64_t duration_ns;
	} rows[] = {
	    {"me", "me", RESERVATION_TAKE, DURATION_UNSET},
	    {"me\n", "me", RESERVATION_TAKE, DURATION_UNSET},
	    {" \t me \n", "me", RESERVATION_TAKE, DURATION_UNSET},
	    {"me 60s", "me", RESERVATION_TAKE, 60 * SEC},
	    {"me\t60s\n", "me", RESERVATION_TAKE, 60 * SEC},
	    {"me 90", "me", RESERVATION_TAKE, 90 * SEC},
	    {"me 1h 30m", "me", RESERVATION_TAKE, 5400 * SEC},
	    {"me PT0.5S", "me", RESERVATION_TAKE, SEC / 2},
	    {"me 1ns", "me", RESERVATION_TAKE, 1},
	    {"me 366d", "me", RESERVATION_TAKE, STORE_LEASE_MAX_NS},
	    {"me 0", "me", RESERVATION_RELEASE, 0},
	    {"me 0s", "me", RESERVATION_RELEASE, 0},
	    {"me PT0S\n", "me", RESERVATION_RELEASE, 0},
	    {"0 0", "0", RESERVATION_RELEASE, 0},
	    {"freeze 1s", "freeze", RESERVATION_TAKE, SEC},
	    {"holder=x 1s", "holder=x", RESERVATION_TAKE, SEC},
	    {"ünïcøde/€ 1s", "ünïcøde/€", RESERVATION_TAKE, SEC},
	    {"none", "none", RESERVATION_TAKE, DURATION_UNSET},
	};
	struct reservation_command cmd;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		print_message("\"%s\"\n", rows[i].text);
		assert_int_equal(parse(rows[i].text, &cmd), 0);
		assert_int_equal(cmd.verb, rows[i].verb);
		assert_string_equal(cmd.owner, rows[i].owner);
		assert_int_equal(cmd.duration_ns, rows[i].duration_ns);
	}
}

static void test_what_a_copy_brings(void **state)
{
	static const char *const rows[] = {
	    "free",
	    "free\n",
	    "free\nfailed 1.000000000 exit status 1 of sort (pid 1)\n",
	    "held owner=me since=1.000000000 expires=2.000000000 token=7",
	    "held owner=sh:1#2 since=1.000000000 expires=none token=7\n"
	    "writing pid=1 comm=sh uid=0 bytes=3 since=1.000000000\n",
	};
	struct reservation_command cmd;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(parse(rows[i], &cmd), 0);
		assert_int_equal(cmd.verb, RESERVATION_NOTHING);
	}
}

static void test_refused(void **state)
{
	static const char *const rows[] = {
	    "",
	    " \n",
	    "free 60s",
	    "held 60s",
	    "held",
	    "me none",
	    "me -1",
	    "me 367d",
	    "me 5 parsecs",
	    "me 60s 60s",
	    "me 60s you",
	    "me 1h\n0",
	    "a\001b 1s",
	    "a\xff 1s",
	    "me 1y",
	    "me 0x10",
	    "me 1e3",
	    "me nan",
	    "me inf",
	    "me 1..5",
	    "me -0",
	    "a\033[31m 1s",
	    "a\xc2\xa0"
	    "b 1s",
	    "me 99999999999999999999",
	};
	struct reservation_command cmd = {.owner = "untouched"};
	struct errmsg err;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		print_message("\"%s\"\n", rows[i]);
		err.text[0] = '\0';
		assert_int_equal(reservation_parse(rows[i], strlen(rows[i]), &cmd, &err),
				 -EINVAL);
		assert_true(strlen(err.text) > 20);
		assert_string_equal(cmd.owner, "untouched");
	}
}

static void test_lengths(void **state)
{
	char text[RESERVATION_TEXT_MAX + 2];
	struct reservation_command cmd;

	memset(text, 'x', sizeof(text));
	assert_int_equal(reservation_parse(text, STORE_OWNER_MAX, &cmd, NULL), 0);
	assert_int_equal(strlen(cmd.owner), STORE_OWNER_MAX);
	assert_int_equal(reservation_parse(text, STORE_OWNER_MAX + 1, &cmd, NULL),
			 -EINVAL);
	assert_int_equal(reservation_parse(text, sizeof(text), &cmd, NULL), -EINVAL);
	/* White space around it is no part of it. */
	memset(text, ' ', sizeof(text));
	text[sizeof(text) - 1] = 'x';
	assert_int_equal(reservation_parse(text, sizeof(text), &cmd, NULL), 0);
	/* A NUL is not where it ends. */
	assert_int_equal(reservation_parse("me\0", 3, &cmd, NULL), -EINVAL);
	assert_int_equal(reservation_parse("me 1s\0", 6, &cmd, NULL), -EINVAL);
}

static void check_format(const struct store_lease *lease, const char *want)
{
	struct buf text = BUF_INIT;

	assert_int_equal(reservation_format(lease, &text), 0);
	assert_int_equal(buf_append(&text, "", 1), 0);
	assert_string_equal((const char *)text.data, want);
	buf_deinit(&text);
}

static void test_format(void **state)
{
	struct store_lease lease = {
	    .owner = "me",
	    .token = 18446744073709551615u,
	    .since_ns = 1 * SEC + 5,
	    .expires_ns = 61 * SEC,
	};

	check_format(NULL, "free");
	check_format(&lease, "held owner=me since=1.000000005 expires=61.000000000 "
			     "token=18446744073709551615");
	lease.expires_ns = DURATION_NONE;
	check_format(&lease, "held owner=me since=1.000000005 expires=none "
			     "token=18446744073709551615");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_commands),
	    cmocka_unit_test(test_refused),
	    cmocka_unit_test(test_what_a_copy_brings),
	    cmocka_unit_test(test_lengths),
	    cmocka_unit_test(test_format),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
