/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/conformance/store_check.h"

#include <errno.h>

#include "store/internal.h"
#include "tests/conformance/store_fixture.h"

/* Counted on the way, to be compared with the counters. */
struct totals {
	uint64_t entries, dirs, bytes, names, charges;
};

static struct backend_iter *rows_of(struct store *st, enum table table)
{
	struct backend_iter *it;

	assert_ok(backend_iter_new(st->be, table, &it));
	backend_iter_seek(it, slice("", 0));
	return it;
}

static void rows_end(struct backend_iter *it)
{
	assert_ok(backend_iter_status(it));
	backend_iter_free(it);
}

unsigned int count_rows(struct store *st, int table)
{
	struct backend_iter *it = rows_of(st, table);
	unsigned int n = 0;

	for (; backend_iter_valid(it); backend_iter_next(it))
		n++;
	rows_end(it);
	return n;
}

static void assert_same_core(const struct row_core *a, const struct row_core *b)
{
	struct store_attr x, y;

	core_attr(a, 0, &x);
	core_attr(b, 0, &y);
	assert_same_attr(&x, &y);
	assert_int_equal(a->ttl_ns, b->ttl_ns);
	assert_int_equal(a->layout, b->layout);
}

static void check_name(struct store *st, struct slice raw_key, struct slice raw)
{
	CLEANUP_INODE struct inode in = INODE_INIT;
	struct policy policy;
	struct row_core core;
	struct slice name;
	uint64_t branch;

	assert_ok(key_dirent_decode(raw_key, &branch, &name));
	assert_ok(dirent_decode(raw, &core));
	assert_ok(inode_load(st, core.ino, &in));
	assert_same_core(&core, &in.row.core);
	assert_int_equal(in.row.parent_branch, branch);
	assert_int_equal(in.row.name.len, name.len);
	assert_memory_equal(in.row.name.data, name.data, name.len);
	assert_ok(policy_get(st, branch, &policy));
}

static void check_inode(struct store *st, struct slice raw, struct totals *totals)
{
	struct inode_row row;
	struct row_core core;
	struct policy policy;

	assert_ok(inode_decode(raw, &row));
	totals->bytes += row.core.size_bytes;
	totals->charges += core_charge(&row.core);
	if (S_ISDIR(row.core.mode)) {
		totals->dirs++;
		assert_ok(policy_get(st, row.branch, &policy));
		assert_int_equal(policy.dir_ino, row.core.ino);
	} else {
		totals->entries++;
	}
	if (row.core.ino == STORE_ROOT_INO)
		return;
	assert_ok(dirent_load(st, row.parent_branch, row.name, &core));
	assert_int_equal(core.ino, row.core.ino);
}

/* A version's row has one that leads back, and the directory exists. */
static void check_version(struct store *st, struct slice raw_key, struct slice raw)
{
	CLEANUP_BUF struct buf version = BUF_INIT;
	CLEANUP_INODE struct inode dir = INODE_INIT;
	uint64_t dir_ino, owner, branch;
	struct slice name;

	if (key_version_decode(raw_key, &dir_ino, &name))
		return; /* the way back */
	assert_ok(u64_decode(raw, &branch));
	assert_ok(branch_owner_load(st, branch, &owner, &version));
	assert_int_equal(owner, dir_ino);
	assert_int_equal(version.len, name.len);
	assert_memory_equal(version.data, name.data, name.len);
	assert_ok(inode_load(st, dir_ino, &dir));
}

void check_rows(struct store *st)
{
	struct totals totals = {0};
	struct store_bounds bounds;
	struct store_stats stats;
	struct backend_iter *it;

	for (it = rows_of(st, TABLE_DIRENT); backend_iter_valid(it);
	     backend_iter_next(it)) {
		check_name(st, backend_iter_key(it), backend_iter_value(it));
		totals.names++;
	}
	rows_end(it);
	for (it = rows_of(st, TABLE_INODE); backend_iter_valid(it); backend_iter_next(it))
		check_inode(st, backend_iter_value(it), &totals);
	rows_end(it);
	for (it = rows_of(st, TABLE_BRANCH); backend_iter_valid(it);
	     backend_iter_next(it))
		check_version(st, backend_iter_key(it), backend_iter_value(it));
	rows_end(it);
	assert_int_equal(count_rows(st, TABLE_BRANCH) % 2, 0);

	assert_ok(store_stats(st, &stats));
	assert_int_equal(totals.names + 1, totals.entries + totals.dirs);
	assert_int_equal(stats.entries, totals.entries);
	assert_int_equal(stats.dirs, totals.dirs);
	assert_int_equal(stats.bytes, totals.bytes);
	store_bounds(st, &bounds);
	assert_int_equal(bounds.used_bytes, totals.charges);
}

void check_settled(struct store *st)
{
	struct store_bounds bounds;

	assert_ok(store_settle(st));
	check_rows(st);
	assert_int_equal(count_rows(st, TABLE_GCQ), 0);
	store_bounds(st, &bounds);
	assert_int_equal(bounds.dead_bytes, 0);
}
