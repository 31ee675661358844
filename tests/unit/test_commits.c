/* SPDX-License-Identifier: Apache-2.0 */
/* When a copy of what was read may be believed. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/commits.h"
#include "store/internal.h"
#include "store/keys.h"

enum { INO = 7, BRANCH = 3 };

static int setup(void **state)
{
	return commits_new((struct commits **)state);
}

static int teardown(void **state)
{
	commits_free(*state);
	return 0;
}

/* A batch that gives the inode this row; NULL: takes it away. */
static struct batch change_of(uint64_t ino, const char *row)
{
	struct key key = key_ino(ino);
	struct batch b = BATCH_INIT;

	if (row)
		batch_put(&b, TABLE_INODE, key_slice(&key), slice_str(row));
	else
		batch_del(&b, TABLE_INODE, key_slice(&key));
	return b;
}

static void commit(struct commits *c, uint64_t ino, const char *row, bool done)
{
	CLEANUP_BATCH struct batch b = change_of(ino, row);

	commits_begin(c, &b);
	commits_end(c, &b, done);
}

/* `want` NULL: it is not known. Returns the mark. */
static uint64_t assert_known(struct commits *c, uint64_t ino, const char *want)
{
	CLEANUP_BUF struct buf row = BUF_INIT;
	struct key key = key_ino(ino);
	uint64_t mark;
	int r = commits_row(c, TABLE_INODE, key_slice(&key), &row, &mark);

	assert_int_equal(r, want ? 0 : -EAGAIN);
	if (want) {
		assert_int_equal(row.len, strlen(want));
		assert_memory_equal(row.data, want, row.len);
	}
	return mark;
}

static void offer(struct commits *c, uint64_t ino, const char *row, uint64_t mark)
{
	struct key key = key_ino(ino);
	struct slice raw = slice_str(row ? row : "");

	commits_offer(c, TABLE_INODE, key_slice(&key), row ? &raw : NULL, mark);
}

/* It is known that there is none. */
static void assert_absent(struct commits *c, enum table table, const struct key *key)
{
	CLEANUP_BUF struct buf row = BUF_INIT;
	uint64_t mark;

	assert_int_equal(commits_row(c, table, key_slice(key), &row, &mark), -ENOENT);
	assert_int_equal(mark, 0);
}

static void test_what_was_read_is_kept(void **state)
{
	uint64_t mark = assert_known(*state, INO, NULL);

	assert_int_not_equal(mark, 0);
	offer(*state, INO, "row", mark);
	assert_known(*state, INO, "row");
	assert_known(*state, INO + 1, NULL);
	assert_known(*state, 0, NULL);
}

static void test_what_was_committed_is_kept(void **state)
{
	struct key key = key_ino(INO);

	commit(*state, INO, "one", true);
	assert_known(*state, INO, "one");
	commit(*state, INO, "two", true);
	assert_known(*state, INO, "two");
	commit(*state, INO, NULL, true);
	assert_absent(*state, TABLE_INODE, &key);
}

static void test_a_failed_commit_leaves_nothing(void **state)
{
	commit(*state, INO, "one", true);
	commit(*state, INO, "two", false);
	assert_known(*state, INO, NULL);
}

static void test_nothing_is_known_during_a_commit(void **state)
{
	CLEANUP_BATCH struct batch b = change_of(INO, "two");
	uint64_t before = assert_known(*state, INO, NULL);

	commits_begin(*state, &b);
	assert_int_equal(assert_known(*state, INO, NULL), 0);
	offer(*state, INO, "one", before);
	assert_known(*state, INO, NULL);
	commits_end(*state, &b, true);
	offer(*state, INO, "one", before);
	assert_known(*state, INO, "two");
}

/* Read before a commit of the same row, offered after it. */
static void test_what_was_read_before_is_refused(void **state)
{
	uint64_t before = assert_known(*state, INO, NULL);
	struct key key = key_ino(INO);

	commit(*state, INO, NULL, true);
	offer(*state, INO, "old", before);
	assert_absent(*state, TABLE_INODE, &key);
}

static void test_that_there_is_none_is_kept(void **state)
{
	struct key key = key_ino(INO);

	offer(*state, INO, NULL, assert_known(*state, INO, NULL));
	assert_absent(*state, TABLE_INODE, &key);
	commit(*state, INO, "row", true);
	assert_known(*state, INO, "row");
	commit(*state, INO, NULL, false);
	assert_known(*state, INO, NULL);
}

