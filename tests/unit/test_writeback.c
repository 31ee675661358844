/* SPDX-License-Identifier: Apache-2.0 */
/* What a thread begins to write: in order, no more than may wait, nothing of the removed.
 */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/resource.h>
#include <unistd.h>

#include "store/writeback.h"
#include "tests/unit/held_disk.h"
#include "tests/unit/open_fds.h"

#define STEP WRITEBACK_STEP_BYTES

int __wrap_sync_file_range(int fd, off_t off, off_t len, unsigned int flags);
int __wrap_sync_file_range(int fd, off_t off, off_t len, unsigned int flags)
{
	assert_true(fcntl(fd, F_GETFD) >= 0);
	assert_int_equal(flags, SYNC_FILE_RANGE_WRITE);
	assert_int_equal(len, STEP);
	return call_disk(0, (uint64_t)off, (uint64_t)len);
}

struct fixture {
	struct piece_queue *wb;
	unsigned int fds;
	int fd;
};

static int setup(void **state)
{
	static struct fixture f;

	reset_disk();
	f.fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	f.fds = open_fds();
	*state = &f;
	return writeback_new(&f.wb);
}

/* Nothing is left open, whatever was waiting. */
static int teardown(void **state)
{
	struct fixture *f = *state;
	unsigned int left;

	hold_disk(false);
	piece_queue_free(f->wb);
	left = open_fds();
	close(f->fd);
	return left == f->fds ? 0 : -1;
}

static bool ask_for(struct fixture *f, uint64_t ino, uint64_t step, uint64_t count)
{
	return piece_queue_ask(f->wb,
			       &(struct piece){ino, f->fd, step * STEP, count * STEP});
}

static bool ask(struct fixture *f, uint64_t ino, uint64_t step)
{
	return ask_for(f, ino, step, 1);
}

static void each_in_its_turn(void **state)
{
	struct fixture *f = *state;

	for (uint64_t i = 0; i < 20; i++)
		assert_true(ask(f, 1, i));
	await_calls(20);
	for (uint64_t i = 0; i < 20; i++)
		assert_int_equal(disk.off[i], i * STEP);
}

static void an_error_ends_nothing(void **state)
{
	struct fixture *f = *state;

	atomic_store(&disk.error, EIO);
	for (uint64_t i = 0; i < 3; i++)
		assert_true(ask(f, 1, i));
	await_calls(3);
}

/* On a disk that takes nothing nobody waits: who asks is told to ask again. */
static void only_so_many_wait(void **state)
{
	struct fixture *f = *state;
	uint64_t count = 0;

	hold_disk(true);
	assert_true(ask(f, 1, 0));
	await_calls(1);
	while (count < DISK_CALLS_MAX && ask(f, 1, 1 + count))
		count++;
	assert_in_range(count, 8, 64);
	hold_disk(false);
	await_calls((unsigned int)count + 1);
	assert_true(ask(f, 1, 1 + count));
	await_calls((unsigned int)count + 2);
	for (uint64_t i = 0; i < count + 2; i++)
		assert_int_equal(disk.off[i], i * STEP);
}

/* A piece that has grown while it waited is not gone on with when it is removed. */
static void what_is_removed_ends_in_its_midst(void **state)
{
	struct fixture *f = *state;

	hold_disk(true);
	assert_true(ask_for(f, 1, 0, 10));
	await_calls(1);
	piece_queue_forget(f->wb, 1);
	assert_true(ask(f, 2, 20));
	hold_disk(false);
	await_calls(2);
	assert_int_equal(disk.off[1], 20 * STEP);
}

static void what_is_removed_is_forgotten(void **state)
{
	struct fixture *f = *state;

	hold_disk(true);
	assert_true(ask(f, 1, 0)); /* under way */
	await_calls(1);
	for (uint64_t i = 1; i <= 12; i++)
		assert_true(ask(f, i % 3, i));
	piece_queue_forget(f->wb, 1);
	piece_queue_forget(f->wb, 7); /* nothing of it */
	assert_int_equal(open_fds(), f->fds + 1 + 8);
	assert_true(ask(f, 2, 13));
	hold_disk(false);
	await_calls(10);
	for (uint64_t i = 1, at = 1; i <= 13; i++)
		if (i % 3 != 1 || i == 13)
			assert_int_equal(disk.off[at++], i * STEP);
}

static void without_descriptors_nothing_is_done(void **state)
{
	struct fixture *f = *state;
	struct rlimit was, none;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &was), 0);
	none = was;
	none.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
	assert_false(ask(f, 1, 0));
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &was), 0);
	assert_true(ask(f, 1, 0));
	await_calls(1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(each_in_its_turn, setup, teardown),
	    cmocka_unit_test_setup_teardown(an_error_ends_nothing, setup, teardown),
	    cmocka_unit_test_setup_teardown(only_so_many_wait, setup, teardown),
	    cmocka_unit_test_setup_teardown(what_is_removed_ends_in_its_midst, setup,
					    teardown),
	    cmocka_unit_test_setup_teardown(what_is_removed_is_forgotten, setup,
					    teardown),
	    cmocka_unit_test_setup_teardown(without_descriptors_nothing_is_done, setup,
					    teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
