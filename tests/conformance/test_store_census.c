/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The census: what it counts, against a model; what it drops, and what it leaves; and
 * store_reclaim(). Hours pass by a clock of the test's own.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "store/census.h"
#include "store/census_count.h"
#include "store/internal.h"
#include "store/lease.h"
#include "store/usage.h"
#include "tests/conformance/store_check.h"
#include "tests/conformance/store_fixture.h"

#define MINUTE_NS (60 * NSEC_PER_SEC)

/* ---- a clock that can be put forward ---- */

static _Atomic int64_t ahead_ns;

static int64_t late_boot_ns(void *arg)
{
	struct timespec ts;

	clock_gettime(CLOCK_BOOTTIME, &ts);
	return ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

static int64_t late_wall_ns(void *arg)
{
	return time_now_ns() + atomic_load(&ahead_ns);
}

static const struct store_clock late_clock = {
    .boot_ns = late_boot_ns, .wall_ns = late_wall_ns, .boot_id = "this one"};

/* The store again, with that clock, and what has expired is kept for an hour. */
static struct store *reopen_late(struct fixture *fx)
{
	atomic_store(&ahead_ns, 0);
	fixture_close(fx);
	fx->clock = &late_clock;
	fixture_open(fx);
	return fx->st;
}

/* As the option does. */
static void keep_expired(struct store *st, int64_t keep_ns)
{
	atomic_store(&st->usage.keep_expired_ns, keep_ns);
}

/* ---- short forms ---- */

static bool is_kept(struct store *st, uint64_t branch, const char *name)
{
	struct store_attr attr;
	int r = store_lookup_expired(st, branch, name, &attr);

	if (r != -ENOENT)
		assert_ok(r);
	return r == 0;
}

/* One that has expired when this returns. */
static uint64_t make_expired(struct store *st, uint64_t branch, const char *name)
{
	uint64_t ino = make_file(st, branch, name, "an old result");

	set_ttl_ms(st, ino, 1);
	sleep_until(attr_of(st, ino).expires_ns + 1);
	return ino;
}

static uint64_t charge_of(struct store *st, uint64_t ino)
{
	CLEANUP_INODE struct inode in = INODE_INIT;

	assert_ok(inode_load(st, ino, &in));
	return core_charge(&in.row.core);
}

/* ---- what expires ---- */

static void test_grace(void **state)
{
	struct store *st = reopen_late(*state);
	uint64_t dir = make_dir(st, ROOT, "dir");

	make_expired(st, dir, "old");
	make_file(st, dir, "live", "text");
	assert_ok(census_now(st));
	assert_true(is_kept(st, dir, "old"));
	atomic_store(&ahead_ns, 59 * MINUTE_NS);
	assert_ok(census_now(st));
	assert_true(is_kept(st, dir, "old"));

	atomic_store(&ahead_ns, 61 * MINUTE_NS);
	assert_ok(census_now(st));
	assert_false(is_kept(st, dir, "old"));
	assert_int_not_equal(lookup(st, dir, "live"), 0);
	check_settled(st);
	assert_int_equal(count_rows(st, TABLE_SMALL), 1);
}

static void test_kept_for_ever(void **state)
{
	struct store *st = reopen_late(*state);

	keep_expired(st, DURATION_NONE);
	make_expired(st, ROOT, "old");
	atomic_store(&ahead_ns, 1000000 * MINUTE_NS);
	assert_ok(census_now(st));
	assert_true(is_kept(st, ROOT, "old"));
}

/* All that names lead to: other versions, symlinks, what inherits its ttl. */
static void test_everything_expires(void **state)
{
	struct fixture *fx = *state;
	struct store *st = fx->st;
	uint64_t dir = make_dir(st, ROOT, "dir");
	uint64_t sub = make_dir(st, branch_of(st, dir, "v2"), "sub");
	uint64_t link = make_link(st, dir, "link");

	keep_expired(st, 1);
	make_file(st, dir, "now", "1");
	make_file(st, branch_of(st, dir, "v1"), "before", "2");
	make_file(st, sub, "deep", "3");
	make_file(st, ROOT, "other", "4");
	set_ttl_ms(st, dir, 1);
	sleep_until(attr_of(st, link).expires_ns + 10000000);
	assert_ok(census_now(st));
	assert_false(is_kept(st, dir, "link"));
	assert_false(is_kept(st, dir, "now"));
	assert_false(is_kept(st, branch_of(st, dir, "v1"), "before"));
	assert_false(is_kept(st, sub, "deep"));
	assert_int_not_equal(lookup(st, ROOT, "other"), 0);
	assert_int_equal(lookup(st, branch_of(st, dir, "v2"), "sub"), sub);
	check_settled(st);
}

static void test_ttl_taken_back(void **state)
{
	struct fixture *fx = *state;
	struct store *st = fx->st;
	uint64_t ino = make_expired(st, ROOT, "old");

	keep_expired(st, 1);
	assert_ok(store_ttl_set(st, ino, DURATION_NONE, "none"));
	assert_ok(census_now(st));
	assert_int_equal(lookup(st, ROOT, "old"), ino);
}

/* Somebody makes it anew, and others may be shown the old one until then. */
static void test_leased_stays(void **state)
{
	struct fixture *fx = *state;
	struct store *st = fx->st;

	keep_expired(st, 1);
	make_expired(st, ROOT, "old");
	assert_ok(store_lease_acquire(st, ROOT, "old", "me", 3600 * NSEC_PER_SEC, NULL));
	assert_ok(census_now(st));
	assert_true(is_kept(st, ROOT, "old"));
	assert_ok(store_lease_release(st, ROOT, "old", "me"));
	assert_ok(census_now(st));
	assert_false(is_kept(st, ROOT, "old"));
}

static void test_open_is_read_on(void **state)
{
	struct fixture *fx = *state;
	struct store *st = fx->st;
	uint64_t ino = make_expired(st, ROOT, "old");
	struct store_gen *gen;
	char text[32] = "";
	size_t len = 0;
	int r;

	keep_expired(st, 1);
	assert_ok(store_gen_open_expired(st, ino, &gen));
	assert_ok(census_now(st));
	assert_ok(store_settle(st));
	r = store_gen_read(gen, text, sizeof(text), 0, &len);
	store_gen_close(gen);
	assert_ok(r);
	assert_int_equal(len, strlen("an old result"));
	assert_memory_equal(text, "an old result", len);
	check_settled(st);
	assert_int_equal(count_rows(st, TABLE_SMALL), 0);
}

/* More than a slice, and more than one batch of it. */
static void test_many_expire(void **state)
{
	struct fixture *fx = *state;
	struct store *st = fx->st;
	uint64_t dir = make_dir(st, ROOT, "dir");
	char name[32];

	keep_expired(st, 1);
	set_ttl_ms(st, dir, 1);
	for (int i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		make_file(st, dir, name, name);
	}
	sleep_until(time_now_ns() + 5000000);
	make_file(st, ROOT, "live", "text");
	assert_ok(census_now(st));
	check_settled(st);
	assert_int_equal(count_rows(st, TABLE_DIRENT), 2);
}

/* Nobody asks for it. */
static void test_by_itself(void **state)
{
	struct fixture *fx = *state;
	struct store *st = fx->st;
	int64_t end_ns = time_now_ns() + 90 * NSEC_PER_SEC;

	keep_expired(st, 1);
	make_expired(st, ROOT, "old");
	while (is_kept(st, ROOT, "old") && time_now_ns() < end_ns)
		sleep_until(time_now_ns() + 100000000);
	assert_false(is_kept(st, ROOT, "old"));
}

struct told {
	unsigned int count;
	struct store_dropped last;
	char name[STORE_NAME_MAX + 1];
};

static void note_told(void *arg, const struct store_dropped *what)
{
	struct told *told = arg;

	told->count++;
	told->last = *what;
	strcpy(told->name, what->name);
}

static void test_told(void **state)
{
	struct fixture *fx = *state;
	struct store *st = fx->st;
	struct told told = {0};
	struct store_watch watch = {.dropped = note_told, .arg = &told};
	uint64_t ns = make_dir(st, ROOT, "ns"), dir = make_dir(st, ns, "dir");
	uint64_t ino = make_expired(st, dir, "old"), bytes = charge_of(st, ino);

	keep_expired(st, 1);
	assert_ok(store_cost_set(st, ino, 7));
	store_watch(st, &watch);
	assert_ok(census_now(st));
	store_watch(st, NULL);
	assert_int_equal(told.count, 1);
	assert_int_equal(told.last.why, STORE_DROP_EXPIRED);
	assert_int_equal(told.last.branch, dir);
	assert_int_equal(told.last.ino, ino);
	assert_int_equal(told.last.ns_ino, ns);
	assert_int_equal(told.last.bytes, bytes);
	assert_true(told.last.cost_s == 7);
	assert_string_equal(told.name, "old");
}

/* ---- what is counted ---- */

static uint64_t sum_of(const uint64_t counts[STORE_CENSUS_BUCKETS])
{
	uint64_t sum = 0;

	for (int i = 0; i < STORE_CENSUS_BUCKETS; i++)
		sum += counts[i];
	return sum;
}

static const struct store_census_ns *find_ns(const struct store_census *census,
					     uint64_t ino)
{
	for (size_t i = 0; i < census->namespace_count; i++)
		if (census->namespaces[i].ino == ino)
			return &census->namespaces[i];
	return NULL;
}

static void test_none_yet(void **state)
{
	struct fixture *fx = *state;
	struct store_census *census;

	assert_ok(store_census(fx->st, &census));
	assert_int_equal(census->at_ns, 0);
	assert_int_equal(census->namespace_count, 0);
	store_census_free(census);
}

enum { SPACES = 4, SLOTS = 60, STEPS = 3000 };

/* What the model knows of an entry. */
struct slot {
	uint64_t ino; /* 0: none */
	uint64_t size_bytes;
	double cost_s; /* negative: a symlink */
	unsigned int hits;
	bool expired;
};

struct model {
	struct store *st;
	uint64_t seed;
	uint64_t space[SPACES];	 /* the first is the root itself */
	uint64_t branch[SPACES]; /* where its entries are */
	struct slot slots[SPACES][SLOTS];
};

static unsigned int pick(struct model *m, unsigned int below)
{
	m->seed = m->seed * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (unsigned int)(m->seed >> 33) % below;
}

static const char *slot_name(unsigned int i)
{
	static char name[16];

	snprintf(name, sizeof(name), "e%u", i);
	return name;
}

static void model_publish(struct model *m, unsigned int space, unsigned int i)
{
	struct slot *slot = &m->slots[space][i];
	char text[64];

	if (slot->ino && slot->cost_s < 0 && slot->expired)
		return; /* its name is free; kept simple */
	memset(text, 'x', sizeof(text));
	text[pick(m, sizeof(text))] = '\0';
	*slot = (struct slot){.size_bytes = strlen(text), .cost_s = pick(m, 5000) / 1e3};
	slot->ino = make_file(m->st, m->branch[space], slot_name(i), text);
	assert_ok(store_cost_set(m->st, slot->ino, slot->cost_s));
}

static void model_link(struct model *m, unsigned int space, unsigned int i)
{
	struct slot *slot = &m->slots[space][i];

	if (slot->ino)
		return;
	*slot = (struct slot){.size_bytes = strlen("target"), .cost_s = -1};
	slot->ino = make_link(m->st, m->branch[space], slot_name(i));
}

static void model_remove(struct model *m, unsigned int space, unsigned int i)
{
	struct slot *slot = &m->slots[space][i];

	if (!slot->ino || slot->expired)
		return;
	assert_ok(store_unlink(m->st, m->branch[space], slot_name(i)));
	*slot = (struct slot){0};
}

static void model_expire(struct model *m, unsigned int space, unsigned int i)
{
	struct slot *slot = &m->slots[space][i];

	if (!slot->ino || slot->expired)
		return;
	set_ttl_ms(m->st, slot->ino, 1);
	sleep_until(attr_of(m->st, slot->ino).expires_ns + 1);
	slot->expired = true;
}

static void model_read(struct model *m, unsigned int space, unsigned int i)
{
	struct slot *slot = &m->slots[space][i];
	struct store_gen *gen;

	if (!slot->ino || slot->expired || slot->cost_s < 0)
		return;
	assert_ok(store_gen_open(m->st, slot->ino, &gen));
	store_gen_hit(gen);
	store_gen_close(gen);
	slot->hits++;
}

static void model_move(struct model *m, unsigned int space, unsigned int i)
{
	unsigned int to_space = pick(m, SPACES), to = pick(m, SLOTS);
	struct slot *slot = &m->slots[space][i], *other = &m->slots[to_space][to];
	char from[16];

	if (!slot->ino || slot->expired || slot == other)
		return;
	strcpy(from, slot_name(i));
	assert_ok(store_rename(m->st, m->branch[space], from, m->branch[to_space],
			       slot_name(to), 0, NULL));
	*other = *slot;
	*slot = (struct slot){0};
}

static void model_step(struct model *m)
{
	static void (*const steps[])(struct model * m, unsigned int space,
				     unsigned int i) = {
	    model_publish, model_publish, model_publish, model_link, model_remove,
	    model_expire,  model_read,	  model_read,	 model_move};
	unsigned int n = pick(m, sizeof(steps) / sizeof(steps[0]));

	/* Waits for it. */
	if (steps[n] == model_expire && pick(m, 10))
		return;
	steps[n](m, pick(m, SPACES), pick(m, SLOTS));
}

static void check_space(struct model *m, const struct store_census *census,
			unsigned int space)
{
	uint64_t ino = m->space[space] == ROOT ? 0 : m->space[space];
	const struct store_census_ns *ns = find_ns(census, ino);
	struct store_census_ns expected = {0};

	assert_non_null(ns);
	/* Its own, and that of the directory in it. */
	if (ino)
		expected.bytes =
		    charge_of(m->st, ino) + charge_of(m->st, m->branch[space]);
	for (int i = 0; i < SLOTS; i++) {
		const struct slot *slot = &m->slots[space][i];
		uint64_t bytes = slot->ino ? charge_of(m->st, slot->ino) : 0;

		expected.entries += slot->ino != 0;
		expected.bytes += bytes;
		expected.expired_entries += slot->expired;
		expected.expired_bytes += slot->expired ? bytes : 0;
	}
	assert_int_equal(ns->entries, expected.entries);
	assert_int_equal(ns->bytes, expected.bytes);
	assert_int_equal(ns->expired_entries, expected.expired_entries);
	assert_int_equal(ns->expired_bytes, expected.expired_bytes);
}

/* Live entries, and how many of them are in each bucket. */
static void check_histograms(struct model *m, const struct store_census *census)
{
	uint64_t live = 0, files = 0, sizes[STORE_CENSUS_BUCKETS] = {0};
	uint64_t costs[STORE_CENSUS_BUCKETS] = {0};

	for (int i = 0; i < SPACES * SLOTS; i++) {
		const struct slot *slot = &m->slots[i / SLOTS][i % SLOTS];

		if (!slot->ino || slot->expired)
			continue;
		live++;
		sizes[census_bucket(slot->size_bytes)]++;
		if (slot->cost_s < 0)
			continue;
		files++;
		costs[census_bucket((uint64_t)(slot->cost_s * 1e3))]++;
	}
	assert_int_equal(sum_of(census->age_s.entries), live);
	assert_int_equal(sum_of(census->cost_ms.entries), files);
	assert_memory_equal(census->size_bytes.entries, sizes, sizeof(sizes));
	assert_memory_equal(census->cost_ms.entries, costs, sizeof(costs));
	assert_int_equal(sum_of(census->age_s.bytes), sum_of(census->size_bytes.bytes));
}

static int more_first(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x < y) - (x > y);
}

