/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands print: UTF-8, quoting, JSON, tables. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/json.h"
#include "cli/show.h"
#include "cli/table.h"
#include "store/util/duration.h"
#include "store/util/utf8.h"

static void utf8_takes_only_what_is_valid(void **state)
{
	static const struct {
		const char *bytes;
		size_t len; /* of the first character; 0: not valid */
		uint32_t c;
	} rows[] = {
	    {"a", 1, 'a'},
	    {"\x7f", 1, 0x7f},
	    {"\xc2\x80", 2, 0x80},
	    {"\xc3\xa4z", 2, 0xe4},
	    {"\xdf\xbf", 2, 0x7ff},
	    {"\xe0\xa0\x80", 3, 0x800},
	    {"\xef\xbf\xbf", 3, 0xffff},
	    {"\xf0\x90\x80\x80", 4, 0x10000},
	    {"\xf4\x8f\xbf\xbf", 4, 0x10ffff},
	    {"\x80", 0, 0},		/* a continuation alone */
	    {"\xc3", 0, 0},		/* cut */
	    {"\xc3z", 0, 0},		/* broken off */
	    {"\xc0\x80", 0, 0},		/* overlong */
	    {"\xc1\xbf", 0, 0},		/* overlong */
	    {"\xe0\x9f\xbf", 0, 0},	/* overlong */
	    {"\xf0\x8f\xbf\xbf", 0, 0}, /* overlong */
	    {"\xed\xa0\x80", 0, 0},	/* a surrogate */
	    {"\xf4\x90\x80\x80", 0, 0}, /* beyond Unicode */
	    {"\xf8\x88\x80\x80\x80", 0, 0},
	    {"\xff", 0, 0},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		uint32_t c = 0;

		assert_int_equal(utf8_decode(rows[i].bytes, strlen(rows[i].bytes), &c),
				 rows[i].len);
		assert_int_equal(c, rows[i].c);
	}
	assert_true(utf8_valid("", 0));
	assert_true(utf8_valid("na\xc3\xafve", 6));
	assert_false(utf8_valid("na\xc3", 3));
	assert_true(utf8_valid("a\0b", 3));
}

static void assert_shell(const char *name, const char *want)
{
	char *got = show_shell_new(name);

	assert_string_equal(got, want);
	free(got);
}

static void names_are_quoted_when_they_must_be(void **state)
{
	assert_shell("plain-1.2_x", "plain-1.2_x");
	assert_shell("dir/key", "dir/key");
	assert_shell("", "''");
	assert_shell("a b", "'a b'");
	assert_shell("it's", "'it'\\''s'");
	assert_shell("*", "'*'");
	assert_shell("~x", "'~x'");
	assert_shell("a\nb", "$'a\\nb'");
	assert_shell("it's\t\\", "$'it\\'s\\t\\\\'");
	assert_shell("\xff"
		     "1",
		     "$'\\3771'");
	assert_shell("\033[31m", "$'\\033[31m'");
	assert_shell("\xc3\xa4", "\xc3\xa4");
	assert_shell("\xc2\x9b", "$'\\302\\233'"); /* CSI as one character */
}

/* The promise of show_shell_new() itself: a shell reads every name back. */
static void a_shell_reads_every_byte_back(void **state)
{
	char name[256], back[512], *word, *command;
	size_t n = 0;
	FILE *in;

	for (int c = 1; c < 256; c++)
		name[n++] = (char)c;
	name[n] = '\0';
	word = show_shell_new(name);
	assert_true(asprintf(&command, "printf %%s %s", word) > 0);
	setenv("MEMOFS_TEST_SCRIPT", command, 1);
	in = popen("LC_ALL=C exec bash -c \"$MEMOFS_TEST_SCRIPT\"", "r");
	assert_non_null(in);
	n = fread(back, 1, sizeof(back), in);
	assert_int_equal(pclose(in), 0);
	assert_int_equal(n, 255);
	assert_memory_equal(back, name, n);
	free(command);
	free(word);
}

static void messages_hold_no_control_characters(void **state)
{
	struct buf out = BUF_INIT;

	show_printable(&out, "a\tb\033c\xff\xc3\xa4\n7");
	assert_int_equal(buf_append(&out, "", 1), 0);
	assert_string_equal((char *)out.data, "a\\tb\\033c\\377\xc3\xa4\\n7");
	buf_deinit(&out);
}

