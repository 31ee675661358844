/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands read: arguments, paths, mountinfo, status, attributes. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>

#include <cmocka.h>

#include "cli/attrs.h"
#include "cli/command.h"
#include "cli/entry.h"
#include "cli/mounts.h"
#include "cli/paths.h"
#include "cli/policy.h"
#include "cli/probe.h"
#include "store/util/duration.h"

/* ---- mountinfo ----------------------------------------------------------- */

static const char mountinfo[] =
    "22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw\n"
    "30 22 0:40 / /mnt/a\\040b rw,nosuid - fuse.memofs /var/my\\011store rw,user_id=0\n"
    "31 22 0:41 / /mnt/x rw shared:2 master:3 - tmpfs tmpfs rw\n"
    "not a line\n"
    "32 31 0:42 / /mnt/x rw - fuse.memofs s rw\n"
    "33 32 0:43 / /mnt/x/y rw - fuse.memofs s rw\n"
    "34 22 0:44 / /mnt/bs\\134040 rw - fuse.other s rw\n";

static void parse(struct mounts *ret_mounts)
{
	FILE *in = fmemopen((void *)mountinfo, sizeof(mountinfo) - 1, "r");

	*ret_mounts = MOUNTS_INIT;
	mounts_parse(in, ret_mounts);
	fclose(in);
}

static void mountinfo_is_read(void **state)
{
	struct mounts ms;
	const struct mount *m;

	parse(&ms);
	assert_int_equal(ms.n, 6);
	m = mounts_at(&ms, "/mnt/a b");
	assert_non_null(m);
	assert_string_equal(m->source, "/var/my\tstore");
	assert_int_equal(m->dev, makedev(0, 40));
	assert_true(mount_is_memofs(m));
	assert_ptr_equal(mounts_of_dev(&ms, makedev(0, 40)), m);
	assert_string_equal(m->fs_options, "rw,user_id=0");
	/* A backslash in the name is not an escape twice over. */
	assert_non_null(mounts_at(&ms, "/mnt/bs\\040"));
	assert_null(mounts_at(&ms, "/mnt"));
	assert_null(mounts_of_dev(&ms, makedev(254, 0))); /* not memofs */
	mounts_deinit(&ms);
}

static void the_mount_of_a_path_is_the_innermost(void **state)
{
	struct mounts ms;

	parse(&ms);
	assert_int_equal(mounts_over(&ms, "/")->id, 22);
	assert_int_equal(mounts_over(&ms, "/mnt/a")->id, 22);
	assert_int_equal(mounts_over(&ms, "/mnt/a b/k/l")->id, 30);
	assert_int_equal(mounts_over(&ms, "/mnt/x")->id, 32); /* on top of 31 */
	assert_int_equal(mounts_over(&ms, "/mnt/xx")->id, 22);
	assert_int_equal(mounts_over(&ms, "/mnt/x/y/z")->id, 33);
	assert_int_equal(mounts_inside(&ms, mounts_at(&ms, "/mnt/x"))->id, 33);
	assert_null(mounts_inside(&ms, mounts_at(&ms, "/mnt/a b")));
	mounts_deinit(&ms);
}

/* ---- paths ------------------------------------------------------------------ */

static void assert_taken(char *got, const char *want)
{
	assert_string_equal(got, want);
	free(got);
}

static void paths_are_taken_apart(void **state)
{
	assert_taken(path_absolute("/"), "/");
	assert_taken(path_absolute("//a/./b//c/"), "/a/b/c");
	assert_taken(path_absolute("/a/b/../../.."), "/");
	assert_taken(path_absolute("/a/..b/...c"), "/a/..b/...c");
	assert_taken(path_parent("/a/b"), "/a");
	assert_taken(path_parent("/a/b//"), "/a");
	assert_taken(path_parent("/a"), "/");
	assert_taken(path_parent("/"), "/");
	assert_taken(path_parent("a"), ".");
	assert_taken(path_parent("a//b"), "a");
	assert_taken(path_join(".", "k"), "k");
	assert_taken(path_join("/", "k"), "/k");
	assert_taken(path_join("d", "k"), "d/k");
	assert_string_equal(path_base("a/b"), "b");
	assert_string_equal(path_base("a/"), "");
	assert_string_equal(path_base("a"), "a");
}

static void what_is_not_in_a_mount_is_told(void **state)
{
	assert_int_equal(path_check_inside("/proc/self/status"), CLI_MOUNT);
	assert_int_equal(path_check_inside("/proc/none/such"), CLI_MOUNT);
}

/* ---- attributes and status ----------------------------------------------------- */

