/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Threads against each other for a few names, while time runs out under them.
 * cmocka's asserts are for its own thread only, so the threads count what must not
 * happen, and the test asserts on that.
 *
 * Environment: MEMOFS_PERCENT of the rounds.
 */
#include "tests/conformance/lease_fixture.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/conformance/store_check.h"

#define NAMES 3
#define WORKERS 5
#define ROUNDS 6000

struct race {
	struct store *st;
	struct machine *m;
	uint64_t dir;
	/* Who is between begin and end of a publish, or of a descriptor; 0: nobody. */
	_Atomic unsigned int inside[NAMES];
	_Atomic uint64_t published[NAMES]; /* the token of the last publish */
	_Atomic unsigned int begun, refused;
	_Atomic unsigned int wrong;
	_Atomic unsigned int seed;
	atomic_bool stop;
	unsigned int rounds;
};

#define WRONG(race, ...)                                                                 \
	do {                                                                             \
		if (atomic_fetch_add(&(race)->wrong, 1) == 0)                            \
			print_error(__VA_ARGS__);                                        \
	} while (0)

static const char *const names[NAMES] = {"a", "b", "c"};

static void enter(struct race *race, unsigned int n, unsigned int self)
{
	unsigned int nobody = 0;

	if (!atomic_compare_exchange_strong(&race->inside[n], &nobody, self))
		WRONG(race, "%u and %u both have %s\n", nobody, self, names[n]);
}

static void leave(struct race *race, unsigned int n)
{
	atomic_store(&race->inside[n], 0);
}

static void expect(struct race *race, int r, int other, const char *what)
{
	if (r && r != other)
		WRONG(race, "%s: %d\n", what, r);
}

static void put_value(struct race *race, unsigned int n, uint64_t token)
{
	struct store_stage_args args = {.branch = race->dir, .mode = 0644};
	struct store_staged *sg = NULL;

	expect(race, store_stage(race->st, &args, &sg), 0, "stage");
	expect(race, store_staged_write(sg, &token, sizeof(token), 0), 0, "write");
	expect(race, store_publish(sg, race->dir, names[n], false, NULL, NULL), 0,
	       "publish");
	store_staged_free(sg);
	if (atomic_exchange(&race->published[n], token) > token)
		WRONG(race, "%s: an older token was published\n", names[n]);
}

/* A holder that may be too late, as it does not know. */
static void publish(struct race *race, unsigned int n, unsigned int self,
		    const char *owner, unsigned int *seed)
{
	struct store_lease lease;
	uint64_t token;

	if (store_lease_acquire(race->st, race->dir, names[n], owner, 40, &lease))
		return;
	for (unsigned int i = (unsigned int)rand_r(seed) % 4; i; i--)
		sched_yield();
	if (store_lease_begin_publish(race->st, race->dir, names[n], owner, lease.token,
				      &token)) {
		atomic_fetch_add(&race->refused, 1);
		return;
	}
	atomic_fetch_add(&race->begun, 1);
	enter(race, n, self);
	put_value(race, n, token);
	leave(race, n);
	store_lease_end_publish(race->st, race->dir, names[n], token, rand_r(seed) % 2);
}

static void hold(struct race *race, unsigned int n, unsigned int self)
{
	uint64_t token;

	expect(race, ino_alloc(race->st, &token), 0, "a number");
	if (store_lease_hold(race->st, race->dir, names[n], "pid=1", token))
		return;
	enter(race, n, self);
	sched_yield();
	leave(race, n);
	store_lease_drop(race->st, race->dir, names[n], token);
}

static int see(void *arg, const char *name, const struct store_lease *lease)
{
	struct race *race = arg;

	if (!lease->token || lease->left_ns < 0)
		WRONG(race, "%s: half a lease\n", name);
	return 0;
}

static void look(struct race *race, unsigned int n)
{
	struct store_lease lease;

	expect(race, store_lease_get(race->st, race->dir, names[n], &lease), -ENOENT,
	       "get");
	expect(race, store_lease_list(race->st, race->dir, see, race), 0, "list");
	if (store_lease_count(race->st) > NAMES + WORKERS)
		WRONG(race, "more than there can be\n");
}

/* A directory that goes, with a lease in it or just before one. */
static void come_and_go(struct race *race, const char *owner)
{
	struct store_attr attr;
	int r;

	if (store_mkdir(race->st, ROOT, owner, 0755, 0, 0, &attr))
		return;
	r = store_lease_acquire(race->st, attr.ino, "k", owner, HOUR, NULL);
	expect(race, r, 0, "acquire in a new directory");
	expect(race, store_lease_release(race->st, attr.ino, "k", owner), 0, "release");
	expect(race, store_rmdir(race->st, ROOT, owner), 0, "rmdir");
}

