/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/conformance/crash_fixture.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/internal.h"

static int began[2]; /* a pipe from the child that runs */

static void wait_for_began(void)
{
	char byte;

	/* 0: it has ended without, and says why below. */
	assert_in_range(read(began[0], &byte, 1), 0, 1);
}

void child_began(void)
{
	if (began[1] >= 0 && write(began[1], "", 1) == 1)
		close(began[1]);
	began[1] = -1;
}

void kill_in(struct fixture *fx, void (*victim)(struct store *st),
	     unsigned int kill_after_ms)
{
	struct store_options opt = fixture_options(fx);
	struct store *st;
	int status;
	pid_t pid;

	fixture_close(fx);
	assert_int_equal(pipe2(began, O_CLOEXEC), 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		if (store_open(&opt, &st, NULL))
			_exit(3);
		victim(st);
		_exit(4);
	}
	close(began[1]);
	if (kill_after_ms) {
		wait_for_began();
		usleep(kill_after_ms * 1000);
		kill(pid, SIGKILL);
	}
	close(began[0]);
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
