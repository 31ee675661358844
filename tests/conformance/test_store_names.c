/* SPDX-License-Identifier: Apache-2.0 */
/* Names: making, finding and removing them, and what rmdir leaves to gc. */
#include "tests/conformance/store_fixture.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "store/internal.h"
#include "tests/conformance/store_check.h"

static struct store *store_of(void **state)
{
	return ((struct fixture *)*state)->st;
}

static void test_root(void **state)
{
	struct store *st = store_of(state);
	struct store_attr attr = attr_of(st, ROOT);
	struct buf version = BUF_INIT;
	uint64_t ino, branch;

	assert_int_equal(attr.mode, S_IFDIR | 0755);
	assert_int_equal(attr.uid, 1);
	assert_int_equal(attr.gid, 2);
	assert_true(attr.expires_ns == DURATION_NONE);
	assert_ok(store_branch(st, ROOT, NULL, false, &branch));
	assert_int_equal(branch, ROOT);
	assert_ok(store_parent(st, ROOT, &ino, &branch));
	assert_int_equal(ino, ROOT);
	assert_int_equal(store_where(st, ROOT, &branch, &version), -EINVAL);
	assert_names(st, ROOT, "");
	buf_deinit(&version);
}

static void test_mkdir_and_symlink(void **state)
{
	struct store *st = store_of(state);
	struct store_attr attr, again;
	struct buf text = BUF_INIT;
	uint64_t dir, branch;

	assert_ok(store_mkdir(st, ROOT, "d", 01750, 3, 4, &attr));
	assert_int_equal(attr.mode, S_IFDIR | 01750);
	dir = attr.ino;
	assert_ok(store_lookup(st, ROOT, "d", &again));
	assert_same_attr(&attr, &again);
	assert_ok(store_getattr(st, dir, &again));
	assert_same_attr(&attr, &again);

	assert_ok(store_symlink(st, dir, "l", "../t", 5, 6, &attr));
	assert_int_equal(attr.mode, S_IFLNK | 0777);
	assert_int_equal(attr.size_bytes, 4);
	assert_int_equal(attr.uid, 5);
	assert_ok(store_readlink(st, attr.ino, &text));
	assert_int_equal(text.len, 4);
	assert_memory_equal(text.data, "../t", 4);
	assert_ok(store_where(st, attr.ino, &branch, &text));
	assert_int_equal(branch, dir);
	assert_int_equal(text.len, 1);
	assert_memory_equal(text.data, "l", 1);
	assert_int_equal(store_readlink(st, dir, &text), -EINVAL);
	buf_deinit(&text);
}

static void test_name_limits(void **state)
{
	struct store *st = store_of(state);
	char name[STORE_NAME_MAX + 2], target[STORE_SYMLINK_MAX + 2];
	struct store_attr attr;

	memset(name, 'n', sizeof(name));
	name[STORE_NAME_MAX + 1] = '\0';
	assert_int_equal(store_mkdir(st, ROOT, name, 0755, 0, 0, &attr), -ENAMETOOLONG);
	assert_int_equal(store_lookup(st, ROOT, name, &attr), -ENAMETOOLONG);
	assert_int_equal(store_unlink(st, ROOT, name), -ENAMETOOLONG);
	assert_int_equal(store_rename(st, ROOT, "a", ROOT, name, 0, NULL), -ENAMETOOLONG);
	name[STORE_NAME_MAX] = '\0';
	assert_ok(store_mkdir(st, ROOT, name, 0755, 0, 0, &attr));
	assert_int_equal(lookup(st, ROOT, name), attr.ino);

	assert_int_equal(store_mkdir(st, ROOT, "", 0755, 0, 0, &attr), -EINVAL);
	assert_int_equal(store_mkdir(st, ROOT, ".", 0755, 0, 0, &attr), -EINVAL);
	assert_int_equal(store_mkdir(st, ROOT, "..", 0755, 0, 0, &attr), -EINVAL);
	assert_int_equal(store_mkdir(st, ROOT, "a/b", 0755, 0, 0, &attr), -EINVAL);

	memset(target, 't', sizeof(target));
	target[STORE_SYMLINK_MAX + 1] = '\0';
	assert_int_equal(store_symlink(st, ROOT, "l", target, 0, 0, &attr),
			 -ENAMETOOLONG);
	assert_int_equal(store_symlink(st, ROOT, "l", "", 0, 0, &attr), -ENOENT);
	target[STORE_SYMLINK_MAX] = '\0';
	assert_ok(store_symlink(st, ROOT, "l", target, 0, 0, &attr));
	assert_int_equal(attr.size_bytes, STORE_SYMLINK_MAX);
}

