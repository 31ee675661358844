/* SPDX-License-Identifier: Apache-2.0 */
/* Directories that were built file by file, and become sealed trees. */
#include "tests/conformance/store_fixture.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "store/internal.h"
#include "store/staged.h"
#include "tests/conformance/store_check.h"

static const struct store_sealer sealer = {
    .writer = {.uid = 5, .gid = 6, .pid = 7, .comm = "mv"}};

static struct store *store_of(void **state)
{
	return ((struct fixture *)*state)->st;
}

static uint64_t stage_of(struct store *st, uint64_t dir)
{
	uint64_t ino = 0;

	assert_ok(store_stage_dir(st, dir, true, &ino));
	return ino;
}

/* `from` is staged in the root; returns the tree at `name` there. */
static uint64_t seal(struct store *st, const char *from, const char *name)
{
	uint64_t ino = 0;

	assert_ok(store_seal(st, stage_of(st, ROOT), from, ROOT, name, false, &sealer,
			     &ino, NULL));
	return ino;
}

/* The inode at a path below a branch; 0: there is none. */
static uint64_t at_path(struct store *st, uint64_t branch, const char *path)
{
	char copy[8192], *rest = copy, *part;
	uint64_t ino = 0;

	snprintf(copy, sizeof(copy), "%s", path);
	while ((part = strtok_r(rest, "/", &rest))) {
		ino = lookup(st, branch, part);
		if (!ino)
			return 0;
		if (S_ISDIR(attr_of(st, ino).mode))
			branch = branch_of(st, ino, NULL);
	}
	return ino;
}

static void assert_text(struct store *st, uint64_t ino, const char *text)
{
	struct store_gen *gen;
	char got[256];
	size_t n = 0;

	assert_int_not_equal(ino, 0);
	assert_ok(store_gen_open(st, ino, &gen));
	assert_ok(store_gen_read(gen, got, sizeof(got) - 1, 0, &n));
	got[n] = '\0';
	assert_string_equal(got, text);
	store_gen_close(gen);
}

static void set_mode(struct store *st, uint64_t ino, mode_t mode, int64_t mtime_ns)
{
	struct store_attr attr = {.mode = mode, .mtime_ns = mtime_ns};

	assert_ok(store_setattr(st, ino, STORE_SET_MODE | STORE_SET_MTIME, &attr, NULL));
}

/* One of each, with attributes that must be kept. */
static uint64_t build(struct store *st, const char *name)
{
	uint64_t dir = make_dir(st, stage_of(st, ROOT), name);
	uint64_t sub = make_dir(st, dir, "sub"), ino;

	make_file(st, dir, "a", "content of a");
	make_file(st, dir, "none", "");
	make_link(st, dir, "link");
	ino = make_file(st, sub, "run", "#!/bin/sh\n");
	set_mode(st, ino, 06755, 1234567890123456789);
	ino = make_dir(st, dir, "empty");
	set_mode(st, ino, 01700, 99);
	set_mode(st, dir, 0750, 1000000007);
	return dir;
}

static void check_built(struct store *st, uint64_t tree)
{
	struct buf target = BUF_INIT;
	struct store_attr attr;

	assert_true(store_ino_in_tree(tree));
	assert_names(st, tree, "a empty link none sub ");
	assert_text(st, at_path(st, tree, "a"), "content of a");
	assert_text(st, at_path(st, tree, "none"), "");
	attr = attr_of(st, at_path(st, tree, "sub/run"));
	assert_int_equal(attr.mode, S_IFREG | 0755);
	assert_int_equal(attr.mtime_ns, 1234567890123456789);
	attr = attr_of(st, at_path(st, tree, "empty"));
	assert_int_equal(attr.mode, S_IFDIR | 0700);
	assert_int_equal(attr.mtime_ns, 99);
	assert_names(st, branch_of(st, attr.ino, NULL), "");
	assert_ok(store_readlink(st, at_path(st, tree, "link"), &target));
	assert_int_equal(target.len, strlen("target"));
	assert_memory_equal(target.data, "target", target.len);
	buf_deinit(&target);
}

