/* SPDX-License-Identifier: Apache-2.0 */
/* The life of an extent. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/conformance/backend_fixture.h"

static const uint64_t inos[] = {2, 0x102, 0xff, UINT64_MAX, 0x123456789abcdef0};
#define INO_COUNT (sizeof(inos) / sizeof(inos[0]))

static void stage(struct backend *be, uint64_t ino, const char *content)
{
	int fd;

	assert_int_equal(backend_extent_stage(be, ino, &fd), 0);
	assert_int_equal(write(fd, content, strlen(content)), strlen(content));
	assert_int_equal(close(fd), 0);
}

static void make(struct backend *be, uint64_t ino, const char *content)
{
	stage(be, ino, content);
	assert_int_equal(backend_extent_commit(be, ino), 0);
}

static void assert_content(int fd, const char *content)
{
	char got[100];

	assert_int_equal(pread(fd, got, sizeof(got), 0), strlen(content));
	assert_memory_equal(got, content, strlen(content));
}

static void assert_absent(struct backend *be, uint64_t ino)
{
	int fd = -77;

	assert_int_equal(backend_extent_open(be, ino, &fd), -ENOENT);
	assert_int_equal(fd, -77);
}

static int count_one(void *arg, uint64_t ino)
{
	size_t *count = arg;

	(*count)++;
	return 0;
}

static size_t count(struct backend *be)
{
	size_t n = 0;

	assert_int_equal(backend_extent_list(be, count_one, &n), 0);
	return n;
}

static void a_staged_one_is_not_seen(void **state)
{
	struct fixture *f = *state;

	stage(f->be, 5, "bytes");
	assert_absent(f->be, 5);
	assert_int_equal(count(f->be), 0);
}

static void a_staged_one_is_empty_and_can_be_read(void **state)
{
	struct fixture *f = *state;
	struct stat st;
	int fd;

	assert_int_equal(backend_extent_stage(f->be, 5, &fd), 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_size, 0);
	assert_true(S_ISREG(st.st_mode));
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(pwrite(fd, "bytes", 5, 3), 5);
	assert_int_equal(ftruncate(fd, 7), 0);
	assert_int_equal(pread(fd, (char[8]){0}, 8, 0), 7);
	assert_int_equal(fdatasync(fd), 0);
	close(fd);
}

static void a_number_is_staged_once(void **state)
{
	struct fixture *f = *state;
	int fd = -77;

	stage(f->be, 5, "bytes");
	assert_int_equal(backend_extent_stage(f->be, 5, &fd), -EEXIST);
	assert_int_equal(fd, -77);
	assert_int_equal(backend_extent_commit(f->be, 5), 0);
	assert_int_equal(backend_extent_open(f->be, 5, &fd), 0);
	assert_content(fd, "bytes");
	close(fd);
}

static void a_committed_one_is_read_only(void **state)
{
	struct fixture *f = *state;
	int fd, again;

	make(f->be, 5, "bytes");
	assert_int_equal(backend_extent_open(f->be, 5, &fd), 0);
	assert_int_equal(backend_extent_open(f->be, 5, &again), 0);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	assert_int_equal(pwrite(fd, "x", 1, 0), -1);
	assert_int_equal(errno, EBADF);
	/* Each has an offset of its own. */
	assert_int_equal(read(fd, (char[3]){0}, 3), 3);
	assert_int_equal(lseek(again, 0, SEEK_CUR), 0);
	assert_content(again, "bytes");
	close(fd);
	close(again);
}

/* The writer may go on using the descriptor it staged. */
static void a_commit_keeps_the_descriptor(void **state)
{
	struct fixture *f = *state;
	int staged, fd;

	assert_int_equal(backend_extent_stage(f->be, 5, &staged), 0);
	assert_int_equal(write(staged, "by", 2), 2);
	assert_int_equal(backend_extent_commit(f->be, 5), 0);
	assert_int_equal(write(staged, "tes", 3), 3);
	assert_int_equal(backend_extent_open(f->be, 5, &fd), 0);
	assert_content(fd, "bytes");
	close(staged);
	close(fd);
}