/* Every byte a name may have, and names that are prefixes of each other. */
static void test_any_byte(void **state)
{
	struct store *st = store_of(state);
	uint64_t inos[256] = {0};
	char name[3] = {0};

	for (int c = 1; c < 256; c++) {
		if (c == '/')
			continue;
		name[0] = (char)c;
		name[1] = 'x';
		inos[c] = make_link(st, ROOT, name);
		if (c == '.')
			continue;
		name[1] = '\0';
		make_link(st, ROOT, name);
	}
	for (int c = 1; c < 256; c++) {
		name[0] = (char)c;
		name[1] = 'x';
		if (c != '/')
			assert_int_equal(lookup(st, ROOT, name), inos[c]);
	}
}

static void test_exists(void **state)
{
	struct store *st = store_of(state);
	struct store_attr attr;
	uint64_t link = make_link(st, ROOT, "l");
	uint64_t dir = make_dir(st, ROOT, "d");

	assert_int_equal(store_mkdir(st, ROOT, "l", 0755, 0, 0, &attr), -EEXIST);
	assert_int_equal(store_mkdir(st, ROOT, "d", 0755, 0, 0, &attr), -EEXIST);
	assert_int_equal(store_symlink(st, ROOT, "l", "t", 0, 0, &attr), -EEXIST);
	assert_int_equal(store_symlink(st, ROOT, "d", "t", 0, 0, &attr), -EEXIST);
	assert_int_equal(store_mkdir(st, 999999, "x", 0755, 0, 0, &attr), -ENOENT);
	assert_int_equal(store_mkdir(st, link, "x", 0755, 0, 0, &attr), -ENOENT);
	assert_int_equal(store_mkdir(st, 0, "x", 0755, 0, 0, &attr), -ENOENT);
	assert_int_equal(lookup(st, ROOT, "l"), link);
	assert_int_equal(lookup(st, ROOT, "d"), dir);
}

static void test_unlink(void **state)
{
	struct store *st = store_of(state);
	struct store_attr attr;
	uint64_t link = make_link(st, ROOT, "l");

	make_dir(st, ROOT, "d");
	assert_int_equal(store_unlink(st, ROOT, "none"), -ENOENT);
	assert_int_equal(store_unlink(st, ROOT, "d"), -EISDIR);
	assert_ok(store_unlink(st, ROOT, "l"));
	assert_int_equal(lookup(st, ROOT, "l"), 0);
	assert_int_equal(store_getattr(st, link, &attr), -ENOENT);
	assert_int_equal(store_unlink(st, ROOT, "l"), -ENOENT);
	assert_true(make_link(st, ROOT, "l") > link);
}

/* More numbers than are reserved at a time: each is new. */
static void test_numbers_only_grow(void **state)
{
	struct store *st = store_of(state);
	uint64_t ino, last = ROOT;

	for (int i = 0; i < 200000; i++) {
		assert_ok(ino_alloc(st, &ino));
		if (ino <= last)
			fail_msg("%ju after %ju", (uintmax_t)ino, (uintmax_t)last);
		last = ino;
	}
}

static void test_setgid_directory(void **state)
{
	struct store *st = store_of(state);
	struct store_attr attr;
	uint64_t dir;

	assert_ok(store_mkdir(st, ROOT, "d", 02775, 3, 77, &attr));
	dir = attr.ino;
	assert_ok(store_mkdir(st, dir, "sub", 0755, 5, 6, &attr));
	assert_int_equal(attr.gid, 77);
	assert_int_equal(attr.mode, S_IFDIR | 02755);
	assert_ok(store_symlink(st, dir, "l", "t", 5, 6, &attr));
	assert_int_equal(attr.gid, 77);

	/* The change of the directory is seen by the very next child. */
	attr.mode = 0755;
	assert_ok(store_setattr(st, dir, STORE_SET_MODE, &attr, &attr));
	assert_ok(store_mkdir(st, dir, "sub2", 0755, 5, 6, &attr));
	assert_int_equal(attr.gid, 6);
	assert_int_equal(attr.mode, S_IFDIR | 0755);
}

