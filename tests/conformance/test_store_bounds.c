/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a store takes and may take: counters against a walk over all rows, the size,
 * quotas, the largest entry. Everything is pinned, so that nothing is evicted but what is
 * refused.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/evict.h"
#include "store/internal.h"
#include "tests/conformance/store_check.h"
#include "tests/conformance/store_fixture.h"

#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)
#define ROWS USAGE_ROWS_BYTES

static struct fixture *pinned(void **state, uint64_t size_bytes)
{
	struct fixture *fx = *state;

	fixture_close(fx);
	fx->size_bytes = size_bytes;
	fixture_open(fx);
	fx->st->room.wait_ns = 0; /* nothing will come */
	assert_ok(store_setting_set(fx->st, ROOT, STORE_SETTING_PIN, "yes"));
	return fx;
}

static void set_quota(struct store *st, uint64_t dir, uint64_t bytes)
{
	char text[32];

	snprintf(text, sizeof(text), "%llu", (unsigned long long)bytes);
	assert_ok(store_setting_set(st, dir, STORE_SETTING_QUOTA, bytes ? text : ""));
}

/* Of so many bytes that are not zero; returns what failed first. */
static int write_value(struct store *st, uint64_t branch, const char *name, size_t size)
{
	struct store_stage_args args = {.branch = branch, .mode = 0644};
	struct store_staged *sg = NULL;
	char *data = malloc(size + 1);
	size_t done = 0;
	int r;

	assert_non_null(data);
	memset(data, 'x', size + 1);
	assert_ok(store_stage(st, &args, &sg));
	r = size ? 0 : store_staged_truncate(sg, 0);
	while (!r && done < size) {
		size_t n = size - done < 128 * KIB ? size - done : 128 * KIB;

		r = store_staged_write(sg, data, n, done);
		done += n;
	}
	if (!r)
		r = store_staged_flush(sg, branch, name);
	if (!r)
		r = store_publish(sg, branch, name, false, NULL, NULL);
	store_staged_free(sg);
	free(data);
	return r;
}

static struct store_bounds bounds_of(struct store *st)
{
	struct store_bounds bounds;

	store_bounds(st, &bounds);
	return bounds;
}

static uint64_t quota_used(struct store *st, uint64_t branch)
{
	struct store_quota quota;

	assert_ok(store_quota(st, branch, &quota));
	assert_true(quota.counted);
	return quota.used_bytes;
}

/* ---- counters against a walk ---- */

static bool is_below(struct store *st, uint64_t branch, uint64_t dir)
{
	uint64_t owner, above;

	while (branch) {
		if (policy_place(st, branch, &owner, &above))
			return false; /* it waits for gc */
		if (owner == dir)
			return true;
		branch = above;
	}
	return false;
}

/* Charges of all that is below a directory, as its path leads there. */
static uint64_t walk(struct store *st, uint64_t dir)
{
	struct backend_iter *it;
	struct inode_row row;
	uint64_t sum = 0;

	assert_ok(backend_iter_new(st->be, TABLE_INODE, &it));
	for (backend_iter_seek(it, slice("", 0)); backend_iter_valid(it);
	     backend_iter_next(it)) {
		assert_ok(inode_decode(backend_iter_value(it), &row));
		if (row.parent_branch && is_below(st, row.parent_branch, dir))
			sum += core_charge(&row.core);
	}
	assert_ok(backend_iter_status(it));
	backend_iter_free(it);
	return sum;
}

enum { DIRS = 6, NAMES = 8 };
struct model {
	struct store *st;
	unsigned int seed;
	uint64_t dirs[DIRS]; /* the first two have quotas, one in the other */
};

static unsigned int pick(struct model *m, unsigned int below)
{
	m->seed = m->seed * 1103515245 + 12345;
	return (m->seed >> 16) % below;
}

static const char *name_of(char name[16], const char *prefix, unsigned int i)
{
	snprintf(name, 16, "%s%u", prefix, i);
	return name;
}

