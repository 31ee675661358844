/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/conformance/value_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/internal.h"

uint8_t *pattern(size_t len, uint64_t seed)
{
	uint8_t *data = malloc(len + 8);

	assert_non_null(data);
	for (size_t at = 0; at < len; at += 8) {
		uint64_t x = seed * UINT64_C(0x9e3779b97f4a7c15) + at + 1;

		x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
		x ^= x >> 27;
		memcpy(data + at, &x, 8);
	}
	return data;
}

/* ---- values ---- */

static struct store_staged *stage(struct store *st, uint64_t base_ino, bool truncate)
{
	struct store_stage_args args = {.branch = ROOT,
					.base_ino = base_ino,
					.truncate = truncate,
					.mode = 0644,
					.writer = {.uid = 10, .gid = 20, .comm = "test"}};
	struct store_staged *sg = NULL;

	assert_ok(store_stage(st, &args, &sg));
	return sg;
}

struct store_staged *stage_new(struct store *st)
{
	return stage(st, 0, false);
}

struct store_staged *stage_over(struct store *st, uint64_t base_ino, bool truncate)
{
	return stage(st, base_ino, truncate);
}

uint64_t publish(struct store_staged *sg, const char *name)
{
	uint64_t ino = 0;

	assert_ok(store_publish(sg, ROOT, name, false, &ino, NULL));
	store_staged_free(sg);
	return ino;
}

uint64_t put_value(struct store *st, const char *name, size_t len, uint64_t seed)
{
	struct store_staged *sg = stage_new(st);
	uint8_t *data = pattern(len, seed);

	assert_ok(store_staged_write(sg, data, len, 0));
	free(data);
	return publish(sg, name);
}

struct store_gen *open_value(struct store *st, uint64_t ino)
{
	struct store_gen *gen = NULL;

	assert_ok(store_gen_open(st, ino, &gen));
	return gen;
}

typedef int (*read_fn)(void *from, void *data, size_t len, uint64_t off, size_t *ret_len);

static int gen_read(void *from, void *data, size_t len, uint64_t off, size_t *ret_len)
{
	return store_gen_read(from, data, len, off, ret_len);
}

static int staged_read(void *from, void *data, size_t len, uint64_t off, size_t *ret_len)
{
	return store_staged_read(from, data, len, off, ret_len);
}

/* In pieces of `step`, beginning at `off`, past the end. */
static void assert_reads(read_fn read, void *from, const uint8_t *data, size_t len,
			 size_t off, size_t step)
{
	uint8_t *got = malloc(step);

	assert_non_null(got);
	for (;; off += step) {
		size_t want = off >= len ? 0 : len - off < step ? len - off : step;
		size_t n = SIZE_MAX;

		assert_ok(read(from, got, step, off, &n));
		assert_int_equal(n, want);
		if (memcmp(got, data + (want ? off : 0), want))
			fail_msg("other bytes in %zu+%zu", off, step);
		if (!want)
			break;
	}
	free(got);
}

static void assert_content(read_fn read, void *from, const uint8_t *data, size_t len)
{
	/* The middle first: part of a block that was not read before. */
	if (len > 3)
		assert_reads(read, from, data, len, len / 2 - 1, 1000 * 1000 + 1);
	assert_reads(read, from, data, len, 0, 70 * 1000);
	assert_reads(read, from, data, len, 0, MIB);
	assert_reads(read, from, data, len, 0, len + 1);
}

void assert_gen(struct store_gen *gen, const uint8_t *data, size_t len)
{
	assert_content(gen_read, gen, data, len);
}

void assert_staged(struct store_staged *sg, const uint8_t *data, size_t len)
{
	assert_content(staged_read, sg, data, len);
}

void assert_value(struct store *st, uint64_t ino, size_t len, uint64_t seed)
{
	struct store_gen *gen = open_value(st, ino);
	uint8_t *data = pattern(len, seed);

	assert_gen(gen, data, len);
	free(data);
	store_gen_close(gen);
}

/* ---- what is stored ---- */

size_t count_rows(struct store *st, enum table table)
{
	struct backend_iter *it = NULL;
	size_t n = 0;

	assert_ok(backend_iter_new(st->be, table, &it));
	for (backend_iter_seek(it, slice("", 0)); backend_iter_valid(it);
	     backend_iter_next(it))
		n++;
	assert_ok(backend_iter_status(it));
	backend_iter_free(it);
	return n;
}

static int count_one(void *arg, uint64_t ino)
{
	++*(size_t *)arg;
	return 0;
}

size_t count_extents(struct store *st)
{
	size_t n = 0;

	assert_ok(backend_extent_list(st->be, count_one, &n));
	return n;
}

void assert_left(struct store *st, size_t small, size_t large)
{
	assert_ok(store_settle(st));
	assert_int_equal(count_rows(st, TABLE_SMALL), small);
	assert_int_equal(count_extents(st), large);
	if (!large)
		assert_int_equal(count_rows(st, TABLE_SUMS), 0);
	assert_int_equal(count_rows(st, TABLE_GCQ), 0);
	assert_int_equal(count_rows(st, TABLE_UNSYNCED), 0);
	assert_int_equal(count_rows(st, TABLE_INTENT), 0);
}

void extent_path(const struct fixture *fx, uint64_t ino, char ret_path[EXTENT_PATH_MAX])
{
	snprintf(ret_path, EXTENT_PATH_MAX, "%s/extents/%02x/%016llx", fx->path,
		 (unsigned int)(ino & 0xff), (unsigned long long)ino);
}

void flip_small(struct store *st, uint64_t ino, size_t off)
{
	struct key key = key_ino(ino);
	struct batch b = BATCH_INIT;
	struct buf raw = BUF_INIT;

	assert_ok(backend_get(st->be, TABLE_SMALL, key_slice(&key), &raw));
	assert_in_range(off, 0, raw.len - 1);
	raw.data[off] ^= 1;
	batch_put(&b, TABLE_SMALL, key_slice(&key), buf_slice(&raw));
	assert_ok(backend_commit(st->be, &b));
	batch_deinit(&b);
	buf_deinit(&raw);
}

void flip_extent(struct store *st, uint64_t ino, size_t off)
{
	char path[64];
	uint8_t byte;
	int fd, rw;

	/* The backend opens for reading only. */
	assert_ok(backend_extent_open(st->be, ino, &fd));
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	rw = open(path, O_RDWR | O_CLOEXEC);
	assert_true(rw >= 0);
	assert_int_equal(pread(rw, &byte, 1, (off_t)off), 1);
	byte ^= 1;
	assert_int_equal(pwrite(rw, &byte, 1, (off_t)off), 1);
	close(rw);
	close(fd);
}
