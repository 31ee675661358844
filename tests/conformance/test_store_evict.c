/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is evicted, in which order, and what is not. Most tests end the thread and make
 * the steps by hand, so that nothing depends on time.
 */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/evict.h"
#include "store/lease.h"
#include "store/priority.h"
#include "tests/conformance/tree_fixture.h"

#define ENTRY 4096
/* Far more than it takes to take all that may be taken. */
#define STEPS_MAX 1000

static struct store *store_of(void **state)
{
	return ((struct fixture *)*state)->st;
}

/* ---- filling, and bounds ---- */

/* A value of `len` bytes that cost `cost_s`. */
static uint64_t put(struct store *st, uint64_t branch, const char *name, size_t len,
		    double cost_s)
{
	struct store_stage_args args = {.branch = branch, .mode = 0644};
	struct store_staged *sg = NULL;
	uint8_t *data = pattern(len, len);
	uint64_t ino = 0;
	int r;

	assert_ok(store_stage(st, &args, &sg));
	r = store_staged_write(sg, data, len, 0);
	free(data);
	if (!r)
		r = store_staged_cost_set(sg, cost_s);
	if (!r)
		r = store_publish(sg, branch, name, false, &ino, NULL);
	store_staged_free(sg);
	assert_ok(r);
	return ino;
}

/* prefix0, prefix1, … */
static void fill(struct store *st, uint64_t branch, const char *prefix, int count,
		 double cost_s)
{
	for (int i = 0; i < count; i++) {
		char name[32];

		snprintf(name, sizeof(name), "%s%d", prefix, i);
		put(st, branch, name, ENTRY, cost_s);
	}
}

static int count(struct store *st, uint64_t branch, const char *prefix, int of)
{
	int found = 0;

	for (int i = 0; i < of; i++) {
		struct store_attr attr;
		char name[32];

		snprintf(name, sizeof(name), "%s%d", prefix, i);
		found += !store_lookup_expired(st, branch, name, &attr);
	}
	return found;
}

static void set_size(struct store *st, uint64_t size_bytes, enum store_policy policy)
{
	const struct store_options opt = {.size_bytes = size_bytes, .policy = policy};

	store_set_bounds(st, &opt);
}

static uint64_t total(struct store *st)
{
	struct store_bounds b;

	store_bounds(st, &b);
	return b.total_bytes;
}

/* A size of which the store takes so many hundredths. */
static void set_percent(struct store *st, unsigned int percent, enum store_policy policy)
{
	assert_ok(store_settle(st));
	set_size(st, total(st) * 100 / percent, policy);
}

static void by_hand(struct store *st)
{
	evict_stop(st);
	evict_seed(st, 1);
}

/* Steps until nothing is above its mark; whether it came to that. */
static bool evict_all(struct store *st, size_t *ret_dropped)
{
	struct evict_step step = {0};

	*ret_dropped = 0;
	for (int i = 0; i < STEPS_MAX && !step.idle; i++) {
		assert_ok(evict_step(st, &step));
		*ret_dropped += step.dropped;
	}
	return step.idle;
}

static size_t evict_to_mark(struct store *st)
{
	size_t dropped;

	assert_true(evict_all(st, &dropped));
	return dropped;
}

/* ---- what is told ---- */

struct told {
	atomic_int why[3];
	_Atomic uint64_t bytes;
	atomic_int wrong;
	struct store *st;
};

static void tell(void *arg, const struct store_dropped *what)
{
	struct told *told = arg;
	struct store_attr attr;

	atomic_fetch_add(&told->why[what->why], 1);
	atomic_fetch_add(&told->bytes, what->bytes);
	/* The name leads to it no more. */
	if (!store_lookup_expired(told->st, what->branch, what->name, &attr) &&
	    attr.ino == what->ino)
		atomic_fetch_add(&told->wrong, 1);
}

static void watch(struct store *st, struct told *told)
{
	const struct store_watch w = {.dropped = tell, .arg = told};

	*told = (struct told){.st = st};
	store_watch(st, &w);
}

/* ---- tests ---- */

