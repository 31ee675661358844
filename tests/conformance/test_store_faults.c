/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Every call that the store makes of its backend, and to libc about an extent, fails
 * once while the store does all it can; or takes long, or transfers a part only. What a
 * call that failed was to change is as it was, what was said to be done is done, nothing
 * else is lost; the store is sound, and goes on when the fault has gone.
 *
 * The rounds follow one another in one store, so each begins with what the one before
 * has left. MEMOFS_PERCENT (100): how many of the places are tried.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/backup.h"
#include "store/census.h"
#include "store/check.h"
#include "store/evict.h"
#include "store/history.h"
#include "store/lease.h"
#include "tests/conformance/faulty_backend.h"
#include "tests/conformance/tree_fixture.h"

/* What must be there, and be what it is. */
enum what { NOTHING, A_FILE, A_LINK, A_TREE };
enum slot { SMALL_ONE, LARGE, SYNCED, MOVED, LINK, TREE, TWIN, BUILT, SLOTS };
struct state {
	enum what what;
	size_t len;
	uint64_t seed;
};

static const char *const slot_names[SLOTS] = {
    "small", "large", "synced", "moved", "link", "tree", "twin", "built",
};

struct world {
	struct fixture *fx;
	struct store *st;
	uint64_t round;
	int error; /* what is injected */
	/* What cannot be synced, or read, is dropped: the disk may not have it. */
	bool losing;
	/* So are indexes of trees, and what they named is not found by them any more. */
	bool unread;
	struct state slots[SLOTS];
	uint64_t crowd,
	    stage;	     /* directories: what may be evicted; where trees are built */
	unsigned int failed; /* calls of the store in this round */
};

/* Did it succeed? If not, it says what it was made to fail of. */
#define done(w, call) done_as(w, call, #call, __LINE__)
static bool done_as(struct world *w, int r, const char *what, int line)
{
	if (!r)
		return true;
	if (!w->error || (r != -w->error && r != -EIO &&
			  !(w->losing && (r == -ENOENT || r == -EUCLEAN))))
		fail_msg("line %d: %s: %s", line, what, strerror(-r));
	w->failed++;
	return false;
}

/* ---- values ---- */

static int write_value(struct store_staged *sg, size_t len, uint64_t seed)
{
	uint8_t *data = pattern(len, seed);
	int r = 0;

	/* In pieces, as the kernel writes. */
	for (size_t off = 0; !r && off < len; off += BLOCK) {
		size_t n = len - off < BLOCK ? len - off : BLOCK;
		uint64_t turn;

		r = store_staged_write_first(sg, data + off, n, off, &turn);
		if (turn)
			store_staged_sum(sg, data + off, n, off, turn);
	}
	free(data);
	return r;
}

static struct store_staged *begin(struct world *w, uint64_t branch)
{
	struct store_stage_args args = {
	    .branch = branch, .mode = 0644, .writer = {.uid = 10, .comm = "faults"}};
	struct store_staged *sg = NULL;

	return done(w, store_stage(w->st, &args, &sg)) ? sg : NULL;
}

static bool put_at(struct world *w, uint64_t branch, const char *name, size_t len,
		   uint64_t seed, bool synced)
{
	struct store_staged *sg = begin(w, branch);
	int r;

	if (!sg)
		return false;
	r = write_value(sg, len, seed);
	if (!r && synced)
		r = store_staged_sync(sg);
	if (!r && synced)
		r = store_staged_flush(sg, branch, name);
	if (!r)
		r = store_publish(sg, branch, name, false, NULL, NULL);
	store_staged_free(sg);
	return done(w, r);
}

static void put_slot(struct world *w, enum slot slot, size_t len, bool synced)
{
	if (put_at(w, ROOT, slot_names[slot], len, w->round, synced))
		w->slots[slot] =
		    (struct state){.what = A_FILE, .len = len, .seed = w->round};
}