static void test_of_two_at_once_nothing_is_known(void **state)
{
	CLEANUP_BATCH struct batch a = change_of(INO, "a");
	CLEANUP_BATCH struct batch b = change_of(INO, "b");

	commits_begin(*state, &a);
	commits_begin(*state, &b);
	commits_end(*state, &b, true);
	assert_int_equal(assert_known(*state, INO, NULL), 0);
	commits_end(*state, &a, true);
	assert_int_not_equal(assert_known(*state, INO, NULL), 0);
	commit(*state, INO, "c", true);
	assert_known(*state, INO, "c");
}

static void test_long_rows_are_not_kept(void **state)
{
	char row[4097];

	memset(row, 'x', sizeof(row) - 1);
	row[sizeof(row) - 1] = '\0';
	commit(*state, INO, "short", true);
	commit(*state, INO, row, true);
	offer(*state, INO, row, assert_known(*state, INO, NULL));
	assert_known(*state, INO, NULL);
}

static void test_a_branch_is_marked(void **state)
{
	uint64_t mark = commits_mark(*state, BRANCH), of_other;
	CLEANUP_BATCH struct batch b = BATCH_INIT;
	struct key key = key_dirent(BRANCH, slice_str("name"));

	of_other = commits_mark(*state, BRANCH + 1);
	assert_true(commits_unchanged(*state, BRANCH, mark));
	assert_false(commits_unchanged(*state, BRANCH, 0));
	batch_del(&b, TABLE_DIRENT, key_slice(&key));
	commits_begin(*state, &b);
	assert_false(commits_unchanged(*state, BRANCH, mark));
	assert_int_equal(commits_mark(*state, BRANCH), 0);
	commits_end(*state, &b, false);
	assert_false(commits_unchanged(*state, BRANCH, mark));
	assert_true(commits_unchanged(*state, BRANCH + 1, of_other));
	mark = commits_mark(*state, BRANCH);
	assert_true(commits_unchanged(*state, BRANCH, mark));
}

static void test_a_range_is_of_all_branches(void **state)
{
	uint64_t mark = commits_mark(*state, BRANCH + 1);
	CLEANUP_BATCH struct batch b = BATCH_INIT;
	struct key first = key_branch(BRANCH), last = key_branch(BRANCH + 2);

	batch_del_range(&b, TABLE_DIRENT, key_slice(&first), key_slice(&last));
	commits_begin(*state, &b);
	commits_end(*state, &b, true);
	assert_false(commits_unchanged(*state, BRANCH + 1, mark));
}

/* The rows of names are kept like those of inodes, and a range takes all of them. */
static void test_names_are_kept(void **state)
{
	struct key name = key_dirent(INO, slice_str("name")), after = key_branch(INO + 1);
	CLEANUP_BATCH struct batch b = BATCH_INIT;
	CLEANUP_BUF struct buf row = BUF_INIT;
	uint64_t mark;

	commit(*state, INO, "inode", true);
	batch_put(&b, TABLE_DIRENT, key_slice(&name), slice_str("entry"));
	commits_begin(*state, &b);
	commits_end(*state, &b, true);
	assert_int_equal(commits_row(*state, TABLE_DIRENT, key_slice(&name), &row, &mark),
			 0);
	assert_int_equal(row.len, strlen("entry"));
	batch_clear(&b);
	batch_del_range(&b, TABLE_DIRENT, key_slice(&name), key_slice(&after));
	commits_begin(*state, &b);
	assert_int_equal(commits_row(*state, TABLE_DIRENT, key_slice(&name), &row, &mark),
			 -EAGAIN);
	assert_int_equal(mark, 0);
	commits_end(*state, &b, true);
	assert_int_equal(commits_row(*state, TABLE_DIRENT, key_slice(&name), &row, &mark),
			 -EAGAIN);
	assert_int_not_equal(mark, 0);
	assert_known(*state, INO, "inode");
}

#define COMMITS_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    COMMITS_TEST(test_what_was_read_is_kept),
	    COMMITS_TEST(test_what_was_committed_is_kept),
	    COMMITS_TEST(test_a_failed_commit_leaves_nothing),
	    COMMITS_TEST(test_nothing_is_known_during_a_commit),
	    COMMITS_TEST(test_what_was_read_before_is_refused),
	    COMMITS_TEST(test_of_two_at_once_nothing_is_known),
	    COMMITS_TEST(test_long_rows_are_not_kept),
	    COMMITS_TEST(test_a_branch_is_marked),
	    COMMITS_TEST(test_a_range_is_of_all_branches),
	    COMMITS_TEST(test_that_there_is_none_is_kept),
	    COMMITS_TEST(test_names_are_kept),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
