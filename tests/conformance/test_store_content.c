/* SPDX-License-Identifier: Apache-2.0 */
/* Values while they are written, and what is published of them. */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "store/digest.h"
#include "store/internal.h"
#include "store/staged.h"
#include "store/writeback.h"
#include "tests/conformance/value_fixture.h"

static struct store *store_of(void **state)
{
	return ((struct fixture *)*state)->st;
}

static void assert_hash(struct store *st, uint64_t ino, const uint8_t *data, size_t len)
{
	struct store_facts facts;
	uint8_t hash[DIGEST_HASH_BYTES];

	assert_ok(store_facts(st, ino, &facts));
	assert_true(facts.has_hash);
	digest_of(slice(data, len), hash);
	assert_memory_equal(facts.hash, hash, sizeof(hash));
}

/* What xxh128sum prints for "abc": the byte order is part of the interface. */
static void test_hash_is_canonical(void **state)
{
	static const uint8_t abc[] = {0x06, 0xb0, 0x5a, 0xb6, 0x73, 0x3a, 0x61, 0x85,
				      0x78, 0xaf, 0x5f, 0x94, 0x89, 0x2f, 0x39, 0x50};
	struct store *st = store_of(state);
	struct store_facts facts;

	assert_ok(store_facts(st, make_file(st, ROOT, "abc", "abc"), &facts));
	assert_memory_equal(facts.hash, abc, sizeof(abc));
}

static const size_t sizes[] = {
    0,	   1,	      4095,	 SMALL - 1, SMALL,	  SMALL + 1,	 BLOCK - 1,
    BLOCK, BLOCK + 1, 2 * BLOCK, MIB,	    3 * MIB + 17, 9 * MIB + 4096};
#define SIZE_COUNT (sizeof(sizes) / sizeof(*sizes))

/* `step` bytes at a time, in order. */
static void check_size(struct store *st, size_t len, size_t step)
{
	struct store_staged *sg = stage_new(st);
	uint8_t *data = pattern(len, len + step);
	struct store_attr attr;
	struct store_gen *gen;
	uint64_t ino;

	for (size_t at = 0; at < len; at += step)
		assert_ok(store_staged_write(sg, data + at,
					     len - at < step ? len - at : step, at));
	store_staged_attr(sg, &attr);
	assert_int_equal(attr.size_bytes, len);
	assert_staged(sg, data, len);
	ino = store_staged_ino(sg);
	assert_int_equal(publish(sg, "value"), ino);

	assert_ok(store_lookup(st, ROOT, "value", &attr));
	assert_int_equal(attr.ino, ino);
	assert_int_equal(attr.size_bytes, len);
	assert_hash(st, ino, data, len);
	gen = open_value(st, ino);
	assert_gen(gen, data, len);
	store_gen_close(gen);
	free(data);
}

static void test_sizes(void **state)
{
	struct store *st = store_of(state);

	for (size_t i = 0; i < SIZE_COUNT; i++) {
		check_size(st, sizes[i], MIB);
		check_size(st, sizes[i], 10007);
	}
	assert_left(st, 0, 1); /* of all those, the last */
}

static void test_layout_follows_size(void **state)
{
	struct store *st = store_of(state);

	put_value(st, "none", 0, 1);
	put_value(st, "small", SMALL, 2);
	put_value(st, "large", SMALL + 1, 3);
	assert_left(st, 1, 1);
}

/* It grew out of memory and became small again. */
static void test_large_then_small(void **state)
{
	struct store *st = store_of(state);
	struct store_staged *sg = stage_new(st);
	uint8_t *data = pattern(MIB, 7);
	struct store_gen *gen;

	assert_ok(store_staged_write(sg, data, MIB, 0));
	assert_ok(store_staged_truncate(sg, 1000));
	gen = open_value(st, publish(sg, "value"));
	assert_gen(gen, data, 1000);
	store_gen_close(gen);
	free(data);
	assert_left(st, 1, 0);
}

