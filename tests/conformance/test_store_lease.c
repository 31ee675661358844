/* SPDX-License-Identifier: Apache-2.0 */
/* Reservations: each rule of "store/lease.h" in turn. */
#include "tests/conformance/lease_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "tests/conformance/store_check.h"

static struct store *store_of(void **state)
{
	return ((struct fixture *)*state)->st;
}

static void pass(void **state, int64_t ns)
{
	machine_pass(machine_of(*state), ns);
}

/* In the root. */
static int acquire(struct store *st, const char *name, const char *owner, int64_t ns)
{
	return store_lease_acquire(st, ROOT, name, owner, ns, NULL);
}

static uint64_t token_of(struct store *st, const char *name)
{
	struct store_lease lease;

	assert_ok(store_lease_get(st, ROOT, name, &lease));
	return lease.token;
}

static void assert_free(struct store *st, const char *name)
{
	struct store_lease lease;

	assert_int_equal(store_lease_get(st, ROOT, name, &lease), -ENOENT);
}

static void assert_held_by(struct store *st, const char *name, const char *owner)
{
	struct store_lease lease;

	assert_ok(store_lease_get(st, ROOT, name, &lease));
	assert_string_equal(lease.owner, owner);
}

/* ---- who may have one ---- */

static void test_owners(void **state)
{
	static const char *const valid[] = {
	    "a", "free2", "Held", "x=y,z", "\xc3\xa9", "host/1234:\xf0\x9f\x98\x80"};
	static const char *const invalid[] = {
	    "",		  "free",	  "held",	  "a b",
	    "a\n",	  "\t",		  "a\x7f",	  "\xc3",
	    "\xe9 latin", "\xc0\x80",	  "\xed\xa0\x80", "\xc2\x85",
	    "\xc2\xa0",	  "\xe2\x80\xa8", "\xe3\x80\x80", "\xf4\x90\x80\x80"};
	struct store *st = store_of(state);
	char longest[STORE_OWNER_MAX + 2];

	for (size_t i = 0; i < sizeof(valid) / sizeof(*valid); i++)
		assert_true(store_owner_valid(valid[i], strlen(valid[i])));
	for (size_t i = 0; i < sizeof(invalid) / sizeof(*invalid); i++) {
		if (store_owner_valid(invalid[i], strlen(invalid[i])))
			fail_msg("number %zu is taken for valid", i);
		assert_int_equal(acquire(st, "k", invalid[i], SEC), -EINVAL);
	}
	assert_false(store_owner_valid("a\0b", 3));
	memset(longest, 'x', sizeof(longest));
	assert_true(store_owner_valid(longest, STORE_OWNER_MAX));
	assert_false(store_owner_valid(longest, STORE_OWNER_MAX + 1));
	longest[STORE_OWNER_MAX] = '\0';
	assert_ok(acquire(st, "k", longest, SEC));
	assert_held_by(st, "k", longest);
}

static void test_arguments(void **state)
{
	struct store *st = store_of(state);
	char name[STORE_NAME_MAX + 2];
	uint64_t file = make_file(st, ROOT, "file", "x");

	assert_int_equal(acquire(st, "k", "a", 0), -EINVAL);
	assert_int_equal(acquire(st, "k", "a", -1), -EINVAL);
	assert_int_equal(acquire(st, "k", "a", DURATION_NONE), -EINVAL);
	assert_int_equal(acquire(st, "k", "a", STORE_LEASE_MAX_NS + 1), -EINVAL);
	assert_ok(acquire(st, "k", "a", STORE_LEASE_MAX_NS));
	assert_int_equal(store_lease_extend(st, ROOT, "k", "a", 0, NULL), -EINVAL);
	assert_ok(acquire(st, "k", "a", 1));
	memset(name, 'n', sizeof(name));
	name[STORE_NAME_MAX + 1] = '\0';
	assert_int_equal(acquire(st, name, "a", SEC), -ENAMETOOLONG);
	assert_int_equal(acquire(st, "a/b", "a", SEC), -EINVAL);
	assert_int_equal(acquire(st, "..", "a", SEC), -EINVAL);
	assert_int_equal(store_lease_acquire(st, 0, "k", "a", SEC, NULL), -ENOENT);
	assert_int_equal(store_lease_acquire(st, 99999, "k", "a", SEC, NULL), -ENOENT);
	assert_int_equal(store_lease_acquire(st, file, "k", "a", SEC, NULL), -ENOENT);
}

