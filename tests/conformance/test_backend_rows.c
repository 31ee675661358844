/* SPDX-License-Identifier: Apache-2.0 */
/* Rows and batches: what every backend promises of get and commit. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/conformance/backend_fixture.h"

#define MIB (1024 * 1024)

static void absent_row_leaves_the_buffer(void **state)
{
	struct fixture *f = *state;
	CLEANUP_BUF struct buf got = BUF_INIT;

	assert_int_equal(buf_set(&got, "before", 6), 0);
	assert_int_equal(backend_get(f->be, TABLE_INODE, text("k"), &got), -ENOENT);
	assert_slice(buf_slice(&got), text("before"));
}

static void get_replaces_the_buffer(void **state)
{
	struct fixture *f = *state;
	CLEANUP_BUF struct buf got = BUF_INIT;

	put(f->be, TABLE_INODE, text("k"), text("v"));
	assert_int_equal(buf_set(&got, "something longer", 16), 0);
	assert_int_equal(backend_get(f->be, TABLE_INODE, text("k"), &got), 0);
	assert_slice(buf_slice(&got), text("v"));
}

static void put_replaces_and_del_removes(void **state)
{
	struct fixture *f = *state;

	put(f->be, TABLE_DIRENT, text("k"), text("one"));
	put(f->be, TABLE_DIRENT, text("k"), text("another"));
	assert_row(f->be, TABLE_DIRENT, text("k"), text("another"));
	del(f->be, TABLE_DIRENT, text("k"));
	assert_no_row(f->be, TABLE_DIRENT, text("k"));
	del(f->be, TABLE_DIRENT, text("k")); /* absent: fine */
}

static void tables_are_apart(void **state)
{
	struct fixture *f = *state;

	/* Values of TABLE_COUNTER are eight bytes; so are all of these. */
	for (int t = 0; t < TABLE_COUNT; t++) {
		char value[9];

		snprintf(value, sizeof(value), "table %02d", t);
		put(f->be, (enum table)t, text("same key"), text(value));
	}
	del(f->be, TABLE_SUMS, text("same key"));
	for (int t = 0; t < TABLE_COUNT; t++) {
		char value[9];

		snprintf(value, sizeof(value), "table %02d", t);
		if (t == TABLE_SUMS)
			assert_no_row(f->be, TABLE_SUMS, text("same key"));
		else
			assert_row(f->be, (enum table)t, text("same key"), text(value));
	}
}

static void any_bytes_are_a_key(void **state)
{
	static const struct slice keys[] = {
	    {"", 0},	 {"\0", 1},   {"\0\0", 2},   {"\0\xff", 2},   {"a", 1},
	    {"a\0", 2},	 {"a\0b", 3}, {"a\xff", 2},  {"b", 1},	      {"\x7f", 1},
	    {"\x80", 1}, {"\xff", 1}, {"\xff\0", 2}, {"\xff\xff", 2}, {"\xff\xff\0", 3},
	};
	struct fixture *f = *state;
	size_t count = sizeof(keys) / sizeof(keys[0]);

	for (size_t i = count; i-- > 0;)
		put(f->be, TABLE_META, keys[i], slice(&i, sizeof(i)));
	for (size_t i = 0; i < count; i++)
		assert_row(f->be, TABLE_META, keys[i], slice(&i, sizeof(i)));
	/* The list above is in order, and so is the table. */
	assert_int_equal(backend_iter_new(f->be, TABLE_META, &f->it), 0);
	backend_iter_seek(f->it, slice(NULL, 0));
	for (size_t i = 0; i < count; i++) {
		assert_true(backend_iter_valid(f->it));
		assert_slice(backend_iter_key(f->it), keys[i]);
		backend_iter_next(f->it);
	}
	assert_false(backend_iter_valid(f->it));
}

static void values_may_be_empty(void **state)
{
	struct fixture *f = *state;

	put(f->be, TABLE_GCQ, text("k"), slice(NULL, 0));
	assert_row(f->be, TABLE_GCQ, text("k"), slice(NULL, 0));
}