static uint64_t some_branch(struct model *m)
{
	static const char *const versions[] = {NULL, "", "v1"};
	uint64_t branch;

	return store_branch(m->st, m->dirs[pick(m, DIRS)], versions[pick(m, 3)], true,
			    &branch)
		   ? ROOT
		   : branch;
}

/* A sealed tree, by building it in the directory's stage. */
static void seal_something(struct model *m, uint64_t dir, const char *name)
{
	const struct store_sealer by = {0};
	uint64_t stage;

	if (store_stage_dir(m->st, dir, true, &stage))
		return;
	(void)store_rmdir(m->st, stage, "tree");
	struct store_attr attr;
	if (store_mkdir(m->st, stage, "tree", 0755, 0, 0, &attr))
		return;
	(void)write_value(m->st, attr.ino, "a", 100 + pick(m, 50000));
	(void)write_value(m->st, attr.ino, "b", pick(m, 100));
	(void)store_seal(m->st, stage, "tree", dir, name, false, &by, NULL, NULL);
}

static void one_step(struct model *m)
{
	uint64_t a = some_branch(m), b = some_branch(m);
	struct store_attr attr;
	char one[16], two[16];

	name_of(one, "n", pick(m, NAMES));
	name_of(two, "n", pick(m, NAMES));
	switch (pick(m, 12)) {
	case 0:
	case 1:
	case 2:
		(void)write_value(m->st, a, one, pick(m, 4) ? pick(m, 3000) : 200000);
		break;
	case 3:
		(void)store_unlink(m->st, a, one);
		break;
	case 4:
		(void)store_rename(m->st, a, one, b, two, 0, NULL);
		break;
	case 5:
		(void)store_rename(m->st, a, one, b, two, STORE_RENAME_EXCHANGE, NULL);
		break;
	case 6:
		(void)store_symlink(m->st, a, one, "where", 0, 0, &attr);
		break;
	case 7:
		(void)store_mkdir(m->st, a, name_of(two, "d", pick(m, 3)), 0755, 0, 0,
				  &attr);
		break;
	case 8:
		(void)store_rmdir(m->st, a, name_of(two, "d", pick(m, 3)));
		break;
	case 9: /* what has expired, and other versions, go with the directory */
		if (!store_lookup(m->st, a, name_of(two, "d", pick(m, 3)), &attr) &&
		    !write_value(m->st, attr.ino, "x", 1000) &&
		    !store_lookup(m->st, attr.ino, "x", &attr))
			set_ttl_ms(m->st, attr.ino, 0);
		break;
	case 10:
		seal_something(m, m->dirs[pick(m, DIRS)], one);
		break;
	default:
		(void)store_rename(m->st, a, name_of(one, "d", pick(m, 3)), b,
				   name_of(two, "d", pick(m, 3)), 0, NULL);
	}
}

static void check_counters(struct model *m)
{
	check_settled(m->st);
	assert_int_equal(bounds_of(m->st).used_bytes, walk(m->st, ROOT));
	assert_int_equal(bounds_of(m->st).staged_bytes, 0);
	for (int i = 0; i < 2; i++)
		assert_int_equal(quota_used(m->st, m->dirs[i]), walk(m->st, m->dirs[i]));
}

static void test_counters(void **state)
{
	struct fixture *fx = *state;
	struct model m = {.st = fx->st, .seed = 7};

	m.dirs[0] = make_dir(fx->st, ROOT, "outer");
	m.dirs[1] = make_dir(fx->st, m.dirs[0], "inner");
	m.dirs[2] = make_dir(fx->st, m.dirs[1], "deep");
	m.dirs[3] = make_dir(fx->st, m.dirs[0], "beside");
	m.dirs[4] = make_dir(fx->st, ROOT, "other");
	m.dirs[5] = ROOT;
	set_quota(fx->st, m.dirs[0], 4 * MIB);
	set_quota(fx->st, m.dirs[1], 2 * MIB);
	assert_ok(store_settle(fx->st));
	for (int i = 0; i < 1200; i++) {
		one_step(&m);
		if (i % 200 == 199)
			check_counters(&m);
	}
	if (fx->kind == STORE_MEMORY)
		return;
	fixture_close(fx);
	fixture_open(fx);
	m.st = fx->st;
	for (int i = 0; i < 2; i++) /* also before anything is counted anew */
		assert_int_equal(quota_used(m.st, m.dirs[i]), walk(m.st, m.dirs[i]));
	check_counters(&m);
}