/* ---- taking, extending, releasing ---- */

static void test_one_holder(void **state)
{
	struct store *st = store_of(state);
	struct store_lease lease, other;

	assert_ok(store_lease_acquire(st, ROOT, "k", "alice", 60 * SEC, &lease));
	assert_int_equal(lease.kind, STORE_LEASE_NAMED);
	assert_string_equal(lease.owner, "alice");
	assert_int_equal(lease.since_ns, 1800000000 * SEC);
	assert_int_equal(lease.left_ns, 60 * SEC);
	assert_int_equal(lease.expires_ns, 1800000060 * SEC);
	pass(state, SEC);
	assert_int_equal(store_lease_acquire(st, ROOT, "k", "bob", SEC, &other), -EBUSY);
	assert_string_equal(other.owner, "alice");
	assert_int_equal(other.token, lease.token);
	assert_int_equal(other.left_ns, 59 * SEC);
	assert_int_equal(other.expires_ns, lease.expires_ns);
	/* Another name, and the same in another directory, are others. */
	assert_ok(acquire(st, "k2", "bob", SEC));
	assert_ok(
	    store_lease_acquire(st, make_dir(st, ROOT, "d"), "k", "bob", SEC, NULL));
	assert_int_equal(store_lease_count(st), 3);
}

static void test_extending(void **state)
{
	struct store *st = store_of(state);
	struct store_lease first, again;

	assert_ok(store_lease_acquire(st, ROOT, "k", "alice", 60 * SEC, &first));
	pass(state, 10 * SEC);
	assert_ok(store_lease_acquire(st, ROOT, "k", "alice", 60 * SEC, &again));
	assert_int_equal(again.token, first.token);
	assert_int_equal(again.since_ns, first.since_ns);
	assert_int_equal(again.left_ns, 60 * SEC);
	assert_ok(store_lease_extend(st, ROOT, "k", "alice", 5 * SEC, &again));
	assert_int_equal(again.left_ns, 5 * SEC); /* sooner, too */
	assert_int_equal(store_lease_extend(st, ROOT, "k", "bob", SEC, NULL), -ESTALE);
	assert_int_equal(store_lease_extend(st, ROOT, "x", "alice", SEC, NULL), -ESTALE);
	pass(state, 5 * SEC);
	assert_int_equal(store_lease_extend(st, ROOT, "k", "alice", SEC, NULL), -ESTALE);
	/* Taken again it is another one. */
	assert_ok(store_lease_acquire(st, ROOT, "k", "alice", SEC, &again));
	assert_true(again.token > first.token);
}

static void test_releasing(void **state)
{
	struct store *st = store_of(state);

	assert_ok(acquire(st, "k", "alice", 60 * SEC));
	assert_int_equal(store_lease_release(st, ROOT, "k", "bob"), -ESTALE);
	assert_held_by(st, "k", "alice");
	assert_ok(store_lease_release(st, ROOT, "k", "alice"));
	assert_free(st, "k");
	assert_int_equal(store_lease_release(st, ROOT, "k", "alice"), -ESTALE);
	assert_ok(acquire(st, "k", "bob", SEC));
	/* A release that comes late takes nothing from the next. */
	assert_int_equal(store_lease_release(st, ROOT, "k", "alice"), -ESTALE);
	assert_held_by(st, "k", "bob");
	pass(state, SEC);
	assert_int_equal(store_lease_release(st, ROOT, "k", "bob"), -ESTALE);
	assert_int_equal(count_rows(st, TABLE_LEASE), 1);
	assert_ok(store_settle(st));
	assert_int_equal(count_rows(st, TABLE_LEASE), 0);
}

static void test_end_is_exact(void **state)
{
	struct store *st = store_of(state);
	struct store_lease lease;
	uint64_t token;

	assert_ok(acquire(st, "k", "alice", 60 * SEC));
	token = token_of(st, "k");
	pass(state, 60 * SEC - 1);
	assert_ok(store_lease_get(st, ROOT, "k", &lease));
	assert_int_equal(lease.left_ns, 1);
	assert_int_equal(acquire(st, "k", "bob", SEC), -EBUSY);
	assert_int_equal(store_lease_hold(st, ROOT, "k", "pid=1", 1), -EBUSY);
	pass(state, 1);
	assert_free(st, "k");
	assert_int_equal(store_lease_count(st), 0);
	assert_ok(store_lease_acquire(st, ROOT, "k", "bob", SEC, &lease));
	assert_true(lease.token > token);
}

