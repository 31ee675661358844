/* SPDX-License-Identifier: Apache-2.0 */
/* Sealed trees: what they are as directories, and what becomes of them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/digest.h"
#include "store/internal.h"
#include "store/sealed.h"
#include "tests/conformance/tree_fixture.h"

#define GIB (UINT64_C(1) << 30)

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

/* ---- what may not be changed ---- */

static void test_nothing_in_it_can_be_changed(void **state)
{
	struct store *st = store_of(state);
	uint64_t tree = put_tree(st, "t", 10), data = in_tree(st, tree, "data");
	uint64_t file = in_tree(st, tree, "data/big"), dir = in_tree(st, tree, "dir");
	struct store_attr attr = {.mode = 0600};
	struct store_stage_args args = {.branch = data, .mode = 0644};
	struct store_staged *sg;

	put_value(st, "f", 10, 1);
	assert_int_equal(store_mkdir(st, data, "new", 0755, 1, 1, &attr), -EPERM);
	assert_int_equal(store_symlink(st, tree, "new", "x", 1, 1, &attr), -EPERM);
	assert_int_equal(store_unlink(st, data, "big"), -EPERM);
	assert_int_equal(store_rmdir(st, tree, "dir"), -EPERM);
	assert_int_equal(store_rename(st, data, "big", ROOT, "x", 0, NULL), -EPERM);
	assert_int_equal(store_rename(st, ROOT, "f", data, "x", 0, NULL), -EPERM);
	assert_int_equal(store_rename(st, data, "big", data, "x", 0, NULL), -EPERM);
	assert_int_equal(store_stage(st, &args, &sg), -EPERM);
	args = (struct store_stage_args){.branch = ROOT, .base_ino = file};
	assert_int_equal(store_stage(st, &args, &sg), -EPERM);
	args.base_ino = tree;
	assert_int_equal(store_stage(st, &args, &sg), -EPERM);
	sg = stage_new(st);
	assert_int_equal(store_publish(sg, tree, "x", false, NULL, NULL), -EPERM);
	store_staged_free(sg);

	assert_int_equal(store_setattr(st, file, STORE_SET_MODE, &attr, &attr), -EPERM);
	assert_int_equal(store_setattr(st, dir, STORE_SET_MTIME, &attr, &attr), -EPERM);
	assert_int_equal(store_ttl_set(st, file, NSEC_PER_SEC, "1s"), -EPERM);
	assert_int_equal(store_cost_set(st, file, 1), -EPERM);
	assert_int_equal(store_xattr_set(st, file, "user.a", slice("b", 1), 0), -EPERM);
	assert_int_equal(store_xattr_remove(st, dir, "user.a"), -EPERM);
	assert_int_equal(store_version_set(st, tree, "2"), -EPERM);
	assert_int_equal(store_setting_set(st, tree, STORE_SETTING_LEASE, "5m"), -EPERM);
	assert_names(st, tree, "bin data dir link ");
	assert_names(st, ROOT, "f t ");
}

/* ---- the attributes of the tree, and where it is ---- */

static void test_attributes_are_those_of_the_entry(void **state)
{
	struct store *st = store_of(state);
	uint64_t tree = put_tree(st, "t", 10), file = in_tree(st, tree, "data/big");
	struct store_attr attr = {.mode = 0640, .uid = 7, .gid = 8};
	struct buf text = BUF_INIT;
	int64_t ttl_ns;

	assert_ok(store_setattr(st, tree, STORE_SET_MODE | STORE_SET_UID | STORE_SET_GID,
				&attr, &attr));
	assert_int_equal(attr.ino, tree);
	assert_int_equal(attr.mode, S_IFDIR | 0750); /* who may read may search */
	attr = attr_of(st, file);
	assert_int_equal(attr.uid, 7);
	assert_int_equal(attr.gid, 8);
	assert_int_equal(attr.mode, S_IFREG | 0644);

	assert_ok(store_ttl_set(st, tree, 3600 * NSEC_PER_SEC, "1h"));
	assert_ok(store_ttl_get(st, file, &ttl_ns, &text));
	assert_true(ttl_ns == 3600 * NSEC_PER_SEC && text.len == 2);
	attr = attr_of(st, tree);
	assert_true(attr.expires_ns == attr.created_ns + 3600 * NSEC_PER_SEC);
	assert_true(attr_of(st, file).expires_ns == attr.expires_ns);

	assert_ok(store_xattr_set(st, tree, "user.a", slice("b", 1), 0));
	assert_ok(store_xattr_get(st, tree, "user.a", &text));
	assert_int_equal(store_xattr_get(st, file, "user.a", &text), -ENODATA);
	buf_clear(&text);
	assert_ok(store_xattr_list(st, file, &text));
	assert_int_equal(text.len, 0);
	assert_ok(store_xattr_list(st, tree, &text));
	assert_int_equal(text.len, 7);
	buf_deinit(&text);
}