static void *worker(void *arg)
{
	struct race *race = arg;
	unsigned int self = atomic_fetch_add(&race->seed, 1), seed = self;
	char owner[16];

	snprintf(owner, sizeof(owner), "w%u", self);
	for (unsigned int i = 0; i < race->rounds; i++) {
		unsigned int n = (unsigned int)rand_r(&seed) % NAMES;

		switch (rand_r(&seed) % 8) {
		case 0:
			store_lease_extend(race->st, race->dir, names[n], owner, 60,
					   NULL);
			break;
		case 1:
			store_lease_release(race->st, race->dir, names[n], owner);
			break;
		case 2:
			hold(race, n, self);
			break;
		case 3:
			look(race, n);
			break;
		case 4:
			come_and_go(race, owner);
			break;
		default:
			publish(race, n, self, owner, &seed);
		}
	}
	return NULL;
}

/* A lease of 40 ns lasts for some moments of this. */
static void *time_passes(void *arg)
{
	struct race *race = arg;

	while (!atomic_load(&race->stop)) {
		machine_pass(race->m, 1);
		sched_yield();
	}
	return NULL;
}

static void *settles(void *arg)
{
	struct race *race = arg;

	while (!atomic_load(&race->stop)) {
		expect(race, store_settle(race->st), 0, "settle");
		sched_yield();
	}
	return NULL;
}

static void run(struct race *race)
{
	pthread_t workers[WORKERS], clock, settler;

	assert_ok(pthread_create(&clock, NULL, time_passes, race));
	assert_ok(pthread_create(&settler, NULL, settles, race));
	for (int i = 0; i < WORKERS; i++)
		assert_ok(pthread_create(&workers[i], NULL, worker, race));
	for (int i = 0; i < WORKERS; i++)
		pthread_join(workers[i], NULL);
	atomic_store(&race->stop, true);
	pthread_join(clock, NULL);
	pthread_join(settler, NULL);
}

static void test_race(void **state)
{
	struct fixture *fx = *state;
	const char *percent = getenv("MEMOFS_PERCENT");
	struct race race = {.st = fx->st, .m = machine_of(fx), .seed = 1};

	race.dir = make_dir(fx->st, ROOT, "d");
	race.rounds = ROUNDS / 100 * (unsigned int)(percent ? atoi(percent) : 100);
	run(&race);
	print_message("%u published, %u too late\n", race.begun, race.refused);
	assert_int_equal(race.wrong, 0);
	assert_true(race.begun > 0);
	/* What is left ends, and leaves nothing behind. */
	machine_pass(race.m, 2 * HOUR);
	check_settled(fx->st);
	assert_int_equal(store_lease_count(fx->st), 0);
	assert_int_equal(count_rows(fx->st, TABLE_LEASE), 0);
}

/* Directories are removed while others reserve in them: no lease stays. */
struct removal {
	struct race *race;
	_Atomic uint64_t dir;
};

static void *reserves(void *arg)
{
	struct removal *removal = arg;
	struct race *race = removal->race;

	while (!atomic_load(&race->stop)) {
		int r = store_lease_acquire(race->st, atomic_load(&removal->dir), "k",
					    "me", HOUR, NULL);

		expect(race, r, -ENOENT, "acquire");
	}
	return NULL;
}

static void test_removal(void **state)
{
	struct fixture *fx = *state;
	struct race race = {.st = fx->st, .m = machine_of(fx)};
	struct removal removal = {.race = &race};
	pthread_t reserver, settler;

	assert_ok(pthread_create(&reserver, NULL, reserves, &removal));
	assert_ok(pthread_create(&settler, NULL, settles, &race));
	for (unsigned int i = 0; i < 300; i++) {
		uint64_t dir = make_dir(fx->st, ROOT, "d");

		atomic_store(&removal.dir, dir);
		while (!store_lease_count(fx->st))
			sched_yield();
		assert_ok(store_rmdir(fx->st, ROOT, "d"));
		/* None may be left over from before the next is made. */
		atomic_store(&removal.dir, 0);
		while (store_lease_count(fx->st))
			sched_yield();
	}
	atomic_store(&race.stop, true);
	pthread_join(reserver, NULL);
	pthread_join(settler, NULL);
	assert_int_equal(race.wrong, 0);
	check_settled(fx->st);
	assert_int_equal(count_rows(fx->st, TABLE_LEASE), 0);
}

int main(int argc, char **argv)
{
	struct CMUnitTest tests[] = {LEASE_TEST(test_race), LEASE_TEST(test_removal)};

	return fixture_main(argc, argv, tests, sizeof(tests) / sizeof(*tests));
}
