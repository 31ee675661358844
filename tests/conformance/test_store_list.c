/* SPDX-License-Identifier: Apache-2.0 */
/* Listings: order, positions, snapshots, and what expires meanwhile. */
#include "tests/conformance/store_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static struct store *store_of(void **state)
{
	return ((struct fixture *)*state)->st;
}

static void test_order_and_attributes(void **state)
{
	struct store *st = store_of(state);
	uint64_t dir = make_dir(st, ROOT, "d");
	struct store_attr link;
	struct store_dirent ent;
	struct store_dir *it;

	make_dir(st, dir, "b");
	link = attr_of(st, make_link(st, dir, "a"));
	make_link(st, dir, "a b");
	make_link(st, dir, "\xff");
	make_link(st, branch_of(st, dir, "v"), "other version");
	make_link(st, ROOT, "z");
	assert_names(st, dir, "a a b b \xff ");

	it = list_open(*state, dir);
	assert_ok(store_dir_next(it, &ent));
	assert_string_equal(ent.name, "a");
	assert_same_attr(&ent.attr, &link);
	store_dir_close(NULL);
}

/* A directory in a listing is as it is now: the kernel will cache what we say. */
static void test_directories_are_fresh(void **state)
{
	struct store *st = store_of(state);
	uint64_t sub = make_dir(st, ROOT, "sub");
	struct store_attr attr = {.mode = 0700};
	struct store_dirent ent;
	struct store_dir *it;

	it = list_open(*state, ROOT);
	assert_ok(store_setattr(st, sub, STORE_SET_MODE, &attr, &attr));
	assert_ok(store_dir_next(it, &ent));
	assert_int_equal(ent.attr.mode, S_IFDIR | 0700);
}

static void make_many(struct store *st, uint64_t branch, int count)
{
	char name[16];

	for (int i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "n%05d", i);
		make_link(st, branch, name);
	}
}

/* The next name is the one that make_many() gave that number. */
static void assert_next(struct store_dir *it, int i, struct store_dirent *ret_ent)
{
	char expected[16];

	assert_ok(store_dir_next(it, ret_ent));
	snprintf(expected, sizeof(expected), "n%05d", i);
	assert_string_equal(ret_ent->name, expected);
}

static void assert_at(struct store_dir *it, uint64_t off, int i,
		      struct store_dirent *ret_ent)
{
	assert_ok(store_dir_seek(it, off));
	assert_next(it, i, ret_ent);
}

/* Seek to any position that was given out, in any order. */
static void test_seek(void **state)
{
	enum { COUNT = 5000 };
	struct store *st = store_of(state);
	uint64_t dir = make_dir(st, ROOT, "d");
	uint64_t *offs = calloc(COUNT + 1, sizeof(*offs));
	struct store_dirent ent;
	struct store_dir *it;

	assert_non_null(offs);
	make_many(st, dir, COUNT);
	it = list_open(*state, dir);
	for (int i = 0; i < COUNT; i++) {
		assert_ok(store_dir_next(it, &ent));
		offs[i + 1] = ent.next_off;
	}
	assert_int_equal(store_dir_next(it, &ent), -ENOENT);
	assert_int_equal(store_dir_next(it, &ent), -ENOENT);

	srandom(1);
	for (int round = 0; round < 2000; round++) {
		int i = (int)(random() % COUNT);

		assert_at(it, offs[i], i, &ent);
		assert_int_equal(ent.next_off, offs[i + 1]);
		/* The same again, as when it did not fit into a buffer. */
		assert_at(it, offs[i], i, &ent);
	}
	assert_ok(store_dir_seek(it, offs[COUNT]));
	assert_int_equal(store_dir_next(it, &ent), -ENOENT);
	assert_ok(store_dir_seek(it, UINT64_MAX));
	assert_int_equal(store_dir_next(it, &ent), -ENOENT);
	assert_at(it, 0, 0, &ent);
	free(offs);
}

/* A fresh listing may be asked for a position it has not come to. */
static void test_seek_ahead(void **state)
{
	struct store *st = store_of(state);
	struct store_dirent ent;
	struct store_dir *it;

	make_many(st, ROOT, 3000);
	it = list_open(*state, ROOT);
	assert_at(it, 2999, 2999, &ent);
	assert_at(it, 1500, 1500, &ent);
}

/* Counting names moves nothing. */
static void test_reaches(void **state)
{
	struct store *st = store_of(state);
	struct store_dirent ent;
	struct store_dir *it;

	make_many(st, ROOT, 1500);
	it = list_open(*state, ROOT);
	assert_true(store_dir_reaches(it, 0));
	assert_true(store_dir_reaches(it, 1499));
	assert_false(store_dir_reaches(it, 1500));
	for (int i = 0; i < 1500; i++)
		assert_next(it, i, &ent);
	assert_int_equal(store_dir_next(it, &ent), -ENOENT);
	assert_false(store_dir_reaches(it, 1500));
	assert_next(it, 0, &ent);
}

