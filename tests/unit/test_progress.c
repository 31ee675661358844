/* SPDX-License-Identifier: Apache-2.0 */
/* The progress bar: its text for every width, and on a terminal of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/show.h"
#include "cli/tree/progress.h"
#include "store/util/duration.h"

static const struct progress restoring = {
    .verb = "restoring", .what = "mods", .total_files = 30001, .total_bytes = 300 << 20};

static void line_is(const struct progress *p, uint64_t files, uint64_t bytes,
		    int64_t elapsed_ns, size_t columns, const char *want)
{
	CLEANUP_BUF struct buf line = BUF_INIT;

	progress_line(p, files, bytes, elapsed_ns, columns, &line);
	assert_int_equal(buf_append(&line, "", 1), 0);
	assert_string_equal((const char *)line.data, want);
}

static void counts_have_separators(void **state)
{
	char text[PROGRESS_COUNT_MAX], amount[PROGRESS_AMOUNT_MAX];

	assert_string_equal(progress_count(0, text), "0");
	assert_string_equal(progress_count(999, text), "999");
	assert_string_equal(progress_count(1000, text), "1,000");
	assert_string_equal(progress_count(123456, text), "123,456");
	assert_string_equal(progress_count(1234567, text), "1,234,567");
	assert_string_equal(progress_count(UINT64_MAX, text),
			    "18,446,744,073,709,551,615");
	assert_string_equal(progress_amount(1, 512, amount), "1 file, 512B");
	assert_string_equal(progress_amount(30001, 182 << 20, amount),
			    "30,001 files, 182MiB");
}

static void what_has_no_room_goes(void **state)
{
	const struct progress *p = &restoring;
	int64_t t = 2 * NSEC_PER_SEC;

	line_is(p, 15000, 150 << 20, t, 100,
		"restoring mods  49% [##############                ]"
		" 15,000 of 30,001 files, 75MiB/s, 2s left");
	line_is(p, 15000, 150 << 20, t, 75,
		"restoring mods  49% [#####       ] 15,000 of 30,001 files, 75MiB/s, 2s "
		"left");
	line_is(p, 15000, 150 << 20, t, 66,
		"restoring mods  49% [#####       ] 15,000 of 30,001 files, 75MiB/s");
	line_is(p, 15000, 150 << 20, t, 60,
		"restoring mods  49% [#######        ] 15,000 of 30,001 files");
	line_is(p, 15000, 150 << 20, t, 50, "restoring mods  49% 15,000 of 30,001 files");
	line_is(p, 15000, 150 << 20, t, 20, "restoring mods  49% ");
	line_is(p, 15000, 150 << 20, t, 0, "");
}

static void the_ends_of_the_bar(void **state)
{
	const struct progress *p = &restoring;

	line_is(p, 0, 0, NSEC_PER_SEC, 79,
		"restoring mods   0% [                              ] 0 of 30,001 files, "
		"0B/s");
	line_is(p, 30001, 300 << 20, NSEC_PER_SEC, 200,
		"restoring mods 100% [##############################]"
		" 30,001 of 30,001 files, 300MiB/s, 0s left");
	/* More than was announced: files have grown meanwhile. */
	line_is(p, 30002, 301 << 20, NSEC_PER_SEC, 60,
		"restoring mods 100% [###############] 30,002 of 30,001 files");
}

static void without_totals_there_is_no_bar(void **state)
{
	const struct progress p = {.verb = "saving", .what = "k"};

	line_is(&p, 1200, 3 << 20, 2 * NSEC_PER_SEC, 79,
		"saving k 1,200 files, 1.5MiB/s");
}

/* Names are any bytes; none may reach the terminal that moves its cursor. */
static void no_line_is_wider_than_its_terminal(void **state)
{
	static const char *const names[] = {
	    "a\nb\033[2J\x9b", "\xe6\xbc\xa2\xe6\xbc\xa2\xe6\xbc\xa2", "\xff\xc3", ""};

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		struct progress p = restoring;

		p.what = names[i];
		for (size_t columns = 0; columns < 130; columns++) {
			CLEANUP_BUF struct buf line = BUF_INIT;

			progress_line(&p, 77, 4711, 1, columns, &line);
			assert_int_equal(buf_append(&line, "", 1), 0);
			assert_true(show_width((char *)line.data) <= columns);
			for (size_t k = 0; k + 1 < line.len; k++)
				assert_true(line.data[k] >= 0x20 && line.data[k] != 0x7f);
		}
	}
}

/* ---- on a terminal ----------------------------------------------------------- */

/* What `draw` writes to a terminal of 40 columns as stderr; the caller frees it. */
static char *on_a_terminal(void (*draw)(void), const char *term)
{
	struct winsize size = {.ws_row = 24, .ws_col = 40};
	int master = posix_openpt(O_RDWR | O_NOCTTY);
	char *text = calloc(1, 4096);
	size_t len = 0;
	ssize_t n;
	pid_t pid;

	assert_true(master >= 0 && text);
	assert_int_equal(grantpt(master), 0);
	assert_int_equal(unlockpt(master), 0);
	assert_int_equal(ioctl(master, TIOCSWINSZ, &size), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (pid == 0) {
		int slave = open(ptsname(master), O_RDWR | O_NOCTTY);

		if (slave < 0 || dup2(slave, STDERR_FILENO) < 0)
			_exit(1);
		setenv("TERM", term, 1);
		draw();
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &(int){0}, 0), pid);
	fcntl(master, F_SETFL, O_NONBLOCK);
	while (len < 4095 && (n = read(master, text + len, 4095 - len)) > 0)
		len += (size_t)n;
	close(master);
	return text;
}

static void draw_twice(void)
{
	struct progress p;

	progress_begin(&p, "saving", "k", 4, 0, false);
	progress_show(&p, 1, 0); /* too early */
	p.shown_ns = INT64_MIN / 2;
	progress_show(&p, 2, 0);
	progress_show(&p, 3, 0); /* too soon after that */
	progress_end(&p);
	progress_show(&p, 4, 0); /* over */
	progress_end(&p);
}

static void draw_quietly(void)
{
	struct progress p;

	progress_begin(&p, "saving", "k", 4, 0, true);
	p.shown_ns = INT64_MIN / 2;
	progress_show(&p, 2, 0);
	progress_end(&p);
}

static void a_terminal_is_left_as_it_was(void **state)
{
	char *text = on_a_terminal(draw_twice, "xterm");

	assert_string_equal(text,
			    "\rsaving k  50% [#####     ] 2 of 4 files\033[K\r\033[K");
	free(text);
}

static void quiet_and_dumb_are_without(void **state)
{
	char *text = on_a_terminal(draw_quietly, "xterm");

	assert_string_equal(text, "");
	free(text);
	text = on_a_terminal(draw_twice, "dumb");
	assert_string_equal(text, "");
	free(text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(counts_have_separators),
	    cmocka_unit_test(what_has_no_room_goes),
	    cmocka_unit_test(the_ends_of_the_bar),
	    cmocka_unit_test(without_totals_there_is_no_bar),
	    cmocka_unit_test(no_line_is_wider_than_its_terminal),
	    cmocka_unit_test(a_terminal_is_left_as_it_was),
	    cmocka_unit_test(quiet_and_dumb_are_without),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
