/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a store that keeps its rows on a disk makes of a process that was killed,
 * and of a power loss as far as it can be imitated.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/internal.h"
#include "tests/conformance/crash_fixture.h"
#include "tests/conformance/value_fixture.h"

static struct store_staged *child_stage(struct store *st, size_t len, uint64_t seed)
{
	struct store_stage_args args = {.branch = ROOT, .mode = 0644};
	uint8_t *data = pattern(len, seed);
	struct store_staged *sg;

	must(store_stage(st, &args, &sg));
	must(store_staged_write(sg, data, len, 0));
	free(data);
	return sg;
}

/* ---- killed while publishing ---- */

#define STORM_LARGE (300 * 1000)
#define STORM_SMALL 5000

static void storm(struct store *st)
{
	for (uint64_t i = 0;; i++) {
		char name[16];
		size_t len = i % 2 ? STORM_LARGE : STORM_SMALL;
		struct store_staged *sg = child_stage(st, len, i % 7);

		snprintf(name, sizeof(name), "%u", (unsigned int)(i % 7));
		must(store_publish(sg, ROOT, name, false, NULL, NULL));
		store_staged_free(sg);
		child_began();
	}
}

/* Each is whole, and nothing else is there. */
static void check_storm(struct store *st)
{
	size_t small = 0, large = 0;

	for (unsigned int i = 0; i < 7; i++) {
		struct store_attr attr;
		char name[16];

		snprintf(name, sizeof(name), "%u", i);
		if (store_lookup(st, ROOT, name, &attr))
			continue;
		assert_value(st, attr.ino, attr.size_bytes, i);
		if (attr.size_bytes == STORM_LARGE)
			large++;
		else
			small++;
	}
	assert_true(small + large > 0);
	assert_left(st, small, large);
}

static void test_killed_while_publishing(void **state)
{
	struct fixture *fx = *state;

	for (unsigned int i = 0; i < 4; i++) {
		kill_in(fx, storm, 500 + 137 * i);
		check_storm(fx->st);
	}
}

/* Extents that no row names, and a staged file. */
static void leave_orphans(struct store *st)
{
	uint64_t ino;
	int fd;

	for (int i = 0; i < 3; i++) {
		must(ino_alloc(st, &ino));
		must(backend_extent_stage(st->be, ino, &fd));
		must(write(fd, "orphan", 6) != 6);
		if (i)
			must(backend_extent_commit(st->be, ino));
	}
	must(backend_extent_sync_dir(st->be));
	die();
}

static void test_orphans_are_dropped(void **state)
{
	struct fixture *fx = *state;
	uint64_t ino = put_value(fx->st, "kept", MIB, 1);

	kill_in(fx, leave_orphans, 0);
	assert_left(fx->st, 0, 1);
	assert_value(fx->st, ino, MIB, 1);
}

/* Removed and replaced, but the process died before it deleted the contents. */
static void leave_garbage(struct store *st)
{
	struct store_staged *sg = child_stage(st, 10, 5);

	must(store_publish(sg, ROOT, "replaced", false, NULL, NULL));
	must(store_unlink(st, ROOT, "small"));
	must(store_unlink(st, ROOT, "large"));
	die();
}

static void test_garbage_is_deleted(void **state)
{
	struct fixture *fx = *state;

	put_value(fx->st, "small", 10, 1);
	put_value(fx->st, "large", MIB, 1);
	put_value(fx->st, "replaced", MIB, 1);
	kill_in(fx, leave_garbage, 0);
	assert_left(fx->st, 1, 0);
	assert_value(fx->st, lookup(fx->st, ROOT, "replaced"), 10, 5);
}

/* ---- fsync ---- */

static void fsync_close_die(struct store *st)
{
	struct store_staged *large = child_stage(st, MIB, 1),
			    *small = child_stage(st, 10, 2);
	struct store_staged *lost = child_stage(st, MIB, 3),
			    *open = child_stage(st, 10, 4);
	struct store_attr attr = {.mode = 0600};

	must(store_staged_xattr_set(large, "user.a", slice("b", 1), 0));
	must(store_staged_sync(large));
	must(store_staged_setattr(large, STORE_SET_MODE, &attr, &attr));
	must(store_staged_flush(large, ROOT, "large"));
	must(store_staged_sync(small));
	must(store_staged_flush(small, ROOT, "small"));
	must(store_staged_flush(lost, ROOT, "lost")); /* closed without fsync */
	must(store_staged_sync(open));		      /* fsynced and not closed */
	die();
}

