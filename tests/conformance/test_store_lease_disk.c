/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reservations when the process or the machine begins anew. That a process which
 * was killed has lost none is in test_store_open.c.
 */
#include "tests/conformance/lease_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/conformance/store_check.h"

static void reopen(struct fixture *fx)
{
	fixture_close(fx);
	fixture_open(fx);
}

/* The machine is booted between close and open, and its wall clock set. */
static void boot(struct fixture *fx, unsigned int number, int64_t wall_change_ns)
{
	struct machine *m = machine_of(fx);

	fixture_close(fx);
	machine_boot(m, number, 3 * SEC);
	atomic_fetch_add(&m->wall_ns, wall_change_ns);
	fixture_open(fx);
}

static void acquire(struct fixture *fx, const char *name, const char *owner, int64_t ns)
{
	assert_ok(store_lease_acquire(fx->st, ROOT, name, owner, ns, NULL));
}

static int64_t left_ns(struct fixture *fx, const char *name)
{
	struct store_lease lease;
	int r = store_lease_get(fx->st, ROOT, name, &lease);

	if (r == -ENOENT)
		return 0;
	assert_ok(r);
	return lease.left_ns;
}

/* Whose it is, and that it counts there, outlives the process. */
static void test_users_outlive(void **state)
{
	const struct store_lease_user user = {7, 1};
	struct fixture *fx = *state;
	struct store_lease lease;

	assert_ok(store_lease_acquire_for(fx->st, ROOT, "k", "alice", HOUR, &user, NULL));
	acquire(fx, "nobody's", "alice", HOUR);
	reopen(fx);
	assert_ok(store_lease_get(fx->st, ROOT, "k", &lease));
	assert_true(lease.has_user);
	assert_int_equal(lease.uid, 7);
	assert_ok(store_lease_get(fx->st, ROOT, "nobody's", &lease));
	assert_false(lease.has_user);
	assert_int_equal(
	    store_lease_acquire_for(fx->st, ROOT, "x", "alice", HOUR, &user, NULL),
	    -EDQUOT);
}

static void test_named_outlive(void **state)
{
	struct fixture *fx = *state;
	struct store_lease before, after;

	acquire(fx, "first", "alice", HOUR);
	assert_ok(store_lease_acquire(fx->st, ROOT, "k", "alice", HOUR, NULL));
	machine_pass(machine_of(fx), SEC);
	assert_ok(store_lease_extend(fx->st, ROOT, "k", "alice", 2 * HOUR, &before));
	acquire(fx, "released", "alice", HOUR);
	assert_ok(store_lease_release(fx->st, ROOT, "released", "alice"));
	assert_ok(store_lease_hold(fx->st, ROOT, "held", "pid=1", before.token + 100));
	reopen(fx);
	assert_int_equal(store_lease_count(fx->st), 2);
	assert_ok(store_lease_get(fx->st, ROOT, "k", &after));
	assert_string_equal(after.owner, "alice");
	assert_int_equal(after.kind, STORE_LEASE_NAMED);
	assert_int_equal(after.token, before.token);
	assert_int_equal(after.since_ns, before.since_ns);
	assert_int_equal(after.left_ns, before.left_ns);
	assert_int_equal(store_lease_acquire(fx->st, ROOT, "k", "bob", SEC, NULL),
			 -EBUSY);
	assert_ok(store_lease_acquire(fx->st, ROOT, "held", "bob", SEC, &after));
	assert_true(after.token > before.token);
}

/* What was being published was not: the lease goes on, and can be lost. */
static void test_publishing_ends(void **state)
{
	struct fixture *fx = *state;
	uint64_t token;

	acquire(fx, "k", "alice", SEC);
	acquire(fx, "released", "alice", HOUR);
	assert_ok(store_lease_begin_publish(fx->st, ROOT, "k", "alice", 0, &token));
	assert_ok(
	    store_lease_begin_publish(fx->st, ROOT, "released", "alice", 0, &token));
	assert_ok(store_lease_release(fx->st, ROOT, "released", "alice"));
	reopen(fx);
	assert_int_equal(left_ns(fx, "k"), SEC);
	assert_int_equal(left_ns(fx, "released"), 0);
	machine_pass(machine_of(fx), SEC);
	acquire(fx, "k", "bob", SEC);
}

