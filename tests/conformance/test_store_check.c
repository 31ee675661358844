/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The check: it finds nothing in a sound store, and every kind of damage in another one;
 * what it repairs is sound afterwards, and what was sound before is still there.
 */
#include <endian.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/check.h"
#include "store/internal.h"
#include "store/share_rows.h"
#include "tests/conformance/tree_fixture.h"

static const struct slice garbage = {"\1garbage", 8};

/* What every store of these tests has. */
struct sample {
	uint64_t small, large, link, dir, below, version, hidden, tree, deep;
};

static void fill(struct store *st, struct sample *s)
{
	s->small = put_value(st, "small", 100, 1);
	s->large = put_value(st, "large", 3 * MIB + 5, 2);
	s->link = make_link(st, ROOT, "link");
	s->dir = make_dir(st, ROOT, "dir");
	s->below = make_file(st, s->dir, "below", "text");
	s->version = branch_of(st, s->dir, "v2");
	s->hidden = make_file(st, s->version, "hidden", "other");
	assert_ok(store_version_set(st, s->dir, "v2"));
	s->deep = make_dir(st, s->version, "deep");
	make_file(st, s->deep, "deeper", "deep down");
	s->tree = put_tree(st, "tree", MIB);
	put_value(st, "gone", MIB, 3);
	assert_ok(store_unlink(st, ROOT, "gone"));
	assert_ok(store_settle(st));
}

/* ---- checking ---- */

struct lines {
	struct buf text;
	unsigned int progress;
};

static void take_line(void *arg, const char *line)
{
	struct lines *lines = arg;

	assert_ok(buf_printf(&lines->text, "%s\n", line));
}

static void take_progress(void *arg, const struct store_check_progress *p)
{
	struct lines *lines = arg;

	assert_true(p->rows <= p->rows_total);
	assert_true(p->bytes <= p->bytes_total);
	lines->progress++;
}

/* How many faults there are; the lines are printed when the test fails. */
static struct store_check_result check(struct store *st, bool repair, const char *has)
{
	struct lines lines = {0};
	const struct store_check_options opt = {.contents = true,
						.repair = repair,
						.found = take_line,
						.progress = take_progress,
						.arg = &lines};
	struct store_check_result result;

	assert_ok(store_check(st, &opt, &result));
	assert_ok(buf_append(&lines.text, "", 1));
	assert_true(lines.progress > 0);
	if (result.found)
		print_message("%s", (const char *)lines.text.data);
	if (has)
		assert_non_null(strstr((const char *)lines.text.data, has));
	buf_deinit(&lines.text);
	return result;
}

static void assert_sound(struct store *st)
{
	assert_int_equal(check(st, false, NULL).found, 0);
}

/* Found, left alone, repaired; and nothing is left to be found. */
static void assert_repaired(struct store *st, const char *has)
{
	struct store_check_result result = check(st, false, has);

	assert_true(result.found > 0);
	assert_int_equal(result.repaired, 0);
	result = check(st, true, has);
	assert_true(result.found > 0);
	assert_int_equal(result.repaired, result.found);
	assert_ok(store_settle(st));
	assert_sound(st);
}

/* ---- damage ---- */

static void put_row(struct store *st, enum table table, const struct key *key,
		    struct slice value)
{
	struct batch b = BATCH_INIT;

	batch_put(&b, table, key_slice(key), value);
	assert_ok(backend_commit(st->be, &b));
	batch_deinit(&b);
	policy_changed(st); /* what is cached is of the rows before */
}

static void del_row(struct store *st, enum table table, const struct key *key)
{
	struct batch b = BATCH_INIT;

	batch_del(&b, table, key_slice(key));
	assert_ok(backend_commit(st->be, &b));
	batch_deinit(&b);
	policy_changed(st);
}

static void damage_ino(struct store *st, enum table table, uint64_t ino)
{
	struct key key = key_ino(ino);

	put_row(st, table, &key, garbage);
}

