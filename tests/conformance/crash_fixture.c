/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/conformance/crash_fixture.h"

#include <signal.h>
#include <sys/wait.h>

#include "store/internal.h"

void kill_in(struct fixture *fx, void (*victim)(struct store *st),
	     unsigned int kill_after_ms)
{
	struct store_options opt = fixture_options(fx);
	struct store *st;
	int status;
	pid_t pid;

	fixture_close(fx);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		if (store_open(&opt, &st, NULL))
			_exit(3);
		victim(st);
		_exit(4);
	}
	if (kill_after_ms) {
		usleep(kill_after_ms * 1000);
		kill(pid, SIGKILL);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	fixture_open(fx);
}

void die(void)
{
	raise(SIGKILL);
}

void lose_power(struct store *st)
{
	struct batch b = BATCH_INIT;

	batch_put(&b, TABLE_META, slice_str("boot"), slice_str("the boot before"));
	must(backend_commit(st->be, &b));
	batch_deinit(&b);
	die();
}
