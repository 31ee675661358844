/* SPDX-License-Identifier: Apache-2.0 */
/* What one user may have: counted, refused, given back, by many threads at once. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

#include "fs/user_limits.h"
#include "store/util/log.h"

#define assert_ok(call) assert_int_equal((call), 0)

/* Two who are neither root nor the user who runs this. */
#define ANNA ((uid_t)4001)
#define BERT ((uid_t)4002)

static struct limits *new_limits(enum limit_kind kind, uint64_t max)
{
	struct limits *l;

	assert_ok(limits_new(&l));
	limits_set(l, kind, max);
	limits_set_waiting_max(l, 2);
	return l;
}

static void test_each_has_his_own(void **state)
{
	struct limits *l = new_limits(LIMIT_HANDLES, 2);
	struct limit_hold anna[2] = {0}, bert = {0}, more = {0};

	assert_ok(limits_take(l, LIMIT_HANDLES, ANNA, 1, &anna[0]));
	assert_ok(limits_take(l, LIMIT_HANDLES, ANNA, 1, &anna[1]));
	assert_int_equal(limits_take(l, LIMIT_HANDLES, ANNA, 1, &more), -EMFILE);
	assert_null(more.user);
	assert_ok(limits_take(l, LIMIT_VALUES, ANNA, 1, &more)); /* another kind */
	assert_ok(limits_take(l, LIMIT_HANDLES, BERT, 1, &bert));
	limit_give(&anna[0]);
	limit_give(&anna[0]); /* holds nothing any more */
	limit_move(&anna[0], &anna[1]);
	limit_give(&anna[1]);
	assert_ok(limits_take(l, LIMIT_HANDLES, ANNA, 1, &anna[1]));
	assert_int_equal(limits_take(l, LIMIT_HANDLES, ANNA, 1, &bert), -EMFILE);
	limits_free(l);
}

static void *close_later(void *arg)
{
	const struct timespec pause = {.tv_nsec = 30 * 1000 * 1000};
	struct limit_hold *hold = arg;
	struct limits_user *user = hold->user;

	nanosleep(&pause, NULL);
	limit_give(hold);
	limit_closed(user);
	return NULL;
}

static void test_what_is_being_closed_is_waited_for(void **state)
{
	struct limits *l = new_limits(LIMIT_HANDLES, 2);
	struct limit_hold open = {0}, closing = {0}, next = {0}, more = {0};
	pthread_t thread;

	assert_ok(limits_take(l, LIMIT_HANDLES, ANNA, 1, &open));
	assert_ok(limits_take(l, LIMIT_HANDLES, ANNA, 1, &closing));
	limit_closing(&closing);
	assert_ok(pthread_create(&thread, NULL, close_later, &closing));
	assert_ok(limits_take(l, LIMIT_HANDLES, ANNA, 1, &next));
	assert_int_equal(limits_take(l, LIMIT_HANDLES, ANNA, 1, &more), -EMFILE);
	pthread_join(thread, NULL);
	/* One that does not come to an end is not waited for for ever. */
	limit_closing(&open);
	assert_int_equal(limits_take(l, LIMIT_HANDLES, ANNA, 1, &more), -EMFILE);
	limit_closed(NULL); /* of who holds nothing */
	limits_free(l);
}

static void test_errors_and_shares(void **state)
{
	static const int errors[LIMIT_KINDS] = {
	    [LIMIT_HANDLES] = EMFILE, [LIMIT_VALUES] = EMFILE,
	    [LIMIT_BYTES] = EDQUOT,   [LIMIT_RESERVATIONS] = EDQUOT,
	    [LIMIT_WAITERS] = EAGAIN,
	};
	struct limit_hold hold = {0};
	struct limits *l;

	assert_ok(limits_new(&l));
	for (int i = 0; i < LIMIT_KINDS; i++) {
		assert_true(limits_max(l, (enum limit_kind)i, ANNA) == LIMIT_NONE);
		limits_set(l, (enum limit_kind)i, 3);
		assert_int_equal(limits_take(l, (enum limit_kind)i, ANNA, 4, &hold),
				 -errors[i]);
		assert_int_equal(limits_refuse(l, (enum limit_kind)i, BERT), -errors[i]);
		assert_int_equal(limits_max(l, (enum limit_kind)i, 0), 3 * LIMIT_SHARE);
	}
	assert_int_equal(limits_max(l, LIMIT_BYTES, geteuid()), 3 * LIMIT_SHARE);
	limits_set(l, LIMIT_BYTES, LIMIT_NONE - 1);
	assert_true(limits_max(l, LIMIT_BYTES, 0) == LIMIT_NONE);
	assert_ok(limits_take(NULL, LIMIT_BYTES, ANNA, UINT64_MAX, &hold));
	assert_null(hold.user);
	limits_free(l);
}

