/* SPDX-License-Identifier: Apache-2.0 */
/* Keys: what is a part, what a difference makes, what answers what. */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/key/inputs.h"
#include "cli/key/key.h"
#include "cli/key/parts.h"

static char *command[] = {(char *)"./job", (char *)"-x", (char *)"a b", NULL};

/* ---- a directory of its own -----------------------------------------------------------
 */

static char dir[] = "/tmp/memofs-key.XXXXXX";

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);

	assert_true(fd >= 0);
	assert_true(write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

static int set_up(void **state)
{
	strcpy(dir + strlen(dir) - 6, "XXXXXX");
	if (!mkdtemp(dir) || chdir(dir))
		return -1;
	put("a", "one");
	mkdir("src", 0755);
	mkdir("src/sub", 0755);
	put("src/x.c", "int x;\n");
	put("src/y.c", "int y;\n");
	put("src/sub/z.h", "int z;\n");
	put("job", "#!/bin/sh\n# run\necho  job\n");
	return chmod("job", 0755);
}

static int tear_down(void **state)
{
	return chdir("/") ? -1 : nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

/* ---- keys
 * -------------------------------------------------------------------------------- */

static struct cli_list list(const char *item)
{
	return (struct cli_list){.item = {item}, .len = item ? 1 : 0};
}

static struct cli_list list2(const char *a, const char *b)
{
	return (struct cli_list){.item = {a, b}, .len = 2};
}

static struct key make(const struct key_options *o)
{
	struct errmsg err = {""};
	struct key k = KEY_INIT;
	int r = key_make(o, command, NULL, &k, &err);

	if (r)
		print_error("%s\n", err.text);
	assert_int_equal(r, 0);
	return k;
}

static struct key make_input(const char *input)
{
	return make(&(struct key_options){.inputs = list(input)});
}

static void assert_text(const struct key *k, const char *want)
{
	struct buf text = BUF_INIT;

	assert_int_equal(buf_set(&text, k->text.data, k->text.len), 0);
	assert_int_equal(buf_append(&text, "", 1), 0);
	assert_string_equal((char *)text.data, want);
	buf_deinit(&text);
}

/* Is this line (all of it, with tabs) in the key? */
static bool has(const struct key *k, const char *line)
{
	char wanted[600];
	int n = snprintf(wanted, sizeof(wanted), "\n%s\n", line);

	return memmem(k->text.data, k->text.len, wanted, (size_t)n);
}

static bool has_beginning(const struct key *k, const char *line)
{
	char wanted[600];
	int n = snprintf(wanted, sizeof(wanted), "\n%s", line);

	return memmem(k->text.data, k->text.len, wanted, (size_t)n);
}

/* Do these two make the same key? */
static bool same(struct key a, struct key b)
{
	bool equal = strcmp(a.id, b.id) == 0;

	assert_int_equal(equal, a.text.len == b.text.len &&
				    memcmp(a.text.data, b.text.data, a.text.len) == 0);
	key_deinit(&a);
	key_deinit(&b);
	return equal;
}

/* It fails with `r` and a message that has `word`; nothing was made. */
static void fails(const struct key_options *o, int r, const char *word)
{
	struct errmsg err = {""};
	struct key k = KEY_INIT;
	int got = key_make(o, command, NULL, &k, &err);

	if (got != r || !strstr(err.text, word))
		print_error("%d %s\n", got, err.text);
	assert_int_equal(got, r);
	assert_non_null(strstr(err.text, word));
	assert_null(k.path);
	assert_int_equal(k.text.len, 0);
}

/* ---- parts
 * ---------------------------------------------------------------------------------- */

static void a_key_is_the_same_bytes_for_ever(void **state)
{
	struct key_options o = {
	    .params = list2("z=1\t2", "a=\xff\\"),
	    .envs = list2("MEMOFS_T_EMPTY", "MEMOFS_T_UNSET"),
	    .inputs = list("in=a"),
	    .outputs = list("out/**"),
	    .version = "1",
	    .salt = "s",
	};
	struct key k;

	setenv("MEMOFS_T_EMPTY", "", 1);
	unsetenv("MEMOFS_T_UNSET");
	k = make(&o);
	assert_text(&k, "memofs-key 1\n"
			"name\t\tjob\n"
			"command\t0\t./job\n"
			"command\t1\t-x\n"
			"command\t2\ta b\n"
			"version\t\t1\n"
			"param\ta\t\\xff\\\\\n"
			"param\tz\t1\\t2\n"
			"env\tMEMOFS_T_EMPTY\t\n"
			"env\tMEMOFS_T_UNSET\n"
			"input\tin\tfile 0644 xxh128:0a1c6d4cf41eb499911faba7321fe1a0\n"
			"output\tout/**\n"
			"salt\t\ts\n");
	assert_string_equal(k.name, "job");
	assert_string_equal(k.id, "84dce4bd15c734ebc947d3cfafd968eb");
	key_deinit(&k);
}

/* The order of options is nothing, but for the policies of a version. */
static void order_of_options(void **state)
{
	struct key_options a = {.params = list2("a=1", "b=2"),
				.inputs = list2("a", "src")};
	struct key_options b = {.params = list2("b=2", "a=1"),
				.inputs = list2("src", "a")};

	assert_true(same(make(&a), make(&b)));
	a = (struct key_options){.version_from = list2("file:a", "exe")};
	b = (struct key_options){.version_from = list2("exe", "file:a")};
	assert_false(same(make(&a), make(&b)));
}

static void each_part_makes_a_difference(void **state)
{
	struct key_options none = {.name = "job"};
	struct key_options others[] = {
	    {.name = "other"},
	    {.params = list("a=1")},
	    {.params = list("a=2")},
	    {.params = list("b=1")},
	    {.envs = list("PATH")},
	    {.envs = list("MEMOFS_T_UNSET")},
	    {.inputs = list("a")},
	    {.inputs = list("b=a")},
	    {.outputs = list("x")},
	    {.version = ""},
	    {.version = "1"},
	    {.salt = "1"},
	    {.input_hash = list("a=echo")},
	    {.version_from = list("exe")},
	};
	size_t n = sizeof(others) / sizeof(*others);

	for (size_t i = 0; i < n; i++) {
		assert_false(same(make(&none), make(&others[i])));
		for (size_t j = 0; j < i; j++)
			assert_false(same(make(&others[i]), make(&others[j])));
	}
}

static void words_of_the_command(void **state)
{
	char *glued[] = {(char *)"./job", (char *)"-x a", (char *)"b", NULL};
	struct key_options o = {.name = NULL};
	struct key a = make(&o), b = KEY_INIT;

	assert_int_equal(key_make(&o, glued, NULL, &b, NULL), 0);
	assert_false(same(a, b));
	assert_int_equal(key_make(&o, glued + 3, NULL, &b, NULL), -EINVAL);
}

static void names_of_entries_are_safe(void **state)
{
	static const char *const cases[][2] = {
	    {"make report", "make report/"},
	    {"a/b", "a%2Fb/"},
	    {"..", "%2E./"},
	    {".", "%2E/"},
	    {".memofs", "%2Ememofs/"},
	    {"a%b\n", "a%25b%0A/"},
	};
	char longest[400];
	struct key k;

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		k = make(&(struct key_options){.name = cases[i][0]});
		assert_memory_equal(k.path, cases[i][1], strlen(cases[i][1]));
		assert_string_equal(k.path + strlen(cases[i][1]), k.id);
		assert_string_equal(k.name, cases[i][0]);
		key_deinit(&k);
	}
	memset(longest, 'x', sizeof(longest));
	longest[399] = '\0';
	k = make(&(struct key_options){.name = longest});
	assert_in_range(strchr(k.path, '/') - k.path, 200, 255);
	key_deinit(&k);
	fails(&(struct key_options){.name = ""}, -EINVAL, "--name");
}

/* ---- inputs
 * ---------------------------------------------------------------------------------- */

static void a_file_is_its_content(void **state)
{
	struct key before = make_input("a"), after;

	put("a", "one"); /* only its times */
	assert_true(same(before, make_input("a")));
	before = make_input("a");
	assert_int_equal(chmod("a", 0600), 0);
	after = make_input("a");
	assert_true(same(before, after)); /* that is the umask's */
	before = make_input("a");
	assert_int_equal(chmod("a", 0755), 0);
	assert_true(has_beginning(&before, "input\ta\tfile 0644 xxh128:"));
	after = make_input("a");
	assert_true(has_beginning(&after, "input\ta\tfile 0755 xxh128:"));
	assert_false(same(before, after));
	before = make_input("a");
	put("a", "two");
	assert_false(same(before, make_input("a")));
}

static void a_directory_is_what_is_in_it(void **state)
{
	struct key k = make_input("./src/");

	assert_true(has(&k, "input\tsrc\tdir"));
	assert_true(has(&k, "input\tsrc/sub\tdir"));
	assert_true(has_beginning(&k, "input\tsrc/x.c\tfile 0644 xxh128:"));
	assert_true(has_beginning(&k, "input\tsrc/sub/z.h\tfile"));
	key_deinit(&k);

	assert_int_equal(symlink("../gone", "src/link"), 0);
	assert_int_equal(mkdir("src/empty", 0700), 0);
	k = make_input("lib=src");
	assert_true(has(&k, "input\tlib/link\tlink ../gone"));
	assert_true(has(&k, "input\tlib/empty\tdir"));
	key_deinit(&k);

	k = make_input(".");
	assert_true(has(&k, "input\t.\tdir"));
	assert_true(has_beginning(&k, "input\tsrc/x.c\tfile"));
	key_deinit(&k);
}

static void a_pattern_is_what_it_matches(void **state)
{
	struct key before = make_input("src/*.c"), after;

	assert_true(has_beginning(&before, "input\tsrc/x.c\tfile"));
	assert_true(has_beginning(&before, "input\tsrc/y.c\tfile"));
	assert_false(has_beginning(&before, "input\tsrc/sub"));
	put("src/sub/w.c", "");
	after = make_input("src/*.c");
	assert_true(same(before, after));
	before = make_input("src/**/*.c");
	assert_true(has_beginning(&before, "input\tsrc/sub/w.c\tfile"));
	put("src/new.c", "");
	assert_false(same(before, make_input("src/**/*.c")));

	after = make_input("all=src/*.c");
	assert_true(has_beginning(&after, "input\tall/new.c\tfile"));
	key_deinit(&after);
	/* A file of that very name is no pattern. */
	put("x[1]*", "");
	after = make_input("x[1]*");
	assert_true(has_beginning(&after, "input\tx[1]*\tfile"));
	key_deinit(&after);
}

static void an_absolute_pattern(void **state)
{
	char pattern[64], line[64];
	struct key k;

	snprintf(pattern, sizeof(pattern), "%s/src/*.c", dir);
	snprintf(line, sizeof(line), "input\t%s/src/x.c\tfile", dir);
	k = make_input(pattern);
	assert_true(has_beginning(&k, line));
	key_deinit(&k);
}

static void symlinks_are_followed(void **state)
{
	struct key plain = make_input("n=a"), linked;

	assert_int_equal(symlink("a", "to-a"), 0);
	linked = make_input("n=to-a");
	assert_true(same(plain, linked));
	plain = make_input("all={a,a}");
	linked = make_input("all={to-a,to-a}");
	assert_true(has_beginning(&linked, "input\tall/to-a\tfile"));
	key_deinit(&plain);
	key_deinit(&linked);

	assert_int_equal(symlink("loop", "loop"), 0);
	fails(&(struct key_options){.inputs = list("loop")}, -ELOOP, "\"loop\"");
	fails(&(struct key_options){.inputs = list("l*p")}, -ELOOP, "\"loop\"");
}

static void many_files_are_one_part(void **state)
{
	struct key few, many, again;
	struct buf lines = BUF_INIT;
	char name[32];

	few = make_input("src");
	for (int i = 0; i < INPUTS_LISTED; i++) {
		snprintf(name, sizeof(name), "src/%d", i);
		put(name, "");
	}
	many = make_input("src");
	assert_true(has_beginning(&many, "input\tsrc\ttree 1005 xxh128:"));
	/* Not a line for each name. */
	assert_int_equal(
	    key_differences(buf_slice(&few.text), buf_slice(&many.text), &lines), 1);
	assert_int_equal(
	    key_differences(buf_slice(&many.text), buf_slice(&few.text), &lines), 1);
	buf_deinit(&lines);
	key_deinit(&few);
	put("src/5", "x");
	again = make_input("src");
	assert_false(same(many, again));
}

static void what_is_not_there_is_named(void **state)
{
	fails(&(struct key_options){.inputs = list("nothing")}, -ENOENT, "\"nothing\"");
	fails(&(struct key_options){.inputs = list("*.none")}, -ENOENT, "\"*.none\"");
	fails(&(struct key_options){.inputs = list("none/*.c")}, -ENOENT, "none/*.c");
	fails(&(struct key_options){.inputs = list("a/b")}, -ENOTDIR, "\"a/b\"");
	fails(&(struct key_options){.inputs = list("")}, -EINVAL, "--input");
	fails(&(struct key_options){.inputs = list("x=")}, -EINVAL, "--input");
	assert_int_equal(mkfifo("fifo", 0600), 0);
	fails(&(struct key_options){.inputs = list("fifo")}, -EINVAL, "fifo");
	fails(&(struct key_options){.inputs = list("[z")}, -EINVAL, "[z");
}

static void one_name_is_one_input(void **state)
{
	fails(&(struct key_options){.inputs = list2("n=a", "n=job")}, -EINVAL,
	      "called n");
	assert_true(same(make(&(struct key_options){.inputs = list2("src", "src/x.c")}),
			 make_input("src")));
	fails(&(struct key_options){.params = list2("a=1", "a=2")}, -EINVAL, "twice");
	fails(&(struct key_options){.params = list("a")}, -EINVAL, "--param");
	fails(&(struct key_options){.params = list("=a")}, -EINVAL, "--param");
	fails(&(struct key_options){.envs = list("a=b")}, -EINVAL, "--env");
}

/* F10: the file need not be read, nor be there. */
static void a_hash_stands_for_an_input(void **state)
{
	struct key_options o = {.inputs = list("big=not/there"),
				.input_hash = list("big=cat a")};
	struct key before = make(&o), after;

	assert_true(has_beginning(&before, "input\tbig\thash xxh128:"));
	after = make(&o);
	assert_true(same(before, after));
	before = make(&o);
	put("a", "two");
	assert_false(same(before, make(&o)));
	o.input_hash = list("big=exit 3");
	fails(&o, -ECHILD, "exit code 3");
	o.input_hash = list("exit 3");
	fails(&o, -EINVAL, "--input-hash");
}

/* F5 */
static void what_is_ignored_is_no_part(void **state)
{
	struct key_options o = {.params = list2("a=1", "b=2"),
				.envs = list("HOME"),
				.inputs = list("src"),
				.ignore = list2("a", "HOME")};
	struct key k = make(&o);

	assert_true(has(&k, "param\tb\t2"));
	assert_false(has_beginning(&k, "param\ta"));
	assert_false(has_beginning(&k, "env"));
	key_deinit(&k);
	o.ignore = list2("src/x.c", "./src/sub/");
	k = make(&o);
	assert_true(has_beginning(&k, "input\tsrc/y.c"));
	assert_false(has_beginning(&k, "input\tsrc/x.c"));
	assert_false(has_beginning(&k, "input\tsrc/sub"));
	key_deinit(&k);
	o.ignore = list("nothing");
	fails(&o, -EINVAL, "--ignore");
	o.ignore = list("HOMF");
	fails(&o, -EINVAL, "did you mean \"HOME\"");
	/* It need not be there. */
	k = make(&(struct key_options){.inputs = list("x=none"), .ignore = list("x")});
	assert_false(has_beginning(&k, "input"));
	key_deinit(&k);
}

/* ---- versions
 * --------------------------------------------------------------------------------- */

static struct key make_version(const char *policy, bool strip)
{
	return make(
	    &(struct key_options){.version_from = list(policy), .strip_comments = strip});
}

/* F6 */
static void versions_from_files(void **state)
{
	struct key before = make_version("file:job", false);
	struct key stripped = make_version("file:job", true);

	assert_true(has_beginning(&before, "version\tfile:job\tfile 0755 xxh128:"));
	assert_true(has_beginning(&stripped, "version\tfile:job\tstripped xxh128:"));
	put("job", "#!/bin/sh\necho job   # do it\n");
	assert_false(same(before, make_version("file:job", false)));
	assert_true(same(stripped, make_version("file:job", true)));
	stripped = make_version("file:job", true);
	put("job", "#!/bin/sh\necho jobs\n");
	assert_false(same(stripped, make_version("file:job", true)));

	stripped = make_version("file:src", true);
	assert_true(has_beginning(&stripped, "version\tfile:src\ttree "));
	put("src/x.c", "/* x */ int   x;\n");
	assert_true(same(stripped, make_version("file:src", true)));
	/* What is no program of a known language is taken as it is. */
	before = make_version("file:a", true);
	assert_true(has_beginning(&before, "version\tfile:a\tfile 0644 xxh128:"));
	key_deinit(&before);
}

static void versions_from_programs(void **state)
{
	struct key k = make_version("exe", false);

	assert_true(has_beginning(&k, "version\texe\tfile 0755 xxh128:"));
	put("job", "other");
	assert_false(same(k, make_version("exe", false)));
	k = make_version("command:echo v1", false);
	assert_true(has(&k, "version\tcommand:echo v1\ttext v1"));
	key_deinit(&k);
	k = make_version("command:echo a; echo b", false);
	assert_true(has_beginning(&k, "version\tcommand:echo a; echo b\thash xxh128:"));
	key_deinit(&k);
	setenv("MEMOFS_T_V", "7", 1);
	k = make_version("env:MEMOFS_T_V", false);
	assert_true(has(&k, "version\tenv:MEMOFS_T_V\t7"));
	key_deinit(&k);
}

static void policies_that_are_none(void **state)
{
	static const struct {
		const char *policy;
		int r;
		const char *word;
	} cases[] = {
	    {"fil:a", -EINVAL, "did you mean file:PATH"},
	    {"a", -EINVAL, "command:CMD"},
	    {"", -EINVAL, "--version-from"},
	    {"file:", -EINVAL, "file:PATH"},
	    {"exe:x", -EINVAL, "did you mean exe"},
	    {"file:none", -ENOENT, "\"none\""},
	    {"command:echo x; exit 4", -ECHILD, "exit code 4"},
	    {"command:kill -TERM $$", -ECHILD, "signal 15"},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		fails(&(struct key_options){.version_from = list(cases[i].policy)},
		      cases[i].r, cases[i].word);
	fails(&(struct key_options){.version_from = list2("exe", "exe")}, -EINVAL,
	      "twice");
	unlink("job");
	fails(&(struct key_options){.version_from = list("exe")}, -ENOENT, "./job");
}

static void sh(const char *line)
{
	assert_int_equal(system(line), 0);
}

static void versions_from_git(void **state)
{
	struct key clean, dirty, other;

	if (system("git --version >/dev/null 2>&1"))
		skip();
	setenv("GIT_CEILING_DIRECTORIES", "/tmp", 1);
	setenv("GIT_CONFIG_GLOBAL", "/dev/null", 1);
	fails(&(struct key_options){.version_from = list("git:.")}, -ECHILD,
	      "--version-from git");
	sh("git init -q . && git config user.email a@b && git config user.name n && "
	   "ln -s x.c src/l && git add src && git commit -qm one");
	clean = make_version("git:src", false);
	assert_true(has_beginning(&clean, "version\tgit:src\tgit 4 xxh128:"));
	put("untracked", "x");
	put("src/untracked", "x");
	assert_true(same(clean, make_version("git:src", false)));
	clean = make_version("git:src", false);

	put("src/x.c", "int changed;\n");
	dirty = make_version("git:src", false);
	sh("git add src/x.c");
	other = make_version("git:src", false);
	assert_true(same(dirty, other)); /* staged or not */
	dirty = make_version("git:src", false);
	sh("git commit -qm two src/x.c");
	assert_true(same(dirty, make_version("git:src", false)));
	assert_false(same(clean, make_version("git:src", false)));

	clean = make_version("git:src", false);
	sh("ln -sf y.c src/l");
	dirty = make_version("git:src", false);
	assert_false(same(clean, dirty));
	dirty = make_version("git:src", false);
	sh("git commit -qam three");
	assert_true(same(dirty, make_version("git:src", false)));
	clean = make_version("git:src", false);
	unlink("src/y.c");
	assert_false(same(clean, make_version("git:src", false)));
	fails(&(struct key_options){.version_from = list("git:untracked")}, -ENOENT,
	      "tracks nothing");
}

static void versions_from_git_have_submodules(void **state)
{
	struct key before, after;

	if (system("git --version >/dev/null 2>&1"))
		skip();
	setenv("GIT_CEILING_DIRECTORIES", "/tmp", 1);
	setenv("GIT_CONFIG_GLOBAL", "/dev/null", 1);
	sh("git init -q inner && cd inner && git config user.email a@b && "
	   "git config user.name n && echo 1 >f && git add f && git commit -qm one");
	sh("git init -q . && git config user.email a@b && git config user.name n && "
	   "git -c protocol.file.allow=always submodule --quiet add ./inner sub && "
	   "git commit -qm one");
	before = make_version("git:sub", false);
	after = make_version("git:sub", false);
	assert_true(same(before, after));
	before = make_version("git:sub", false);
	put("sub/f", "2");
	assert_false(same(before, make_version("git:sub", false)));
}

/* ---- standard input
 * ------------------------------------------------------------------------------ */

static struct key make_stdin(const char *text, const char *template, int want)
{
	struct key_options o = {.use_stdin = true, .template = template};
	struct key k = KEY_INIT;
	int saved = dup(STDIN_FILENO), fd;

	put("stdin", text);
	fd = open("stdin", O_RDONLY | O_CLOEXEC);
	assert_true(saved >= 0 && fd >= 0);
	dup2(fd, STDIN_FILENO);
	close(fd);
	assert_int_equal(key_make(&o, command, NULL, &k, NULL), want);
	dup2(saved, STDIN_FILENO);
	close(saved);
	return k;
}

static void standard_input_is_kept_for_the_command(void **state)
{
	struct key k = make_stdin("hello", NULL, 0);
	char text[8] = "";

	assert_true(has_beginning(&k, "stdin\t\t5 xxh128:"));
	assert_int_equal(read(k.stdin_fd, text, sizeof(text)), 5);
	assert_string_equal(text, "hello");
	assert_false(same(k, make_stdin("other", NULL, 0)));
	assert_true(same(make_stdin("", NULL, 0), make_stdin("", NULL, 0)));
	/* Also when nothing comes of the key. */
	k = make_stdin("hello", "{none}", -EINVAL);
	assert_null(k.path);
	assert_int_equal(read(k.stdin_fd, text, sizeof(text)), 5);
	key_deinit(&k);
}

/* ---- again, and which answers which
 * ------------------------------------------------------------- */

static void inputs_are_looked_at_again(void **state)
{
	struct key_options o = {.inputs = list2("src", "a"),
				.version_from = list("file:job"),
				.input_hash = list("h=cat job")};
	struct key k = make(&o);
	struct errmsg err = {""};

	assert_int_equal(key_check_again(&o, command, NULL, &k, &err), 0);
	put("src/x.c", "changed");
	assert_int_equal(key_check_again(&o, command, NULL, &k, &err), -ESTALE);
	assert_non_null(strstr(err.text, "input src/x.c changed: "));
	put("src/x.c", "int x;\n");
	put("src/new", "");
	assert_int_equal(key_check_again(&o, command, NULL, &k, &err), -ESTALE);
	assert_non_null(strstr(err.text, "input src/new is new"));
	unlink("src/new");
	assert_int_equal(key_check_again(&o, command, NULL, &k, &err), 0);
	put("job", "x"); /* stands for the input h, too */
	assert_int_equal(key_check_again(&o, command, NULL, &k, &err), -ESTALE);
	assert_non_null(strstr(err.text, "input h changed: "));
	unlink("a");
	assert_int_equal(key_check_again(&o, command, NULL, &k, &err), -ENOENT);
	key_deinit(&k);
}

static void versions_are_looked_at_again(void **state)
{
	struct key_options o = {.version = "1", .version_from = list("file:job")};
	struct key k = make(&o);
	struct errmsg err = {""};

	assert_int_equal(key_check_again(&o, command, NULL, &k, &err), 0);
	put("job", "another");
	assert_int_equal(key_check_again(&o, command, NULL, &k, &err), -ESTALE);
	assert_non_null(strstr(err.text, "version file:job changed: "));
	key_deinit(&k);
}

/* P2: with a path of its own, what is there answers, if ... */
static void validators(void **state)
{
	struct key_options o = {.template = "k",
				.params = list2("p=1", "q=1"),
				.envs = list("MEMOFS_T_X"),
				.inputs = list("a")};
	struct key_options env, param, input, output;
	static const struct {
		int validate;
		const char *on;
		bool same, env, param, input;
	} cases[] = {
	    {KEY_VALIDATE_DEFAULT, NULL, true, true, true, true},
	    {KEY_DURATION_ONLY, NULL, true, true, true, true},
	    {KEY_ALL_INPUTS, NULL, true, false, false, false},
	    {KEY_ALL_PARAMETERS, NULL, true, true, false, true},
	    {KEY_PARTIAL_INPUTS_ONLY, "MEMOFS_T_X", true, false, true, true},
	    {KEY_PARTIAL_INPUTS_ONLY, "a", true, true, true, false},
	    {KEY_PARTIAL_INPUTS_ONLY, "q", true, true, true, true},
	    {KEY_PARTIAL_PARAMETERS_ONLY, "p", true, true, false, true},
	    {KEY_PARTIAL_PARAMETERS_ONLY, "q", true, true, true, true},
	    {KEY_ALL_PARTS, NULL, true, false, false, false},
	    {KEY_NEVER_USE, NULL, false, false, false, false},
	};
	struct key base, e, p, i, out;

	setenv("MEMOFS_T_X", "1", 1);
	base = make(&o);
	env = param = input = output = o;
	output.outputs = list("made");
	out = make(&output);
	param.params = list2("p=2", "q=1");
	p = make(&param);
	setenv("MEMOFS_T_X", "2", 1);
	e = make(&env);
	setenv("MEMOFS_T_X", "1", 1);
	put("a", "two");
	i = make(&input);
	for (size_t n = 0; n < sizeof(cases) / sizeof(*cases); n++) {
		o.validate = cases[n].validate;
		o.validate_on = list(cases[n].on);
		assert_int_equal(key_answers(&o, &base, buf_slice(&base.text)),
				 cases[n].same);
		assert_int_equal(key_answers(&o, &base, buf_slice(&e.text)),
				 cases[n].env);
		assert_int_equal(key_answers(&o, &base, buf_slice(&p.text)),
				 cases[n].param);
		assert_int_equal(key_answers(&o, &base, buf_slice(&i.text)),
				 cases[n].input);
		assert_false(key_answers(&o, &base, buf_slice(&out.text)));
		assert_false(key_answers(&o, &base, slice("x", 1)) &&
			     cases[n].validate != KEY_NEVER_USE &&
			     cases[n].validate != KEY_VALIDATE_DEFAULT &&
			     cases[n].validate != KEY_DURATION_ONLY);
	}
	key_deinit(&base);
	key_deinit(&e);
	key_deinit(&p);
	key_deinit(&i);
	key_deinit(&out);
}

/* Without a template, calls that may answer each other have one path. */
static void the_id_is_of_what_counts(void **state)
{
	struct key_options a = {.params = list2("p=1", "q=1"), .inputs = list("a")};
	struct key_options b = {.params = list2("p=1", "q=2"), .inputs = list("a")};
	struct key ka, kb;

	for (int v = KEY_VALIDATE_DEFAULT; v <= KEY_ALL_PARTS; v++) {
		bool partial =
		    v == KEY_PARTIAL_INPUTS_ONLY || v == KEY_PARTIAL_PARAMETERS_ONLY;

		a.validate = b.validate = v;
		a.validate_on = b.validate_on = list(partial ? "p" : NULL);
		ka = make(&a);
		kb = make(&b);
		assert_int_equal(strcmp(ka.path, kb.path) == 0,
				 v == KEY_DURATION_ONLY || partial);
		key_deinit(&ka);
		key_deinit(&kb);
	}
}

static void validators_need_names(void **state)
{
	struct key_options o = {.params = list("p=1"),
				.validate = KEY_PARTIAL_PARAMETERS_ONLY};

	fails(&o, -EINVAL, "--validate-on");
	o.validate_on = list("q");
	fails(&o, -EINVAL, "\"q\"");
	o.validate = KEY_ALL_INPUTS;
	fails(&o, -EINVAL, "--validate-on");
}

/* ---- differences
 * ----------------------------------------------------------------------------------- */

static void differ(const char *then, const char *now, int count, const char *want)
{
	CLEANUP_BUF struct buf a = BUF_INIT;
	CLEANUP_BUF struct buf b = BUF_INIT;
	CLEANUP_BUF struct buf lines = BUF_INIT;

	assert_int_equal(buf_printf(&a, "memofs-key 1\n%s", then), 0);
	assert_int_equal(buf_printf(&b, "memofs-key 1\n%s", now), 0);
	assert_int_equal(key_differences(buf_slice(&a), buf_slice(&b), &lines), count);
	assert_int_equal(buf_append(&lines, "", 1), 0);
	assert_string_equal((char *)lines.data, want);
}

static void differences_are_told(void **state)
{
	differ("name\t\ta\n", "name\t\ta\n", 0, "");
	differ("param\tday\t1\n", "param\tday\t2\n", 1, "param day changed: 1 now 2\n");
	differ("param\ta\t1\nparam\tb\t\n", "param\tb\t\nparam\tc\t3\n", 2,
	       "param a is gone\nparam c is new: 3\n");
	differ("env\tL\n", "env\tL\t\n", 1, "env L changed: unset now \"\"\n");
	differ("param\td\t1\ninput\tz\tfile 0644 xxh128:0a1b2c3d4e5f\n",
	       "param\td\t2\ninput\tz\tfile 0644 xxh128:9f86d081884c\n", 2,
	       "input z changed: 0a1b2c3d… now 9f86d081…\nparam d changed: 1 now 2\n");
	differ("input\tz\tfile 0644 xxh128:0a1b2c3d4e5f\n",
	       "input\tz\tfile 0755 xxh128:0a1b2c3d4e5f\n", 1,
	       "input z changed: file 0644 xxh128:0a1b2c3d… now file 0755 "
	       "xxh128:0a1b2c3d…\n");
	differ("name\t\ta\nsalt\t\tx\n", "name\t\tb\n", 2,
	       "salt is gone\nname changed: a now b\n");
	differ("version\tb\t1\nversion\ta\t1\n", "version\ta\t1\nversion\tb\t1\n", 1,
	       "version changed: the order of --version-from\n");
	differ("input\td\tdir\ninput\td/x\tdir\n", "input\td\ttree 2000 xxh128:0a\n", 1,
	       "input d changed: dir now tree 2000 xxh128:0a\n");
}

static void words_that_came_or_went(void **state)
{
	differ("command\t0\tcc\ncommand\t1\t-O1\ncommand\t2\tx\n",
	       "command\t0\tcc\ncommand\t1\t-O2\ncommand\t2\t-g\ncommand\t3\tx\n", 2,
	       "command changed: -O1 now -O2 -g\n");
	differ("command\t0\tcc\ncommand\t1\tx\n", "command\t0\tcc\n", 1,
	       "command changed: x now nothing\n");
	differ("command\t0\ta\ncommand\t1\ta\n",
	       "command\t0\ta\ncommand\t1\ta\ncommand\t2\ta\n", 1,
	       "command changed: nothing now a\n");
}

static void what_is_no_key_is_refused(void **state)
{
	static const char *const texts[] = {
	    "",
	    "memofs-key 1",
	    "memofs-key 2\n",
	    "memofs-key 1\nname",
	    "memofs-key 1\nname\n",
	    "memofs-key 1\nnames\t\ta\n",
	    "memofs-key 1\nname\t\ta\tb\n",
	    "memofs-key 1\nname\t\ta\nname\t\ta\n",
	    "memofs-key 1\nparam\tb\t\nparam\ta\t\n",
	    "memofs-key 1\nparam\ta\t\nname\t\ta\n",
	    "memofs-key 1\ncommand\t1\ta\n",
	    "memofs-key 1\ncommand\t00\ta\n",
	    "memofs-key 1\nname\t\t\\q\n",
	    "memofs-key 1\nname\t\t\\x41\n",
	    "memofs-key 1\nname\t\t\\x00\n",
	    "memofs-key 1\nname\t\t\\xFF\n",
	    "memofs-key 1\nname\t\t\x01\n",
	    "memofs-key 1\nname\t\t\xff\n",
	    "memofs-key 1\nname\t\t\\",
	    "memofs-key 1\nversion\ta\t\nversion\ta\t\n",
	    "memofs-key 1\n\n",
	};
	struct buf lines = BUF_INIT;
	struct parts ps;
	struct slice good = slice("memofs-key 1\nname\t\t\\xff\n", 24);

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		struct slice text = slice(texts[i], strlen(texts[i]));

		assert_int_equal(parts_parse(text, &ps), -EBADMSG);
		assert_int_equal(key_differences(text, good, &lines), -EBADMSG);
	}
	assert_int_equal(key_differences(good, good, &lines), 0);
	assert_int_equal(lines.len, 0);
	buf_deinit(&lines);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(a_key_is_the_same_bytes_for_ever),
	    TEST(order_of_options),
	    TEST(each_part_makes_a_difference),
	    TEST(words_of_the_command),
	    TEST(names_of_entries_are_safe),
	    TEST(a_file_is_its_content),
	    TEST(a_directory_is_what_is_in_it),
	    TEST(a_pattern_is_what_it_matches),
	    TEST(an_absolute_pattern),
	    TEST(symlinks_are_followed),
	    TEST(many_files_are_one_part),
	    TEST(what_is_not_there_is_named),
	    TEST(one_name_is_one_input),
	    TEST(a_hash_stands_for_an_input),
	    TEST(what_is_ignored_is_no_part),
	    TEST(versions_from_files),
	    TEST(versions_from_programs),
	    TEST(policies_that_are_none),
	    TEST(versions_from_git),
	    TEST(versions_from_git_have_submodules),
	    TEST(standard_input_is_kept_for_the_command),
	    TEST(inputs_are_looked_at_again),
	    TEST(versions_are_looked_at_again),
	    TEST(validators),
	    TEST(the_id_is_of_what_counts),
	    TEST(validators_need_names),
	    cmocka_unit_test(differences_are_told),
	    cmocka_unit_test(words_that_came_or_went),
	    cmocka_unit_test(what_is_no_key_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