/* The ttl of the directory it is in acts on what is in it, as it is now. */
static void test_ttl_is_inherited(void **state)
{
	struct store *st = store_of(state);
	uint64_t tree = put_tree(st, "t", 10), file = in_tree(st, tree, "data/big");

	assert_true(attr_of(st, file).expires_ns == DURATION_NONE);
	assert_ok(store_ttl_set(st, ROOT, 3600 * NSEC_PER_SEC, "1h"));
	assert_true(attr_of(st, file).expires_ns ==
		    attr_of(st, file).created_ns + 3600 * NSEC_PER_SEC);
}

static void test_facts(void **state)
{
	struct store *st = store_of(state);
	struct store_facts facts;
	struct store_gen *gen;
	struct packing p;
	uint64_t tree, file;
	uint8_t hash[16], *data = pattern(1000, 1000);

	pack_sample(&p, 1000);
	tree = publish_tree(stage_tree(st, ROOT, 0, &p.raw), ROOT, "t");
	file = in_tree(st, tree, "data/big");
	assert_ok(store_cost_set(st, tree, 12.5));
	assert_ok(store_facts(st, tree, &facts));
	assert_true(facts.has_hash && facts.cost_s == 12.5 && facts.hits == 0);
	assert_int_equal(facts.writer.pid, 30);
	assert_memory_equal(facts.hash, p.raw.data + p.raw.len - PACK_TRAILER_BYTES + 40,
			    16);
	packing_deinit(&p);

	gen = open_value(st, file);
	store_gen_hit(gen);
	assert_ok(store_facts(st, file, &facts));
	assert_int_equal(facts.hits, 1);
	store_gen_close(gen);
	assert_ok(store_settle(st));
	assert_int_equal(count_rows(st, TABLE_HEAT), 1);
	assert_ok(store_facts(st, file, &facts));
	digest_of(slice(data, 1000), hash);
	assert_memory_equal(facts.hash, hash, 16);
	assert_true(facts.has_hash && facts.cost_s == 12.5 && facts.hits == 1);
	assert_ok(store_facts(st, in_tree(st, tree, "dir"), &facts));
	assert_false(facts.has_hash);
	assert_ok(store_facts(st, in_tree(st, tree, "link"), &facts));
	assert_false(facts.has_hash);
	free(data);
}

static void test_branches_and_places(void **state)
{
	struct store *st = store_of(state);
	uint64_t dir = make_dir(st, ROOT, "d"), parent, branch;
	uint64_t tree = put_tree(st, "t", 10), data;
	struct store_settings settings;
	struct buf text = BUF_INIT;

	assert_ok(store_rename(st, ROOT, "t", dir, "moved", 0, NULL));
	assert_int_equal(lookup(st, dir, "moved"), tree); /* its number stays */
	data = in_tree(st, tree, "data");
	assert_ok(store_branch(st, data, "any", false, &branch));
	assert_int_equal(branch, data);
	assert_ok(store_branch_owner(st, data, &parent, &text));
	assert_int_equal(parent, data);
	assert_int_equal(text.len, 0);
	assert_ok(store_version_get(st, tree, &text));
	assert_int_equal(text.len, 0);
	assert_ok(store_parent(st, data, &parent, &branch));
	assert_int_equal(parent, tree);
	assert_int_equal(branch, tree);
	assert_ok(store_parent(st, tree, &parent, &branch));
	assert_int_equal(parent, dir);
	assert_int_equal(branch, dir);

	assert_ok(store_where(st, in_tree(st, tree, "data/big"), &branch, &text));
	assert_int_equal(branch, data);
	assert_string_equal((const char *)text.data, "big");
	assert_ok(store_where(st, tree, &branch, &text));
	assert_int_equal(branch, dir);
	assert_string_equal((const char *)text.data, "moved");

	assert_ok(store_setting_set(st, dir, STORE_SETTING_LEASE, "5m"));
	assert_ok(store_settings(st, data, &settings));
	assert_true(settings.lease_ns == 300 * NSEC_PER_SEC);
	assert_int_equal(store_setting_get(st, tree, STORE_SETTING_LEASE, &text),
			 -ENODATA);
	buf_deinit(&text);
}