/* The values of the best of the model are those of the lists. */
static void check_best(struct model *m, const struct store_census *census)
{
	double hits[SPACES * SLOTS] = {0}, saved[SPACES * SLOTS] = {0};

	for (int i = 0; i < SPACES * SLOTS; i++) {
		const struct slot *slot = &m->slots[i / SLOTS][i % SLOTS];

		if (!slot->ino || slot->expired || slot->cost_s < 0)
			continue;
		hits[i] = slot->hits;
		saved[i] = slot->hits * slot->cost_s;
	}
	qsort(hits, SPACES * SLOTS, sizeof(*hits), more_first);
	qsort(saved, SPACES * SLOTS, sizeof(*saved), more_first);
	for (size_t i = 0; i < STORE_CENSUS_TOP; i++) {
		assert_int_equal(hits[i] > 0, i < census->hottest_count);
		assert_int_equal(saved[i] > 0, i < census->dearest_count);
		if (i < census->hottest_count)
			assert_true((double)census->hottest[i].hits == hits[i]);
		if (i < census->dearest_count)
			assert_true((double)census->dearest[i].hits *
					census->dearest[i].cost_s ==
				    saved[i]);
	}
}

static void check_model(struct model *m)
{
	struct store_census *census;

	assert_ok(store_settle(m->st)); /* which writes what was read */
	assert_ok(census_now(m->st));
	assert_ok(store_census(m->st, &census));
	assert_true(census->at_ns > 0);
	assert_int_equal(census->namespace_count, SPACES);
	for (unsigned int i = 0; i < SPACES; i++)
		check_space(m, census, i);
	for (size_t i = 1; i < census->namespace_count; i++)
		assert_true(census->namespaces[i - 1].bytes >=
			    census->namespaces[i].bytes);
	check_histograms(m, census);
	check_best(m, census);
	store_census_free(census);
}