/* ---- the size ---- */

static void test_size(void **state)
{
	struct fixture *fx = pinned(state, 4 * MIB);
	struct store_attr attr;
	char name[16];
	int r = 0, i;

	for (i = 0; !r && i < 1000; i++) {
		r = write_value(fx->st, ROOT, name_of(name, "f", (unsigned int)i),
				i % 2 ? 100 * KIB : 8 * KIB);
		assert_true(bounds_of(fx->st).total_bytes <= 4 * MIB);
	}
	assert_int_equal(r, -ENOSPC);
	assert_true(i > 60);
	assert_int_equal(store_mkdir(fx->st, ROOT, "d", 0755, 0, 0, &attr), 0);
	check_settled(fx->st);
	assert_int_equal(bounds_of(fx->st).staged_bytes, 0);
	assert_int_not_equal(lookup(fx->st, ROOT, "f0"), 0);
	assert_int_equal(lookup(fx->st, ROOT, name), 0);

	/* What is removed makes room at once, also where only rows are taken. */
	for (i = 0; i < 8; i++)
		assert_ok(
		    store_unlink(fx->st, ROOT, name_of(name, "f", (unsigned int)i)));
	assert_ok(write_value(fx->st, ROOT, "again", 300 * KIB));
	assert_true(bounds_of(fx->st).total_bytes <= 4 * MIB);
}

static void test_rows_are_bounded(void **state)
{
	struct fixture *fx = pinned(state, 64 * KIB);
	struct store_attr attr;
	char name[16];
	int r = 0, i;

	for (i = 0; !r && i < 1000; i++)
		r = store_mkdir(fx->st, ROOT, name_of(name, "d", (unsigned int)i), 0755,
				0, 0, &attr);
	assert_int_equal(r, -ENOSPC);
	assert_true(i > 100);
	assert_true(bounds_of(fx->st).total_bytes <= 64 * KIB);
	assert_ok(store_rmdir(fx->st, ROOT, "d0"));
}

static void test_changed_while_open(void **state)
{
	struct fixture *fx = pinned(state, 1 * MIB);
	struct store_options opt = fixture_options(fx);

	assert_int_equal(bounds_of(fx->st).max_entry_bytes, 512 * KIB);
	assert_int_equal(write_value(fx->st, ROOT, "f", 600 * KIB), -EFBIG);
	opt.size_bytes = 4 * MIB;
	store_set_bounds(fx->st, &opt);
	assert_int_equal(bounds_of(fx->st).size_bytes, 4 * MIB);
	assert_ok(write_value(fx->st, ROOT, "f", 600 * KIB));
	opt.size_bytes = 100 * KIB;
	store_set_bounds(fx->st, &opt);
	assert_int_equal(write_value(fx->st, ROOT, "g", 10 * KIB), -ENOSPC);
	assert_true(store_pressure_ns(fx->st, 1) > 0);
	assert_true(usage_excess(fx->st) > (int64_t)(500 * KIB));
	opt.size_bytes = STORE_SIZE_NONE;
	store_set_bounds(fx->st, &opt);
	assert_ok(write_value(fx->st, ROOT, "g", 10 * KIB));
	assert_int_equal(store_pressure_ns(fx->st, MIB), 0);
}

