/* SPDX-License-Identifier: Apache-2.0 */
/*
 * kill -9. The program runs itself as a child that works on a store, kills it at
 * some moment and looks at what it left. A child is a program of its own because
 * RocksDB's threads do not survive a fork.
 */
#include <endian.h>
#include <err.h>
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/conformance/backend_fixture.h"

extern char **environ;

#define VALUE_BYTES 3000 /* enough that memtables are flushed on the way */

/* ---- the child ------------------------------------------------------------------- */

static struct backend *child_open(const char *path)
{
	struct backend_options opt = {.path = path};
	struct backend *be;
	struct errmsg msg;

	if (backend_rocksdb_new(&opt, &be, &msg))
		errx(1, "%s", msg.text);
	return be;
}

static void numbered_batch(struct batch *b, uint64_t number)
{
	uint64_t key = htobe64(number);
	uint64_t value[VALUE_BYTES / sizeof(uint64_t)];

	for (size_t i = 0; i < sizeof(value) / sizeof(value[0]); i++)
		value[i] = (number + i) * 0x9e3779b97f4a7c15;
	batch_clear(b);
	batch_put(b, TABLE_INODE, slice(&key, sizeof(key)),
		  slice(&number, sizeof(number)));
	batch_put(b, TABLE_SMALL, slice(&key, sizeof(key)), slice(value, sizeof(value)));
	batch_add(b, text("batches"), 1);
}

/* Commit batches first, first + 1, … and say so of each, until killed. */
static int child_write(const char *path, uint64_t first)
{
	struct backend *be = child_open(path);
	CLEANUP_BATCH struct batch b = BATCH_INIT;

	for (uint64_t number = first;; number++) {
		numbered_batch(&b, number);
		if (backend_commit(be, &b))
			errx(1, "batch %lu", (unsigned long)number);
		if (write(STDOUT_FILENO, &number, sizeof(number)) != sizeof(number))
			err(1, "stdout");
	}
}

static int child_make(const char *path)
{
	struct backend *be = child_open(path);

	put(be, TABLE_META, text("made"), text("yes"));
	backend_free(be);
	return 0;
}

/* ---- the parent ------------------------------------------------------------------- */

/* Run this program again with these arguments; its stdout is *ret_out. */
static pid_t spawn(const char *what, const char *path, uint64_t first, int *ret_out)
{
	char number[24];
	char *argv[] = {(char *)what, (char *)what, (char *)path, number, NULL};
	posix_spawn_file_actions_t actions;
	int out[2];
	pid_t pid;

	snprintf(number, sizeof(number), "%lu", (unsigned long)first);
	assert_int_equal(pipe(out), 0);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
	posix_spawn_file_actions_addclose(&actions, out[0]);
	posix_spawn_file_actions_addclose(&actions, out[1]);
	assert_int_equal(
	    posix_spawn(&pid, "/proc/self/exe", &actions, NULL, argv, environ), 0);
	posix_spawn_file_actions_destroy(&actions);
	close(out[1]);
	*ret_out = out[0];
	return pid;
}

/* True when it was our signal that ended it, false when it ended well before. */
static bool kill_child(pid_t pid)
{
	int status;

	assert_int_equal(kill(pid, SIGKILL), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFSIGNALED(status))
		assert_int_equal(WTERMSIG(status), SIGKILL);
	else
		assert_int_equal(WEXITSTATUS(status), 0);
	return WIFSIGNALED(status);
}

/* Let it commit `count` batches or a few more; the last that it told of. */
static uint64_t write_and_kill(const char *path, uint64_t first, uint64_t count)
{
	uint64_t number, last = 0;
	int out;
	pid_t pid = spawn("write", path, first, &out);

	for (uint64_t i = 0; i < count; i++) {
		if (read(out, &number, sizeof(number)) != sizeof(number))
			fail_msg("the child ended by itself");
		assert_int_equal(number, first + i);
		last = number;
	}
	assert_true(kill_child(pid));
	/* What was told between our last look and its end. */
	while (read(out, &number, sizeof(number)) == sizeof(number))
		last = number;
	close(out);
	return last;
}

