/* SPDX-License-Identifier: Apache-2.0 */
/* For how long the next request is looked for before sleeping. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/busy_poll.h"

enum { MANY = 1000000 };
static const int64_t SOON_NS = BUSY_POLL_MAX_NS / 2, LATE_NS = BUSY_POLL_MAX_NS * 10;

struct fixture {
	struct busy_poll_cpus cpus;
	struct busy_poll poll;
	int fds[2];
};

static int set_up(void **state)
{
	static struct fixture f;

	busy_poll_cpus_init(&f.cpus, 2);
	busy_poll_init(&f.poll, &f.cpus);
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
	busy_poll_cpus_init(&f->cpus, 1);
	assert_int_equal(look(f), BUSY_POLL_OFF);
	busy_poll_cpus_init(&f->cpus, 2);
	assert_int_equal(look(f), BUSY_POLL_FOUND);
}

static void test_it_is_off_when_told_so(void **state)
{
	struct fixture *f = *state;

	busy_poll_init(&f->poll, NULL);
	make_readable(f);
	make_it_look(f);
	assert_int_equal(look(f), BUSY_POLL_OFF);
}

static void test_there_is_a_processor_at_least(void **state)
{
	(void)state;
	assert_in_range(busy_poll_count_cpus(), 1, sysconf(_SC_NPROCESSORS_CONF));
}

static void test_a_quota_is_so_many_processors(void **state)
{
	(void)state;
	assert_int_equal(busy_poll_quota_cpus("max 100000\n"), INT_MAX);
	assert_int_equal(busy_poll_quota_cpus("50000 100000\n"), 1);
	assert_int_equal(busy_poll_quota_cpus("100000 100000\n"), 1);
	assert_int_equal(busy_poll_quota_cpus("199999 100000\n"), 1);
	assert_int_equal(busy_poll_quota_cpus("200000 100000\n"), 2);
	assert_int_equal(busy_poll_quota_cpus("640000 10000\n"), 64);
	assert_int_equal(busy_poll_quota_cpus("18446744073709551615 1\n"), INT_MAX);
	/* Nothing that a kernel says. */
	assert_int_equal(busy_poll_quota_cpus(""), INT_MAX);
	assert_int_equal(busy_poll_quota_cpus("200000"), INT_MAX);
	assert_int_equal(busy_poll_quota_cpus("200000 "), INT_MAX);
	assert_int_equal(busy_poll_quota_cpus("200000 0\n"), INT_MAX);
	assert_int_equal(busy_poll_quota_cpus("200000 x\n"), INT_MAX);
}

/* ---- cgroups ---- */

struct cgroups {
	char root[64], above[96], own[128];
};

static int set_up_cgroups(void **state)
{
	static struct cgroups c;

	strcpy(c.root, "/tmp/memofs-test.XXXXXX");
	if (!mkdtemp(c.root))
		return -1;
	snprintf(c.above, sizeof(c.above), "%s/above", c.root);
	snprintf(c.own, sizeof(c.own), "%s/own", c.above);
	*state = &c;
	return mkdir(c.above, 0755) || mkdir(c.own, 0755);
}

static const char *cpu_max(const char *dir)
{
	static char path[160];

	snprintf(path, sizeof(path), "%s/cpu.max", dir);
	return path;
}

static int tear_down_cgroups(void **state)
{
	struct cgroups *c = *state;
	const char *dirs[] = {c->own, c->above, c->root};

	for (int i = 0; i < 3; i++) {
		unlink(cpu_max(dirs[i]));
		rmdir(dirs[i]);
	}
	return 0;
}

static void set_quota(const char *dir, const char *text)
{
	FILE *f = fopen(cpu_max(dir), "w");

	assert_non_null(f);
	assert_true(fputs(text, f) >= 0);
	assert_int_equal(fclose(f), 0);
}

static void test_the_quota_is_that_of_the_cgroup_or_above(void **state)
{
	struct cgroups *c = *state;
	static const char both[] = "1:name=systemd:/other\n0::/above/own\n";

	assert_int_equal(busy_poll_cgroup_cpus(c->root, both), INT_MAX);
	set_quota(c->own, "400000 100000\n");
	assert_int_equal(busy_poll_cgroup_cpus(c->root, both), 4);
	assert_int_equal(busy_poll_cgroup_cpus(c->root, "0::/above/own"), 4);
	set_quota(c->above, "300000 100000\n");
	assert_int_equal(busy_poll_cgroup_cpus(c->root, both), 3);
	set_quota(c->above, "max 100000\n");
	assert_int_equal(busy_poll_cgroup_cpus(c->root, both), 4);
	/* As a container sees it. */
	set_quota(c->root, "200000 100000\n");
	assert_int_equal(busy_poll_cgroup_cpus(c->root, both), 2);
	assert_int_equal(busy_poll_cgroup_cpus(c->root, "0::/\n"), 2);
	assert_int_equal(busy_poll_cgroup_cpus(c->root, "0::/gone\n"), 2);
}

static void test_without_a_cgroup_there_is_no_quota(void **state)
{
	struct cgroups *c = *state;

	set_quota(c->root, "200000 100000\n");
	assert_int_equal(busy_poll_cgroup_cpus(c->root, ""), INT_MAX);
	assert_int_equal(busy_poll_cgroup_cpus(c->root, "1:cpu:/\n10::/\n"), INT_MAX);
	assert_int_equal(busy_poll_cgroup_cpus("/nonexistent", "0::/\n"), INT_MAX);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define TEST_CGROUPS(name)                                                               \
	cmocka_unit_test_setup_teardown(name, set_up_cgroups, tear_down_cgroups)

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
	    cmocka_unit_test(test_a_quota_is_so_many_processors),
	    TEST_CGROUPS(test_the_quota_is_that_of_the_cgroup_or_above),
	    TEST_CGROUPS(test_without_a_cgroup_there_is_no_quota),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
