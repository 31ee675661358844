/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a thread reads before who reads in order: no more than it should, nothing for
 * others, nothing of the removed.
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
#include <sched.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <sys/sendfile.h>
#include <time.h>
#include <unistd.h>

#include "store/ahead.h"
#include "store/backend.h"
#include "tests/unit/held_disk.h"
#include "tests/unit/open_fds.h"

#define MIB (UINT64_C(1) << 20)
#define KIB (UINT64_C(1) << 10)
#define REQUEST (512 * KIB)
enum { GONE = 99 };

/* The extent that was opened last */
static _Atomic uint64_t ino_open;

/* What sendfile() is where offsets are asked to have 64 bits. */
ssize_t __wrap_sendfile64(int out, int in, off_t *off, size_t len);
ssize_t __wrap_sendfile64(int out, int in, off_t *off, size_t len)
{
	assert_true(fcntl(in, F_GETFD) >= 0);
	assert_true(fcntl(out, F_GETFD) >= 0);
	if (call_disk(atomic_load(&ino_open), (uint64_t)*off, len))
		return -1;
	*off += (off_t)len;
	return (ssize_t)len;
}

int __wrap_backend_extent_open(struct backend *be, uint64_t ino, int *ret_fd);
int __wrap_backend_extent_open(struct backend *be, uint64_t ino, int *ret_fd)
{
	atomic_store(&ino_open, ino);
	if (ino == GONE)
		return -ENOENT;
	*ret_fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	return 0;
}

struct fixture {
	struct ahead *a;
	struct ahead_place place;
	unsigned int fds;
};

static int setup(void **state)
{
	static struct fixture f;

	memset(&f, 0, sizeof(f));
	reset_disk();
	atomic_store(&ino_open, 0);
	f.fds = open_fds();
	*state = &f;
	return ahead_new(NULL, &f.a);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	hold_disk(false);
	ahead_free(f->a);
	return open_fds() == f->fds ? 0 : -1;
}

/* One that it has to come to is behind all that was asked before. */
static void settle(struct fixture *f)
{
	struct ahead_place place = {0};
	uint64_t off = 0;

	while (atomic_load(&ino_open) != GONE) {
		ahead_note(f->a, &place, GONE, 1024 * MIB, off, 2 * MIB);
		off = (off + 2 * MIB) % (512 * MIB);
		sched_yield();
	}
	ahead_free(f->a);
	f->a = NULL;
}

static void read_some(struct fixture *f, uint64_t size, uint64_t off, uint64_t len)
{
	ahead_note(f->a, &f->place, 1, size, off, len);
}

static uint64_t call_end(unsigned int i)
{
	return disk.off[i] + disk.len[i];
}

/* The thread has come to all that was asked for. */
static void await_asked(struct fixture *f)
{
	unsigned int count;

	if (!f->place.asked)
		return;
	do {
		sched_yield();
		count = atomic_load(&disk.begun);
	} while (!count || call_end(count - 1) != f->place.asked);
}

/* Each byte once, to the end and no further, and never far before the reader. */
static void in_order(void **state)
{
	struct fixture *f = *state;
	const uint64_t size = 64 * MIB + 5;
	unsigned int count;

	for (uint64_t off = 0; off < size; off += REQUEST) {
		uint64_t len = size - off < REQUEST ? size - off : REQUEST;

		read_some(f, size, off, len);
		assert_true((f->place.asked > 0) == (off + len >= AHEAD_STEP_BYTES));
		assert_true(f->place.asked <= off + len + AHEAD_BYTES);
		assert_true(f->place.asked <= size);
		if (off >= 2 * AHEAD_BYTES) /* who is slower than the disk never waits */
			assert_true(f->place.asked == size ||
				    f->place.asked >= off + len + AHEAD_BYTES - 2 * MIB);
		await_asked(f);
	}
	count = atomic_load(&disk.begun);
	assert_int_equal(disk.off[0], AHEAD_STEP_BYTES);
	for (unsigned int i = 0; i < count; i++) {
		assert_int_equal(disk.ino[i], 1);
		assert_int_equal(call_end(i), i + 1 < count ? disk.off[i + 1] : size);
	}
}

/* As far as the reader has come, so that who reads a little has little read for him. */
static void no_further_than_he_has_come(void **state)
{
	struct fixture *f = *state;

	for (uint64_t off = 0; off < 3 * MIB; off += REQUEST)
		read_some(f, 1024 * MIB, off, REQUEST);
	await_asked(f);
	assert_int_equal(f->place.asked, 6 * MIB);
}

static void workers_take_turns(void **state)
{
	struct fixture *f = *state;

	for (uint64_t off = 0; off < 16 * MIB; off += 3 * REQUEST) {
		read_some(f, 1024 * MIB, off + 2 * REQUEST, REQUEST);
		read_some(f, 1024 * MIB, off, REQUEST);
		read_some(f, 1024 * MIB, off + REQUEST, REQUEST);
		await_asked(f);
	}
	assert_true(atomic_load(&disk.begun) >= 4);
	for (unsigned int i = 1; i < atomic_load(&disk.begun); i++)
		assert_int_equal(disk.off[i], call_end(i - 1));
}

