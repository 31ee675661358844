/* SPDX-License-Identifier: Apache-2.0 */
/* Reading by number what was not opened: store_known_add(). */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "store/internal.h"
#include "tests/conformance/tree_fixture.h"

/* Who knows one number, and what he was given. */
struct knower {
	struct store_known hook;
	_Atomic uint64_t ino;
	_Atomic(struct store_gen *) gen;
	atomic_int asked;
};

static bool known(void *arg, uint64_t ino)
{
	struct knower *k = arg;

	atomic_fetch_add(&k->asked, 1);
	return atomic_load(&k->ino) == ino;
}

static void nameless(void *arg, uint64_t ino, struct store_gen *gen)
{
	struct knower *k = arg;
	struct store_gen *before = atomic_exchange(&k->gen, gen);

	assert_int_equal(atomic_load(&k->ino), ino);
	assert_null(before);
}

static void begin(struct store *st, struct knower *k)
{
	memset(k, 0, sizeof(*k));
	k->hook = (struct store_known){known, nameless, k, NULL};
	store_known_add(st, &k->hook);
}

static void end(struct store *st, struct knower *k)
{
	store_known_remove(st, &k->hook);
	store_known_close(atomic_exchange(&k->gen, NULL));
}

static void assert_known(struct store *st, uint64_t ino, size_t len, uint64_t seed)
{
	uint8_t *data = pattern(len, seed);
	struct store_gen *gen;

	assert_ok(store_gen_open_known(st, ino, &gen));
	assert_gen(gen, data, len);
	store_gen_close(gen);
	free(data);
}

static struct store *store_of(void **state)
{
	return ((struct fixture *)*state)->st;
}

static void lose_name(struct store *st, int how)
{
	switch (how) {
	case 0:
		assert_ok(store_unlink(st, ROOT, "f"));
		break;
	case 1:
		put_value(st, "f", 1, 99);
		break;
	default:
		put_value(st, "other", 1, 99);
		assert_ok(store_rename(st, ROOT, "other", ROOT, "f", 0, NULL));
	}
}

/* It is opened late, when nothing but what was handed over knows of it. */
static void test_is_handed_over(void **state)
{
	static const size_t sizes[] = {0, 10, SMALL + 1, 3 * MIB};
	struct store *st = store_of(state);
	struct knower k;

	for (size_t i = 0; i < 4; i++) {
		for (int how = 0; how < 3; how++) {
			begin(st, &k);
			k.ino = put_value(st, "f", sizes[i], i);
			assert_ok(store_known_check(st, k.ino));
			assert_known(st, k.ino, sizes[i], i);
			lose_name(st, how);
			assert_non_null(k.gen);
			assert_int_equal(store_known_check(st, k.ino), -ENOENT);
			assert_ok(store_settle(st));
			assert_known(st, k.ino, sizes[i], i);
			end(st, &k);
		}
	}
	assert_ok(store_unlink(st, ROOT, "f"));
	assert_ok(store_settle(st));
	assert_int_equal(count_rows(st, TABLE_GCQ), 0);
	assert_int_equal(count_extents(st), 0);
}

/* Only then its content goes; and what nobody knows goes as ever. */
static void test_is_deleted_when_it_is_given_back(void **state)
{
	struct store *st = store_of(state);
	struct store_gen *gen;
	struct knower k;

	begin(st, &k);
	put_value(st, "g", MIB, 1);
	k.ino = put_value(st, "f", MIB, 2);
	assert_ok(store_unlink(st, ROOT, "g"));
	assert_null(k.gen);
	assert_true(k.asked > 0);
	assert_ok(store_unlink(st, ROOT, "f"));
	assert_ok(store_settle(st));
	assert_int_equal(count_extents(st), 1);
	end(st, &k);
	assert_ok(store_settle(st));
	assert_int_equal(count_extents(st), 0);
	assert_int_equal(store_gen_open_known(st, k.ino, &gen), -ENOENT);
}

/* What has its name is found by it, expired or not, and nothing is held. */
static void test_with_a_name(void **state)
{
	struct store *st = store_of(state);
	uint64_t ino = put_value(st, "f", MIB, 3), dir = make_dir(st, ROOT, "d");
	struct store_gen *gen;

	set_ttl_ms(st, ino, 1);
	sleep_until(time_now_ns() + 5 * 1000 * 1000);
	assert_int_equal(lookup(st, ROOT, "f"), 0);
	assert_known(st, ino, MIB, 3);
	assert_int_equal(store_gen_open_known(st, dir, &gen), -EINVAL);
}

static void test_file_in_a_tree(void **state)
{
	struct store *st = store_of(state);
	uint64_t tree = put_tree(st, "t", 3 * MIB), branch, tool;
	struct store_attr attr;
	struct store_gen *gen;
	struct knower k;
	uint8_t *want, *got;
	size_t len;

	begin(st, &k);
	assert_ok(store_branch(st, tree, NULL, false, &branch));
	assert_ok(store_branch(st, lookup(st, branch, "bin"), NULL, false, &branch));
	tool = lookup(st, branch, "tool");
	assert_true(store_ino_in_tree(tool));
	k.ino = store_tree_stream(tree);
	assert_ok(store_known_check(st, tool));
	attr = attr_of(st, tool);
	want = malloc(attr.size_bytes);
	got = malloc(attr.size_bytes);
	assert_ok(store_gen_open_known(st, tool, &gen));
	assert_ok(store_gen_read(gen, want, attr.size_bytes, 0, &len));
	store_gen_close(gen);

	assert_ok(store_rmdir(st, ROOT, "t"));
	assert_non_null(k.gen);
	assert_ok(store_settle(st));
	assert_int_equal(count_extents(st), 1);
	assert_ok(store_gen_open_known(st, tool, &gen));
	assert_ok(store_gen_read(gen, got, attr.size_bytes, 0, &len));
	assert_int_equal(len, attr.size_bytes);
	assert_memory_equal(got, want, len);
	assert_ok(store_gen_attr_by_ino(st, tool, &attr));
	store_gen_close(gen);
	/* The index in memory, which has it open, goes with it. */
	end(st, &k);
	assert_ok(store_settle(st));
	assert_int_equal(count_extents(st), 0);
	free(want);
	free(got);
}