static void load_row(struct store *st, uint64_t ino, struct inode *in)
{
	*in = INODE_INIT;
	assert_ok(inode_load(st, ino, in));
}

static void put_inode(struct store *st, const struct inode_row *row)
{
	struct buf raw = BUF_INIT;
	struct key key = key_ino(row->core.ino);

	assert_ok(inode_encode(row, &raw));
	put_row(st, TABLE_INODE, &key, buf_slice(&raw));
	buf_deinit(&raw);
}

static uint64_t stream(const struct sample *s)
{
	return store_tree_stream(s->tree);
}

static void small_inode(struct store *st, const struct sample *s)
{
	damage_ino(st, TABLE_INODE, s->small);
}

static void dir_inode(struct store *st, const struct sample *s)
{
	damage_ino(st, TABLE_INODE, s->dir);
}

static void root_inode(struct store *st, const struct sample *s)
{
	damage_ino(st, TABLE_INODE, STORE_ROOT_INO);
}

static void root_missing(struct store *st, const struct sample *s)
{
	struct key key = key_ino(STORE_ROOT_INO);

	del_row(st, TABLE_INODE, &key);
}

static void inode_missing(struct store *st, const struct sample *s)
{
	struct key key = key_ino(s->large);

	del_row(st, TABLE_INODE, &key);
}

static void dir_missing(struct store *st, const struct sample *s)
{
	struct key key = key_ino(s->deep);

	del_row(st, TABLE_INODE, &key);
}

static void name_row(struct store *st, const struct sample *s)
{
	struct key key = key_dirent(ROOT, slice_str("large"));

	put_row(st, TABLE_DIRENT, &key, garbage);
}

static void name_missing(struct store *st, const struct sample *s)
{
	struct key key = key_dirent(ROOT, slice_str("small"));

	del_row(st, TABLE_DIRENT, &key);
}

static void dir_name_missing(struct store *st, const struct sample *s)
{
	struct key key = key_dirent(ROOT, slice_str("dir"));

	del_row(st, TABLE_DIRENT, &key);
}

/* The same attributes no more. */
static void rows_differ_in(struct store *st, uint64_t ino)
{
	struct inode in;

	load_row(st, ino, &in);
	in.row.core.uid++;
	put_inode(st, &in.row);
	inode_deinit(&in);
}

static void rows_differ(struct store *st, const struct sample *s)
{
	rows_differ_in(st, s->small);
}

static void dir_rows_differ(struct store *st, const struct sample *s)
{
	rows_differ_in(st, s->dir);
}

/* A second name, which the inode does not know. */
static void second_name(struct store *st, const struct sample *s)
{
	struct key key = key_dirent(ROOT, slice_str("second"));
	struct buf raw = BUF_INIT;
	struct inode in;

	load_row(st, s->small, &in);
	assert_ok(dirent_encode(&in.row.core, &raw));
	put_row(st, TABLE_DIRENT, &key, buf_slice(&raw));
	buf_deinit(&raw);
	inode_deinit(&in);
}

/* It is no entry, and is not counted as one. */
static void inode_elsewhere(struct store *st, const struct sample *s)
{
	struct key key = key_ino(UINT64_C(1) << 56);
	struct inode in;

	load_row(st, s->below, &in);
	put_row(st, TABLE_INODE, &key, buf_slice(&in.raw));
	inode_deinit(&in);
}

static void odd_name_key(struct store *st, const struct sample *s)
{
	const struct key key = {.data = "odd", .len = 3};

	put_row(st, TABLE_DIRENT, &key, garbage);
	put_row(st, TABLE_INODE, &key, garbage);
	put_row(st, TABLE_GCQ, &key, garbage);
	put_row(st, TABLE_SHARE, &key, garbage);
}