/* Of what its root allows, and the value: with the umask of who wrote it, say. */
static void test_permissions(void **state)
{
	static const struct {
		mode_t given, root, want;
	} rows[] = {{0644, 0755, 0755}, {0600, 0755, 0700}, {0666, 0700, 0700},
		    {0644, 0775, 0755}, {0640, 0711, 0710}, {0, 0777, 0}};
	struct store *st = store_of(state);

	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct store_attr attr = {.mode = rows[i].given};
		struct store_staged *sg;
		struct packing p;

		packing_begin(&p);
		pack_dir(&p, "", rows[i].root);
		packing_end(&p);
		sg = stage_tree(st, ROOT, 0, &p.raw);
		assert_ok(store_staged_setattr(sg, STORE_SET_MODE, &attr, &attr));
		assert_false(attr.sealed); /* not yet */
		assert_int_equal(attr_of(st, publish_tree(sg, ROOT, "t")).mode,
				 S_IFDIR | rows[i].want);
		packing_deinit(&p);
	}
}

/* ---- replacing, moving and removing ---- */

static void test_replacing(void **state)
{
	struct store *st = store_of(state);
	uint64_t file = put_value(st, "t", MIB, 1), tree, replaced = 0, ino;
	struct store_stats before, after;
	struct store_staged *sg;
	struct packing p;

	assert_ok(store_stats(st, &before));
	pack_sample(&p, MIB);
	sg = stage_tree(st, ROOT, 0, &p.raw);
	assert_ok(store_staged_check(sg, NULL));
	assert_int_equal(store_publish(sg, ROOT, "t", true, NULL, NULL), -EEXIST);
	assert_ok(store_publish(sg, ROOT, "t", false, &tree, &replaced));
	store_staged_free(sg);
	assert_int_equal(replaced, file);
	assert_int_equal(lookup(st, ROOT, "t"), tree);
	assert_ok(store_stats(st, &after));
	assert_int_equal(after.entries, before.entries); /* one for another */
	assert_int_equal(after.dirs, before.dirs);
	assert_int_equal(after.bytes, before.bytes - MIB + p.raw.len);

	/* By itself, in one step, and by a file again. */
	sg = stage_tree(st, ROOT, store_tree_stream(tree), &p.raw);
	assert_ok(store_staged_check(sg, NULL));
	assert_ok(store_publish(sg, ROOT, "t", false, &ino, &replaced));
	store_staged_free(sg);
	assert_int_equal(replaced, tree);
	assert_int_not_equal(ino, tree);
	file = put_value(st, "t", 10, 2);
	assert_value(st, file, 10, 2);
	assert_left(st, 1, 0);

	make_dir(st, ROOT, "d");
	sg = stage_tree(st, ROOT, 0, &p.raw);
	assert_ok(store_staged_check(sg, NULL));
	assert_int_equal(store_publish(sg, ROOT, "d", false, NULL, NULL), -EISDIR);
	store_staged_free(sg);
	packing_deinit(&p);
	assert_left(st, 1, 0);
}

/* Opened for writing and closed again: with nothing, and with a mode. */
static void test_overwriting_with_nothing(void **state)
{
	struct store *st = store_of(state);
	uint64_t tree = put_tree(st, "t", 10), ino;
	struct store_stage_args args = {
	    .branch = ROOT, .base_ino = store_tree_stream(tree), .sealed = true};
	struct store_attr attr = {.mode = 0600};
	struct store_staged *sg;

	assert_ok(store_stage(st, &args, &sg));
	assert_ok(store_staged_check(sg, NULL));
	assert_ok(store_publish(sg, ROOT, "t", false, &ino, NULL));
	store_staged_free(sg);
	assert_int_equal(ino, tree);
	assert_ok(store_stage(st, &args, &sg));
	assert_ok(store_staged_setattr(sg, STORE_SET_MODE, &attr, &attr));
	assert_ok(store_publish(sg, ROOT, "t", false, &ino, NULL));
	store_staged_free(sg);
	assert_int_equal(ino, tree);
	assert_int_equal(attr_of(st, tree).mode, S_IFDIR | 0700);
	assert_text(st, in_tree(st, tree, "bin/tool"), "#!");
}

