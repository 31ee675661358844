/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk that is full, or read-only: a tmpfs of its own in a mount namespace of
 * its own. Needs the right to mount; skipped (77) without.
 */
#include <err.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <time.h>
#include <unistd.h>

#include "tests/conformance/backend_fixture.h"
#include "tests/conformance/faulty_backend.h"

#define DISK_OPTIONS "size=24m,mode=0700"
#define VALUE_BYTES (64 * 1024)
/* RocksDB looks every five seconds whether there is space again. */
#define RECOVERY_S 30

static char disk[SCRATCH_MAX];

/* Before any thread is started: they would keep the old namespace. */
static void disk_make(void)
{
	if (unshare(CLONE_NEWNS) || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL)) {
		warn("no mount namespace");
		exit(77);
	}
	scratch_make(disk);
}

static int disk_setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (!f || mount("memofs-test", disk, "tmpfs", MS_NOSUID | MS_NODEV, DISK_OPTIONS))
		return -1;
	f->kind = *state;
	snprintf(f->path, sizeof(f->path), "%s", disk);
	*state = f;
	return 0;
}

static int disk_teardown(void **state)
{
	struct fixture *f = *state;

	fixture_close(f);
	free(f);
	return umount2(disk, MNT_DETACH);
}

#define DISK_TEST(f) cmocka_unit_test_setup_teardown(f, disk_setup, disk_teardown)

static int open_rc(struct fixture *f, struct errmsg *ret_err)
{
	struct backend_options opt = {.path = f->path};

	return backend_rocksdb_new(&opt, &f->be, ret_err);
}

/* Take all space but `spare` bytes. */
static void fill_disk(size_t spare)
{
	char path[SCRATCH_MAX + 8];
	static const char zeros[4096];
	int fd;

	snprintf(path, sizeof(path), "%s/filler", disk);
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	while (write(fd, zeros, sizeof(zeros)) > 0)
		;
	assert_int_equal(errno, ENOSPC);
	if (spare) {
		off_t size = lseek(fd, 0, SEEK_END);

		assert_true(size > (off_t)spare);
		assert_int_equal(ftruncate(fd, size - (off_t)spare), 0);
	}
	close(fd);
}

static void free_disk(void)
{
	char path[SCRATCH_MAX + 8];

	snprintf(path, sizeof(path), "%s/filler", disk);
	assert_int_equal(unlink(path), 0);
}

static int put_number(struct backend *be, uint32_t number)
{
	CLEANUP_BATCH struct batch b = BATCH_INIT;
	uint8_t value[VALUE_BYTES];

	memset(value, (int)number, sizeof(value));
	batch_put(&b, TABLE_SMALL, slice(&number, sizeof(number)),
		  slice(value, sizeof(value)));
	batch_add(&b, text("numbers"), 1);
	return backend_commit(be, &b);
}

static void assert_numbers(struct backend *be, uint32_t count)
{
	uint8_t value[VALUE_BYTES];

	for (uint32_t number = 0; number < count; number++) {
		memset(value, (int)number, sizeof(value));
		assert_row(be, TABLE_SMALL, slice(&number, sizeof(number)),
			   slice(value, sizeof(value)));
	}
	assert_no_row(be, TABLE_SMALL, slice(&count, sizeof(count)));
	assert_counter(be, "numbers", count);
}