static void test_pressure(void **state)
{
	struct fixture *fx = pinned(state, 8 * MIB);
	struct store_bounds b = bounds_of(fx->st);
	char name[16];
	int64_t before = 0;

	assert_true(b.low_bytes < b.high_bytes && b.high_bytes < b.size_bytes);
	assert_int_equal(store_pressure_ns(fx->st, MIB), 0);
	for (unsigned int i = 0; bounds_of(fx->st).total_bytes <= b.high_bytes; i++)
		assert_ok(write_value(fx->st, ROOT, name_of(name, "f", i), 64 * KIB));
	for (unsigned int i = 0; i < 4; i++) {
		int64_t ns = store_pressure_ns(fx->st, MIB);

		assert_true(ns >= before && ns <= NSEC_PER_SEC);
		before = ns;
		assert_ok(write_value(fx->st, ROOT, name_of(name, "g", i), 32 * KIB));
	}
	assert_true(before > 0);
	/* Bytes that go are counted as gone, whether their extents are or not. */
	assert_true(usage_excess(fx->st) > 0);
	for (unsigned int i = 0; i < 40; i++)
		(void)store_unlink(fx->st, ROOT, name_of(name, "f", i));
	assert_int_equal(usage_excess(fx->st), 0);
}

/* ---- by several threads, with eviction ---- */

enum { WRITERS = 3, ROUNDS = 120 };
#define RACE_SIZE (4 * MIB)
#define RACE_QUOTA (1 * MIB)

struct race {
	struct store *st;
	uint64_t dirs[2]; /* the second has a quota */
	atomic_bool stop;
	atomic_int stored, refused, wrong, passed;
};

/* As write_value(), without asserting. */
static int try_value(struct store *st, uint64_t branch, const char *name, size_t size,
		     const char *data)
{
	struct store_stage_args args = {.branch = branch, .mode = 0644};
	struct store_staged *sg;
	int r = store_stage(st, &args, &sg);

	if (r)
		return r;
	for (size_t done = 0; !r && done < size; done += 64 * KIB)
		r = store_staged_write(sg, data, 64 * KIB, done);
	if (!r)
		r = store_staged_flush(sg, branch, name);
	if (!r)
		r = store_publish(sg, branch, name, false, NULL, NULL);
	store_staged_free(sg);
	return r;
}

static void *write_many(void *arg)
{
	static _Atomic unsigned int number;
	struct race *race = arg;
	char *data = calloc(1, 64 * KIB), name[16];

	for (int i = 0; data && i < ROUNDS; i++) {
		unsigned int n = number++;
		int r = try_value(race->st, race->dirs[n % 2], name_of(name, "r", n % 90),
				  (1 + n % 4) * 64 * KIB, data);

		if (!r)
			race->stored++;
		else if (r == -ENOSPC || r == -EDQUOT)
			race->refused++;
		else
			race->wrong++;
	}
	free(data);
	return NULL;
}

static void *watch(void *arg)
{
	const struct timespec step = {.tv_nsec = 100 * 1000};
	struct race *race = arg;
	struct store_quota quota;

	while (!atomic_load(&race->stop)) {
		struct store_bounds b = bounds_of(race->st);

		/* What is just being published is seen twice for a moment. */
		if (b.used_bytes + b.dead_bytes > RACE_SIZE ||
		    b.total_bytes > RACE_SIZE + WRITERS * 300 * KIB)
			race->passed++;
		if (store_quota(race->st, race->dirs[1], &quota) || !quota.counted ||
		    quota.used_bytes > RACE_QUOTA)
			race->passed++;
		nanosleep(&step, NULL);
	}
	return NULL;
}