static void seconds_are_exact(void **state)
{
	static const struct {
		const char *text;
		int r;
		int64_t ns;
	} rows[] = {
	    {"0", 0, 0},
	    {"1790000000.123456789", 0, INT64_C(1790000000123456789)},
	    {"12.5", 0, INT64_C(12500000000)},
	    {"-0.25", 0, -250000000},
	    {"1.0000000019", 0, 1000000001}, /* finer than a nanosecond: cut */
	    {"9223372035", 0, INT64_C(9223372035000000000)},
	    {"never", 0, DURATION_NONE},
	    {"", -EINVAL, 7},
	    {"-", -EINVAL, 7},
	    {".5", -EINVAL, 7},
	    {"1x", -EINVAL, 7},
	    {"1.2.3", -EINVAL, 7},
	    {"99999999999999999999", -EINVAL, 7},
	    {" 1", -EINVAL, 7},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		int64_t ns = 7;

		assert_int_equal(attr_seconds_parse(rows[i].text, &ns), rows[i].r);
		assert_true(ns == rows[i].ns);
	}
}

static void parse_status(const char *text, struct status *ret_status)
{
	struct buf b = BUF_INIT;

	assert_int_equal(buf_append(&b, text, strlen(text)), 0);
	status_parse(&b, ret_status);
	assert_null(b.data); /* taken over */
}

static void status_is_read(void **state)
{
	struct status st;

	parse_status("version: 0.1.0\npid: 12\nstore: /a: b\n\nnonsense\nempty:\n", &st);
	assert_int_equal(st.n, 4);
	assert_string_equal(status_value(&st, "store"), "/a: b");
	assert_string_equal(status_value(&st, "empty"), "");
	assert_null(status_value(&st, "nonsense"));
	assert_int_equal(status_pid(&st), 12);
	status_deinit(&st);

	parse_status("pid: 12x\n", &st);
	assert_int_equal(status_pid(&st), 0);
	status_deinit(&st);
	parse_status("pid: 99999999999\n", &st);
	assert_int_equal(status_pid(&st), 0);
	status_deinit(&st);
	parse_status("", &st);
	assert_int_equal(st.n, 0);
	assert_int_equal(status_pid(&st), 0);
	status_deinit(&st);
}

/* ---- policies -------------------------------------------------------------------- */

static void policies_are_words(void **state)
{
	char *good[] = {(char *)"ttl=1h", (char *)"version=", (char *)"mode=0750"};
	char *const bad[] = {
	    (char *)"tll=1h",	     (char *)"ttl",	  (char *)"ttl=5 parsecs",
	    (char *)"mode=9",	     (char *)"mode=",	  (char *)"mode=17777",
	    (char *)"version-x=abc", (char *)"=",	  (char *)"",
	    (char *)"mode=0755x",    (char *)"ttlx=none",
	};
	struct policy p = {.ttl = "kept"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		char *words[] = {(char *)"version=v2", bad[i]};

		assert_int_equal(policy_parse(words, 2, &p), -EINVAL);
		assert_string_equal(p.ttl, "kept");
		assert_null(p.version);
	}
	assert_int_equal(policy_parse(good, 3, &p), 0);
	assert_string_equal(p.ttl, "1h");
	assert_string_equal(p.version, "");
	assert_true(p.has_mode);
	assert_int_equal(p.mode, 0750);
}

/* ---- options ----------------------------------------------------------------------- */

struct sample {
	bool flag;
	const char *text;
	struct cli_list list;
	struct cli_duration span;
	struct cli_mode mode;
	int choice;
};

static const char *const choices[] = {"name", "size", "age", NULL};
static const struct cli_option sample_options[] = {
    {'f', "flag", CLI_FLAG, offsetof(struct sample, flag), NULL, "", NULL},
    {0, "text", CLI_STRING, offsetof(struct sample, text), "T", "", NULL},
    {'o', "option", CLI_LIST, offsetof(struct sample, list), "O", "", NULL},
    {'t', "ttl", CLI_DURATION, offsetof(struct sample, span), "D", "", NULL},
    {'m', "mode", CLI_MODE, offsetof(struct sample, mode), "M", "", NULL},
    {'s', "sort", CLI_CHOICE, offsetof(struct sample, choice), "S", "", choices},
    CLI_END,
};
static const struct command sample_command = {
    .name = "sample",
    .args = "",
    .options = sample_options,
    .options_size = sizeof(struct sample),
};

/* Parse words up to NULL; `ret` is zeroed first. */
static int parse_words(struct sample *ret, int *ret_first, const char *const *words)
{
	char *argv[16] = {(char *)"sample"};
	int argc = 1;

	for (; *words; words++)
		argv[argc++] = (char *)*words;
	memset(ret, 0, sizeof(*ret));
	return options_parse(&sample_command, argc, argv, ret, ret_first);
}

#define PARSE(...) parse_words(&s, &first, (const char *const[]){__VA_ARGS__, NULL})