/* Every batch from 0 on is there and whole, up to the last one, which is returned. */
static uint64_t check_batches(struct fixture *f)
{
	CLEANUP_BATCH struct batch b = BATCH_INIT;
	uint64_t number = 0;

	assert_int_equal(backend_iter_new(f->be, TABLE_INODE, &f->it), 0);
	for (backend_iter_seek(f->it, slice(NULL, 0)); backend_iter_valid(f->it);
	     backend_iter_next(f->it)) {
		struct batch_op op;
		size_t pos = 0;

		numbered_batch(&b, number);
		assert_true(batch_next(&b, &pos, &op));
		assert_slice(backend_iter_key(f->it), op.key);
		assert_slice(backend_iter_value(f->it), op.value);
		assert_true(batch_next(&b, &pos, &op));
		assert_row(f->be, TABLE_SMALL, op.key, op.value);
		number++;
	}
	assert_int_equal(backend_iter_status(f->it), 0);
	assert_counter(f->be, "batches", number);
	return number - 1;
}

static void a_killed_writer_loses_nothing_it_told_of(void **state)
{
	static const uint64_t counts[] = {1, 50, 3000, 9000};
	struct fixture *f = *state;
	uint64_t next = 0;

	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		uint64_t told, found;

		fixture_close(f);
		told = write_and_kill(f->path, next, counts[i]);
		fixture_open(f);
		found = check_batches(f);
		/* It may have been killed between the commit and the telling. */
		assert_in_range(found, told, told + 1);
		next = found + 1;
	}
}

/* Power loss may leave half a record at the end of the log. */
static void a_torn_log_keeps_what_is_before(void **state)
{
	struct fixture *f = *state;
	char folder[SCRATCH_MAX + 3], log[SCRATCH_MAX];
	uint64_t told, found;

	fixture_close(f);
	told = write_and_kill(f->path, 0, 200);
	snprintf(folder, sizeof(folder), "%s/db", f->path);
	assert_true(scratch_find(folder, "", ".log", log));
	scratch_cut(log, 50);
	fixture_open(f);
	found = check_batches(f);
	assert_in_range(found, told / 4, told - 1);
}

static void after_us(unsigned int us)
{
	struct timespec ts = {.tv_sec = us / 1000000, .tv_nsec = us % 1000000 * 1000L};

	nanosleep(&ts, NULL);
}

/* At whatever moment the making of a store is cut short, it can be made after. */
static void a_killed_creation_can_be_repeated(void **state)
{
	struct fixture *f = *state;
	bool killed = true;
	int kills = 0;

	fixture_close(f);
	/* Ever longer steps: how long it takes depends on the disk, which may be memory.
	 */
	for (unsigned int us = 0; killed && us < 20000000; us += 200 + us / 4) {
		char path[SCRATCH_MAX];
		struct backend_options opt = {.path = path};
		struct errmsg msg;
		pid_t pid;
		int out;

		scratch_make(path);
		pid = spawn("make", path, 0, &out);
		after_us(us);
		killed = kill_child(pid);
		close(out);
		if (backend_rocksdb_new(&opt, &f->be, &msg))
			fail_msg("killed after %u us: %s", us, msg.text);
		put(f->be, TABLE_META, text("made"), text("again"));
		assert_row(f->be, TABLE_META, text("made"), text("again"));
		fixture_close(f);
		scratch_remove(path);
		kills += killed;
	}
	assert_true(kills > 2);
	assert_false(killed); /* the whole of it was covered */
}

int main(int argc, char **argv)
{
	struct CMUnitTest tests[] = {
	    BACKEND_TEST(a_killed_writer_loses_nothing_it_told_of),
	    BACKEND_TEST(a_torn_log_keeps_what_is_before),
	    BACKEND_TEST(a_killed_creation_can_be_repeated),
	};

	if (argc == 4 && strcmp(argv[1], "write") == 0)
		return child_write(argv[2], strtoul(argv[3], NULL, 10));
	if (argc == 4 && strcmp(argv[1], "make") == 0)
		return child_make(argv[2]);
	return fixture_main(argc, argv, tests, sizeof(tests) / sizeof(tests[0]));
}