static void a_read_only_disk_is_refused(void **state)
{
	struct fixture *f = *state;
	struct errmsg msg = {""};

	assert_int_equal(mount(NULL, disk, NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
	assert_int_equal(open_rc(f, &msg), -EROFS);
	assert_non_null(strstr(msg.text, f->path));
	assert_int_equal(mount(NULL, disk, NULL, MS_REMOUNT, DISK_OPTIONS), 0);

	/* The same with a store that was made before. */
	fixture_open(f);
	fixture_close(f);
	assert_int_equal(mount(NULL, disk, NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
	assert_int_equal(open_rc(f, &msg), -EROFS);
	assert_non_null(strstr(msg.text, "read-only"));
}

static void a_full_disk_is_refused(void **state)
{
	struct fixture *f = *state;
	struct errmsg msg = {""};

	fill_disk(0);
	assert_int_equal(open_rc(f, &msg), -ENOSPC);
	assert_non_null(strstr(msg.text, f->path));
	assert_null(f->be);
	free_disk();
	fixture_open(f);
	put(f->be, TABLE_META, text("k"), text("v"));
}

/* A write fails, what was stored stays, and when there is space it goes on. */
static void a_disk_that_fills_up(void **state)
{
	struct fixture *f = *state;
	uint32_t count = 0;
	int rc;

	fixture_open(f);
	while (count < 10 && put_number(f->be, count) == 0)
		count++;
	assert_int_equal(count, 10);
	fill_disk(100 * 1024);
	while ((rc = put_number(f->be, count)) == 0)
		count++;
	assert_int_equal(rc, -ENOSPC);
	assert_numbers(f->be, count);
	assert_int_equal(put_number(f->be, count), -ENOSPC);
	assert_numbers(f->be, count);

	free_disk();
	for (int i = 0; i < RECOVERY_S * 10 && rc; i++) {
		nanosleep(&(struct timespec){.tv_nsec = 100 * 1000 * 1000}, NULL);
		rc = put_number(f->be, count);
	}
	assert_int_equal(rc, 0);
	assert_numbers(f->be, count + 1);
	fixture_close(f);
	fixture_open(f);
	assert_numbers(f->be, count + 1);
}

/* What there is no room to write anew stays as it is. */
static void a_full_disk_is_compacted_in_part(void **state)
{
	static const atomic_bool go_on;
	struct fixture *f = *state;
	uint32_t count = 0;

	fixture_open(f);
	for (; count < 96; count++)
		assert_int_equal(put_number(f->be, count), 0);
	assert_int_equal(backend_compact(f->be, &go_on), 0);
	fill_disk(5 * 1024 * 1024);
	assert_int_equal(backend_compact(f->be, &go_on), 0);
	assert_numbers(f->be, count);
	free_disk();
	fill_disk(1024 * 1024);
	assert_int_equal(backend_compact(f->be, &go_on), -ENOSPC);
	assert_numbers(f->be, count);
	free_disk();
	assert_int_equal(backend_compact(f->be, &go_on), 0);
	assert_numbers(f->be, count);
}

struct writer {
	pthread_t thread;
	struct backend *be;
	uint32_t first;
	int failures;
	int rc; /* neither success nor -ENOSPC */
};

static void *write_on(void *arg)
{
	struct writer *w = arg;

	for (uint32_t i = 0; i < 1000 && w->failures < 100 && !w->rc; i++) {
		int rc = put_number(w->be, w->first + i);

		if (rc == 0)
			rc = backend_sync(w->be);
		if (rc == -ENOSPC)
			w->failures++;
		else
			w->rc = rc;
	}
	return NULL;
}

/* Many run into the wall at once: each is told, nobody is harmed. */
static void many_writers_on_a_full_disk(void **state)
{
	struct fixture *f = *state;
	struct writer writers[4];

	fixture_open(f);
	assert_int_equal(put_number(f->be, 0), 0);
	fill_disk(1024 * 1024);
	for (uint32_t i = 0; i < 4; i++) {
		writers[i] = (struct writer){.be = f->be, .first = 1000 * (i + 1)};
		assert_int_equal(
		    pthread_create(&writers[i].thread, NULL, write_on, &writers[i]), 0);
	}
	for (int i = 0; i < 4; i++)
		pthread_join(writers[i].thread, NULL);
	for (int i = 0; i < 4; i++) {
		assert_int_equal(writers[i].rc, 0);
		assert_true(writers[i].failures > 0);
	}
	fixture_close(f);
	free_disk();
	fixture_open(f);
	assert_int_equal(put_number(f->be, 0), 0);
}

/* The daemon is stopped while the disk is full, and started when it is not. */
static void a_close_on_a_full_disk_loses_nothing(void **state)
{
	struct fixture *f = *state;
	uint32_t count = 0;

	fixture_open(f);
	while (count < 10 && put_number(f->be, count) == 0)
		count++;
	fill_disk(100 * 1024);
	while (put_number(f->be, count) == 0)
		count++;
	fixture_close(f);
	free_disk();
	fixture_open(f);
	assert_numbers(f->be, count);
	assert_int_equal(put_number(f->be, count), 0);
}

static void an_extent_on_a_full_disk(void **state)
{
	struct fixture *f = *state;
	char bytes[64 * 1024] = "";
	int fd;

	fixture_open(f);
	assert_int_equal(backend_extent_stage(f->be, 5, &fd), 0);
	fill_disk(0);
	assert_int_equal(write(fd, bytes, sizeof(bytes)), -1);
	assert_int_equal(errno, ENOSPC);
	close(fd);
	/* Giving up needs no space. */
	assert_int_equal(backend_extent_remove(f->be, 5), 0);
	assert_int_equal(backend_extent_commit(f->be, 5), -ENOENT);
}

/* What it has lost needs room elsewhere: until there is some, all syncs fail. */
static void a_failed_sync_on_a_full_disk(void **state)
{
	struct fixture *f = *state;

	fixture_open(f);
	assert_int_equal(put_number(f->be, 0), 0);
	faults_begin(FAULT_FSYNC, 1, 1, EIO);
	assert_int_equal(backend_sync(f->be), -EIO);
	assert_int_equal(faults_end(), 1);
	fill_disk(0);
	assert_int_equal(backend_sync(f->be), -ENOSPC);
	assert_int_equal(backend_sync(f->be), -ENOSPC);
	free_disk();
	assert_int_equal(backend_sync(f->be), 0);
	assert_numbers(f->be, 1);
}

int main(int argc, char **argv)
{
	struct CMUnitTest tests[] = {
	    DISK_TEST(a_read_only_disk_is_refused),
	    DISK_TEST(a_full_disk_is_refused),
	    DISK_TEST(a_disk_that_fills_up),
	    DISK_TEST(a_full_disk_is_compacted_in_part),
	    DISK_TEST(many_writers_on_a_full_disk),
	    DISK_TEST(a_close_on_a_full_disk_loses_nothing),
	    DISK_TEST(an_extent_on_a_full_disk),
	    DISK_TEST(a_failed_sync_on_a_full_disk),
	};
	int rc;

	disk_make();
	rc = fixture_main(argc, argv, tests, sizeof(tests) / sizeof(tests[0]));
	rmdir(disk);
	return rc;
}