/* Setting the wall clock ends nothing and lengthens nothing. */
static void test_wall_clock(void **state)
{
	static const int64_t jumps[] = {-1000 * HOUR, 5000 * HOUR, -3000 * HOUR};
	struct machine *m = machine_of(*state);
	struct store *st = store_of(state);
	struct store_lease lease;

	assert_ok(acquire(st, "k", "alice", 60 * SEC));
	for (size_t i = 0; i < 3; i++) {
		atomic_fetch_add(&m->wall_ns, jumps[i]);
		pass(state, 10 * SEC);
		assert_ok(store_lease_get(st, ROOT, "k", &lease));
		assert_int_equal(lease.left_ns, (50 - 10 * (int64_t)i) * SEC);
		assert_int_equal(lease.expires_ns,
				 atomic_load(&m->wall_ns) + lease.left_ns);
		assert_int_equal(acquire(st, "k", "bob", SEC), -EBUSY);
	}
	pass(state, 30 * SEC);
	assert_free(st, "k");
}

/* ---- listing ---- */

struct seen {
	struct store *st;
	char names[256];
	unsigned int stop_after;
};

static int see(void *arg, const char *name, const struct store_lease *lease)
{
	struct seen *seen = arg;

	assert_string_equal(lease->owner, name); /* as this test has it */
	snprintf(seen->names + strlen(seen->names), 64, "%s ", name);
	/* No lock is held. */
	assert_ok(store_lease_release(seen->st, ROOT, name, name));
	return --seen->stop_after ? 0 : 7;
}

static void test_listing(void **state)
{
	struct store *st = store_of(state);
	uint64_t dir = make_dir(st, ROOT, "d");
	struct seen seen = {.st = st, .stop_after = 10};

	assert_ok(acquire(st, "a", "a", 60 * SEC));
	assert_ok(acquire(st, "b", "b", 20 * SEC));
	assert_ok(acquire(st, "c", "c", 60 * SEC));
	assert_ok(acquire(st, "d", "d", 60 * SEC));
	assert_ok(store_lease_acquire(st, dir, "e", "e", 60 * SEC, NULL));
	pass(state, 30 * SEC);
	assert_int_equal(store_lease_count(st), 4);
	seen.stop_after = 1;
	assert_int_equal(store_lease_list(st, ROOT, see, &seen), 7);
	assert_int_equal(strlen(seen.names), 2);
	seen.stop_after = 10;
	assert_ok(store_lease_list(st, ROOT, see, &seen));
	assert_int_equal(strlen(seen.names), 6);
	assert_non_null(strstr(seen.names, "a "));
	assert_null(strstr(seen.names, "b "));
	assert_null(strstr(seen.names, "e "));
	assert_ok(store_lease_list(st, ROOT, see, &seen));
	assert_int_equal(strlen(seen.names), 6);
	assert_int_equal(store_lease_count(st), 1);
}

/* Many: to be found, listed, counted and removed without walks over all. */
static void test_many(void **state)
{
	enum { COUNT = 100000 };
	struct store *st = store_of(state);
	uint64_t dir = make_dir(st, ROOT, "d");
	char name[16];

	for (unsigned int i = 0; i < COUNT; i++) {
		snprintf(name, sizeof(name), "%u", i);
		assert_ok(store_lease_acquire(st, i % 2 ? dir : ROOT, name, "me",
					      (1 + i % 1000) * SEC, NULL));
	}
	assert_int_equal(store_lease_count(st), COUNT);
	pass(state, 500 * SEC);
	assert_int_equal(store_lease_count(st), COUNT / 2);
	assert_ok(store_settle(st));
	assert_int_equal(count_rows(st, TABLE_LEASE), COUNT / 2);
	assert_int_equal(store_lease_count(st), COUNT / 2);
	for (unsigned int i = 0; i < COUNT; i++) {
		snprintf(name, sizeof(name), "%u", i);
		assert_int_equal(store_lease_release(st, i % 2 ? dir : ROOT, name, "me"),
				 i % 1000 < 500 ? -ESTALE : 0);
	}
	assert_int_equal(store_lease_count(st), 0);
	assert_int_equal(count_rows(st, TABLE_LEASE), 0);
}