static void test_counts(void **state)
{
	struct model *m = calloc(1, sizeof(*m));
	char name[16];

	m->st = ((struct fixture *)*state)->st;
	m->seed = (uint64_t)time(NULL);
	print_message("seed %llu\n", (unsigned long long)m->seed);
	m->space[0] = m->branch[0] = ROOT;
	for (unsigned int i = 1; i < SPACES; i++) {
		snprintf(name, sizeof(name), "ns%u", i);
		m->space[i] = make_dir(m->st, ROOT, name);
		/* One has them in its own branch, one in a directory below a version. */
		m->branch[i] = make_dir(
		    m->st, i == 1 ? m->space[i] : branch_of(m->st, m->space[i], "v"),
		    "sub");
	}
	for (int i = 1; i <= STEPS; i++) {
		model_step(m);
		if (i % (STEPS / 3) == 0)
			check_model(m);
	}
	free(m);
}

static void test_names_of_namespaces(void **state)
{
	struct fixture *fx = *state;
	struct store *st = fx->st;
	uint64_t ns = make_dir(st, ROOT, "with a quota");
	const struct store_census_ns *found;
	struct store_census *census;

	make_dir(st, ROOT, "empty");
	make_file(st, ns, "f", "text");
	assert_ok(store_setting_set(st, ns, STORE_SETTING_QUOTA, "1GiB"));
	assert_ok(census_now(st));
	assert_ok(store_census(st, &census));
	assert_int_equal(census->namespace_count, 3);
	found = find_ns(census, ns);
	assert_string_equal(found->name, "with a quota");
	assert_int_equal(found->quota_bytes, UINT64_C(1) << 30);
	assert_int_equal(found->entries, 1);
	assert_string_equal(find_ns(census, 0)->name, "");
	store_census_free(census);
}