static void test_unpublished_leaves_nothing(void **state)
{
	struct store *st = store_of(state);
	struct store_stats stats;
	struct store_staged *small = stage_new(st), *large = stage_new(st);
	uint8_t *data = pattern(MIB, 1);

	assert_ok(store_staged_write(small, data, 100, 0));
	assert_ok(store_staged_write(large, data, MIB, 0));
	free(data);
	store_staged_free(small);
	store_staged_free(large);
	assert_left(st, 0, 0);
	assert_ok(store_stats(st, &stats));
	assert_int_equal(stats.staged_bytes, 0);
	assert_int_equal(stats.entries, 0);
}

/* Whatever the number of values, they take no more memory than they may. */
static void test_memory_is_bounded(void **state)
{
	enum { COUNT = 200, MEMORY = 256 * 1024 };
	struct fixture *fx = *state;
	struct store_options opt = fixture_options(fx);
	struct store_staged *sg[COUNT];
	struct store_stats stats;
	struct store *st;

	fixture_close(fx);
	opt.staged_memory_bytes = MEMORY;
	assert_ok(store_open(&opt, &st, NULL));
	fx->st = st;
	for (int i = 0; i < COUNT; i++) {
		uint8_t *data = pattern(20000, (uint64_t)i);

		sg[i] = stage_new(st);
		assert_ok(store_staged_write(sg[i], data, 10000, 0));
		assert_ok(store_staged_write(sg[i], data + 10000, 10000, 10000));
		assert_ok(store_stats(st, &stats));
		assert_true(stats.staged_bytes <= MEMORY);
		assert_staged(sg[i], data, 20000);
		free(data);
	}
	for (int i = 0; i < COUNT; i++) {
		char name[16];

		snprintf(name, sizeof(name), "%d", i);
		assert_value(st, publish(sg[i], name), 20000, (uint64_t)i);
	}
	assert_left(st, COUNT, 0); /* small is small, wherever it waited */
	assert_ok(store_stats(st, &stats));
	assert_int_equal(stats.staged_bytes, 0);
}

/* ---- random changes against a model ---- */

#define MODEL_MAX (5 * BLOCK)

struct model {
	uint8_t data[MODEL_MAX];
	size_t size;
	unsigned int seed;
	size_t limit; /* offsets and lengths stay below */
};

static size_t pick(struct model *m, size_t below)
{
	return (size_t)rand_r(&m->seed) % below;
}

static void model_resize(struct model *m, size_t size)
{
	if (size > m->size)
		memset(m->data + m->size, 0, size - m->size);
	else
		memset(m->data + size, 0, m->size - size);
	m->size = size;
}

static void change_write(struct model *m, struct store_staged *sg)
{
	size_t off = pick(m, m->limit), len = 1 + pick(m, m->limit - off);
	uint8_t *data = pattern(len, m->seed);

	assert_ok(store_staged_write(sg, data, len, off));
	if (off + len > m->size)
		model_resize(m, off + len);
	memcpy(m->data + off, data, len);
	free(data);
}

static void change_append(struct model *m, struct store_staged *sg)
{
	size_t len = pick(m, m->limit - m->size + 1);
	uint8_t *data = pattern(len, m->seed);
	size_t off = m->size;

	assert_ok(store_staged_write(sg, data, len, off));
	model_resize(m, off + len);
	memcpy(m->data + off, data, len);
	free(data);
}

static void change_allocate(struct model *m, struct store_staged *sg)
{
	static const int modes[] = {0, FALLOC_FL_KEEP_SIZE,
				    FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				    FALLOC_FL_ZERO_RANGE};
	size_t off = pick(m, m->limit), len = 1 + pick(m, m->limit - off);
	int mode = modes[pick(m, 4)];
	size_t end = off + len;
	int r = store_staged_allocate(sg, mode, off, len);

	if (r == -EOPNOTSUPP) /* tmpfs, of memory extents, has no ZERO_RANGE */
		return;
	assert_ok(r);
	if (!(mode & FALLOC_FL_KEEP_SIZE) && end > m->size)
		model_resize(m, end);
	if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE) && off < m->size)
		memset(m->data + off, 0, (end < m->size ? end : m->size) - off);
}