static void long_keys_and_values(void **state)
{
	struct fixture *f = *state;
	size_t sizes[] = {1, 4095, 4096, 65535, 65536, MIB, 9 * MIB + 1};
	uint8_t *bytes = malloc(9 * MIB + 1);

	assert_non_null(bytes);
	for (size_t i = 0; i < 9 * MIB + 1; i++)
		bytes[i] = (uint8_t)(i * 2654435761u >> 13);
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct slice key = slice(bytes, sizes[i] < MIB ? sizes[i] : MIB);

		put(f->be, TABLE_SMALL, key, slice(bytes, sizes[i]));
		assert_row(f->be, TABLE_SMALL, key, slice(bytes, sizes[i]));
	}
	free(bytes);
}

static void a_batch_applies_in_order(void **state)
{
	struct fixture *f = *state;
	CLEANUP_BATCH struct batch b = BATCH_INIT;

	batch_put(&b, TABLE_INODE, text("twice"), text("first"));
	batch_put(&b, TABLE_INODE, text("twice"), text("second"));
	batch_put(&b, TABLE_INODE, text("gone"), text("x"));
	batch_del(&b, TABLE_INODE, text("gone"));
	batch_del(&b, TABLE_INODE, text("back"));
	batch_put(&b, TABLE_INODE, text("back"), text("y"));
	batch_put(&b, TABLE_INODE, text("range-a"), text("1"));
	batch_put(&b, TABLE_INODE, text("range-b"), text("1"));
	batch_del_range(&b, TABLE_INODE, text("range-"), text("range-z"));
	batch_put(&b, TABLE_INODE, text("range-b"), text("2"));
	batch_add(&b, text("n"), 5);
	batch_del(&b, TABLE_COUNTER, text("n"));
	batch_add(&b, text("n"), 7);
	batch_add(&b, text("n"), -3);
	commit(f->be, &b);

	assert_int_equal(backend_iter_new(f->be, TABLE_INODE, &f->it), 0);
	assert_dump(f->it, "", "back=y range-b=2 twice=second ");
	assert_counter(f->be, "n", 4);
}

static void a_batch_can_be_used_again(void **state)
{
	struct fixture *f = *state;
	CLEANUP_BATCH struct batch b = BATCH_INIT;

	batch_put(&b, TABLE_META, text("a"), text("1"));
	commit(f->be, &b);
	batch_clear(&b);
	commit(f->be, &b); /* empty: a success, and changes nothing */
	batch_put(&b, TABLE_META, text("b"), text("2"));
	del(f->be, TABLE_META, text("a"));
	commit(f->be, &b);
	assert_no_row(f->be, TABLE_META, text("a"));
	assert_row(f->be, TABLE_META, text("b"), text("2"));
}

static void a_batch_that_lacked_memory_is_refused(void **state)
{
	struct fixture *f = *state;
	CLEANUP_BATCH struct batch b = BATCH_INIT;

	batch_put(&b, TABLE_META, text("a"), text("1"));
	/* Longer than any memory: what is appended after it must not count. */
	batch_put(&b, TABLE_META, text("b"), slice("", SIZE_MAX / 2));
	batch_put(&b, TABLE_META, text("c"), text("3"));
	assert_true(b.failed);
	assert_int_equal(backend_commit(f->be, &b), -ENOMEM);
	assert_no_row(f->be, TABLE_META, text("a"));
	assert_no_row(f->be, TABLE_META, text("c"));
	batch_clear(&b);
	batch_put(&b, TABLE_META, text("c"), text("3"));
	commit(f->be, &b);
	assert_row(f->be, TABLE_META, text("c"), text("3"));
}

