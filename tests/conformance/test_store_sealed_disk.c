/* SPDX-License-Identifier: Apache-2.0 */
/* Sealed trees on a disk: after a restart, a process that was killed, a power loss. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/internal.h"
#include "tests/conformance/crash_fixture.h"
#include "tests/conformance/tree_fixture.h"

static void assert_tree(struct store *st, const char *name, size_t big)
{
	uint64_t tree = lookup(st, ROOT, name);

	assert_true(store_ino_in_tree(tree));
	assert_names(st, tree, "bin data dir link ");
	assert_value(st, in_tree(st, tree, "data/big"), big, big);
	assert_text(st, in_tree(st, tree, "bin/tool"), "#!");
}

static void test_restart(void **state)
{
	struct fixture *fx = *state;
	uint64_t small = put_tree(fx->st, "small", 100), file;
	struct store_facts facts;
	struct store_gen *gen;

	put_tree(fx->st, "large", MIB);
	file = in_tree(fx->st, small, "bin/tool");
	gen = open_value(fx->st, file);
	store_gen_hit(gen);
	store_gen_close(gen);
	fixture_close(fx);
	fixture_open(fx);
	assert_tree(fx->st, "large", MIB);
	assert_tree(fx->st, "small", 100);
	assert_int_equal(lookup(fx->st, ROOT, "small"), small);
	assert_int_equal(in_tree(fx->st, small, "bin/tool"), file);
	assert_ok(store_facts(fx->st, small, &facts));
	assert_int_equal(facts.hits, 1);
	assert_left(fx->st, 1, 1);
}

/* ---- in the child ---- */

static struct store_staged *child_tree(struct store *st, size_t big)
{
	struct store_stage_args args = {.branch = ROOT, .mode = 0644, .sealed = true};
	struct store_staged *sg;
	struct packing p;

	pack_sample(&p, big);
	must(store_stage(st, &args, &sg));
	must(store_staged_write(sg, p.raw.data, p.raw.len, 0));
	packing_deinit(&p);
	return sg;
}

static void child_publish(struct store *st, const char *name, size_t big)
{
	struct store_staged *sg = child_tree(st, big);

	must(store_staged_check(sg, NULL));
	must(store_publish(sg, ROOT, name, false, NULL, NULL));
	store_staged_free(sg);
}

static void fsync_close_die(struct store *st)
{
	struct store_staged *large = child_tree(st, MIB), *small = child_tree(st, 100);
	struct store_staged *lost = child_tree(st, 10), *unchecked = child_tree(st, 20);

	must(store_staged_sync(large));
	must(store_staged_check(large, NULL));
	must(store_staged_flush(large, ROOT, "large"));
	must(store_staged_sync(small));
	must(store_staged_check(small, NULL));
	must(store_staged_flush(small, ROOT, "small"));
	must(store_staged_check(lost, NULL));
	must(store_staged_flush(lost, ROOT, "lost")); /* closed without fsync */
	must(store_staged_sync(unchecked));
	must(store_staged_flush(unchecked, ROOT, "unchecked") != -EBADMSG);
	die();
}

static void test_fsynced_and_closed_is_published(void **state)
{
	struct fixture *fx = *state;

	put_tree(fx->st, "small", 2 * MIB);
	put_value(fx->st, "large", 10, 1);
	kill_in(fx, fsync_close_die, 0);
	assert_tree(fx->st, "large", MIB);
	assert_tree(fx->st, "small", 100);
	assert_int_equal(attr_of(fx->st, lookup(fx->st, ROOT, "small")).mode,
			 S_IFDIR | 0755);
	assert_int_equal(lookup(fx->st, ROOT, "lost"), 0);
	assert_int_equal(lookup(fx->st, ROOT, "unchecked"), 0);
	assert_left(fx->st, 1, 1);
}