static void test_setattr(void **state)
{
	struct store *st = store_of(state);
	uint64_t ino = make_link(st, ROOT, "l");
	struct store_attr before = attr_of(st, ino), after, found;
	struct store_attr want = {.mode = S_IFDIR | 04751,
				  .uid = 100,
				  .gid = 200,
				  .atime_ns = -5,
				  .mtime_ns = 12345678901234};

	assert_ok(store_setattr(st, ino, STORE_SET_MODE, &want, &after));
	assert_int_equal(after.mode, S_IFLNK | 04751); /* never the type */
	assert_int_equal(after.uid, before.uid);
	assert_true(after.mtime_ns == before.mtime_ns);
	assert_true(after.ctime_ns >= before.ctime_ns);
	assert_ok(store_setattr(
	    st, ino, STORE_SET_UID | STORE_SET_GID | STORE_SET_ATIME | STORE_SET_MTIME,
	    &want, &after));
	assert_int_equal(after.uid, 100);
	assert_int_equal(after.gid, 200);
	assert_true(after.atime_ns == -5);
	assert_true(after.mtime_ns == 12345678901234);
	assert_true(after.created_ns == before.created_ns);

	/* Both copies say the same. */
	assert_ok(store_lookup(st, ROOT, "l", &found));
	assert_same_attr(&found, &after);
	found = attr_of(st, ino);
	assert_same_attr(&found, &after);
	assert_int_equal(store_setattr(st, 999999, STORE_SET_UID, &want, &after),
			 -ENOENT);
}

static void test_directory_times(void **state)
{
	struct store *st = store_of(state);
	uint64_t dir = make_dir(st, ROOT, "d");
	struct store_attr set = {.mtime_ns = 1000};
	struct store_attr attr;

	/* Each change of names moves mtime, even right after it was set. */
	assert_ok(store_setattr(st, dir, STORE_SET_MTIME, &set, &attr));
	make_link(st, dir, "a");
	assert_true(attr_of(st, dir).mtime_ns > 1000);
	assert_ok(store_setattr(st, dir, STORE_SET_MTIME, &set, &attr));
	assert_ok(store_unlink(st, dir, "a"));
	assert_true(attr_of(st, dir).mtime_ns > 1000);
	assert_ok(store_setattr(st, dir, STORE_SET_MTIME, &set, &attr));
	make_dir(st, dir, "sub");
	assert_true(attr_of(st, dir).mtime_ns > 1000);
	assert_ok(store_setattr(st, dir, STORE_SET_MTIME, &set, &attr));
	assert_ok(store_rename(st, dir, "sub", ROOT, "moved", 0, NULL));
	assert_true(attr_of(st, dir).mtime_ns > 1000);
	assert_ok(store_setattr(st, dir, STORE_SET_MTIME, &set, &attr));
	assert_ok(store_rename(st, ROOT, "moved", dir, "sub", 0, NULL));
	assert_true(attr_of(st, dir).mtime_ns > 1000);
	assert_ok(store_setattr(st, dir, STORE_SET_MTIME, &set, &attr));
	assert_ok(store_rmdir(st, dir, "sub"));
	assert_true(attr_of(st, dir).mtime_ns > 1000);
}

static void test_xattrs(void **state)
{
	struct store *st = store_of(state);
	uint64_t ino = make_dir(st, ROOT, "d");
	static char big[16 * 1024 + 1];
	struct buf value = BUF_INIT;

	assert_int_equal(store_xattr_get(st, ino, "user.a", &value), -ENODATA);
	assert_int_equal(
	    store_xattr_set(st, ino, "user.a", slice("1", 1), STORE_XATTR_REPLACE),
	    -ENODATA);
	assert_ok(store_xattr_set(st, ino, "user.a", slice("1", 1), STORE_XATTR_CREATE));
	assert_int_equal(
	    store_xattr_set(st, ino, "user.a", slice("2", 1), STORE_XATTR_CREATE),
	    -EEXIST);
	assert_ok(store_xattr_set(st, ino, "user.ab", slice("\0\xff", 2), 0));
	assert_ok(store_xattr_set(st, ino, "user.a", slice("", 0), 0));
	assert_ok(store_xattr_get(st, ino, "user.a", &value));
	assert_int_equal(value.len, 0);
	assert_ok(store_xattr_get(st, ino, "user.ab", &value));
	assert_int_equal(value.len, 2);
	assert_memory_equal(value.data, "\0\xff", 2);
	buf_clear(&value);
	assert_ok(store_xattr_list(st, ino, &value));
	assert_int_equal(value.len, sizeof("user.ab\0user.a"));
	assert_memory_equal(value.data, "user.ab\0user.a", value.len);

	assert_int_equal(store_xattr_set(st, ino, "user.big", slice(big, sizeof(big)), 0),
			 -E2BIG);
	assert_int_equal(
	    store_xattr_set(st, ino, "user.big", slice(big, sizeof(big) - 1), 0),
	    -ENOSPC);
	assert_ok(store_xattr_set(st, ino, "user.big", slice(big, 16000), 0));
	assert_ok(store_xattr_remove(st, ino, "user.a"));
	assert_int_equal(store_xattr_remove(st, ino, "user.a"), -ENODATA);
	assert_ok(store_xattr_get(st, ino, "user.big", &value));
	assert_int_equal(value.len, 16000);
	buf_deinit(&value);
}

