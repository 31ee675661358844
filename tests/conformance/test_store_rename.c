/* SPDX-License-Identifier: Apache-2.0 */
/* rename(2) over every pair of kinds, its flags, and where it must refuse. */
#include "tests/conformance/store_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "tests/conformance/store_check.h"

static struct store *store_of(void **state)
{
	return ((struct fixture *)*state)->st;
}

/* What one end of a rename may be. */
enum kind { ABSENT, EXPIRED, LINK, REGULAR, DIR_EMPTY, DIR_FULL, KIND_COUNT };

static uint64_t make_kind(struct store *st, const char *name, enum kind kind)
{
	uint64_t ino = 0;

	switch (kind) {
	case ABSENT:
	case KIND_COUNT:
		break;
	case EXPIRED:
		ino = make_link(st, ROOT, name);
		set_ttl_ms(st, ino, 0);
		break;
	case LINK:
		ino = make_link(st, ROOT, name);
		break;
	case REGULAR:
		ino = make_file(st, ROOT, name, "content");
		break;
	case DIR_EMPTY:
	case DIR_FULL:
		ino = make_dir(st, ROOT, name);
		if (kind == DIR_FULL)
			make_link(st, ino, "child");
	}
	return ino;
}

static bool is_dir(enum kind kind)
{
	return kind == DIR_EMPTY || kind == DIR_FULL;
}

static bool is_live(enum kind kind)
{
	return kind != ABSENT && kind != EXPIRED;
}

/* rename(2), as its manual page has it. */
static int expected_result(enum kind from, enum kind to, unsigned int flags)
{
	if (!is_live(from))
		return -ENOENT;
	if (flags & STORE_RENAME_EXCHANGE)
		return is_live(to) ? 0 : -ENOENT;
	if (!is_live(to))
		return 0;
	if (flags & STORE_RENAME_NOREPLACE)
		return -EEXIST;
	if (is_dir(from) != is_dir(to))
		return is_dir(to) ? -EISDIR : -ENOTDIR;
	return to == DIR_FULL ? -ENOTEMPTY : 0;
}

static void check_pair(struct store *st, enum kind from, enum kind to, unsigned int flags)
{
	int expected = expected_result(from, to, flags);
	bool exchange = flags & STORE_RENAME_EXCHANGE;
	uint64_t a_ino, b_ino, replaced = 777;
	char a[32], b[32];
	int r;

	snprintf(a, sizeof(a), "a-%d-%d-%u", from, to, flags);
	snprintf(b, sizeof(b), "b-%d-%d-%u", from, to, flags);
	a_ino = make_kind(st, a, from);
	b_ino = make_kind(st, b, to);
	r = store_rename(st, ROOT, a, ROOT, b, flags, &replaced);
	if (r != expected)
		print_error("%s to %s, flags %u: %s, not %s\n", a, b, flags, strerror(-r),
			    strerror(-expected));
	assert_int_equal(r, expected);
	if (r) {
		assert_int_equal(replaced, 777);
		assert_int_equal(lookup(st, ROOT, a), is_live(from) ? a_ino : 0);
		assert_int_equal(lookup(st, ROOT, b), is_live(to) ? b_ino : 0);
		return;
	}
	assert_int_equal(lookup(st, ROOT, a), exchange ? b_ino : 0);
	assert_int_equal(lookup(st, ROOT, b), a_ino);
	assert_int_equal(replaced, exchange ? 0 : b_ino);
	if (from == DIR_FULL)
		assert_int_not_equal(lookup(st, a_ino, "child"), 0);
}

static void test_every_pair(void **state)
{
	static const unsigned int flags[] = {0, STORE_RENAME_NOREPLACE,
					     STORE_RENAME_EXCHANGE};

	for (int from = 0; from < KIND_COUNT; from++)
		for (int to = 0; to < KIND_COUNT; to++)
			for (int i = 0; i < 3; i++)
				check_pair(store_of(state), from, to, flags[i]);
	check_settled(store_of(state));
	assert_int_equal(store_rename(store_of(state), ROOT, "a", ROOT, "b",
				      STORE_RENAME_EXCHANGE | STORE_RENAME_NOREPLACE,
				      NULL),
			 -EINVAL);
}

static void test_to_itself(void **state)
{
	struct store *st = store_of(state);
	uint64_t ino = make_link(st, ROOT, "l"), replaced = 777;

	assert_ok(store_rename(st, ROOT, "l", ROOT, "l", 0, &replaced));
	assert_int_equal(replaced, 0);
	assert_ok(store_rename(st, ROOT, "l", ROOT, "l", STORE_RENAME_EXCHANGE, NULL));
	assert_int_equal(
	    store_rename(st, ROOT, "l", ROOT, "l", STORE_RENAME_NOREPLACE, NULL),
	    -EEXIST);
	assert_int_equal(lookup(st, ROOT, "l"), ino);
}

