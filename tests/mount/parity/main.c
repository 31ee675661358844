/* SPDX-License-Identifier: Apache-2.0 */
/*
 * parity EXT4DIR DIR      run every row on both; what differs must be expected
 * parity --print DIR      print every row and its outcome on one directory
 * parity --doc            print the expected differences as Markdown
 *
 * It fails when a difference is not expected, and when an expected one is not
 * there any more. Run as root, it also tries what another user may do.
 */
#include "parity.h"

#include <errno.h>
#include <fnmatch.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../prog.h"

enum { ROW_SECONDS = 20 };

static char *outcome; /* of the row that runs, shared with its process */

/* In the row's own process. Numbers other than 0 are part of the outcome. */
static void run_row(const struct row *row)
{
	const char *failed = make_objects();
	long ret;

	if (failed) {
		snprintf(outcome, OUTCOME_MAX, "cannot make %s: %s", failed,
			 strerrorname_np(errno));
		return;
	}
	errno = 0;
	ret = row->run ? row->run() : open_row_run(row);
	if (ret < 0)
		snprintf(outcome, OUTCOME_MAX, "%s%s", noted(),
			 errno ? strerrorname_np(errno) : "-1");
	else if (ret > 0 || !*noted())
		snprintf(outcome, OUTCOME_MAX, "%s%ld", noted(), ret);
	else
		snprintf(outcome, OUTCOME_MAX, "%s", noted());
	/* The note of a row without a number ends with a blank. */
	if (*outcome && outcome[strlen(outcome) - 1] == ' ')
		outcome[strlen(outcome) - 1] = '\0';
}

/* Run a row in `dir`, which is empty. The answer is good until the next one. */
static const char *outcome_in(const struct row *row, const char *dir)
{
	pid_t pid;
	int status;

	memset(outcome, 0, OUTCOME_MAX);
	fflush(stdout);
	pid = fork();
	if (pid < 0)
		fail_errno("fork");
	if (pid == 0) {
		alarm(ROW_SECONDS);
		umask(022);
		if (chdir(dir) < 0)
			fail_errno("enter %s", dir);
		run_row(row);
		_exit(0);
	}
	if (waitpid(pid, &status, 0) < 0)
		fail_errno("wait");
	if (WIFSIGNALED(status))
		snprintf(outcome, OUTCOME_MAX, "SIG%s", sigabbrev_np(WTERMSIG(status)));
	else if (!*outcome) /* the process became another program */
		snprintf(outcome, OUTCOME_MAX, "ended with %d", WEXITSTATUS(status));
	return outcome;
}

static void run_in(const struct row *row, const char *base, char *ret_outcome)
{
	char dir[PATH_MAX];

	snprintf(dir, sizeof(dir), "%s/row", base);
	need_dir(dir);
	snprintf(ret_outcome, OUTCOME_MAX, "%s", outcome_in(row, dir));
	/* Rows change modes; root does not mind, others need them back. */
	chmod(dir, 0755);
	remove_tree(dir);
}

/* ---- comparing ------------------------------------------------------------------ */

/* The expectation for this row and its outcome on ext4, or -1. */
static long find_expected(const struct row *row, const char *ext4)
{
	for (size_t i = 0; i < expected_count; i++)
		if (fnmatch(expected[i].pattern, row->id, FNM_NOESCAPE) == 0 &&
		    (!ext4 || strcmp(expected[i].ext4, ext4) == 0))
			return (long)i;
	return -1;
}

struct totals {
	unsigned int rows, differ, wrong, skipped;
};

static void compare(const struct row *row, const char *ext4_dir, const char *mount_dir,
		    bool *used, struct totals *t)
{
	char ext4[OUTCOME_MAX], mount[OUTCOME_MAX];
	long e;

	if (row->as_root && geteuid() != 0) {
		t->skipped++;
		e = find_expected(row, NULL);
		if (e >= 0)
			used[e] = true;
		return;
	}
	run_in(row, ext4_dir, ext4);
	run_in(row, mount_dir, mount);
	t->rows++;
	e = find_expected(row, ext4);
	if (e >= 0)
		used[e] = true;
	if (strcmp(ext4, mount) != 0)
		t->differ++;
	if (strcmp(mount, e >= 0 ? expected[e].mount : ext4) == 0)
		return;
	t->wrong++;
	printf("%s: %s\n\text4:     %s\n\tmount:    %s\n", row->id, row->text, ext4,
	       mount);
	if (e >= 0)
		printf("\texpected: %s (%s)\n", expected[e].mount, expected[e].reason);
}