static void change(struct model *m, struct store_staged *sg)
{
	size_t size;

	switch (pick(m, 6)) {
	case 0:
		size = pick(m, m->limit);
		assert_ok(store_staged_truncate(sg, size));
		model_resize(m, size);
		break;
	case 1:
		change_append(m, sg);
		break;
	case 2:
		change_allocate(m, sg);
		break;
	case 3:
		assert_ok(store_staged_sync(sg));
		assert_ok(store_staged_flush(sg, ROOT, "value"));
		break;
	default:
		change_write(m, sg);
	}
}

static void run_model(struct store *st, struct model *m, uint64_t *ino)
{
	struct store_staged *sg = *ino ? stage_over(st, *ino, false) : stage_new(st);
	struct store_gen *gen;

	for (int i = 0; i < 8; i++) {
		change(m, sg);
		assert_staged(sg, m->data, m->size);
	}
	*ino = publish(sg, "value");
	assert_hash(st, *ino, m->data, m->size);
	gen = open_value(st, *ino);
	assert_gen(gen, m->data, m->size);
	store_gen_close(gen);
}

static void test_random_changes(void **state)
{
	static const size_t limits[] = {100, SMALL, SMALL * 3, BLOCK + 5, MODEL_MAX};
	struct store *st = store_of(state);
	struct model *m = calloc(1, sizeof(*m));

	assert_non_null(m);
	for (size_t i = 0; i < 5; i++) {
		uint64_t ino = 0; /* then each over the one before */

		model_resize(m, 0);
		m->seed = 1000 + (unsigned int)i;
		m->limit = limits[i];
		for (int round = 0; round < 8; round++)
			run_model(st, m, &ino);
	}
	free(m);
}

/* ---- holes ---- */

static void test_holes_stay_holes(void **state)
{
	struct store *st = store_of(state);
	const size_t size = 64 * MIB, at = 40 * MIB;
	struct store_staged *sg = stage_new(st);
	struct store_attr attr;
	struct store_gen *gen;
	uint64_t off;
	uint8_t byte = 'x', got[16];
	size_t n;

	assert_ok(store_staged_truncate(sg, size));
	assert_ok(store_staged_write(sg, &byte, 1, at));
	assert_ok(store_staged_seek(sg, 0, SEEK_DATA, &off));
	assert_true(off > 32 * MIB && off <= at);
	assert_int_equal(store_staged_seek(sg, size, SEEK_DATA, &off), -ENXIO);
	attr.ino = publish(sg, "sparse");

	/* Changed in place: what is copied from the base keeps its holes. */
	sg = stage_over(st, attr.ino, false);
	assert_ok(store_staged_write(sg, &byte, 1, at + 1));
	attr.ino = publish(sg, "sparse");
	assert_ok(store_getattr(st, attr.ino, &attr));
	assert_int_equal(attr.size_bytes, size);
	assert_true(attr.disk_bytes < MIB);

	gen = open_value(st, attr.ino);
	assert_ok(store_gen_seek(gen, 0, SEEK_DATA, &off));
	assert_true(off > 32 * MIB && off <= at);
	assert_ok(store_gen_seek(gen, at, SEEK_HOLE, &off));
	assert_true(off > at && off < at + MIB);
	assert_int_equal(store_gen_seek(gen, off + MIB, SEEK_DATA, &off), -ENXIO);
	assert_int_equal(store_gen_seek(gen, size, SEEK_HOLE, &off), -ENXIO);
	assert_ok(store_gen_read(gen, got, 4, at - 1, &n));
	assert_int_equal(n, 4);
	assert_memory_equal(got, "\0xx", 4);
	store_gen_close(gen);
}

#define GIB ((uint64_t)1024 * MIB)
#define CHUNK (512 * (uint64_t)MIB) /* of checksums that are one row */

static void assert_bytes(struct store_gen *gen, uint64_t off, const char *want,
			 size_t len)
{
	char got[16];
	size_t n;

	assert_in_range(len, 1, sizeof(got));
	assert_ok(store_gen_read(gen, got, len, off, &n));
	assert_int_equal(n, len);
	assert_memory_equal(got, want, len);
}

static size_t sums_bytes(struct store *st)
{
	struct backend_iter *it = NULL;
	size_t bytes = 0;

	assert_ok(backend_iter_new(st->be, TABLE_SUMS, &it));
	for (backend_iter_seek(it, slice("", 0)); backend_iter_valid(it);
	     backend_iter_next(it))
		bytes += backend_iter_value(it).len;
	assert_ok(backend_iter_status(it));
	backend_iter_free(it);
	return bytes;
}