static void wait_below(struct store *st, uint64_t bytes)
{
	/* As long as the slowest machine may take; it takes milliseconds. */
	for (int i = 0; i < 600 && total(st) > bytes; i++)
		usleep(100 * 1000);
	assert_true(total(st) <= bytes);
}

/* The thread does it by itself, and says what it did. */
static void test_below_the_low_mark(void **state)
{
	struct store *st = store_of(state);
	struct store_bounds b;
	struct told told;
	int left;

	fill(st, ROOT, "f", 1000, 1);
	watch(st, &told);
	set_percent(st, 120, STORE_GDSF);
	store_bounds(st, &b);
	wait_below(st, b.low_bytes);
	evict_stop(st);
	store_watch(st, NULL);
	left = count(st, ROOT, "f", 1000);
	assert_int_equal(atomic_load(&told.why[STORE_DROP_EVICTED]), 1000 - left);
	assert_int_equal(atomic_load(&told.wrong), 0);
	assert_int_equal(atomic_load(&told.bytes), (1000 - left) * (ENTRY + 512));
	/* No more than it must. */
	assert_true(total(st) + 200 * 1024 > b.low_bytes);
}

static void test_nothing_below_the_mark(void **state)
{
	struct store *st = store_of(state);

	by_hand(st);
	fill(st, ROOT, "f", 100, 1);
	set_percent(st, 90, STORE_GDSF);
	assert_int_equal(evict_to_mark(st), 0);
	set_size(st, STORE_SIZE_NONE, STORE_GDSF);
	assert_int_equal(evict_to_mark(st), 0);
	assert_int_equal(count(st, ROOT, "f", 100), 100);
}

static void test_cheap_before_dear(void **state)
{
	struct store *st = store_of(state);

	by_hand(st);
	for (int i = 0; i < 10; i++) {
		char prefix[16];

		snprintf(prefix, sizeof(prefix), "dear%d-", i);
		fill(st, ROOT, prefix, 20, 50);
		snprintf(prefix, sizeof(prefix), "cheap%d-", i);
		fill(st, ROOT, prefix, 20, 0.01);
	}
	set_percent(st, 130, STORE_GDSF);
	assert_true(evict_to_mark(st) > 50);
	for (int i = 0; i < 10; i++) {
		char prefix[16];

		snprintf(prefix, sizeof(prefix), "dear%d-", i);
		assert_int_equal(count(st, ROOT, prefix, 20), 20);
	}
}

/* By the last use alone; and the policy may change while it runs. */
static void test_lru_takes_the_old(void **state)
{
	struct store *st = store_of(state);

	by_hand(st);
	fill(st, ROOT, "old", 200, 50);
	fill(st, ROOT, "new", 200, 0.01);
	set_percent(st, 120, STORE_LRU);
	assert_true(evict_to_mark(st) > 50);
	assert_true(count(st, ROOT, "old", 200) < 160);
	assert_int_equal(count(st, ROOT, "new", 200), 200);
	set_percent(st, 120, STORE_GDSF);
	evict_to_mark(st);
	assert_true(count(st, ROOT, "new", 200) < 160);
}

static void hit(struct store *st, uint64_t ino)
{
	struct store_gen *gen;

	assert_ok(store_gen_open(st, ino, &gen));
	store_gen_hit(gen);
	store_gen_close(gen);
}

static void hit_all(struct store *st, const char *prefix, int of)
{
	for (int i = 0; i < of; i++) {
		char name[32];

		snprintf(name, sizeof(name), "%s%d", prefix, i);
		hit(st, lookup(st, ROOT, name));
	}
}

/* Reads count before they are written, and after. */
static void test_reads_keep_it(void **state)
{
	struct store *st = store_of(state);

	by_hand(st);
	fill(st, ROOT, "a", 200, 1);
	fill(st, ROOT, "b", 200, 1);
	hit_all(st, "a", 100);
	assert_ok(store_settle(st));
	for (int i = 100; i < 200; i++) {
		char name[32];

		snprintf(name, sizeof(name), "a%d", i);
		hit(st, lookup(st, ROOT, name));
	}
	set_percent(st, 120, STORE_GDSF);
	assert_true(evict_to_mark(st) > 50);
	assert_int_equal(count(st, ROOT, "a", 200), 200);
}