static void test_fsynced_and_closed_is_published(void **state)
{
	struct fixture *fx = *state;
	struct buf value = BUF_INIT;
	uint64_t ino;

	put_value(fx->st, "small", MIB, 9);
	kill_in(fx, fsync_close_die, 0);
	ino = lookup(fx->st, ROOT, "large");
	assert_value(fx->st, ino, MIB, 1);
	assert_int_equal(attr_of(fx->st, ino).mode, S_IFREG | 0600);
	assert_ok(store_xattr_get(fx->st, ino, "user.a", &value));
	buf_deinit(&value);
	assert_value(fx->st, lookup(fx->st, ROOT, "small"), 10, 2);
	assert_int_equal(lookup(fx->st, ROOT, "lost"), 0);
	assert_left(fx->st, 1, 1);
}

static void write_after_close_die(struct store *st)
{
	struct store_staged *sg = child_stage(st, MIB, 1),
			    *small = child_stage(st, 10, 1);

	must(store_staged_sync(sg));
	must(store_staged_flush(sg, ROOT, "large"));
	must(store_staged_write(sg, "x", 1, MIB));
	must(store_staged_sync(small));
	must(store_staged_flush(small, ROOT, "small"));
	must(store_staged_truncate(small, 5));
	must(store_staged_flush(small, ROOT, "small")); /* not fsynced since */
	die();
}

static void test_write_after_close_withdraws(void **state)
{
	struct fixture *fx = *state;

	kill_in(fx, write_after_close_die, 0);
	assert_int_equal(lookup(fx->st, ROOT, "large"), 0);
	assert_int_equal(lookup(fx->st, ROOT, "small"), 0);
	assert_left(fx->st, 0, 0);
}

static void publish_after_fsync_die(struct store *st)
{
	struct store_staged *sg = child_stage(st, MIB, 1);

	must(store_staged_sync(sg));
	must(store_staged_flush(sg, ROOT, "f"));
	must(store_publish(sg, ROOT, "f", false, NULL, NULL));
	sg = child_stage(st, MIB, 2);
	must(store_staged_sync(sg));
	must(store_staged_flush(sg, ROOT, "g"));
	store_staged_free(sg); /* removed while it was pending */
	die();
}

static void test_intent_ends_with_its_value(void **state)
{
	struct fixture *fx = *state;

	kill_in(fx, publish_after_fsync_die, 0);
	assert_value(fx->st, lookup(fx->st, ROOT, "f"), MIB, 1);
	assert_int_equal(lookup(fx->st, ROOT, "g"), 0);
	assert_left(fx->st, 0, 1);
}

/* The directory it was to be published in went with the same crash. */
static void intent_without_place_die(struct store *st)
{
	struct store_staged *sg = child_stage(st, MIB, 1),
			    *other = child_stage(st, 10, 1);
	struct store_attr attr;

	must(store_mkdir(st, ROOT, "d", 0755, 0, 0, &attr));
	must(store_staged_sync(sg));
	must(store_staged_flush(sg, attr.ino, "f"));
	must(store_rmdir(st, ROOT, "d"));
	must(store_staged_sync(other));
	must(store_staged_flush(other, ROOT, "taken"));
	must(store_mkdir(st, ROOT, "taken", 0755, 0, 0, &attr));
	die();
}

static void test_intent_without_place(void **state)
{
	struct fixture *fx = *state;

	kill_in(fx, intent_without_place_die, 0);
	assert_int_equal(lookup(fx->st, ROOT, "d"), 0);
	assert_int_equal(attr_of(fx->st, lookup(fx->st, ROOT, "taken")).mode & S_IFMT,
			 S_IFDIR);
	assert_left(fx->st, 0, 0);
}

/* ---- power loss: the row is there and the extent is not what it was ---- */

static void publish_and_die(struct store *st)
{
	static const char *const names[] = {"whole", "flipped", "short", "missing"};

	for (unsigned int i = 0; i < 4; i++) {
		struct store_staged *sg = child_stage(st, MIB, i);

		must(store_publish(sg, ROOT, names[i], false, NULL, NULL));
		store_staged_free(sg);
	}
	/* Then the power goes, before anything was synced. */
	for (unsigned int i = 1; i < 4; i++) {
		struct store_attr attr;
		char path[64];
		int fd;

		must(store_lookup(st, ROOT, names[i], &attr));
		must(backend_extent_open(st->be, attr.ino, &fd));
		snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
		if (i == 1)
			flip_extent(st, attr.ino, MIB - 1);
		else if (i == 2)
			must(truncate(path, MIB / 2));
		else
			must(backend_extent_remove(st->be, attr.ino));
	}
	lose_power(st);
}

static void test_unsynced_extents_are_checked(void **state)
{
	struct fixture *fx = *state;

	kill_in(fx, publish_and_die, 0);
	assert_value(fx->st, lookup(fx->st, ROOT, "whole"), MIB, 0);
	assert_int_equal(lookup(fx->st, ROOT, "flipped"), 0);
	assert_int_equal(lookup(fx->st, ROOT, "short"), 0);
	assert_int_equal(lookup(fx->st, ROOT, "missing"), 0);
	assert_left(fx->st, 0, 1);
}

