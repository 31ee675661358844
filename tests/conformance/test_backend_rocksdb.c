/* SPDX-License-Identifier: Apache-2.0 */
/* RocksDB alone: what is on disk is there again, or is refused in clear words. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/conformance/backend_fixture.h"

static void below(const struct fixture *f, const char *name, char ret_path[SCRATCH_MAX])
{
	if (snprintf(ret_path, SCRATCH_MAX, "%s/%s", f->path, name) >= SCRATCH_MAX)
		fail_msg("%s: too long", name);
}

static int open_again(struct fixture *f, struct errmsg *ret_err)
{
	struct backend_options opt = {.path = f->path};
	int rc;

	fixture_close(f);
	rc = backend_rocksdb_new(&opt, &f->be, ret_err);
	if (rc)
		assert_null(f->be);
	return rc;
}

static void make_extent(struct backend *be, uint64_t ino, bool staged_only)
{
	int fd;

	assert_int_equal(backend_extent_stage(be, ino, &fd), 0);
	assert_int_equal(write(fd, "bytes", 5), 5);
	close(fd);
	if (!staged_only)
		assert_int_equal(backend_extent_commit(be, ino), 0);
}

/* ---- what persists ---------------------------------------------------------------- */

static void rows_are_there_again(void **state)
{
	struct fixture *f = *state;
	struct errmsg err;

	for (int t = 0; t < TABLE_COUNT; t++)
		put(f->be, (enum table)t, text("key"), text("8 bytes."));
	add(f->be, "n", 40);
	assert_int_equal(open_again(f, &err), 0);
	add(f->be, "n", 2);
	assert_int_equal(open_again(f, &err), 0);
	for (int t = 0; t < TABLE_COUNT; t++)
		assert_row(f->be, (enum table)t, text("key"), text("8 bytes."));
	assert_counter(f->be, "n", 42);
}

/* A clean close leaves nothing to replay: no log holds a row. */
static void close_flushes(void **state)
{
	struct fixture *f = *state;
	char folder[SCRATCH_MAX], log[SCRATCH_MAX];
	struct errmsg err;

	put(f->be, TABLE_INODE, text("key"), text("value"));
	put(f->be, TABLE_HEAT, text("key"), text("value"));
	fixture_close(f);
	below(f, "db", folder);
	while (scratch_find(folder, "", ".log", log))
		assert_int_equal(unlink(log), 0);
	assert_int_equal(open_again(f, &err), 0);
	assert_row(f->be, TABLE_INODE, text("key"), text("value"));
	assert_row(f->be, TABLE_HEAT, text("key"), text("value"));
}

static void extents_are_there_again(void **state)
{
	struct fixture *f = *state;
	struct errmsg err;
	char got[8];
	int fd;

	make_extent(f->be, 0x1234, false);
	make_extent(f->be, 0x5678, true);
	assert_int_equal(open_again(f, &err), 0);
	assert_int_equal(backend_extent_open(f->be, 0x1234, &fd), 0);
	assert_int_equal(read(fd, got, sizeof(got)), 5);
	close(fd);
	/* What was staged has gone: its number can be staged anew, and is empty. */
	assert_int_equal(backend_extent_commit(f->be, 0x5678), -ENOENT);
	make_extent(f->be, 0x5678, false);
}

static int count_one(void *arg, uint64_t ino)
{
	(*(int *)arg)++;
	return 0;
}

static void files_of_others_are_left_alone(void **state)
{
	static const char *const names[] = {
	    "stage/notes",
	    "stage/0123456789ABCDEF",
	    "extents/34/lost+found",
	    "extents/34/000000000000123",
	    "extents/34/00000000000012345",
	    "extents/34/000000000000123g",
	    "extents/ff/0000000000001234",
	    "extents/readme",
	};
	struct fixture *f = *state;
	char path[SCRATCH_MAX];
	struct errmsg err;
	int count = 0;

	make_extent(f->be, 0x1234, false);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		below(f, names[i], path);
		scratch_write(path, "x", 1);
	}
	assert_int_equal(open_again(f, &err), 0);
	assert_int_equal(backend_extent_list(f->be, count_one, &count), 0);
	assert_int_equal(count, 1);
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		below(f, names[i], path);
		assert_int_equal(access(path, F_OK), 0);
	}
}

static void assert_mode(const struct fixture *f, const char *name, mode_t mode)
{
	char path[SCRATCH_MAX];
	struct stat st;

	below(f, name, path);
	assert_int_equal(lstat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, mode);
}