static void test_expired_first(void **state)
{
	struct store *st = store_of(state);
	struct told told;
	uint64_t dir;
	size_t dropped;

	by_hand(st);
	dir = make_dir(st, ROOT, "short");
	fill(st, ROOT, "f", 300, 0.001);
	fill(st, dir, "e", 200, 1000);
	set_ttl_ms(st, dir, 1);
	sleep_until(time_now_ns() + 20 * 1000 * 1000);
	watch(st, &told);
	set_percent(st, 120, STORE_GDSF);
	dropped = evict_to_mark(st);
	assert_true(dropped > 50 && dropped < 200);
	assert_int_equal(count(st, ROOT, "f", 300), 300);
	assert_int_equal(atomic_load(&told.why[STORE_DROP_EXPIRED]), (int)dropped);
	store_watch(st, NULL);
}

/* All that may go goes; the rest stays, and what is released goes then. */
static void test_pinned_open_and_reserved_stay(void **state)
{
	struct store *st = store_of(state);
	struct store_gen *gen;
	uint64_t dir, own, pinned;
	size_t dropped;
	bool is;

	by_hand(st);
	dir = make_dir(st, ROOT, "dir");
	assert_ok(store_setting_set(st, dir, STORE_SETTING_PIN, "yes"));
	fill(st, dir, "p", 20, 1);
	own = put(st, ROOT, "own", ENTRY, 0);
	assert_ok(store_pin_set(st, own, true));
	assert_ok(store_gen_open(st, put(st, ROOT, "open", ENTRY, 0), &gen));
	put(st, ROOT, "reserved", ENTRY, 0);
	assert_ok(
	    store_lease_acquire(st, ROOT, "reserved", "me", 3600 * NSEC_PER_SEC, NULL));
	fill(st, ROOT, "f", 50, 100);
	set_size(st, 4096, STORE_GDSF);
	assert_false(evict_all(st, &dropped));
	assert_int_equal(dropped, 50);
	assert_int_equal(count(st, dir, "p", 20), 20);
	assert_true(lookup(st, ROOT, "own") && lookup(st, ROOT, "open") &&
		    lookup(st, ROOT, "reserved"));

	assert_ok(store_setting_set(st, dir, STORE_SETTING_PIN, ""));
	pinned = lookup(st, dir, "p0");
	assert_ok(store_pin_set(st, pinned, true));
	assert_ok(store_pin_get(st, pinned, &is));
	assert_true(is);
	store_gen_close(gen);
	assert_ok(store_lease_release(st, ROOT, "reserved", "me"));
	/* It pauses when it finds nothing. */
	for (int i = 0; i < 100 && dropped < 71; i++) {
		size_t more;

		usleep(50 * 1000);
		evict_all(st, &more);
		dropped += more;
	}
	assert_int_equal(dropped, 71);
	assert_int_equal(lookup(st, dir, "p0"), pinned);
	assert_int_equal(lookup(st, ROOT, "own"), own);
}

/* What was seen before may be worth something else by now. */
static void test_changes_count(void **state)
{
	struct store *st = store_of(state);
	struct evict_step step;

	by_hand(st);
	fill(st, ROOT, "a", 100, 100);
	fill(st, ROOT, "b", 100, 100);
	set_percent(st, 97, STORE_GDSF); /* a look, and a few go */
	assert_ok(evict_step(st, &step));
	for (int i = 0; i < 100; i++) {
		struct store_attr attr;
		char name[32];

		snprintf(name, sizeof(name), "b%d", i);
		if (!store_lookup(st, ROOT, name, &attr))
			assert_ok(store_cost_set(st, attr.ino, 0.001));
	}
	set_size(st, total(st) / 2, STORE_GDSF);
	evict_to_mark(st);
	assert_int_equal(count(st, ROOT, "b", 100), 0);
	assert_true(count(st, ROOT, "a", 100) > 50);
}