static void commit_needs_a_staged_one(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(backend_extent_commit(f->be, 5), -ENOENT);
	make(f->be, 5, "bytes");
	assert_int_equal(backend_extent_commit(f->be, 5), -ENOENT);
	assert_int_equal(count(f->be), 1);
}

static void a_removed_one_stays_open(void **state)
{
	struct fixture *f = *state;
	int fd;

	make(f->be, 5, "bytes");
	assert_int_equal(backend_extent_open(f->be, 5, &fd), 0);
	assert_int_equal(backend_extent_remove(f->be, 5), 0);
	assert_absent(f->be, 5);
	assert_int_equal(count(f->be), 0);
	assert_content(fd, "bytes");
	close(fd);
}

static void remove_takes_staged_and_absent_ones(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(backend_extent_remove(f->be, 5), 0);
	stage(f->be, 5, "bytes");
	assert_int_equal(backend_extent_remove(f->be, 5), 0);
	assert_int_equal(backend_extent_commit(f->be, 5), -ENOENT);
	assert_int_equal(backend_extent_remove(f->be, 5), 0);
}

static uint64_t allocated(int fd)
{
	struct stat sb;

	assert_int_equal(fstat(fd, &sb), 0);
	return (uint64_t)sb.st_blocks * 512;
}

/* Also who has it open reads zeros there, and what is around stays. */
static void punched_bytes_take_no_space(void **state)
{
	enum { PAGE = 4096, PAGES = 64 };
	struct fixture *f = *state;
	static char data[PAGES * PAGE], got[PAGES * PAGE];
	uint64_t before;
	int staged, fd;

	memset(data, 'x', sizeof(data));
	assert_int_equal(backend_extent_stage(f->be, 5, &staged), 0);
	assert_int_equal(write(staged, data, sizeof(data)), sizeof(data));
	assert_int_equal(backend_extent_punch(f->be, 5, 0, PAGE), -ENOENT);
	assert_int_equal(backend_extent_commit(f->be, 5), 0);
	assert_int_equal(fdatasync(staged), 0);
	close(staged);
	assert_int_equal(backend_extent_open(f->be, 5, &fd), 0);
	before = allocated(fd);
	assert_int_equal(backend_extent_punch(f->be, 5, 8 * PAGE, 40 * PAGE), 0);
	assert_true(allocated(fd) <= before - 40 * PAGE);

	memset(data + 8 * PAGE, 0, 40 * PAGE);
	assert_int_equal(pread(fd, got, sizeof(got), 0), sizeof(got));
	assert_memory_equal(got, data, sizeof(data));
	close(fd);
	assert_int_equal(backend_extent_punch(f->be, 6, 0, PAGE), -ENOENT);
}

struct seen {
	struct backend *be;
	unsigned int times[INO_COUNT];
	int stop; /* answer this at the first */
};

static int see(void *arg, uint64_t ino)
{
	struct seen *seen = arg;

	for (size_t i = 0; i < INO_COUNT; i++)
		if (inos[i] == ino) {
			seen->times[i]++;
			return seen->stop;
		}
	return -EPROTO; /* a number that nobody gave */
}

static int see_and_remove(void *arg, uint64_t ino)
{
	struct seen *seen = arg;
	int rc = backend_extent_remove(seen->be, ino);

	return rc ? rc : see(arg, ino);
}

static void list_meets_each_once(void **state)
{
	struct fixture *f = *state;
	struct seen seen = {.be = f->be};

	for (size_t i = 0; i < INO_COUNT; i++)
		make(f->be, inos[i], "bytes");
	stage(f->be, 77, "not this one");
	assert_int_equal(backend_extent_list(f->be, see, &seen), 0);
	for (size_t i = 0; i < INO_COUNT; i++)
		assert_int_equal(seen.times[i], 1);
}

static void list_stops_when_told(void **state)
{
	struct fixture *f = *state;
	struct seen seen = {.be = f->be, .stop = 42};
	unsigned int sum = 0;

	for (size_t i = 0; i < INO_COUNT; i++)
		make(f->be, inos[i], "bytes");
	assert_int_equal(backend_extent_list(f->be, see, &seen), 42);
	for (size_t i = 0; i < INO_COUNT; i++)
		sum += seen.times[i];
	assert_int_equal(sum, 1);
}

