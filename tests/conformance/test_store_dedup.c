/* SPDX-License-Identifier: Apache-2.0 */
/* Trees with contents in common: what is stored once, who keeps it, and how it ends. */
#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "store/digest.h"
#include "store/internal.h"
#include "store/share_rows.h"
#include "store/util/pack.h"
#include "tests/conformance/crash_fixture.h"
#include "tests/conformance/value_fixture.h"

#define FILES 40
#define PAGE ((uint64_t)4096)

/* A file is pattern(len, seed); a tree is some of them, one behind the other. */
struct file {
	size_t len;
	uint64_t seed;
};

/* ---- a disk that cannot read a file ---- */

static _Atomic ino_t unreadable; /* its number in the file system; 0: none */

/* Instead of the one of libc. */
ssize_t pread(int fd, void *data, size_t len, off_t off)
{
	struct stat sb;

	if (unreadable && !fstat(fd, &sb) && sb.st_ino == unreadable) {
		errno = EIO;
		return -1;
	}
	return syscall(SYS_pread64, fd, data, len, off);
}

static void make_unreadable(struct store *st, uint64_t stream)
{
	struct stat sb;
	int fd;

	assert_ok(backend_extent_open(st->be, stream, &fd));
	assert_ok(fstat(fd, &sb));
	close(fd);
	unreadable = sb.st_ino;
}

/* ---- packs ---- */

static void add_file(struct pack_maker *m, struct buf *raw, size_t i,
		     const struct file *file)
{
	uint8_t *data = pattern(file->len, file->seed), hash[DIGEST_HASH_BYTES];
	struct pack_item item = {.type = PACK_FILE,
				 .mode = 0644,
				 .mtime_ns = 1,
				 .off = raw->len,
				 .size_bytes = file->len,
				 .hash = hash};
	char path[64];

	snprintf(path, sizeof(path), "d%zu/f%03zu", i % 3, i);
	item.path = path;
	digest_of(slice(data, file->len), hash);
	if (buf_append(raw, data, file->len) || pack_maker_add(m, &item))
		abort();
	free(data);
}

static struct buf make_pack(const struct file *files, size_t n)
{
	struct buf raw = BUF_INIT, end = BUF_INIT;
	struct pack_maker *m;

	if (pack_maker_new(&m))
		abort();
	for (size_t i = 0; i < n; i++)
		add_file(m, &raw, i, &files[i]);
	if (pack_maker_finish(m, raw.len, &end) || buf_append(&raw, end.data, end.len))
		abort();
	buf_deinit(&end);
	pack_maker_free(m);
	return raw;
}

static struct store_staged *stage_pack(struct store *st, uint64_t branch,
				       const struct buf *raw)
{
	struct store_stage_args args = {.branch = branch, .sealed = true, .mode = 0755};
	struct store_staged *sg = NULL;
	struct errmsg err = {0};

	if (store_stage(st, &args, &sg) ||
	    store_staged_write(sg, raw->data, raw->len, 0) ||
	    store_staged_check(sg, &err))
		abort();
	return sg;
}

/* Returns the number of the stream. */
static uint64_t put_tree(struct store *st, uint64_t branch, const char *name,
			 const struct file *files, size_t n)
{
	struct buf raw = make_pack(files, n);
	struct store_staged *sg = stage_pack(st, branch, &raw);
	uint64_t ino = 0;

	if (store_publish(sg, branch, name, false, &ino, NULL))
		abort();
	store_staged_free(sg);
	buf_deinit(&raw);
	return store_tree_stream(ino);
}

/* Stream and files are what they would be if nothing were shared. */
static void assert_tree(struct store *st, uint64_t stream, const struct file *files,
			size_t n)
{
	struct buf raw = make_pack(files, n);
	struct store_gen *gen = open_value(st, stream);
	struct store_attr attr;
	char name[32];

	assert_gen(gen, raw.data, raw.len);
	store_gen_close(gen);
	buf_deinit(&raw);
	for (size_t i = 0; i < n; i += 7) {
		uint64_t branch;

		snprintf(name, sizeof(name), "d%zu", i % 3);
		assert_ok(
		    store_branch(st, store_tree_of_stream(stream), NULL, false, &branch));
		assert_ok(store_lookup(st, branch, name, &attr));
		snprintf(name, sizeof(name), "f%03zu", i);
		assert_ok(store_lookup(st, attr.ino, name, &attr));
		assert_value(st, attr.ino, files[i].len, files[i].seed);
	}
}

/* Some files; those of one `set` are alike. */
static void some_files(struct file files[FILES], uint64_t set)
{
	for (size_t i = 0; i < FILES; i++)
		files[i] = (struct file){.len = 1 + (i * 7919 + 3) % 60000,
					 .seed = set * 1000 + i};
}