/* dir is in deep, which is in dir. */
static void circle(struct store *st, const struct sample *s)
{
	struct key old = key_dirent(ROOT, slice_str("dir"));
	struct batch b = BATCH_INIT;
	struct inode in;

	load_row(st, s->dir, &in);
	in.row.parent_branch = s->deep;
	batch_put_inode(&b, &in.row);
	batch_del(&b, TABLE_DIRENT, key_slice(&old));
	assert_ok(backend_commit(st->be, &b));
	policy_changed(st);
	batch_deinit(&b);
	inode_deinit(&in);
}

static void version_row(struct store *st, const struct sample *s)
{
	struct key key = key_version(s->dir, slice_str("v2"));

	put_row(st, TABLE_BRANCH, &key, garbage);
}

static void version_missing(struct store *st, const struct sample *s)
{
	struct key key = key_version(s->dir, slice_str("v2"));

	del_row(st, TABLE_BRANCH, &key);
}

static void way_back_missing(struct store *st, const struct sample *s)
{
	struct key key = key_branch_owner(s->version);

	del_row(st, TABLE_BRANCH, &key);
}

static void versions_missing(struct store *st, const struct sample *s)
{
	version_missing(st, s);
	way_back_missing(st, s);
}

static void small_row(struct store *st, const struct sample *s)
{
	flip_small(st, s->small, 7);
}

static void small_missing(struct store *st, const struct sample *s)
{
	struct key key = key_ino(s->small);

	del_row(st, TABLE_SMALL, &key);
}

static void small_orphan(struct store *st, const struct sample *s)
{
	damage_ino(st, TABLE_SMALL, s->link);
	damage_ino(st, TABLE_SMALL, 77777);
}

static void sums_missing(struct store *st, const struct sample *s)
{
	struct key key = key_sums(s->large, 0);

	del_row(st, TABLE_SUMS, &key);
}

static void sums_row(struct store *st, const struct sample *s)
{
	struct key key = key_sums(s->large, 0);

	put_row(st, TABLE_SUMS, &key, garbage);
}

static void sums_orphan(struct store *st, const struct sample *s)
{
	struct key key = key_sums(s->large, 9), other = key_sums(77777, 0);

	put_row(st, TABLE_SUMS, &key, garbage);
	put_row(st, TABLE_SUMS, &other, garbage);
}

static void extent_missing(struct store *st, const struct sample *s)
{
	assert_ok(backend_extent_remove(st->be, s->large));
}

static void tree_extent_missing(struct store *st, const struct sample *s)
{
	assert_ok(backend_extent_remove(st->be, stream(s)));
}

static void hole(struct store *st, const struct sample *s)
{
	assert_ok(backend_extent_punch(st->be, s->large, 0, 4096));
}

static void tree_hole(struct store *st, const struct sample *s)
{
	assert_ok(backend_extent_punch(st->be, stream(s), 8192, 4096));
}

/* A number below those of this process. */
static void extent_orphan(struct store *st, const struct sample *s)
{
	int fd;

	assert_ok(backend_extent_stage(st->be, ROOT, &fd));
	assert_int_equal(write(fd, "x", 1), 1);
	close(fd);
	assert_ok(backend_extent_commit(st->be, ROOT));
}

static void queued(struct store *st, const struct sample *s)
{
	const struct gcq_row row = {
	    .kind = GCQ_CONTENT, .layout = LAYOUT_SMALL, .size_bytes = 100};
	struct key key = key_ino(s->small);
	struct buf raw = BUF_INIT;

	assert_ok(gcq_encode(&row, &raw));
	put_row(st, TABLE_GCQ, &key, buf_slice(&raw));
	buf_deinit(&raw);
}

static void queue_row(struct store *st, const struct sample *s)
{
	damage_ino(st, TABLE_GCQ, 77777);
}

static void unsynced_row_of(struct store *st, const struct sample *s)
{
	damage_ino(st, TABLE_UNSYNCED, s->large);
	damage_ino(st, TABLE_UNSYNCED, 77777);
}

static void intent_row(struct store *st, const struct sample *s)
{
	damage_ino(st, TABLE_INTENT, 77777);
}