static void list_may_remove(void **state)
{
	struct fixture *f = *state;
	struct seen seen = {.be = f->be};

	for (size_t i = 0; i < INO_COUNT; i++)
		make(f->be, inos[i], "bytes");
	assert_int_equal(backend_extent_list(f->be, see_and_remove, &seen), 0);
	for (size_t i = 0; i < INO_COUNT; i++)
		assert_int_equal(seen.times[i], 1);
	assert_int_equal(count(f->be), 0);
}

static void sync_dir_is_a_success(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(backend_extent_sync_dir(f->be), 0);
	make(f->be, 5, "bytes");
	assert_int_equal(backend_extent_sync_dir(f->be), 0);
	assert_int_equal(backend_extent_sync_dir(f->be), 0);
	make(f->be, 6, "bytes");
	assert_int_equal(backend_extent_sync_name(f->be, 6), 0);
	assert_int_equal(backend_extent_sync_name(f->be, 6), 0);
}

#define WORKERS 4
#define PER_WORKER 200

struct worker {
	pthread_t thread;
	struct backend *be;
	uint64_t first;
	int rc; /* of the first call that failed */
};

static void live_once(struct worker *w, uint64_t ino)
{
	uint64_t got = 0;
	int fd;

	w->rc = backend_extent_stage(w->be, ino, &fd);
	if (w->rc)
		return;
	if (write(fd, &ino, sizeof(ino)) != sizeof(ino))
		w->rc = -EIO;
	close(fd);
	if (w->rc == 0)
		w->rc = backend_extent_commit(w->be, ino);
	if (w->rc == 0)
		w->rc = backend_extent_sync_dir(w->be);
	if (w->rc == 0)
		w->rc = backend_extent_open(w->be, ino, &fd);
	if (w->rc)
		return;
	if (read(fd, &got, sizeof(got)) != sizeof(got) || got != ino)
		w->rc = -EUCLEAN;
	close(fd);
	if (w->rc == 0 && ino % 2)
		w->rc = backend_extent_remove(w->be, ino);
}

static void *work(void *arg)
{
	struct worker *w = arg;

	for (uint64_t i = 0; i < PER_WORKER && w->rc == 0; i++)
		live_once(w, w->first + i);
	return NULL;
}

static void threads_do_not_meet(void **state)
{
	struct fixture *f = *state;
	struct worker workers[WORKERS];

	for (int i = 0; i < WORKERS; i++) {
		workers[i] = (struct worker){.be = f->be, .first = 1000 + 1000u * i};
		assert_int_equal(
		    pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
	}
	for (int i = 0; i < WORKERS; i++)
		pthread_join(workers[i].thread, NULL);
	for (int i = 0; i < WORKERS; i++)
		assert_int_equal(workers[i].rc, 0);
	assert_int_equal(count(f->be), WORKERS * PER_WORKER / 2);
}

int main(int argc, char **argv)
{
	struct CMUnitTest tests[] = {
	    BACKEND_TEST(a_staged_one_is_not_seen),
	    BACKEND_TEST(a_staged_one_is_empty_and_can_be_read),
	    BACKEND_TEST(a_number_is_staged_once),
	    BACKEND_TEST(a_committed_one_is_read_only),
	    BACKEND_TEST(a_commit_keeps_the_descriptor),
	    BACKEND_TEST(commit_needs_a_staged_one),
	    BACKEND_TEST(a_removed_one_stays_open),
	    BACKEND_TEST(punched_bytes_take_no_space),
	    BACKEND_TEST(remove_takes_staged_and_absent_ones),
	    BACKEND_TEST(list_meets_each_once),
	    BACKEND_TEST(list_stops_when_told),
	    BACKEND_TEST(list_may_remove),
	    BACKEND_TEST(sync_dir_is_a_success),
	    BACKEND_TEST(threads_do_not_meet),
	};

	return fixture_main(argc, argv, tests, sizeof(tests) / sizeof(tests[0]));
}
