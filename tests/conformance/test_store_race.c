/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads against each other. cmocka's asserts are for its own thread only, so
 * the threads here count what must not happen, and the test asserts on that.
 */
#include "tests/conformance/store_fixture.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "tests/conformance/store_check.h"

static struct store *store_of(void **state)
{
	return ((struct fixture *)*state)->st;
}

/* Report once what went wrong, and count it. */
#define WRONG(counter, ...)                                                              \
	do {                                                                             \
		if (atomic_fetch_add(counter, 1) == 0)                                   \
			print_error(__VA_ARGS__);                                        \
	} while (0)

static void start(pthread_t *thread, void *(*run)(void *), void *arg)
{
	assert_int_equal(pthread_create(thread, NULL, run, arg), 0);
}

/* ---- anything, anywhere ---- */

struct chaos {
	struct store *st;
	uint64_t dirs[4]; /* never removed */
	_Atomic bool stop;
	_Atomic unsigned int wrong;
	_Atomic unsigned int seed;
};

static const char *const chaos_names[] = {"a", "b", "c", "d", "e"};

static const char *any_name(unsigned int *seed)
{
	return chaos_names[(unsigned int)rand_r(seed) % 5];
}

/* One of the directories, or one below it, at one of two versions. */
static uint64_t any_branch(struct chaos *ch, unsigned int *seed)
{
	uint64_t dir = ch->dirs[rand_r(seed) % 4], branch;
	struct store_attr attr;

	if (rand_r(seed) % 2 && store_lookup(ch->st, dir, any_name(seed), &attr) == 0 &&
	    S_ISDIR(attr.mode))
		dir = attr.ino;
	if (store_branch(ch->st, dir, rand_r(seed) % 4 ? NULL : "v", rand_r(seed) % 2,
			 &branch))
		return dir;
	return branch;
}

static int change_something(struct chaos *ch, unsigned int *seed)
{
	uint64_t branch = any_branch(ch, seed), other = any_branch(ch, seed);
	const char *name = any_name(seed);
	struct store_attr attr = {.mode = 0700, .mtime_ns = 5};

	switch (rand_r(seed) % 12) {
	case 0:
	case 1:
		return store_mkdir(ch->st, branch, name, 0755, 0, 0, &attr);
	case 2:
	case 3:
		return store_symlink(ch->st, branch, name, "t", 0, 0, &attr);
	case 4:
		return store_unlink(ch->st, branch, name);
	case 5:
		return store_rmdir(ch->st, branch, name);
	case 6:
	case 7:
		return store_rename(ch->st, branch, name, other, any_name(seed), 0, NULL);
	case 8:
		return store_rename(ch->st, branch, name, other, any_name(seed),
				    STORE_RENAME_EXCHANGE, NULL);
	case 9:
		return store_version_set(ch->st, ch->dirs[rand_r(seed) % 4],
					 rand_r(seed) % 2 ? "v" : "");
	case 10:
		if (store_lookup(ch->st, branch, name, &attr))
			return 0;
		return store_ttl_set(ch->st, attr.ino, rand_r(seed) % 2 ? 0 : 1000000000,
				     "x");
	default:
		if (store_lookup(ch->st, branch, name, &attr))
			return 0;
		return store_setattr(ch->st, attr.ino, STORE_SET_MTIME, &attr, &attr);
	}
}

static bool may_happen(int r)
{
	return r == 0 || r == -ENOENT || r == -EEXIST || r == -ENOTEMPTY ||
	       r == -EISDIR || r == -ENOTDIR || r == -EINVAL;
}

static void *changer(void *arg)
{
	struct chaos *ch = arg;
	unsigned int seed = atomic_fetch_add(&ch->seed, 1);

	while (!atomic_load(&ch->stop)) {
		int r = change_something(ch, &seed);

		if (!may_happen(r))
			WRONG(&ch->wrong, "a change failed: %s\n", strerror(-r));
	}
	return NULL;
}