static void heat_row_of(struct store *st, const struct sample *s)
{
	damage_ino(st, TABLE_HEAT, s->large);
	damage_ino(st, TABLE_HEAT, 77777);
}

static void lease_row_of(struct store *st, const struct sample *s)
{
	struct key key = key_dirent(ROOT, slice_str("small"));

	put_row(st, TABLE_LEASE, &key, garbage);
}

static void share_row_of(struct store *st, const struct sample *s)
{
	struct key key = key_share(stream(s));

	put_row(st, TABLE_SHARE, &key, garbage);
}

static void share_orphans(struct store *st, const struct sample *s)
{
	struct key use = key_share_use(stream(s), 77777), todo = key_share_todo(77777);

	put_row(st, TABLE_SHARE, &use, slice("", 0));
	put_row(st, TABLE_SHARE, &todo, garbage);
}

static void same_rows(struct store *st, const struct sample *s)
{
	const struct same_row row = {.holder = 77777, .off = 0, .size_bytes = 10};
	const uint8_t hash[PACK_HASH_BYTES] = {1}, other[PACK_HASH_BYTES] = {2};
	struct key key = key_same(s->dir, hash), bad = key_same(s->dir, other);
	struct buf raw = BUF_INIT;

	assert_ok(same_encode(&row, &raw));
	put_row(st, TABLE_SAME, &key, buf_slice(&raw));
	put_row(st, TABLE_SAME, &bad, garbage);
	buf_deinit(&raw);
}

static void counters(struct store *st, const struct sample *s)
{
	struct batch b = BATCH_INIT;

	batch_add(&b, slice_str("entries"), 3);
	batch_add(&b, slice_str("bytes"), -1000);
	batch_add(&b, slice_str("shared"), 4096);
	batch_add(&b, slice_str("used"), -4096);
	batch_add(&b, slice_str("dead"), 12345);
	assert_ok(store_commit(st, &b));
	batch_deinit(&b);
}

/* What of the sample has to be there afterwards. */
enum { SMALL_LEFT = 1, LARGE = 2, LINK = 4, DIR = 8, TREE = 16, ALL = 31 };

static const struct damage {
	const char *what;
	void (*make)(struct store *st, const struct sample *s);
	const char *line; /* in what is found */
	unsigned int left;
} damages[] = {
    {"inode row", small_inode, "/small: its inode row is damaged", ALL & ~SMALL_LEFT},
    {"inode row of a directory", dir_inode, "/dir: its inode row is", ALL & ~DIR},
    {"row of the root", root_inode, "the row of the root", ALL},
    {"row of the root missing", root_missing, "the row of the root", ALL},
    {"inode row missing", inode_missing, "/large: its inode is missing", ALL & ~LARGE},
    {"directory missing", dir_missing, "/deep: its inode is missing", ALL & ~DIR},
    {"name", name_row, "/large: the row of the name", ALL & ~LARGE},
    {"name missing", name_missing, "/small: it is not in", ALL & ~SMALL_LEFT},
    {"name of a directory", dir_name_missing, "/dir: it is not in", ALL},
    {"rows differ", rows_differ, "/small: its two rows differ", ALL & ~SMALL_LEFT},
    {"rows of a directory differ", dir_rows_differ, "/dir: its two rows", ALL},
    {"second name", second_name, "/second: it leads to", ALL},
    {"keys", odd_name_key, "a key", ALL},
    {"circle", circle, "leads in a circle", ALL & ~DIR},
    {"version", version_row, "lost its row", ALL},
    {"version missing", version_missing, "lost its row", ALL},
    {"way back missing", way_back_missing, "does not lead back", ALL},
    {"both missing", versions_missing, "its current version", ALL & ~DIR},
    {"small value", small_row, "/small: its content does not", ALL & ~SMALL_LEFT},
    {"small value missing", small_missing, "/small: its content is", ALL & ~SMALL_LEFT},
    {"small value of nobody", small_orphan, "belongs to nothing", ALL},
    {"sums missing", sums_missing, "/large: its checksums", ALL & ~LARGE},
    {"sums", sums_row, "/large: its extent file does", ALL & ~LARGE},
    {"sums of nobody", sums_orphan, "belongs to nothing", ALL},
    {"extent missing", extent_missing, "/large: its extent file is missing",
     ALL & ~LARGE},
    {"extent of a tree", tree_extent_missing, "/tree: its extent file", ALL & ~TREE},
    {"bytes of an extent", hole, "/large: its extent file does not match", ALL & ~LARGE},
    {"bytes of a tree", tree_hole, "/tree: its extent file does not", ALL & ~TREE},
    {"extent of nobody", extent_orphan, "an extent file belongs to nothing", ALL},
    {"queued with a name", queued, "/small: it is queued for deletion", ALL},
    {"queue", queue_row, "the row of a deletion", ALL},
    {"unsynced", unsynced_row_of, "/large: the row of an extent to be", ALL},
    {"intent", intent_row, "a value to be published", ALL},
    {"heat", heat_row_of, "/large: the count of its reads", ALL},
    {"lease", lease_row_of, "/small: the row of its reservation", ALL},
    {"share", share_row_of, "/tree: the row of its shared", ALL & ~TREE},
    {"share of nobody", share_orphans, "a tree to be compared", ALL},
    {"same", same_rows, "a content of a tree", ALL},
    {"inode elsewhere", inode_elsewhere, "an inode row is damaged", ALL},
    {"counters", counters, "the counter \"entries\"", ALL},
};