static void test_buckets(void **state)
{
	assert_int_equal(census_bucket(0), 0);
	assert_int_equal(census_bucket(1), 1);
	assert_int_equal(census_bucket(2), 2);
	assert_int_equal(census_bucket(3), 2);
	assert_int_equal(census_bucket(4), 3);
	assert_int_equal(census_bucket(UINT64_MAX), STORE_CENSUS_BUCKETS - 1);
}

/* What is past the limit is counted, if not by name. */
static void test_too_many_namespaces(void **state)
{
	struct census_count count;
	struct store_census *census;
	uint64_t entries = 0;

	assert_ok(census_count_init(&count));
	for (uint64_t i = 1; i <= STORE_CENSUS_NAMESPACES + 100; i++) {
		struct census_entry entry = {
		    .ns_ino = i, .name = slice_str("x"), .bytes = 1, .cost_s = -1};

		census_count_entry(&count, &entry);
	}
	assert_ok(census_count_end(&count, &census));
	census_count_deinit(&count);
	assert_int_equal(census->namespace_count, STORE_CENSUS_NAMESPACES + 1);
	assert_int_equal(find_ns(census, 0)->entries, 100);
	for (size_t i = 0; i < census->namespace_count; i++)
		entries += census->namespaces[i].entries;
	assert_int_equal(entries, STORE_CENSUS_NAMESPACES + 100);
	store_census_free(census);
}

