/* SPDX-License-Identifier: Apache-2.0 */
/* The small parts of `memofs run`: lists of exit codes, the order of output, what a
 * stored result says, and which results are computed above. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/run/exitcodes.h"
#include "cli/run/recording.h"
#include "cli/run/result.h"
#include "cli/run/running.h"

static struct exit_codes codes_of(const char *text)
{
	struct exit_codes codes;
	struct errmsg err = {""};

	if (exit_codes_parse(text, &codes, &err))
		fail_msg("\"%s\": %s", text, err.text);
	return codes;
}

static void test_exit_codes(void **state)
{
	static const struct {
		const char *text;
		int in[4], out[4]; /* -1 ends */
	} rows[] = {
	    {NULL, {0, -1}, {1, 2, 255, -1}},
	    {"0", {0, -1}, {1, 255, -1}},
	    {"1", {1, -1}, {0, 2, -1}},
	    {"0,1,10-12", {0, 1, 10, 12}, {2, 9, 13, 255}},
	    {"63-64", {63, 64, -1}, {62, 65, -1}},
	    {"255", {255, -1}, {0, 254, -1}},
	    {"any", {0, 1, 128, 255}, {256, -1}},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct exit_codes codes = codes_of(rows[i].text);

		for (int j = 0; j < 4 && rows[i].in[j] >= 0; j++)
			assert_true(exit_codes_have(&codes, rows[i].in[j]));
		for (int j = 0; j < 4 && rows[i].out[j] >= 0; j++)
			assert_false(exit_codes_have(&codes, rows[i].out[j]));
		assert_false(exit_codes_have(&codes, -1));
	}
}

static void test_exit_codes_refused(void **state)
{
	static const char *const texts[] = {
	    "",
	    ",",
	    "0,",
	    ",0",
	    "256",
	    "-1",
	    "1-",
	    "3-2",
	    "0 1",
	    "a",
	    "0x1",
	    "any,0",
	    "1--2",
	    "+1",
	    " 1",
	    "1-2-3",
	    "99999999999999999999",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		struct exit_codes codes;
		struct errmsg err = {""};

		if (exit_codes_parse(texts[i], &codes, &err) != -EINVAL)
			fail_msg("\"%s\" was accepted", texts[i]);
		assert_non_null(strstr(err.text, "--cache-exit"));
	}
}

/* ---- order ---- */

static int next(const char *text, size_t *at, enum stream *from, uint64_t *len)
{
	return order_next(slice(text, strlen(text)), at, from, len);
}

static void test_order(void **state)
{
	static const char text[] = "1 5\n2 1\n1 18446744073709551\n";
	enum stream from;
	uint64_t len;
	size_t at = 0;

	assert_int_equal(next(text, &at, &from, &len), 0);
	assert_int_equal(from, STREAM_OUT);
	assert_int_equal(len, 5);
	assert_int_equal(next(text, &at, &from, &len), 0);
	assert_int_equal(from, STREAM_ERR);
	assert_int_equal(len, 1);
	assert_int_equal(next(text, &at, &from, &len), 0);
	assert_int_equal(len, 18446744073709551U);
	assert_int_equal(next(text, &at, &from, &len), -ENOENT);
	at = 0;
	assert_int_equal(next("", &at, &from, &len), -ENOENT);
}

static void test_order_damaged(void **state)
{
	static const char *const texts[] = {
	    "1",      "1 ",
	    "1 \n",   "1 5",
	    "3 5\n",  "0 5\n",
	    "1 0\n",  "1 -5\n",
	    "1 5x\n", " 1 5\n",
	    "1  5\n", "1\t5\n",
	    "\n",     "1 99999999999999999999999\n",
	};

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		enum stream from = STREAM_ERR;
		uint64_t len = 42;
		size_t at = 0;

		if (next(texts[i], &at, &from, &len) != -EBADMSG)
			fail_msg("\"%s\" was accepted", texts[i]);
		assert_int_equal(at, 0);
		assert_int_equal(len, 42);
	}
}