/* The time in which nobody ran counts; what the wall clock was set to does not. */
static void test_down(void **state)
{
	struct fixture *fx = *state;
	struct machine *m = machine_of(fx);

	acquire(fx, "k", "alice", HOUR);
	acquire(fx, "short", "alice", SEC);
	fixture_close(fx);
	machine_pass(m, 60 * SEC);
	atomic_fetch_add(&m->wall_ns, 100 * HOUR);
	fixture_open(fx);
	assert_int_equal(left_ns(fx, "k"), HOUR - 60 * SEC);
	assert_int_equal(left_ns(fx, "short"), 0);
	assert_int_equal(count_rows(fx->st, TABLE_LEASE), 1);
	fixture_close(fx);
	atomic_fetch_sub(&m->wall_ns, 300 * HOUR);
	fixture_open(fx);
	assert_int_equal(left_ns(fx, "k"), HOUR - 60 * SEC);
}

static void test_boot(void **state)
{
	struct fixture *fx = *state;

	acquire(fx, "long", "alice", 10 * HOUR);
	acquire(fx, "short", "alice", HOUR);
	boot(fx, 2, 2 * HOUR);
	assert_int_equal(left_ns(fx, "long"), 8 * HOUR);
	assert_int_equal(left_ns(fx, "short"), 0);
	assert_int_equal(store_lease_count(fx->st), 1);
	/* The wall clock had its say, once. */
	fixture_close(fx);
	atomic_fetch_add(&machine_of(fx)->wall_ns, 5 * HOUR);
	fixture_open(fx);
	assert_int_equal(left_ns(fx, "long"), 8 * HOUR);
	machine_pass(machine_of(fx), 8 * HOUR);
	assert_int_equal(left_ns(fx, "long"), 0);
}

/* Set back, it makes no lease longer than it was taken for. */
static void test_boot_in_the_past(void **state)
{
	struct fixture *fx = *state;

	acquire(fx, "k", "alice", 10 * HOUR);
	machine_pass(machine_of(fx), 9 * HOUR);
	boot(fx, 2, -1000 * HOUR);
	assert_int_equal(left_ns(fx, "k"), 10 * HOUR);
	machine_pass(machine_of(fx), 10 * HOUR);
	assert_int_equal(left_ns(fx, "k"), 0);
}

/* Without a name for the boot, none is taken for the one before. */
static void test_boot_unknown(void **state)
{
	struct fixture *fx = *state;
	struct machine *m = machine_of(fx);

	fixture_close(fx);
	m->boot_id[0] = '\0';
	fixture_open(fx);
	acquire(fx, "k", "alice", 10 * HOUR);
	fixture_close(fx);
	atomic_fetch_add(&m->wall_ns, HOUR);
	fixture_open(fx);
	assert_int_equal(left_ns(fx, "k"), 9 * HOUR);
}

static void test_tokens_grow(void **state)
{
	struct fixture *fx = *state;
	uint64_t last = 0;

	for (unsigned int i = 0; i < 10; i++) {
		struct store_lease lease;

		assert_ok(store_lease_acquire(fx->st, ROOT, "k", "a", HOUR, &lease));
		assert_true(lease.token > last);
		last = lease.token;
		assert_ok(store_lease_release(fx->st, ROOT, "k", "a"));
		if (i % 3 == 0)
			reopen(fx);
		if (i % 3 == 1)
			boot(fx, i, -10 * HOUR);
	}
}