static void test_all_kinds(void **state)
{
	struct store *st = store_of(state);
	uint64_t dir = build(st, "x"), tree;
	struct store_facts facts;
	struct store_attr attr;

	assert_ok(store_ttl_set(st, dir, 3600 * NSEC_PER_SEC, "1h"));
	assert_ok(store_xattr_set(st, dir, "user.note", slice("kept", 4), 0));
	assert_int_not_equal(lookup(st, dir, "a"), 0);
	tree = seal(st, "x", "key");
	assert_int_equal(lookup(st, dir, "a"), 0);
	assert_int_equal(lookup(st, ROOT, "key"), tree);
	check_built(st, tree);

	/* The tree's own attributes are those of the directory, as after a rename. */
	attr = attr_of(st, tree);
	assert_true(attr.sealed);
	assert_int_equal(attr.mode, S_IFDIR | 0750);
	assert_int_equal(attr.mtime_ns, 1000000007);
	assert_int_equal(attr.uid, 10);
	assert_int_equal(attr.gid, 20);
	assert_int_equal(attr.expires_ns, attr.created_ns + 3600 * NSEC_PER_SEC);
	assert_ok(store_facts(st, tree, &facts));
	assert_int_equal(facts.writer.pid, 7);
	struct buf note = BUF_INIT;
	assert_ok(store_xattr_get(st, tree, "user.note", &note));
	assert_int_equal(note.len, 4);
	buf_deinit(&note);

	/* The directory is gone with all that was in it, and nothing is made there. */
	assert_int_equal(store_getattr(st, dir, &attr), -ENOENT);
	assert_int_equal(store_mkdir(st, dir, "late", 0755, 1, 1, &attr), -ENOENT);
	assert_names(st, stage_of(st, ROOT), "");
	check_settled(st);
	assert_int_equal(count_rows(st, TABLE_INODE), 3);
}

static void test_empty(void **state)
{
	struct store *st = store_of(state);
	uint64_t tree;

	make_dir(st, stage_of(st, ROOT), "x");
	tree = seal(st, "x", "key");
	assert_names(st, tree, "");
	check_settled(st);
}

static void test_not_a_directory(void **state)
{
	struct store *st = store_of(state);
	uint64_t stage = stage_of(st, ROOT), ino = 7, replaced = 7;

	make_file(st, stage, "file", "text");
	make_link(st, stage, "link");
	assert_int_equal(
	    store_seal(st, stage, "file", ROOT, "key", false, &sealer, &ino, &replaced),
	    -ENOTDIR);
	assert_int_equal(
	    store_seal(st, stage, "link", ROOT, "key", false, &sealer, &ino, &replaced),
	    -ENOTDIR);
	assert_int_equal(
	    store_seal(st, stage, "none", ROOT, "key", false, &sealer, &ino, &replaced),
	    -ENOENT);
	make_dir(st, stage, "x");
	assert_int_equal(
	    store_seal(st, stage, "x", ROOT, "a/b", false, &sealer, &ino, &replaced),
	    -EINVAL);
	assert_int_equal(
	    store_seal(st, stage, "x", 999999999, "key", false, &sealer, &ino, &replaced),
	    -ENOENT);
	assert_int_equal(ino, 7);
	assert_int_equal(replaced, 7);
	assert_names(st, stage, "file link x ");
	assert_names(st, ROOT, "");
	check_settled(st);
}