static void test_together(void **state)
{
	struct fixture *fx = *state;
	struct race race = {0};
	pthread_t writers[WRITERS], watcher;

	fixture_close(fx);
	fx->size_bytes = RACE_SIZE;
	fixture_open(fx);
	race.st = fx->st;
	race.dirs[0] = make_dir(fx->st, ROOT, "a");
	race.dirs[1] = make_dir(fx->st, ROOT, "b");
	set_quota(fx->st, race.dirs[1], RACE_QUOTA);
	assert_int_equal(pthread_create(&watcher, NULL, watch, &race), 0);
	for (int i = 0; i < WRITERS; i++)
		assert_int_equal(pthread_create(&writers[i], NULL, write_many, &race), 0);
	for (int i = 0; i < WRITERS; i++)
		pthread_join(writers[i], NULL);
	atomic_store(&race.stop, true);
	pthread_join(watcher, NULL);
	assert_int_equal(race.passed, 0);
	assert_int_equal(race.wrong, 0);
	assert_int_equal(race.stored + race.refused, WRITERS * ROUNDS);
	assert_true(race.stored > 20);
	evict_stop(fx->st); /* which would go on between two looks */
	check_settled(fx->st);
	assert_int_equal(bounds_of(fx->st).staged_bytes, 0);
	assert_int_equal(quota_used(fx->st, race.dirs[1]), walk(fx->st, race.dirs[1]));
}

/* ---- quotas ---- */

static void test_quota_is_exact(void **state)
{
	struct fixture *fx = pinned(state, STORE_SIZE_NONE);
	struct store *st = fx->st;
	uint64_t dir = make_dir(st, ROOT, "q"), inner = make_dir(st, dir, "inner");
	struct store_quota quota;
	struct store_attr attr;
	uint64_t ino;

	assert_int_equal(store_quota(st, dir, &quota), -ENODATA);
	set_quota(st, dir, 3 * ROWS + 10000);
	set_quota(st, inner, 2 * ROWS + 5000);
	assert_ok(store_settle(st));
	assert_int_equal(quota_used(st, dir), ROWS);
	assert_int_equal(quota_used(st, inner), 0);

	assert_ok(write_value(st, inner, "f", 5000));
	assert_int_equal(quota_used(st, inner), ROWS + 5000);
	assert_int_equal(quota_used(st, dir), 2 * ROWS + 5000);
	assert_int_equal(write_value(st, inner, "g", 1), -EDQUOT);
	assert_ok(write_value(st, inner, "g", 0));
	assert_int_equal(write_value(st, inner, "g", 1), -EDQUOT);
	assert_ok(write_value(st, inner, "f", 4999)); /* it replaces itself */
	assert_int_equal(store_mkdir(st, inner, "d", 0755, 0, 0, &attr), -EDQUOT);
	assert_int_equal(store_symlink(st, inner, "l", "t", 0, 0, &attr), -EDQUOT);

	/* The outer one holds for what the inner one would allow. */
	assert_int_equal(write_value(st, dir, "h", 6000), -EDQUOT);
	assert_ok(store_unlink(st, inner, "g"));
	assert_ok(write_value(st, dir, "h", 5001));
	assert_int_equal(quota_used(st, dir), 3 * ROWS + 10000);
	assert_int_equal(write_value(st, inner, "f", 5000), -EDQUOT);
	ino = lookup(st, inner, "f");
	assert_int_equal(attr_of(st, ino).size_bytes, 4999);

	/* Larger than the whole quota: at the write. */
	struct store_stage_args args = {.branch = inner, .mode = 0644};
	struct store_staged *sg;
	assert_ok(store_stage(st, &args, &sg));
	attr.size_bytes = 0;
	int r = store_staged_write(sg, "x", 1, 6023);
	store_staged_free(sg);
	assert_int_equal(r, -EDQUOT);
	set_quota(st, dir, 0);
	set_quota(st, inner, 0);
	assert_int_equal(store_quota(st, inner, &quota), -ENODATA);
	assert_ok(write_value(st, inner, "g", 100000));
	check_settled(st);
}