static uint64_t sum(const struct file *files, size_t n)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < n; i++)
		bytes += files[i].len;
	return bytes;
}

/* ---- what is stored ---- */

static uint64_t stored(struct store *st, uint64_t stream)
{
	struct stat sb;
	int fd;

	assert_ok(backend_extent_open(st->be, stream, &fd));
	assert_ok(fdatasync(fd));
	assert_ok(fstat(fd, &sb));
	close(fd);
	return (uint64_t)sb.st_blocks * 512;
}

static uint64_t shared_bytes(struct store *st)
{
	struct store_stats stats;

	assert_ok(store_stats(st, &stats));
	return stats.shared_bytes;
}

/* Trees have gone, and with them all that was known of them. */
static void assert_nothing_left(struct store *st)
{
	assert_left(st, 0, 0);
	assert_int_equal(count_rows(st, TABLE_SHARE), 0);
	assert_int_equal(count_rows(st, TABLE_SAME), 0);
	assert_int_equal(shared_bytes(st), 0);
}

/* How many trees read from others. */
static size_t count_readers(struct store *st, uint64_t holder)
{
	struct key key = key_share_use(holder, 0), end = key_share_use(holder + 1, 0);
	struct backend_iter *it;
	size_t n = 0;

	assert_ok(backend_iter_new_until(st->be, TABLE_SHARE, key_slice(&end), &it));
	for (backend_iter_seek(it, key_slice(&key)); backend_iter_valid(it);
	     backend_iter_next(it))
		n++;
	backend_iter_free(it);
	return n;
}

static void remove_tree(struct store *st, uint64_t branch, const char *name)
{
	assert_ok(store_rmdir(st, branch, name));
}

/* ---- tests ---- */

static struct store *store_of(void **state)
{
	return ((struct fixture *)*state)->st;
}

static void test_equal_trees(void **state)
{
	struct store *st = store_of(state);
	struct file files[FILES];
	uint64_t a, b, rows;

	some_files(files, 1);
	a = put_tree(st, ROOT, "a", files, FILES);
	assert_ok(store_settle(st));
	rows = count_rows(st, TABLE_SAME);
	assert_true(rows > 0);
	assert_int_equal(shared_bytes(st), 0);
	b = put_tree(st, ROOT, "b", files, FILES);
	assert_ok(store_settle(st));

	/* Of the second, all but its index, and at most a page at either end. */
	assert_int_equal(count_readers(st, a), 1);
	assert_true(shared_bytes(st) >= sum(files, FILES) - 2 * PAGE);
	assert_true(stored(st, b) <= 8 * PAGE);
	assert_true(stored(st, a) >= sum(files, FILES));
	assert_int_equal(count_rows(st, TABLE_SAME), rows);
	assert_tree(st, a, files, FILES);
	assert_tree(st, b, files, FILES);

	remove_tree(st, ROOT, "b");
	assert_ok(store_settle(st));
	assert_int_equal(shared_bytes(st), 0);
	assert_int_equal(count_readers(st, a), 0);
	assert_tree(st, a, files, FILES);
	remove_tree(st, ROOT, "a");
	assert_nothing_left(st);
}

static void test_nothing_in_common(void **state)
{
	struct store *st = store_of(state);
	struct file files[FILES], others[FILES];
	uint64_t a, b;

	some_files(files, 1);
	some_files(others, 2);
	a = put_tree(st, ROOT, "a", files, FILES);
	b = put_tree(st, ROOT, "b", others, FILES);
	assert_ok(store_settle(st));
	assert_int_equal(shared_bytes(st), 0);
	assert_true(stored(st, b) >= sum(others, FILES));
	assert_tree(st, a, files, FILES);
	assert_tree(st, b, others, FILES);
}

/* Other order, other neighbours, something new: what is equal is found one by one. */
static void test_other_order(void **state)
{
	struct store *st = store_of(state);
	struct file files[FILES], others[FILES + 1];
	uint64_t a, b, equal = 0, edges = 0;

	some_files(files, 1);
	for (size_t i = 0; i < FILES; i++) {
		others[i] = files[FILES - 1 - i];
		if (i % 5 == 0)
			others[i].seed += 77777;
		else if (others[i].len >= 4 * PAGE) {
			equal += others[i].len;
			edges += 2 * PAGE;
		}
	}
	others[FILES] = (struct file){.len = 5 * PAGE, .seed = 99};
	a = put_tree(st, ROOT, "a", files, FILES);
	b = put_tree(st, ROOT, "b", others, FILES + 1);
	assert_ok(store_settle(st));
	assert_true(shared_bytes(st) >= equal - edges);
	assert_true(shared_bytes(st) <= sum(others, FILES));
	assert_true(stored(st, b) <=
		    sum(others, FILES + 1) - shared_bytes(st) + 8 * PAGE);
	assert_tree(st, a, files, FILES);
	assert_tree(st, b, others, FILES + 1);
}