static void each_row(void (*each)(const struct row *row, void *arg), void *arg)
{
	size_t count;
	const struct row *rows = open_rows(&count);

	for (size_t i = 0; i < count; i++)
		each(&rows[i], arg);
	for (size_t i = 0; i < def_row_count; i++)
		each(&def_rows[i], arg);
}

struct comparison {
	char ext4_dir[PATH_MAX], mount_dir[PATH_MAX];
	bool *used;
	struct totals totals;
};

static void compare_row(const struct row *row, void *arg)
{
	struct comparison *c = arg;

	compare(row, c->ext4_dir, c->mount_dir, c->used, &c->totals);
}

static void make_base(const char *parent, char *ret_dir)
{
	snprintf(ret_dir, PATH_MAX, "%s/parity-XXXXXX", parent);
	if (!mkdtemp(ret_dir) || chmod(ret_dir, 0755) < 0)
		fail_errno("make a directory in %s", parent);
}

static int compare_dirs(const char *ext4_parent, const char *mount_parent)
{
	static struct comparison c;
	struct totals *t = &c.totals;

	c.used = calloc(expected_count + 1, sizeof(*c.used));
	make_base(ext4_parent, c.ext4_dir);
	make_base(mount_parent, c.mount_dir);
	each_row(compare_row, &c);
	remove_tree(c.ext4_dir);
	remove_tree(c.mount_dir);

	for (size_t i = 0; i < expected_count; i++)
		if (!c.used[i]) {
			printf("no row any more: %s, %s on ext4\n", expected[i].pattern,
			       expected[i].ext4);
			t->wrong++;
		}
	printf("%u calls on both: %u differ, %zu kinds of difference are expected; %u "
	       "calls need root and were left out\n",
	       t->rows, t->differ, expected_count, t->skipped);
	if (t->wrong)
		fail("%u calls do not do what is expected", t->wrong);
	return 0;
}

/* ---- printing --------------------------------------------------------------------- */

static void print_row(const struct row *row, void *arg)
{
	char text[OUTCOME_MAX];

	run_in(row, arg, text);
	printf("%-40s %-40s %s\n", row->id, text, row->text);
}

static int print_dir(const char *parent)
{
	char base[PATH_MAX];

	make_base(parent, base);
	each_row(print_row, base);
	remove_tree(base);
	return 0;
}

/* A cell of the table: what Markdown would take for markup is escaped. */
static void print_cell(const char *text, bool code)
{
	fputs(code ? "`" : "", stdout);
	for (; *text; text++)
		fputs(*text == '|' ? "\\|" : (char[2]){*text, '\0'}, stdout);
	fputs(code ? "` | " : " |", stdout);
}

static void find_text(const struct row *row, void *arg)
{
	const char **text = arg; /* in: the pattern; out: the call */

	if (strcmp(row->id, *text) == 0)
		*text = row->text;
}

static int print_doc(void)
{
	puts("| call | ext4 | memofs | why |\n| --- | --- | --- | --- |");
	for (size_t i = 0; i < expected_count; i++) {
		const char *text = expected[i].pattern;

		each_row(find_text, &text);
		fputs("| ", stdout);
		print_cell(text, true);
		print_cell(expected[i].ext4, true);
		print_cell(expected[i].mount, true);
		print_cell(expected[i].reason, false);
		putchar('\n');
	}
	return 0;
}

int main(int argc, char **argv)
{
	outcome = shared_memory(OUTCOME_MAX);
	if (argc == 2 && strcmp(argv[1], "--doc") == 0)
		return print_doc();
	if (argc == 3 && strcmp(argv[1], "--print") == 0)
		return print_dir(argv[2]);
	if (argc == 3 && argv[1][0] != '-')
		return compare_dirs(argv[1], argv[2]);
	fprintf(stderr, "usage: parity EXT4DIR DIR | --print DIR | --doc\n");
	return 2;
}
