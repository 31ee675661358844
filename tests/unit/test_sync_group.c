/* SPDX-License-Identifier: Apache-2.0 */
/* One sync for all who wait for one: begun after each asked, and each gets its error. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "store/util/sync_group.h"

enum { THREADS = 8, ROUNDS = 2000 };

/* What is written, and how much of it a sync found when it began. */
struct disk {
	struct sync_group group;
	_Atomic uint64_t written;
	_Atomic uint64_t durable;
	_Atomic uint64_t syncs;
	_Atomic int inside;
	atomic_bool overlapped;
	_Atomic int waiting;
	uint64_t fail_from; /* syncs from this number on fail; 0: none */
	uint64_t fail_to;   /* up to this one; 0: all */
	atomic_bool held;
};

static int sync_disk(void *arg)
{
	struct disk *d = arg;
	uint64_t seen = atomic_load(&d->written), number;
	bool fails;

	if (atomic_fetch_add(&d->inside, 1))
		atomic_store(&d->overlapped, true);
	while (atomic_load(&d->held))
		sched_yield();
	number = atomic_fetch_add(&d->syncs, 1) + 1;
	fails = d->fail_from && number >= d->fail_from &&
		(!d->fail_to || number <= d->fail_to);
	if (!fails)
		atomic_store(&d->durable, seen);
	atomic_fetch_sub(&d->inside, 1);
	return fails ? -EIO : 0;
}

static int setup(void **state)
{
	static struct disk disk;

	disk = (struct disk){.syncs = 0};
	sync_group_init(&disk.group);
	*state = &disk;
	return 0;
}

static int teardown(void **state)
{
	struct disk *d = *state;

	sync_group_deinit(&d->group);
	return atomic_load(&d->overlapped) ? -1 : 0;
}

static void alone_each_has_its_own(void **state)
{
	struct disk *d = *state;

	for (uint64_t i = 1; i <= 3; i++) {
		atomic_fetch_add(&d->written, 1);
		assert_int_equal(sync_group_run(&d->group, sync_disk, d), 0);
		assert_int_equal(d->syncs, i);
		assert_int_equal(d->durable, i);
	}
}

static void a_failure_is_not_made_good(void **state)
{
	struct disk *d = *state;

	d->fail_from = 2;
	assert_int_equal(sync_group_run(&d->group, sync_disk, d), 0);
	assert_int_equal(sync_group_run(&d->group, sync_disk, d), -EIO);
	d->fail_from = 0;
	assert_int_equal(sync_group_run(&d->group, sync_disk, d), 0);
}

static void *write_and_sync(void *arg)
{
	struct disk *d = arg;
	uint64_t mine = atomic_fetch_add(&d->written, 1) + 1;
	int r;

	atomic_fetch_add(&d->waiting, 1);
	r = sync_group_run(&d->group, sync_disk, d);
	if (r == 0 && atomic_load(&d->durable) < mine)
		r = -EUCLEAN;
	return (void *)(intptr_t)r;
}

/* The first sync is held until all others ask: they share the second. */
static void ask_together(struct disk *d, int want_first, int want_others)
{
	pthread_t first, id[THREADS];
	void *r;

	atomic_store(&d->held, true);
	pthread_create(&first, NULL, write_and_sync, d);
	while (!atomic_load(&d->inside))
		sched_yield();
	for (int i = 0; i < THREADS; i++)
		pthread_create(&id[i], NULL, write_and_sync, d);
	while (atomic_load(&d->waiting) < THREADS + 1)
		sched_yield();
	for (int i = 0; i < 1000; i++) /* now they are about to wait */
		sched_yield();
	atomic_store(&d->held, false);
	pthread_join(first, &r);
	assert_int_equal((int)(intptr_t)r, want_first);
	for (int i = 0; i < THREADS; i++) {
		pthread_join(id[i], &r);
		assert_int_equal((int)(intptr_t)r, want_others);
	}
}

static void who_asks_meanwhile_shares_the_next(void **state)
{
	struct disk *d = *state;

	ask_together(d, 0, 0);
	/* One that was late by all those yields has had a sync of its own. */
	assert_in_range(d->syncs, 2, 4);
	assert_int_equal(d->durable, THREADS + 1);
}

static void who_shared_it_shares_its_error(void **state)
{
	struct disk *d = *state;

	d->fail_from = 2;
	ask_together(d, 0, -EIO);
}

/* It may have met what they had written, and the next one would not know of it. */
static void the_one_that_ran_when_they_asked_counts(void **state)
{
	struct disk *d = *state;

	d->fail_from = d->fail_to = 1;
	ask_together(d, -EIO, -EIO);
}

static void *write_many(void *arg)
{
	struct disk *d = arg;
	void *r = NULL;

	for (int i = 0; i < ROUNDS && !r; i++)
		r = write_and_sync(d);
	return r;
}

static void nothing_is_left_out(void **state)
{
	struct disk *d = *state;
	pthread_t id[THREADS];

	for (int i = 0; i < THREADS; i++)
		pthread_create(&id[i], NULL, write_many, d);
	for (int i = 0; i < THREADS; i++) {
		void *r;

		pthread_join(id[i], &r);
		assert_int_equal((int)(intptr_t)r, 0);
	}
	assert_int_equal(d->durable, THREADS * ROUNDS);
	assert_in_range(d->syncs, 1, THREADS * ROUNDS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test_setup_teardown(alone_each_has_its_own, setup, teardown),
	    cmocka_unit_test_setup_teardown(a_failure_is_not_made_good, setup, teardown),
	    cmocka_unit_test_setup_teardown(who_asks_meanwhile_shares_the_next, setup,
					    teardown),
	    cmocka_unit_test_setup_teardown(who_shared_it_shares_its_error, setup,
					    teardown),
	    cmocka_unit_test_setup_teardown(the_one_that_ran_when_they_asked_counts,
					    setup, teardown),
	    cmocka_unit_test_setup_teardown(nothing_is_left_out, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
