/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random sequences of everything that happens to reservations, on a store and on
 * a model of one page: a table with who has each name, until when, and who is
 * publishing. The model drops what has ended at once, where the store is lazy.
 *
 * Environment: MEMOFS_SEED, to repeat a run; MEMOFS_PERCENT of 100,000 steps.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/conformance/lease_fixture.h"

#define STEPS 100000
#define DIRS 3
#define NAMES 4
#define KEYS (DIRS * NAMES)
#define OWNERS 3
#define WRITERS 6

enum { FREE, NAMED, HELD };

/* What a step did; the first five are on a key, and can also have been refused. */
enum {
	STEP_ACQUIRE,
	STEP_EXTEND,
	STEP_RELEASE,
	STEP_HOLD,
	STEP_BEGIN,
	STEP_REFUSED, /* and so on, for each of the five */
	STEP_GO_ON = STEP_REFUSED + STEP_REFUSED,
	STEP_NOBODY,
	STEP_TIME,
	STEP_WALL,
	STEP_SETTLE,
	STEP_CRASH,
	STEP_KINDS
};

/* Who has a name. */
struct slot {
	int kind;
	unsigned int owner; /* NAMED */
	uint64_t token;
	int64_t since_wall, duration, ends_boot, ends_wall;
	unsigned int publishing;
	bool released;
};

/* Somebody who writes a value: under the fence, or with a descriptor's lease. */
struct writer {
	struct store_staged *sg;
	unsigned int key;
	uint64_t token;
	bool held, published;
};

struct run {
	struct fixture *fx;
	struct machine *m;
	uint64_t seed, random;
	unsigned int step, boots;
	uint64_t dirs[DIRS];
	struct slot slots[KEYS];
	uint64_t current[KEYS]; /* the token under which its value was published */
	uint64_t last_token;
	uint64_t known[KEYS]; /* a token that somebody remembers, maybe a former one */
	struct writer writers[WRITERS];
	unsigned int done[STEP_KINDS];
};

static uint32_t below(struct run *run, uint32_t limit)
{
	run->random ^= run->random << 13;
	run->random ^= run->random >> 7;
	run->random ^= run->random << 17;
	return (uint32_t)(run->random >> 32) % limit;
}