static uint64_t put_hole(struct store *st, const char *name, uint64_t size)
{
	struct store_staged *sg = stage_new(st);

	assert_ok(store_staged_truncate(sg, size));
	return publish(sg, name);
}

static void assert_no_hash(struct store *st, uint64_t ino)
{
	struct store_facts facts;

	assert_ok(store_facts(st, ino, &facts));
	assert_false(facts.has_hash);
}

/* Checksums of every byte of this would take minutes, and 64 MiB of rows. */
static void test_huge_hole(void **state)
{
	struct store *st = store_of(state);
	const uint64_t size = STORE_FILE_MAX, at = size / 3;
	uint64_t ino = put_hole(st, "huge", size);
	struct store_gen *gen = open_value(st, ino);
	struct store_staged *sg;

	assert_int_equal(attr_of(st, ino).size_bytes, size);
	assert_true(attr_of(st, ino).disk_bytes < MIB);
	assert_no_hash(st, ino);
	assert_int_equal(count_rows(st, TABLE_SUMS), size / CHUNK);
	assert_int_equal(sums_bytes(st), size / CHUNK * sizeof(uint64_t));
	assert_bytes(gen, 0, "\0\0", 2);
	assert_bytes(gen, at, "\0\0", 2);
	assert_bytes(gen, size - 2, "\0\0", 2);
	store_gen_close(gen);

	sg = stage_over(st, ino, false);
	assert_ok(store_staged_write(sg, "here", 4, at));
	assert_ok(store_staged_truncate(sg, size - 5));
	assert_ok(store_staged_write(sg, "there", 5, size - 5));
	gen = open_value(st, ino = publish(sg, "huge"));
	assert_int_equal(attr_of(st, ino).size_bytes, size);
	assert_true(attr_of(st, ino).disk_bytes < MIB);
	assert_bytes(gen, at - 1, "\0here\0", 6);
	assert_bytes(gen, size - 6, "\0there", 6);
	assert_true(sums_bytes(st) < MIB / 8); /* two rows with all their sums */
	store_gen_close(gen);
	assert_ok(store_unlink(st, ROOT, "huge"));
	assert_left(st, 0, 0);
}

/* Data on both sides of where one row of checksums ends and the next begins. */
static void test_rows_of_checksums(void **state)
{
	struct store *st = store_of(state);
	struct store_staged *sg = stage_new(st);
	uint64_t ino;
	struct store_gen *gen;

	assert_ok(store_staged_write(sg, "abcd", 4, CHUNK - 2));
	assert_ok(store_staged_write(sg, "z", 1, 2 * CHUNK + BLOCK));
	ino = publish(sg, "f");
	assert_int_equal(count_rows(st, TABLE_SUMS), 3);
	gen = open_value(st, ino);
	assert_bytes(gen, CHUNK - 3, "\0abcd\0", 6);
	assert_bytes(gen, 2 * CHUNK - 1, "\0\0", 2);
	assert_bytes(gen, 2 * CHUNK + BLOCK - 1, "\0z", 2);
	store_gen_close(gen);

	assert_ok(store_settle(st));
	flip_extent(st, ino, CHUNK + 1);
	gen = open_value(st, ino);
	assert_bytes(gen, CHUNK - 2, "ab", 2);
	assert_int_equal(store_gen_read(gen, &(char[1]){0}, 1, CHUNK, &(size_t){0}),
			 -EUCLEAN);
	store_gen_close(gen);
	assert_int_equal(lookup(st, ROOT, "f"), 0);
}

/* What is written into a hole on the disk is damage like any other. */
static void test_damaged_hole(void **state)
{
	struct store *st = store_of(state);
	uint64_t ino = put_hole(st, "f", 3 * CHUNK);
	struct store_gen *gen;

	flip_extent(st, ino, CHUNK + 5);
	gen = open_value(st, ino);
	assert_bytes(gen, CHUNK - 2, "\0\0", 2);
	assert_bytes(gen, CHUNK + BLOCK, "\0\0", 2);
	assert_int_equal(store_gen_read(gen, &(char[1]){0}, 1, CHUNK, &(size_t){0}),
			 -EUCLEAN);
	store_gen_close(gen);
	assert_int_equal(lookup(st, ROOT, "f"), 0);
}