/* What is at the name is replaced, unless it is a directory that holds something. */
static void test_targets(void **state)
{
	struct store *st = store_of(state);
	uint64_t stage = stage_of(st, ROOT), dir = build(st, "x"), ino = 7, old, tree;

	old = make_dir(st, ROOT, "full");
	make_file(st, old, "child", "text");
	assert_int_equal(
	    store_seal(st, stage, "x", ROOT, "full", false, &sealer, &ino, NULL),
	    -ENOTEMPTY);
	make_file(st, ROOT, "key", "text");
	assert_int_equal(
	    store_seal(st, stage, "x", ROOT, "key", true, &sealer, &ino, NULL), -EEXIST);
	assert_int_equal(ino, 7);
	assert_int_equal(lookup(st, stage, "x"), dir);

	/* A file, a tree, an expired entry, an empty directory. */
	old = lookup(st, ROOT, "key");
	assert_ok(store_seal(st, stage, "x", ROOT, "key", false, &sealer, &tree, &ino));
	assert_int_equal(ino, old);
	build(st, "x");
	assert_int_equal(
	    store_seal(st, stage, "x", ROOT, "key", true, &sealer, &ino, NULL), -EEXIST);
	old = tree;
	assert_ok(store_seal(st, stage, "x", ROOT, "key", false, &sealer, &tree, &ino));
	assert_int_equal(ino, old);
	check_built(st, tree);
	build(st, "x");
	set_ttl_ms(st, tree, 0);
	assert_ok(store_seal(st, stage, "x", ROOT, "key", true, &sealer, &tree, NULL));
	check_built(st, tree);
	build(st, "x");
	old = make_dir(st, ROOT, "void");
	assert_ok(store_seal(st, stage, "x", ROOT, "void", false, &sealer, &tree, &ino));
	assert_int_equal(ino, old);
	check_built(st, tree);
	check_settled(st);
}

static bool is_another(void *arg, const struct store_attr *attr)
{
	return attr->ino != *(uint64_t *)arg;
}

static void test_what_may_not_be_read(void **state)
{
	struct store *st = store_of(state);
	uint64_t stage = stage_of(st, ROOT), dir = build(st, "x"), unread, ino;
	uint64_t sub = lookup(st, dir, "sub");
	uint64_t secrets[] = {dir, lookup(st, dir, "a"), sub, lookup(st, sub, "run")};
	struct store_sealer by = {.may_read = is_another, .arg = &unread};

	for (size_t i = 0; i < sizeof(secrets) / sizeof(*secrets); i++) {
		unread = secrets[i];
		assert_int_equal(
		    store_seal(st, stage, "x", ROOT, "key", false, &by, &ino, NULL),
		    -EACCES);
		assert_int_equal(lookup(st, stage, "x"), dir);
	}
	/* A symlink has no permissions. */
	unread = lookup(st, dir, "link");
	assert_ok(store_seal(st, stage, "x", ROOT, "key", false, &by, &ino, NULL));
	check_built(st, ino);
	check_settled(st);
}

static void test_into_itself(void **state)
{
	struct store *st = store_of(state);
	uint64_t stage = stage_of(st, ROOT), dir = build(st, "x");
	uint64_t sub = lookup(st, dir, "sub");

	assert_int_equal(
	    store_seal(st, stage, "x", sub, "key", false, &sealer, NULL, NULL), -EINVAL);
	assert_int_equal(
	    store_seal(st, stage, "x", dir, "key", false, &sealer, NULL, NULL), -EINVAL);
	assert_int_equal(lookup(st, stage, "x"), dir);
	assert_names(st, dir, "a empty link none sub ");
	check_settled(st);
}

/* Current names only: neither other versions, nor what has expired, nor a stage. */
static void test_what_is_left_out(void **state)
{
	struct store *st = store_of(state);
	uint64_t dir = build(st, "x"), tree;

	make_file(st, branch_of(st, dir, "other"), "hidden", "text");
	set_ttl_ms(st, make_file(st, dir, "expired", "text"), 0);
	make_file(st, stage_of(st, dir), "built", "text");
	tree = seal(st, "x", "key");
	check_built(st, tree);

	dir = make_dir(st, stage_of(st, ROOT), "y");
	make_file(st, dir, "hidden", "text");
	assert_ok(store_version_set(st, dir, "2"));
	make_file(st, branch_of(st, dir, "2"), "seen", "text");
	tree = seal(st, "y", "key");
	assert_names(st, tree, "seen ");
	check_settled(st);
}