static void assert_sample(struct store *st, const struct sample *s, unsigned int left)
{
	assert_int_equal(lookup(st, ROOT, "small"), left & SMALL_LEFT ? s->small : 0);
	assert_int_equal(lookup(st, ROOT, "large"), left & LARGE ? s->large : 0);
	assert_int_equal(lookup(st, ROOT, "link"), left & LINK ? s->link : 0);
	assert_int_equal(lookup(st, ROOT, "tree"), left & TREE ? s->tree : 0);
	if (left & SMALL_LEFT)
		assert_value(st, s->small, 100, 1);
	if (left & LARGE)
		assert_value(st, s->large, 3 * MIB + 5, 2);
	if (left & TREE)
		assert_true(in_tree(st, s->tree, "data/big") != 0);
	if (left & DIR) {
		assert_int_equal(lookup(st, ROOT, "dir"), s->dir);
		assert_int_equal(lookup(st, s->version, "hidden"), s->hidden);
		assert_int_equal(lookup(st, s->dir, "below"), s->below);
		assert_true(lookup(st, s->deep, "deeper") != 0);
	}
}

/* Nothing that looks at the queue by itself comes in between. */
static void check_damage(struct fixture *fx, const struct damage *d)
{
	struct sample s;

	print_message("damage: %s\n", d->what);
	fill(fx->st, &s);
	d->make(fx->st, &s);
	assert_repaired(fx->st, d->line);
	assert_sample(fx->st, &s, d->left);
}

/* Versions are no children, and `dir` shows those of one. */
static void remove_dir(struct store *st, const char *name)
{
	uint64_t dir = lookup(st, ROOT, name);

	if (store_rmdir(st, ROOT, name) == 0)
		return;
	assert_ok(store_version_set(st, dir, "empty"));
	assert_ok(store_rmdir(st, ROOT, name));
}

/* To begin anew in the same store, which is quicker than with another one. */
static void empty_root(struct fixture *fx)
{
	CLEANUP_BUF struct buf names = BUF_INIT;
	char *rest, *name;

	list_names(fx->st, ROOT, &names);
	assert_ok(buf_append(&names, "", 1));
	rest = (char *)names.data;
	while ((name = strsep(&rest, " ")))
		if (*name && store_unlink(fx->st, ROOT, name))
			remove_dir(fx->st, name);
	assert_names(fx->st, ROOT, "");
	assert_ok(store_settle(fx->st));
}