static void test_growing(void **state)
{
	struct limits *l = new_limits(LIMIT_BYTES, 100);
	struct limit_hold a = {0}, b = {0}, none = {0};

	assert_ok(limits_take(l, LIMIT_BYTES, ANNA, 0, &a));
	assert_ok(limits_take(l, LIMIT_BYTES, ANNA, 0, &b));
	assert_ok(limit_grow(&a, 60));
	assert_ok(limit_grow(&a, 10)); /* it has more */
	assert_int_equal(limit_grow(&b, 41), -EDQUOT);
	assert_ok(limit_grow(&b, 40));
	assert_int_equal(limit_grow(&a, 61), -EDQUOT);
	limit_give(&b);
	assert_ok(limit_grow(&a, 100));
	assert_ok(limit_grow(&none, UINT64_MAX));
	limits_free(l);
}

static void test_showing(void **state)
{
	CLEANUP_BUF struct buf text = BUF_INIT;
	struct limits *l = new_limits(LIMIT_WAITERS, 1);
	struct limit_hold hold = {0}, more = {0};

	assert_ok(limits_text(l, &text));
	assert_int_equal(text.len, 0);
	assert_ok(limits_take(l, LIMIT_WAITERS, ANNA, 1, &hold));
	assert_int_equal(limits_take(l, LIMIT_WAITERS, ANNA, 1, &more), -EAGAIN);
	assert_ok(limits_text(l, &text));
	assert_ok(buf_append(&text, "", 1));
	assert_string_equal(
	    (const char *)text.data,
	    "uid=4001 handles=0 handles_refused=0 values=0 values_refused=0 bytes=0 "
	    "bytes_refused=0 reservations_refused=0 waiters=1 waiters_refused=1\n");
	limits_free(l);
}

enum { THREADS = 4, ROUNDS = 20000, MAX = 3 };

struct crowd {
	struct limits *l;
	struct limit_hold shared;
	_Atomic unsigned int inside, most;
};

static void *come_and_go(void *arg)
{
	struct crowd *c = arg;

	for (int i = 0; i < ROUNDS; i++) {
		struct limit_hold hold = {0};
		unsigned int inside;

		(void)limit_grow(&c->shared, (uint64_t)i);
		if (limits_take(c->l, LIMIT_VALUES, ANNA, 1, &hold))
			continue;
		inside = atomic_fetch_add(&c->inside, 1) + 1;
		if (inside > atomic_load(&c->most))
			atomic_store(&c->most, inside);
		atomic_fetch_sub(&c->inside, 1);
		limit_give(&hold);
	}
	return NULL;
}

/* Never more than there may be, and in the end nothing is held. */
static void test_threads(void **state)
{
	struct crowd c = {.l = new_limits(LIMIT_VALUES, MAX)};
	struct limit_hold all = {0};
	pthread_t threads[THREADS];

	limits_set(c.l, LIMIT_BYTES, ROUNDS);
	assert_ok(limits_take(c.l, LIMIT_BYTES, ANNA, 0, &c.shared));
	for (int i = 0; i < THREADS; i++)
		assert_ok(pthread_create(&threads[i], NULL, come_and_go, &c));
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_true(atomic_load(&c.most) >= 1 && atomic_load(&c.most) <= MAX);
	assert_ok(limits_take(c.l, LIMIT_VALUES, ANNA, MAX, &all));
	limit_give(&c.shared);
	assert_ok(limits_take(c.l, LIMIT_BYTES, ANNA, ROUNDS, &c.shared));
	limits_free(c.l);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_each_has_his_own),
	    cmocka_unit_test(test_what_is_being_closed_is_waited_for),
	    cmocka_unit_test(test_errors_and_shares),
	    cmocka_unit_test(test_growing),
	    cmocka_unit_test(test_showing),
	    cmocka_unit_test(test_threads),
	};

	log_set_level(LOG_LEVEL_ERROR);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