static void test_quota_moves(void **state)
{
	struct fixture *fx = pinned(state, STORE_SIZE_NONE);
	struct store *st = fx->st;
	uint64_t a = make_dir(st, ROOT, "a"), b = make_dir(st, ROOT, "b"), d;

	set_quota(st, a, MIB);
	set_quota(st, b, ROWS * 2 + 1000);
	d = make_dir(st, a, "d");
	assert_ok(store_settle(st));
	assert_ok(write_value(st, a, "f", 1000));
	assert_ok(write_value(st, a, "g", 800));
	assert_ok(write_value(st, ROOT, "big", 2000));

	assert_int_equal(store_rename(st, a, "d", b, "d", 0, NULL), -EXDEV);
	assert_int_equal(store_rename(st, a, "d", ROOT, "d", 0, NULL), -EXDEV);
	assert_int_equal(
	    store_rename(st, a, "d", ROOT, "big", STORE_RENAME_EXCHANGE, NULL), -EXDEV);
	assert_ok(store_rename(st, a, "d", a, "e", 0, NULL));
	assert_int_equal(lookup(st, a, "e"), d);

	assert_ok(store_rename(st, a, "f", b, "f", 0, NULL));
	assert_int_equal(quota_used(st, b), ROWS + 1000);
	assert_int_equal(quota_used(st, a), 2 * ROWS + 800);
	assert_int_equal(store_rename(st, a, "g", b, "g", 0, NULL), -EDQUOT);
	assert_int_equal(
	    store_rename(st, ROOT, "big", b, "f", STORE_RENAME_EXCHANGE, NULL), -EDQUOT);
	assert_ok(store_rename(st, a, "g", b, "f", 0, NULL)); /* it replaces more */
	assert_int_equal(quota_used(st, b), ROWS + 800);
	assert_int_equal(quota_used(st, a), ROWS);
	assert_ok(store_rename(st, b, "f", ROOT, "f", 0, NULL));
	assert_int_equal(quota_used(st, b), 0);
	assert_int_not_equal(lookup(st, ROOT, "big"), 0);
	check_settled(st);
}

static void test_quota_of_what_is_there(void **state)
{
	struct fixture *fx = pinned(state, STORE_SIZE_NONE);
	struct store *st = fx->st;
	uint64_t dir = make_dir(st, ROOT, "q"), sub = make_dir(st, dir, "sub");
	struct store_quota quota;

	assert_ok(write_value(st, sub, "f", 3000));
	assert_ok(write_value(st, branch_of(st, dir, "v2"), "f", 4000));
	set_quota(st, dir, 5000);
	assert_ok(store_quota(st, sub, &quota));
	assert_int_equal(quota.quota_bytes, 5000);
	assert_ok(store_settle(st));
	assert_int_equal(quota_used(st, sub), 3 * ROWS + 7000);
	assert_int_equal(write_value(st, sub, "g", 0), -EDQUOT);
	/* It may become less, though not more. */
	assert_ok(write_value(st, sub, "f", 10));
	assert_ok(store_unlink(st, sub, "f"));
	assert_int_equal(quota_used(st, sub), 2 * ROWS + 4000);
}

/* A directory that goes takes its other versions along, in the background. */
static void test_quota_of_what_rmdir_leaves(void **state)
{
	struct fixture *fx = pinned(state, STORE_SIZE_NONE);
	struct store *st = fx->st;
	uint64_t dir = make_dir(st, ROOT, "q"), sub = make_dir(st, dir, "sub");

	set_quota(st, dir, MIB);
	assert_ok(store_settle(st));
	assert_ok(write_value(st, branch_of(st, sub, "v2"), "f", 4000));
	assert_int_equal(quota_used(st, dir), 2 * ROWS + 4000);
	assert_ok(store_rmdir(st, dir, "sub"));
	assert_ok(store_settle(st));
	assert_int_equal(quota_used(st, dir), 0);
	check_settled(st);
}

