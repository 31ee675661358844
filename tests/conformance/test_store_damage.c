/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Rows that nothing of ours has written: each costs what it stood for and no
 * more. Names and contents have such tests in test_store_names.c and
 * test_store_gen.c.
 */
#include <errno.h>
#include <string.h>

#include "store/internal.h"
#include "tests/conformance/value_fixture.h"

static const struct slice garbage = {"\1garbage", 8};

static void put_row(struct store *st, enum table table, struct slice key,
		    struct slice value)
{
	struct batch b = BATCH_INIT;

	batch_put(&b, table, key, value);
	assert_ok(backend_commit(st->be, &b));
	batch_deinit(&b);
}

static void damage(struct store *st, enum table table, uint64_t ino)
{
	struct key key = key_ino(ino);

	put_row(st, table, key_slice(&key), garbage);
}

static void damage_key(struct store *st, enum table table)
{
	put_row(st, table, slice("\0key", 4), garbage);
}

/* The values are deleted, and what comes behind them in the table, too. */
static void test_what_is_to_be_deleted(void **state)
{
	struct fixture *fx = *state;
	struct store *st = fx->st;
	uint64_t small = put_value(st, "small", 10, 1);
	uint64_t large = put_value(st, "large", MIB, 1);
	uint64_t dir = make_dir(st, ROOT, "dir"), version = branch_of(st, dir, "1");

	make_file(st, version, "below", "text");
	put_value(st, "behind", MIB, 1);
	assert_ok(store_unlink(st, ROOT, "small"));
	assert_ok(store_unlink(st, ROOT, "large"));
	assert_ok(store_rmdir(st, ROOT, "dir"));
	assert_ok(store_unlink(st, ROOT, "behind"));
	damage(st, TABLE_GCQ, small);
	damage(st, TABLE_GCQ, large);
	damage(st, TABLE_GCQ, dir);
	gc_wake(st);
	assert_left(st, 0, 0);
	assert_int_equal(count_rows(st, TABLE_DIRENT), 0);
	assert_int_equal(count_rows(st, TABLE_BRANCH), 0);
}

/* A size that no value can have is not believed. */
static void test_size_of_what_is_to_be_deleted(void **state)
{
	struct fixture *fx = *state;
	struct gcq_row row = {
	    .kind = GCQ_CONTENT, .layout = LAYOUT_EXTENT, .size_bytes = UINT64_MAX / 2};
	uint64_t ino = put_value(fx->st, "f", MIB, 1);
	struct key key = key_ino(ino);
	struct buf raw = BUF_INIT;

	assert_ok(gcq_encode(&row, &raw));
	assert_int_equal(gcq_decode(buf_slice(&raw), &row), -EUCLEAN);
	assert_ok(store_unlink(fx->st, ROOT, "f"));
	put_row(fx->st, TABLE_GCQ, key_slice(&key), buf_slice(&raw));
	buf_deinit(&raw);
	gc_wake(fx->st);
	assert_left(fx->st, 0, 0);
}

/* A key that is no number: what is behind it is deleted all the same. */
static void test_key_of_what_is_to_be_deleted(void **state)
{
	struct fixture *fx = *state;

	damage_key(fx->st, TABLE_GCQ);
	put_value(fx->st, "f", MIB, 1);
	assert_ok(store_unlink(fx->st, ROOT, "f"));
	gc_wake(fx->st);
	assert_ok(store_settle(fx->st));
	assert_int_equal(count_extents(fx->st), 0);
}

static void read_once(struct store *st, uint64_t ino)
{
	struct store_gen *gen = open_value(st, ino);

	store_gen_hit(gen);
	store_gen_close(gen);
}

/* An inode row that cannot be read: the name is there, and can be had again. */
static void test_inode(void **state)
{
	struct fixture *fx = *state;
	struct store *st = fx->st;
	uint64_t bad = put_value(st, "bad", MIB, 1), good = put_value(st, "good", 10, 1);
	struct store_gen *gen;
	struct store_attr attr;

	/* Reads of the good one are counted although the bad one's cannot be. */
	read_once(st, bad);
	read_once(st, good);
	damage(st, TABLE_INODE, bad);
	assert_ok(store_settle(st));
	assert_int_equal(count_rows(st, TABLE_HEAT), 1);

	assert_int_equal(store_getattr(st, bad, &attr), -EUCLEAN);
	assert_int_equal(store_gen_open(st, bad, &gen), -EUCLEAN);
	assert_value(st, put_value(st, "bad", 20, 2), 20, 2);
	assert_ok(store_unlink(st, ROOT, "bad"));
	assert_left(st, 1, 0);
}

/* A directory whose row cannot be read can still be removed, with what is in it. */
static void test_directory(void **state)
{
	struct fixture *fx = *state;
	uint64_t dir = make_dir(fx->st, ROOT, "dir");

	make_file(fx->st, dir, "below", "text");
	damage(fx->st, TABLE_INODE, dir);
	policy_changed(fx->st); /* nothing of it is remembered */
	assert_ok(store_rmdir(fx->st, ROOT, "dir"));
	assert_int_equal(lookup(fx->st, ROOT, "dir"), 0);
	assert_left(fx->st, 0, 0);
	assert_int_equal(count_rows(fx->st, TABLE_DIRENT), 0);
}

/* A store is opened, whatever the last process seems to have left to do. */
static void test_what_is_to_be_recovered(void **state)
{
	struct fixture *fx = *state;
	uint64_t bad = put_value(fx->st, "bad", MIB, 1);
	uint64_t good = put_value(fx->st, "good", MIB, 2);

	if (fx->kind == STORE_MEMORY)
		return;
	assert_ok(store_settle(fx->st));
	damage(fx->st, TABLE_INTENT, 1000 * 1000);
	damage(fx->st, TABLE_SMALL, 1000 * 1000); /* its content */
	damage_key(fx->st, TABLE_INTENT);
	damage_key(fx->st, TABLE_UNSYNCED);
	damage(fx->st, TABLE_INODE, bad);
	damage(fx->st, TABLE_UNSYNCED, bad);
	put_row(fx->st, TABLE_META, slice_str("boot"), slice_str("another"));
	fixture_close(fx);
	fixture_open(fx);
	assert_value(fx->st, good, MIB, 2);
	assert_int_equal(count_rows(fx->st, TABLE_SMALL), 0);
	assert_value(fx->st, put_value(fx->st, "bad", 10, 3), 10, 3);
}

int main(int argc, char **argv)
{
	struct CMUnitTest tests[] = {
	    STORE_TEST(test_what_is_to_be_deleted),
	    STORE_TEST(test_size_of_what_is_to_be_deleted),
	    STORE_TEST(test_key_of_what_is_to_be_deleted),
	    STORE_TEST(test_inode),
	    STORE_TEST(test_directory),
	    STORE_TEST(test_what_is_to_be_recovered),
	};

	return fixture_main(argc, argv, tests, sizeof(tests) / sizeof(*tests));
}