static void test_tree_in_a_tree(void **state)
{
	struct store *st = store_of(state);
	uint64_t dir, tree;

	build(st, "x");
	dir = make_dir(st, stage_of(st, ROOT), "y");
	assert_ok(store_seal(st, stage_of(st, ROOT), "x", dir, "inner", false, &sealer,
			     NULL, NULL));
	tree = seal(st, "y", "key");
	assert_names(st, tree, "inner ");
	assert_names(st, branch_of(st, at_path(st, tree, "inner"), NULL),
		     "a empty link none sub ");
	assert_text(st, at_path(st, tree, "inner/sub/run"), "#!/bin/sh\n");

	/* A tree that is staged is only moved. */
	build(st, "x");
	assert_ok(store_seal(st, stage_of(st, ROOT), "x", stage_of(st, ROOT), "ready",
			     false, &sealer, &dir, NULL));
	assert_int_equal(store_seal(st, stage_of(st, ROOT), "ready", ROOT, "key", true,
				    &sealer, NULL, NULL),
			 -EEXIST);
	assert_int_equal(seal(st, "ready", "key"), dir);
	assert_int_equal(lookup(st, ROOT, "key"), dir);
	check_built(st, dir);
	check_settled(st);
}

/* The clock of the cost starts with the directory. */
static void test_cost(void **state)
{
	struct store *st = store_of(state);
	struct store_facts facts;

	build(st, "x");
	sleep_until(time_now_ns() + 300 * 1000 * 1000);
	assert_ok(store_facts(st, seal(st, "x", "key"), &facts));
	assert_true(facts.cost_s >= 0.3);
}

#define LARGE ((size_t)3 * 1024 * 1024)

/* Contents on either side of the threshold, and holes. */
static void test_large(void **state)
{
	struct store *st = store_of(state);
	uint64_t dir = make_dir(st, stage_of(st, ROOT), "x"), tree, ino;
	struct store_stage_args args = {.branch = dir, .mode = 0644};
	struct store_staged *sg = NULL;
	struct store_gen *gen;
	uint8_t *data = malloc(LARGE), *got = malloc(LARGE + 1);
	size_t n = 0;

	assert_true(data && got);
	memset(data, 0, LARGE);
	memset(data + LARGE / 2, 'x', LARGE / 4);
	assert_ok(store_stage(st, &args, &sg));
	assert_ok(store_staged_write(sg, data + LARGE / 2, LARGE / 4, LARGE / 2));
	assert_ok(store_staged_truncate(sg, LARGE));
	assert_ok(store_publish(sg, dir, "holes", false, NULL, NULL));
	store_staged_free(sg);
	make_file(st, dir, "small", "text");

	assert_ok(store_settle(st));
	tree = seal(st, "x", "key");
	/* What was fsynced in the directory is not lost with it: it is on the disk. */
	assert_int_equal(count_rows(st, TABLE_UNSYNCED), 0);
	assert_text(st, at_path(st, tree, "small"), "text");
	ino = at_path(st, tree, "holes");
	assert_int_equal(attr_of(st, ino).size_bytes, LARGE);
	assert_ok(store_gen_open(st, ino, &gen));
	assert_ok(store_gen_read(gen, got, LARGE + 1, 0, &n));
	store_gen_close(gen);
	assert_int_equal(n, LARGE);
	assert_memory_equal(got, data, LARGE);
	free(data);
	free(got);
	check_settled(st);
}

#define DIRS 100
#define FILES 99