/* More holes than are made at once. */
static void test_many_parts(void **state)
{
	enum { MANY = 600 };
	struct store *st = store_of(state);
	struct file files[MANY], others[MANY];
	uint64_t b;

	for (size_t i = 0; i < MANY; i++) {
		files[i] = (struct file){.len = 3 * PAGE + i, .seed = i};
		others[MANY - 1 - i] = files[i];
	}
	put_tree(st, ROOT, "a", files, MANY);
	b = put_tree(st, ROOT, "b", others, MANY);
	assert_ok(store_settle(st));
	assert_true(shared_bytes(st) >= 2 * PAGE * MANY);
	assert_true(stored(st, b) <= sum(others, MANY) - shared_bytes(st) + 20 * PAGE);
	assert_tree(st, b, others, MANY);
	remove_tree(st, ROOT, "b");
	remove_tree(st, ROOT, "a");
	assert_nothing_left(st);
}

/* Small files alone give nothing back; in a run with others they do. */
static void test_small_files(void **state)
{
	struct store *st = store_of(state);
	struct file files[400];
	uint64_t b;

	for (size_t i = 0; i < 400; i++)
		files[i] = (struct file){.len = 100 + i, .seed = i};
	put_tree(st, ROOT, "a", files, 400);
	b = put_tree(st, ROOT, "b", files, 400);
	assert_ok(store_settle(st));
	assert_true(shared_bytes(st) >= sum(files, 400) - 2 * PAGE);
	assert_tree(st, b, files, 400);
}

static void test_only_in_one_namespace(void **state)
{
	struct store *st = store_of(state);
	uint64_t ns1 = make_dir(st, ROOT, "ns1"), ns2 = make_dir(st, ROOT, "ns2");
	uint64_t deep = make_dir(st, make_dir(st, ns1, "sub"), "dir"), a, b, c;
	struct file files[FILES];

	some_files(files, 1);
	a = put_tree(st, ns1, "tree", files, FILES);
	b = put_tree(st, ns2, "tree", files, FILES);
	assert_ok(store_settle(st));
	assert_int_equal(shared_bytes(st), 0);
	c = put_tree(st, deep, "tree", files, FILES);
	assert_ok(store_settle(st));
	assert_int_equal(count_readers(st, a), 1);
	assert_int_equal(count_readers(st, b), 0);
	assert_tree(st, c, files, FILES);
}

/* What is removed stays as long as others read it, and then goes. */
static void test_holder_loses_its_name(void **state)
{
	struct store *st = store_of(state);
	struct file files[FILES], more[FILES];
	uint64_t a, b, c;

	some_files(files, 1);
	a = put_tree(st, ROOT, "a", files, FILES);
	b = put_tree(st, ROOT, "b", files, FILES);
	assert_ok(store_settle(st));
	remove_tree(st, ROOT, "a");
	assert_ok(store_settle(st));
	assert_int_equal(count_extents(st), 2);
	assert_tree(st, b, files, FILES);

	/* A third finds what the first has, which has no name any more. */
	memcpy(more, files, sizeof(more));
	more[3].seed++;
	c = put_tree(st, ROOT, "c", more, FILES);
	assert_ok(store_settle(st));
	assert_int_equal(count_readers(st, a), 2);
	assert_tree(st, c, more, FILES);
	remove_tree(st, ROOT, "b");
	assert_ok(store_settle(st));
	assert_int_equal(count_extents(st), 2);
	assert_tree(st, c, more, FILES);
	remove_tree(st, ROOT, "c");
	assert_nothing_left(st);
}

/* What is replaced is no reason to be kept: the new one has all its bytes. */
static void test_replaced(void **state)
{
	struct store *st = store_of(state);
	struct file files[FILES];
	uint64_t ino = 0;

	some_files(files, 1);
	for (uint64_t i = 0; i < 5; i++) {
		files[i].seed += 5000;
		ino = put_tree(st, ROOT, "a", files, FILES);
		if (i % 2)
			assert_ok(store_settle(st));
	}
	assert_left(st, 0, 1);
	assert_int_equal(shared_bytes(st), 0);
	assert_tree(st, ino, files, FILES);
}