/* What a running job has read goes when there is nothing else. */
static void test_read_under_a_reservation(void **state)
{
	struct store *st = store_of(state);
	size_t dropped;

	by_hand(st);
	fill(st, ROOT, "read", 100, 0.001);
	fill(st, ROOT, "other", 100, 1000);
	assert_ok(store_lease_acquire(st, ROOT, "job", "me", 3600 * NSEC_PER_SEC, NULL));
	sleep_until(time_now_ns() + 1000 * 1000);
	hit_all(st, "read", 100);
	set_percent(st, 150, STORE_GDSF);
	assert_true(evict_to_mark(st) > 60);
	assert_int_equal(count(st, ROOT, "read", 100), 100);
	set_size(st, 4096, STORE_GDSF);
	evict_all(st, &dropped);
	assert_int_equal(count(st, ROOT, "read", 100), 0);
}

static void test_pin_is_inherited_and_hidden(void **state)
{
	struct store *st = store_of(state);
	CLEANUP_BUF struct buf names = BUF_INIT;
	uint64_t ino = put(st, ROOT, "f", 100, 1), next;
	struct store_staged *sg;
	bool is = true;

	assert_ok(store_pin_get(st, ino, &is));
	assert_false(is);
	assert_ok(store_xattr_set(st, ino, "user.a", slice("1", 1), 0));
	assert_ok(store_pin_set(st, ino, true));
	assert_ok(store_pin_set(st, ino, true));
	assert_ok(store_xattr_list(st, ino, &names));
	assert_int_equal(names.len, sizeof("user.a"));
	assert_int_equal(store_xattr_get(st, ino, "user.cache.pin", &names), -ENODATA);
	assert_int_equal(store_xattr_remove(st, ino, "user.cache.pin"), -EINVAL);
	assert_int_equal(store_xattr_set(st, ino, "user.cache.pin", slice("", 0), 0),
			 -EINVAL);
	sg = stage_over(st, ino, true);
	assert_ok(store_staged_write(sg, "new", 3, 0));
	next = publish(sg, "f");
	assert_int_not_equal(next, ino);
	assert_ok(store_pin_get(st, next, &is));
	assert_true(is);
	assert_ok(store_pin_set(st, next, false));
	assert_ok(store_pin_set(st, next, false));
	assert_ok(store_pin_get(st, next, &is));
	assert_false(is);
	assert_int_equal(store_pin_set(st, ROOT, true), -EINVAL);
	assert_int_equal(store_pin_get(st, ROOT, &is), -EINVAL);
	assert_int_equal(store_pin_set(st, ino, true), -ENOENT);
}

/* A tree that is being built loses nothing; a finished one goes whole. */
static void test_trees(void **state)
{
	struct store *st = store_of(state);
	uint64_t stage, tree, file;
	struct store_gen *gen;
	size_t dropped;

	by_hand(st);
	assert_ok(store_stage_dir(st, ROOT, true, &stage));
	stage = make_dir(st, stage, "building");
	fill(st, stage, "part", 20, 0.001);
	put_tree(st, "open", 100000);
	file = in_tree(st, lookup(st, ROOT, "open"), "bin/tool");
	assert_ok(store_gen_open(st, file, &gen));
	/* Its index stays in memory, and keeps nothing. */
	tree = put_tree(st, "idle", 100000);
	assert_true(in_tree(st, tree, "data/big") != 0);
	set_size(st, 4096, STORE_GDSF);
	assert_false(evict_all(st, &dropped));
	assert_int_equal(dropped, 1);
	assert_int_equal(lookup(st, ROOT, "idle"), 0);
	assert_true(lookup(st, ROOT, "open") != 0);
	assert_int_equal(count(st, stage, "part", 20), 20);
	store_gen_close(gen);
}