/* What is written and never published. */
static void abandon(struct world *w)
{
	struct store_staged *sg = begin(w, ROOT);
	int r;

	if (!sg)
		return;
	r = write_value(sg, 3 * BLOCK, w->round);
	if (!r)
		r = store_staged_truncate(sg, BLOCK + 1);
	if (!r)
		r = store_staged_allocate(sg, 0, 0, 2 * BLOCK);
	done(w, r);
	store_staged_free(sg);
}

static void remove_slot(struct world *w, enum slot slot)
{
	struct state *s = &w->slots[slot];
	int r;

	if (s->what == NOTHING)
		return;
	r = s->what == A_TREE ? store_rmdir(w->st, ROOT, slot_names[slot])
			      : store_unlink(w->st, ROOT, slot_names[slot]);
	if (done(w, r))
		s->what = NOTHING;
}

static void change_names(struct world *w)
{
	struct state *large = &w->slots[LARGE], *moved = &w->slots[MOVED], was = *large;
	struct store_attr attr;

	if (w->slots[LINK].what == NOTHING &&
	    done(w, store_symlink(w->st, ROOT, "link", "target", 1, 1, &attr)))
		w->slots[LINK].what = A_LINK;
	if (large->what != NOTHING && moved->what != NOTHING &&
	    done(w, store_rename(w->st, ROOT, "large", ROOT, "moved",
				 STORE_RENAME_EXCHANGE, NULL))) {
		*large = *moved;
		*moved = was;
	} else if (large->what != NOTHING && moved->what == NOTHING &&
		   done(w, store_rename(w->st, ROOT, "large", ROOT, "moved", 0, NULL))) {
		*moved = was;
		large->what = NOTHING;
	}
	if (w->round % 3 == 0)
		remove_slot(w, LINK);
}

/* ---- trees ---- */

static void put_tree_at(struct world *w, enum slot slot, const struct buf *raw)
{
	struct store_stage_args args = {.branch = ROOT, .sealed = true, .mode = 0644};
	struct store_staged *sg = NULL;
	struct errmsg err = {0};
	int r;

	if (!done(w, store_stage(w->st, &args, &sg)))
		return;
	r = store_staged_write(sg, raw->data, raw->len, 0);
	if (!r)
		r = store_staged_check(sg, &err);
	if (!r)
		r = store_publish(sg, ROOT, slot_names[slot], false, NULL, NULL);
	store_staged_free(sg);
	if (done(w, r))
		w->slots[slot] = (struct state){.what = A_TREE, .seed = w->round};
}

/* Two with the same contents, which will be stored once. */
static void put_trees(struct world *w)
{
	struct packing p;

	packing_begin(&p);
	pack_dir(&p, "", 0755);
	pack_file(&p, "big", 4 * BLOCK, w->round);
	packing_end(&p);
	put_tree_at(w, TREE, &p.raw);
	put_tree_at(w, TWIN, &p.raw);
	packing_deinit(&p);
}

/* A directory built file by file, and sealed. */
static void build_tree(struct world *w)
{
	struct store_sealer sealer = {.writer = {.comm = "mv"}};
	struct store_attr attr;
	uint64_t branch;
	int r;

	/* What an earlier round could not seal is sealed by this one. */
	if (store_lookup(w->st, w->stage, "new", &attr))
		if (!done(w, store_mkdir(w->st, w->stage, "new", 0755, 1, 1, &attr)))
			return;
	branch = attr.ino;
	if (!put_at(w, branch, "big", 4 * BLOCK, w->round, false))
		return;
	r = store_seal(w->st, w->stage, "new", ROOT, "built", false, &sealer, NULL, NULL);
	if (done(w, r))
		w->slots[BUILT] = (struct state){.what = A_TREE, .seed = w->round};
}

/* ---- directories, attributes, leases ---- */