/* Nor if it is still being read: it goes with its last reader. */
static void test_replaced_while_open(void **state)
{
	struct store *st = store_of(state);
	struct file files[FILES];
	struct store_gen *gen;
	uint64_t ino;

	some_files(files, 1);
	gen = open_value(st, put_tree(st, ROOT, "a", files, FILES));
	assert_ok(store_settle(st));
	ino = put_tree(st, ROOT, "a", files, FILES);
	assert_ok(store_settle(st));
	store_gen_close(gen);
	assert_left(st, 0, 1);
	assert_int_equal(shared_bytes(st), 0);
	assert_tree(st, ino, files, FILES);
}

/*
 * What a tree reads from another is not offered to a third, although it may still be
 * in the tree's own extent, too.
 */
static void test_only_own_bytes_are_shared(void **state)
{
	struct store *st = store_of(state);
	struct file files[FILES], more[FILES + 1];
	struct store_gen *gen;
	uint64_t a, b, c;

	some_files(files, 1);
	more[0] = (struct file){.len = 50000, .seed = 4711};
	memcpy(more + 1, files, sizeof(files));
	a = put_tree(st, ROOT, "a", files, FILES);
	b = put_tree(st, ROOT, "b", more, FILES + 1);
	gen = open_value(st, b);
	assert_ok(store_settle(st));
	c = put_tree(st, ROOT, "c", more, FILES + 1);
	assert_ok(store_settle(st));
	assert_int_equal(count_readers(st, a), 2);
	assert_int_equal(count_readers(st, b), 1);
	store_gen_close(gen);
	assert_ok(store_settle(st));
	assert_true(stored(st, b) <= 50000 + 8 * PAGE);
	assert_tree(st, b, more, FILES + 1);
	assert_tree(st, c, more, FILES + 1);
}

/* Two keys that are made anew again and again, each a little different. */
static void test_neighbours_over_time(void **state)
{
	struct store *st = store_of(state);
	struct file files[2][FILES];
	uint64_t ino[2];

	some_files(files[0], 1);
	some_files(files[1], 1);
	for (uint64_t day = 0; day < 12; day++) {
		for (int k = 0; k < 2; k++) {
			files[k][(day * 5 + (uint64_t)k) % FILES].seed += 100000;
			ino[k] = put_tree(st, ROOT, k ? "b" : "a", files[k], FILES);
			assert_ok(store_settle(st));
		}
		for (int k = 0; k < 2; k++)
			assert_tree(st, ino[k], files[k], FILES);
	}
	assert_true(shared_bytes(st) > 0);
	remove_tree(st, ROOT, "a");
	remove_tree(st, ROOT, "b");
	assert_nothing_left(st);
}

/* Who has it open since before knows of nothing, and must not see holes. */
static void test_open_meanwhile(void **state)
{
	struct store *st = store_of(state);
	struct file files[FILES];
	struct buf raw;
	struct store_gen *gen, *holder;
	uint64_t a, b;

	some_files(files, 1);
	raw = make_pack(files, FILES);
	a = put_tree(st, ROOT, "a", files, FILES);
	b = put_tree(st, ROOT, "b", files, FILES);
	gen = open_value(st, b);
	assert_ok(store_settle(st));
	assert_int_equal(count_readers(st, a), 1);
	assert_true(stored(st, b) >= sum(files, FILES));
	assert_gen(gen, raw.data, raw.len);
	store_gen_close(gen);
	assert_ok(store_settle(st));
	assert_true(stored(st, b) <= 8 * PAGE);

	/* Opened after it, it reads on, whatever becomes of the two. */
	gen = open_value(st, b);
	holder = open_value(st, a);
	remove_tree(st, ROOT, "b");
	remove_tree(st, ROOT, "a");
	assert_ok(store_settle(st));
	assert_gen(gen, raw.data, raw.len);
	assert_gen(holder, raw.data, raw.len);
	store_gen_close(holder);
	assert_ok(store_settle(st));
	assert_gen(gen, raw.data, raw.len);
	store_gen_close(gen);
	buf_deinit(&raw);
	assert_nothing_left(st);
}

/* A value that was published stays readable until it is freed. */
static void test_staged_is_left_alone(void **state)
{
	struct store *st = store_of(state);
	struct file files[FILES];
	struct store_staged *sg;
	struct buf raw;

	some_files(files, 1);
	raw = make_pack(files, FILES);
	put_tree(st, ROOT, "a", files, FILES);
	assert_ok(store_settle(st));
	sg = stage_pack(st, ROOT, &raw);
	assert_ok(store_publish(sg, ROOT, "b", false, NULL, NULL));
	assert_ok(store_settle(st));
	assert_staged(sg, raw.data, raw.len);
	store_staged_free(sg);
	assert_ok(store_settle(st));
	assert_true(shared_bytes(st) > 0);
	buf_deinit(&raw);
}