static void test_namespaces(void **state)
{
	struct fixture *fx = *state;
	uint64_t ns = make_dir(fx->st, ROOT, "ns"), sub = make_dir(fx->st, ns, "sub"),
		 ino;

	assert_ok(store_namespace(fx->st, ROOT, &ino));
	assert_int_equal(ino, 0);
	assert_ok(store_namespace(fx->st, sub, &ino));
	assert_int_equal(ino, ns);
	assert_ok(store_namespace(fx->st, branch_of(fx->st, sub, "v"), &ino));
	assert_int_equal(ino, ns);
	assert_ok(store_rename(fx->st, ns, "sub", ROOT, "top", 0, NULL));
	assert_ok(store_namespace(fx->st, sub, &ino));
	assert_int_equal(ino, sub);
	assert_int_equal(store_namespace(fx->st, UINT64_C(1) << 40, &ino), -ENOENT);
}

/* ---- the largest entry ---- */

static void test_max_entry(void **state)
{
	struct fixture *fx = pinned(state, STORE_SIZE_NONE);
	struct store *st = fx->st;
	uint64_t dir = make_dir(st, ROOT, "d");
	struct store_stage_args args = {.branch = dir, .mode = 0644};
	struct store_staged *sg;

	assert_ok(store_setting_set(st, dir, STORE_SETTING_MAX_ENTRY, "10KiB"));
	assert_ok(write_value(st, dir, "f", 10 * KIB));
	assert_int_equal(write_value(st, dir, "f", 10 * KIB + 1), -EFBIG);
	assert_int_equal(attr_of(st, lookup(st, dir, "f")).size_bytes, 10 * KIB);
	assert_ok(write_value(st, ROOT, "f", 11 * KIB));

	assert_ok(store_stage(st, &args, &sg));
	assert_int_equal(store_staged_truncate(sg, 11 * KIB), -EFBIG);
	assert_int_equal(store_staged_allocate(sg, 0, 8 * KIB, 3 * KIB), -EFBIG);
	assert_ok(store_staged_truncate(sg, 10 * KIB));
	assert_ok(store_publish(sg, dir, "g", false, NULL, NULL));
	store_staged_free(sg);

	assert_int_equal(store_setting_set(st, dir, STORE_SETTING_MAX_ENTRY, "0"),
			 -EINVAL);
	assert_int_equal(store_setting_set(st, dir, STORE_SETTING_QUOTA, "much"),
			 -EINVAL);
	assert_int_equal(store_setting_set(st, dir, STORE_SETTING_PIN, "maybe"), -EINVAL);
}

/* ---- a store that did not count ---- */

static void test_older_store(void **state)
{
	struct fixture *fx = *state;
	struct batch b = BATCH_INIT;
	uint64_t dir;

	if (fx->kind == STORE_MEMORY)
		return;
	dir = make_dir(fx->st, ROOT, "d");
	assert_ok(write_value(fx->st, dir, "f", 100 * KIB));
	batch_del(&b, TABLE_META, slice_str("usage"));
	batch_del(&b, TABLE_COUNTER, slice_str("used"));
	batch_del(&b, TABLE_COUNTER, slice_str("dead"));
	assert_ok(backend_commit(fx->st->be, &b));
	batch_deinit(&b);
	fixture_close(fx);
	fixture_open(fx);
	assert_int_equal(bounds_of(fx->st).used_bytes, walk(fx->st, ROOT));
	check_settled(fx->st);
}

int main(int argc, char **argv)
{
	struct CMUnitTest tests[] = {
	    STORE_TEST(test_counters),
	    STORE_TEST(test_size),
	    STORE_TEST(test_rows_are_bounded),
	    STORE_TEST(test_changed_while_open),
	    STORE_TEST(test_pressure),
	    STORE_TEST(test_together),
	    STORE_TEST(test_quota_is_exact),
	    STORE_TEST(test_quota_moves),
	    STORE_TEST(test_quota_of_what_is_there),
	    STORE_TEST(test_quota_of_what_rmdir_leaves),
	    STORE_TEST(test_namespaces),
	    STORE_TEST(test_max_entry),
	    STORE_TEST(test_older_store),
	};

	return fixture_main(argc, argv, tests, sizeof(tests) / sizeof(*tests));
}