/* Whether its visible version is the unnamed one in the end. */
static bool use_dir(struct world *w, uint64_t dir)
{
	struct store *st = w->st;
	uint64_t version;

	done(w, store_setting_set(st, dir, STORE_SETTING_QUOTA, "1G"));
	done(w, store_ttl_set(st, dir, 3600 * NSEC_PER_SEC, "1h"));
	put_at(w, dir, "x", 100, w->round, false);
	if (done(w, store_branch(st, dir, "v2", true, &version))) {
		put_at(w, version, "hidden", 2 * BLOCK, w->round, false);
		done(w, store_version_set(st, dir, "v2"));
	}
	return done(w, store_version_set(st, dir, ""));
}

/* Made and removed, with what is in it. */
static void change_dir(struct world *w)
{
	struct store_attr attr;
	int r = store_lookup(w->st, ROOT, "dir", &attr);

	if (r == -ENOENT)
		r = store_mkdir(w->st, ROOT, "dir", 0755, 1, 1, &attr);
	if (!done(w, r))
		return;
	if (!use_dir(w, attr.ino))
		return;
	r = store_unlink(w->st, attr.ino, "x");
	if (r != -ENOENT && !done(w, r))
		return;
	done(w, store_rmdir(w->st, ROOT, "dir"));
}

static void change_attributes(struct world *w)
{
	struct store_attr attr;

	if (w->slots[SMALL_ONE].what == NOTHING ||
	    !done(w, store_lookup(w->st, ROOT, "small", &attr)))
		return;
	done(w, store_xattr_set(w->st, attr.ino, "user.x", slice("y", 1), 0));
	done(w, store_cost_set(w->st, attr.ino, 3));
	done(w, store_pin_set(w->st, attr.ino, w->round % 2));
	done(w, store_setattr(w->st, attr.ino, STORE_SET_MTIME, &attr, NULL));
}

static void take_lease(struct world *w)
{
	int64_t second = NSEC_PER_SEC;
	uint64_t token;

	if (!done(w, store_lease_acquire(w->st, ROOT, "small", "me", 60 * second, NULL)))
		return;
	if (done(w, store_lease_begin_publish(w->st, ROOT, "small", "me", 0, &token)))
		store_lease_end_publish(w->st, ROOT, "small", token, false);
	done(w, store_lease_extend(w->st, ROOT, "small", "me", 90 * second, NULL));
	done(w, store_lease_release(w->st, ROOT, "small", "me"));
}

/* ---- what the store does by itself ---- */

static void set_size(struct store *st, uint64_t size_bytes)
{
	const struct store_options opt = {.size_bytes = size_bytes};

	store_set_bounds(st, &opt);
}

/* Only the crowd may be evicted, or expires. */
static void crowd_out(struct world *w)
{
	struct store_bounds bounds;
	struct evict_step step;
	char name[16];

	for (int i = 0; i < 8; i++) {
		snprintf(name, sizeof(name), "c%d", i);
		put_at(w, w->crowd, name, BLOCK, w->round, false);
	}
	store_bounds(w->st, &bounds);
	set_size(w->st, bounds.total_bytes);
	for (int i = 0; i < 4; i++)
		done(w, evict_step(w->st, &step));
	set_size(w->st, STORE_SIZE_NONE);
}

static void care(struct world *w)
{
	const struct store_sample sample = {.at_ns =
						(int64_t)w->round * 60 * NSEC_PER_SEC};
	const struct store_total total = {.ns_ino = w->crowd};
	const struct store_check_options check = {.contents = true};
	struct store_check_result result;
	struct store_reclaimed reclaimed;

	done(w, store_history_add(w->st, &sample, &total, 1));
	done(w, census_now(w->st));
	done(w, store_reclaim(w->st, NULL, &reclaimed));
	done(w, store_check(w->st, &check, &result));
	done(w, store_sync(w->st));
	/* Each second puts off what it cannot do. */
	store_settle(w->st);
}