static void test_many(void **state)
{
	struct store *st = store_of(state);
	uint64_t dir = make_dir(st, stage_of(st, ROOT), "x"), tree, sub;
	char name[32], text[32];

	for (int i = 0; i < DIRS; i++) {
		snprintf(name, sizeof(name), "d%d", i);
		sub = make_dir(st, dir, name);
		for (int k = 0; k < FILES; k++) {
			snprintf(name, sizeof(name), "f%d", k);
			snprintf(text, sizeof(text), "%d of %d", k, i);
			make_file(st, sub, name, text);
		}
	}
	tree = seal(st, "x", "key");
	assert_text(st, at_path(st, tree, "d7/f31"), "31 of 7");
	assert_text(st, at_path(st, tree, "d99/f98"), "98 of 99");
	assert_int_equal(at_path(st, tree, "d99/f99"), 0);
	check_settled(st);
	assert_int_equal(count_rows(st, TABLE_INODE), 3);
}

#define DEPTH 1000

static void test_deep(void **state)
{
	struct store *st = store_of(state);
	uint64_t dir = make_dir(st, stage_of(st, ROOT), "x"), at;

	for (int i = 0; i < DEPTH; i++)
		dir = make_dir(st, dir, "d");
	make_file(st, dir, "leaf", "text");
	at = seal(st, "x", "key");
	for (int i = 0; i < DEPTH; i++)
		at = lookup(st, branch_of(st, at, NULL), "d");
	assert_text(st, at_path(st, at, "leaf"), "text");
	check_settled(st);
}

/* ---- what happens meanwhile ---- */

struct disturber {
	pthread_t thread;
	struct store *st;
	uint64_t dir;
	atomic_bool stop;
	int rc; /* of the first call that failed as it must not */
};

/* Makes, renames and removes what is being sealed. */
static void *disturb(void *arg)
{
	struct disturber *d = arg;

	for (unsigned int i = 0; !atomic_load(&d->stop) && !d->rc; i++) {
		struct store_attr attr;
		char name[32], other[32];
		int r;

		snprintf(name, sizeof(name), "new%u", i % 50);
		snprintf(other, sizeof(other), "old%u", i % 37);
		r = store_mkdir(d->st, d->dir, name, 0755, 1, 1, &attr);
		if (!r)
			r = store_symlink(d->st, attr.ino, "l", "target", 1, 1, &attr);
		if (!r)
			r = store_rename(d->st, d->dir, name, d->dir, other, 0, NULL);
		if (r && r != -ENOENT && r != -EEXIST && r != -ENOTEMPTY)
			d->rc = r;
		if (i % 3 == 0)
			store_rmdir(d->st, d->dir, other);
	}
	return NULL;
}

static void test_changed_meanwhile(void **state)
{
	struct store *st = store_of(state);

	for (int i = 0; i < 5; i++) {
		struct disturber d = {.st = st, .dir = build(st, "x")};
		uint64_t tree;

		for (int k = 0; k < 200; k++) {
			char name[32];

			snprintf(name, sizeof(name), "file%d", k);
			make_file(st, d.dir, name, name);
		}
		assert_int_equal(pthread_create(&d.thread, NULL, disturb, &d), 0);
		tree = seal(st, "x", "key");
		atomic_store(&d.stop, true);
		pthread_join(d.thread, NULL);
		assert_ok(d.rc);
		assert_text(st, at_path(st, tree, "file42"), "file42");
		assert_text(st, at_path(st, tree, "sub/run"), "#!/bin/sh\n");
	}
	check_settled(st);
}