static void test_renaming(void **state)
{
	struct store *st = store_of(state);
	uint64_t tree = put_tree(st, "t", 10), other = put_tree(st, "u", 20);
	uint64_t dir = make_dir(st, ROOT, "d"), replaced, file;

	make_dir(st, dir, "sub");
	assert_int_equal(store_rename(st, ROOT, "t", ROOT, "d", 0, NULL), -ENOTEMPTY);
	assert_int_equal(store_rename(st, ROOT, "d", ROOT, "t", 0, NULL), -ENOTEMPTY);
	assert_int_equal(
	    store_rename(st, ROOT, "t", ROOT, "u", STORE_RENAME_NOREPLACE, NULL),
	    -EEXIST);
	assert_ok(store_rename(st, ROOT, "t", ROOT, "u", 0, &replaced));
	assert_int_equal(replaced, other);
	assert_int_equal(lookup(st, ROOT, "u"), tree);
	assert_int_equal(lookup(st, ROOT, "t"), 0);
	/* Over a directory that is empty, and to and fro with another. */
	assert_ok(store_rename(st, ROOT, "u", dir, "sub", 0, NULL));
	assert_int_equal(lookup(st, dir, "sub"), tree);
	assert_ok(store_rename(st, dir, "sub", ROOT, "t", 0, NULL));
	assert_ok(store_rename(st, ROOT, "t", ROOT, "d", STORE_RENAME_EXCHANGE, NULL));
	assert_int_equal(lookup(st, ROOT, "d"), tree);
	assert_int_equal(lookup(st, ROOT, "t"), dir);
	assert_ok(store_rename(st, ROOT, "d", ROOT, "t", STORE_RENAME_EXCHANGE, NULL));
	/* Entries take each other's place, whether file or tree. */
	file = put_value(st, "f", 10, 1);
	assert_ok(store_rename(st, ROOT, "t", ROOT, "f", 0, &replaced));
	assert_int_equal(replaced, file);
	put_value(st, "g", 10, 1);
	assert_ok(store_rename(st, ROOT, "g", ROOT, "f", 0, &replaced));
	assert_int_equal(replaced, tree);
	assert_left(st, 1, 0);
}

static void test_removing(void **state)
{
	struct store *st = store_of(state);
	struct store_stats stats;
	struct store_attr attr;
	uint64_t tree = put_tree(st, "t", MIB), file = in_tree(st, tree, "data/big");

	assert_int_equal(store_unlink(st, ROOT, "t"), -EISDIR);
	assert_ok(store_rmdir(st, ROOT, "t"));
	assert_int_equal(lookup(st, ROOT, "t"), 0);
	assert_int_equal(store_getattr(st, tree, &attr), -ENOENT);
	assert_int_equal(store_getattr(st, file, &attr), -ENOENT);
	assert_int_equal(store_lookup(st, tree, "bin", &attr), -ENOENT);
	assert_left(st, 0, 0);
	assert_ok(store_stats(st, &stats));
	assert_int_equal(stats.entries, 0);
	assert_int_equal(stats.bytes, 0);
	/* With the directory it is in, once that is empty of what can be seen. */
	tree = put_tree(st, "t", MIB);
	assert_ok(store_rename(st, ROOT, "t", branch_of(st, make_dir(st, ROOT, "d"), "1"),
			       "t", 0, NULL));
	assert_ok(store_rmdir(st, ROOT, "d"));
	assert_left(st, 0, 0);
}

/* ---- reading on ---- */

enum how { REMOVED, REPLACED, EXPIRED, HOWS };

static void lose(struct store *st, const char *name, enum how how)
{
	if (how == REMOVED)
		assert_ok(store_rmdir(st, ROOT, name));
	else if (how == REPLACED)
		put_tree(st, name, 5);
	else
		set_ttl_ms(st, lookup(st, ROOT, name), 1);
	sleep_until(time_now_ns() + 5 * 1000 * 1000);
}