static void nothing_for_others(void **state)
{
	struct fixture *f = *state;
	uint64_t off = 1;

	/* Here and there */
	for (unsigned int i = 0; i < 2000; i++) {
		off = (off * 6364136223846793005u + 1442695040888963407u);
		read_some(f, 4096 * MIB, off % 1024 * 4 * MIB, MIB);
	}
	/* backwards */
	for (off = 400 * MIB; off; off -= MIB)
		read_some(f, 4096 * MIB, off, MIB);
	/* a little at a time */
	for (off = 0; off < 32 * MIB; off += 32 * KIB)
		read_some(f, 4096 * MIB, off, 32 * KIB);
	/* and what is over before it would be worth it. */
	for (uint64_t ino = 2; ino < 100; ino++) {
		struct ahead_place place = {0};

		for (off = 0; off < 2 * MIB; off += REQUEST)
			ahead_note(f->a, &place, ino, 2 * MIB, off, REQUEST);
	}
	settle(f);
	assert_int_equal(atomic_load(&disk.begun), 0);
}

/* On a disk that gives nothing nobody waits, and no more than so much does. */
static void only_so_many_wait(void **state)
{
	struct fixture *f = *state;
	unsigned int calls;

	hold_disk(true);
	for (uint64_t ino = 1; ino < 90; ino++) {
		struct ahead_place place = {0};

		for (uint64_t off = 0; off < 2 * MIB; off += REQUEST)
			ahead_note(f->a, &place, ino, 4 * MIB, off, REQUEST);
		if (ino == 1)
			await_calls(1);
	}
	hold_disk(false);
	settle(f);
	calls = atomic_load(&disk.begun);
	assert_in_range(calls, 8, 64);
}

/* By the next read of who had no room. */
static void asked_again_when_there_was_no_room(void **state)
{
	struct fixture *f = *state;

	hold_disk(true);
	for (uint64_t ino = 2; ino < 60; ino++) {
		struct ahead_place place = {0};

		for (uint64_t off = 0; off < 2 * MIB; off += REQUEST)
			ahead_note(f->a, &place, ino, 4 * MIB, off, REQUEST);
	}
	read_some(f, 1024 * MIB, 0, 2 * MIB);
	assert_int_equal(f->place.asked, 0);
	hold_disk(false);
	for (uint64_t off = 2 * MIB; !f->place.asked; off += REQUEST) {
		const struct timespec pause = {.tv_nsec = 10000000};

		assert_true(off < 1000 * MIB);
		read_some(f, 1024 * MIB, off, REQUEST);
		nanosleep(&pause, NULL);
	}
}

static void what_is_removed(void **state)
{
	struct fixture *f = *state;
	struct ahead_place other = {0};

	hold_disk(true);
	read_some(f, 1024 * MIB, 0, 4 * MIB);
	await_calls(1);
	read_some(f, 1024 * MIB, 4 * MIB, 4 * MIB);
	ahead_note(f->a, &other, 2, 1024 * MIB, 0, 2 * MIB);
	ahead_forget(f->a, 1);
	hold_disk(false);
	await_calls(2);
	settle(f);
	assert_int_equal(atomic_load(&disk.begun), 2);
	assert_int_equal(disk.ino[1], 2);
}

static void an_error_ends_a_piece(void **state)
{
	struct fixture *f = *state;
	struct ahead_place gone = {0};

	ahead_note(f->a, &gone, GONE, 1024 * MIB, 0, 4 * MIB);
	atomic_store(&disk.error, EIO);
	read_some(f, 1024 * MIB, 0, 8 * MIB);
	await_calls(1);
	read_some(f, 1024 * MIB, 8 * MIB, 8 * MIB);
	await_calls(2);
	assert_int_equal(disk.off[0], 8 * MIB);
	assert_int_equal(disk.off[1], 16 * MIB);
}

static void ends_with_some_waiting(void **state)
{
	struct fixture *f = *state;

	for (uint64_t off = 0; off < 64 * MIB; off += 2 * MIB)
		read_some(f, 1024 * MIB, off, 2 * MIB);
}

static void without_any(void **state)
{
	struct ahead_place place = {0};

	ahead_note(NULL, &place, 1, 1024 * MIB, 0, 8 * MIB);
	ahead_forget(NULL, 1);
	ahead_free(NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(in_order),
	    TEST(no_further_than_he_has_come),
	    TEST(workers_take_turns),
	    TEST(nothing_for_others),
	    TEST(only_so_many_wait),
	    TEST(asked_again_when_there_was_no_room),
	    TEST(what_is_removed),
	    TEST(an_error_ends_a_piece),
	    TEST(ends_with_some_waiting),
	    cmocka_unit_test(without_any),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