/* ---- bound to a descriptor ---- */

static void test_held(void **state)
{
	struct store *st = store_of(state);
	struct store_lease lease;
	uint64_t token;

	assert_ok(ino_alloc(st, &token));
	assert_ok(store_lease_hold(st, ROOT, "k", "pid=7", token));
	pass(state, 1000 * HOUR); /* it has no end */
	assert_ok(store_lease_get(st, ROOT, "k", &lease));
	assert_int_equal(lease.kind, STORE_LEASE_HELD);
	assert_string_equal(lease.owner, "pid=7");
	assert_int_equal(lease.token, token);
	assert_int_equal(lease.since_ns, 1800000000 * SEC);
	assert_int_equal(lease.left_ns, DURATION_NONE);
	assert_int_equal(lease.expires_ns, DURATION_NONE);
	assert_int_equal(store_lease_count(st), 1);
	assert_int_equal(count_rows(st, TABLE_LEASE), 0);
	/* Nobody else gets it, whatever they call themselves. */
	assert_int_equal(acquire(st, "k", "pid=7", SEC), -EBUSY);
	assert_int_equal(store_lease_hold(st, ROOT, "k", "pid=7", token + 1), -EBUSY);
	assert_int_equal(store_lease_extend(st, ROOT, "k", "pid=7", SEC, NULL), -ESTALE);
	assert_int_equal(store_lease_release(st, ROOT, "k", "pid=7"), -ESTALE);
	assert_int_equal(store_lease_begin_publish(st, ROOT, "k", "pid=7", token, &token),
			 -ESTALE);
	store_lease_drop(st, ROOT, "k", token + 1);
	assert_held_by(st, "k", "pid=7");
	store_lease_drop(st, ROOT, "k", token);
	assert_free(st, "k");
	store_lease_drop(st, ROOT, "k", token);
	assert_ok(acquire(st, "k", "alice", SEC));
	store_lease_drop(st, ROOT, "k", token_of(st, "k")); /* is not a held one */
	assert_held_by(st, "k", "alice");
}

/* It is shown among the others, so it must read like them. */
static void test_held_owners(void **state)
{
	struct store *st = store_of(state);
	char text[STORE_OWNER_MAX + 50];

	assert_ok(store_lease_hold(st, ROOT, "a", "two words\n", 1));
	assert_held_by(st, "a", "two_words_");
	assert_ok(store_lease_hold(st, ROOT, "b", "", 2));
	assert_held_by(st, "b", "_");
	assert_ok(store_lease_hold(st, ROOT, "c", "free", 3));
	assert_held_by(st, "c", "_");
	memset(text, 'x', sizeof(text));
	text[sizeof(text) - 1] = '\0';
	assert_ok(store_lease_hold(st, ROOT, "d", text, 4));
	text[STORE_OWNER_MAX] = '\0';
	assert_held_by(st, "d", text);
	for (uint64_t token = 1; token <= 4; token++)
		store_lease_drop(st, ROOT, (const char[]){(char)('a' + token - 1), 0},
				 token);
	assert_int_equal(store_lease_count(st), 0);
}

/* The row of the one that it replaces must not come back. */
static void test_held_after_expired(void **state)
{
	struct store *st = store_of(state);

	assert_ok(acquire(st, "k", "alice", SEC));
	pass(state, SEC);
	assert_ok(store_lease_hold(st, ROOT, "k", "pid=7", 1));
	assert_int_equal(count_rows(st, TABLE_LEASE), 0);
	store_lease_drop(st, ROOT, "k", 1);
	assert_int_equal(store_lease_count(st), 0);
}

/* ---- the fence ---- */

static int begin(struct store *st, const char *owner, uint64_t token)
{
	uint64_t got = 0;
	int r = store_lease_begin_publish(st, ROOT, "k", owner, token, &got);

	if (!r)
		assert_int_equal(got, token_of(st, "k"));
	return r;
}

