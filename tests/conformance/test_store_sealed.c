/* SPDX-License-Identifier: Apache-2.0 */
/* Sealed trees: what they are as directories, and what becomes of them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/internal.h"
#include "store/sealed.h"
#include "tests/conformance/tree_fixture.h"

static struct store *store_of(void **state)
{
	return ((struct fixture *)*state)->st;
}

/* ---- what one is ---- */

static void test_as_a_directory(void **state)
{
	struct store *st = store_of(state);
	uint64_t tree = put_tree(st, "t", 1000), data, file;
	struct store_attr attr, same;

	assert_true(store_ino_in_tree(tree));
	assert_ok(store_lookup(st, ROOT, "t", &attr));
	assert_int_equal(attr.ino, tree);
	assert_int_equal(attr.mode, S_IFDIR | 0755);
	assert_true(attr.sealed);
	same = attr_of(st, tree);
	assert_same_attr(&attr, &same);

	data = in_tree(st, tree, "data");
	attr = attr_of(st, data);
	assert_int_equal(attr.mode, S_IFDIR | 0755);
	assert_int_equal(attr.mtime_ns, 1000); /* its children's */
	file = in_tree(st, tree, "data/big");
	assert_int_equal(store_tree_root(file), tree);
	attr = attr_of(st, file);
	assert_int_equal(attr.ino, file);
	assert_int_equal(attr.mode, S_IFREG | 0644);
	assert_int_equal(attr.size_bytes, 1000);
	assert_int_equal(attr.disk_bytes, 1024);
	assert_int_equal(attr.mtime_ns, 1000);
	assert_int_equal(attr.uid, 10);
	assert_int_equal(attr.gid, 20);
	assert_true(attr.sealed);
	assert_int_equal(attr.created_ns, same.created_ns);
	assert_int_equal(attr.ctime_ns, same.created_ns);
	assert_int_equal(attr_of(st, in_tree(st, tree, "bin/tool")).mode, S_IFREG | 0755);
	assert_int_equal(attr_of(st, in_tree(st, tree, "dir")).mode, S_IFDIR | 0700);
}

static void test_reading(void **state)
{
	static const size_t sizes[] = {1, 1000, SMALL, SMALL + 1, BLOCK, 3 * MIB + 17};
	struct store *st = store_of(state);

	for (size_t i = 0; i < sizeof(sizes) / sizeof(*sizes); i++) {
		uint64_t tree = put_tree(st, "t", sizes[i]);

		assert_value(st, in_tree(st, tree, "data/big"), sizes[i], sizes[i]);
		assert_value(st, in_tree(st, tree, "data/empty"), 0, 0);
		assert_text(st, in_tree(st, tree, "bin/tool"), "#!");
	}
	assert_left(st, 0, 1);
}

static void test_listing(void **state)
{
	struct store *st = store_of(state);
	uint64_t tree = put_tree(st, "t", 1000);

	assert_names(st, ROOT, "t ");
	assert_names(st, tree, "bin data dir link ");
	assert_names(st, in_tree(st, tree, "data"), "big empty ");
	assert_names(st, in_tree(st, tree, "dir"), "");
}

/* What a listing says of an entry is what a lookup says; a position can be sought. */
static void test_listing_attributes_and_positions(void **state)
{
	struct fixture *fx = *state;
	uint64_t tree = put_tree(fx->st, "t", 1000), off = 0;
	struct store_dir *dir = list_open(fx, tree);
	struct store_dirent ent;
	struct store_attr attr;

	for (int i = 0; i < 4; i++) {
		assert_ok(store_dir_next(dir, &ent));
		assert_ok(store_lookup(fx->st, tree, ent.name, &attr));
		assert_same_attr(&ent.attr, &attr);
		if (i == 1)
			off = ent.next_off;
	}
	assert_int_equal(store_dir_next(dir, &ent), -ENOENT);
	assert_ok(store_dir_seek(dir, off));
	assert_ok(store_dir_next(dir, &ent));
	assert_string_equal(ent.name, "dir");
	assert_ok(store_dir_seek(dir, 0));
	assert_ok(store_dir_next(dir, &ent));
	assert_string_equal(ent.name, "bin");
	assert_ok(store_dir_seek(dir, UINT64_MAX));
	assert_int_equal(store_dir_next(dir, &ent), -ENOENT);
}