static void back_up(struct world *w)
{
	const struct store_backup_options opt = {0};
	struct buf path = BUF_INIT;
	struct errmsg err = {0};
	int r;

	if (w->fx->kind == STORE_MEMORY)
		return;
	r = store_backup(w->st, &opt, &path, &err);
	if (!done(w, r))
		assert_true(err.text[0] != '\0');
	buf_deinit(&path);
}

static void read_all(struct world *w)
{
	struct store_gen *gen;
	struct store_attr attr;
	uint8_t data[16];
	size_t n;

	for (enum slot i = 0; i < SLOTS; i++) {
		if (w->slots[i].what != A_FILE ||
		    !done(w, store_lookup(w->st, ROOT, slot_names[i], &attr)) ||
		    !done(w, store_gen_open(w->st, attr.ino, &gen)))
			continue;
		done(w, store_gen_read(gen, data, sizeof(data), 0, &n));
		store_gen_hit(gen);
		store_gen_close(gen);
	}
}

/* ---- a round ---- */

static void do_all(struct world *w)
{
	put_slot(w, SMALL_ONE, 100 + w->round % 50, false);
	put_slot(w, LARGE, 3 * BLOCK + w->round % 1000, false);
	put_slot(w, SYNCED, 2 * BLOCK + w->round % 1000, true);
	abandon(w);
	change_names(w);
	change_attributes(w);
	put_trees(w);
	build_tree(w);
	change_dir(w);
	take_lease(w);
	crowd_out(w);
	read_all(w);
	care(w);
	back_up(w);
	if (w->round % 2)
		remove_slot(w, TREE);
}

static void take_line(void *arg, const char *line)
{
	print_error("check: %s\n", line);
}

static void assert_sound(struct store *st)
{
	const struct store_check_options opt = {.contents = true, .found = take_line};
	struct store_check_result result;

	assert_ok(store_check(st, &opt, &result));
	assert_int_equal(result.found, 0);
}

static void take_nowhere(void *arg, const char *line)
{
	if (!strstr(line, "a content of a tree is nowhere"))
		fail_msg("%s", line);
}

static void drop_unread(struct store *st)
{
	const struct store_check_options opt = {.repair = true, .found = take_nowhere};
	struct store_check_result result;

	assert_ok(store_check(st, &opt, &result));
	assert_int_equal(result.repaired, result.found);
	assert_ok(store_settle(st));
}

static void assert_slot(struct world *w, enum slot slot)
{
	struct state *s = &w->slots[slot];
	uint64_t ino = lookup(w->st, ROOT, slot_names[slot]), big;

	if (!ino && w->losing)
		s->what = NOTHING;
	if (s->what == NOTHING) {
		assert_int_equal(ino, 0);
		return;
	}
	if (!ino)
		fail_msg("%s is lost", slot_names[slot]);
	if (s->what == A_FILE)
		assert_value(w->st, ino, s->len, s->seed);
	if (s->what != A_TREE)
		return;
	big = in_tree(w->st, ino, "big");
	if (big || !w->losing)
		assert_value(w->st, big, 4 * BLOCK, s->seed);
}

static size_t count_crowd(struct world *w)
{
	struct store_dirent ent;
	struct store_dir *dir;
	size_t n = 0;

	assert_ok(store_dir_open(w->st, w->crowd, &dir));
	while (!store_dir_next(dir, &ent))
		n++;
	store_dir_close(dir);
	return n;
}

static void assert_all(struct world *w)
{
	struct store_bounds bounds;

	assert_ok(store_settle(w->st));
	for (enum slot i = 0; i < SLOTS; i++)
		assert_slot(w, i);
	if (w->unread)
		drop_unread(w->st);
	store_bounds(w->st, &bounds);
	assert_int_equal(bounds.staged_bytes, 0);
	assert_sound(w->st);
}