static void test_fence(void **state)
{
	struct store *st = store_of(state);
	uint64_t token;

	assert_int_equal(begin(st, "alice", 0), -ESTALE);
	assert_ok(acquire(st, "k", "alice", 60 * SEC));
	token = token_of(st, "k");
	assert_int_equal(begin(st, "bob", 0), -ESTALE);
	assert_int_equal(begin(st, "bob", token), -ESTALE);
	assert_int_equal(begin(st, "alice", token + 1), -ESTALE);
	assert_ok(begin(st, "alice", token));
	store_lease_end_publish(st, ROOT, "k", token, false);
	assert_held_by(st, "k", "alice"); /* the publish failed */
	assert_ok(begin(st, "alice", 0));
	store_lease_end_publish(st, ROOT, "k", token, true);
	assert_free(st, "k");
	assert_int_equal(count_rows(st, TABLE_LEASE), 0);
	assert_int_equal(begin(st, "alice", token), -ESTALE);

	/* It ran out, and was taken over, and is alice's again: another one. */
	assert_ok(acquire(st, "k", "bob", SEC));
	pass(state, SEC);
	assert_int_equal(begin(st, "bob", 0), -ESTALE);
	assert_ok(acquire(st, "k", "alice", 60 * SEC));
	assert_int_equal(begin(st, "alice", token), -ESTALE);
	assert_ok(begin(st, "alice", 0));
	store_lease_end_publish(st, ROOT, "k", token, true); /* not this one */
	assert_held_by(st, "k", "alice");
	store_lease_end_publish(st, ROOT, "k", token_of(st, "k"), true);
	assert_free(st, "k");
}

/* Begun in time, it is done in time, however late. */
static void test_late_publish(void **state)
{
	struct store *st = store_of(state);
	struct store_lease lease;
	uint64_t token;

	assert_ok(acquire(st, "k", "alice", SEC));
	token = token_of(st, "k");
	assert_ok(begin(st, "alice", token));
	pass(state, HOUR);
	assert_ok(store_settle(st));
	assert_ok(store_lease_get(st, ROOT, "k", &lease));
	assert_int_equal(lease.left_ns, 0);
	assert_int_equal(store_lease_count(st), 1);
	assert_int_equal(acquire(st, "k", "bob", SEC), -EBUSY);
	assert_int_equal(store_lease_hold(st, ROOT, "k", "pid=1", 1), -EBUSY);
	store_lease_end_publish(st, ROOT, "k", token, false);
	assert_free(st, "k");
	assert_ok(acquire(st, "k", "bob", SEC));
	assert_true(token_of(st, "k") > token);
}

/* Released meanwhile: gone for its owner, and for nobody else until the end. */
static void test_released_while_publishing(void **state)
{
	struct store *st = store_of(state);
	uint64_t token;

	assert_ok(acquire(st, "k", "alice", 60 * SEC));
	token = token_of(st, "k");
	assert_ok(begin(st, "alice", 0));
	assert_ok(begin(st, "alice", token));
	store_lease_end_publish(st, ROOT, "k", token, true);
	assert_int_equal(count_rows(st, TABLE_LEASE), 0);
	assert_int_equal(begin(st, "alice", 0), -ESTALE);
	assert_int_equal(store_lease_extend(st, ROOT, "k", "alice", SEC, NULL), -ESTALE);
	assert_int_equal(store_lease_release(st, ROOT, "k", "alice"), -ESTALE);
	assert_int_equal(acquire(st, "k", "alice", SEC), -EBUSY);
	assert_int_equal(acquire(st, "k", "bob", SEC), -EBUSY);
	store_lease_end_publish(st, ROOT, "k", token, true);
	assert_free(st, "k");
	store_lease_end_publish(st, ROOT, "k", token, true);
	assert_ok(acquire(st, "k", "bob", SEC));
}

/* ---- with the directory ---- */

/* A lease belongs to the directory, wherever that is, and to one version of it. */
static void test_moved_directory(void **state)
{
	struct store *st = store_of(state);
	uint64_t dir = make_dir(st, ROOT, "d"), v = branch_of(st, dir, "v");
	uint64_t other = make_dir(st, ROOT, "other");
	struct store_lease lease;

	assert_ok(store_lease_acquire(st, dir, "k", "alice", 60 * SEC, NULL));
	assert_ok(store_rename(st, ROOT, "d", other, "moved", 0, NULL));
	assert_ok(store_lease_get(st, dir, "k", &lease));
	assert_int_equal(store_lease_acquire(st, dir, "k", "bob", SEC, NULL), -EBUSY);
	assert_ok(store_lease_acquire(st, v, "k", "bob", SEC, NULL));
}