/* What is open stays as it was; nothing new can be found or opened. */
static void test_what_is_open_stays(void **state)
{
	struct fixture *fx = *state;
	struct store *st = fx->st;
	uint8_t *data = pattern(MIB, MIB);

	for (enum how how = 0; how < HOWS; how++) {
		uint64_t tree = put_tree(st, "t", MIB);
		uint64_t file = in_tree(st, tree, "data/big");
		uint64_t other = in_tree(st, tree, "bin/tool");
		struct store_dir *dir = list_open(fx, in_tree(st, tree, "data"));
		struct store_gen *gen = open_value(st, file), *again;
		struct store_dirent ent;
		struct store_attr attr;

		assert_ok(store_dir_next(dir, &ent));
		lose(st, "t", how);
		assert_ok(store_settle(st));
		assert_int_equal(store_lookup(st, tree, "bin", &attr), -ENOENT);
		assert_int_equal(store_gen_open(st, other, &again),
				 how == EXPIRED ? -ETIME : -ENOENT);
		assert_int_equal(store_gen_open(st, file, &again),
				 how == EXPIRED ? -ETIME : -ENOENT);
		assert_gen(gen, data, MIB);
		assert_ok(store_gen_reopen(st, file, &again));
		assert_ptr_equal(again, gen);
		store_gen_close(again);
		assert_ok(store_gen_attr_by_ino(st, file, &attr));
		assert_int_equal(attr.ino, file);
		assert_int_equal(attr.mode, S_IFREG | 0644);
		assert_int_equal(attr.size_bytes, MIB);
		assert_ok(store_dir_next(dir, &ent));
		assert_string_equal(ent.name, "empty");
		list_close(fx);
		store_gen_close(gen);
		assert_int_equal(store_gen_attr_by_ino(st, file, &attr), -ENOENT);
		if (how == REMOVED)
			assert_left(st, 0, 0);
	}
	free(data);
}

static void test_expiry(void **state)
{
	struct store *st = store_of(state);
	uint64_t tree = put_tree(st, "t", 10), file = in_tree(st, tree, "bin/tool");
	struct store_gen *gen;
	struct store_attr attr;

	set_ttl_ms(st, tree, 1);
	sleep_until(time_now_ns() + 5 * 1000 * 1000);
	assert_int_equal(lookup(st, ROOT, "t"), 0);
	assert_names(st, ROOT, "");
	assert_int_equal(store_lookup(st, store_tree_root(file), "bin", &attr), -ENOENT);
	assert_int_equal(store_rmdir(st, ROOT, "t"), -ENOENT);
	/* Who wants what is old, gets it. */
	assert_ok(store_lookup_expired(st, ROOT, "t", &attr));
	assert_int_equal(attr.ino, tree);
	assert_ok(store_lookup_expired(st, tree, "bin", &attr));
	assert_true(attr.expires_ns < time_now_ns());
	assert_ok(store_gen_open_expired(st, file, &gen));
	assert_gen(gen, (const uint8_t *)"#!", 2);
	store_gen_close(gen);
	assert_names(st, tree, "bin data dir link ");
	/* A longer ttl brings it back; a directory may take its place otherwise. */
	set_ttl_ms(st, tree, 3600 * 1000);
	assert_int_equal(lookup(st, ROOT, "t"), tree);
	set_ttl_ms(st, tree, 1);
	sleep_until(time_now_ns() + 5 * 1000 * 1000);
	make_dir(st, ROOT, "t");
	assert_left(st, 0, 0);
}

/* A listing of what is gone has no names, like that of a directory. */
static void test_listing_of_what_is_gone(void **state)
{
	struct store *st = store_of(state);
	uint64_t tree = put_tree(st, "t", 10), data = in_tree(st, tree, "data");
	struct store_dir *dir;

	assert_int_equal(store_dir_open(st, in_tree(st, tree, "data/big"), &dir),
			 -ENOTDIR);
	assert_ok(store_rmdir(st, ROOT, "t"));
	assert_names(st, tree, "");
	assert_names(st, data, "");
}

/* ---- what is no tree ---- */