/* A page of data behind a hole that is as large as one with a hash can be. */
static void test_hash_and_holes(void **state)
{
	struct store *st = store_of(state);
	struct store_staged *sg = stage_new(st);
	CLEANUP_DIGEST struct digest d = DIGEST_INIT;
	uint8_t *data = calloc(1, MIB), hash[DIGEST_HASH_BYTES];
	struct store_facts facts;
	uint64_t ino;

	for (uint64_t at = 0; at < GIB; at += MIB) /* as data, not as a hole */
		assert_ok(digest_update(&d, data, MIB));
	memset(data, 'x', 64 * 1024);
	assert_ok(digest_update(&d, data, 64 * 1024));
	assert_true(digest_value(&d, hash));
	assert_ok(store_staged_write(sg, data, 64 * 1024, GIB));
	free(data);
	ino = publish(sg, "f");
	assert_ok(store_facts(st, ino, &facts));
	assert_true(facts.has_hash);
	assert_memory_equal(facts.hash, hash, sizeof(hash));

	sg = stage_over(st, ino, false);
	assert_ok(store_staged_truncate(sg, GIB + 1 * MIB));
	assert_no_hash(st, publish(sg, "f"));
}

static void test_small_seek(void **state)
{
	struct store *st = store_of(state);
	struct store_gen *gen = open_value(st, make_file(st, ROOT, "f", "hello"));
	uint64_t off;

	assert_ok(store_gen_seek(gen, 2, SEEK_DATA, &off));
	assert_int_equal(off, 2);
	assert_ok(store_gen_seek(gen, 2, SEEK_HOLE, &off));
	assert_int_equal(off, 5);
	assert_int_equal(store_gen_seek(gen, 5, SEEK_DATA, &off), -ENXIO);
	assert_int_equal(store_gen_seek(gen, 0, SEEK_SET, &off), -EINVAL);
	store_gen_close(gen);
}

static void test_limits(void **state)
{
	struct store *st = store_of(state);
	struct store_staged *sg = stage_new(st);

	assert_int_equal(store_staged_allocate(sg, FALLOC_FL_COLLAPSE_RANGE, 0, 4096),
			 -EOPNOTSUPP);
	assert_int_equal(store_staged_allocate(sg, 0, 0, 0), -EINVAL);
	assert_int_equal(store_staged_allocate(sg, 0, STORE_FILE_MAX, 1), -EFBIG);
	assert_ok(store_staged_flush(sg, ROOT, "f")); /* those were not writes */
	assert_int_equal(store_staged_write(sg, "x", 1, STORE_FILE_MAX), -EFBIG);
	assert_int_equal(store_staged_flush(sg, ROOT, "f"), -EFBIG);
	assert_int_equal(store_publish(sg, ROOT, "f", false, NULL, NULL), -EFBIG);
	assert_int_equal(lookup(st, ROOT, "f"), 0);
	store_staged_free(sg);
}

/* ---- over a base ---- */

static void test_unchanged_publishes_nothing(void **state)
{
	struct store *st = store_of(state);
	uint64_t ino = put_value(st, "f", 2 * MIB, 1), replaced = 1, at = 0;
	struct store_staged *sg = stage_over(st, ino, false);

	assert_ok(store_publish(sg, ROOT, "f", false, &at, &replaced));
	assert_int_equal(at, ino);
	assert_int_equal(replaced, 0);
	store_staged_free(sg);
	assert_left(st, 0, 1);
	assert_value(st, ino, 2 * MIB, 1);
}

