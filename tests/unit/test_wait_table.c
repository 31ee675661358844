/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of waiters and its timers, without a kernel and without a store: a
 * world in which a name is computed, or it is not.
 *
 * What nobody answers ends the test by its timeout; nothing here depends on time
 * being short.
 */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/timers.h"
#include "fs/wait_table.h"
#include "store/util/duration.h"

#define assert_ok(call) assert_int_equal((call), 0)
#define MSEC (NSEC_PER_SEC / 1000)

/* ---- the world ---- */

enum { NAMES = 8, ANSWERS_MAX = 64 };

struct world {
	struct wait_table *table;
	atomic_bool computed[NAMES]; /* names are "0", "1", … */
	_Atomic int64_t left_ns;     /* of every reservation */
	_Atomic unsigned int looks, again;
	atomic_uint freed;

	/* The thread's, from look() to answer(). */
	bool seen_computed;

	pthread_mutex_t lock;
	pthread_cond_t changed;
	unsigned int count; /* under lock, as what follows */
	int answers[ANSWERS_MAX];
	enum wait_why whys[ANSWERS_MAX];
};

struct person {
	struct waiter w;
	struct world *world;
	int number;
	atomic_uint *answers; /* of this one; may be NULL */
};

static void look(void *arg, uint64_t branch, const char *name, int64_t *ret_left_ns)
{
	struct world *world = arg;

	world->seen_computed = atomic_load(&world->computed[atoi(name)]);
	*ret_left_ns = atomic_load(&world->left_ns);
	atomic_fetch_add(&world->looks, 1);
}

static void note_answer(struct world *world, const struct person *p, enum wait_why why)
{
	pthread_mutex_lock(&world->lock);
	if (world->count < ANSWERS_MAX) {
		world->answers[world->count] = p->number;
		world->whys[world->count] = why;
	}
	world->count++;
	pthread_cond_broadcast(&world->changed);
	pthread_mutex_unlock(&world->lock);
}

static enum wait_verdict answer(void *arg, struct waiter *w, enum wait_why why)
{
	struct person *p = CONTAINER_OF(w, struct person, w);
	struct world *world = arg;

	if (why == WAIT_LOOK && world->seen_computed)
		return WAIT_ON;
	if (why == WAIT_LOOK && atomic_load(&world->again)) {
		atomic_fetch_sub(&world->again, 1);
		return WAIT_AGAIN;
	}
	if (p->answers)
		atomic_fetch_add(p->answers, 1);
	note_answer(world, p, why);
	return WAIT_ANSWERED;
}

static void free_person(struct waiter *w)
{
	struct person *p = CONTAINER_OF(w, struct person, w);

	atomic_fetch_add(&p->world->freed, 1);
	free(p);
}

static int setup(void **state)
{
	static const struct wait_ops ops = {look, answer, free_person};
	struct world *world = calloc(1, sizeof(*world));

	if (!world)
		return -1;
	pthread_mutex_init(&world->lock, NULL);
	pthread_cond_init(&world->changed, NULL);
	atomic_store(&world->left_ns, DURATION_NONE);
	for (int i = 0; i < NAMES; i++)
		atomic_store(&world->computed[i], true);
	*state = world;
	return wait_table_new(&ops, world, &world->table);
}

static int teardown(void **state)
{
	struct world *world = *state;

	wait_table_free(world->table);
	pthread_cond_destroy(&world->changed);
	pthread_mutex_destroy(&world->lock);
	free(world);
	return 0;
}

static int add(struct world *world, const char *name, int number, int64_t deadline_ns,
	       struct person **ret_p)
{
	struct person *p = calloc(1, sizeof(*p));
	int r;

	assert_non_null(p);
	p->world = world;
	p->number = number;
	p->w.deadline_ns = deadline_ns;
	r = wait_table_add(world->table, &p->w, 7, name);
	if (r)
		free(p);
	else
		*ret_p = p;
	return r;
}

