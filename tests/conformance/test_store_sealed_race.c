/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads that read a sealed tree, against others that replace, remove and move it.
 * cmocka's asserts are for its own thread only, so the threads count what must not
 * happen. Each file has the bytes that its size tells.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/internal.h"
#include "store/sealed.h"
#include "tests/conformance/tree_fixture.h"

enum { READERS = 3, KINDS = 4, RUN_MS = 1500 };

struct race {
	struct store *st;
	struct packing packs[KINDS];
	uint8_t *contents[KINDS];
	_Atomic bool stop;
	_Atomic unsigned int wrong;
	_Atomic unsigned int read; /* whole files */
};

/* In an extent each: packs of another size. */
static size_t big_of(int kind)
{
	return 100 * 1000 + (size_t)kind;
}

static void check(struct race *race, bool right, const char *what, int r)
{
	if (!right && atomic_fetch_add(&race->wrong, 1) == 0)
		print_error("%s: %s\n", what, strerror(-r));
}

/* Gone, between one call and the next. */
static bool may_happen(int r)
{
	return r == 0 || r == -ENOENT;
}

static void read_file(struct race *race, uint64_t ino)
{
	struct store_gen *gen;
	struct store_attr attr;
	uint8_t *data;
	size_t n = 0;
	int r = store_gen_open(race->st, ino, &gen);

	check(race, may_happen(r), "open", r);
	if (r)
		return;
	store_gen_hit(gen);
	r = store_gen_attr_by_ino(race->st, ino, &attr);
	check(race, r == 0, "attributes of what is open", r);
	data = malloc(attr.size_bytes + 1);
	if (!r && data)
		r = store_gen_read(gen, data, attr.size_bytes + 1, 0, &n);
	check(race, r == 0 && n == attr.size_bytes, "read", r);
	check(race,
	      !r && n >= big_of(0) && n < big_of(KINDS) &&
		  !memcmp(data, race->contents[n - big_of(0)], n),
	      "other bytes", 0);
	atomic_fetch_add(&race->read, 1);
	free(data);
	store_gen_close(gen);
}

static void list_tree(struct race *race, uint64_t ino)
{
	struct store_dirent ent;
	struct store_dir *dir;
	unsigned int names = 0;
	int r = store_dir_open(race->st, ino, &dir);

	check(race, r == 0, "listing", r);
	if (r)
		return;
	while ((r = store_dir_next(dir, &ent)) == 0)
		names++;
	check(race, r == -ENOENT && (names == 4 || names == 0), "names", r);
	store_dir_close(dir);
}

static void *reader(void *arg)
{
	struct race *race = arg;
	struct store_attr tree, attr;

	while (!atomic_load(&race->stop)) {
		int r = store_lookup(race->st, ROOT, "t", &tree);

		if (!r)
			list_tree(race, tree.ino);
		if (!r)
			r = store_lookup(race->st, tree.ino, "data", &attr);
		if (!r)
			r = store_lookup(race->st, attr.ino, "big", &attr);
		check(race, may_happen(r), "lookup", r);
		if (!r)
			read_file(race, attr.ino);
	}
	return NULL;
}

static int publish_one(struct race *race, int kind)
{
	const struct buf *raw = &race->packs[kind].raw;
	struct store_stage_args args = {.branch = ROOT, .mode = 0644, .sealed = true};
	struct store_staged *sg;
	int r = store_stage(race->st, &args, &sg);

	if (r)
		return r;
	r = store_staged_write(sg, raw->data, raw->len, 0);
	if (!r)
		r = store_staged_check(sg, NULL);
	if (!r)
		r = store_publish(sg, ROOT, "t", false, NULL, NULL);
	store_staged_free(sg);
	return r;
}

static void *writer(void *arg)
{
	struct race *race = arg;

	for (int i = 0; !atomic_load(&race->stop); i++) {
		int r = publish_one(race, i % KINDS);

		check(race, r == 0, "publish", r);
	}
	return NULL;
}

static void *remover(void *arg)
{
	struct race *race = arg;

	while (!atomic_load(&race->stop)) {
		int r = store_rename(race->st, ROOT, "t", ROOT, "u", 0, NULL);

		check(race, may_happen(r), "rename", r);
		r = store_rmdir(race->st, ROOT, "u");
		check(race, may_happen(r), "rmdir", r);
		sealed_forget_unused(race->st);
		usleep(2000);
	}
	return NULL;
}

static void run(struct race *race)
{
	pthread_t threads[READERS + 2];

	for (int i = 0; i < READERS; i++)
		assert_ok(pthread_create(&threads[i], NULL, reader, race));
	assert_ok(pthread_create(&threads[READERS], NULL, writer, race));
	assert_ok(pthread_create(&threads[READERS + 1], NULL, remover, race));
	usleep(RUN_MS * 1000);
	atomic_store(&race->stop, true);
	for (int i = 0; i < READERS + 2; i++)
		pthread_join(threads[i], NULL);
}

static void test_replaced_and_removed_while_read(void **state)
{
	struct fixture *fx = *state;
	struct race race = {.st = fx->st};
	int r;

	for (int i = 0; i < KINDS; i++) {
		pack_sample(&race.packs[i], big_of(i));
		race.contents[i] = pattern(big_of(i), big_of(i));
	}
	run(&race);
	for (int i = 0; i < KINDS; i++) {
		packing_deinit(&race.packs[i]);
		free(race.contents[i]);
	}
	assert_int_equal(race.wrong, 0);
	assert_true(race.read > 0);
	r = store_rmdir(fx->st, ROOT, "t");
	assert_true(r == 0 || r == -ENOENT);
	r = store_rmdir(fx->st, ROOT, "u");
	assert_true(r == 0 || r == -ENOENT);
	assert_left(fx->st, 0, 0);
	assert_int_equal(count_rows(fx->st, TABLE_GCQ), 0);
}

int main(int argc, char **argv)
{
	struct CMUnitTest tests[] = {
	    STORE_TEST(test_replaced_and_removed_while_read),
	};

	return fixture_main(argc, argv, tests, sizeof(tests) / sizeof(*tests));
}
