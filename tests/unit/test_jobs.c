/* SPDX-License-Identifier: Apache-2.0 */
/* Jobs: one at a time, in lines, and ended with the daemon. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "fs/jobs.h"

struct fixture {
	struct store *st;
	struct jobs *jobs;
	unsigned int check, gc;
};

static int setup(void **state)
{
	static struct fixture fx;
	const struct store_options opt = {.kind = STORE_MEMORY, .root_mode = 0755};
	struct errmsg err;

	if (store_open(&opt, &fx.st, &err) || jobs_new(fx.st, NULL, &fx.jobs) ||
	    jobs_find("check", &fx.check) || jobs_find("gc", &fx.gc))
		return -1;
	*state = &fx;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fx = *state;

	jobs_free(fx->jobs);
	store_close(fx->st);
	return 0;
}

static bool says(struct fixture *fx, unsigned int job, const char *word)
{
	struct buf text = BUF_INIT;
	bool has;

	assert_int_equal(jobs_text(fx->jobs, job, &text), 0);
	assert_int_equal(buf_append(&text, "", 1), 0);
	has = strstr((const char *)text.data, word);
	buf_deinit(&text);
	return has;
}

static void finish(struct fixture *fx, unsigned int job)
{
	while (says(fx, job, "state: running"))
		usleep(1000);
}

static void test_check(void **state)
{
	struct fixture *fx = *state;

	assert_true(says(fx, fx->check, "run: 0\nstate: idle\n"));
	assert_int_equal(jobs_start(fx->jobs, fx->check, "fast\n", 5), 0);
	finish(fx, fx->check);
	assert_true(says(fx, fx->check, "run: 1\nstate: done\n"));
	assert_true(says(fx, fx->check, "\nresult: sound\n"));
	assert_int_equal(jobs_start(fx->jobs, fx->check, "repair", 6), 0);
	finish(fx, fx->check);
	assert_true(says(fx, fx->check, "run: 2\n"));
	assert_int_equal(jobs_start(fx->jobs, fx->gc, "\n", 1), 0);
	finish(fx, fx->gc);
	assert_true(says(fx, fx->gc, "state: done\n"));
	assert_true(says(fx, fx->check, "run: 2\n"));
}

static void test_options(void **state)
{
	struct fixture *fx = *state;
	char many[300];
	unsigned int job;

	memset(many, ' ', sizeof(many));
	assert_int_equal(jobs_start(fx->jobs, fx->check, "other", 5), -EINVAL);
	assert_int_equal(jobs_start(fx->jobs, fx->gc, "repair", 6), -EINVAL);
	assert_int_equal(jobs_start(fx->jobs, fx->check, "a\0b", 3), -EINVAL);
	assert_int_equal(jobs_start(fx->jobs, fx->check, many, sizeof(many)), -EINVAL);
	assert_int_equal(jobs_find("other", &job), -ENOENT);
	assert_true(says(fx, fx->check, "run: 0\n"));
}

static void test_failure(void **state)
{
	struct fixture *fx = *state;
	unsigned int backup;

	assert_int_equal(jobs_find("backup", &backup), 0);
	assert_int_equal(jobs_start(fx->jobs, backup, "", 0), 0);
	finish(fx, backup);
	assert_true(says(fx, backup, "state: failed\n"));
	assert_true(says(fx, backup, "result: a store in memory"));
}

static void test_stop(void **state)
{
	struct fixture *fx = *state;

	assert_int_equal(jobs_start(fx->jobs, fx->check, "", 0), 0);
	jobs_stop(fx->jobs);
	assert_false(says(fx, fx->check, "state: running"));
	assert_int_equal(jobs_start(fx->jobs, fx->check, "", 0), -EBUSY);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(test_check, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_options, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_failure, setup, teardown),
	    cmocka_unit_test_setup_teardown(test_stop, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