/* Without its trees, of which one may be kept for the other, nothing is left over. */
static void assert_nothing_left(struct world *w)
{
	size_t extents = 0;

	w->error = 0;
	for (enum slot i = TREE; i < SLOTS; i++)
		remove_slot(w, i);
	for (enum slot i = 0; i < SLOTS; i++)
		extents += w->slots[i].what == A_FILE && w->slots[i].len > SMALL;
	assert_ok(store_settle(w->st));
	assert_int_equal(count_rows(w->st, TABLE_GCQ), 0);
	assert_int_equal(count_rows(w->st, TABLE_UNSYNCED), 0);
	assert_int_equal(count_rows(w->st, TABLE_INTENT), 0);
	assert_int_equal(count_extents(w->st), extents + count_crowd(w));
	assert_all(w);
}

static void world_new(struct fixture *fx, struct world *w)
{
	*w = (struct world){.fx = fx, .st = fx->st, .error = EIO};
	set_size(w->st, STORE_SIZE_NONE);
	assert_ok(store_setting_set(w->st, ROOT, STORE_SETTING_PIN, "yes"));
	w->crowd = make_dir(w->st, ROOT, "crowd");
	assert_ok(store_setting_set(w->st, w->crowd, STORE_SETTING_PIN, "no"));
	assert_ok(store_stage_dir(w->st, ROOT, true, &w->stage));
}

/* A round under a plan; whether anything failed. */
static bool play(struct world *w)
{
	w->round++;
	w->failed = 0;
	do_all(w);
	return faults_end() > 0;
}

static void clean_round(struct world *w)
{
	w->error = 0;
	faults_begin(FAULT_GET, 0, 0, 0);
	play(w);
	assert_int_equal(w->failed, 0);
	assert_all(w);
}

static unsigned int percent(void)
{
	const char *text = getenv("MEMOFS_PERCENT");

	return text ? (unsigned int)atoi(text) : 100;
}

/* How far apart the places are that are tried of so many. */
static unsigned int stride(const struct world *w, unsigned int calls)
{
	unsigned int most = (w->fx->kind == STORE_MEMORY ? 12 : 1) * percent() / 100 + 1;

	return calls / most + 1;
}

static const int errors[] = {ENOSPC, EIO, EDQUOT};

static void try_call(struct world *w, enum fault_call call, unsigned int calls,
		     unsigned int times)
{
	unsigned int fired = 0;

	w->unread = call == FAULT_READ;
	w->losing = call == FAULT_FSYNC || w->unread;
	for (unsigned int n = 1; n <= calls; n += stride(w, calls)) {
		w->error = errors[w->round % 3];
		if (getenv("MEMOFS_SHOW"))
			print_message("%s %u: %s\n", fault_name(call), n,
				      strerror(w->error));
		faults_begin(call, n, times, w->error);
		fired += play(w);
		assert_all(w);
	}
	/* The threads make a few calls more or less. */
	if (calls)
		assert_true(fired > 0);
	w->losing = w->unread = false;
}

static void try_all(struct world *w, unsigned int times)
{
	unsigned int calls[FAULT_COUNT];

	clean_round(w);
	clean_round(w); /* which replaces what the first has made */
	for (enum fault_call c = 0; c < FAULT_COUNT; c++)
		calls[c] = faults_seen(c);
	for (enum fault_call c = 0; c < FAULT_COUNT; c++)
		try_call(w, c, calls[c], times);
	clean_round(w);
}

static void reopen(struct world *w)
{
	if (w->fx->kind == STORE_MEMORY)
		return;
	fixture_close(w->fx);
	fixture_open(w->fx);
	w->st = w->fx->st;
	set_size(w->st, STORE_SIZE_NONE);
	assert_all(w);
}

static void test_each_call_fails_once(void **state)
{
	struct world w;

	world_new(*state, &w);
	try_all(&w, 1);
	assert_nothing_left(&w);
	reopen(&w);
}

static void test_each_call_fails_until_the_round_ends(void **state)
{
	struct world w;

	world_new(*state, &w);
	try_all(&w, FAULT_FOREVER);
	assert_nothing_left(&w);
	reopen(&w);
}