static void nobody_else_may_look(void **state)
{
	struct fixture *f = *state;

	make_extent(f->be, 0x1234, false);
	make_extent(f->be, 0x5678, true);
	assert_mode(f, "db", 0700);
	assert_mode(f, "stage", 0700);
	assert_mode(f, "extents", 0700);
	assert_mode(f, "extents/34", 0700);
	assert_mode(f, "extents/34/0000000000001234", 0600);
	assert_mode(f, "stage/0000000000005678", 0600);
}

static void a_link_is_not_followed(void **state)
{
	struct fixture *f = *state;
	char path[SCRATCH_MAX];
	int fd;

	below(f, "extents/34/0000000000001234", path);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	/* It is as if it were not there, so that the entry is dropped. */
	assert_int_equal(backend_extent_open(f->be, 0x1234, &fd), -ENOENT);
}

static void stats_count_the_disk(void **state)
{
	struct fixture *f = *state;
	struct backend_stats before, after;
	struct errmsg err;
	uint64_t bytes[1024];

	assert_int_equal(open_again(f, &err), 0);
	backend_stats(f->be, &before);
	for (uint64_t i = 0; i < 1024; i++) {
		for (uint64_t k = 0; k < 1024; k++)
			bytes[k] = (i * 1024 + k) * 0x9e3779b97f4a7c15;
		put(f->be, TABLE_SMALL, slice(&i, sizeof(i)),
		    slice(bytes, sizeof(bytes)));
	}
	assert_int_equal(open_again(f, &err), 0);
	backend_stats(f->be, &after);
	assert_in_range(after.disk_bytes, before.disk_bytes + 1024 * sizeof(bytes),
			before.disk_bytes + 10 * 1024 * sizeof(bytes));
}

/* ---- what was deleted ------------------------------------------------------------- */

enum { PUT_ROWS = 3 * 4096, PUT_BYTES = PUT_ROWS * 1024 };

static void put_rows(struct backend *be)
{
	uint64_t bytes[128];

	for (uint64_t i = 0; i < PUT_ROWS; i++) {
		for (uint64_t k = 0; k < 128; k++)
			bytes[k] = (i * 128 + k) * 0x9e3779b97f4a7c15;
		put(be, TABLE_SMALL, slice(&i, sizeof(i)), slice(bytes, sizeof(bytes)));
	}
}

/* All but the last one. */
static void del_rows(struct backend *be)
{
	for (uint64_t i = 0; i < PUT_ROWS - 1; i++)
		del(be, TABLE_SMALL, slice(&i, sizeof(i)));
}

static uint64_t disk_bytes(struct backend *be)
{
	struct backend_stats stats;

	backend_stats(be, &stats);
	return stats.disk_bytes;
}

/* Seen to be over when it looks again; then the database does the rest. */
static void deletions_are_tidied(void **state)
{
	struct fixture *f = *state;

	put_rows(f->be);
	assert_int_equal(backend_reclaim(f->be), 0);
	del_rows(f->be);
	assert_int_equal(backend_tidy(f->be), 0);
	assert_true(disk_bytes(f->be) > PUT_BYTES);
	assert_int_equal(backend_tidy(f->be), 0);
	for (int i = 0; i < 600 && disk_bytes(f->be) > PUT_BYTES / 2; i++)
		usleep(100000);
	assert_in_range(disk_bytes(f->be), 1, PUT_BYTES / 2);
}

static void deletions_are_compacted(void **state)
{
	static const atomic_bool go_on, stop = true;
	struct fixture *f = *state;
	uint64_t last = PUT_ROWS - 1;
	struct buf value = BUF_INIT;

	put_rows(f->be);
	assert_int_equal(backend_compact(f->be, &go_on), 0);
	assert_true(disk_bytes(f->be) > PUT_BYTES);
	del_rows(f->be);
	assert_int_equal(backend_compact(f->be, &stop), -ECANCELED);
	assert_int_equal(backend_compact(f->be, &go_on), 0);
	assert_in_range(disk_bytes(f->be), 1, PUT_BYTES / 2);
	assert_int_equal(
	    backend_get(f->be, TABLE_SMALL, slice(&last, sizeof(last)), &value), 0);
	buf_deinit(&value);
}

/* ---- what is refused -----------------------------------------------------------------
 */

static void one_opener_at_a_time(void **state)
{
	struct fixture *f = *state;
	struct backend_options opt = {.path = f->path};
	struct backend *other = NULL;
	struct errmsg err;

	assert_int_equal(backend_rocksdb_new(&opt, &other, &err), -EBUSY);
	assert_null(other);
	assert_non_null(strstr(err.text, f->path));
	assert_non_null(strstr(err.text, "another process"));
	put(f->be, TABLE_META, text("k"), text("v")); /* the first is not disturbed */
	assert_row(f->be, TABLE_META, text("k"), text("v"));
}