/* ---- store_reclaim() ---- */

static void test_reclaim(void **state)
{
	struct fixture *fx = *state;
	struct store *st = fx->st;
	uint64_t dir = make_dir(st, ROOT, "dir"), deep = make_dir(st, dir, "deep");
	uint64_t expired = charge_of(st, make_expired(st, ROOT, "old"));
	struct store_reclaimed freed;

	make_file(st, branch_of(st, deep, "v"), "below", "text");
	make_file(st, ROOT, "live", "text");
	make_file(st, ROOT, "gone", "a text that is removed");
	assert_ok(store_unlink(st, ROOT, "gone"));
	assert_ok(store_rmdir(st, dir, "deep"));
	assert_ok(store_reclaim(st, NULL, &freed));
	assert_int_equal(freed.expired_entries, 1);
	assert_int_equal(freed.expired_bytes, expired);
	/* The rest may be gone already: a thread is at work, too. */
	assert_true(freed.deleted_bytes <= strlen("an old result"
						  "text"
						  "a text that is removed"));
	assert_int_equal(count_rows(st, TABLE_GCQ), 0);
	assert_int_equal(count_rows(st, TABLE_SMALL), 1);
	assert_int_not_equal(lookup(st, ROOT, "live"), 0);
	check_settled(st);
}