static void assert_refused(struct store *st, const struct buf *raw, const char *message)
{
	struct store_staged *sg = stage_tree(st, ROOT, 0, raw);
	struct errmsg err = {0};

	assert_int_equal(store_staged_check(sg, &err), -EBADMSG);
	if (!strstr(err.text, message))
		fail_msg("\"%s\" is not about \"%s\"", err.text, message);
	assert_int_equal(store_publish(sg, ROOT, "t", false, NULL, NULL), -EBADMSG);
	store_staged_free(sg);
	assert_int_equal(lookup(st, ROOT, "t"), 0);
}

static void test_garbage(void **state)
{
	struct store *st = store_of(state);
	struct buf raw = {.data = pattern(MIB, 1), .cap = MIB};
	struct packing p;

	raw.len = 10;
	assert_refused(st, &raw, "too short for a pack");
	raw.len = MIB;
	assert_refused(st, &raw, "does not end as a pack");
	buf_deinit(&raw);
	/* Whole but for one byte: of a content, of the index, the last one. */
	pack_sample(&p, MIB);
	p.raw.data[1000] ^= 1;
	assert_refused(st, &p.raw, "data/big");
	p.raw.data[1000] ^= 1;
	p.raw.data[MIB + 10] ^= 1;
	assert_refused(st, &p.raw, "index is damaged");
	p.raw.data[MIB + 10] ^= 1;
	p.raw.len--;
	assert_refused(st, &p.raw, "");
	packing_deinit(&p);
	assert_left(st, 0, 0);
}

static void add_at(struct packing *p, const char *path, size_t off, size_t len)
{
	uint8_t hash[PACK_HASH_BYTES];
	struct pack_item item = {
	    .path = path, .type = PACK_FILE, .off = off, .size_bytes = len, .hash = hash};

	digest_of(slice(p->raw.data + off, len), hash);
	assert_ok(pack_maker_add(p->maker, &item));
}

/* Equal contents may be there once. Others have no byte in common. */
static void test_contents_that_overlap(void **state)
{
	struct store *st = store_of(state);
	struct packing p;
	uint64_t tree;

	packing_begin(&p);
	pack_file(&p, "a", 3 * MIB, 1);
	add_at(&p, "same", 0, 3 * MIB);
	packing_end(&p);
	tree = publish_tree(stage_tree(st, ROOT, 0, &p.raw), ROOT, "t");
	assert_value(st, in_tree(st, tree, "same"), 3 * MIB, 1);
	assert_ok(store_rmdir(st, ROOT, "t"));
	packing_deinit(&p);

	packing_begin(&p);
	pack_file(&p, "a", MIB, 1);
	add_at(&p, "b", MIB - 1, 1);
	packing_end(&p);
	assert_refused(st, &p.raw, "overlaps");
	packing_deinit(&p);

	/* The second of two that are the same has another hash. */
	packing_begin(&p);
	pack_file(&p, "a", 10, 1);
	pack_file(&p, "b", 10, 2);
	packing_end(&p);
	memcpy(p.raw.data + 10, p.raw.data, 10);
	assert_refused(st, &p.raw, "another hash");
	packing_deinit(&p);
}

/* Holes cost nothing to write: a pack of them must not keep others waiting. */
static void test_holes(void **state)
{
	static const uint64_t sizes[] = {3 * GIB, 5 * GIB};
	struct store_stage_args args = {.branch = ROOT, .mode = 0644, .sealed = true};
	struct store *st = store_of(state);

	for (size_t i = 0; i < 2; i++) {
		struct store_staged *sg;
		struct errmsg err = {0};
		struct buf end = BUF_INIT;
		struct packing p;

		packing_begin(&p);
		pack_text(&p, "text", "text");
		assert_ok(pack_maker_finish(p.maker, sizes[i], &end));
		assert_ok(store_stage(st, &args, &sg));
		assert_ok(store_staged_write(sg, p.raw.data, p.raw.len, 0));
		assert_ok(store_staged_write(sg, end.data, end.len, sizes[i]));
		assert_int_equal(store_staged_check(sg, &err), i ? -EBADMSG : 0);
		if (i && !strstr(err.text, "holes"))
			fail_msg("\"%s\" is not about holes", err.text);
		store_staged_free(sg);
		buf_deinit(&end);
		packing_deinit(&p);
	}
}

