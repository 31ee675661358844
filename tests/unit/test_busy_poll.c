/* SPDX-License-Identifier: Apache-2.0 */
/* For how long the next request is looked for before sleeping. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <unistd.h>

#include "fs/busy_poll.h"

enum { MANY = 1000000 };
static const int64_t SOON_NS = BUSY_POLL_MAX_NS / 2, LATE_NS = BUSY_POLL_MAX_NS * 10;

struct fixture {
	struct busy_poll poll;
	int fds[2];
};

static int set_up(void **state)
{
	static struct fixture f;

	busy_poll_set_cpus(2);
	busy_poll_init(&f.poll, true);
	if (pipe(f.fds))
		return -1;
	*state = &f;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *f = *state;

	close(f->fds[0]);
	close(f->fds[1]);
	return 0;
}

static void make_readable(struct fixture *f)
{
	assert_int_equal(write(f->fds[1], "x", 1), 1);
}

static enum busy_poll_result look(struct fixture *f)
{
	return busy_poll_look(&f->poll, f->fds[0]);
}

/* What has come soon has it look. */
static void make_it_look(struct fixture *f)
{
	busy_poll_came(&f->poll, BUSY_POLL_OFF, SOON_NS);
}

/* How many requests pass until it looks again, of what is there at once. */
static unsigned int requests_without(struct fixture *f)
{
	unsigned int n = 0;

	while (look(f) == BUSY_POLL_OFF && n < MANY)
		n++;
	return n;
}

static void test_it_looks_once_requests_come_soon(void **state)
{
	struct fixture *f = *state;

	make_readable(f);
	assert_int_equal(look(f), BUSY_POLL_OFF);
	busy_poll_came(&f->poll, BUSY_POLL_OFF, LATE_NS);
	assert_int_equal(look(f), BUSY_POLL_OFF);
	busy_poll_came(&f->poll, BUSY_POLL_OFF, SOON_NS);
	assert_int_equal(look(f), BUSY_POLL_FOUND);
	busy_poll_came(&f->poll, BUSY_POLL_FOUND, SOON_NS);
	assert_int_equal(look(f), BUSY_POLL_FOUND);
}

static void test_what_does_not_come_is_not_found(void **state)
{
	struct fixture *f = *state;
	enum busy_poll_result r;

	make_it_look(f);
	r = look(f);
	/* The other one on a machine with much else to do. */
	assert_true(r == BUSY_POLL_MISSED || r == BUSY_POLL_YIELDED);
}

static void test_in_vain_it_looks_for_less_and_then_not_at_all(void **state)
{
	struct fixture *f = *state;
	int64_t window_ns = BUSY_POLL_MAX_NS;
	int times = 0;

	make_it_look(f);
	assert_int_equal(f->poll.window_ns, window_ns);
	while (f->poll.window_ns) {
		busy_poll_came(&f->poll, BUSY_POLL_MISSED, LATE_NS);
		assert_true(f->poll.window_ns < window_ns);
		window_ns = f->poll.window_ns;
		assert_true(++times < 10);
	}
	make_readable(f);
	assert_int_equal(look(f), BUSY_POLL_OFF);
	busy_poll_came(&f->poll, BUSY_POLL_OFF, LATE_NS);
	assert_int_equal(look(f), BUSY_POLL_OFF);
}

static void test_who_takes_the_processor_is_left_alone_for_longer_and_longer(void **state)
{
	struct fixture *f = *state;
	unsigned int first, second, later = 0;

	make_readable(f);
	make_it_look(f);
	busy_poll_came(&f->poll, BUSY_POLL_YIELDED, SOON_NS);
	first = requests_without(f);
	busy_poll_came(&f->poll, BUSY_POLL_YIELDED, SOON_NS);
	second = requests_without(f);
	assert_true(first > 0);
	assert_true(second > first);
	for (int i = 0; i < 100; i++) {
		busy_poll_came(&f->poll, BUSY_POLL_YIELDED, SOON_NS);
		later = requests_without(f);
	}
	assert_true(later > 100 * first);
	assert_true(later < MANY); /* but not for ever */

	/* Found again and again, it is as it was. */
	for (int i = 0; i < 1000; i++)
		busy_poll_came(&f->poll, BUSY_POLL_FOUND, SOON_NS);
	busy_poll_came(&f->poll, BUSY_POLL_YIELDED, SOON_NS);
	assert_true(requests_without(f) < 2 * first);
}

static void test_it_is_off_without_a_second_processor(void **state)
{
	struct fixture *f = *state;

	make_readable(f);
	make_it_look(f);
	busy_poll_set_cpus(1);
	assert_int_equal(look(f), BUSY_POLL_OFF);
	busy_poll_set_cpus(2);
	assert_int_equal(look(f), BUSY_POLL_FOUND);
}

static void test_it_is_off_when_told_so(void **state)
{
	struct fixture *f = *state;

	busy_poll_init(&f->poll, false);
	make_readable(f);
	make_it_look(f);
	assert_int_equal(look(f), BUSY_POLL_OFF);
}

static void test_there_is_a_processor_at_least(void **state)
{
	(void)state;
	assert_in_range(busy_poll_cpus(), 1, sysconf(_SC_NPROCESSORS_CONF));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(test_it_looks_once_requests_come_soon),
	    TEST(test_what_does_not_come_is_not_found),
	    TEST(test_in_vain_it_looks_for_less_and_then_not_at_all),
	    TEST(test_who_takes_the_processor_is_left_alone_for_longer_and_longer),
	    TEST(test_it_is_off_without_a_second_processor),
	    TEST(test_it_is_off_when_told_so),
	    TEST(test_there_is_a_processor_at_least),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