static void assert_refused(const char *path, int rc)
{
	struct backend_options opt = {.path = path};
	struct backend *be = NULL;
	struct errmsg err = {""};

	assert_int_equal(backend_rocksdb_new(&opt, &be, &err), rc);
	assert_null(be);
	assert_non_null(strstr(err.text, path));
	assert_null(strchr(err.text, '\n'));
}

static void a_path_that_is_no_directory(void **state)
{
	struct fixture *f = *state;
	char path[SCRATCH_MAX];

	below(f, "missing", path);
	assert_refused(path, -ENOENT);
	below(f, "file", path);
	scratch_write(path, "x", 1);
	assert_refused(path, -ENOTDIR);
}

static void a_folder_that_is_something_else(void **state)
{
	struct fixture *f = *state;
	char path[SCRATCH_MAX], other[SCRATCH_MAX];

	below(f, "other", other);
	assert_int_equal(mkdir(other, 0700), 0);
	below(f, "other/extents", path);
	assert_int_equal(symlink("/tmp", path), 0);
	assert_refused(other, -ENOTDIR);
	assert_int_equal(unlink(path), 0);
	below(f, "other/db", path);
	assert_int_equal(rmdir(path), 0);
	scratch_write(path, "x", 1);
	assert_refused(other, -ENOTDIR);
}

/* ---- damage
 * ------------------------------------------------------------------------------ */

/* Rows in several table files. Closed when it returns. */
static void fill(struct fixture *f)
{
	struct errmsg err;

	for (int round = 0; round < 3; round++) {
		CLEANUP_BATCH struct batch b = BATCH_INIT;

		for (int i = 0; i < 2000; i++) {
			char key[32];
			int len = snprintf(key, sizeof(key), "row %d of %d", i, round);

			batch_put(&b, TABLE_INODE, slice(key, (size_t)len), text("v"));
		}
		commit(f->be, &b);
		assert_int_equal(open_again(f, &err), 0);
	}
	fixture_close(f);
}

static void find(const struct fixture *f, const char *start, const char *end,
		 char ret_path[SCRATCH_MAX])
{
	char folder[SCRATCH_MAX];

	below(f, "db", folder);
	assert_true(scratch_find(folder, start, end, ret_path));
}

static void assert_damaged(struct fixture *f)
{
	struct errmsg err = {""};

	assert_int_equal(open_again(f, &err), -EUCLEAN);
	assert_non_null(strstr(err.text, f->path));
	assert_non_null(strstr(err.text, "is damaged"));
	assert_non_null(strstr(err.text, "remove it")); /* the remedy */
	assert_null(strchr(err.text, '\n'));
}

/* RocksDB alone would make an empty database here and delete the tables. */
static void current_is_lost(void **state)
{
	struct fixture *f = *state;
	char path[SCRATCH_MAX], table[SCRATCH_MAX];

	fill(f);
	find(f, "CURRENT", "", path);
	assert_int_equal(unlink(path), 0);
	assert_damaged(f);
	assert_damaged(f); /* refusing changed nothing */
	find(f, "", ".sst", table);
}

static void current_is_empty(void **state)
{
	struct fixture *f = *state;
	char path[SCRATCH_MAX];

	fill(f);
	find(f, "CURRENT", "", path);
	scratch_cut(path, 0);
	assert_damaged(f);
}

static void current_is_garbage(void **state)
{
	struct fixture *f = *state;
	char path[SCRATCH_MAX];

	fill(f);
	find(f, "CURRENT", "", path);
	scratch_garble(path, 0);
	assert_damaged(f);
}

static void current_names_nothing(void **state)
{
	struct fixture *f = *state;
	char path[SCRATCH_MAX];

	fill(f);
	find(f, "CURRENT", "", path);
	scratch_write(path, "MANIFEST-987654\n", 16);
	assert_damaged(f);
}

static void the_manifest_is_lost(void **state)
{
	struct fixture *f = *state;
	char path[SCRATCH_MAX];

	fill(f);
	find(f, "MANIFEST-", "", path);
	assert_int_equal(unlink(path), 0);
	assert_damaged(f);
}

static void the_manifest_is_garbage(void **state)
{
	struct fixture *f = *state;
	char path[SCRATCH_MAX];

	fill(f);
	find(f, "MANIFEST-", "", path);
	scratch_garble(path, 0);
	assert_damaged(f);
}

