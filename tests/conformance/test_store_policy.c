/* SPDX-License-Identifier: Apache-2.0 */
/* ttl and version: what a directory says about what is below it. */
#include "tests/conformance/store_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "store/census.h"
#include "store/evict.h"
#include "store/internal.h"
#include "store/scrub.h"

static struct store *store_of(void **state)
{
	return ((struct fixture *)*state)->st;
}

/* ---- ttl ---- */

static void test_ttl_text(void **state)
{
	struct store *st = store_of(state);
	uint64_t ino = make_link(st, ROOT, "l");
	struct buf text = BUF_INIT;
	char too_long[300];
	int64_t ttl_ns;

	assert_ok(store_ttl_get(st, ino, &ttl_ns, &text));
	assert_true(ttl_ns == DURATION_UNSET);
	assert_int_equal(text.len, 0);
	assert_ok(store_ttl_set(st, ino, 3600 * NSEC_PER_SEC, "PT1H"));
	assert_ok(store_ttl_get(st, ino, &ttl_ns, &text));
	assert_true(ttl_ns == 3600 * NSEC_PER_SEC);
	assert_int_equal(text.len, 4);
	assert_memory_equal(text.data, "PT1H", 4);
	assert_ok(store_ttl_set(st, ino, DURATION_UNSET, NULL));
	assert_ok(store_ttl_get(st, ino, &ttl_ns, &text));
	assert_true(ttl_ns == DURATION_UNSET);
	assert_int_equal(text.len, 0);
	memset(too_long, ' ', sizeof(too_long));
	too_long[sizeof(too_long) - 1] = '\0';
	assert_int_equal(store_ttl_set(st, ino, 1, too_long), -EINVAL);
	assert_int_equal(store_ttl_set(st, 999999, 1, "1ns"), -ENOENT);
	buf_deinit(&text);
}

static void assert_lives_s(struct store *st, uint64_t ino, int64_t seconds)
{
	struct store_attr attr = attr_of(st, ino), found;
	struct buf name = BUF_INIT;
	uint64_t branch;

	if (seconds < 0)
		assert_true(attr.expires_ns == DURATION_NONE);
	else
		assert_true(attr.expires_ns == attr.created_ns + seconds * NSEC_PER_SEC);
	/* A lookup, which reads other rows, says the same. */
	assert_ok(store_where(st, ino, &branch, &name));
	assert_int_equal(store_lookup(st, branch, (const char *)name.data, &found),
			 seconds == 0 ? -ENOENT : 0);
	if (seconds)
		assert_same_attr(&found, &attr);
	buf_deinit(&name);
}

#define FOREVER (-1)

/* The nearest wins, as it is now, in both directions. */
static void test_ttl_inheritance(void **state)
{
	struct store *st = store_of(state);
	uint64_t top = make_dir(st, ROOT, "top"), mid = make_dir(st, top, "mid");
	uint64_t low = make_dir(st, branch_of(st, mid, "v"), "low");
	uint64_t leaf = make_link(st, low, "leaf"), own = make_link(st, low, "own");

	set_ttl_ms(st, own, 7000);
	assert_lives_s(st, leaf, FOREVER);
	assert_lives_s(st, own, 7);
	set_ttl_ms(st, ROOT, 100000);
	assert_lives_s(st, leaf, 100);
	set_ttl_ms(st, mid, 50000);
	assert_lives_s(st, leaf, 50);
	set_ttl_ms(st, top, 10000); /* hidden by mid's */
	assert_lives_s(st, leaf, 50);
	set_ttl_ms(st, mid, 200000);
	assert_lives_s(st, leaf, 200);
	set_ttl_ms(st, low, 0); /* all of it has expired … */
	assert_lives_s(st, leaf, 0);
	assert_lives_s(st, own, 7);
	set_ttl_ms(st, low, 300000); /* … and is back */
	assert_lives_s(st, leaf, 300);
	assert_ok(store_ttl_set(st, low, DURATION_NONE, "none"));
	assert_lives_s(st, leaf, FOREVER);
	assert_ok(store_ttl_set(st, low, DURATION_UNSET, NULL));
	assert_ok(store_ttl_set(st, mid, DURATION_UNSET, NULL));
	assert_lives_s(st, leaf, 10);
	assert_ok(store_ttl_set(st, own, DURATION_UNSET, NULL));
	assert_lives_s(st, own, 10);
}