/* A file whose content is bad must not be missing silently. */
static void test_damage(void **state)
{
	struct store *st = store_of(state);
	uint64_t dir = build(st, "x"), ino = 7;
	struct key key = key_ino(lookup(st, dir, "a"));
	struct batch b = BATCH_INIT;

	batch_put(&b, TABLE_SMALL, key_slice(&key), slice("content of b", 12));
	assert_ok(backend_commit(st->be, &b));
	batch_deinit(&b);
	assert_int_equal(store_seal(st, stage_of(st, ROOT), "x", ROOT, "key", false,
				    &sealer, &ino, NULL),
			 -EUCLEAN);
	assert_int_equal(ino, 7);
	assert_int_equal(lookup(st, ROOT, "key"), 0);
	assert_int_equal(lookup(st, stage_of(st, ROOT), "x"), dir);
	/* The bad one was dropped: the second time is a success. */
	assert_names(st, seal(st, "x", "key"), "empty link none sub ");
	check_settled(st);
}

/* ---- crashes ---- */

/*
 * A process that died between the synced intent and the publish: the tree is there
 * after the start, and so is what it was made of.
 */
static void test_crash(void **state)
{
	struct fixture *fx = *state;
	struct store_stage_args args = {.branch = ROOT, .sealed = true, .mode = 0755};
	struct store_staged *sg = NULL;
	struct errmsg err = {0};
	struct buf raw = BUF_INIT;
	struct store_gen *gen;
	uint64_t dir, tree;
	size_t n = 0;

	if (fx->kind == STORE_MEMORY)
		return;
	/* The same pack by hand, since store_seal() ends with the publish. */
	build(fx->st, "y");
	tree = seal(fx->st, "y", "other");
	dir = build(fx->st, "x");
	assert_ok(store_gen_open(fx->st, store_tree_stream(tree), &gen));
	assert_ok(buf_reserve(&raw, 65536));
	assert_ok(store_gen_read(gen, raw.data, raw.cap, 0, &n));
	store_gen_close(gen);
	assert_ok(store_stage(fx->st, &args, &sg));
	assert_ok(store_staged_write(sg, raw.data, n, 0));
	assert_ok(store_staged_check(sg, &err));
	assert_ok(store_staged_sync(sg));
	assert_ok(store_staged_flush(sg, ROOT, "key"));
	buf_deinit(&raw);
	sg->intent.recorded = false; /* dies: nothing is withdrawn */
	sg->published = true;
	store_staged_free(sg);
	fixture_close(fx);
	fixture_open(fx);
	check_built(fx->st, lookup(fx->st, ROOT, "key"));
	assert_int_equal(lookup(fx->st, stage_of(fx->st, ROOT), "x"), dir);
	check_built(fx->st, seal(fx->st, "x", "key"));
	check_settled(fx->st);
}

static void test_restart(void **state)
{
	struct fixture *fx = *state;

	build(fx->st, "x");
	seal(fx->st, "x", "key");
	if (fx->kind == STORE_MEMORY)
		return;
	fixture_close(fx);
	fixture_open(fx);
	check_built(fx->st, lookup(fx->st, ROOT, "key"));
	assert_names(fx->st, stage_of(fx->st, ROOT), "");
	check_settled(fx->st);
	assert_int_equal(count_rows(fx->st, TABLE_INTENT), 0);
}

int main(int argc, char **argv)
{
	struct CMUnitTest tests[] = {
	    STORE_TEST(test_all_kinds),
	    STORE_TEST(test_empty),
	    STORE_TEST(test_not_a_directory),
	    STORE_TEST(test_targets),
	    STORE_TEST(test_what_may_not_be_read),
	    STORE_TEST(test_into_itself),
	    STORE_TEST(test_what_is_left_out),
	    STORE_TEST(test_tree_in_a_tree),
	    STORE_TEST(test_cost),
	    STORE_TEST(test_large),
	    STORE_TEST(test_many),
	    STORE_TEST(test_deep),
	    STORE_TEST(test_changed_meanwhile),
	    STORE_TEST(test_damage),
	    STORE_TEST(test_crash),
	    STORE_TEST(test_restart),
	};

	return fixture_main(argc, argv, tests, sizeof(tests) / sizeof(*tests));
}