/* The id, since it may be gone when this returns. */
static uint64_t begin(struct world *world, const char *name, int number,
		      int64_t deadline_ns)
{
	struct person *p = NULL;
	uint64_t id;

	assert_ok(add(world, name, number, deadline_ns, &p));
	id = p->w.id;
	wait_table_ready(world->table, &p->w);
	return id;
}

static void await(struct world *world, unsigned int count)
{
	pthread_mutex_lock(&world->lock);
	while (world->count < count)
		pthread_cond_wait(&world->changed, &world->lock);
	pthread_mutex_unlock(&world->lock);
}

/* Until the thread has looked this often in all: it may have done so already. */
static void await_looks(struct world *world, unsigned int looks)
{
	while (atomic_load(&world->looks) < looks)
		sched_yield();
}

static void settle(struct world *world, const char *name)
{
	atomic_store(&world->computed[atoi(name)], false);
	wait_table_settled(world->table, 7, name);
}

/* ---- timers ---- */

static void check_order(struct timers *t, size_t count)
{
	int64_t last = INT64_MIN;

	assert_int_equal(t->count, count);
	for (struct timer *first = timers_first(t); first; first = timers_first(t)) {
		assert_true(first->at_ns >= last);
		last = first->at_ns;
		timers_clear(t, first);
		assert_int_equal(first->place, 0);
		count--;
	}
	assert_int_equal(count, 0);
}

static void test_timers_come_in_order(void **state)
{
	struct timer items[500] = {0};
	struct timers t = {0};
	uint64_t seed = 42;
	size_t set = 0;

	assert_ok(timers_reserve(&t, 500));
	for (int round = 0; round < 5000; round++) {
		struct timer *item = &items[hash_u64(seed++) % 500];

		set += !item->place;
		timers_set(&t, item, (int64_t)(hash_u64(seed++) % 1000));
		if (hash_u64(seed++) % 3)
			continue;
		item = &items[hash_u64(seed++) % 500];
		set -= item->place != 0;
		timers_clear(&t, item);
	}
	assert_true(set > 100);
	check_order(&t, set);
	timers_deinit(&t);
}

/* ---- one after the other ---- */

static void test_all_of_a_name_are_answered_in_order(void **state)
{
	struct world *world = *state;

	/* Some have been looked at before the others come. */
	for (int i = 0; i < 5; i++)
		begin(world, "1", i, DURATION_NONE);
	await_looks(world, 1);
	for (int i = 5; i < 10; i++)
		begin(world, "1", i, DURATION_NONE);
	begin(world, "2", 100, DURATION_NONE);
	settle(world, "1");
	await(world, 10);
	for (int i = 0; i < 10; i++)
		assert_int_equal(world->answers[i], i);
	while (wait_table_count(world->table) != 1)
		sched_yield();
	settle(world, "2");
	await(world, 11);
	assert_int_equal(world->answers[10], 100);
}

static void test_what_is_settled_is_answered_at_once(void **state)
{
	struct world *world = *state;

	atomic_store(&world->computed[3], false);
	begin(world, "3", 5, DURATION_NONE);
	await(world, 1);
	assert_int_equal(world->whys[0], WAIT_LOOK);
}

static void test_an_event_before_it_is_ready_is_not_lost(void **state)
{
	struct world *world = *state;
	struct person *p = NULL;

	assert_ok(add(world, "1", 1, DURATION_NONE, &p));
	settle(world, "1");
	for (int i = 0; i < 1000; i++)
		sched_yield();
	assert_int_equal(world->count, 0); /* it may not be answered yet */
	wait_table_ready(world->table, &p->w);
	await(world, 1);
}

static void test_an_interrupt_ends_one(void **state)
{
	struct world *world = *state;
	uint64_t id;

	begin(world, "1", 1, DURATION_NONE);
	id = begin(world, "1", 2, DURATION_NONE);
	begin(world, "1", 3, DURATION_NONE);
	wait_table_interrupt(world->table, id);
	await(world, 1);
	assert_int_equal(world->answers[0], 2);
	assert_int_equal(world->whys[0], WAIT_INTERRUPTED);
	wait_table_interrupt(world->table, id); /* it is gone */
	settle(world, "1");
	await(world, 3);
	assert_int_equal(world->answers[1], 1);
	assert_int_equal(world->answers[2], 3);
}

