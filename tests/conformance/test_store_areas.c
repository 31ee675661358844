/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directories with a quota, as they come and go: what is known of them, and what is
 * counted below them while things change.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "store/internal.h"
#include "tests/conformance/store_check.h"
#include "tests/conformance/store_fixture.h"

static const char *name_of(char name[16], int i)
{
	snprintf(name, 16, "d%d", i);
	return name;
}

/* ---- a count while directories go ---- */

enum { DIRS = 200, ROUNDS = 30 };

struct counting {
	struct store *st;
	atomic_bool stop;
};

static void *count_on(void *arg)
{
	struct counting *c = arg;

	while (!atomic_load(&c->stop)) {
		usage_want_count(c->st);
		(void)store_settle(c->st);
	}
	return NULL;
}

static void test_counted_while_directories_go(void **state)
{
	struct fixture *fx = *state;
	uint64_t top = make_dir(fx->st, ROOT, "top");
	struct store_quota quota;
	char name[16];

	assert_ok(store_setting_set(fx->st, top, STORE_SETTING_QUOTA, "1G"));
	for (int round = 0; round < ROUNDS; round++) {
		struct counting c = {.st = fx->st};
		uint64_t dirs[DIRS];
		pthread_t thread;

		for (int i = 0; i < DIRS; i++) {
			dirs[i] = make_dir(fx->st, top, name_of(name, i));
			make_file(fx->st, dirs[i], "f", "text");
		}
		assert_ok(store_settle(fx->st));
		assert_int_equal(pthread_create(&thread, NULL, count_on, &c), 0);
		for (int i = 0; i < DIRS; i++) {
			assert_ok(store_unlink(fx->st, dirs[i], "f"));
			assert_ok(store_rmdir(fx->st, top, name_of(name, i)));
		}
		atomic_store(&c.stop, true);
		pthread_join(thread, NULL);
		assert_ok(store_settle(fx->st));
		make_file(fx->st, top, "f", "x"); /* lest too little looks like nothing */
		assert_ok(store_quota(fx->st, top, &quota));
		assert_true(quota.counted);
		assert_int_equal(quota.used_bytes, USAGE_ROWS_BYTES + 1);
		assert_ok(store_unlink(fx->st, top, "f"));
	}
}

/* ---- what is promised ---- */

enum { OPEN = 8 };

/* fsync and close of one descriptor, while others are open; or only close: the last one
 * is published later, too. */
static int promise(struct store *st, uint64_t dir, const char *name, bool synced,
		   struct store_staged **ret_sg)
{
	static const char data[60000] = "some bytes";
	struct store_stage_args args = {.branch = dir, .mode = 0644};

	assert_ok(store_stage(st, &args, ret_sg));
	assert_ok(store_staged_write(*ret_sg, data, sizeof(data), 0));
	if (synced)
		assert_ok(store_staged_sync(*ret_sg));
	return store_staged_flush(*ret_sg, dir, name);
}

static void promise_all(struct store *st, uint64_t outer, uint64_t dir, bool synced)
{
	struct store_staged *sg[OPEN];
	struct store_quota quota;
	char name[16];
	int promised = 0;

	for (int i = 0; i < OPEN; i++) {
		int r = promise(st, dir, name_of(name, i), synced, &sg[i]);

		assert_int_equal(r, i < 3 ? 0 : -EDQUOT);
		promised += !r;
	}
	for (int i = 0; i < OPEN; i++) {
		int r = store_publish(sg[i], dir, name_of(name, i), false, NULL, NULL);

		assert_int_equal(r, i < promised ? 0 : -EDQUOT);
		store_staged_free(sg[i]);
	}
	assert_ok(store_quota(st, dir, &quota));
	assert_true(quota.used_bytes > 3 * 60000 && quota.used_bytes < 200 * 1024);
	assert_int_equal(atomic_load(&st->usage.promised_bytes), 0);
	assert_null(st->usage.promises);

	/* Who closes another descriptor is not asked again. */
	assert_ok(store_unlink(st, dir, "d0"));
	assert_ok(promise(st, dir, "d0", synced, &sg[0]));
	assert_ok(store_setting_set(st, outer, STORE_SETTING_QUOTA, "100K"));
	assert_ok(store_staged_flush(sg[0], dir, "d0"));
	assert_ok(store_publish(sg[0], dir, "d0", false, NULL, NULL));
	store_staged_free(sg[0]);
	assert_ok(store_setting_set(st, outer, STORE_SETTING_QUOTA, "200K"));

	/* What is given up is there for others. */
	assert_ok(store_unlink(st, dir, "d0"));
	assert_ok(promise(st, dir, "d0", synced, &sg[0]));
	assert_int_equal(promise(st, dir, "d1x", synced, &sg[1]), -EDQUOT);
	store_staged_free(sg[0]);
	store_staged_free(sg[1]);
	assert_ok(promise(st, dir, "d0", synced, &sg[0]));
	assert_ok(store_publish(sg[0], dir, "d0", false, NULL, NULL));
	store_staged_free(sg[0]);
	for (int i = 0; i < promised; i++)
		assert_ok(store_unlink(st, dir, name_of(name, i)));
}

