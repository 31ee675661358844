/* SPDX-License-Identifier: Apache-2.0 */
/* What a listing does to the database's cache, by RocksDB's own count of reads. */
#include <errno.h>
#include <rocksdb/c.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "store/internal.h"
#include "tests/conformance/store_fixture.h"

/* All names take three times what may be cached, those of a listing that are cached a
 * third of it. */
enum { CACHE_BYTES = 4 * 1024 * 1024, LONG = 50000, NAME_LEN = 200 };

static const uint64_t hit = 1; /* the key of a row that is read, as one of a hit */

static void open_small_cache(struct fixture *fx)
{
	struct store_options opt = fixture_options(fx);
	struct errmsg err;

	fixture_close(fx);
	opt.cache_bytes = CACHE_BYTES;
	assert_ok(store_open(&opt, &fx->st, &err));
}

static void put_name(struct batch *b, uint64_t branch, uint64_t i)
{
	CLEANUP_BUF struct buf row = BUF_INIT;
	struct row_core core = {.ino = 1000000 + i,
				.mode = S_IFLNK | 0777,
				.size_bytes = 1,
				.ttl_ns = DURATION_UNSET};
	char name[NAME_LEN + 1];
	struct key key;

	snprintf(name, sizeof(name), "%0*ju", NAME_LEN, (uintmax_t)i);
	key = key_dirent(branch, slice_str(name));
	assert_ok(dirent_encode(&core, &row));
	batch_put(b, TABLE_DIRENT, key_slice(&key), buf_slice(&row));
}

/* In tables, with the row of the hit. */
static uint64_t make_long(struct store *st)
{
	CLEANUP_BATCH struct batch b = BATCH_INIT;
	uint64_t dir = make_dir(st, ROOT, "long");

	for (uint64_t i = 0; i < LONG; i++)
		put_name(&b, dir, i);
	batch_put(&b, TABLE_SMALL, slice(&hit, sizeof(hit)), slice_str("value"));
	assert_ok(backend_commit(st->be, &b));
	assert_ok(backend_reclaim(st->be));
	return dir;
}

/* How many blocks come from the disk for it. */
static uint64_t read_hit(struct store *st)
{
	rocksdb_perfcontext_t *counts = rocksdb_perfcontext_create();
	CLEANUP_BUF struct buf value = BUF_INIT;
	uint64_t n;

	/* Twice, as the first row that a thread reads turns counting off. */
	assert_ok(backend_get(st->be, TABLE_META, slice_str("root"), &value));
	rocksdb_set_perf_level(rocksdb_enable_count);
	rocksdb_perfcontext_reset(counts);
	assert_ok(backend_get(st->be, TABLE_SMALL, slice(&hit, sizeof(hit)), &value));
	n = rocksdb_perfcontext_metric(counts, rocksdb_block_read_count);
	rocksdb_perfcontext_destroy(counts);
	return n;
}

static void list_all(struct fixture *fx, uint64_t branch)
{
	struct store_dir *it = list_open(fx, branch);
	struct store_dirent ent;

	for (int i = 0; i < LONG; i++)
		assert_ok(store_dir_next(it, &ent));
	assert_int_equal(store_dir_next(it, &ent), -ENOENT);
	list_close(fx);
}

/* The same rows, as if each might be asked for again. */
static void read_all(struct store *st, uint64_t branch)
{
	struct key key = key_branch(branch), end = key_branch(branch + 1);
	struct backend_iter *it;
	int n = 0;

	assert_ok(backend_iter_new_until(st->be, TABLE_DIRENT, key_slice(&end), &it));
	for (backend_iter_seek(it, key_slice(&key)); backend_iter_valid(it);
	     backend_iter_next(it))
		n++;
	backend_iter_free(it);
	assert_int_equal(n, LONG);
}

/* It was read once: what was found in the cache before is not driven out so easily. */
static void test_a_long_listing_leaves_what_is_cached(void **state)
{
	struct fixture *fx = *state;
	uint64_t dir;

	open_small_cache(fx);
	dir = make_long(fx->st);
	assert_true(read_hit(fx->st) > 0);
	list_all(fx, dir);
	assert_int_equal(read_hit(fx->st), 0);

	/* It would not fit beside them. */
	open_small_cache(fx);
	assert_true(read_hit(fx->st) > 0);
	read_all(fx->st, dir);
	assert_true(read_hit(fx->st) > 0);
}

int main(int argc, char **argv)
{
	struct CMUnitTest tests[] = {
	    STORE_TEST(test_a_long_listing_leaves_what_is_cached),
	};

	return fixture_main(argc, argv, tests, sizeof(tests) / sizeof(*tests));
}