static void test_links(void **state)
{
	struct store *st = store_of(state);
	uint64_t tree = put_tree(st, "t", 10);
	struct buf target = BUF_INIT;
	struct store_gen *gen;

	assert_int_equal(attr_of(st, in_tree(st, tree, "link")).mode, S_IFLNK | 0777);
	assert_int_equal(attr_of(st, in_tree(st, tree, "link")).size_bytes, 8);
	assert_ok(store_readlink(st, in_tree(st, tree, "link"), &target));
	assert_int_equal(target.len, 8);
	assert_memory_equal(target.data, "data/big", 8);
	assert_int_equal(store_readlink(st, tree, &target), -EINVAL);
	assert_int_equal(store_readlink(st, in_tree(st, tree, "bin/tool"), &target),
			 -EINVAL);
	assert_int_equal(store_gen_open(st, in_tree(st, tree, "link"), &gen), -EINVAL);
	assert_int_equal(store_gen_open(st, in_tree(st, tree, "data"), &gen), -EINVAL);
	assert_int_equal(store_gen_open(st, tree, &gen), -EINVAL);
	buf_deinit(&target);
}

static void test_what_is_not_there(void **state)
{
	struct store *st = store_of(state);
	uint64_t tree = put_tree(st, "t", 10);
	uint64_t file = in_tree(st, tree, "bin/tool");
	struct store_attr attr;
	struct store_gen *gen;
	uint64_t branch;

	assert_int_equal(store_lookup(st, tree, "no", &attr), -ENOENT);
	assert_int_equal(store_lookup(st, tree, "", &attr), -EINVAL);
	assert_int_equal(store_lookup(st, file, "no", &attr), -ENOENT);
	assert_int_equal(store_branch(st, file, NULL, false, &branch), -ENOTDIR);
	/* Numbers that are nothing: behind the last entry, and of no tree. */
	assert_int_equal(store_getattr(st, tree + SAMPLE_ENTRIES, &attr), -ENOENT);
	assert_int_equal(store_gen_open(st, tree + SAMPLE_ENTRIES, &gen), -ENOENT);
	assert_int_equal(store_branch(st, tree + SAMPLE_ENTRIES, NULL, false, &branch),
			 -ENOENT);
	file = put_value(st, "f", 10, 1);
	assert_int_equal(store_getattr(st, store_tree_of_stream(file), &attr), -ENOENT);
	assert_int_equal(store_getattr(st, STORE_TREE_BIT, &attr), -ENOENT);
	assert_int_equal(store_getattr(st, STORE_TREE_BIT * 2 - 1, &attr), -ENOENT);
}

/* The other side: a file that holds the pack. */
static void test_as_a_stream(void **state)
{
	struct store *st = store_of(state);
	struct store_gen *gen;
	struct store_attr attr;
	struct packing p;
	uint64_t tree;

	pack_sample(&p, MIB);
	tree = publish_tree(stage_tree(st, ROOT, 0, &p.raw), ROOT, "t");
	attr = attr_of(st, store_tree_stream(tree));
	assert_int_equal(attr.mode, S_IFREG | 0755);
	assert_int_equal(attr.size_bytes, p.raw.len);
	gen = open_value(st, store_tree_stream(tree));
	assert_gen(gen, p.raw.data, p.raw.len);
	store_gen_close(gen);
	packing_deinit(&p);
}

int main(int argc, char **argv)
{
	struct CMUnitTest tests[] = {
	    STORE_TEST(test_as_a_directory),
	    STORE_TEST(test_reading),
	    STORE_TEST(test_listing),
	    STORE_TEST(test_listing_attributes_and_positions),
	    STORE_TEST(test_links),
	    STORE_TEST(test_what_is_not_there),
	    STORE_TEST(test_as_a_stream),
	};

	return fixture_main(argc, argv, tests, sizeof(tests) / sizeof(*tests));
}