static void test_attributes_go_to_the_base(void **state)
{
	struct store *st = store_of(state);
	uint64_t ino = make_file(st, ROOT, "f", "content");
	struct store_staged *sg = stage_over(st, ino, false);
	struct store_attr attr = {.mode = 0600, .mtime_ns = 12345};
	struct buf value = BUF_INIT;
	int64_t ttl_ns;

	assert_ok(
	    store_staged_setattr(sg, STORE_SET_MODE | STORE_SET_MTIME, &attr, &attr));
	assert_ok(store_staged_ttl_set(sg, 3600 * NSEC_PER_SEC, "PT1H"));
	assert_ok(store_staged_xattr_set(sg, "user.a", slice("b", 1), 0));
	assert_int_equal(publish(sg, "f"), ino);

	attr = attr_of(st, ino);
	assert_int_equal(attr.mode, S_IFREG | 0600);
	assert_int_equal(attr.mtime_ns, 12345);
	assert_ok(store_ttl_get(st, ino, &ttl_ns, &value));
	assert_int_equal(ttl_ns, 3600 * NSEC_PER_SEC);
	assert_memory_equal(value.data, "PT1H", 4);
	assert_ok(store_xattr_get(st, ino, "user.a", &value));
	assert_memory_equal(value.data, "b", 1);
	buf_deinit(&value);
}

/* Attributes of what was replaced meanwhile do not touch what replaced it. */
static void test_attributes_of_a_lost_base(void **state)
{
	struct store *st = store_of(state);
	uint64_t first = make_file(st, ROOT, "f", "first"), second;
	struct store_staged *sg = stage_over(st, first, false);
	struct store_attr attr = {.mode = 0600};

	assert_ok(store_staged_setattr(sg, STORE_SET_MODE, &attr, &attr));
	second = make_file(st, ROOT, "f", "second");
	assert_int_equal(publish(sg, "f"), second);
	assert_int_equal(attr_of(st, second).mode, S_IFREG | 0644);
}

static void test_base_is_taken_over(void **state)
{
	struct store *st = store_of(state);
	struct store_staged *sg = stage_new(st);
	struct store_attr attr = {.mode = 0751, .uid = 77, .gid = 78};
	struct buf value = BUF_INIT;
	uint64_t first, second;
	int64_t ttl_ns;

	assert_ok(store_staged_write(sg, "content", 7, 0));
	assert_ok(store_staged_setattr(sg, STORE_SET_MODE | STORE_SET_UID | STORE_SET_GID,
				       &attr, &attr));
	assert_ok(store_staged_ttl_set(sg, 60 * NSEC_PER_SEC, "60s"));
	assert_ok(store_staged_xattr_set(sg, "user.a", slice("b", 1), 0));
	first = publish(sg, "f");

	sg = stage_over(st, first, true);
	second = publish(sg, "f");
	assert_int_not_equal(first, second);
	attr = attr_of(st, second);
	assert_int_equal(attr.size_bytes, 0);
	assert_int_equal(attr.mode, S_IFREG | 0751);
	assert_int_equal(attr.uid, 77);
	assert_int_equal(attr.gid, 78);
	assert_ok(store_ttl_get(st, second, &ttl_ns, &value));
	assert_int_equal(ttl_ns, 60 * NSEC_PER_SEC);
	assert_ok(store_xattr_get(st, second, "user.a", &value));
	assert_int_equal(value.len, 1);
	buf_deinit(&value);
}

static void check_append_to_base(struct store *st, size_t len)
{
	uint8_t *data = pattern(len + 5, len);
	struct store_staged *sg = stage_new(st);
	struct store_gen *gen;
	uint64_t ino;

	assert_ok(store_staged_write(sg, data, len, 0));
	sg = stage_over(st, publish(sg, "f"), false);
	assert_staged(sg, data, len);
	assert_ok(store_staged_write(sg, data + len, 5, len));
	assert_staged(sg, data, len + 5);
	ino = publish(sg, "f");
	assert_hash(st, ino, data, len + 5);
	gen = open_value(st, ino);
	assert_gen(gen, data, len + 5);
	store_gen_close(gen);
	free(data);
}

static void test_append_to_base(void **state)
{
	struct store *st = store_of(state);

	for (size_t i = 0; i < SIZE_COUNT; i++)
		check_append_to_base(st, sizes[i]);
	assert_left(st, 0, 1);
}

/* A damaged base must not get a new checksum by being copied. */
static void test_damaged_base_is_not_copied(void **state)
{
	struct store *st = store_of(state);
	uint64_t ino = put_value(st, "f", MIB, 1);
	struct store_staged *sg;

	assert_ok(store_settle(st));
	flip_extent(st, ino, MIB / 2);
	sg = stage_over(st, ino, false);
	assert_int_equal(store_staged_write(sg, "x", 1, MIB), -EUCLEAN);
	assert_int_equal(store_publish(sg, ROOT, "f", false, NULL, NULL), -EUCLEAN);
	store_staged_free(sg);
	assert_int_equal(lookup(st, ROOT, "f"), 0);
}

