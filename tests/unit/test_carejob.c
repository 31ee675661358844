/* SPDX-License-Identifier: Apache-2.0 */
/* Whose result a job's file tells. What is written to it stands in for the daemon. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <stdbool.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli/carejob.h"
#include "cli/command.h"

static const struct carejob checking = {
    .command = "check", .verb = "checking", .unit = "rows", .quiet = true};

/* What becomes of the file while the command sleeps, once each; NULL: nothing more. */
static const char *const *next_texts;
static const char *next_path;
static bool is_busy; /* it is another who makes the file say `after`; none is started */

static void path_of(char *dir, char ret_path[128])
{
	snprintf(ret_path, 128, "%s/.memofs/jobs/check", dir);
}

static void put_text(const char *path, const char *text)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	assert_true(fputs(text, file) >= 0);
	assert_int_equal(fclose(file), 0);
}

ssize_t __real_write(int fd, const void *data, size_t len);
ssize_t __wrap_write(int fd, const void *data, size_t len);
int __wrap_nanosleep(const struct timespec *time, struct timespec *ret_left);

ssize_t __wrap_write(int fd, const void *data, size_t len)
{
	ssize_t n = __real_write(fd, data, len);

	if (!is_busy)
		return n;
	errno = EBUSY;
	return -1;
}

int __wrap_nanosleep(const struct timespec *time, struct timespec *ret_left)
{
	assert_non_null(next_texts);
	assert_non_null(*next_texts); /* else it would sleep for ever */
	put_text(next_path, *next_texts++);
	return 0;
}

static int make_mount(void **state)
{
	char path[128], *dir = strdup("/tmp/test-carejob.XXXXXX");

	assert_non_null(dir);
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/.memofs", dir);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/.memofs/jobs", dir);
	assert_int_equal(mkdir(path, 0700), 0);
	*state = dir;
	return 0;
}

static int remove_mount(void **state)
{
	char path[128], *dir = *state;

	path_of(dir, path);
	unlink(path);
	for (int i = 0; i < 3; i++) {
		*strrchr(path, '/') = '\0';
		rmdir(path);
	}
	free(dir);
	is_busy = false;
	next_texts = NULL;
	return 0;
}

/* The file says `before`; the options that start the job become what it says then. */
static int follow(char *dir, const char *before, const char *after,
		  struct careresult *result)
{
	struct carestore cs = {.mountpoint = dir, .store = dir};
	static char path[128];

	next_path = path;
	path_of(dir, path);
	put_text(path, before);
	return carejob_mount(&checking, &cs, "check", after, result);
}

static void test_own_result(void **state)
{
	CLEANUP_CARERESULT struct careresult result = CARERESULT_INIT;

	assert_int_equal(follow(*state, "run: 4\nstate: done\nresult: old\n",
				"run: 5\nstate: done\nresult: sound\n", &result),
			 CLI_OK);
	assert_false(result.failed);
	assert_non_null(careresult_value(&result, "sound"));
	assert_null(careresult_value(&result, "old"));
}

/* While one is running nothing of it is told but what was found. */
static void test_until_it_ends(void **state)
{
	static const char *const texts[] = {"run: 5\nstate: running\nresult: half\n",
					    "run: 5\nstate: done\nresult: sound\n", NULL};
	CLEANUP_CARERESULT struct careresult result = CARERESULT_INIT;

	next_texts = texts;
	assert_int_equal(follow(*state, "run: 4\nstate: done\nresult: old\n",
				"run: 5\nstate: running\n", &result),
			 CLI_OK);
	assert_null(*next_texts);
	assert_non_null(careresult_value(&result, "sound"));
	assert_null(careresult_value(&result, "half"));
}

static void test_another_begun_meanwhile(void **state)
{
	static const char *const texts[] = {"run: 6\nstate: running\n", NULL};
	CLEANUP_CARERESULT struct careresult result = CARERESULT_INIT;

	next_texts = texts;
	assert_int_equal(
	    follow(*state, "run: 4\nstate: idle\n", "run: 5\nstate: running\n", &result),
	    CLI_FAILED);
	assert_null(*next_texts);
}

/* However many were begun since we looked. */
static void test_one_that_runs_already(void **state)
{
	static const char *const texts[] = {"run: 6\nstate: done\nresult: sound\n", NULL};
	CLEANUP_CARERESULT struct careresult result = CARERESULT_INIT;

	is_busy = true;
	next_texts = texts;
	assert_int_equal(
	    follow(*state, "run: 4\nstate: idle\n", "run: 6\nstate: running\n", &result),
	    CLI_OK);
	assert_null(*next_texts);
	assert_non_null(careresult_value(&result, "sound"));
}

static void test_another_job_runs(void **state)
{
	CLEANUP_CARERESULT struct careresult result = CARERESULT_INIT;

	is_busy = true;
	assert_int_equal(follow(*state, "run: 4\nstate: done\nresult: old\n",
				"run: 4\nstate: done\nresult: old\n", &result),
			 CLI_FAILED);
}

static void test_result_of_another(void **state)
{
	CLEANUP_CARERESULT struct careresult result = CARERESULT_INIT;

	assert_int_equal(follow(*state, "run: 4\nstate: done\nresult: old\n",
				"run: 6\nstate: done\nresult: sound\n", &result),
			 CLI_FAILED);
}

/* It counts from 0 when it is started again: before ours was begun, or after. */
static void test_of_a_daemon_started_again(void **state)
{
	CLEANUP_CARERESULT struct careresult result = CARERESULT_INIT;

	assert_int_equal(follow(*state, "run: 4\nstate: done\nresult: old\n",
				"run: 1\nstate: done\nresult: sound\n", &result),
			 CLI_OK);
	assert_non_null(careresult_value(&result, "sound"));
	assert_int_equal(follow(*state, "run: 4\nstate: done\nresult: old\n",
				"run: 0\nstate: idle\n", &result),
			 CLI_FAILED);
}

static void test_no_job(void **state)
{
	CLEANUP_CARERESULT struct careresult result = CARERESULT_INIT;

	assert_int_equal(follow(*state, "something else, which is not of a daemon\n",
				"run: 1\nstate: done\nresult: sound\n", &result),
			 CLI_FAILED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_own_result, make_mount, remove_mount),
	    cmocka_unit_test_setup_teardown(test_until_it_ends, make_mount, remove_mount),
	    cmocka_unit_test_setup_teardown(test_another_begun_meanwhile, make_mount,
					    remove_mount),
	    cmocka_unit_test_setup_teardown(test_one_that_runs_already, make_mount,
					    remove_mount),
	    cmocka_unit_test_setup_teardown(test_another_job_runs, make_mount,
					    remove_mount),
	    cmocka_unit_test_setup_teardown(test_result_of_another, make_mount,
					    remove_mount),
	    cmocka_unit_test_setup_teardown(test_of_a_daemon_started_again, make_mount,
					    remove_mount),
	    cmocka_unit_test_setup_teardown(test_no_job, make_mount, remove_mount),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
