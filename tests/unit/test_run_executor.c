/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Running a command: how it ends, what it writes, in which order. Its own output goes
 * to a file in place of stdout and stderr, to see what was shown.
 */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "cli/run/executor.h"
#include "store/util/duration.h"

struct run {
	struct recording rec;
	struct ending end;
	char shown[8192]; /* on stdout and stderr together */
};

static void run_deinit(struct run *run)
{
	recording_deinit(&run->rec);
}

static int redirect(int from, int to)
{
	int saved = fcntl(from, F_DUPFD_CLOEXEC, 10);

	assert_int_equal(dup2(to, from), from);
	return saved;
}

static void restore(int fd, int saved)
{
	dup2(saved, fd);
	close(saved);
}

/* Both of our streams are `to` meanwhile. */
static void execute_into(const struct execution *ex, struct ending *end, int to)
{
	int out, err, r;

	fflush(NULL);
	out = redirect(STDOUT_FILENO, to);
	err = redirect(STDERR_FILENO, to);
	r = execute(ex, end);
	restore(STDOUT_FILENO, out);
	restore(STDERR_FILENO, err);
	assert_int_equal(r, 0);
}

static void run_args(struct run *run, const struct execution *how,
		     const char *const *argv)
{
	struct execution ex = *how;
	FILE *shown = tmpfile();
	ssize_t n;

	fcntl(fileno(shown), F_SETFD, FD_CLOEXEC);
	*run = (struct run){.rec = RECORDING_INIT};
	ex.argv = (char *const *)argv;
	ex.rec = &run->rec;
	if (!ex.stdin_fd)
		ex.stdin_fd = -1;
	execute_into(&ex, &run->end, fileno(shown));
	n = pread(fileno(shown), run->shown, sizeof(run->shown) - 1, 0);
	run->shown[n > 0 ? n : 0] = '\0';
	fclose(shown);
}

static void run_shell(struct run *run, const char *script)
{
	run_args(run, &(struct execution){0},
		 (const char *const[]){"sh", "-c", script, NULL});
}

static void assert_bytes(const struct spool *s, const char *want)
{
	assert_int_equal(s->size_bytes, strlen(want));
	if (*want)
		assert_memory_equal(s->memory.data, want, strlen(want));
}

static void test_exit_codes(void **state)
{
	static const struct {
		const char *script;
		int code;
		bool exits;
	} rows[] = {
	    {"true", 0, true},
	    {"exit 7", 7, true},
	    {"exit 255", 255, true},
	    {"kill -TERM $$", 128 + SIGTERM, false},
	    {"kill -KILL $$", 128 + SIGKILL, false},
	};

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct run run;

		run_shell(&run, rows[i].script);
		assert_int_equal(ending_code(&run.end), rows[i].code);
		assert_int_equal(ending_is_exit(&run.end), rows[i].exits);
		assert_false(run.end.open_still);
		run_deinit(&run);
	}
}

static void test_cannot_be_run(void **state)
{
	static const struct {
		const char *program;
		int code, err;
	} rows[] = {{"/nonexistent/x", 127, ENOENT}, {"/dev/null", 126, EACCES}};

	for (size_t i = 0; i < 2; i++) {
		struct run run;

		run_args(&run, &(struct execution){0},
			 (const char *const[]){rows[i].program, NULL});
		assert_int_equal(ending_code(&run.end), rows[i].code);
		assert_int_equal(run.end.exec_errno, rows[i].err);
		assert_false(ending_is_exit(&run.end));
		assert_non_null(strstr(run.shown, rows[i].program));
		run_deinit(&run);
	}
}

/* One byte at a time, by one process to both: nothing may change places. */
static void test_order_is_kept(void **state)
{
	char script[] = "i=0; while [ $i -lt 200 ]; do printf a; printf b >&2; "
			"printf c; printf d >&2; printf e >&2; i=$((i+1)); done";
	struct run run;
	char want[2048] = "";

	for (int i = 0; i < 200; i++)
		strcat(want, "abcde");
	run_shell(&run, script);
	assert_string_equal(run.shown, want);
	/* a, then b, c, de of each; the next a ends the run of de. */
	assert_int_equal(run.rec.failed, 0);
	assert_int_equal(run.rec.bytes[STREAM_OUT].size_bytes, 400);
	assert_int_equal(run.rec.bytes[STREAM_ERR].size_bytes, 600);
	assert_memory_equal(run.rec.order.memory.data, "1 1\n2 1\n1 1\n2 2\n1 1\n", 20);
	run_deinit(&run);
}

static void test_streams_are_kept_apart(void **state)
{
	struct run run;

	run_shell(&run, "printf out; printf err >&2; printf 'more\\000'");
	assert_bytes(&run.rec.bytes[STREAM_ERR], "err");
	assert_int_equal(run.rec.bytes[STREAM_OUT].size_bytes, 8);
	assert_memory_equal(run.rec.bytes[STREAM_OUT].memory.data, "outmore\0", 8);
	run_deinit(&run);
}