static void test_copy_between(void **state)
{
	struct store *st = store_of(state);
	struct store_gen *gen = open_value(st, put_value(st, "from", 2 * MIB, 9));
	uint8_t *data = pattern(2 * MIB, 9);
	struct store_staged *sg = stage_new(st);
	struct store_gen *copy;
	size_t n;

	assert_ok(store_staged_copy(sg, 0, gen, 1000, 10 * MIB, &n));
	assert_int_equal(n, 2 * MIB - 1000);
	assert_ok(store_staged_copy(sg, n, gen, 2 * MIB, 1, &n));
	assert_int_equal(n, 0);
	copy = open_value(st, publish(sg, "to"));
	assert_gen(copy, data + 1000, 2 * MIB - 1000);
	store_gen_close(copy);
	store_gen_close(gen);
	free(data);
}

static void test_publish_refusals(void **state)
{
	struct store *st = store_of(state);
	uint64_t dir = make_dir(st, ROOT, "dir"), file = make_file(st, ROOT, "file", "1");
	struct store_staged *sg = stage_new(st);

	assert_ok(store_staged_write(sg, "2", 1, 0));
	assert_int_equal(store_publish(sg, ROOT, "dir", false, NULL, NULL), -EISDIR);
	assert_int_equal(store_publish(sg, ROOT, "file", true, NULL, NULL), -EEXIST);
	assert_ok(store_rmdir(st, ROOT, "dir"));
	assert_int_equal(store_publish(sg, dir, "file", false, NULL, NULL), -ENOENT);
	assert_staged(sg, (const uint8_t *)"2", 1);
	assert_int_equal(lookup(st, ROOT, "file"), file);
	store_staged_free(sg);
	assert_left(st, 1, 0);
}

static void test_mtime_stays_as_set(void **state)
{
	struct store *st = store_of(state);
	struct store_staged *sg = stage_new(st);
	struct store_attr attr = {.mtime_ns = 1000, .atime_ns = 2000};
	int64_t before = time_now_ns();

	assert_ok(store_staged_write(sg, "x", 1, 0));
	assert_ok(
	    store_staged_setattr(sg, STORE_SET_MTIME | STORE_SET_ATIME, &attr, &attr));
	attr = attr_of(st, publish(sg, "f"));
	assert_int_equal(attr.mtime_ns, 1000);
	assert_int_equal(attr.atime_ns, 2000);
	assert_true(attr.created_ns >= before && attr.ctime_ns >= before);
}

static struct store_staged *stage_by(struct store *st, uint64_t branch, uid_t uid)
{
	const struct store_stage_args args = {
	    .branch = branch, .mode = S_IFREG | 0644, .writer = {.uid = uid}};
	struct store_staged *sg;

	assert_ok(store_stage(st, &args, &sg));
	assert_ok(store_staged_write(sg, "x", 1, 0));
	return sg;
}

/* What flush says, and publish does; frees it. */
static int publish_by(struct store *st, uint64_t branch, uid_t uid)
{
	struct store_staged *sg = stage_by(st, branch, uid);
	int flushed = store_staged_flush(sg, branch, "k");
	int r = store_publish(sg, branch, "k", false, NULL, NULL);

	store_staged_free(sg);
	assert_int_equal(flushed, r);
	return r;
}

/* A value that was begun before the other's was there replaces it no more than a name
 * is moved over it. */