static void test_ttl_overflow(void **state)
{
	struct store *st = store_of(state);
	uint64_t ino = make_link(st, ROOT, "l");

	assert_ok(store_ttl_set(st, ino, DURATION_NONE - 1, "292y"));
	assert_true(attr_of(st, ino).expires_ns == DURATION_NONE);
	assert_int_equal(lookup(st, ROOT, "l"), ino);
}

/* Every lookup that begins after the expiry misses; none before it does. */
static void test_expiry_is_exact(void **state)
{
	struct store *st = store_of(state);
	uint64_t ino = make_link(st, ROOT, "l");
	int64_t expires_ns, began_ns, ended_ns;
	unsigned int hits = 0;
	struct store_attr attr;
	int r;

	set_ttl_ms(st, ino, 100);
	attr = attr_of(st, ino);
	expires_ns = attr.expires_ns;
	assert_false(store_attr_expired(&attr, expires_ns - 1));
	assert_true(store_attr_expired(&attr, expires_ns));
	do {
		began_ns = time_now_ns();
		r = store_lookup(st, ROOT, "l", &attr);
		ended_ns = time_now_ns();
		if (began_ns >= expires_ns)
			assert_int_equal(r, -ENOENT);
		else if (ended_ns < expires_ns)
			assert_ok(r);
		hits += r == 0;
	} while (began_ns < expires_ns);
	assert_true(hits > 0);

	/* Invisible to all, but not gone: a longer ttl brings it back. */
	assert_int_equal(store_unlink(st, ROOT, "l"), -ENOENT);
	assert_int_equal(store_rename(st, ROOT, "l", ROOT, "m", 0, NULL), -ENOENT);
	assert_names(st, ROOT, "");
	assert_true(attr_of(st, ino).expires_ns == expires_ns);
	set_ttl_ms(st, ino, 60000);
	assert_int_equal(lookup(st, ROOT, "l"), ino);
}

/* What has expired is in nobody's way. */
static void test_expired_is_replaced(void **state)
{
	struct store *st = store_of(state);
	uint64_t dir = make_dir(st, ROOT, "d"), ino, replaced;
	struct store_attr attr;
	struct store_stats stats;

	set_ttl_ms(st, dir, 0);
	make_link(st, dir, "a");
	make_link(st, dir, "b");
	make_link(st, dir, "c");
	ino = make_dir(st, dir, "a");
	assert_int_equal(lookup(st, dir, "a"), ino);
	assert_ok(store_symlink(st, dir, "b", "again", 0, 0, &attr));
	assert_ok(
	    store_rename(st, dir, "a", dir, "c", STORE_RENAME_NOREPLACE, &replaced));
	assert_int_not_equal(replaced, 0);
	assert_ok(store_settle(st));
	assert_ok(store_stats(st, &stats));
	assert_int_equal(stats.entries, 1);
	assert_ok(store_rmdir(st, dir, "c"));
	assert_ok(store_rmdir(st, ROOT, "d"));
}

/* A longer ttl, while rmdir has found the directory empty: nothing is lost. */
static void test_revived_name_keeps_directory(void **state)
{
	struct store *st = store_of(state);
	uint64_t dir = make_dir(st, ROOT, "d"), ino = make_link(st, dir, "l");

	set_ttl_ms(st, dir, 0);
	set_ttl_ms(st, dir, 60000);
	assert_int_equal(store_rmdir(st, ROOT, "d"), -ENOTEMPTY);
	set_ttl_ms(st, ino, 0);
	assert_ok(store_rmdir(st, ROOT, "d"));
}

/* ---- version ---- */

static void test_version_valid(void **state)
{
	static const char *const good[] = {"", "v1", "...", "a b", "\xc3\xa9", "-"};
	static const char *const bad[] = {".", "..", "a/b", "/", "a\nb", "\x7f", "\t"};
	struct store *st = store_of(state);
	uint64_t dir = make_dir(st, ROOT, "d"), branch;
	char longest[STORE_VERSION_MAX + 2];

	memset(longest, 'v', sizeof(longest));
	longest[STORE_VERSION_MAX + 1] = '\0';
	for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++)
		assert_ok(store_version_set(st, dir, good[i]));
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		assert_int_equal(store_version_set(st, dir, bad[i]), -EINVAL);
		assert_int_equal(store_branch(st, dir, bad[i], true, &branch), -EINVAL);
	}
	assert_int_equal(store_version_set(st, dir, longest), -EINVAL);
	longest[STORE_VERSION_MAX] = '\0';
	assert_ok(store_version_set(st, dir, longest));
	assert_false(store_version_valid("a\0b", 3));
}