static void the_manifest_is_empty(void **state)
{
	struct fixture *f = *state;
	char path[SCRATCH_MAX];

	fill(f);
	find(f, "MANIFEST-", "", path);
	scratch_cut(path, 0);
	assert_damaged(f);
}

static void a_table_file_is_lost(void **state)
{
	struct fixture *f = *state;
	char path[SCRATCH_MAX];

	fill(f);
	find(f, "", ".sst", path);
	assert_int_equal(unlink(path), 0);
	assert_damaged(f);
}

static void a_table_file_is_cut(void **state)
{
	struct fixture *f = *state;
	char path[SCRATCH_MAX];

	fill(f);
	find(f, "", ".sst", path);
	scratch_cut(path, 50);
	assert_damaged(f);
}

/* Of the right size and wrong: found when it is read, never given out. */
static void a_table_file_is_garbled(void **state)
{
	struct fixture *f = *state;
	CLEANUP_BUF struct buf value = BUF_INIT;
	char path[SCRATCH_MAX];
	struct errmsg err;
	int rc, damaged = 0;

	fill(f);
	find(f, "", ".sst", path);
	scratch_garble(path, 0);
	rc = open_again(f, &err);
	if (rc) { /* found at once: as good */
		assert_int_equal(rc, -EUCLEAN);
		return;
	}
	for (int i = 0; i < 2000; i++) {
		char key[32];
		int len = snprintf(key, sizeof(key), "row %d of 2", i);

		rc = backend_get(f->be, TABLE_INODE, slice(key, (size_t)len), &value);
		assert_true(rc == 0 || rc == -EUCLEAN);
		if (rc == 0)
			assert_slice(buf_slice(&value), text("v"));
		else
			damaged++;
	}
	assert_true(damaged > 0);
	assert_int_equal(backend_iter_new(f->be, TABLE_INODE, &f->it), 0);
	backend_iter_seek(f->it, text(""));
	while (backend_iter_valid(f->it))
		backend_iter_next(f->it);
	assert_int_equal(backend_iter_status(f->it), -EUCLEAN);
}

/* A creation that was cut short before there was anything to lose. */
static void an_unfinished_creation_is_made_again(void **state)
{
	struct fixture *f = *state;
	char path[SCRATCH_MAX];
	struct errmsg err;

	fixture_close(f);
	scratch_remove(f->path);
	assert_int_equal(mkdir(f->path, 0700), 0);
	below(f, "db", path);
	assert_int_equal(mkdir(path, 0700), 0);
	below(f, "db/MANIFEST-000001", path);
	scratch_write(path, "half", 4);
	below(f, "db/000001.dbtmp", path);
	scratch_write(path, "MANI", 4);
	assert_int_equal(open_again(f, &err), 0);
	put(f->be, TABLE_META, text("k"), text("v"));
	assert_int_equal(open_again(f, &err), 0);
	assert_row(f->be, TABLE_META, text("k"), text("v"));
}

int main(int argc, char **argv)
{
	struct CMUnitTest tests[] = {
	    BACKEND_TEST(rows_are_there_again),
	    BACKEND_TEST(close_flushes),
	    BACKEND_TEST(extents_are_there_again),
	    BACKEND_TEST(files_of_others_are_left_alone),
	    BACKEND_TEST(nobody_else_may_look),
	    BACKEND_TEST(a_link_is_not_followed),
	    BACKEND_TEST(stats_count_the_disk),
	    BACKEND_TEST(deletions_are_tidied),
	    BACKEND_TEST(deletions_are_compacted),
	    BACKEND_TEST(one_opener_at_a_time),
	    BACKEND_TEST(a_path_that_is_no_directory),
	    BACKEND_TEST(a_folder_that_is_something_else),
	    BACKEND_TEST(current_is_lost),
	    BACKEND_TEST(current_is_empty),
	    BACKEND_TEST(current_is_garbage),
	    BACKEND_TEST(current_names_nothing),
	    BACKEND_TEST(the_manifest_is_lost),
	    BACKEND_TEST(the_manifest_is_garbage),
	    BACKEND_TEST(the_manifest_is_empty),
	    BACKEND_TEST(a_table_file_is_lost),
	    BACKEND_TEST(a_table_file_is_cut),
	    BACKEND_TEST(a_table_file_is_garbled),
	    BACKEND_TEST(an_unfinished_creation_is_made_again),
	};

	return fixture_main(argc, argv, tests, sizeof(tests) / sizeof(tests[0]));
}