static void test_quota_takes_its_own(void **state)
{
	struct store *st = store_of(state);
	struct store_quota q;
	uint64_t a, b, inner;

	by_hand(st);
	a = make_dir(st, ROOT, "a");
	b = make_dir(st, ROOT, "b");
	inner = make_dir(st, a, "inner");
	assert_ok(store_setting_set(st, a, STORE_SETTING_QUOTA, "1M"));
	fill(st, ROOT, "f", 200, 0.001);
	fill(st, b, "f", 100, 0.001);
	fill(st, a, "f", 110, 1);
	fill(st, inner, "f", 110, 0.1);
	assert_ok(store_settle(st));
	assert_ok(store_quota(st, inner, &q));
	assert_true(q.counted && q.used_bytes > q.quota_bytes * 95 / 100);
	assert_true(evict_to_mark(st) > 10);
	assert_ok(store_quota(st, inner, &q));
	assert_true(q.used_bytes < q.quota_bytes * 95 / 100);
	assert_int_equal(count(st, ROOT, "f", 200), 200);
	assert_int_equal(count(st, b, "f", 100), 100);
	assert_int_equal(count(st, a, "f", 110), 110);
	assert_true(count(st, inner, "f", 110) < 100);
	/* One inside the other. */
	assert_ok(store_setting_set(st, inner, STORE_SETTING_QUOTA, "128K"));
	assert_ok(store_settle(st));
	assert_true(evict_to_mark(st) > 10);
	assert_int_equal(count(st, a, "f", 110), 110);
	assert_true(count(st, inner, "f", 110) < 30);
}

/* Another one has nothing that may go: nobody else pays for that. */
static void test_quota_that_cannot_be_kept(void **state)
{
	struct store *st = store_of(state);
	uint64_t dirs[2];
	size_t dropped;

	by_hand(st);
	dirs[0] = make_dir(st, ROOT, "a");
	dirs[1] = make_dir(st, ROOT, "b");
	/* Whichever is looked at first. */
	for (int stuck = 0; stuck < 2; stuck++) {
		uint64_t other = dirs[!stuck];

		assert_ok(store_setting_set(st, dirs[stuck], STORE_SETTING_PIN, "yes"));
		fill(st, dirs[0], "f", 100, 1);
		fill(st, dirs[1], "f", 100, 1);
		assert_ok(store_setting_set(st, dirs[0], STORE_SETTING_QUOTA, "100K"));
		assert_ok(store_setting_set(st, dirs[1], STORE_SETTING_QUOTA, "100K"));
		assert_ok(store_settle(st));
		(void)evict_all(st, &dropped);
		assert_true(dropped > 60);
		assert_int_equal(count(st, dirs[stuck], "f", 100), 100);
		assert_true(count(st, other, "f", 100) < 40);
		for (int i = 0; i < 2; i++)
			assert_ok(
			    store_setting_set(st, dirs[i], STORE_SETTING_QUOTA, ""));
		assert_ok(store_setting_set(st, dirs[stuck], STORE_SETTING_PIN, ""));
	}
}

static void test_damaged_row_stops_nothing(void **state)
{
	struct store *st = store_of(state);
	CLEANUP_BATCH struct batch b = BATCH_INIT;

	by_hand(st);
	fill(st, ROOT, "f", 100, 1);
	for (int i = 0; i < 10; i++) {
		char name[32];
		struct key key;

		snprintf(name, sizeof(name), "f%d", i * 10);
		key = key_ino(lookup(st, ROOT, name));
		batch_put(&b, TABLE_INODE, key_slice(&key), slice("garbage", 7));
	}
	assert_ok(backend_commit(st->be, &b));
	set_percent(st, 200, STORE_GDSF);
	assert_true(evict_to_mark(st) >= 50);
}

/* L is kept: what was dear long ago is not dear for ever. */
static void test_restart_keeps_the_order(void **state)
{
	struct fixture *fx = *state;
	struct priority_history h;
	CLEANUP_BUF struct buf raw = BUF_INIT;

	if (fx->kind == STORE_MEMORY)
		return;
	by_hand(fx->st);
	fill(fx->st, ROOT, "old", 100, 1);
	fill(fx->st, ROOT, "dear", 200, 100);
	set_size(fx->st, total(fx->st) / 2, STORE_GDSF);
	evict_to_mark(fx->st); /* of the dear ones, too: L is theirs now */
	assert_int_equal(count(fx->st, ROOT, "old", 100), 0);
	set_size(fx->st, STORE_SIZE_NONE, STORE_GDSF);
	fixture_close(fx);
	fixture_open(fx);
	by_hand(fx->st);
	assert_ok(backend_get(fx->st->be, TABLE_META, slice_str("evict-history"), &raw));
	assert_ok(priority_decode(buf_slice(&raw), &h));
	assert_true(priority_level(&h, time_now_ns()) > 50.0 / (ENTRY + 512));
	/* New ones are above the old, although they cost less. */
	fill(fx->st, ROOT, "new", 50, 10);
	set_percent(fx->st, 110, STORE_GDSF);
	assert_true(evict_to_mark(fx->st) > 5);
	assert_int_equal(count(fx->st, ROOT, "new", 50), 50);
}