static void test_an_interrupt_before_it_is_ready(void **state)
{
	struct world *world = *state;
	struct person *p = NULL;

	assert_ok(add(world, "1", 1, DURATION_NONE, &p));
	wait_table_interrupt(world->table, p->w.id);
	wait_table_ready(world->table, &p->w);
	await(world, 1);
	assert_int_equal(world->whys[0], WAIT_INTERRUPTED);
}

static void test_deadlines_end_their_own(void **state)
{
	struct world *world = *state;
	int64_t now_ns = time_monotonic_ns();

	begin(world, "1", 1, now_ns + 40 * MSEC);
	begin(world, "1", 2, DURATION_NONE);
	begin(world, "2", 3, now_ns + 20 * MSEC);
	begin(world, "3", 4, now_ns - 1); /* over when it comes */
	await(world, 3);
	for (int i = 0; i < 3; i++)
		assert_int_equal(world->whys[i], WAIT_TIME_IS_UP);
	assert_true(time_monotonic_ns() >= now_ns + 40 * MSEC);
	while (wait_table_count(world->table) != 1)
		sched_yield();
	settle(world, "1");
	await(world, 4);
	assert_int_equal(world->answers[3], 2);
}

/* Nobody tells that a lease has run out. */
static void test_the_end_of_a_lease_is_looked_for(void **state)
{
	struct world *world = *state;

	atomic_store(&world->left_ns, 20 * MSEC);
	begin(world, "1", 1, DURATION_NONE);
	await_looks(world, 3); /* when it came, and twice since: it was extended */
	atomic_store(&world->computed[1], false);
	await(world, 1);
	assert_int_equal(world->whys[0], WAIT_LOOK);
}

static void test_what_has_changed_is_looked_at_anew(void **state)
{
	struct world *world = *state;

	atomic_store(&world->again, 3);
	atomic_store(&world->computed[1], false);
	begin(world, "1", 1, DURATION_NONE);
	await(world, 1);
	assert_true(atomic_load(&world->looks) >= 4);
}

/* ---- the end ---- */

static void test_stop_answers_everybody(void **state)
{
	struct world *world = *state;
	struct person *p = NULL;

	for (int i = 0; i < 20; i++)
		begin(world, i % 2 ? "1" : "2", i, DURATION_NONE);
	wait_table_stop(world->table);
	assert_int_equal(world->count, 20);
	for (int i = 0; i < 20; i++)
		assert_int_equal(world->whys[i], WAIT_STOPPED);
	assert_int_equal(atomic_load(&world->freed), 20);
	assert_int_equal(add(world, "1", 1, DURATION_NONE, &p), -ENOTCONN);
	wait_table_settled(world->table, 7, "1");
}

static void *stop(void *arg)
{
	struct world *world = arg;

	wait_table_stop(world->table);
	return NULL;
}

static void test_stop_waits_for_who_is_not_ready(void **state)
{
	struct world *world = *state;
	struct person *p = NULL, *other = NULL;
	pthread_t thread;

	assert_ok(add(world, "1", 1, DURATION_NONE, &p));
	assert_ok(pthread_create(&thread, NULL, stop, world));
	while (add(world, "2", 2, DURATION_NONE, &other) == 0)
		wait_table_ready(world->table, &other->w);
	wait_table_ready(world->table, &p->w);
	pthread_join(thread, NULL);
	assert_int_equal(wait_table_count(world->table), 0);
}

static void test_there_is_a_limit(void **state)
{
	struct world *world = *state;
	struct person *p = NULL;
	char name[16];

	for (int i = 0; i < WAITERS_MAX; i++) {
		snprintf(name, sizeof(name), "%d", i % NAMES);
		begin(world, name, i, DURATION_NONE);
	}
	assert_int_equal(wait_table_count(world->table), WAITERS_MAX);
	assert_int_equal(add(world, "1", 0, DURATION_NONE, &p), -EAGAIN);
	for (int i = 0; i < NAMES; i++) {
		snprintf(name, sizeof(name), "%d", i);
		settle(world, name);
	}
	await(world, WAITERS_MAX);
	while (atomic_load(&world->freed) < WAITERS_MAX)
		sched_yield();
	assert_int_equal(wait_table_count(world->table), 0);
}