/* The check counts for what was written then. */
static void test_changed_after_the_check(void **state)
{
	struct store *st = store_of(state);
	struct store_staged *sg;
	struct packing p;

	pack_sample(&p, 100);
	sg = stage_tree(st, ROOT, 0, &p.raw);
	assert_int_equal(store_publish(sg, ROOT, "t", false, NULL, NULL), -EBADMSG);
	assert_ok(store_staged_sync(sg));
	assert_int_equal(store_staged_flush(sg, ROOT, "t"), -EBADMSG);
	assert_ok(store_staged_check(sg, NULL));
	assert_ok(store_staged_check(sg, NULL));
	assert_ok(store_staged_write(sg, "x", 1, 0));
	assert_int_equal(store_publish(sg, ROOT, "t", false, NULL, NULL), -EBADMSG);
	assert_int_equal(store_staged_check(sg, NULL), -EBADMSG);
	/* What was wrong can be made good. */
	assert_ok(store_staged_write(sg, p.raw.data, 1, 0));
	assert_text(st, in_tree(st, publish_tree(sg, ROOT, "t"), "bin/tool"), "#!");
	packing_deinit(&p);
}

static void test_number_too_large(void **state)
{
	struct store *st = store_of(state);
	struct store_stage_args args = {.branch = ROOT, .mode = 0644, .sealed = true};
	struct store_staged *sg;

	st->ids_next = ROW_SEALED_INO_MAX;
	st->ids_limit = ROW_SEALED_INO_MAX + 10;
	assert_ok(store_stage(st, &args, &sg)); /* the last one that will do */
	store_staged_free(sg);
	assert_int_equal(store_stage(st, &args, &sg), -EFBIG);
	put_value(st, "f", 10, 1); /* for files there are more */
}

/* ---- damage ---- */

/* The tree is dropped, and says so; what stands beside it is not touched. */
static void test_damaged_content(void **state)
{
	struct store *st = store_of(state);
	uint64_t tree = put_tree(st, "t", 4 * BLOCK), good = put_tree(st, "good", 10);
	uint64_t big = in_tree(st, tree, "data/big");
	struct store_gen *gen = open_value(st, big);
	uint8_t data[100];
	size_t n;

	sealed_forget_unused(st);
	flip_extent(st, store_tree_stream(tree), 2 * BLOCK);
	assert_ok(store_gen_read(gen, data, sizeof(data), 0, &n));
	assert_int_equal(store_gen_read(gen, data, sizeof(data), 2 * BLOCK, &n),
			 -EUCLEAN);
	store_gen_close(gen);
	assert_int_equal(lookup(st, ROOT, "t"), 0);
	assert_int_equal(store_gen_open(st, big, &gen), -ENOENT);
	assert_text(st, in_tree(st, good, "bin/tool"), "#!");
	assert_left(st, 1, 0);
}

static void test_damaged_index(void **state)
{
	struct store *st = store_of(state);
	static const size_t sizes[] = {10, MIB}; /* small, and an extent */

	for (int i = 0; i < 2; i++) {
		uint64_t tree = put_tree(st, "t", sizes[i]), file;
		struct store_attr attr;
		struct store_gen *gen;

		file = tree + 1;
		if (i)
			flip_extent(st, store_tree_stream(tree), sizes[i] + 20);
		else
			flip_small(st, store_tree_stream(tree), sizes[i] + 20);
		assert_ok(store_getattr(st, tree, &attr)); /* which needs no index */
		assert_int_equal(store_lookup(st, tree, "bin", &attr), -EUCLEAN);
		assert_int_equal(lookup(st, ROOT, "t"), 0);
		assert_int_equal(store_lookup(st, tree, "bin", &attr), -ENOENT);
		assert_int_equal(store_gen_open(st, file, &gen), -ENOENT);
		assert_left(st, 0, 0);
	}
}

/* A row that says so, and a content that is none: checksums are right. */
static void test_row_of_a_tree_without_a_pack(void **state)
{
	struct store *st = store_of(state);
	uint64_t file = put_value(st, "f", 1000, 1), tree = store_tree_of_stream(file);
	struct batch b = BATCH_INIT;
	struct inode in = INODE_INIT;
	struct store_attr attr;

	assert_ok(inode_load(st, file, &in));
	in.row.core.sealed = true;
	batch_put_inode(&b, &in.row);
	assert_ok(backend_commit(st->be, &b));
	batch_deinit(&b);
	inode_deinit(&in);
	assert_int_equal(lookup(st, ROOT, "f"), tree);
	assert_int_equal(store_lookup(st, tree, "x", &attr), -EUCLEAN);
	assert_int_equal(lookup(st, ROOT, "f"), 0);
	assert_left(st, 0, 0);
}