static void test_no_more_is_promised_than_there_is(void **state)
{
	struct fixture *fx = *state;
	struct store *st = fx->st;
	uint64_t outer = make_dir(st, ROOT, "q"), dir = make_dir(st, outer, "in");

	st->room.wait_ns = 0;
	assert_ok(store_setting_set(st, ROOT, STORE_SETTING_PIN, "yes"));
	assert_ok(store_setting_set(st, outer, STORE_SETTING_QUOTA, "200K"));
	assert_ok(store_setting_set(st, dir, STORE_SETTING_QUOTA, "1M"));
	assert_ok(store_settle(st));
	promise_all(st, outer, dir, false);
	promise_all(st, outer, dir, true);
}

/* ---- what goes is forgotten ---- */

static unsigned int quota_rows(struct store *st, enum table table)
{
	struct backend_iter *it;
	unsigned int rows = 0;

	assert_ok(backend_iter_new(st->be, table, &it));
	for (backend_iter_seek(it, slice_str("quota")); backend_iter_valid(it);
	     backend_iter_next(it)) {
		struct slice key = backend_iter_key(it);

		rows += key.len > 5 && !memcmp(key.data, "quota", 5);
	}
	assert_ok(backend_iter_status(it));
	backend_iter_free(it);
	return rows;
}

static void assert_forgotten(struct store *st)
{
	assert_ok(store_settle(st));
	assert_int_equal(quota_rows(st, TABLE_META), 0);
	assert_int_equal(quota_rows(st, TABLE_COUNTER), 0);
	assert_int_equal(st->usage.areas.count, 0);
}

static void test_removed_with_its_directory(void **state)
{
	struct fixture *fx = *state;
	struct store *st = fx->st;
	uint64_t top, dir;

	dir = make_dir(st, ROOT, "removed");
	assert_ok(store_setting_set(st, dir, STORE_SETTING_QUOTA, "1M"));
	make_file(st, dir, "f", "text");
	assert_int_equal(quota_rows(st, TABLE_META), 1);
	assert_ok(store_unlink(st, dir, "f"));
	assert_ok(store_rmdir(st, ROOT, "removed"));
	assert_forgotten(st);

	dir = make_dir(st, ROOT, "replaced");
	make_dir(st, ROOT, "other");
	assert_ok(store_setting_set(st, dir, STORE_SETTING_QUOTA, "1M"));
	assert_ok(store_rename(st, ROOT, "other", ROOT, "replaced", 0, NULL));
	assert_forgotten(st);

	/* Below what only another version shows. */
	top = make_dir(st, ROOT, "top");
	dir = make_dir(st, branch_of(st, top, "v"), "deep");
	assert_ok(store_setting_set(st, dir, STORE_SETTING_QUOTA, "1M"));
	make_file(st, dir, "f", "text");
	assert_int_equal(quota_rows(st, TABLE_META), 1);
	assert_ok(store_rmdir(st, ROOT, "top"));
	assert_forgotten(st);
	check_settled(st);
}

int main(int argc, char **argv)
{
	struct CMUnitTest tests[] = {
	    STORE_TEST(test_counted_while_directories_go),
	    STORE_TEST(test_no_more_is_promised_than_there_is),
	    STORE_TEST(test_removed_with_its_directory),
	};

	return fixture_main(argc, argv, tests, sizeof(tests) / sizeof(*tests));
}