/* ---- all at once ---- */

enum { CROWD = 4, ROUNDS = 3000 };

struct crowd {
	struct world *world;
	atomic_uint *answers; /* CROWD * ROUNDS */
	_Atomic unsigned int next;
	atomic_bool end;
};

/* Comes, and is sometimes interrupted at once. */
static void *come(void *arg)
{
	struct crowd *c = arg;
	unsigned int i;

	while ((i = atomic_fetch_add(&c->next, 1)) < CROWD * ROUNDS) {
		int64_t deadline_ns =
		    i % 5 ? DURATION_NONE : time_monotonic_ns() + i % 7 * MSEC;
		char name[16];
		struct person *p = NULL;
		uint64_t id;

		snprintf(name, sizeof(name), "%u", i % NAMES);
		assert_ok(add(c->world, name, (int)i, deadline_ns, &p));
		p->answers = &c->answers[i];
		id = p->w.id;
		wait_table_ready(c->world->table, &p->w);
		if (i % 3 == 0)
			wait_table_interrupt(c->world->table, id);
	}
	return NULL;
}

/* Names are computed and settled in turn, until it is told to settle all. */
static void *compute(void *arg)
{
	struct crowd *c = arg;
	char name[16];

	for (unsigned int i = 0; !atomic_load(&c->end); i++) {
		snprintf(name, sizeof(name), "%u", i % NAMES);
		settle(c->world, name);
		sched_yield();
		atomic_store(&c->world->computed[i % NAMES], true);
	}
	for (unsigned int i = 0; i < NAMES; i++) {
		snprintf(name, sizeof(name), "%u", i);
		settle(c->world, name);
	}
	return NULL;
}

static void test_everybody_is_answered_once(void **state)
{
	struct crowd c = {.world = *state};
	pthread_t threads[CROWD], computer;

	c.answers = calloc(CROWD * ROUNDS, sizeof(*c.answers));
	assert_non_null(c.answers);
	assert_ok(pthread_create(&computer, NULL, compute, &c));
	for (int i = 0; i < CROWD; i++)
		assert_ok(pthread_create(&threads[i], NULL, come, &c));
	for (int i = 0; i < CROWD; i++)
		pthread_join(threads[i], NULL);
	atomic_store(&c.end, true);
	pthread_join(computer, NULL);
	await(c.world, CROWD * ROUNDS);
	wait_table_stop(c.world->table);
	assert_int_equal(c.world->count, CROWD * ROUNDS);
	for (int i = 0; i < CROWD * ROUNDS; i++)
		assert_int_equal(atomic_load(&c.answers[i]), 1);
	assert_int_equal(atomic_load(&c.world->freed), CROWD * ROUNDS);
	free(c.answers);
}

#define WAIT_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_timers_come_in_order),
	    WAIT_TEST(test_all_of_a_name_are_answered_in_order),
	    WAIT_TEST(test_what_is_settled_is_answered_at_once),
	    WAIT_TEST(test_an_event_before_it_is_ready_is_not_lost),
	    WAIT_TEST(test_an_interrupt_ends_one),
	    WAIT_TEST(test_an_interrupt_before_it_is_ready),
	    WAIT_TEST(test_deadlines_end_their_own),
	    WAIT_TEST(test_the_end_of_a_lease_is_looked_for),
	    WAIT_TEST(test_what_has_changed_is_looked_at_anew),
	    WAIT_TEST(test_stop_answers_everybody),
	    WAIT_TEST(test_stop_waits_for_who_is_not_ready),
	    WAIT_TEST(test_there_is_a_limit),
	    WAIT_TEST(test_everybody_is_answered_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