static void test_sticky_directory(void **state)
{
	struct store *st = store_of(state);
	struct store_attr attr;
	uint64_t dir, all;

	assert_ok(store_mkdir(st, ROOT, "dir", S_IFDIR | 01777, 5, 5, &attr));
	dir = attr.ino;
	assert_ok(store_mkdir(st, ROOT, "all", S_IFDIR | 0777, 5, 5, &attr));
	all = attr.ino;
	assert_ok(publish_by(st, dir, 1));
	assert_int_equal(publish_by(st, dir, 2), -EPERM);
	store_lookup(st, dir, "k", &attr);
	assert_int_equal(attr.uid, 1);
	assert_ok(publish_by(st, dir, 1)); /* its own, */
	assert_ok(publish_by(st, dir, 5)); /* the directory's owner, */
	assert_ok(publish_by(st, dir, 0)); /* and root */
	assert_int_equal(publish_by(st, dir, 2), -EPERM);
	set_ttl_ms(st, dir, 1);
	sleep_until(time_now_ns() + 5 * 1000 * 1000);
	assert_ok(publish_by(st, dir, 2)); /* what has expired is nobody's */
	assert_ok(publish_by(st, all, 1));
	assert_ok(publish_by(st, all, 2));
}

/* As <linux/mman.h> has it since 6.5, which is newer than some headers. */
#ifndef SYS_cachestat
#define SYS_cachestat 451
#endif
struct pages {
	uint64_t cached, dirty, writeback, evicted, recently_evicted;
};

static bool count_pages(int fd, struct pages *ret_pages)
{
	uint64_t range[2] = {0, 0}; /* all of the file */

	return syscall(SYS_cachestat, fd, range, ret_pages, 0) == 0;
}

/* Nobody syncs it, and the kernel itself leaves dirty pages alone for 30 s. */
static void test_large_goes_to_disk_meanwhile(void **state)
{
	struct fixture *fx = *state;
	size_t len = 2 * WRITEBACK_STEP_BYTES + MIB;
	struct store_staged *sg = stage_new(fx->st);
	uint8_t *data = pattern(len, 1);
	struct pages pages;
	struct statfs disk;

	for (size_t at = 0; at < len; at += MIB)
		assert_ok(store_staged_write(sg, data + at, MIB, at));
	assert_ok(fstatfs(sg->content.fd, &disk));
	assert_int_equal(sg->content.asked_bytes, 2 * WRITEBACK_STEP_BYTES);
	if (disk.f_type != TMPFS_MAGIC && count_pages(sg->content.fd, &pages)) {
		int64_t end_ns = time_monotonic_ns() + 25 * NSEC_PER_SEC;

		do {
			usleep(10000);
			assert_true(time_monotonic_ns() < end_ns);
			assert_true(count_pages(sg->content.fd, &pages));
		} while (pages.dirty > 2 * MIB / 4096);
	}
	/* What is written once more is asked for once more. */
	assert_ok(store_staged_write(sg, data, len - MIB, 0));
	assert_int_equal(sg->content.asked_bytes, 2 * WRITEBACK_STEP_BYTES);
	assert_staged(sg, data, len);
	publish(sg, "large");
	free(data);
}

int main(int argc, char **argv)
{
	struct CMUnitTest tests[] = {
	    STORE_TEST(test_hash_is_canonical),
	    STORE_TEST(test_sizes),
	    STORE_TEST(test_layout_follows_size),
	    STORE_TEST(test_large_then_small),
	    STORE_TEST(test_unpublished_leaves_nothing),
	    STORE_TEST(test_memory_is_bounded),
	    STORE_TEST(test_random_changes),
	    STORE_TEST(test_holes_stay_holes),
	    STORE_TEST(test_huge_hole),
	    STORE_TEST(test_rows_of_checksums),
	    STORE_TEST(test_damaged_hole),
	    STORE_TEST(test_hash_and_holes),
	    STORE_TEST(test_small_seek),
	    STORE_TEST(test_limits),
	    STORE_TEST(test_unchanged_publishes_nothing),
	    STORE_TEST(test_attributes_go_to_the_base),
	    STORE_TEST(test_attributes_of_a_lost_base),
	    STORE_TEST(test_base_is_taken_over),
	    STORE_TEST(test_append_to_base),
	    STORE_TEST(test_damaged_base_is_not_copied),
	    STORE_TEST(test_copy_between),
	    STORE_TEST(test_publish_refusals),
	    STORE_TEST(test_mtime_stays_as_set),
	    STORE_TEST(test_sticky_directory),
	    STORE_TEST(test_large_goes_to_disk_meanwhile),
	};

	return fixture_main(argc, argv, tests, sizeof(tests) / sizeof(*tests));
}