static void test_damage(void **state)
{
	struct fixture *fx = *state;

	for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
		check_damage(fx, &damages[i]);
		empty_root(fx);
	}
}

/* Everything at once; and what is left is what no damage was done to. */
static void test_all_at_once(void **state)
{
	struct fixture *fx = *state;
	unsigned int left = ALL;
	struct sample s;

	fill(fx->st, &s);
	for (size_t i = 0; i < sizeof(damages) / sizeof(damages[0]); i++) {
		/* These take what others need. */
		if (damages[i].make == circle || damages[i].make == rows_differ ||
		    damages[i].make == dir_rows_differ ||
		    damages[i].make == second_name || damages[i].make == dir_missing ||
		    damages[i].make == hole || damages[i].make == tree_hole)
			continue;
		damages[i].make(fx->st, &s);
		left &= damages[i].left;
	}
	check(fx->st, true, NULL);
	assert_ok(store_settle(fx->st));
	check(fx->st, true, NULL); /* what only what was damaged led to */
	assert_ok(store_settle(fx->st));
	assert_sound(fx->st);
	assert_int_equal(lookup(fx->st, ROOT, "link"), s.link);
	assert_true(make_file(fx->st, ROOT, "new", "text") != 0);
	assert_sound(fx->st);
}

static void test_sound(void **state)
{
	struct fixture *fx = *state;
	struct store_staged *sg;
	struct sample s;

	assert_sound(fx->st);
	fill(fx->st, &s);
	assert_sound(fx->st);
	/* Also while something is being written, and fsynced, and open without a name. */
	sg = stage_new(fx->st);
	assert_ok(store_staged_write(sg, "text", 4, 0));
	assert_ok(store_staged_sync(sg));
	assert_ok(store_staged_flush(sg, ROOT, "new"));
	assert_sound(fx->st);
	publish(sg, "new");
	assert_ok(store_stage_dir(fx->st, s.dir, true, &s.deep));
	make_file(fx->st, s.deep, "staged", "text");
	assert_sound(fx->st);
	assert_ok(store_rmdir(fx->st, ROOT, "tree"));
	assert_sound(fx->st);
	assert_int_equal(check(fx->st, true, NULL).repaired, 0);
	assert_sample(fx->st, &s, ALL & ~TREE & ~DIR);
}

/* ---- beside others ---- */

struct writer {
	struct store *st;
	atomic_bool stop;
	unsigned int seed;
};

static void change(struct store *st, unsigned int i)
{
	char name[16], other[16];
	size_t len = i % 7 ? 100 : SMALL + 4096;

	snprintf(name, sizeof(name), "w%u", i % 13);
	snprintf(other, sizeof(other), "w%u", i % 11);
	switch (i % 5) {
	case 0:
	case 1: {
		struct store_staged *sg = stage_new(st);
		uint8_t *data = pattern(len, i);

		(void)store_staged_write(sg, data, len, 0);
		(void)store_publish(sg, ROOT, name, false, NULL, NULL);
		store_staged_free(sg);
		free(data);
		break;
	}
	case 2:
		(void)store_rename(st, ROOT, name, ROOT, other, 0, NULL);
		break;
	case 3:
		(void)store_unlink(st, ROOT, name);
		break;
	default: {
		struct store_attr attr;

		if (store_mkdir(st, ROOT, "d", 0755, 0, 0, &attr) == 0) {
			(void)store_symlink(st, attr.ino, "l", "t", 0, 0, &attr);
			(void)store_rename(st, ROOT, "d", ROOT, "e", 0, NULL);
		}
		(void)store_rmdir(st, ROOT, "e");
	}
	}
}

static void *write_on(void *arg)
{
	struct writer *w = arg;

	for (unsigned int i = w->seed; !atomic_load(&w->stop); i += 3)
		change(w->st, i);
	return NULL;
}