static void publish_flipped_and_die(struct store *st)
{
	struct store_staged *sg = child_stage(st, MIB, 1);
	uint64_t ino = store_staged_ino(sg);

	must(store_publish(sg, ROOT, "flipped", false, NULL, NULL));
	flip_extent(st, ino, MIB - 1);
	die();
}

/*
 * A process that died has taken nothing from the kernel: the extent is not read
 * at once, which shows by a damage that only reading it finds.
 */
static void assert_not_checked(struct fixture *fx)
{
	struct store_gen *gen;
	uint8_t byte;
	size_t n;

	kill_in(fx, publish_flipped_and_die, 0);
	assert_int_not_equal(lookup(fx->st, ROOT, "flipped"), 0);
	gen = open_value(fx->st, lookup(fx->st, ROOT, "flipped"));
	assert_int_equal(store_gen_read(gen, &byte, 1, MIB - 1, &n), -EUCLEAN);
	store_gen_close(gen);
	assert_int_equal(lookup(fx->st, ROOT, "flipped"), 0);
}

static void test_same_boot(void **state)
{
	struct fixture *fx = *state;

	assert_not_checked(fx);
	/* Nor are those of a boot that was checked once. */
	kill_in(fx, publish_and_die, 0);
	assert_int_equal(lookup(fx->st, ROOT, "flipped"), 0);
	assert_not_checked(fx);
	assert_left(fx->st, 0, 1);
}

/* What has so many holes that it has no hash is compared block by block. */
#define SPARSE_BYTES (2 * 1024 * (uint64_t)MIB)

static void publish_sparse_and_die(struct store *st)
{
	static const char *const names[] = {"whole", "filled", "emptied"};

	for (unsigned int i = 0; i < 3; i++) {
		struct store_staged *sg = child_stage(st, MIB, 1);
		uint64_t ino = store_staged_ino(sg);

		must(store_staged_truncate(sg, SPARSE_BYTES));
		must(store_publish(sg, ROOT, names[i], false, NULL, NULL));
		store_staged_free(sg);
		if (i == 1)
			flip_extent(st, ino, SPARSE_BYTES - 1);
		else if (i == 2)
			flip_extent(st, ino, 0);
	}
	lose_power(st);
}

static void test_unsynced_sparse_extents_are_checked(void **state)
{
	struct fixture *fx = *state;
	struct store_facts facts;
	uint64_t ino;

	kill_in(fx, publish_sparse_and_die, 0);
	assert_int_equal(lookup(fx->st, ROOT, "filled"), 0);
	assert_int_equal(lookup(fx->st, ROOT, "emptied"), 0);
	ino = lookup(fx->st, ROOT, "whole");
	assert_int_not_equal(ino, 0);
	assert_int_equal(attr_of(fx->st, ino).size_bytes, SPARSE_BYTES);
	assert_ok(store_facts(fx->st, ino, &facts));
	assert_false(facts.has_hash);
	assert_left(fx->st, 0, 1);
}

/* An intent whose extent is damaged publishes nothing and leaves nothing. */
static void damaged_intent_die(struct store *st)
{
	struct store_staged *sg = child_stage(st, MIB, 1);

	must(store_staged_sync(sg));
	must(store_staged_flush(sg, ROOT, "f"));
	flip_extent(st, store_staged_ino(sg), 5);
	die();
}

static void test_damaged_intent(void **state)
{
	struct fixture *fx = *state;

	put_value(fx->st, "f", 10, 7);
	kill_in(fx, damaged_intent_die, 0);
	assert_value(fx->st, lookup(fx->st, ROOT, "f"), 10, 7);
	assert_left(fx->st, 1, 0);
}

int main(int argc, char **argv)
{
	struct CMUnitTest tests[] = {
	    STORE_TEST(test_killed_while_publishing),
	    STORE_TEST(test_orphans_are_dropped),
	    STORE_TEST(test_garbage_is_deleted),
	    STORE_TEST(test_fsynced_and_closed_is_published),
	    STORE_TEST(test_write_after_close_withdraws),
	    STORE_TEST(test_intent_ends_with_its_value),
	    STORE_TEST(test_intent_without_place),
	    STORE_TEST(test_unsynced_extents_are_checked),
	    STORE_TEST(test_same_boot),
	    STORE_TEST(test_unsynced_sparse_extents_are_checked),
	    STORE_TEST(test_damaged_intent),
	};

	return fixture_main(argc, argv, tests, sizeof(tests) / sizeof(*tests));
}