static void batch_next_gives_what_was_put_in(void **state)
{
	CLEANUP_BATCH struct batch b = BATCH_INIT;
	struct batch_op op;
	size_t pos = 0;

	batch_put(&b, TABLE_HEAT, text("key"), text("value"));
	batch_del(&b, TABLE_SUMS, slice("\0k", 2));
	batch_add(&b, text("n"), INT64_MIN);
	batch_del_range(&b, TABLE_GCQ, text("a"), text("b"));
	batch_del_range(&b, TABLE_GCQ, text("b"), text("b")); /* nothing in it */
	assert_int_equal(b.count, 4);

	assert_true(batch_next(&b, &pos, &op));
	assert_true(op.kind == BATCH_PUT && op.table == TABLE_HEAT);
	assert_slice(op.key, text("key"));
	assert_slice(op.value, text("value"));
	assert_true(batch_next(&b, &pos, &op));
	assert_true(op.kind == BATCH_DEL && op.table == TABLE_SUMS);
	assert_slice(op.key, slice("\0k", 2));
	assert_true(batch_next(&b, &pos, &op));
	assert_true(op.kind == BATCH_ADD && op.table == TABLE_COUNTER);
	assert_slice(op.key, text("n"));
	assert_true(op.delta == INT64_MIN);
	assert_true(batch_next(&b, &pos, &op));
	assert_true(op.kind == BATCH_DEL_RANGE && op.table == TABLE_GCQ);
	assert_slice(op.key, text("a"));
	assert_slice(op.value, text("b"));
	assert_false(batch_next(&b, &pos, &op));
	assert_slice(op.key, text("a")); /* untouched at the end */
}

static void counters_add_and_wrap(void **state)
{
	struct fixture *f = *state;
	uint64_t raw;

	assert_no_row(f->be, TABLE_COUNTER, text("n"));
	add(f->be, "n", 10);
	assert_counter(f->be, "n", 10);
	add(f->be, "n", -4);
	assert_counter(f->be, "n", 6);
	add(f->be, "n", -7);
	assert_counter(f->be, "n", UINT64_MAX);
	add(f->be, "n", 1);
	assert_counter(f->be, "n", 0);
	add(f->be, "n", INT64_MIN);
	add(f->be, "n", INT64_MIN);
	assert_counter(f->be, "n", 0);
	add(f->be, "n", 0);
	assert_counter(f->be, "n", 0);

	raw = 0x0102030405060708;
	put(f->be, TABLE_COUNTER, text("n"),
	    slice("\x08\x07\x06\x05\x04\x03\x02\x01", 8));
	assert_counter(f->be, "n", raw);
	add(f->be, "n", 0x100);
	assert_counter(f->be, "n", raw + 0x100);
	del(f->be, TABLE_COUNTER, text("n"));
	assert_no_row(f->be, TABLE_COUNTER, text("n"));
	add(f->be, "n", 3);
	assert_counter(f->be, "n", 3);
}

static void counters_take_many_additions(void **state)
{
	struct fixture *f = *state;
	uint64_t want = 0;

	for (int64_t i = 0; i < 20000; i++) {
		add(f->be, "n", i - 5000);
		want += (uint64_t)(i - 5000);
	}
	assert_counter(f->be, "n", want);
	assert_int_equal(backend_iter_new(f->be, TABLE_COUNTER, &f->it), 0);
	backend_iter_seek(f->it, text("n"));
	assert_true(backend_iter_valid(f->it));
	assert_memory_equal(backend_iter_value(f->it).data, &want, sizeof(want));
}

static void del_range_is_half_open(void **state)
{
	static const char *const keys[] = {"a", "b", "ba", "c", "ca", "d"};
	struct fixture *f = *state;
	CLEANUP_BATCH struct batch b = BATCH_INIT;

	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++)
		put(f->be, TABLE_SUMS, text(keys[i]), text("v"));
	batch_del_range(&b, TABLE_SUMS, text("c"), text("b")); /* backwards: nothing */
	batch_del_range(&b, TABLE_SUMS, text("b"), text("c"));
	commit(f->be, &b);
	assert_int_equal(backend_iter_new(f->be, TABLE_SUMS, &f->it), 0);
	assert_dump(f->it, "", "a=v c=v ca=v d=v ");
	put(f->be, TABLE_SUMS, text("ba"), text("again"));
	assert_row(f->be, TABLE_SUMS, text("ba"), text("again"));
}