static void test_place_follows(void **state)
{
	struct store *st = store_of(state);
	uint64_t a = make_dir(st, ROOT, "a"), b = make_dir(st, ROOT, "b");
	uint64_t sub = make_dir(st, a, "sub"), leaf = make_link(st, sub, "leaf");
	uint64_t parent, branch;
	struct buf name = BUF_INIT;

	assert_ok(store_rename(st, a, "sub", b, "moved", 0, NULL));
	assert_ok(store_parent(st, sub, &parent, &branch));
	assert_int_equal(parent, b);
	assert_ok(store_where(st, sub, &branch, &name));
	assert_int_equal(branch, b);
	assert_string_equal((const char *)name.data, "moved");
	assert_int_equal(lookup(st, sub, "leaf"), leaf);
	assert_names(st, a, "");
	assert_names(st, b, "moved ");
	assert_ok(store_rmdir(st, ROOT, "a"));
	buf_deinit(&name);
}

/* The clock of a ttl goes on; what is inherited is that of the new place. */
static void test_ttl_and_rename(void **state)
{
	struct store *st = store_of(state);
	uint64_t slow = make_dir(st, ROOT, "slow"), quick = make_dir(st, ROOT, "quick");
	uint64_t own, inherits;
	struct store_attr before;

	set_ttl_ms(st, slow, 60000);
	set_ttl_ms(st, quick, 20000);
	own = make_link(st, slow, "own");
	set_ttl_ms(st, own, 30000);
	inherits = make_link(st, slow, "inherits");
	before = attr_of(st, own);
	assert_ok(store_rename(st, slow, "own", quick, "own", 0, NULL));
	assert_true(attr_of(st, own).created_ns == before.created_ns);
	assert_true(attr_of(st, own).expires_ns == before.expires_ns);
	assert_ok(store_rename(st, slow, "inherits", quick, "inherits", 0, NULL));
	before = attr_of(st, inherits);
	assert_true(before.expires_ns == before.created_ns + 20 * NSEC_PER_SEC);

	/* The same when the directory moves above what is in it. */
	set_ttl_ms(st, ROOT, 5000);
	assert_ok(store_ttl_set(st, quick, DURATION_UNSET, NULL));
	assert_ok(store_rename(st, ROOT, "quick", slow, "quick", 0, NULL));
	before = attr_of(st, inherits);
	assert_true(before.expires_ns == before.created_ns + 60 * NSEC_PER_SEC);
}

static void test_no_rings(void **state)
{
	struct store *st = store_of(state);
	uint64_t a = make_dir(st, ROOT, "a"), b = make_dir(st, a, "b");
	uint64_t c = make_dir(st, b, "c"), va = branch_of(st, a, "v");
	uint64_t x = make_dir(st, va, "x");

	assert_int_equal(store_rename(st, ROOT, "a", a, "in", 0, NULL), -EINVAL);
	assert_int_equal(store_rename(st, ROOT, "a", c, "in", 0, NULL), -EINVAL);
	assert_int_equal(store_rename(st, ROOT, "a", va, "in", 0, NULL), -EINVAL);
	assert_int_equal(store_rename(st, ROOT, "a", x, "in", 0, NULL), -EINVAL);
	assert_int_equal(store_rename(st, a, "b", b, "c", STORE_RENAME_EXCHANGE, NULL),
			 -EINVAL);
	assert_int_equal(store_rename(st, b, "c", ROOT, "a", STORE_RENAME_EXCHANGE, NULL),
			 -EINVAL);
	/* The target holds the source, at a version that is not the current one. */
	assert_int_equal(store_rename(st, b, "c", ROOT, "a", 0, NULL), -ENOTEMPTY);
	assert_ok(store_rmdir(st, b, "c"));
	assert_ok(store_rmdir(st, a, "b"));
	assert_int_equal(store_rename(st, va, "x", ROOT, "a", 0, NULL), -ENOTEMPTY);
	assert_int_equal(lookup(st, va, "x"), x);
}

/* A directory that is replaced takes its hidden versions with it. */
static void test_replaced_directory_goes(void **state)
{
	struct store *st = store_of(state);
	uint64_t a = make_dir(st, ROOT, "a"), b = make_dir(st, ROOT, "b");
	uint64_t hidden = branch_of(st, b, "v");
	struct store_stats stats;

	make_link(st, hidden, "l");
	make_link(st, a, "kept");
	assert_ok(store_rename(st, ROOT, "a", ROOT, "b", 0, NULL));
	assert_int_equal(lookup(st, ROOT, "b"), a);
	assert_int_equal(lookup(st, hidden, "l"), 0);
	assert_ok(store_settle(st));
	assert_ok(store_stats(st, &stats));
	assert_int_equal(stats.entries, 1);
	assert_int_equal(stats.dirs, 2);
}

int main(int argc, char **argv)
{
	struct CMUnitTest tests[] = {
	    STORE_TEST(test_every_pair),    STORE_TEST(test_to_itself),
	    STORE_TEST(test_place_follows), STORE_TEST(test_ttl_and_rename),
	    STORE_TEST(test_no_rings),	    STORE_TEST(test_replaced_directory_goes),
	};

	return fixture_main(argc, argv, tests, sizeof(tests) / sizeof(*tests));
}
