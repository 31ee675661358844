/* SPDX-License-Identifier: Apache-2.0 */
/* Walks over a whole table: each link once, also when it is removed meanwhile. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "store/util/htab.h"

enum { THINGS = 1000 };

struct thing {
	struct hlink link;
	unsigned int number;
};

/* Some have their chain with others, and some their hash. */
static uint64_t hash_of(unsigned int number)
{
	if (number % 5 == 0)
		return 7;
	return number % 3 ? hash_u64(number) : (uint64_t)number << 32;
}

static void add(struct htab *t, unsigned int number)
{
	struct thing *thing = malloc(sizeof(*thing));

	assert_non_null(thing);
	thing->number = number;
	assert_int_equal(htab_add(t, &thing->link, hash_of(number)), 0);
}

/* Whoever looks at it afterwards does not get far. */
static void spoil(struct thing *thing)
{
	memset(thing, 0xa5, sizeof(*thing));
	free(thing);
}

static bool has(const struct htab *t, unsigned int number)
{
	struct hlink *l = htab_first(t, hash_of(number));

	while (l && CONTAINER_OF(l, struct thing, link)->number != number)
		l = htab_next(l);
	return l;
}

static int setup(void **state)
{
	static struct htab t;

	t = HTAB_INIT;
	*state = &t;
	return 0;
}

static int teardown(void **state)
{
	struct htab *t = *state;

	for (struct hwalk w = htab_walk(t); w.link; hwalk_next(&w))
		spoil(CONTAINER_OF(w.link, struct thing, link));
	htab_deinit(t);
	return 0;
}

static void over_an_empty_table(void **state)
{
	struct htab *t = *state;

	assert_null(htab_walk(t).link);
	assert_int_equal(htab_reserve(t), 0);
	assert_null(htab_walk(t).link);
	add(t, 1);
	for (struct hwalk w = htab_walk(t); w.link; hwalk_next(&w)) {
		htab_remove(t, w.link);
		spoil(CONTAINER_OF(w.link, struct thing, link));
	}
	assert_null(htab_walk(t).link);
}

/* Is each of them there that is a multiple of `step`, or is none, once? */
static void assert_walked(const struct htab *t, unsigned int count, unsigned int step,
			  bool multiples)
{
	unsigned int seen[THINGS] = {0};

	for (struct hwalk w = htab_walk(t); w.link; hwalk_next(&w))
		seen[CONTAINER_OF(w.link, struct thing, link)->number]++;
	for (unsigned int i = 0; i < count; i++) {
		assert_int_equal(seen[i], (i % step == 0) == multiples);
		assert_int_equal(has(t, i), seen[i]);
	}
}

/* From less than its first buckets on to after several times that it grew */
static void sees_each_once(void **state)
{
	struct htab *t = *state;

	for (unsigned int i = 0; i < THINGS; i++) {
		add(t, i);
		if (i % 50 == 0 || i == THINGS - 1)
			assert_walked(t, i + 1, 1, true);
	}
}

static void removes_on_its_way(void **state)
{
	struct htab *t = *state;
	unsigned int passed = 0;

	for (unsigned int i = 0; i < THINGS; i++)
		add(t, i);
	for (struct hwalk w = htab_walk(t); w.link; hwalk_next(&w)) {
		struct thing *thing = CONTAINER_OF(w.link, struct thing, link);

		passed++;
		if (thing->number % 2)
			continue;
		htab_remove(t, w.link);
		spoil(thing);
	}
	assert_int_equal(passed, THINGS);
	assert_int_equal(t->count, THINGS / 2);
	assert_walked(t, THINGS, 2, false);
	for (struct hwalk w = htab_walk(t); w.link; hwalk_next(&w)) {
		htab_remove(t, w.link);
		spoil(CONTAINER_OF(w.link, struct thing, link));
	}
	assert_int_equal(t->count, 0);
	assert_null(htab_walk(t).link);
	add(t, 3); /* and it is as good as new */
	assert_true(has(t, 3));
}

static void walk_while_it_grows(struct htab *t)
{
	const struct rlimit none = {0, 0};
	struct hwalk w = htab_walk(t);
	size_t was = t->bucket_count;

	setrlimit(RLIMIT_CORE, &none);
	close(STDERR_FILENO);
	for (unsigned int i = 1; t->bucket_count == was; i++)
		add(t, i);
	hwalk_next(&w);
}

/* It would miss some, and come to others twice. */
static void aborts_when_the_table_grows(void **state)
{
	struct htab *t = *state;
	int status;
	pid_t pid;

	add(t, 0);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		signal(SIGABRT, SIG_DFL); /* not cmocka's */
		walk_while_it_grows(t);
		_exit(0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(over_an_empty_table),
	    TEST(sees_each_once),
	    TEST(removes_on_its_way),
	    TEST(aborts_when_the_table_grows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