/* What one call says must be whole, whatever goes on around it. */
static void look_around(struct chaos *ch, unsigned int *seed)
{
	uint64_t branch = any_branch(ch, seed), where;
	struct buf name = BUF_INIT;
	struct store_dirent ent;
	struct store_attr attr;
	struct store_dir *dir;
	char last[STORE_NAME_MAX + 1] = "";
	int r;

	r = store_lookup(ch->st, branch, any_name(seed), &attr);
	if (r == 0)
		r = store_where(ch->st, attr.ino, &where, &name);
	if (!may_happen(r))
		WRONG(&ch->wrong, "a lookup failed: %s\n", strerror(-r));
	buf_deinit(&name);
	r = store_dir_open(ch->st, branch, &dir);
	if (r) {
		WRONG(&ch->wrong, "a listing failed: %s\n", strerror(-r));
		return;
	}
	while ((r = store_dir_next(dir, &ent)) == 0) {
		if (strcmp(last, ent.name) >= 0)
			WRONG(&ch->wrong, "%s is listed after %s\n", ent.name, last);
		strcpy(last, ent.name);
	}
	if (r != -ENOENT)
		WRONG(&ch->wrong, "a listing ended: %s\n", strerror(-r));
	store_dir_close(dir);
}

static void *looker(void *arg)
{
	struct chaos *ch = arg;
	unsigned int seed = atomic_fetch_add(&ch->seed, 1);

	while (!atomic_load(&ch->stop))
		look_around(ch, &seed);
	return NULL;
}

static void test_chaos(void **state)
{
	struct chaos ch = {.st = store_of(state), .seed = 1};
	pthread_t threads[4];

	for (int i = 0; i < 4; i++) {
		char name[8];

		snprintf(name, sizeof(name), "top%d", i);
		ch.dirs[i] = make_dir(ch.st, ROOT, name);
	}
	for (int i = 0; i < 4; i++)
		start(&threads[i], i % 2 ? looker : changer, &ch);
	sleep_until(time_now_ns() + 2 * NSEC_PER_SEC);
	atomic_store(&ch.stop, true);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(ch.wrong, 0);
	check_settled(ch.st);
}

/* ---- a change of policy is true for all when its call has returned ---- */

enum truth { CHANGING, HIT, MISS };

struct flips {
	struct store *st;
	uint64_t dir, below, never;
	_Atomic uint64_t clock; /* counts the steps; clock % 4: see truth_at() */
	_Atomic bool stop;
	_Atomic unsigned int wrong, hits, misses;
	int (*flip)(struct flips *fl, bool hit);
};

/* Even steps are changes in progress. */
static enum truth truth_at(uint64_t clock)
{
	return clock % 2 == 0 ? CHANGING : clock % 4 == 1 ? HIT : MISS;
}

static void *flip_reader(void *arg)
{
	struct flips *fl = arg;
	struct store_attr attr;

	while (!atomic_load(&fl->stop)) {
		uint64_t clock = atomic_load(&fl->clock);
		int r = store_lookup(fl->st, fl->below, "leaf", &attr);
		enum truth truth = truth_at(clock);

		if (clock != atomic_load(&fl->clock) || truth == CHANGING)
			continue;
		if (r != (truth == HIT ? 0 : -ENOENT))
			WRONG(&fl->wrong, "at %ju: %s\n", (uintmax_t)clock, strerror(-r));
		atomic_fetch_add(truth == HIT ? &fl->hits : &fl->misses, 1);
	}
	return NULL;
}

/* Turn it about `rounds` times, and wait until somebody has seen each state. */
static void run_flips(struct flips *fl, int rounds)
{
	pthread_t readers[2];
	int64_t give_up_ns = time_now_ns() + 60 * NSEC_PER_SEC;

	for (int i = 0; i < 2; i++)
		start(&readers[i], flip_reader, fl);
	for (int i = 0; i < rounds && time_now_ns() < give_up_ns; i++) {
		_Atomic unsigned int *seen = i % 2 ? &fl->misses : &fl->hits;
		unsigned int before;

		assert_ok(fl->flip(fl, i % 2 == 0));
		before = atomic_load(seen);
		atomic_fetch_add(&fl->clock, 1);
		while (atomic_load(seen) == before && time_now_ns() < give_up_ns)
			sched_yield();
		atomic_fetch_add(&fl->clock, 1);
	}
	atomic_store(&fl->stop, true);
	for (int i = 0; i < 2; i++)
		pthread_join(readers[i], NULL);
	assert_int_equal(fl->wrong, 0);
	assert_true(fl->hits > 0 && fl->misses > 0);
}