static void test_rmdir(void **state)
{
	struct store *st = store_of(state);
	struct store_attr attr;
	uint64_t dir = make_dir(st, ROOT, "d");
	uint64_t branch;

	make_link(st, ROOT, "l");
	assert_int_equal(store_rmdir(st, ROOT, "none"), -ENOENT);
	assert_int_equal(store_rmdir(st, ROOT, "l"), -ENOTDIR);
	make_link(st, dir, "x");
	assert_int_equal(store_rmdir(st, ROOT, "d"), -ENOTEMPTY);
	assert_ok(store_unlink(st, dir, "x"));
	make_dir(st, dir, "sub");
	assert_int_equal(store_rmdir(st, ROOT, "d"), -ENOTEMPTY);
	assert_ok(store_rmdir(st, dir, "sub"));
	assert_ok(store_rmdir(st, ROOT, "d"));

	assert_int_equal(lookup(st, ROOT, "d"), 0);
	assert_int_equal(store_getattr(st, dir, &attr), -ENOENT);
	assert_int_equal(store_branch(st, dir, NULL, false, &branch), -ENOENT);
	assert_int_equal(store_branch(st, dir, "v", true, &branch), -ENOENT);
	assert_int_equal(store_mkdir(st, dir, "x", 0755, 0, 0, &attr), -ENOENT);
	assert_int_equal(store_symlink(st, dir, "x", "t", 0, 0, &attr), -ENOENT);
	assert_int_equal(store_rename(st, ROOT, "l", dir, "l", 0, NULL), -ENOENT);
}

static void assert_store_is_empty(struct store *st)
{
	struct store_stats stats;

	check_settled(st);
	assert_int_equal(count_rows(st, TABLE_INODE), 1);
	assert_int_equal(count_rows(st, TABLE_DIRENT), 0);
	assert_int_equal(count_rows(st, TABLE_BRANCH), 0);
	assert_int_equal(count_rows(st, TABLE_SMALL), 0);
	assert_ok(store_stats(st, &stats));
	assert_int_equal(stats.entries, 0);
	assert_int_equal(stats.dirs, 1);
	assert_int_equal(stats.bytes, 0);
}

/* Hidden versions with trees in them, deep and wide, and expired names. */
static void test_rmdir_takes_what_is_hidden(void **state)
{
	struct store *st = store_of(state);
	uint64_t dir = make_dir(st, ROOT, "d");
	uint64_t v1 = branch_of(st, dir, "v1"), v2 = branch_of(st, dir, "v2");
	uint64_t deep = make_dir(st, v1, "deep"), kept = deep;
	struct store_attr attr;
	char name[32];

	for (int i = 0; i < 50; i++)
		deep = make_dir(st, deep, "deeper");
	make_file(st, deep, "bottom", "content");
	make_file(st, branch_of(st, deep, "other"), "hidden", "content");
	for (int i = 0; i < 3000; i++) {
		snprintf(name, sizeof(name), "n%d", i);
		make_link(st, v2, name);
	}
	make_link(st, dir, "expired");
	set_ttl_ms(st, lookup(st, dir, "expired"), 0);

	assert_ok(store_rmdir(st, ROOT, "d"));
	/* From here on nothing below can be reached or added to. */
	assert_int_equal(lookup(st, v1, "deep"), 0);
	assert_int_equal(store_getattr(st, kept, &attr), -ENOENT);
	assert_int_equal(lookup(st, kept, "deeper"), 0);
	assert_int_equal(store_mkdir(st, deep, "x", 0755, 0, 0, &attr), -ENOENT);
	assert_int_equal(store_unlink(st, v2, "n5"), -ENOENT);
	assert_store_is_empty(st);
}