static void test_removed_directory(void **state)
{
	struct store *st = store_of(state);
	uint64_t dir = make_dir(st, ROOT, "d"), v = branch_of(st, dir, "v");
	uint64_t below = make_dir(st, v, "below"), token;

	assert_ok(acquire(st, "stays", "alice", 60 * SEC));
	assert_ok(store_lease_acquire(st, dir, "a", "alice", 60 * SEC, NULL));
	assert_ok(store_lease_acquire(st, dir, "b", "alice", 60 * SEC, NULL));
	assert_ok(store_lease_acquire(st, v, "c", "alice", 60 * SEC, NULL));
	assert_ok(store_lease_acquire(st, below, "d", "alice", 60 * SEC, NULL));
	assert_ok(store_lease_hold(st, below, "e", "pid=1", 1));
	assert_ok(store_lease_begin_publish(st, dir, "a", "alice", 0, &token));
	assert_int_equal(store_lease_count(st), 6);
	assert_ok(store_rmdir(st, ROOT, "d"));
	assert_int_equal(store_lease_acquire(st, dir, "x", "bob", SEC, NULL), -ENOENT);
	assert_int_equal(store_lease_acquire(st, dir, "a", "alice", SEC, NULL), -ENOENT);
	assert_int_equal(store_lease_acquire(st, below, "x", "bob", SEC, NULL), -ENOENT);
	check_settled(st);
	assert_int_equal(store_lease_count(st), 1);
	assert_int_equal(count_rows(st, TABLE_LEASE), 1);
	store_lease_end_publish(st, dir, "a", token, true);
	store_lease_drop(st, below, "e", 1);
	assert_held_by(st, "stays", "alice");
}

static int acquire_for(struct store *st, const char *name, uint32_t uid, uint64_t max)
{
	const struct store_lease_user user = {uid, max};

	return store_lease_acquire_for(st, ROOT, name, "job", SEC, &user, NULL);
}

static void test_users(void **state)
{
	struct store *st = store_of(state);
	struct store_lease lease;

	assert_ok(acquire_for(st, "a", 7, 2));
	assert_ok(acquire_for(st, "b", 7, 2));
	assert_int_equal(acquire_for(st, "c", 7, 2), -EDQUOT);
	assert_free(st, "c");
	assert_ok(acquire_for(st, "b", 7, 2)); /* an extension is none more */
	assert_ok(acquire_for(st, "c", 8, 2)); /* another's count apart, */
	assert_ok(acquire(st, "nobody's", "job", SEC));
	assert_ok(store_lease_get(st, ROOT, "c", &lease));
	assert_true(lease.has_user);
	assert_int_equal(lease.uid, 8);
	assert_ok(store_lease_get(st, ROOT, "nobody's", &lease));
	assert_false(lease.has_user);
	assert_ok(store_lease_release(st, ROOT, "a", "job"));
	assert_ok(acquire_for(st, "d", 7, 2));
	pass(state, 2 * SEC);
	check_settled(st); /* what has ended is gone */
	assert_ok(acquire_for(st, "e", 7, 1));
	assert_int_equal(acquire_for(st, "f", 7, 1), -EDQUOT);
}

int main(int argc, char **argv)
{
	struct CMUnitTest tests[] = {
	    LEASE_TEST(test_owners),
	    LEASE_TEST(test_arguments),
	    LEASE_TEST(test_one_holder),
	    LEASE_TEST(test_extending),
	    LEASE_TEST(test_releasing),
	    LEASE_TEST(test_end_is_exact),
	    LEASE_TEST(test_wall_clock),
	    LEASE_TEST(test_listing),
	    LEASE_TEST(test_many),
	    LEASE_TEST(test_held),
	    LEASE_TEST(test_held_owners),
	    LEASE_TEST(test_held_after_expired),
	    LEASE_TEST(test_fence),
	    LEASE_TEST(test_late_publish),
	    LEASE_TEST(test_released_while_publishing),
	    LEASE_TEST(test_moved_directory),
	    LEASE_TEST(test_removed_directory),
	    LEASE_TEST(test_users),
	};

	return fixture_main(argc, argv, tests, sizeof(tests) / sizeof(*tests));
}