/* Also by the first pass, which looks for what an earlier process has left. */
static void test_staged_is_left_alone_at_first(void **state)
{
	struct store *st = store_of(state);
	struct file files[FILES];
	struct store_staged *sg;
	struct buf raw;

	some_files(files, 1);
	raw = make_pack(files, FILES);
	put_tree(st, ROOT, "a", files, FILES);
	sg = stage_pack(st, ROOT, &raw);
	assert_ok(store_publish(sg, ROOT, "b", false, NULL, NULL));
	assert_ok(store_settle(st));
	assert_staged(sg, raw.data, raw.len);
	store_staged_free(sg);
	assert_ok(store_settle(st));
	assert_true(shared_bytes(st) > 0);
	buf_deinit(&raw);
}

/* There are holes in it for those who look at the extent, for readers there are none. */
static void test_no_holes_are_seen(void **state)
{
	struct store *st = store_of(state);
	struct file files[FILES];
	struct store_gen *gen;
	struct buf raw;
	uint64_t b, off = 0;

	some_files(files, 1);
	put_tree(st, ROOT, "a", files, FILES);
	b = put_tree(st, ROOT, "b", files, FILES);
	assert_ok(store_settle(st));
	raw = make_pack(files, FILES);
	gen = open_value(st, b);
	assert_ok(store_gen_seek(gen, 10, SEEK_DATA, &off));
	assert_int_equal(off, 10);
	assert_ok(store_gen_seek(gen, 10, SEEK_HOLE, &off));
	assert_int_equal(off, raw.len);
	store_gen_close(gen);
	buf_deinit(&raw);
}

/* ---- damage ---- */

static bool is_there(struct store *st, const char *name)
{
	struct store_attr attr;

	return store_lookup(st, ROOT, name, &attr) == 0;
}

/* 0, or what reading all of it answers. */
static int read_all(struct store *st, uint64_t ino)
{
	struct store_gen *gen;
	uint8_t *data = malloc(MIB);
	uint64_t off = 0;
	size_t n = 1;
	int r = store_gen_open(st, ino, &gen);

	assert_non_null(data);
	if (!r) {
		while (!r && n) {
			r = store_gen_read(gen, data, MIB, off, &n);
			off += r ? 0 : n;
		}
		store_gen_close(gen);
	}
	free(data);
	return r;
}

/* A bad block is found by everyone who uses it, and by nobody else. */
static void test_shared_block_goes_bad(void **state)
{
	struct store *st = store_of(state);
	struct file files[FILES], others[FILES];
	uint64_t a, b, c;

	some_files(files, 1);
	some_files(others, 2);
	a = put_tree(st, ROOT, "a", files, FILES);
	b = put_tree(st, ROOT, "b", files, FILES);
	c = put_tree(st, ROOT, "c", others, FILES);
	assert_ok(store_settle(st));
	flip_extent(st, a, 300000);
	assert_int_equal(read_all(st, b), -EUCLEAN);
	assert_false(is_there(st, "b"));
	assert_true(is_there(st, "a"));
	assert_int_equal(read_all(st, a), -EUCLEAN);
	assert_false(is_there(st, "a"));
	assert_tree(st, c, others, FILES);
	remove_tree(st, ROOT, "c");
	assert_nothing_left(st);
}

static void test_holder_is_missing(void **state)
{
	struct store *st = store_of(state);
	struct file files[FILES];
	uint64_t a, b;

	some_files(files, 1);
	a = put_tree(st, ROOT, "a", files, FILES);
	b = put_tree(st, ROOT, "b", files, FILES);
	assert_ok(store_settle(st));
	assert_ok(backend_extent_remove(st->be, a));
	assert_int_equal(read_all(st, b), -EUCLEAN);
	assert_false(is_there(st, "b"));
	assert_ok(store_settle(st));
}

/* What the disk cannot read any more is deleted, and so is what comes after it. */
static void test_removed_unreadable(void **state)
{
	struct store *st = store_of(state);
	struct file files[FILES], others[FILES];
	uint64_t a, other, alone, rows;

	some_files(files, 1);
	some_files(others, 2);
	a = put_tree(st, ROOT, "a", files, FILES);
	assert_ok(store_settle(st));
	alone = count_rows(st, TABLE_SAME);
	assert_true(alone > 0);
	put_value(st, "later", MIB, 1);
	other = put_tree(st, ROOT, "other", others, FILES);
	assert_ok(store_settle(st));
	rows = count_rows(st, TABLE_SAME);
	make_unreadable(st, a);
	remove_tree(st, ROOT, "a");
	assert_ok(store_unlink(st, ROOT, "later"));
	assert_ok(store_settle(st));
	unreadable = 0;
	/* What it has offered is found without its index, and nothing else. */
	assert_int_equal(count_rows(st, TABLE_SAME), rows - alone);
	assert_tree(st, other, others, FILES);
	remove_tree(st, ROOT, "other");
	assert_nothing_left(st);
}