static void test_skip_and_silence(void **state)
{
	struct run run;
	const char *const argv[] = {"sh", "-c", "printf abcdef; printf xyz >&2", NULL};

	run_args(&run, &(struct execution){.skip = {4, 1}}, argv);
	assert_string_equal(run.shown, "efyz");
	assert_bytes(&run.rec.bytes[STREAM_OUT], "abcdef");
	run_deinit(&run);
	run_args(&run, &(struct execution){.silent = true}, argv);
	assert_string_equal(run.shown, "");
	assert_bytes(&run.rec.bytes[STREAM_ERR], "xyz");
	run_deinit(&run);
}

static void test_stdin_is_given(void **state)
{
	FILE *in = tmpfile();
	struct run run;

	fputs("from the file", in);
	rewind(in);
	run_args(&run, &(struct execution){.stdin_fd = fileno(in)},
		 (const char *const[]){"cat", NULL});
	assert_string_equal(run.shown, "from the file");
	run_deinit(&run);
	fclose(in);
}

/* Descriptors and what is blocked are as the command would find them without us. */
static void test_nothing_is_inherited(void **state)
{
	struct run run;

	run_shell(&run,
		  "ls /proc/self/fd | wc -l; grep -E 'Sig(Blk|Ign)' /proc/self/status");
	assert_non_null(strstr(run.shown, "4\n")); /* 0, 1, 2, and ls's own */
	assert_non_null(strstr(run.shown, "SigBlk:\t0000000000000000"));
	run_deinit(&run);
}

static void test_background_process(void **state)
{
	int64_t begun_ns = time_monotonic_ns();
	struct run run;

	run_shell(&run, "sleep 30 & printf done");
	assert_true(time_monotonic_ns() - begun_ns < 20 * NSEC_PER_SEC);
	assert_true(run.end.open_still);
	assert_string_equal(run.shown, "done");
	run_deinit(&run);
	/* One that has its own output is nobody's business. */
	run_shell(&run, "sleep 30 >/dev/null 2>&1 & printf done");
	assert_false(run.end.open_still);
	run_deinit(&run);
}

/* What a process writes soon after the command has ended belongs to it. */
static void test_late_writer(void **state)
{
	struct run run;

	run_shell(&run, "{ sleep 0.05; printf late; } & printf early");
	assert_false(run.end.open_still);
	assert_bytes(&run.rec.bytes[STREAM_OUT], "earlylate");
	run_deinit(&run);
}

/* The command is told that nobody reads, as it would be in a pipeline. */
static void test_reader_goes_away(void **state)
{
	struct recording rec = RECORDING_INIT;
	const char *const argv[] = {"sh", "-c", "while :; do echo line; done", NULL};
	struct execution ex = {.argv = (char *const *)argv, .stdin_fd = -1, .rec = &rec};
	struct ending end;
	int fds[2];

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	close(fds[0]);
	execute_into(&ex, &end, fds[1]);
	close(fds[1]);
	assert_int_equal(end.show_errno, EPIPE);
	assert_int_equal(ending_code(&end), 128 + SIGPIPE);
	assert_int_equal(rec.failed, -EPIPE);
	recording_deinit(&rec);
}

static void ignore(int sig)
{
}

/* A signal for us is the command's; we live on, and nothing of it is left pending. */
static void test_signals_reach_the_command(void **state)
{
	struct run run;
	char script[128];

	signal(SIGTERM, ignore);
	snprintf(script, sizeof(script),
		 "trap 'printf got; exit 3' TERM; kill -TERM %d; "
		 "while :; do sleep 0.01; done",
		 (int)getpid());
	run_shell(&run, script);
	assert_string_equal(run.shown, "got");
	assert_int_equal(ending_code(&run.end), 3);
	signal(SIGTERM, SIG_DFL);
	run_deinit(&run);
}

/* As much as a pipe holds, and more: in order, and all of it. */
static void test_much(void **state)
{
	struct run run;

	run_shell(&run, "i=0; while [ $i -lt 64 ]; do head -c 100000 /dev/zero; "
			"echo x >&2; i=$((i+1)); done");
	assert_int_equal(run.rec.failed, 0);
	assert_int_equal(run.rec.bytes[STREAM_OUT].size_bytes, 6400000);
	assert_int_equal(run.rec.bytes[STREAM_ERR].size_bytes, 128);
	assert_memory_equal(run.rec.order.memory.data, "1 100000\n2 2\n1 100000\n", 22);
	run_deinit(&run);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_exit_codes),
	    cmocka_unit_test(test_cannot_be_run),
	    cmocka_unit_test(test_order_is_kept),
	    cmocka_unit_test(test_streams_are_kept_apart),
	    cmocka_unit_test(test_skip_and_silence),
	    cmocka_unit_test(test_stdin_is_given),
	    cmocka_unit_test(test_nothing_is_inherited),
	    cmocka_unit_test(test_background_process),
	    cmocka_unit_test(test_late_writer),
	    cmocka_unit_test(test_reader_goes_away),
	    cmocka_unit_test(test_signals_reach_the_command),
	    cmocka_unit_test(test_much),
	};

	/* Whatever started this may have left some open. */
	close_range(STDERR_FILENO + 1, ~0U, 0);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