static void test_recording_joins_runs(void **state)
{
	CLEANUP_RECORDING struct recording rec = RECORDING_INIT;

	recording_add(&rec, STREAM_OUT, "ab", 2);
	recording_add(&rec, STREAM_OUT, "c", 1);
	recording_add(&rec, STREAM_ERR, "e", 1);
	recording_add(&rec, STREAM_OUT, "d", 1);
	assert_int_equal(rec.failed, 0);
	assert_memory_equal(rec.bytes[STREAM_OUT].memory.data, "abcd", 4);
	assert_memory_equal(rec.bytes[STREAM_ERR].memory.data, "e", 1);
	assert_int_equal(rec.order.memory.len, strlen("1 3\n2 1\n"));
	assert_memory_equal(rec.order.memory.data, "1 3\n2 1\n", rec.order.memory.len);
}

/* What is more than the memory is for goes to a file, from its first byte. */
static void test_spool_in_a_file(void **state)
{
	CLEANUP_RECORDING struct recording rec = RECORDING_INIT;
	struct spool *s = &rec.bytes[STREAM_OUT];
	static char block[65536], got[65536];
	size_t n = SPOOL_MEMORY_BYTES / sizeof(block) + 2;

	for (size_t i = 0; i < n; i++) {
		memset(block, (int)i, sizeof(block));
		recording_add(&rec, STREAM_OUT, block, sizeof(block));
	}
	assert_int_equal(rec.failed, 0);
	assert_true(s->fd >= 0);
	assert_int_equal(s->memory.len, 0);
	assert_int_equal(s->size_bytes, n * sizeof(block));
	for (size_t i = 0; i < n; i++) {
		memset(block, (int)i, sizeof(block));
		assert_int_equal(pread(s->fd, got, sizeof(got), (off_t)(i * sizeof(got))),
				 sizeof(got));
		assert_memory_equal(got, block, sizeof(got));
	}
}

static void test_spool_without_room(void **state)
{
	CLEANUP_RECORDING struct recording rec = RECORDING_INIT;
	static char block[65536];

	setenv("TMPDIR", "/nonexistent", 1);
	for (size_t i = 0; i <= SPOOL_MEMORY_BYTES / sizeof(block); i++)
		recording_add(&rec, STREAM_OUT, block, sizeof(block));
	unsetenv("TMPDIR");
	assert_int_equal(rec.failed, -ENOENT);
	/* It stays so: what follows has a hole before it. */
	recording_add(&rec, STREAM_ERR, "x", 1);
	assert_int_equal(rec.failed, -ENOENT);
	assert_int_equal(rec.bytes[STREAM_ERR].size_bytes, 0);
}

/* ---- result ---- */

static void test_result(void **state)
{
	static const char text[] = "exit 3\nseconds 12.500000001\nlater words\nword\n";
	struct result result;

	assert_int_equal(result_parse(slice(text, strlen(text)), &result), 0);
	assert_int_equal(result.exit_code, 3);
	assert_int_equal(result.ran_ns, 12500000001);
}

static void test_result_damaged(void **state)
{
	static const char *const texts[] = {
	    "",		  "seconds 1\n", "exit\n",
	    "exit \n",	  "exit 256\n",	 "exit -1\n",
	    "exit 0x1\n", "exit 1 2\n",	 "exit 0\nseconds x\n"};

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		struct result result = {.exit_code = 42};

		if (result_parse(slice(texts[i], strlen(texts[i])), &result) != -EBADMSG)
			fail_msg("\"%s\" was accepted", texts[i]);
		assert_int_equal(result.exit_code, 42);
	}
}

/* ---- running ---- */

static void test_running(void **state)
{
	unsetenv("MEMOFS_RUNNING");
	assert_false(running_has("/usr", "a/b"));
	running_add("/usr", "a/b");
	running_add("/usr", "line\nbreak");
	assert_true(running_has("/usr", "a/b"));
	assert_true(running_has("/usr", "line\nbreak"));
	assert_false(running_has("/usr", "a"));
	assert_false(running_has("/usr", "a/bb"));
	assert_false(running_has("/etc", "a/b"));
	assert_false(running_has("/usr", "line"));
	/* By another name. */
	assert_true(running_has("/usr/../usr/.", "a/b"));
	unsetenv("MEMOFS_RUNNING");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_exit_codes),
	    cmocka_unit_test(test_exit_codes_refused),
	    cmocka_unit_test(test_order),
	    cmocka_unit_test(test_order_damaged),
	    cmocka_unit_test(test_recording_joins_runs),
	    cmocka_unit_test(test_spool_in_a_file),
	    cmocka_unit_test(test_spool_without_room),
	    cmocka_unit_test(test_result),
	    cmocka_unit_test(test_result_damaged),
	    cmocka_unit_test(test_running),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