static void damaged_intent_die(struct store *st)
{
	struct store_staged *sg = child_tree(st, MIB);

	must(store_staged_sync(sg));
	must(store_staged_check(sg, NULL));
	must(store_staged_flush(sg, ROOT, "t"));
	flip_extent(st, store_staged_ino(sg), 5);
	die();
}

static void test_damaged_intent(void **state)
{
	struct fixture *fx = *state;

	put_tree(fx->st, "t", 10);
	kill_in(fx, damaged_intent_die, 0);
	assert_tree(fx->st, "t", 10);
	assert_left(fx->st, 1, 0);
}

static void flip_some_and_lose_power(struct store *st)
{
	struct store_attr attr;

	child_publish(st, "whole", MIB);
	child_publish(st, "flipped", MIB + 1);
	must(store_lookup(st, ROOT, "flipped", &attr));
	flip_extent(st, store_tree_stream(attr.ino), MIB);
	lose_power(st);
}

static void test_power_loss(void **state)
{
	struct fixture *fx = *state;

	kill_in(fx, flip_some_and_lose_power, 0);
	assert_tree(fx->st, "whole", MIB);
	assert_int_equal(lookup(fx->st, ROOT, "flipped"), 0);
	assert_left(fx->st, 0, 1);
}

/* ---- killed at any time ---- */

#define STORM_LARGE (300 * 1000)
#define STORM_SMALL 5000

static void storm(struct store *st)
{
	for (unsigned int i = 0;; i++) {
		char name[16];

		snprintf(name, sizeof(name), "%u", i % 7);
		child_publish(st, name, i % 2 ? STORM_LARGE : STORM_SMALL);
		child_began();
	}
}

static void check_storm(struct store *st)
{
	size_t trees = 0;

	for (unsigned int i = 0; i < 7; i++) {
		struct store_attr attr;
		char name[16];

		snprintf(name, sizeof(name), "%u", i);
		if (store_lookup(st, ROOT, name, &attr))
			continue;
		trees++;
		attr = attr_of(st, in_tree(st, attr.ino, "data/big"));
		assert_tree(st, name, attr.size_bytes);
	}
	assert_true(trees > 0);
}

static void test_killed_while_publishing(void **state)
{
	struct fixture *fx = *state;

	for (unsigned int i = 0; i < 4; i++) {
		kill_in(fx, storm, 500 + 137 * i);
		check_storm(fx->st);
	}
	for (unsigned int i = 0; i < 7; i++) {
		char name[16];
		int r;

		snprintf(name, sizeof(name), "%u", i);
		r = store_rmdir(fx->st, ROOT, name);
		assert_true(r == 0 || r == -ENOENT);
	}
	assert_left(fx->st, 0, 0);
}

static void test_format_2_is_raised(void **state)
{
	static const char format[] = "memofs store, format 2\n";
	struct fixture *fx = *state;
	char path[SCRATCH_MAX + 32], now[64] = "";
	uint64_t file = put_value(fx->st, "f", 10, 1);
	FILE *in;

	fixture_close(fx);
	snprintf(path, sizeof(path), "%s/FORMAT", fx->path);
	scratch_write(path, format, strlen(format));
	fixture_open(fx);
	assert_value(fx->st, file, 10, 1);
	put_tree(fx->st, "t", 10);
	assert_tree(fx->st, "t", 10);
	in = fopen(path, "r");
	assert_non_null(in);
	assert_non_null(fgets(now, sizeof(now), in));
	fclose(in);
	assert_string_equal(now, "memofs store, format 4\n");
}

int main(int argc, char **argv)
{
	struct CMUnitTest tests[] = {
	    STORE_TEST(test_restart),
	    STORE_TEST(test_fsynced_and_closed_is_published),
	    STORE_TEST(test_damaged_intent),
	    STORE_TEST(test_power_loss),
	    STORE_TEST(test_killed_while_publishing),
	    STORE_TEST(test_format_2_is_raised),
	};

	return fixture_main(argc, argv, tests, sizeof(tests) / sizeof(*tests));
}