/* A row that names a place where something else is leads to nothing. */
static void test_wrong_row(void **state)
{
	struct store *st = store_of(state);
	struct file files[FILES], others[FILES];
	uint64_t a, b;

	some_files(files, 1);
	some_files(others, 2);
	a = put_tree(st, ROOT, "a", files, FILES);
	assert_ok(store_settle(st));
	for (size_t i = 0; i < FILES; i++) {
		struct same_row row = {
		    .holder = i % 3 ? a : 999999, .off = 0, .size_bytes = others[i].len};
		uint8_t *data = pattern(others[i].len, others[i].seed);
		struct batch batch = BATCH_INIT;
		struct buf raw = BUF_INIT;
		uint8_t hash[DIGEST_HASH_BYTES];
		struct key key;

		digest_of(slice(data, others[i].len), hash);
		key = key_same(ROOT, hash);
		assert_ok(same_encode(&row, &raw));
		batch_put(&batch, TABLE_SAME, key_slice(&key),
			  i % 5 ? buf_slice(&raw) : slice("bad", 3));
		assert_ok(backend_commit(st->be, &batch));
		batch_deinit(&batch);
		buf_deinit(&raw);
		free(data);
	}
	b = put_tree(st, ROOT, "b", others, FILES);
	assert_ok(store_settle(st));
	assert_int_equal(shared_bytes(st), 0);
	assert_tree(st, b, others, FILES);
}

static void test_damaged_share_row(void **state)
{
	struct store *st = store_of(state);
	struct batch batch = BATCH_INIT;
	struct file files[FILES];
	struct key key;
	uint64_t a, b;

	some_files(files, 1);
	a = put_tree(st, ROOT, "a", files, FILES);
	b = put_tree(st, ROOT, "b", files, FILES);
	assert_ok(store_settle(st));
	key = key_share(b);
	batch_put(&batch, TABLE_SHARE, key_slice(&key), slice("\1garbage", 8));
	assert_ok(backend_commit(st->be, &batch));
	batch_deinit(&batch);
	assert_int_equal(read_all(st, b), -EUCLEAN);
	assert_false(is_there(st, "b"));
	assert_ok(store_settle(st));
	assert_tree(st, a, files, FILES);
}

static void test_share_rows(void **state)
{
	static const struct share_part good[] = {{1, 2, 3, 4}, {3, 5, 6, 7}};
	static const struct share_part bad[][2] = {
	    {{1, 2, 3, 4}, {2, 5, 6, 7}}, /* one over the other */
	    {{3, 5, 6, 7}, {1, 2, 3, 4}}, /* not in order */
	    {{1, 0, 3, 4}, {3, 5, 6, 7}}, /* empty */
	    {{1, 2, 0, 4}, {3, 5, 6, 7}}, /* nobody's */
	    {{1, 2, 3, 4}, {3, UINT64_MAX, 6, 7}},
	    {{1, 2, 3, UINT64_MAX - 1}, {3, 5, 6, 7}},
	};
	struct share_row row = {.ns = 9}, got = SHARE_ROW_INIT;
	struct buf raw = BUF_INIT;

	assert_ok(buf_append(&row.parts, good, sizeof(good)));
	assert_ok(share_encode(&row, &raw));
	assert_ok(share_decode(buf_slice(&raw), &got));
	assert_int_equal(got.ns, 9);
	assert_int_equal(share_parts(&got), 2);
	assert_memory_equal(got.parts.data, good, sizeof(good));
	assert_int_equal(share_bytes(&got), 7);
	for (size_t len = 0; len < raw.len; len++)
		if (len != 9 && len != 9 + 32)
			assert_int_equal(share_decode(slice(raw.data, len), &got),
					 -EUCLEAN);
	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		buf_clear(&raw);
		assert_ok(buf_set(&row.parts, bad[i], sizeof(bad[i])));
		assert_ok(share_encode(&row, &raw));
		assert_int_equal(share_decode(buf_slice(&raw), &got), -EUCLEAN);
	}
	for (uint32_t next = 0; next <= SHARE_PARTS_MAX + 1;
	     next += SHARE_PARTS_MAX + 1) {
		struct todo_row todo = {.what = SHARE_PUNCH, .next = next};

		buf_clear(&raw);
		assert_ok(todo_encode(&todo, &raw));
		assert_int_equal(todo_decode(buf_slice(&raw), &todo),
				 next ? -EUCLEAN : 0);
		assert_int_equal(todo_decode(slice(raw.data, raw.len - 1), &todo),
				 -EUCLEAN);
	}
	/* More others than a reader has descriptors for. */
	buf_clear(&row.parts);
	buf_clear(&raw);
	for (uint64_t i = 0; i <= SHARE_HOLDERS_MAX; i++) {
		struct share_part part = {
		    .off = i, .len = 1, .holder = i + 1, .holder_off = 0};

		assert_ok(buf_append(&row.parts, &part, sizeof(part)));
	}
	assert_ok(share_encode(&row, &raw));
	assert_int_equal(share_decode(buf_slice(&raw), &got), -EUCLEAN);
	share_row_deinit(&row);
	share_row_deinit(&got);
	buf_deinit(&raw);
}

