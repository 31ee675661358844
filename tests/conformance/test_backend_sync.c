/* SPDX-License-Identifier: Apache-2.0 */
/*
 * RocksDB alone: what a sync takes, and one of its log that fails. The kernel tells of
 * such a failure once, and what it could not write is lost with the power. So is here,
 * then, what the logs of that moment have.
 */
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/conformance/backend_fixture.h"
#include "tests/conformance/faulty_backend.h"

static void join(const char *folder, const char *name, char ret_path[SCRATCH_MAX])
{
	if (snprintf(ret_path, SCRATCH_MAX, "%s/%s", folder, name) >= SCRATCH_MAX)
		fail_msg("%s: too long", name);
}

/* The number in the name of a log; 0: it is none. */
static unsigned long log_number(const char *name)
{
	char *end;
	unsigned long number = strtoul(name, &end, 10);

	return strcmp(end, ".log") == 0 ? number : 0;
}

static unsigned long newest_log(const struct fixture *f)
{
	char folder[SCRATCH_MAX], path[SCRATCH_MAX];

	join(f->path, "db", folder);
	assert_true(scratch_find(folder, "", ".log", path));
	return log_number(strrchr(path, '/') + 1);
}

/* What is in a folder, but for logs up to a number, and the lock, in another one. */
static void link_files(const char *from, const char *to, unsigned long lost)
{
	char old[SCRATCH_MAX], new[SCRATCH_MAX];
	struct dirent *ent;
	DIR *dir = opendir(from);

	assert_non_null(dir);
	while ((ent = readdir(dir))) {
		unsigned long number = log_number(ent->d_name);

		if (*ent->d_name == '.' || strcmp(ent->d_name, "LOCK") == 0 ||
		    (number && number <= lost))
			continue;
		join(from, ent->d_name, old);
		join(to, ent->d_name, new);
		assert_int_equal(link(old, new), 0);
	}
	closedir(dir);
}

/* The store as it is after a loss of power now, with these logs. */
static void after_power_loss(struct fixture *f, unsigned long lost, struct fixture *ret)
{
	char from[SCRATCH_MAX], to[SCRATCH_MAX];

	*ret = (struct fixture){.kind = f->kind};
	scratch_make(ret->path);
	join(f->path, "db", from);
	join(ret->path, "db", to);
	assert_int_equal(mkdir(to, 0700), 0);
	link_files(from, to, lost);
	fixture_open(ret);
}

static void fail_sync(struct backend *be, unsigned int times)
{
	faults_begin(FAULT_FSYNC, 1, times, EIO);
	for (unsigned int i = 0; i < times; i++)
		assert_int_equal(backend_sync(be), -EIO);
	assert_int_equal(faults_end(), times);
}

static void put_text(struct backend *be, enum table t, const char *key)
{
	put(be, t, text(key), text("value"));
}

static void assert_text(struct backend *be, enum table t, const char *key)
{
	assert_row(be, t, text(key), text("value"));
}

/* Once a sync succeeds again, all that was committed before it is on the disk. */
static void a_failed_sync_is_made_good(void **state)
{
	struct fixture *f = *state, left;
	unsigned long lost;

	put_text(f->be, TABLE_INODE, "synced");
	assert_int_equal(backend_sync(f->be), 0);
	put_text(f->be, TABLE_INODE, "failed");
	put_text(f->be, TABLE_HEAT, "failed");
	fail_sync(f->be, 1);
	put_text(f->be, TABLE_DIRENT, "after");
	lost = newest_log(f);
	assert_int_equal(backend_sync(f->be), 0);
	put_text(f->be, TABLE_DIRENT, "later");
	assert_int_equal(backend_sync(f->be), 0);

	after_power_loss(f, lost, &left);
	assert_text(left.be, TABLE_INODE, "synced");
	assert_text(left.be, TABLE_INODE, "failed");
	assert_text(left.be, TABLE_HEAT, "failed");
	assert_text(left.be, TABLE_DIRENT, "after");
	assert_text(left.be, TABLE_DIRENT, "later");
	fixture_close(&left);
	scratch_remove(left.path);
}

/* It fails as often as it takes, and then everything is there. */
static void one_that_fails_again_is_made_good(void **state)
{
	struct fixture *f = *state, left;
	unsigned long lost;

	put_text(f->be, TABLE_INODE, "first");
	fail_sync(f->be, 3);
	put_text(f->be, TABLE_INODE, "second");
	fail_sync(f->be, 1);
	lost = newest_log(f);
	assert_int_equal(backend_sync(f->be), 0);

	after_power_loss(f, lost, &left);
	assert_text(left.be, TABLE_INODE, "first");
	assert_text(left.be, TABLE_INODE, "second");
	fixture_close(&left);
	scratch_remove(left.path);
}

/* ---- many logs ---- */