static void width_is_in_columns(void **state)
{
	assert_int_equal(show_width(""), 0);
	assert_int_equal(show_width("abc"), 3);
	assert_int_equal(show_width("\xc3\xa4"), 1);
	assert_int_equal(show_width("\xe6\xbc\xa2"), 2); /* a wide character */
	assert_int_equal(show_width("a\xcc\x88"), 1);	 /* a combining mark */
}

static void json_is_exact(void **state)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	struct json js = JSON_INIT(out);

	json_array(&js, NULL);
	json_object(&js, NULL);
	json_string(&js, "s", "q\"\\\n\177\xc2\x9b\xc3\xa4");
	json_name(&js, "good", "\xc3\xa4");
	json_name(&js, "bad", "\xff\xfe\xc3");
	json_uint(&js, "n", UINT64_MAX);
	json_bool(&js, "b", true);
	json_null(&js, "z");
	json_seconds(&js, "t0", 0);
	json_seconds(&js, "t1", 1500000000);
	json_seconds(&js, "t2", 20000000001);
	json_seconds(&js, "t3", -250000000);
	json_seconds(&js, "t4", 100 * NSEC_PER_SEC);
	json_array(&js, "empty");
	json_array_end(&js);
	json_object_end(&js);
	json_object(&js, NULL);
	json_object_end(&js);
	json_array_end(&js);
	fclose(out);
	assert_string_equal(text,
			    "[\n"
			    "  {\n"
			    "    \"s\": \"q\\\"\\\\\\u000a\\u007f\\u009b\xc3\xa4\",\n"
			    "    \"good\": \"\xc3\xa4\",\n"
			    "    \"bad\": \"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\",\n"
			    "    \"bad_base64\": \"//7D\",\n"
			    "    \"n\": 18446744073709551615,\n"
			    "    \"b\": true,\n"
			    "    \"z\": null,\n"
			    "    \"t0\": 0,\n"
			    "    \"t1\": 1.5,\n"
			    "    \"t2\": 20.000000001,\n"
			    "    \"t3\": -0.25,\n"
			    "    \"t4\": 100,\n"
			    "    \"empty\": []\n"
			    "  },\n"
			    "  {}\n"
			    "]\n");
	free(text);
}

static void base64_pads(void **state)
{
	static const char *const rows[][2] = {
	    {"\xff", "/w=="}, {"\xff\xfe", "//4="}, {"\xff\xfe\xfd\xfc", "//79/A=="}};

	for (size_t i = 0; i < 3; i++) {
		char *text = NULL, want[128];
		size_t len = 0;
		FILE *out = open_memstream(&text, &len);
		struct json js = JSON_INIT(out);

		json_object(&js, NULL);
		json_name(&js, "k", rows[i][0]);
		json_object_end(&js);
		fclose(out);
		snprintf(want, sizeof(want), "\"k_base64\": \"%s\"", rows[i][1]);
		assert_non_null(strstr(text, want));
		free(text);
	}
}

static void tables_are_aligned(void **state)
{
	static const struct table_column columns[] = {
	    {"N", true}, {"WORD", false}, {"NAME", false}};
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	struct table t;

	table_init(&t, columns, 3);
	table_print(&t, out, false); /* without rows: nothing */
	table_cell(&t, "1", TABLE_PLAIN);
	table_cell(&t, "\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2", TABLE_PLAIN);
	table_cell(&t, "x", TABLE_PLAIN);
	table_cell(&t, "1000", TABLE_PLAIN);
	table_cell(&t, NULL, TABLE_PLAIN);
	table_cell(&t, "y/", TABLE_DIR);
	table_print(&t, out, false);
	table_print(&t, out, true);
	table_deinit(&t);
	fclose(out);
	assert_string_equal(text, "   N  WORD    NAME\n"
				  "   1  \xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2  x\n"
				  "1000  -       y/\n"
				  "   \033[1mN\033[0m  \033[1mWORD\033[0m    "
				  "\033[1mNAME\033[0m\n"
				  "   1  \xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2  x\n"
				  "1000  -       \033[1;34my/\033[0m\n");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(utf8_takes_only_what_is_valid),
	    cmocka_unit_test(names_are_quoted_when_they_must_be),
	    cmocka_unit_test(a_shell_reads_every_byte_back),
	    cmocka_unit_test(messages_hold_no_control_characters),
	    cmocka_unit_test(width_is_in_columns),
	    cmocka_unit_test(json_is_exact),
	    cmocka_unit_test(base64_pads),
	    cmocka_unit_test(tables_are_aligned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