static void options_are_stored(void **state)
{
	struct sample s;
	int first = 0;

	assert_int_equal(PARSE("-f", "--text=x", "-o", "a=1", "-ob", "--ttl", "90s",
			       "--mode=0750", "--sort", "age", "p", "q"),
			 0);
	assert_true(s.flag);
	assert_string_equal(s.text, "x");
	assert_int_equal(s.list.len, 2);
	assert_string_equal(s.list.item[0], "a=1");
	assert_string_equal(s.list.item[1], "b");
	assert_string_equal(s.span.text, "90s");
	assert_true(s.span.ns == 90 * NSEC_PER_SEC);
	assert_true(s.mode.set);
	assert_int_equal(s.mode.mode, 0750);
	assert_int_equal(s.choice, 2);
	assert_int_equal(first, 11);

	/* Options may follow operands; what follows -- is none. */
	assert_int_equal(PARSE("p", "-f", "--", "-x"), 0);
	assert_true(s.flag);
	assert_int_equal(first, 3);
	assert_int_equal(PARSE("--fl"), 0); /* an unambiguous beginning */
	assert_true(s.flag);
	assert_int_equal(PARSE("--help"), 1);
	assert_int_equal(PARSE("-h"), 1);
}

static void wrong_options_are_refused(void **state)
{
	struct sample s;
	int first = 7;

	assert_int_equal(PARSE("--flga"), -EINVAL);
	assert_int_equal(PARSE("-x"), -EINVAL);
	assert_int_equal(PARSE("--flag=1"), -EINVAL);
	assert_int_equal(PARSE("--help=1"), -EINVAL);
	assert_int_equal(PARSE("--text"), -EINVAL);
	assert_int_equal(PARSE("-o"), -EINVAL);
	assert_int_equal(PARSE("--t", "1s"), -EINVAL); /* text or ttl */
	assert_int_equal(PARSE("--ttl", "-1s"), -EINVAL);
	assert_int_equal(PARSE("--ttl", ""), -EINVAL);
	assert_int_equal(PARSE("--mode", "8"), -EINVAL);
	assert_int_equal(PARSE("--mode", "-1"), -EINVAL);
	assert_int_equal(PARSE("--mode", "10000"), -EINVAL);
	assert_int_equal(PARSE("--mode", ""), -EINVAL);
	assert_int_equal(PARSE("--sort", "agee"), -EINVAL);
	assert_int_equal(PARSE("--sort", ""), -EINVAL);
	assert_int_equal(first, 7);
}

/* ---- order
 * ----------------------------------------------------------------------------- */

static void listings_are_in_order(void **state)
{
	struct entry list[] = {
	    {.name = (char *)"b",
	     .mode = S_IFREG,
	     .size_bytes = 1,
	     .created_ns = 30,
	     .expires_ns = DURATION_NONE,
	     .hits = 2},
	    {.name = (char *)"a",
	     .mode = S_IFREG,
	     .size_bytes = 3,
	     .created_ns = 10,
	     .expires_ns = 50,
	     .hits = 2},
	    {.name = (char *)"d",
	     .mode = S_IFDIR,
	     .size_bytes = 9,
	     .created_ns = ENTRY_UNKNOWN,
	     .expires_ns = ENTRY_UNKNOWN,
	     .hits = ENTRY_UNKNOWN},
	    {.name = (char *)"c",
	     .mode = S_IFREG,
	     .size_bytes = 2,
	     .created_ns = 20,
	     .expires_ns = 40,
	     .hits = 9},
	};
	static const char *const want[] = {
	    [ENTRY_BY_NAME] = "abcd", [ENTRY_BY_SIZE] = "acbd",
	    [ENTRY_BY_AGE] = "bcad",  [ENTRY_BY_EXPIRES] = "cabd",
	    [ENTRY_BY_HITS] = "cabd",
	};
	struct entries es = {.list = list, .n = 4};

	for (int by = ENTRY_BY_NAME; by <= ENTRY_BY_HITS; by++) {
		for (int reverse = 0; reverse < 2; reverse++) {
			entries_sort(&es, (enum entry_sort)by, reverse);
			for (size_t i = 0; i < 4; i++)
				assert_int_equal(*list[i].name,
						 want[by][reverse ? 3 - i : i]);
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(mountinfo_is_read),
	    cmocka_unit_test(the_mount_of_a_path_is_the_innermost),
	    cmocka_unit_test(paths_are_taken_apart),
	    cmocka_unit_test(what_is_not_in_a_mount_is_told),
	    cmocka_unit_test(seconds_are_exact),
	    cmocka_unit_test(status_is_read),
	    cmocka_unit_test(policies_are_words),
	    cmocka_unit_test(options_are_stored),
	    cmocka_unit_test(wrong_options_are_refused),
	    cmocka_unit_test(listings_are_in_order),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