/* A directory moved out of a hidden version is not taken along. */
static void test_rmdir_spares_what_moved_out(void **state)
{
	struct store *st = store_of(state);
	uint64_t dir = make_dir(st, ROOT, "d");
	uint64_t v1 = branch_of(st, dir, "v1");
	uint64_t sub = make_dir(st, v1, "sub");
	uint64_t leaf = make_link(st, sub, "leaf");

	assert_ok(store_rename(st, v1, "sub", ROOT, "sub", 0, NULL));
	assert_ok(store_rmdir(st, ROOT, "d"));
	assert_ok(store_settle(st));
	assert_int_equal(lookup(st, ROOT, "sub"), sub);
	assert_int_equal(lookup(st, sub, "leaf"), leaf);
}

/* A row that cannot be read is a miss: it blocks neither name nor directory. */
static void test_damaged_name(void **state)
{
	struct store *st = store_of(state);
	uint64_t dir = make_dir(st, ROOT, "d");
	struct key key = key_dirent(dir, slice_str("bad"));
	CLEANUP_BATCH struct batch b = BATCH_INIT;
	struct store_attr attr;

	make_link(st, dir, "good");
	batch_put(&b, TABLE_DIRENT, key_slice(&key), slice("\1garbage", 8));
	assert_ok(backend_commit(st->be, &b));
	assert_int_equal(store_lookup(st, dir, "bad", &attr), -ENOENT);
	assert_int_equal(store_unlink(st, dir, "bad"), -ENOENT);
	assert_names(st, dir, "good ");
	assert_ok(store_unlink(st, dir, "good"));
	assert_ok(store_mkdir(st, dir, "bad", 0755, 0, 0, &attr));
	assert_int_equal(lookup(st, dir, "bad"), attr.ino);
	assert_ok(store_rmdir(st, dir, "bad"));
	assert_ok(backend_commit(st->be, &b));
	assert_ok(store_rmdir(st, ROOT, "d"));
	assert_store_is_empty(st);
}

static void test_counters(void **state)
{
	struct store *st = store_of(state);
	struct store_stats stats;
	uint64_t dir = make_dir(st, ROOT, "d");

	make_link(st, dir, "a"); /* 6 bytes */
	make_link(st, dir, "b");
	make_file(st, dir, "f", "1234567890");
	assert_ok(store_stats(st, &stats));
	assert_int_equal(stats.entries, 3);
	assert_int_equal(stats.dirs, 2);
	assert_int_equal(stats.bytes, 22);
	assert_true(stats.disk_total_bytes >= stats.disk_avail_bytes);
	assert_true(stats.disk_avail_bytes > 0);
	make_file(st, dir, "f", "123");
	assert_ok(store_rename(st, dir, "a", dir, "b", 0, NULL));
	assert_ok(store_stats(st, &stats));
	assert_int_equal(stats.entries, 2);
	assert_int_equal(stats.bytes, 9);
	assert_ok(store_unlink(st, dir, "b"));
	assert_ok(store_unlink(st, dir, "f"));
	assert_ok(store_rmdir(st, ROOT, "d"));
	assert_store_is_empty(st);
}

int main(int argc, char **argv)
{
	struct CMUnitTest tests[] = {
	    STORE_TEST(test_root),
	    STORE_TEST(test_mkdir_and_symlink),
	    STORE_TEST(test_name_limits),
	    STORE_TEST(test_any_byte),
	    STORE_TEST(test_exists),
	    STORE_TEST(test_unlink),
	    STORE_TEST(test_numbers_only_grow),
	    STORE_TEST(test_setgid_directory),
	    STORE_TEST(test_setattr),
	    STORE_TEST(test_directory_times),
	    STORE_TEST(test_xattrs),
	    STORE_TEST(test_rmdir),
	    STORE_TEST(test_rmdir_takes_what_is_hidden),
	    STORE_TEST(test_rmdir_spares_what_moved_out),
	    STORE_TEST(test_damaged_name),
	    STORE_TEST(test_counters),
	};

	return fixture_main(argc, argv, tests, sizeof(tests) / sizeof(*tests));
}