static int flip_ttl(struct flips *fl, bool hit)
{
	return store_ttl_set(fl->st, fl->dir, hit ? DURATION_NONE : 0, "x");
}

static int flip_place(struct flips *fl, bool hit)
{
	return store_rename(fl->st, hit ? fl->never : ROOT, "dir", hit ? ROOT : fl->never,
			    "dir", 0, NULL);
}

static void flips_init(struct flips *fl, struct store *st)
{
	fl->st = st;
	fl->never = make_dir(st, ROOT, "never");
	set_ttl_ms(st, fl->never, 0);
}

static void test_ttl_of_an_ancestor(void **state)
{
	struct flips fl = {.flip = flip_ttl};

	flips_init(&fl, store_of(state));
	fl.dir = make_dir(fl.st, ROOT, "dir");
	fl.below = make_dir(fl.st, make_dir(fl.st, fl.dir, "mid"), "low");
	make_link(fl.st, fl.below, "leaf");
	run_flips(&fl, 400);
}

/* A directory moves to where everything has expired, and back. */
static void test_place_of_an_ancestor(void **state)
{
	struct flips fl = {.flip = flip_place};

	flips_init(&fl, store_of(state));
	fl.dir = make_dir(fl.st, fl.never, "dir");
	fl.below = make_dir(fl.st, fl.dir, "low");
	make_link(fl.st, fl.below, "leaf");
	run_flips(&fl, 400);
}

/* ---- a directory that is not empty is never removed ---- */

struct siege {
	struct store *st;
	_Atomic bool stop;
	_Atomic unsigned int wrong, removed, made;
};

static void *besieger(void *arg)
{
	struct siege *sg = arg;
	struct store_attr attr;

	while (!atomic_load(&sg->stop)) {
		if (store_mkdir(sg->st, ROOT, "d", 0755, 0, 0, &attr) == 0)
			sched_yield();
		if (store_rmdir(sg->st, ROOT, "d") == 0)
			atomic_fetch_add(&sg->removed, 1);
	}
	return NULL;
}

static void *inhabitant(void *arg)
{
	struct siege *sg = arg;
	struct store_attr dir, attr;
	int r;

	while (!atomic_load(&sg->stop)) {
		if (store_lookup(sg->st, ROOT, "d", &dir) ||
		    store_symlink(sg->st, dir.ino, "l", "t", 0, 0, &attr))
			continue;
		atomic_fetch_add(&sg->made, 1);
		r = store_lookup(sg->st, dir.ino, "l", &attr);
		if (r == 0)
			r = store_unlink(sg->st, dir.ino, "l");
		if (r)
			WRONG(&sg->wrong, "the name was lost: %s\n", strerror(-r));
	}
	return NULL;
}

static void test_rmdir_against_create(void **state)
{
	struct siege sg = {.st = store_of(state)};
	pthread_t threads[2];
	int64_t give_up_ns = time_now_ns() + 30 * NSEC_PER_SEC;

	start(&threads[0], besieger, &sg);
	start(&threads[1], inhabitant, &sg);
	while ((sg.removed < 500 || sg.made < 500) && time_now_ns() < give_up_ns)
		sleep_until(time_now_ns() + NSEC_PER_SEC / 100);
	atomic_store(&sg.stop, true);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(sg.wrong, 0);
	assert_true(sg.removed > 0 && sg.made > 0);
	check_settled(sg.st);
}

int main(int argc, char **argv)
{
	struct CMUnitTest tests[] = {
	    STORE_TEST(test_chaos),
	    STORE_TEST(test_ttl_of_an_ancestor),
	    STORE_TEST(test_place_of_an_ancestor),
	    STORE_TEST(test_rmdir_against_create),
	};

	return fixture_main(argc, argv, tests, sizeof(tests) / sizeof(*tests));
}