/* Whatever goes on meanwhile is no damage. */
static void test_beside_writers(void **state)
{
	struct fixture *fx = *state;
	struct writer w[2] = {{.st = fx->st, .seed = 1}, {.st = fx->st, .seed = 2}};
	pthread_t threads[2];
	struct sample s;
	uint64_t found = 0;

	fill(fx->st, &s);
	for (int i = 0; i < 2; i++)
		assert_ok(pthread_create(&threads[i], NULL, write_on, &w[i]));
	for (int i = 0; i < 8; i++)
		found += check(fx->st, true, NULL).found;
	for (int i = 0; i < 2; i++) {
		atomic_store(&w[i].stop, true);
		pthread_join(threads[i], NULL);
	}
	assert_int_equal(found, 0);
	assert_sound(fx->st);
	assert_sample(fx->st, &s, ALL);
}

static void stop_it(void *arg, const struct store_check_progress *progress)
{
	atomic_store((atomic_bool *)arg, true);
}

static void test_stop(void **state)
{
	struct fixture *fx = *state;
	atomic_bool stop = false;
	const struct store_check_options opt = {
	    .contents = true, .stop = &stop, .progress = stop_it, .arg = &stop};
	struct store_check_result result = {0};
	struct sample s;

	fill(fx->st, &s);
	assert_int_equal(store_check(fx->st, &opt, &result), -ECANCELED);
	assert_true(result.bytes < 3 * MIB);
}

/* ---- scrub ---- */

static struct store_scrub await_pass(struct store *st)
{
	struct store_scrub done;

	for (int i = 0; i < 60000; i++) {
		store_scrub_get(st, &done);
		if (done.passes)
			return done;
		usleep(1000);
	}
	fail();
	return done;
}

static void test_scrub(void **state)
{
	struct fixture *fx = *state;
	struct store_scrub done;
	struct sample s;

	fill(fx->st, &s);
	hole(fx->st, &s);
	flip_small(fx->st, s.small, 3);
	assert_ok(store_scrub_set(fx->st, UINT64_C(1) << 40));
	done = await_pass(fx->st);
	assert_int_equal(done.passes, 1);
	assert_int_equal(done.damaged, 2);
	assert_true(done.bytes >= MIB);
	assert_sample(fx->st, &s, ALL & ~SMALL_LEFT & ~LARGE);
	assert_ok(store_scrub_set(fx->st, 0));
	store_scrub_get(fx->st, &done);
	assert_int_equal(done.passes, 0);
	/* The next pass is not due, and waits for nobody who closes. */
	assert_ok(store_scrub_set(fx->st, 1));
	assert_ok(store_scrub_set(fx->st, 2));
	assert_sound(fx->st);
}

/* It goes on behind where the last one was. */
static void test_scrub_goes_on(void **state)
{
	struct fixture *fx = *state;
	const struct key key = {.data = "scrub", .len = 5};
	uint64_t words[2];
	struct sample s;

	fill(fx->st, &s);
	hole(fx->st, &s);
	flip_small(fx->st, s.small, 3);
	words[0] = htole64(s.small + 1);
	words[1] = htole64((uint64_t)time_now_ns());
	put_row(fx->st, TABLE_META, &key, slice(words, sizeof(words)));
	assert_ok(store_scrub_set(fx->st, UINT64_C(1) << 40));
	assert_int_equal(await_pass(fx->st).damaged, 1);
	assert_int_equal(lookup(fx->st, ROOT, "small"), s.small);
	assert_int_equal(lookup(fx->st, ROOT, "large"), 0);
}

int main(int argc, char **argv)
{
	struct CMUnitTest tests[] = {
	    STORE_TEST(test_sound),	    STORE_TEST(test_damage),
	    STORE_TEST(test_all_at_once),   STORE_TEST(test_beside_writers),
	    STORE_TEST(test_stop),	    STORE_TEST(test_scrub),
	    STORE_TEST(test_scrub_goes_on),
	};

	return fixture_main(argc, argv, tests, sizeof(tests) / sizeof(*tests));
}