static void test_full_disk_and_room_again(void **state)
{
	struct world w;

	world_new(*state, &w);
	clean_round(&w);
	for (int i = 0; i < 3; i++) {
		w.error = errors[i];
		faults_begin_full(w.error);
		assert_true(play(&w));
		assert_true(w.failed > 0);
		assert_all(&w);
		clean_round(&w);
	}
	assert_nothing_left(&w);
	reopen(&w);
}

/* All that is read and written comes in pieces, and nobody notices. */
static void test_reads_and_writes_are_short(void **state)
{
	struct world w;

	world_new(*state, &w);
	clean_round(&w);
	w.error = 0;
	for (int i = 0; i < 3; i++) {
		faults_begin_short();
		assert_true(play(&w));
		assert_all(&w);
	}
	assert_nothing_left(&w);
	reopen(&w);
}

/* One kind of call after the other takes long: the threads meet in other orders. */
static void test_each_call_takes_long(void **state)
{
	struct world w;

	world_new(*state, &w);
	clean_round(&w);
	w.error = 0;
	for (enum fault_call c = 0; c < FAULT_COUNT; c++) {
		faults_begin_delay(c, faults_seen(c) > 1000 ? 20 : 1000);
		play(&w);
		assert_all(&w);
	}
	assert_nothing_left(&w);
	reopen(&w);
}

/* What cannot be read for a reason of its own does not hide what is behind it. */
static void test_scrub_passes_over_one(void **state)
{
	struct fixture *fx = *state;
	struct store_scrub scrub = {0};
	uint64_t first, second;

	first = put_value(fx->st, "first", MIB, 1);
	second = put_value(fx->st, "second", MIB, 2);
	assert_true(first < second);
	assert_ok(store_settle(fx->st));
	flip_extent(fx->st, second, 1000);
	faults_begin(FAULT_EXTENT_OPEN, 1, 1, EACCES);
	assert_ok(store_scrub_set(fx->st, UINT64_C(1) << 40));
	for (int i = 0; i < 20000 && !scrub.passes; i++) {
		usleep(1000);
		store_scrub_get(fx->st, &scrub);
	}
	assert_int_equal(faults_end(), 1);
	assert_int_equal(scrub.passes, 1);
	assert_int_equal(scrub.damaged, 1);
	assert_int_equal(lookup(fx->st, ROOT, "first"), first);
	assert_int_equal(lookup(fx->st, ROOT, "second"), 0);
}

/* A power loss must not bring back a name whose content has been deleted. */
static void test_no_extent_goes_before_its_name(void **state)
{
	struct fixture *fx = *state;
	uint64_t ino = put_value(fx->st, "key", MIB, 1);

	put_value(fx->st, "other", MIB, 2);
	assert_ok(store_settle(fx->st));
	faults_begin(FAULT_SYNC, 1, FAULT_FOREVER, EIO);
	assert_ok(store_rename(fx->st, ROOT, "other", ROOT, "key", 0, NULL));
	assert_int_equal(store_settle(fx->st), -EIO);
	assert_true(faults_end() > 0);
	assert_int_equal(count_extents(fx->st), 2);
	assert_true(lookup(fx->st, ROOT, "key") != ino);
	assert_ok(store_settle(fx->st));
	assert_int_equal(count_extents(fx->st), 1);
}

int main(int argc, char **argv)
{
	struct CMUnitTest tests[] = {
	    STORE_TEST(test_each_call_fails_once),
	    STORE_TEST(test_each_call_fails_until_the_round_ends),
	    STORE_TEST(test_full_disk_and_room_again),
	    STORE_TEST(test_reads_and_writes_are_short),
	    STORE_TEST(test_each_call_takes_long),
	    STORE_TEST(test_scrub_passes_over_one),
	    STORE_TEST(test_no_extent_goes_before_its_name),
	};

	return fixture_main(argc, argv, tests, sizeof(tests) / sizeof(*tests));
}