static unsigned int logs(const struct fixture *f)
{
	char folder[SCRATCH_MAX];
	struct dirent *ent;
	unsigned int n = 0;
	DIR *dir;

	join(f->path, "db", folder);
	dir = opendir(folder);
	assert_non_null(dir);
	while ((ent = readdir(dir)))
		n += log_number(ent->d_name) != 0;
	closedir(dir);
	return n;
}

/* Rows that RocksDB keeps in memory until there are more of them keep the log they are
 * in, while others begin a new one. */
static void begin_logs(struct fixture *f, unsigned int n)
{
	static char value[16 * 1024];
	unsigned int rows = 0;
	char key[32];

	put_text(f->be, TABLE_INODE, "small");
	while (logs(f) < n) {
		assert_true(rows < 100000);
		snprintf(key, sizeof(key), "%u", rows++);
		for (size_t i = 0; i < sizeof(value); i++)
			value[i] = (char)rand();
		put(f->be, TABLE_HISTORY, text(key), slice(value, sizeof(value)));
	}
}

static unsigned int syncs_of_one(struct fixture *f)
{
	unsigned int n;

	faults_begin(FAULT_FSYNC, FAULT_FOREVER, 1, EIO);
	assert_int_equal(backend_sync(f->be), 0);
	n = faults_seen(FAULT_FSYNC);
	assert_int_equal(faults_end(), 0);
	return n;
}

/* A log that has got its last row, and was synced since, is not synced each time. */
static void a_full_log_is_synced_once(void **state)
{
	struct fixture *f = *state;

	begin_logs(f, 4);
	assert_true(syncs_of_one(f) >= 4);
	/* The second time, as another thread may have added to the one before the newest.
	 */
	assert_true(syncs_of_one(f) >= 1);
	put_text(f->be, TABLE_INODE, "more");
	assert_int_equal(syncs_of_one(f), 1);
	assert_true(logs(f) >= 4);
}

/* One that was the newest and got a row since is synced, when it is not any more. */
static void a_log_that_became_full_is_synced(void **state)
{
	struct fixture *f = *state;
	unsigned long newest;

	begin_logs(f, 4);
	for (int i = 0; i < 3; i++)
		assert_int_equal(backend_sync(f->be), 0);
	newest = newest_log(f);
	put_text(f->be, TABLE_INODE, "in the newest");
	begin_logs(f, logs(f) + 1);
	assert_true(newest_log(f) > newest);
	assert_true(syncs_of_one(f) >= 3); /* both, and the name of the new one */
}

/* ---- names of extents ---- */

static void make_extent(struct backend *be, uint64_t ino)
{
	int fd;

	assert_int_equal(backend_extent_stage(be, ino, &fd), 0);
	close(fd);
	assert_int_equal(backend_extent_commit(be, ino), 0);
}

/* Who needs one name does not sync the folders of all others. */
static void one_name_is_one_folder(void **state)
{
	struct fixture *f = *state;

	make_extent(f->be, 5);
	make_extent(f->be, 6);
	faults_begin(FAULT_FSYNC, FAULT_FOREVER, 1, EIO);
	assert_int_equal(backend_extent_sync_name(f->be, 5), 0);
	assert_int_equal(faults_seen(FAULT_FSYNC), 1);
	assert_int_equal(backend_extent_sync_name(f->be, 5), 0);
	assert_int_equal(faults_seen(FAULT_FSYNC), 1);
	assert_int_equal(backend_extent_sync_dir(f->be), 0);
	assert_int_equal(faults_seen(FAULT_FSYNC), 256);
	assert_int_equal(backend_extent_sync_name(f->be, 6), 0);
	assert_int_equal(faults_seen(FAULT_FSYNC), 256);
	make_extent(f->be, 256 + 5); /* in the same folder as the first */
	assert_int_equal(backend_extent_sync_name(f->be, 256 + 5), 0);
	assert_int_equal(faults_seen(FAULT_FSYNC), 257);
	assert_int_equal(faults_end(), 0);
}

static void a_name_that_is_not_synced_is_synced_again(void **state)
{
	struct fixture *f = *state;

	make_extent(f->be, 5);
	faults_begin(FAULT_FSYNC, 1, 1, EIO);
	assert_int_equal(backend_extent_sync_name(f->be, 5), -EIO);
	assert_int_equal(backend_extent_sync_name(f->be, 5), 0);
	assert_int_equal(faults_seen(FAULT_FSYNC), 2);
	assert_int_equal(faults_end(), 1);
}

int main(int argc, char **argv)
{
	struct CMUnitTest tests[] = {
	    BACKEND_TEST(a_failed_sync_is_made_good),
	    BACKEND_TEST(one_that_fails_again_is_made_good),
	    BACKEND_TEST(a_full_log_is_synced_once),
	    BACKEND_TEST(a_log_that_became_full_is_synced),
	    BACKEND_TEST(one_name_is_one_folder),
	    BACKEND_TEST(a_name_that_is_not_synced_is_synced_again),
	};

	return fixture_main(argc, argv, tests, sizeof(tests) / sizeof(tests[0]));
}
