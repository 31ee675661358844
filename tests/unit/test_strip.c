/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Programs without their comments: what must become the same, what must stay
 * different, and what is refused because shells, Pythons or compilers disagree.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/key/strip.h"

/* What remains, ended by NUL; NULL: refused. */
static char *stripped(enum strip_language language, const char *text)
{
	struct buf out = BUF_INIT;
	size_t len = strlen(text);
	char *copy = malloc(len ? len : 1); /* sanitizers see what is read behind it */

	assert_non_null(copy);
	memcpy(copy, text, len);
	if (strip_comments(language, slice(copy, len), &out)) {
		buf_deinit(&out);
		free(copy);
		return NULL;
	}
	free(copy);
	assert_int_equal(buf_append(&out, "", 1), 0);
	return (char *)out.data;
}

static void becomes(enum strip_language language, const char *text, const char *want)
{
	char *got = stripped(language, text);

	if (!got)
		print_error("refused: %s\n", text);
	assert_non_null(got);
	assert_string_equal(got, want);
	free(got);
}

static void refuses(enum strip_language language, const char *text)
{
	char *got = stripped(language, text);

	if (got)
		print_error("not refused: %s\n", text);
	assert_null(got);
}

/* ---- shell ------------------------------------------------------------------------- */

static void shell_comments_and_layout_go(void **state)
{
	static const char *const cases[][2] = {
	    {"", ""},
	    {"\n\n  \n", ""},
	    {"# all of it", ""},
	    {"a", "a"},
	    {"a # b\n", "a\n"},
	    {"#!/bin/sh -e\n# x\na", "#!/bin/sh -e\na"},
	    {"  if x;   then\n\n\n\ty\t z\nfi  \n", "if x; then\ny z\nfi\n"},
	    {"a;# b 'c\nd", "a;\nd"},
	    {"a \\\n   b", "a b"},
	    {"a\\\n  b", "a b"},
	    {"a \\\n\\\nb", "a b"},
	    {"a \\\n# b\nc", "a\nc"},
	    {"# c \\\na", "a"},
	    {"# don't\necho \"# x\"", "echo \"# x\""},
	    {"x=$(a # it's\n b)", "x=$(a\nb)"},
	    {"\"$(a  'b  c' # it's\n)\"", "\"$(a 'b  c'\n)\""},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		becomes(STRIP_SHELL, cases[i][0], cases[i][1]);
}

/* Each stays as it is, to the byte. */
static void shell_words_with_a_hash_stay(void **state)
{
	static const char *const cases[] = {
	    "echo a#b",
	    "echo $#",
	    "echo $# x",
	    "echo ${#x} ${x#a} ${x##*  #} ${x% #*}",
	    "echo \"${x% #*}  #\"",
	    "echo '  # a'",
	    "echo \"  # a\"",
	    "echo \"\\\"  # a\"",
	    "echo \\# \\ #a",
	    "echo $'  # a'",
	    "echo `a '  # b'`",
	    "echo \"`a \\`  # b\\` `\"",
	    "echo $((16#ff  #)) $((1<<2))",
	    "echo \"$(echo \"a  # b\")\"",
	    "echo ${x:-\"$(a \"  # b\")\"}",
	    "echo ${x:-'  # }'}",
	    "((x  #))",
	    "cat <<<x#",
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		becomes(STRIP_SHELL, cases[i], cases[i]);
}

static void shell_here_documents_stay(void **state)
{
	becomes(STRIP_SHELL, "cat <<E  # c\n  # a\n\n  'b\nE\n# d\nf",
		"cat <<E\n  # a\n\n  'b\nE\nf");
	becomes(STRIP_SHELL, "cat << 'E F' <<-\\G\n#\nE F\n\t# $(\n\tG\n  x",
		"cat <<'E F' <<-\\G\n#\nE F\n\t# $(\n\tG\nx");
	becomes(STRIP_SHELL, "cat <<\"\"\n# a\n\nb #", "cat <<\"\"\n# a\n\nb");
	becomes(STRIP_SHELL, "x=$(cat <<E\n  # a\nE\n) # b", "x=$(cat <<E\n  # a\nE\n)");
	becomes(STRIP_SHELL, "cat <<E\n a\\\\\n b\nE", "cat <<E\n a\\\\\n b\nE");
}

static void shell_of_two_minds_is_refused(void **state)
{
	static const char *const cases[] = {
	    "echo 'a",
	    "echo \"a",
	    "echo `a",
	    "echo $(a",
	    "echo ${a",
	    "cat <<E\na",
	    "cat <<$x\n$x",
	    "cat <<E\na\\\nE",
	    "$(case x in a) # b\nesac)",
	    "echo a|#b",
	    "(#b\n)",
	    "[[ x =~ (#|;) ]]",
	    "echo $'a\\'  # b'",
	    "\"${x:-'  # \"}\"'}",
	    "echo $[1<<2]",
	    "((a); # '\nb)",
	    "x=$(cat <<E)\nE",
	    "cat <<\n#",
	    "a\\\nb",
	    "cat <\\\n<E\n# a\nE",
	    "\"$\\\n(echo \"a # b\")\"",
	    "a )#b",
	    "echo \"$(\n",
	    "$(a) $(# b\n)",
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		refuses(STRIP_SHELL, cases[i]);
}

/* ---- Python
 * ---------------------------------------------------------------------------- */

static void python_comments_and_layout_go(void **state)
{
	static const char *const cases[][2] = {
	    {"", ""},
	    {"x = 1  # one\n", "x = 1\n"},
	    {"\n\n# a\nx\n\n\n", "x\n"},
	    {"if x:\n    y\n\n    # z\n  # w\n    if v:\n      u\nt",
	     "if x:\n\ty\n\tif v:\n\t\tu\nt"},
	    {"if x:\n\ty", "if x:\n\ty"},
	    {"f(a,  # b\n\n    c)\nd", "f(a, c)\nd"},
	    {"a = 1 + \\\n    2", "a = 1 + 2"},
	    {"#!/usr/bin/python3\n# -*- coding: latin-1 -*-\n# coding of x\nx",
	     "#!/usr/bin/python3\n# -*- coding: latin-1 -*-\nx"},
	    {"x\r\nif y:\r\n  z # w\r\n", "x\nif y:\n\tz\n"},
	    {"x\n    # not an indentation", "x\n"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		becomes(STRIP_PYTHON, cases[i][0], cases[i][1]);
}

static void python_strings_stay(void **state)
{
	static const char *const cases[] = {
	    "x = '# a  b'",
	    "x = \"a'  # b\"",
	    "'''doc  # string\n\n   it's \"\"\" here\n'''",
	    "x = \"\"\"a\\\"\"\"  # b\"\"\"",
	    "x = r'\\'  # a'",
	    "x = Rb'\\\\'",
	    "x = f'{a!r:>{w}}  # {{b}}'",
	    "x = f'{d[\"  # k\"]}  # {{'",
	    "x = f'''{a}\n  # {b}'''",
	    "x = f'\\{a}  # b'",
	    "x = '' '# a'",
	    "x = 'a\\\n  # b'",
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		becomes(STRIP_PYTHON, cases[i], cases[i]);
}

static void python_of_two_minds_is_refused(void **state)
{
	static const char *const cases[] = {
	    "x = 'a",
	    "x = '''a",
	    "f(a",
	    "a)",
	    "if x:\n    y\n  z",
	    "if x:\n\ty\n        z",
	    "a \\ b",
	    "x = f\"{d[\"a # b\"]}\"",
	    "x = f'{a # b\n}'",
	    "x = f'}'",
	    "x = f'{'\\n'}'",
	    "a\rb",
	    "x = f'{d[\"}\\\"\"]}'",
	    "if x:\n  \\\n  # c\n    y",
	    "\\\nx",
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		refuses(STRIP_PYTHON, cases[i]);
}

/* ---- C
 * ------------------------------------------------------------------------------------ */

static void c_comments_and_layout_go(void **state)
{
	static const char *const cases[][2] = {
	    {"", ""},
	    {"int x; // y\nint  z; /* w\n v */ int u;\n", "int x; int z; int u;"},
	    {"a/**/b", "a b"},
	    {"/* x */ # /* y */ define  A(b)  /* z\n */ (b) // c\nd",
	     "# define A(b) (b)\nd"},
	    {"a // b \\\n c\nd", "a d"},
	    {"a /\\\n* b *\\\n/ c", "a c"},
	    {"#define A \\\n  1\nb", "#define A 1\nb"},
	    {"#include <sys/*.h>\n#include  <a//b> // c\n",
	     "#include <sys/*.h>\n#include <a//b>\n"},
	    {"#if a < b // c\n#endif", "#if a < b\n#endif"},
	    {"x = 1'000'000; // a", "x = 1'000'000;"},
	    {"a\r\n// b\r\n#if x\r\n#endif\r\n", "a\n#if x\n#endif\n"},
	    {"#define F (a)", "#define F (a)"},
	    {"#define F(a)", "#define F(a)"},
	    {"a+ ++b", "a+ ++b"},
	    {"a++ +b", "a++ +b"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		becomes(STRIP_C, cases[i][0], cases[i][1]);
}

static void c_strings_stay(void **state)
{
	static const char *const cases[] = {
	    "x = \"//  a\";",	     "x = \"/*  a\";",
	    "x = \"\\\"//  a\";",    "x = '\"'; y = \"  '\";",
	    "x = '\\''; y = '//';",  "x = L'\"';",
	    "x = R\"(a\"  // b)\";", "x = u8R\"y()\"  // b)y\";",
	    "x = \"a\" \"  b\";",
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		becomes(STRIP_C, cases[i], cases[i]);
}

static void c_of_two_minds_is_refused(void **state)
{
	static const char *const cases[] = {
	    "x = \"a",
	    "x = 'a\n",
	    "#error don't // stop",
	    "/* a",
	    "a = b //* c */ d\n;",
	    "// a ?"
	    "?/\nb",
	    "x = R\"(a",
	    "x = R\"(a\\\nb)\";",
	    "// a \\ \nb",
	    "#if __has_include(<a//b>)\n#endif",
	    "#define A \\//b\n",
	    "#include <a",
	    "5's /* a\n b */",
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		refuses(STRIP_C, cases[i]);
}

/* ---- all
 * ---------------------------------------------------------------------------------------
 */

static void languages_are_told_by_name_and_first_line(void **state)
{
	static const struct {
		const char *path, *text;
		enum strip_language language;
	} cases[] = {
	    {"a/b.sh", "", STRIP_SHELL},
	    {"b.py", "#!/bin/sh", STRIP_PYTHON},
	    {"x.h", "", STRIP_C},
	    {"x.hpp", "", STRIP_C},
	    {"x.sh/y", "", STRIP_NONE},
	    {"x", "#!/bin/sh", STRIP_SHELL},
	    {"x", "#! /bin/bash -e\nz", STRIP_SHELL},
	    {"x", "#!/usr/bin/env -S python3.12 -u\n", STRIP_PYTHON},
	    {"x", "#!/usr/bin/zsh\n", STRIP_NONE},
	    {"x", "#!/usr/bin/perl\nsh", STRIP_NONE},
	    {"x.rs", "", STRIP_NONE},
	    {"x", "#", STRIP_NONE},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		assert_int_equal(
		    strip_language_of(cases[i].path,
				      slice(cases[i].text, strlen(cases[i].text))),
		    cases[i].language);
}

static void what_is_no_text_is_refused(void **state)
{
	struct buf out = BUF_INIT;

	assert_int_equal(strip_comments(STRIP_NONE, slice("a", 1), &out), -EBADMSG);
	for (int i = STRIP_SHELL; i <= STRIP_C; i++)
		assert_int_equal(strip_comments(i, slice(NULL, 0), &out), 0);
	assert_int_equal(out.len, 0);
	assert_int_equal(strip_comments(STRIP_C, slice("a\0b", 3), &out), -EBADMSG);
	assert_int_equal(strip_comments(STRIP_SHELL, slice(NULL, 0), &out), 0);
	buf_deinit(&out);
}

/* What is appended to is left alone, also where the end of it matters. */
static void it_is_appended(void **state)
{
	struct buf out = BUF_INIT;

	assert_int_equal(buf_append(&out, "x", 1), 0);
	assert_int_equal(strip_comments(STRIP_SHELL, slice("\n # c\n a", 8), &out), 0);
	assert_int_equal(out.len, 2);
	assert_memory_equal(out.data, "xa", 2);
	buf_deinit(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(shell_comments_and_layout_go),
	    cmocka_unit_test(shell_words_with_a_hash_stay),
	    cmocka_unit_test(shell_here_documents_stay),
	    cmocka_unit_test(shell_of_two_minds_is_refused),
	    cmocka_unit_test(python_comments_and_layout_go),
	    cmocka_unit_test(python_strings_stay),
	    cmocka_unit_test(python_of_two_minds_is_refused),
	    cmocka_unit_test(c_comments_and_layout_go),
	    cmocka_unit_test(c_strings_stay),
	    cmocka_unit_test(c_of_two_minds_is_refused),
	    cmocka_unit_test(languages_are_told_by_name_and_first_line),
	    cmocka_unit_test(what_is_no_text_is_refused),
	    cmocka_unit_test(it_is_appended),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