#define CHECK(run, condition)                                                            \
	do {                                                                             \
		if (!(condition))                                                        \
			fail_msg("step %u of MEMOFS_SEED=%" PRIu64 ": not %s",           \
				 (run)->step, (run)->seed, #condition);                  \
	} while (0)

static const char *const owners[OWNERS] = {"alice", "bob", "host-7/42"};

static uint64_t branch_of_key(const struct run *run, unsigned int key)
{
	return run->dirs[key / NAMES];
}

static const char *name_of_key(unsigned int key)
{
	static const char *const names[NAMES] = {"a", "b", "key.json", "\xc3\xa9"};

	return names[key % NAMES];
}

#define AT(run, key) (run)->fx->st, branch_of_key(run, key), name_of_key(key)

/* ---- the model ---- */

static int64_t boot_now(const struct run *run)
{
	return atomic_load(&run->m->boot_ns);
}

static int64_t wall_now(const struct run *run)
{
	return atomic_load(&run->m->wall_ns);
}

static void drop_ended(struct run *run)
{
	for (unsigned int key = 0; key < KEYS; key++) {
		struct slot *s = &run->slots[key];

		if (s->kind == NAMED && !s->publishing &&
		    (s->released || s->ends_boot <= boot_now(run)))
			s->kind = FREE;
	}
}

static bool has(const struct slot *s, unsigned int owner)
{
	return s->kind == NAMED && !s->released && s->owner == owner;
}

static void set_end(struct run *run, struct slot *s, int64_t duration)
{
	s->duration = duration;
	s->ends_boot = boot_now(run) + duration;
	s->ends_wall = wall_now(run) + duration;
}

/* ---- does the store say the same? ---- */

static void check_lease(struct run *run, const struct slot *s,
			const struct store_lease *lease)
{
	int64_t left = s->ends_boot - boot_now(run);

	CHECK(run, (lease->kind == STORE_LEASE_HELD) == (s->kind == HELD));
	CHECK(run, lease->token == s->token);
	CHECK(run, lease->since_ns == s->since_wall);
	if (s->kind == HELD) {
		CHECK(run, !strcmp(lease->owner, "pid=1"));
		CHECK(run, lease->left_ns == DURATION_NONE);
		return;
	}
	left = left < 0 ? 0 : left;
	CHECK(run, !strcmp(lease->owner, owners[s->owner]));
	CHECK(run, lease->left_ns == left);
	CHECK(run, lease->expires_ns == wall_now(run) + left);
}

static void check_key(struct run *run, unsigned int key)
{
	struct store_lease lease;
	int r = store_lease_get(AT(run, key), &lease);

	CHECK(run, r == (run->slots[key].kind == FREE ? -ENOENT : 0));
	if (!r)
		check_lease(run, &run->slots[key], &lease);
}

struct listing {
	struct run *run;
	unsigned int dir, seen;
};

static int check_listed(void *arg, const char *name, const struct store_lease *lease)
{
	struct listing *listing = arg;
	struct run *run = listing->run;
	unsigned int n = 0;

	while (n < NAMES && strcmp(name, name_of_key(n)))
		n++;
	CHECK(run, n < NAMES);
	CHECK(run, !(listing->seen & 1u << n));
	listing->seen |= 1u << n;
	CHECK(run, run->slots[listing->dir * NAMES + n].kind != FREE);
	check_lease(run, &run->slots[listing->dir * NAMES + n], lease);
	return 0;
}

static void check_value(struct run *run, unsigned int key)
{
	uint64_t ino = lookup(AT(run, key)), token = 0;
	struct store_gen *gen;
	size_t len;

	CHECK(run, !ino == !run->current[key]);
	if (!ino)
		return;
	assert_ok(store_gen_open(run->fx->st, ino, &gen));
	assert_ok(store_gen_read(gen, &token, sizeof(token), 0, &len));
	store_gen_close(gen);
	CHECK(run, token == run->current[key]);
}

static void check_all(struct run *run)
{
	uint64_t count = 0;

	for (unsigned int key = 0; key < KEYS; key++) {
		check_key(run, key);
		check_value(run, key);
		count += run->slots[key].kind != FREE;
	}
	CHECK(run, store_lease_count(run->fx->st) == count);
	for (unsigned int dir = 0; dir < DIRS; dir++) {
		struct listing listing = {.run = run, .dir = dir};

		assert_ok(store_lease_list(run->fx->st, run->dirs[dir], check_listed,
					   &listing));
		for (unsigned int n = 0; n < NAMES; n++)
			CHECK(run, !!(listing.seen & 1u << n) ==
				       (run->slots[dir * NAMES + n].kind != FREE));
	}
}

/* ---- steps; what can be refused returns whether it was not ---- */

/* Times are tenths of a second, so that some fall on the same moment. */
static int64_t any_duration(struct run *run)
{
	return below(run, 8) ? (1 + (int64_t)below(run, 1000)) * SEC / 10
			     : STORE_LEASE_MAX_NS;
}

static bool acquire(struct run *run, unsigned int key)
{
	struct slot *s = &run->slots[key];
	unsigned int owner = below(run, OWNERS);
	int64_t duration = any_duration(run);
	struct store_lease lease;
	int r = store_lease_acquire(AT(run, key), owners[owner], duration, &lease);

	if (s->kind != FREE && !has(s, owner)) {
		CHECK(run, r == -EBUSY);
		check_lease(run, s, &lease);
		return false;
	}
	CHECK(run, r == 0);
	if (s->kind == FREE) {
		CHECK(run, lease.token > run->last_token);
		run->last_token = lease.token;
		*s = (struct slot){.kind = NAMED,
				   .owner = owner,
				   .token = lease.token,
				   .since_wall = wall_now(run)};
	}
	set_end(run, s, duration);
	check_lease(run, s, &lease);
	if (below(run, 2))
		run->known[key] = lease.token;
	return true;
}

static bool extend(struct run *run, unsigned int key)
{
	struct slot *s = &run->slots[key];
	unsigned int owner = below(run, OWNERS);
	int64_t duration = any_duration(run);
	struct store_lease lease;
	int r = store_lease_extend(AT(run, key), owners[owner], duration, &lease);

	CHECK(run, r == (has(s, owner) ? 0 : -ESTALE));
	if (r)
		return false;
	set_end(run, s, duration);
	check_lease(run, s, &lease);
	return true;
}

static bool release(struct run *run, unsigned int key)
{
	struct slot *s = &run->slots[key];
	unsigned int owner = below(run, OWNERS);
	int r = store_lease_release(AT(run, key), owners[owner]);

	CHECK(run, r == (has(s, owner) ? 0 : -ESTALE));
	if (r)
		return false;
	s->released = true;
	return true;
}

static struct writer *idle_writer(struct run *run)
{
	for (unsigned int i = 0; i < WRITERS; i++) {
		if (!run->writers[i].sg)
			return &run->writers[i];
	}
	return NULL;
}

static struct store_staged *stage(struct run *run, unsigned int key)
{
	struct store_stage_args args = {.branch = branch_of_key(run, key), .mode = 0644};
	struct store_staged *sg = NULL;

	assert_ok(store_stage(run->fx->st, &args, &sg));
	return sg;
}

static bool hold(struct run *run, unsigned int key)
{
	struct slot *s = &run->slots[key];
	struct writer *w = idle_writer(run);
	uint64_t token;
	int r;

	if (!w)
		return false;
	w->sg = stage(run, key);
	w->key = key;
	token = store_staged_ino(w->sg);
	r = store_lease_hold(AT(run, key), "pid=1", token);
	CHECK(run, r == (s->kind == FREE ? 0 : -EBUSY));
	if (r) {
		store_staged_free(w->sg);
		w->sg = NULL;
		return false;
	}
	CHECK(run, token > run->last_token);
	run->last_token = w->token = token;
	w->held = true;
	w->published = false;
	*s = (struct slot){.kind = HELD, .token = token, .since_wall = wall_now(run)};
	return true;
}

static bool begin_publish(struct run *run, unsigned int key)
{
	struct slot *s = &run->slots[key];
	unsigned int owner = below(run, OWNERS);
	uint64_t asked = below(run, 2) ? run->known[key] : 0, token = 0;
	struct writer *w = idle_writer(run);
	bool may = has(s, owner) && (!asked || asked == s->token);
	int r;

	if (!w)
		return false;
	r = store_lease_begin_publish(AT(run, key), owners[owner], asked, &token);
	CHECK(run, r == (may ? 0 : -ESTALE));
	if (r)
		return false;
	CHECK(run, token == s->token);
	s->publishing++;
	*w = (struct writer){.sg = stage(run, key), .key = key, .token = token};
	return true;
}

static void publish(struct run *run, struct writer *w)
{
	assert_ok(store_staged_write(w->sg, &w->token, sizeof(w->token), 0));
	assert_ok(store_publish(w->sg, branch_of_key(run, w->key), name_of_key(w->key),
				false, NULL, NULL));
	w->published = true;
	/* What all of this is for. */
	CHECK(run, w->token >= run->current[w->key]);
	run->current[w->key] = w->token;
}

static void end_writer(struct run *run, struct writer *w)
{
	struct slot *s = &run->slots[w->key];
	bool ends = w->published && below(run, 4);

	if (w->held) {
		store_lease_drop(AT(run, w->key), w->token + 1); /* another's */
		check_key(run, w->key);
		store_lease_drop(AT(run, w->key), w->token);
		s->kind = FREE;
	} else {
		store_lease_end_publish(AT(run, w->key), w->token, ends);
		s->publishing--;
		s->released |= ends;
	}
	store_staged_free(w->sg);
	w->sg = NULL;
}

/* A writer goes on: it publishes, or ends with or without having done so. */
static bool go_on(struct run *run)
{
	struct writer *w = &run->writers[below(run, WRITERS)];

	if (!w->sg)
		return false;
	if (!w->published && below(run, 4)) {
		publish(run, w);
		check_value(run, w->key);
	} else {
		end_writer(run, w);
	}
	return true;
}

static void pass_time(struct run *run)
{
	machine_pass(run->m, (int64_t)below(run, 300) * SEC / 10);
}

/* The wall clock is set: to no effect. */
static void set_wall(struct run *run)
{
	int64_t unit = below(run, 2) ? HOUR : SEC / 10;
	int64_t by = ((int64_t)below(run, 2000) - 1000) * unit;

	if (wall_now(run) + by < 1000 * HOUR)
		by = HOUR;
	atomic_fetch_add(&run->m->wall_ns, by);
}

/* What a process that has died leaves of a lease. */
static void survive(struct run *run, struct slot *s, bool booted)
{
	int64_t left = s->ends_wall - wall_now(run);

	if (s->kind != NAMED || s->released || run->fx->kind == STORE_MEMORY) {
		s->kind = FREE;
		return;
	}
	s->publishing = 0;
	if (!booted)
		return;
	left = left > s->duration ? s->duration : left;
	s->ends_boot = boot_now(run) + left;
	s->ends_wall = wall_now(run) + left;
}

static void make_dirs(struct run *run)
{
	static const char *const dirs[DIRS - 1] = {"d", "e"};

	run->dirs[0] = ROOT;
	for (unsigned int i = 0; i < DIRS - 1; i++)
		run->dirs[i + 1] = make_dir(run->fx->st, ROOT, dirs[i]);
}

/* The process dies, and perhaps the machine. */
static void crash(struct run *run)
{
	bool booted = below(run, 2);

	for (unsigned int i = 0; i < WRITERS; i++) {
		store_staged_free(run->writers[i].sg);
		run->writers[i] = (struct writer){0};
	}
	fixture_close(run->fx);
	if (below(run, 2))
		pass_time(run);
	if (booted)
		machine_boot(run->m, ++run->boots, (int64_t)below(run, 5000) * SEC);
	fixture_open(run->fx);
	for (unsigned int key = 0; key < KEYS; key++)
		survive(run, &run->slots[key], booted);
	if (run->fx->kind == STORE_MEMORY) {
		memset(run->current, 0, sizeof(run->current));
		run->last_token = 0;
		make_dirs(run);
	}
	drop_ended(run);
	check_all(run);
}

static unsigned int step(struct run *run, unsigned int key)
{
	static bool (*const on_key[STEP_REFUSED])(struct run *, unsigned int) = {
	    [STEP_ACQUIRE] = acquire,
	    [STEP_EXTEND] = extend,
	    [STEP_RELEASE] = release,
	    [STEP_BEGIN] = begin_publish,
	    [STEP_HOLD] = hold};
	unsigned int dice = below(run, 1000), kind;

	if (dice < 1) {
		crash(run);
		while (below(run, 2)) {
			set_wall(run);
			crash(run);
		}
		return STEP_CRASH;
	}
	if (dice < 3) {
		/* Rows and memory of what has ended go: to no effect. */
		assert_ok(store_settle(run->fx->st));
		return STEP_SETTLE;
	}
	if (dice < 8) {
		set_wall(run);
		return STEP_WALL;
	}
	if (dice < 100) {
		pass_time(run);
		return STEP_TIME;
	}
	if (dice < 350)
		return go_on(run) ? STEP_GO_ON : STEP_NOBODY;
	kind = below(run, STEP_REFUSED);
	return on_key[kind](run, key) ? kind : STEP_REFUSED + kind;
}

static unsigned int count_steps(void)
{
	const char *percent = getenv("MEMOFS_PERCENT");

	return STEPS / 100 * (unsigned int)(percent ? atoi(percent) : 100);
}

static uint64_t choose_seed(void)
{
	const char *seed = getenv("MEMOFS_SEED");

	return (seed ? strtoull(seed, NULL, 10) : (uint64_t)time_now_ns()) | 1;
}

static void test_model(void **state)
{
	struct run *run = calloc(1, sizeof(*run));
	unsigned int steps = count_steps();

	assert_non_null(run);
	run->fx = *state;
	run->m = machine_of(run->fx);
	run->boots = 1;
	run->seed = run->random = choose_seed();
	print_message("MEMOFS_SEED=%" PRIu64 ", %u steps\n", run->seed, steps);
	make_dirs(run);
	for (; run->step < steps; run->step++) {
		unsigned int key = below(run, KEYS);

		run->done[step(run, key)]++;
		drop_ended(run);
		check_key(run, key);
		if (run->step % 16 == 0)
			check_all(run);
	}
	for (unsigned int i = 0; i < WRITERS; i++)
		store_staged_free(run->writers[i].sg);
	/* Else nothing was shown. */
	for (unsigned int i = 0; i < STEP_KINDS; i++)
		CHECK(run, run->done[i] >= steps / 20000);
	free(run);
}

int main(int argc, char **argv)
{
	struct CMUnitTest tests[] = {LEASE_TEST(test_model)};

	return fixture_main(argc, argv, tests, sizeof(tests) / sizeof(*tests));
}