static void assert_version(struct store *st, uint64_t dir, const char *expected)
{
	struct buf version = BUF_INIT;

	assert_ok(store_version_get(st, dir, &version));
	assert_int_equal(version.len, strlen(expected));
	assert_memory_equal(version.data, expected, version.len);
	buf_deinit(&version);
}

static uint64_t current(struct store *st, uint64_t dir)
{
	uint64_t branch;

	assert_ok(store_branch(st, dir, NULL, false, &branch));
	return branch;
}

static void test_version_switch(void **state)
{
	struct store *st = store_of(state);
	uint64_t dir = make_dir(st, ROOT, "d"), first = make_link(st, dir, "l");
	uint64_t v1, second;

	assert_version(st, dir, "");
	assert_int_equal(current(st, dir), dir);
	assert_ok(store_version_set(st, dir, "v1"));
	assert_version(st, dir, "v1");
	v1 = current(st, dir);
	assert_int_not_equal(v1, dir);
	assert_int_equal(branch_of(st, dir, "v1"), v1);
	assert_int_equal(branch_of(st, dir, ""), dir);
	assert_int_equal(lookup(st, v1, "l"), 0);
	second = make_link(st, v1, "l");
	assert_ok(store_version_set(st, dir, ""));
	assert_int_equal(lookup(st, current(st, dir), "l"), first);
	assert_ok(store_version_set(st, dir, "v1"));
	assert_int_equal(lookup(st, current(st, dir), "l"), second);

	/* It travels with the directory. */
	assert_ok(store_rename(st, ROOT, "d", ROOT, "e", 0, NULL));
	assert_version(st, dir, "v1");
	assert_int_equal(lookup(st, current(st, dir), "l"), second);
}

static void test_version_errors(void **state)
{
	struct store *st = store_of(state);
	uint64_t link = make_link(st, ROOT, "l"), dir = make_dir(st, ROOT, "d");
	uint64_t v1 = branch_of(st, dir, "v1"), branch, owner;
	struct buf version = BUF_INIT;
	struct store_attr attr;

	assert_int_equal(store_version_set(st, link, "v"), -ENOTDIR);
	assert_int_equal(store_version_get(st, link, &version), -ENOTDIR);
	assert_int_equal(store_branch(st, link, NULL, false, &branch), -ENOTDIR);
	assert_int_equal(store_version_set(st, 999999, "v"), -ENOENT);
	/* A branch's number is not a directory's. */
	assert_int_equal(store_branch(st, v1, NULL, false, &branch), -ENOENT);
	assert_int_equal(store_getattr(st, v1, &attr), -ENOENT);

	/* Not written yet: nothing is there, and nothing is made. */
	assert_ok(store_branch(st, dir, "never", false, &branch));
	assert_int_equal(branch, 0);
	assert_int_equal(store_lookup(st, 0, "x", &attr), -ENOENT);
	assert_names(st, 0, "");

	assert_ok(store_branch_owner(st, v1, &owner, &version));
	assert_int_equal(owner, dir);
	assert_int_equal(version.len, 2);
	assert_memory_equal(version.data, "v1", 2);
	assert_ok(store_branch_owner(st, dir, &owner, &version));
	assert_int_equal(owner, dir);
	assert_int_equal(version.len, 0);
	assert_int_equal(store_branch_owner(st, link, &owner, &version), -ENOENT);
	assert_int_equal(store_branch_owner(st, 999999, &owner, &version), -ENOENT);
	buf_deinit(&version);
}

static int collect(void *arg, const char *version, uint64_t branch)
{
	return buf_printf(arg, "%s ", version);
}

static int stop_at_once(void *arg, const char *version, uint64_t branch)
{
	return 42;
}

static void test_version_list(void **state)
{
	struct store *st = store_of(state);
	uint64_t dir = make_dir(st, ROOT, "d"), next = make_dir(st, ROOT, "e");
	struct buf text = BUF_INIT;

	assert_ok(store_version_list(st, dir, collect, &text));
	assert_int_equal(text.len, 0);
	branch_of(st, dir, "v2");
	branch_of(st, dir, "v10");
	branch_of(st, dir, "");
	branch_of(st, next, "other");
	assert_ok(store_version_set(st, dir, "made current"));
	assert_ok(store_version_list(st, dir, collect, &text));
	assert_int_equal(text.len, strlen("made current v10 v2 "));
	assert_memory_equal(text.data, "made current v10 v2 ", text.len);
	assert_int_equal(store_version_list(st, dir, stop_at_once, NULL), 42);
	buf_deinit(&text);
}

