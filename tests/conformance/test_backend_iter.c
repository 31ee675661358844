/* SPDX-License-Identifier: Apache-2.0 */
/* Iterators: order, bounds, and that they see the table as it was. */
#include <string.h>

#include "tests/conformance/backend_fixture.h"

static void put_letters(struct backend *be, const char *letters)
{
	CLEANUP_BATCH struct batch b = BATCH_INIT;

	for (const char *c = letters; *c; c++)
		batch_put(&b, TABLE_DIRENT, slice(c, 1), text("1"));
	commit(be, &b);
}

static void an_empty_table_has_no_rows(void **state)
{
	struct fixture *f = *state;

	put(f->be, TABLE_INODE, text("a"), text("of another table"));
	assert_int_equal(backend_iter_new(f->be, TABLE_DIRENT, &f->it), 0);
	assert_false(backend_iter_valid(f->it)); /* it starts nowhere */
	backend_iter_seek(f->it, slice(NULL, 0));
	assert_false(backend_iter_valid(f->it));
	assert_int_equal(backend_iter_status(f->it), 0);
}

static void seek_finds_the_first_at_or_after(void **state)
{
	struct fixture *f = *state;

	put_letters(f->be, "gcea");
	assert_int_equal(backend_iter_new(f->be, TABLE_DIRENT, &f->it), 0);
	assert_dump(f->it, "", "a=1 c=1 e=1 g=1 ");
	assert_dump(f->it, "c", "c=1 e=1 g=1 ");
	assert_dump(f->it, "d", "e=1 g=1 ");
	assert_dump(f->it, "g", "g=1 ");
	assert_dump(f->it, "ga", "");
	assert_dump(f->it, "b", "c=1 e=1 g=1 "); /* and back again */
}

static void seek_with_its_own_key(void **state)
{
	struct fixture *f = *state;

	put_letters(f->be, "ab");
	assert_int_equal(backend_iter_new(f->be, TABLE_DIRENT, &f->it), 0);
	backend_iter_seek(f->it, text("b"));
	backend_iter_seek(f->it, backend_iter_key(f->it));
	assert_true(backend_iter_valid(f->it));
	assert_slice(backend_iter_key(f->it), text("b"));
}

static void assert_ends(struct fixture *f,
			int (*iter_new)(struct backend *be, enum table t,
					struct slice end, struct backend_iter **ret_it))
{
	char end[] = "e";

	assert_int_equal(iter_new(f->be, TABLE_DIRENT, slice(end, 1), &f->it), 0);
	end[0] = 'z'; /* the iterator has a copy */
	assert_dump(f->it, "", "a=1 c=1 ");
	assert_dump(f->it, "d", "");
	assert_dump(f->it, "e", "");
	assert_dump(f->it, "f", "");
	assert_dump(f->it, "c", "c=1 ");
	backend_iter_free(f->it);
	f->it = NULL;
}

static void an_end_is_not_reached(void **state)
{
	struct fixture *f = *state;

	put_letters(f->be, "aceg");
	assert_ends(f, backend_iter_new_until);
	assert_ends(f, backend_iter_new_many);
	assert_int_equal(backend_reclaim(f->be), 0); /* and from a table */
	assert_ends(f, backend_iter_new_until);
	assert_ends(f, backend_iter_new_many);
}

static void later_commits_are_not_seen(void **state)
{
	struct fixture *f = *state;
	CLEANUP_BATCH struct batch b = BATCH_INIT;
	struct backend_iter *later;

	put_letters(f->be, "bdf");
	assert_int_equal(backend_iter_new(f->be, TABLE_DIRENT, &f->it), 0);
	batch_put(&b, TABLE_DIRENT, text("a"), text("2"));
	batch_put(&b, TABLE_DIRENT, text("b"), text("2"));
	batch_del(&b, TABLE_DIRENT, text("d"));
	batch_put(&b, TABLE_DIRENT, text("e"), text("2"));
	batch_del_range(&b, TABLE_DIRENT, text("f"), text("g"));
	commit(f->be, &b);
	assert_dump(f->it, "", "b=1 d=1 f=1 ");

	assert_int_equal(backend_iter_new(f->be, TABLE_DIRENT, &later), 0);
	put_letters(f->be, "xyz");
	backend_iter_free(f->it); /* takes nothing from the other */
	f->it = later;
	assert_dump(f->it, "", "a=2 b=2 e=2 ");
}

static void a_row_stays_good_until_the_next_call(void **state)
{
	struct fixture *f = *state;
	struct slice key, value;

	put(f->be, TABLE_DIRENT, text("key"), text("value"));
	assert_int_equal(backend_iter_new(f->be, TABLE_DIRENT, &f->it), 0);
	backend_iter_seek(f->it, text(""));
	key = backend_iter_key(f->it);
	value = backend_iter_value(f->it);
	put(f->be, TABLE_DIRENT, text("key"), text("other"));
	del(f->be, TABLE_DIRENT, text("key"));
	assert_slice(key, text("key"));
	assert_slice(value, text("value"));
}

static void big_key(uint32_t i, uint8_t ret_key[8])
{
	memset(ret_key, 0, 4);
	for (int k = 0; k < 4; k++)
		ret_key[4 + k] = (uint8_t)(i >> (24 - 8 * k));
}

/* Would take hours where an iterator costs in proportion to the table. */
static void a_short_look_at_a_large_table_is_cheap(void **state)
{
	const uint32_t rows = 200000, look = 10;
	struct fixture *f = *state;
	CLEANUP_BATCH struct batch b = BATCH_INIT;
	uint8_t key[8];

	for (uint32_t i = 0; i < rows; i++) {
		big_key(i * 2, key);
		batch_put(&b, TABLE_DIRENT, slice(key, 8), slice(&i, sizeof(i)));
		if (i % 1000 == 999) {
			commit(f->be, &b);
			batch_clear(&b);
		}
	}
	for (uint32_t i = 0; i < rows; i += look) {
		assert_int_equal(backend_iter_new(f->be, TABLE_DIRENT, &f->it), 0);
		big_key(i * 2, key);
		backend_iter_seek(f->it, slice(key, 8));
		for (uint32_t k = i; k < i + look; k++) {
			big_key(k * 2, key);
			assert_true(backend_iter_valid(f->it));
			assert_memory_equal(backend_iter_key(f->it).data, key, 8);
			assert_memory_equal(backend_iter_value(f->it).data, &k,
					    sizeof(k));
			backend_iter_next(f->it);
		}
		backend_iter_free(f->it);
		f->it = NULL;
		/* A commit between two looks: each has a table of its own. */
		if (i % 1000 == 0)
			put(f->be, TABLE_DIRENT, slice(key, 7), text("between"));
	}
}

int main(int argc, char **argv)
{
	struct CMUnitTest tests[] = {
	    BACKEND_TEST(an_empty_table_has_no_rows),
	    BACKEND_TEST(seek_finds_the_first_at_or_after),
	    BACKEND_TEST(seek_with_its_own_key),
	    BACKEND_TEST(an_end_is_not_reached),
	    BACKEND_TEST(later_commits_are_not_seen),
	    BACKEND_TEST(a_row_stays_good_until_the_next_call),
	    BACKEND_TEST(a_short_look_at_a_large_table_is_cheap),
	};

	return fixture_main(argc, argv, tests, sizeof(tests) / sizeof(tests[0]));
}
