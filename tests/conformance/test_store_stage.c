/* SPDX-License-Identifier: Apache-2.0 */
/* Where trees are built: hidden, of the directory, and gone with it. */
#include "tests/conformance/store_fixture.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "store/internal.h"
#include "tests/conformance/store_check.h"

static struct store *store_of(void **state)
{
	return ((struct fixture *)*state)->st;
}

static uint64_t stage_of(struct store *st, uint64_t dir)
{
	uint64_t ino = 0;

	assert_ok(store_stage_dir(st, dir, true, &ino));
	assert_int_not_equal(ino, 0);
	return ino;
}

static bool is_staged(struct store *st, uint64_t branch)
{
	bool staged = false;

	assert_ok(store_branch_staged(st, branch, &staged));
	return staged;
}

static void test_made_once(void **state)
{
	struct store *st = store_of(state);
	uint64_t dir = make_dir(st, ROOT, "dir"), ino = 7, again = 0;
	uint64_t parent, branch;
	struct store_attr attr, of_dir;

	assert_int_equal(store_stage_dir(st, dir, false, &ino), -ENOENT);
	assert_int_equal(ino, 7);
	attr.mode = 02770;
	attr.uid = 31;
	assert_ok(store_setattr(st, dir, STORE_SET_MODE | STORE_SET_UID, &attr, &of_dir));
	ino = stage_of(st, dir);
	assert_ok(store_stage_dir(st, dir, false, &again));
	assert_int_equal(again, ino);
	assert_int_equal(stage_of(st, dir), ino);

	attr = attr_of(st, ino);
	assert_int_equal(attr.mode, S_IFDIR | 03770);
	assert_int_equal(attr.uid, 31);
	assert_int_equal(attr.gid, 20);
	assert_int_equal(attr.expires_ns, DURATION_NONE);
	assert_ok(store_parent(st, ino, &parent, &branch));
	assert_int_equal(parent, dir);
	check_settled(st);
}

static void test_not_a_directory(void **state)
{
	struct store *st = store_of(state);
	uint64_t dir = make_dir(st, ROOT, "dir"), ino = 7;
	uint64_t file = make_file(st, dir, "file", "text");
	uint64_t branch = branch_of(st, dir, "v");

	assert_int_equal(store_stage_dir(st, file, true, &ino), -ENOTDIR);
	assert_int_equal(store_stage_dir(st, branch, true, &ino), -ENOENT);
	assert_int_equal(store_stage_dir(st, 999999999, true, &ino), -ENOENT);
	assert_int_equal(store_stage_dir(st, store_tree_of_stream(file), true, &ino),
			 -EPERM);
	assert_int_equal(store_stage_dir(st, store_tree_of_stream(file), false, &ino),
			 -ENOENT);
	assert_int_equal(ino, 7);
}

static void test_no_child(void **state)
{
	struct store *st = store_of(state);
	uint64_t dir = make_dir(st, ROOT, "dir");
	int64_t mtime_ns = attr_of(st, dir).mtime_ns;
	uint64_t stage;

	sleep_until(time_now_ns() + 20 * 1000 * 1000);
	stage = stage_of(st, dir);
	assert_int_equal(attr_of(st, dir).mtime_ns, mtime_ns);
	assert_names(st, dir, "");
	make_file(st, dir, ".a", "1");
	make_file(st, dir, ".z", "2");
	make_file(st, stage, "built", "3");
	assert_names(st, dir, ".a .z ");
	assert_names(st, stage, "built ");
	check_settled(st);
}

/* A position is good although the hidden name is before it, at it, and behind it. */
static void test_seek(void **state)
{
	struct fixture *fx = *state;
	struct store *st = fx->st;
	uint64_t dir = make_dir(st, ROOT, "dir"), off[3] = {0};
	static const char *const names[] = {".a", ".z", "k"};
	struct store_dirent ent;
	struct store_dir *list;

	stage_of(st, dir);
	for (int i = 0; i < 3; i++)
		make_file(st, dir, names[i], "text");
	list = list_open(fx, dir);
	for (int i = 0; i < 3; i++) {
		assert_ok(store_dir_next(list, &ent));
		assert_string_equal(ent.name, names[i]);
		off[i] = ent.next_off;
	}
	assert_int_equal(store_dir_next(list, &ent), -ENOENT);
	for (int i = 1; i >= 0; i--) {
		assert_ok(store_dir_seek(list, off[i]));
		assert_ok(store_dir_next(list, &ent));
		assert_string_equal(ent.name, names[i + 1]);
	}
}

static void test_rmdir_takes_it_along(void **state)
{
	struct store *st = store_of(state);
	uint64_t dir = make_dir(st, ROOT, "dir"), stage = stage_of(st, dir);
	uint64_t built = make_dir(st, stage, "built");
	uint64_t file = make_file(st, built, "file", "text");
	uint64_t deeper = stage_of(st, built);
	struct store_attr attr;

	make_file(st, deeper, "other", "text");
	make_file(st, dir, "child", "text");
	assert_int_equal(store_rmdir(st, ROOT, "dir"), -ENOTEMPTY);
	assert_ok(store_unlink(st, dir, "child"));
	assert_ok(store_rmdir(st, ROOT, "dir"));
	assert_int_equal(store_getattr(st, stage, &attr), -ENOENT);
	assert_int_equal(store_getattr(st, file, &attr), -ENOENT);
	assert_int_equal(store_stage_dir(st, dir, true, &stage), -ENOENT);
	assert_false(is_staged(st, built));
	check_settled(st);
	assert_int_equal(count_rows(st, TABLE_INODE), 1);
}