/* ---- a look at what the engine asks of its backend ---- */

/*
 * Passes on to another backend, counts what this thread asks for, and can run
 * something right after a row was read: a change by "another thread" at the
 * worst moment, every time.
 */
struct spy {
	struct backend be;
	struct backend *real;
	unsigned int gets, iters, ops;
	unsigned int gets_until_change; /* 0: no change */
	void (*change)(struct spy *spy);
	struct store *st;
	uint64_t ino;
};

static __thread bool spied;

static struct spy *spy_of(struct backend *be)
{
	return (struct spy *)be;
}

static int spy_get(struct backend *be, enum table t, struct slice key,
		   struct buf *ret_value)
{
	struct spy *spy = spy_of(be);
	int r = backend_get(spy->real, t, key, ret_value);

	if (!spied)
		return r;
	spy->gets++;
	if (spy->gets_until_change && --spy->gets_until_change == 0)
		spy->change(spy);
	return r;
}

static int spy_commit(struct backend *be, const struct batch *b)
{
	if (spied)
		spy_of(be)->ops += b->count;
	return backend_commit(spy_of(be)->real, b);
}

static int spy_sync(struct backend *be)
{
	return backend_sync(spy_of(be)->real);
}

static int spy_iter_new(struct backend *be, enum table t, struct slice end,
			enum iter_use use, struct backend_iter **ret_it)
{
	struct backend *real = spy_of(be)->real;

	if (spied)
		spy_of(be)->iters++;
	return real->ops->iter_new(real, t, end, use, ret_it);
}

static void spy_stats(struct backend *be, struct backend_stats *ret_stats)
{
	backend_stats(spy_of(be)->real, ret_stats);
}

static int spy_extent_remove(struct backend *be, uint64_t ino)
{
	return backend_extent_remove(spy_of(be)->real, ino);
}

static int spy_reclaim(struct backend *be)
{
	return backend_reclaim(spy_of(be)->real);
}

static const struct backend_ops spy_ops = {
    .name = "spy",
    .get = spy_get,
    .commit = spy_commit,
    .sync = spy_sync,
    .reclaim = spy_reclaim,
    .iter_new = spy_iter_new,
    .stats = spy_stats,
    .extent_remove = spy_extent_remove,
};

/* Between the two the thread of the store rests; the others are ended. */
static void spy_begin(struct spy *spy, struct store *st)
{
	scrub_stop(st);
	census_stop(st);
	evict_stop(st);
	assert_ok(store_settle(st));
	*spy = (struct spy){.be = {.ops = &spy_ops}, .real = st->be, .st = st};
	st->be = &spy->be;
	spied = true;
}

static void spy_end(struct spy *spy)
{
	spied = false;
	assert_ok(store_settle(spy->st));
	spy->st->be = spy->real;
}

/* ---- what is cached was never true after a change ---- */

static void change_ttl(struct spy *spy)
{
	assert_ok(store_ttl_set(spy->st, spy->ino, 0, "0s"));
}

/*
 * A ttl changes after the n-th row that a lookup reads. That lookup may go
 * either way; the next must not.
 */
static void test_change_during_lookup(void **state)
{
	struct store *st = store_of(state);
	uint64_t top = make_dir(st, ROOT, "top"), mid = make_dir(st, top, "mid");
	uint64_t low = make_dir(st, mid, "low"), after_ino;
	struct store_attr attr;
	unsigned int n = 0;
	struct spy spy;
	bool changed;

	make_link(st, low, "leaf");
	do {
		assert_ok(store_ttl_set(st, top, DURATION_NONE, "none"));
		spy_begin(&spy, st);
		spy.change = change_ttl;
		spy.ino = top;
		spy.gets_until_change = ++n;
		store_lookup(st, low, "leaf", &attr);
		changed = spy.gets_until_change == 0;
		spy_end(&spy);
		after_ino = lookup(st, low, "leaf");
		assert_true(changed ? after_ino == 0 : after_ino != 0);
	} while (changed);
	assert_true(n > 4); /* the name, and a row for each directory */
}