/* ---- large trees, and indexes in memory ---- */

enum { MANY = 100 * 1000 };

static uint64_t put_many(struct store *st, const char *name)
{
	struct packing p;
	uint64_t tree;
	char path[32];

	packing_begin(&p);
	for (int i = 0; i < MANY; i++) {
		snprintf(path, sizeof(path), "d%02d/%06d", i % 100, i);
		pack_file(&p, path, 8, (uint64_t)i);
	}
	packing_end(&p);
	tree = publish_tree(stage_tree(st, ROOT, 0, &p.raw), ROOT, name);
	packing_deinit(&p);
	return tree;
}

/* Its index is loaded once, whatever is asked of it. */
static void test_many_entries(void **state)
{
	struct store *st = store_of(state);
	uint64_t tree = put_many(st, "t"), loads = sealed_loads(st);
	struct store_dirent ent;
	struct store_dir *dir;
	size_t listed = 0;
	char path[32];
	int r;

	for (int i = 0; i < MANY; i += 97) {
		snprintf(path, sizeof(path), "d%02d/%06d", i % 100, i);
		assert_value(st, in_tree(st, tree, path), 8, (uint64_t)i);
	}
	for (int i = 0; i < 100; i++) {
		snprintf(path, sizeof(path), "d%02d", i);
		assert_ok(store_dir_open(st, in_tree(st, tree, path), &dir));
		while ((r = store_dir_next(dir, &ent)) == 0)
			listed++;
		assert_int_equal(r, -ENOENT);
		store_dir_close(dir);
	}
	assert_int_equal(listed, MANY);
	assert_int_equal(sealed_loads(st) - loads, 1);
}

/* More trees than are kept: those in use are, the others come again. */
static void test_indexes_are_bounded(void **state)
{
	enum { TREES = 600 };
	struct fixture *fx = *state;
	struct store *st = fx->st;
	uint64_t trees[TREES], loads;
	struct store_dirent ent;
	char name[16];

	for (int i = 0; i < TREES; i++) {
		snprintf(name, sizeof(name), "%d", i);
		trees[i] = put_tree(st, name, 10);
	}
	list_open(fx, trees[0]);
	loads = sealed_loads(st);
	for (int round = 0; round < 2; round++)
		for (int i = 1; i < TREES; i++)
			assert_text(st, in_tree(st, trees[i], "bin/tool"), "#!");
	assert_int_equal(sealed_loads(st) - loads, 2 * (TREES - 1));
	assert_text(st, in_tree(st, trees[TREES - 1], "bin/tool"), "#!");
	assert_text(st, in_tree(st, trees[0], "bin/tool"), "#!");
	assert_int_equal(sealed_loads(st) - loads, 2 * (TREES - 1));
	assert_ok(store_dir_next(fx->list, &ent));
	assert_string_equal(ent.name, "bin");
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
	    STORE_TEST(test_nothing_in_it_can_be_changed),
	    STORE_TEST(test_attributes_are_those_of_the_entry),
	    STORE_TEST(test_ttl_is_inherited),
	    STORE_TEST(test_facts),
	    STORE_TEST(test_branches_and_places),
	    STORE_TEST(test_permissions),
	    STORE_TEST(test_replacing),
	    STORE_TEST(test_overwriting_with_nothing),
	    STORE_TEST(test_renaming),
	    STORE_TEST(test_removing),
	    STORE_TEST(test_what_is_open_stays),
	    STORE_TEST(test_expiry),
	    STORE_TEST(test_listing_of_what_is_gone),
	    STORE_TEST(test_garbage),
	    STORE_TEST(test_contents_that_overlap),
	    STORE_TEST(test_holes),
	    STORE_TEST(test_changed_after_the_check),
	    STORE_TEST(test_number_too_large),
	    STORE_TEST(test_damaged_content),
	    STORE_TEST(test_damaged_index),
	    STORE_TEST(test_row_of_a_tree_without_a_pack),
	    STORE_TEST(test_many_entries),
	    STORE_TEST(test_indexes_are_bounded),
	};

	return fixture_main(argc, argv, tests, sizeof(tests) / sizeof(*tests));
}