static void test_reclaim_stopped(void **state)
{
	struct fixture *fx = *state;
	struct store *st = fx->st;
	const atomic_bool stop = true;
	struct store_reclaimed freed;

	make_expired(st, ROOT, "old");
	assert_int_equal(store_reclaim(st, &stop, &freed), -ECANCELED);
	assert_true(is_kept(st, ROOT, "old"));
	assert_ok(store_reclaim(st, NULL, &freed));
	assert_int_equal(freed.expired_entries, 1);
}

/* What was deleted is not on the disk any more. */
static void test_reclaim_gives_back(void **state)
{
	struct fixture *fx = *state;
	struct store *st = fx->st;
	struct store_reclaimed freed;
	struct store_stats before, after;
	char *text = calloc(1, 20001), name[16];

	srand(1);
	for (int i = 0; i < 500; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		for (int k = 0; k < 20000; k++) /* nothing to compress */
			text[k] = (char)(1 + rand() % 255);
		make_file(st, ROOT, name, text);
	}
	free(text);
	assert_ok(store_reclaim(st, NULL, &freed)); /* all of it is in tables now */
	assert_ok(store_stats(st, &before));
	for (int i = 0; i < 500; i++) {
		snprintf(name, sizeof(name), "f%d", i);
		assert_ok(store_unlink(st, ROOT, name));
	}
	assert_ok(store_reclaim(st, NULL, &freed));
	assert_ok(store_stats(st, &after));
	print_message("%ju, then %ju bytes\n", (uintmax_t)before.db_disk_bytes,
		      (uintmax_t)after.db_disk_bytes);
	if (fx->kind == STORE_ROCKSDB)
		assert_true(after.db_disk_bytes < before.db_disk_bytes / 2);
	check_settled(st);
}