/* ---- what was never gone is never missed ---- */

static void move_away(struct spy *spy)
{
	uint64_t from = lookup(spy->st, ROOT, "from");

	assert_ok(store_rename(spy->st, from, "f", ROOT, "f", 0, NULL));
	assert_ok(store_rmdir(spy->st, ROOT, "from"));
}

static void assert_found(struct store *st, uint64_t ino)
{
	struct store_stage_args args = {.branch = ROOT, .base_ino = ino};
	struct store_attr attr;
	struct store_staged *sg;
	struct store_gen *gen;

	assert_ok(store_getattr(st, ino, &attr));
	assert_ok(store_gen_open(st, ino, &gen));
	store_gen_close(gen);
	assert_ok(store_stage(st, &args, &sg));
	store_staged_free(sg);
}

/* A file is moved, and the directory it was in removed, after the n-th row read. */
static void test_move_during_open(void **state)
{
	struct store *st = store_of(state);
	unsigned int n = 0;
	struct spy spy;
	bool changed;

	do {
		uint64_t from = make_dir(st, ROOT, "from");
		uint64_t ino = make_file(st, from, "f", "text");

		spy_begin(&spy, st);
		spy.change = move_away;
		spy.gets_until_change = ++n;
		assert_found(st, ino);
		changed = spy.gets_until_change == 0;
		spy_end(&spy);
		if (!changed)
			move_away(&spy);
		assert_ok(store_unlink(st, ROOT, "f"));
	} while (changed);
	assert_true(n > 4);
}

/* The nearest wins also when only those above it are cached. */
static void test_ttl_with_cached_ancestors(void **state)
{
	struct store *st = store_of(state);
	uint64_t top = make_dir(st, ROOT, "top"), mid = make_dir(st, top, "mid");
	uint64_t low = make_dir(st, mid, "low"), leaf = make_link(st, low, "leaf");

	set_ttl_ms(st, top, 10000);
	set_ttl_ms(st, mid, 50000);
	assert_int_equal(lookup(st, ROOT, "top"), top);
	assert_int_equal(lookup(st, top, "mid"), mid);
	assert_lives_s(st, leaf, 50);
	assert_ok(store_ttl_set(st, mid, DURATION_NONE, "none"));
	assert_int_equal(lookup(st, top, "mid"), mid);
	assert_lives_s(st, leaf, FOREVER);
}

/* ---- a switch touches the same few rows, however many are hidden ---- */

#define MANY 100000

static void test_switch_is_constant(void **state)
{
	struct store *st = store_of(state);
	uint64_t dir = make_dir(st, ROOT, "d"), last = 0;
	struct store_attr attr;
	struct spy spy;
	char name[16];

	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		last = make_link(st, dir, name);
	}
	/* The first use of a version reserves a number; count the second. */
	assert_ok(store_version_set(st, dir, "v1"));
	assert_ok(store_version_set(st, dir, ""));

	spy_begin(&spy, st);
	assert_ok(store_version_set(st, dir, "v1"));
	assert_int_equal(lookup(st, current(st, dir), name), 0);
	assert_ok(store_version_set(st, dir, ""));
	assert_ok(store_lookup(st, current(st, dir), name, &attr));
	spy_end(&spy);

	assert_int_equal(attr.ino, last);
	assert_int_equal(spy.iters, 0);
	assert_int_equal(spy.ops, 4); /* two rows each */
	assert_true(spy.gets > 0 && spy.gets < 40);
}

int main(int argc, char **argv)
{
	struct CMUnitTest tests[] = {
	    STORE_TEST(test_ttl_text),
	    STORE_TEST(test_ttl_inheritance),
	    STORE_TEST(test_ttl_with_cached_ancestors),
	    STORE_TEST(test_change_during_lookup),
	    STORE_TEST(test_move_during_open),
	    STORE_TEST(test_ttl_overflow),
	    STORE_TEST(test_expiry_is_exact),
	    STORE_TEST(test_expired_is_replaced),
	    STORE_TEST(test_revived_name_keeps_directory),
	    STORE_TEST(test_version_valid),
	    STORE_TEST(test_version_switch),
	    STORE_TEST(test_version_errors),
	    STORE_TEST(test_version_list),
	    STORE_TEST(test_switch_is_constant),
	};

	return fixture_main(argc, argv, tests, sizeof(tests) / sizeof(*tests));
}