/* No tree reads from more others than it may, however many have a part of it. */
static void test_many_holders(void **state)
{
	struct store *st = store_of(state);
	struct file files[FILES];
	uint64_t all, used = 0, ino[FILES];

	for (size_t i = 0; i < FILES; i++)
		files[i] = (struct file){.len = 50000, .seed = i};
	for (size_t i = 0; i < FILES; i++) {
		char name[16];

		snprintf(name, sizeof(name), "part%zu", i);
		ino[i] = put_tree(st, ROOT, name, files + i, 1);
	}
	assert_ok(store_settle(st));
	all = put_tree(st, ROOT, "all", files, FILES);
	assert_ok(store_settle(st));
	for (size_t i = 0; i < FILES; i++)
		used += count_readers(st, ino[i]);
	assert_int_equal(used, SHARE_HOLDERS_MAX);
	assert_tree(st, all, files, FILES);
}

/* ---- the next process ---- */

static void test_restart(void **state)
{
	struct fixture *fx = *state;
	struct file files[FILES];
	uint64_t a, b;

	some_files(files, 1);
	if (fx->kind == STORE_MEMORY)
		return;
	a = put_tree(fx->st, ROOT, "a", files, FILES);
	b = put_tree(fx->st, ROOT, "b", files, FILES);
	assert_ok(store_settle(fx->st));
	remove_tree(fx->st, ROOT, "a");
	assert_ok(store_settle(fx->st));
	fixture_close(fx);
	fixture_open(fx);
	assert_ok(store_settle(fx->st));
	assert_int_equal(count_extents(fx->st), 2);
	assert_int_equal(count_readers(fx->st, a), 1);
	assert_tree(fx->st, b, files, FILES);
	remove_tree(fx->st, ROOT, "b");
	assert_nothing_left(fx->st);
}

static void put_two(struct store *st)
{
	struct file files[FILES];

	some_files(files, 1);
	put_tree(st, ROOT, "a", files, FILES);
	put_tree(st, ROOT, "b", files, FILES);
}

static void put_two_and_die(struct store *st)
{
	put_two(st);
	die();
}

/* The batch is committed, and no hole is made: there is a reader. */
static void share_without_holes(struct store *st)
{
	struct store_gen *gen;
	struct store_attr attr;

	put_two(st);
	must(store_lookup(st, ROOT, "b", &attr));
	must(store_gen_open(st, store_tree_stream(attr.ino), &gen));
	must(store_settle(st));
	die();
}

static void share_and_remove(struct store *st)
{
	put_two(st);
	must(store_settle(st));
	must(store_rmdir(st, ROOT, "a"));
	die();
}

/* Dies before anything is compared, between batch and holes, and after the removal. */
static void test_killed(void **state)
{
	static void (*const victims[])(struct store * st) = {
	    put_two_and_die, share_without_holes, share_and_remove};
	struct fixture *fx = *state;
	struct file files[FILES];

	some_files(files, 1);
	if (fx->kind == STORE_MEMORY)
		return;
	for (size_t i = 0; i < sizeof(victims) / sizeof(*victims); i++) {
		uint64_t b;

		kill_in(fx, victims[i], 0);
		b = store_tree_stream(lookup(fx->st, ROOT, "b"));
		assert_tree(fx->st, b, files, FILES);
		assert_ok(store_settle(fx->st));
		assert_tree(fx->st, b, files, FILES);
		assert_true(stored(fx->st, b) <= 8 * PAGE);
		assert_int_equal(is_there(fx->st, "a"), i < 2);
		if (i < 2)
			remove_tree(fx->st, ROOT, "a");
		remove_tree(fx->st, ROOT, "b");
		assert_nothing_left(fx->st);
	}
}

/* To the next process, power was lost before the second tree was on the disk. */
static void lose_second(struct store *st)
{
	struct unsynced_row row = {.published_ns = 1};
	struct batch batch = BATCH_INIT;
	struct buf raw = BUF_INIT;
	struct store_attr attr;
	struct key key;

	must(store_lookup(st, ROOT, "b", &attr));
	key = key_ino(store_tree_stream(attr.ino));
	must(store_getattr(st, store_tree_stream(attr.ino), &attr));
	row.size_bytes = attr.size_bytes;
	must(unsynced_encode(&row, &raw));
	batch_put(&batch, TABLE_UNSYNCED, key_slice(&key), buf_slice(&raw));
	must(backend_commit(st->be, &batch));
	lose_power(st);
}