/* A directory that is replaced by another counts as empty, too. */
static void test_renames(void **state)
{
	struct store *st = store_of(state);
	uint64_t from = make_dir(st, ROOT, "from"), to = make_dir(st, ROOT, "to");
	uint64_t stage = stage_of(st, from), lost = stage_of(st, to), ino, branch;
	uint64_t built = make_dir(st, stage, "built");
	struct store_attr attr;
	struct buf name = BUF_INIT;

	make_file(st, lost, "file", "text");
	assert_ok(store_rename(st, ROOT, "from", ROOT, "to", 0, NULL));
	assert_ok(store_stage_dir(st, from, false, &ino));
	assert_int_equal(ino, stage);
	assert_int_equal(lookup(st, stage, "built"), built);
	assert_int_equal(store_getattr(st, lost, &attr), -ENOENT);
	assert_true(is_staged(st, built));

	/* What is moved out of it is an ordinary directory, and the other way round. */
	assert_ok(store_rename(st, stage, "built", ROOT, "key", 0, NULL));
	assert_false(is_staged(st, built));
	assert_ok(store_rename(st, ROOT, "key", stage, "back", 0, NULL));
	assert_true(is_staged(st, built));
	assert_ok(store_where(st, built, &branch, &name));
	assert_int_equal(branch, stage);
	buf_deinit(&name);
	check_settled(st);
}

static void test_branches_below(void **state)
{
	struct store *st = store_of(state);
	uint64_t dir = make_dir(st, ROOT, "dir"), stage = stage_of(st, dir);
	uint64_t a = make_dir(st, stage, "a"), b = make_dir(st, a, "b");

	assert_false(is_staged(st, ROOT));
	assert_false(is_staged(st, dir));
	assert_true(is_staged(st, stage));
	assert_true(is_staged(st, b));
	assert_true(is_staged(st, branch_of(st, b, "v")));
	assert_false(is_staged(st, branch_of(st, dir, "v")));
	assert_false(is_staged(st, 999999999));
	assert_false(is_staged(st, 0));
	assert_true(is_staged(st, stage_of(st, b)));
	assert_true(is_staged(st, branch_of(st, stage_of(st, ROOT), "")));
}

/* The directory's at every version; what is in it lives on, unless it is told. */
static void test_versions_and_ttl(void **state)
{
	struct store *st = store_of(state);
	uint64_t dir = make_dir(st, ROOT, "dir"), stage = stage_of(st, dir), ino;
	struct store_attr attr;

	make_file(st, stage, "built", "text");
	assert_ok(store_version_set(st, dir, "v2"));
	assert_ok(store_stage_dir(st, dir, false, &ino));
	assert_int_equal(ino, stage);
	assert_names(st, branch_of(st, dir, NULL), "");
	assert_names(st, stage, "built ");
	assert_int_equal(stage_of(st, dir), stage);

	assert_ok(store_ttl_set(st, dir, 3600 * NSEC_PER_SEC, "1h"));
	assert_ok(store_lookup(st, stage, "built", &attr));
	assert_int_equal(attr.expires_ns, DURATION_NONE);
	assert_int_equal(attr_of(st, stage).expires_ns, DURATION_NONE);
	assert_ok(store_ttl_set(st, stage, 7200 * NSEC_PER_SEC, "2h"));
	assert_ok(store_lookup(st, stage, "built", &attr));
	assert_int_equal(attr.expires_ns, attr.created_ns + 7200 * NSEC_PER_SEC);

	/* It is in the unnamed branch, whose names are not seen at this version. */
	assert_ok(store_rmdir(st, ROOT, "dir"));
	assert_int_equal(store_getattr(st, stage, &attr), -ENOENT);
	check_settled(st);
}

static void test_restart(void **state)
{
	struct fixture *fx = *state;
	uint64_t dir = make_dir(fx->st, ROOT, "dir"), stage = stage_of(fx->st, dir), ino;
	uint64_t gone = make_dir(fx->st, ROOT, "gone");

	make_file(fx->st, stage, "built", "text");
	make_file(fx->st, stage_of(fx->st, gone), "lost", "text");
	assert_ok(store_rmdir(fx->st, ROOT, "gone"));
	if (fx->kind == STORE_MEMORY)
		return;
	fixture_close(fx);
	fixture_open(fx);
	assert_ok(store_stage_dir(fx->st, dir, false, &ino));
	assert_int_equal(ino, stage);
	assert_names(fx->st, dir, "");
	assert_names(fx->st, stage, "built ");
	assert_true(is_staged(fx->st, stage));
	check_settled(fx->st);
}

int main(int argc, char **argv)
{
	struct CMUnitTest tests[] = {
	    STORE_TEST(test_made_once),
	    STORE_TEST(test_not_a_directory),
	    STORE_TEST(test_no_child),
	    STORE_TEST(test_seek),
	    STORE_TEST(test_rmdir_takes_it_along),
	    STORE_TEST(test_renames),
	    STORE_TEST(test_branches_below),
	    STORE_TEST(test_versions_and_ttl),
	    STORE_TEST(test_restart),
	};

	return fixture_main(argc, argv, tests, sizeof(tests) / sizeof(*tests));
}