static void put_raw(struct store *st, const char *name, struct slice raw)
{
	struct key key = key_dirent(ROOT, slice_str(name));
	struct batch b = BATCH_INIT;

	batch_put(&b, TABLE_LEASE, key_slice(&key), raw);
	assert_ok(backend_commit(st->be, &b));
	batch_deinit(&b);
}

/* A damaged row is a lease that nobody has; one that claims too much gets less. */
static void test_damaged_rows(void **state)
{
	struct fixture *fx = *state;
	struct lease_row row = {.owner = slice("mallory", 7),
				.token = 5,
				.duration_ns = HOUR,
				.boot = slice("boot-1", 6),
				.boot_ends_ns = INT64_MAX,
				.wall_ends_ns = INT64_MAX};
	struct buf raw = BUF_INIT;

	acquire(fx, "good", "alice", HOUR);
	put_raw(fx->st, "damaged", slice("\1xyz", 4));
	put_raw(fx->st, "a/b", slice("\1xyz", 4));
	assert_ok(lease_encode(&row, &raw));
	put_raw(fx->st, "greedy", buf_slice(&raw));
	row.boot_ends_ns = INT64_MIN;
	buf_clear(&raw);
	assert_ok(lease_encode(&row, &raw));
	put_raw(fx->st, "ended", buf_slice(&raw));
	row.boot = slice("boot-0", 6);
	row.wall_ends_ns = INT64_MIN;
	buf_clear(&raw);
	assert_ok(lease_encode(&row, &raw));
	put_raw(fx->st, "ended too", buf_slice(&raw));
	buf_deinit(&raw);
	reopen(fx);
	assert_int_equal(store_lease_count(fx->st), 2);
	assert_int_equal(count_rows(fx->st, TABLE_LEASE), 2);
	assert_int_equal(left_ns(fx, "good"), HOUR);
	assert_int_equal(left_ns(fx, "greedy"), HOUR);
}

static void test_removed_directory(void **state)
{
	struct fixture *fx = *state;
	uint64_t dir = make_dir(fx->st, ROOT, "d");

	assert_ok(store_lease_acquire(fx->st, dir, "k", "alice", HOUR, NULL));
	assert_ok(store_rmdir(fx->st, ROOT, "d"));
	reopen(fx);
	check_settled(fx->st);
	assert_int_equal(store_lease_count(fx->st), 0);
	assert_int_equal(count_rows(fx->st, TABLE_LEASE), 0);
}

/* More than one batch of rows, some of which go and all others are written anew. */
static void test_many(void **state)
{
	enum { COUNT = 3000 };
	struct fixture *fx = *state;
	char name[16];

	for (unsigned int i = 0; i < COUNT; i++) {
		snprintf(name, sizeof(name), "%u", i);
		acquire(fx, name, "me", i % 3 ? 100 * HOUR : HOUR);
	}
	boot(fx, 2, 2 * HOUR);
	assert_int_equal(store_lease_count(fx->st), COUNT / 3 * 2);
	assert_int_equal(count_rows(fx->st, TABLE_LEASE), COUNT / 3 * 2);
	boot(fx, 3, 2 * HOUR);
	assert_int_equal(store_lease_count(fx->st), COUNT / 3 * 2);
	assert_int_equal(left_ns(fx, "1"), 96 * HOUR);
}

int main(int argc, char **argv)
{
	struct CMUnitTest tests[] = {
	    LEASE_TEST(test_named_outlive),
	    LEASE_TEST(test_users_outlive),
	    LEASE_TEST(test_publishing_ends),
	    LEASE_TEST(test_down),
	    LEASE_TEST(test_boot),
	    LEASE_TEST(test_boot_in_the_past),
	    LEASE_TEST(test_boot_unknown),
	    LEASE_TEST(test_tokens_grow),
	    LEASE_TEST(test_damaged_rows),
	    LEASE_TEST(test_removed_directory),
	    LEASE_TEST(test_many),
	};

	return fixture_main(argc, argv, tests, sizeof(tests) / sizeof(*tests));
}