/* ---- all at once ---- */

struct busy {
	struct store *st;
	atomic_bool stop;
	atomic_int wrong, hits;
};

static void *write_busily(void *arg)
{
	struct busy *busy = arg;

	for (int i = 0; i < 3000; i++) {
		struct store_stage_args args = {.branch = ROOT, .mode = 0644};
		struct store_staged *sg;
		char name[32];
		int r;

		snprintf(name, sizeof(name), "n%d", i);
		if (store_stage(busy->st, &args, &sg))
			continue;
		r = store_staged_write(sg, name, sizeof(name), 0);
		if (!r)
			r = store_publish(sg, ROOT, name, false, NULL, NULL);
		store_staged_free(sg);
		if (r && r != -ENOSPC)
			atomic_fetch_add(&busy->wrong, 1);
	}
	atomic_store(&busy->stop, true);
	return NULL;
}

static void read_one(struct busy *busy, unsigned int i)
{
	char name[32] = {0}, data[32];
	struct store_attr attr;
	struct store_gen *gen;
	size_t len;

	snprintf(name, sizeof(name), "n%u", i % 3000);
	if (store_lookup(busy->st, ROOT, name, &attr) ||
	    store_gen_open(busy->st, attr.ino, &gen))
		return;
	store_gen_hit(gen);
	/* What is open can be read, whatever becomes of the name. */
	if (store_gen_read(gen, data, sizeof(data), 0, &len) || len != sizeof(data) ||
	    strcmp(data, name))
		atomic_fetch_add(&busy->wrong, 1);
	store_gen_close(gen);
	atomic_fetch_add(&busy->hits, 1);
}

static void *read_busily(void *arg)
{
	struct busy *busy = arg;

	for (unsigned int i = 0; !atomic_load(&busy->stop); i += 7)
		read_one(busy, i);
	return NULL;
}

static void test_busy(void **state)
{
	struct busy busy = {.st = store_of(state)};
	struct store_bounds b;
	pthread_t threads[3];
	struct told told;

	watch(busy.st, &told);
	set_size(busy.st, 1024 * 1024, STORE_GDSF);
	for (int i = 0; i < 3; i++)
		assert_ok(pthread_create(&threads[i], NULL,
					 i ? read_busily : write_busily, &busy));
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(atomic_load(&busy.wrong), 0);
	assert_int_equal(atomic_load(&told.wrong), 0);
	assert_true(atomic_load(&told.why[STORE_DROP_EVICTED]) > 500);
	store_bounds(busy.st, &b);
	assert_true(b.total_bytes <= b.size_bytes);
	store_watch(busy.st, NULL);
}

int main(int argc, char **argv)
{
	struct CMUnitTest tests[] = {
	    STORE_TEST(test_below_the_low_mark),
	    STORE_TEST(test_nothing_below_the_mark),
	    STORE_TEST(test_cheap_before_dear),
	    STORE_TEST(test_lru_takes_the_old),
	    STORE_TEST(test_reads_keep_it),
	    STORE_TEST(test_expired_first),
	    STORE_TEST(test_pinned_open_and_reserved_stay),
	    STORE_TEST(test_changes_count),
	    STORE_TEST(test_read_under_a_reservation),
	    STORE_TEST(test_pin_is_inherited_and_hidden),
	    STORE_TEST(test_trees),
	    STORE_TEST(test_quota_takes_its_own),
	    STORE_TEST(test_quota_that_cannot_be_kept),
	    STORE_TEST(test_damaged_row_stops_nothing),
	    STORE_TEST(test_restart_keeps_the_order),
	    STORE_TEST(test_busy),
	};

	return fixture_main(argc, argv, tests, sizeof(tests) / sizeof(*tests));
}