static void del_range_takes_many(void **state)
{
	struct fixture *f = *state;
	CLEANUP_BATCH struct batch b = BATCH_INIT;

	for (uint32_t i = 0; i < 50000; i++) {
		uint32_t key = __builtin_bswap32(i);

		batch_put(&b, TABLE_SUMS, slice(&key, sizeof(key)), text("v"));
	}
	commit(f->be, &b);
	batch_clear(&b);
	batch_del_range(&b, TABLE_SUMS, slice("\0\0\0\x01", 4), slice("\0\0\xc3\x4f", 4));
	commit(f->be, &b); /* 1 to 49,998 */
	assert_row(f->be, TABLE_SUMS, slice("\0\0\0\0", 4), text("v"));
	assert_no_row(f->be, TABLE_SUMS, slice("\0\0\0\x01", 4));
	assert_no_row(f->be, TABLE_SUMS, slice("\0\0\x61\xa8", 4));
	assert_no_row(f->be, TABLE_SUMS, slice("\0\0\xc3\x4e", 4));
	assert_row(f->be, TABLE_SUMS, slice("\0\0\xc3\x4f", 4), text("v"));
}

static void sync_is_a_success(void **state)
{
	struct fixture *f = *state;

	assert_int_equal(backend_sync(f->be), 0);
	put(f->be, TABLE_META, text("k"), text("v"));
	assert_int_equal(backend_sync(f->be), 0);
	assert_int_equal(backend_sync(f->be), 0);
	assert_row(f->be, TABLE_META, text("k"), text("v"));
}

static void stats_grow_with_the_rows(void **state)
{
	struct fixture *f = *state;
	struct backend_stats before, after;
	CLEANUP_BATCH struct batch b = BATCH_INIT;
	char value[100] = "";

	backend_stats(f->be, &before);
	for (uint32_t i = 0; i < 10000; i++)
		batch_put(&b, TABLE_INODE, slice(&i, sizeof(i)),
			  slice(value, sizeof(value)));
	commit(f->be, &b);
	backend_stats(f->be, &after);
	assert_true(after.memory_bytes >= before.memory_bytes + 10000 * sizeof(value));
	assert_in_range(after.keys_estimate, 9000, 11000);
}

static void tables_have_names_of_their_own(void **state)
{
	for (int t = 0; t < TABLE_COUNT; t++) {
		assert_non_null(table_name((enum table)t));
		for (int other = 0; other < t; other++)
			assert_string_not_equal(table_name((enum table)t),
						table_name((enum table)other));
	}
}

int main(int argc, char **argv)
{
	struct CMUnitTest tests[] = {
	    BACKEND_TEST(absent_row_leaves_the_buffer),
	    BACKEND_TEST(get_replaces_the_buffer),
	    BACKEND_TEST(put_replaces_and_del_removes),
	    BACKEND_TEST(tables_are_apart),
	    BACKEND_TEST(any_bytes_are_a_key),
	    BACKEND_TEST(values_may_be_empty),
	    BACKEND_TEST(long_keys_and_values),
	    BACKEND_TEST(a_batch_applies_in_order),
	    BACKEND_TEST(a_batch_can_be_used_again),
	    BACKEND_TEST(a_batch_that_lacked_memory_is_refused),
	    BACKEND_TEST(batch_next_gives_what_was_put_in),
	    BACKEND_TEST(counters_add_and_wrap),
	    BACKEND_TEST(counters_take_many_additions),
	    BACKEND_TEST(del_range_is_half_open),
	    BACKEND_TEST(del_range_takes_many),
	    BACKEND_TEST(sync_is_a_success),
	    BACKEND_TEST(stats_grow_with_the_rows),
	    BACKEND_TEST(tables_have_names_of_their_own),
	};

	return fixture_main(argc, argv, tests, sizeof(tests) / sizeof(tests[0]));
}