/* ---- learning against replacing ---- */

struct race {
	struct store *st;
	atomic_bool stop;
};

static void *replace(void *arg)
{
	struct race *race = arg;

	for (uint64_t i = 0; !atomic_load(&race->stop); i++)
		put_value(race->st, "f", 100 + i % 50, i);
	return NULL;
}

enum { LEARNED = 2000 };

/* What was known in time can be read, whatever has become of its name. */
static void test_learning_races_with_replacing(void **state)
{
	struct race race = {.st = store_of(state)};
	struct knower k;
	pthread_t thread;
	int learned = 0;

	put_value(race.st, "f", 100, 0);
	assert_int_equal(pthread_create(&thread, NULL, replace, &race), 0);
	for (int i = 0; i < LEARNED; i++) {
		struct store_gen *gen;

		begin(race.st, &k);
		atomic_store(&k.ino, lookup(race.st, ROOT, "f"));
		if (store_known_check(race.st, k.ino) == 0) {
			learned++;
			assert_ok(store_gen_open_known(race.st, k.ino, &gen));
			store_gen_close(gen);
			if (i % 16 == 0)
				assert_ok(store_settle(race.st));
			assert_ok(store_gen_open_known(race.st, k.ino, &gen));
			store_gen_close(gen);
		}
		end(race.st, &k);
	}
	atomic_store(&race.stop, true);
	pthread_join(thread, NULL);
	assert_true(learned > 0);
}

/* ---- what a listing has given ---- */

static struct store_dir *listing(struct store *st, uint64_t dir, uint64_t *ret_ino)
{
	struct store_dirent ent;
	struct store_dir *it;

	assert_ok(store_dir_open(st, dir, &it));
	assert_ok(store_dir_next(it, &ent));
	*ret_ino = ent.attr.ino;
	return it;
}

static uint64_t put_in(struct store *st, uint64_t dir, const char *name)
{
	struct store_attr attr;

	put_value(st, "made", 100, 1);
	assert_ok(store_rename(st, ROOT, "made", dir, name, 0, NULL));
	assert_ok(store_lookup(st, dir, name, &attr));
	return attr.ino;
}

static void test_of_a_listing(void **state)
{
	struct store *st = store_of(state);
	uint64_t dir = make_dir(st, ROOT, "d"), ino, listed;
	struct store_dir *it;

	ino = put_in(st, dir, "a");
	it = listing(st, dir, &listed);
	assert_int_equal(listed, ino);
	assert_ok(store_known_check_listed(st, it, ino));
	put_in(st, dir, "b"); /* the listing is old, and this one still there */
	assert_ok(store_known_check_listed(st, it, ino));
	assert_ok(store_unlink(st, dir, "a"));
	assert_int_equal(store_known_check_listed(st, it, ino), -ENOENT);
	store_dir_close(it);
}

/* Who comes between the question whether it is known and the commit. */
struct late {
	struct store_known hook;
	struct store *st;
	struct store_dir *it;
	uint64_t ino;
	pthread_t thread;
	atomic_int answer;
};

static void *check_late(void *arg)
{
	struct late *late = arg;

	atomic_store(&late->answer,
		     store_known_check_listed(late->st, late->it, late->ino));
	return NULL;
}

static bool known_too_late(void *arg, uint64_t ino)
{
	struct late *late = arg;

	assert_int_equal(ino, late->ino);
	assert_int_equal(pthread_create(&late->thread, NULL, check_late, late), 0);
	sleep_until(time_now_ns() + 100 * 1000 * 1000); /* time to be wrong in */
	return false;
}

static void test_of_a_listing_too_late(void **state)
{
	struct late late = {.st = store_of(state)};
	uint64_t dir = make_dir(late.st, ROOT, "d");

	put_in(late.st, dir, "a");
	late.it = listing(late.st, dir, &late.ino);
	late.hook = (struct store_known){known_too_late, NULL, &late, NULL};
	store_known_add(late.st, &late.hook);
	assert_ok(store_unlink(late.st, dir, "a"));
	pthread_join(late.thread, NULL);
	assert_int_equal(late.answer, -ENOENT);
	store_known_remove(late.st, &late.hook);
	store_dir_close(late.it);
}

int main(int argc, char **argv)
{
	struct CMUnitTest tests[] = {
	    STORE_TEST(test_is_handed_over),
	    STORE_TEST(test_is_deleted_when_it_is_given_back),
	    STORE_TEST(test_with_a_name),
	    STORE_TEST(test_file_in_a_tree),
	    STORE_TEST(test_learning_races_with_replacing),
	    STORE_TEST(test_of_a_listing),
	    STORE_TEST(test_of_a_listing_too_late),
	};

	return fixture_main(argc, argv, tests, sizeof(tests) / sizeof(*tests));
}