static void share_and_lose_second(struct store *st)
{
	put_two(st);
	must(store_settle(st));
	lose_second(st);
}

/* What was not synced is compared with its sums, wherever its bytes are. */
static void test_power_loss(void **state)
{
	struct fixture *fx = *state;
	struct file files[FILES];

	some_files(files, 1);
	if (fx->kind == STORE_MEMORY)
		return;
	kill_in(fx, share_and_lose_second, 0);
	assert_true(shared_bytes(fx->st) > 0);
	assert_tree(fx->st, store_tree_stream(lookup(fx->st, ROOT, "b")), files, FILES);
	flip_extent(fx->st, store_tree_stream(lookup(fx->st, ROOT, "a")), 200000);
	kill_in(fx, lose_second, 0);
	assert_false(is_there(fx->st, "b"));
	assert_true(is_there(fx->st, "a"));
}

/* ---- all at once ---- */

#define WORKERS 4
#define ROUNDS 40

struct worker {
	pthread_t thread;
	struct store *st;
	unsigned int number;
	int rc;
};

/* Whatever is there can be read, and is whole. */
static int read_some(struct store *st, const char *name)
{
	struct store_attr attr;
	int r = store_lookup(st, ROOT, name, &attr);

	if (!r)
		r = read_all(st, store_tree_stream(attr.ino));
	/* Removed or replaced in between. */
	return r == -ENOENT ? 0 : r;
}

static void *work(void *arg)
{
	struct worker *w = arg;
	struct file files[FILES];
	char name[16];

	for (unsigned int i = 0; i < ROUNDS && !w->rc; i++) {
		unsigned int what = (i * 7 + w->number * 5) % 6;

		snprintf(name, sizeof(name), "t%u", (i + w->number) % 5);
		some_files(files, 1 + i / 10 % 2);
		files[i % FILES].seed += 100 * (i % 3);
		if (what < 3)
			put_tree(w->st, ROOT, name, files, FILES);
		else if (what == 3)
			store_rmdir(w->st, ROOT, name);
		else if (what == 4)
			w->rc = store_settle(w->st);
		else
			w->rc = read_some(w->st, name);
	}
	return NULL;
}

static void test_all_at_once(void **state)
{
	struct store *st = store_of(state);
	struct worker workers[WORKERS] = {0};

	for (unsigned int i = 0; i < WORKERS; i++) {
		workers[i].st = st;
		workers[i].number = i;
		assert_int_equal(
		    pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
	}
	for (unsigned int i = 0; i < WORKERS; i++)
		pthread_join(workers[i].thread, NULL);
	for (unsigned int i = 0; i < WORKERS; i++)
		assert_ok(workers[i].rc);
	for (unsigned int i = 0; i < 5; i++) {
		char name[16];

		snprintf(name, sizeof(name), "t%u", i);
		assert_ok(read_some(st, name));
		store_rmdir(st, ROOT, name);
	}
	assert_nothing_left(st);
}

int main(int argc, char **argv)
{
	struct CMUnitTest tests[] = {
	    STORE_TEST(test_equal_trees),
	    STORE_TEST(test_nothing_in_common),
	    STORE_TEST(test_other_order),
	    STORE_TEST(test_many_parts),
	    STORE_TEST(test_small_files),
	    STORE_TEST(test_only_in_one_namespace),
	    STORE_TEST(test_holder_loses_its_name),
	    STORE_TEST(test_replaced),
	    STORE_TEST(test_replaced_while_open),
	    STORE_TEST(test_only_own_bytes_are_shared),
	    STORE_TEST(test_neighbours_over_time),
	    STORE_TEST(test_open_meanwhile),
	    STORE_TEST(test_staged_is_left_alone),
	    STORE_TEST(test_staged_is_left_alone_at_first),
	    STORE_TEST(test_no_holes_are_seen),
	    STORE_TEST(test_shared_block_goes_bad),
	    STORE_TEST(test_holder_is_missing),
	    STORE_TEST(test_removed_unreadable),
	    STORE_TEST(test_wrong_row),
	    STORE_TEST(test_damaged_share_row),
	    STORE_TEST(test_share_rows),
	    STORE_TEST(test_many_holders),
	    STORE_TEST(test_restart),
	    STORE_TEST(test_killed),
	    STORE_TEST(test_power_loss),
	    STORE_TEST(test_all_at_once),
	};

	return fixture_main(argc, argv, tests, sizeof(tests) / sizeof(*tests));
}