/* ---- together with others ---- */

struct race {
	struct store *st;
	uint64_t dir;
	atomic_bool over;
};

/* Makes entries that expire at once, and replaces, reads and removes others. */
static void *work(void *arg)
{
	struct race *race = arg;
	char name[32];

	for (int i = 0; i < 600; i++) {
		struct store_gen *gen;
		uint64_t ino;

		snprintf(name, sizeof(name), "f%d", i % 50);
		ino = make_file(race->st, race->dir, name, name);
		if (i % 3 == 0)
			set_ttl_ms(race->st, ino, 1);
		if (store_gen_open(race->st, ino, &gen) == 0) {
			store_gen_hit(gen);
			store_gen_close(gen);
		}
		if (i % 7 == 0)
			(void)store_unlink(race->st, race->dir, name);
	}
	atomic_store(&race->over, true);
	return NULL;
}

static void *count(void *arg)
{
	struct race *race = arg;

	while (!atomic_load(&race->over)) {
		struct store_census *census;

		census_wake(race->st);
		assert_ok(census_now(race->st));
		assert_ok(store_census(race->st, &census));
		store_census_free(census);
	}
	return NULL;
}

static void test_together(void **state)
{
	struct fixture *fx = *state;
	struct race race = {.st = fx->st, .dir = make_dir(fx->st, ROOT, "dir")};
	struct store_reclaimed freed;
	pthread_t worker, counter;

	keep_expired(fx->st, 1);
	assert_ok(pthread_create(&worker, NULL, work, &race));
	assert_ok(pthread_create(&counter, NULL, count, &race));
	for (int i = 0; i < 3; i++)
		assert_ok(store_reclaim(fx->st, NULL, &freed));
	assert_ok(pthread_join(worker, NULL));
	assert_ok(pthread_join(counter, NULL));
	sleep_until(time_now_ns() + 5000000);
	assert_ok(store_reclaim(fx->st, NULL, &freed));
	check_settled(fx->st);
	/* The last round had some without a ttl. */
	assert_true(count_rows(fx->st, TABLE_SMALL) > 10);
}

int main(int argc, char **argv)
{
	struct CMUnitTest tests[] = {
	    STORE_TEST(test_grace),
	    STORE_TEST(test_kept_for_ever),
	    STORE_TEST(test_everything_expires),
	    STORE_TEST(test_ttl_taken_back),
	    STORE_TEST(test_leased_stays),
	    STORE_TEST(test_open_is_read_on),
	    STORE_TEST(test_many_expire),
	    STORE_TEST(test_by_itself),
	    STORE_TEST(test_told),
	    STORE_TEST(test_none_yet),
	    STORE_TEST(test_counts),
	    STORE_TEST(test_names_of_namespaces),
	    cmocka_unit_test(test_buckets),
	    cmocka_unit_test(test_too_many_namespaces),
	    STORE_TEST(test_reclaim),
	    STORE_TEST(test_reclaim_stopped),
	    STORE_TEST(test_reclaim_gives_back),
	    STORE_TEST(test_together),
	};

	return fixture_main(argc, argv, tests, sizeof(tests) / sizeof(tests[0]));
}