/* Changes after the opening are not in it, and shift no position. */
static void test_snapshot(void **state)
{
	struct store *st = store_of(state);
	struct store_dirent ent;
	struct store_dir *it;
	uint64_t off;

	make_many(st, ROOT, 10);
	it = list_open(*state, ROOT);
	assert_ok(store_dir_next(it, &ent));
	assert_ok(store_dir_next(it, &ent));
	off = ent.next_off;
	make_link(st, ROOT, "n00000a");
	make_link(st, ROOT, "n00005a");
	assert_ok(store_unlink(st, ROOT, "n00000"));
	assert_ok(store_unlink(st, ROOT, "n00005"));
	assert_ok(store_rename(st, ROOT, "n00009", ROOT, "a", 0, NULL));
	assert_ok(store_dir_seek(it, 0));
	for (int i = 0; i < 10; i++)
		assert_next(it, i, &ent);
	assert_int_equal(store_dir_next(it, &ent), -ENOENT);
	assert_at(it, off, 2, &ent);
}

/* Nor are they in a long one, which goes on with another iterator somewhere. */
static void test_long_snapshot(void **state)
{
	enum { COUNT = 6000 };
	static const int changed_at[] = {1, 4000, 4096, 5000, COUNT - 1};
	struct store *st = store_of(state);

	for (size_t round = 0; round < sizeof(changed_at) / sizeof(*changed_at);
	     round++) {
		char name[16];
		uint64_t dir;
		struct store_dirent ent;
		struct store_dir *it;

		snprintf(name, sizeof(name), "d%zu", round);
		dir = make_dir(st, ROOT, name);
		make_many(st, dir, COUNT);
		it = list_open(*state, dir);
		for (int i = 0; i < COUNT; i++) {
			if (i == changed_at[round]) {
				make_link(st, dir, "n04500a");
				assert_ok(store_unlink(st, dir, "n00000"));
				assert_ok(store_unlink(st, dir, "n04800"));
				assert_ok(store_rename(st, dir, "n05999", dir, "n00001a",
						       0, NULL));
			}
			assert_next(it, i, &ent);
			assert_int_equal(ent.next_off, i + 1);
		}
		assert_int_equal(store_dir_next(it, &ent), -ENOENT);
		assert_at(it, 4800, 4800, &ent);
		assert_at(it, 0, 0, &ent);
	}
}

/* What expires during a listing is left out from then on; what comes back is in. */
static void test_expiry_during_listing(void **state)
{
	struct store *st = store_of(state);
	uint64_t dir = make_dir(st, ROOT, "d");
	struct store_dirent ent;
	struct store_dir *it;
	uint64_t off;

	make_many(st, dir, 4);
	it = list_open(*state, dir);
	assert_ok(store_dir_next(it, &ent));
	off = ent.next_off;
	set_ttl_ms(st, dir, 0);
	assert_int_equal(store_dir_next(it, &ent), -ENOENT);
	set_ttl_ms(st, dir, 60000);
	assert_at(it, off, 1, &ent);
	assert_true(ent.attr.expires_ns == ent.attr.created_ns + 60 * NSEC_PER_SEC);
}

static void test_removed_while_listed(void **state)
{
	struct store *st = store_of(state);
	uint64_t dir = make_dir(st, ROOT, "d");
	uint64_t v = branch_of(st, dir, "v");
	struct store_dirent ent;
	struct store_dir *it;

	make_many(st, v, 3);
	it = list_open(*state, v);
	assert_ok(store_dir_next(it, &ent));
	assert_ok(store_rmdir(st, ROOT, "d"));
	assert_int_equal(store_dir_next(it, &ent), -ENOENT);
	assert_names(st, v, "");
}

/* Whoever makes a node of a name relies on it. */
static void test_current_until_a_name_changes(void **state)
{
	struct store *st = store_of(state);
	uint64_t dir = make_dir(st, ROOT, "d");
	struct store_attr attr = {.mtime_ns = 1};
	struct store_dirent ent;
	struct store_dir *it;

	make_many(st, dir, 3);
	it = list_open(*state, dir);
	assert_ok(store_dir_next(it, &ent));
	assert_true(store_dir_is_current(it));
	make_link(st, dir, "one more");
	assert_ok(store_dir_next(it, &ent));
	assert_false(store_dir_is_current(it));

	it = list_open(*state, dir);
	assert_true(store_dir_is_current(it));
	assert_ok(store_setattr(st, ent.attr.ino, STORE_SET_MTIME, &attr, &attr));
	assert_false(store_dir_is_current(it));

	it = list_open(*state, dir);
	assert_true(store_dir_is_current(it));
	assert_ok(store_unlink(st, dir, "n00001"));
	assert_false(store_dir_is_current(it));
}

int main(int argc, char **argv)
{
	struct CMUnitTest tests[] = {
	    STORE_TEST(test_order_and_attributes),
	    STORE_TEST(test_directories_are_fresh),
	    STORE_TEST(test_seek),
	    STORE_TEST(test_seek_ahead),
	    STORE_TEST(test_reaches),
	    STORE_TEST(test_snapshot),
	    STORE_TEST(test_long_snapshot),
	    STORE_TEST(test_expiry_during_listing),
	    STORE_TEST(test_removed_while_listed),
	    STORE_TEST(test_current_until_a_name_changes),
	};

	return fixture_main(argc, argv, tests, sizeof(tests) / sizeof(*tests));
}
