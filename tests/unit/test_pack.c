/* SPDX-License-Identifier: Apache-2.0 */
#include "store/util/pack.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

/* The bytes are looked at and spoiled where the header says they are. */
#include "store/util/pack_record.h"

static const uint8_t HASH_A[PACK_HASH_BYTES] = "hash of a......";
static const uint8_t HASH_B[PACK_HASH_BYTES] = "hash of b......";

static int add_file(struct pack_maker *m, const char *path, uint64_t off, uint64_t size,
		    const uint8_t *hash)
{
	const struct pack_item item = {.path = path,
				       .type = PACK_FILE,
				       .mode = 0644,
				       .mtime_ns = 1000,
				       .off = off,
				       .size_bytes = size,
				       .hash = hash};

	return pack_maker_add(m, &item);
}

static int add_dir(struct pack_maker *m, const char *path, mode_t mode)
{
	const struct pack_item item = {
	    .path = path, .type = PACK_DIR, .mode = mode, .mtime_ns = 7};

	return pack_maker_add(m, &item);
}

static int add_link(struct pack_maker *m, const char *path, const char *target)
{
	const struct pack_item item = {
	    .path = path, .type = PACK_LINK, .mtime_ns = -5, .target = target};

	return pack_maker_add(m, &item);
}

static struct pack_maker *maker(void)
{
	struct pack_maker *m;

	assert_int_equal(pack_maker_new(&m), 0);
	return m;
}

/* Finish, and read back what was made. */
static void make(struct pack_maker *m, uint64_t contents_bytes, struct pack *ret_pack)
{
	struct buf raw = BUF_INIT, index = BUF_INIT;
	struct pack_trailer t;
	struct errmsg err = {0};

	assert_int_equal(pack_maker_finish(m, contents_bytes, &raw), 0);
	assert_true(raw.len >= PACK_TRAILER_BYTES);
	assert_int_equal(pack_trailer_parse(raw.data + raw.len - PACK_TRAILER_BYTES,
					    contents_bytes + raw.len, &t, &err),
			 0);
	assert_int_equal(t.index_off, contents_bytes);
	assert_int_equal(pack_index_bytes(&t), raw.len - PACK_TRAILER_BYTES);
	assert_int_equal(buf_set(&index, raw.data, raw.len - PACK_TRAILER_BYTES), 0);
	assert_int_equal(pack_init(ret_pack, &t, &index, &err), 0);
	assert_null(index.data);
	buf_deinit(&raw);
	pack_maker_free(m);
}

static bool slice_is(struct slice s, const char *text)
{
	return s.len == strlen(text) && !memcmp(s.data, text, s.len);
}

/* b/ and c/ are not added themselves. */
static struct pack_maker *sample(void)
{
	struct pack_maker *m = maker();

	assert_int_equal(add_file(m, "c/d/file", 10, 5, HASH_A), 0);
	assert_int_equal(add_link(m, "b/link", "../c/d/file"), 0);
	assert_int_equal(add_file(m, "b/a", 0, 10, HASH_B), 0);
	assert_int_equal(add_dir(m, "empty", 02750), 0);
	assert_int_equal(add_file(m, "b0", 15, 0, HASH_A), 0);
	return m;
}

static void test_what_was_added_is_found(void **state)
{
	struct pack p;
	struct pack_entry e;
	uint32_t i;

	make(sample(), 15, &p);
	assert_int_equal(pack_entries(&p), 9);
	assert_int_equal(pack_find(&p, "c/d/file", &i), 0);
	pack_get(&p, i, &e);
	assert_int_equal(e.type, PACK_FILE);
	assert_int_equal(e.mode, S_IFREG | 0644);
	assert_int_equal(e.mtime_ns, 1000);
	assert_int_equal(e.off, 10);
	assert_int_equal(e.size_bytes, 5);
	assert_memory_equal(e.hash, HASH_A, PACK_HASH_BYTES);
	assert_true(slice_is(e.name, "file"));
	assert_int_equal(pack_find(&p, "b/link", &i), 0);
	pack_get(&p, i, &e);
	assert_int_equal(e.mode, S_IFLNK | 0777);
	assert_int_equal(e.mtime_ns, -5);
	assert_true(slice_is(e.target, "../c/d/file"));
	assert_int_equal(e.size_bytes, e.target.len);
	assert_int_equal(pack_find(&p, "empty", &i), 0);
	pack_get(&p, i, &e);
	assert_int_equal(e.mode, S_IFDIR | 0750);
	assert_int_equal(e.children, 0);
	pack_deinit(&p);
}

static void test_what_was_not_added_is_not_found(void **state)
{
	static const char *const missing[] = {"a",  "b1",     "c/d/file0", "c/d/fil",
					      "b/", "/b",     "c//d",	   "c/d/",
					      "zz", "empty/x"};
	struct pack p;
	uint32_t i;

	make(sample(), 15, &p);
	for (size_t k = 0; k < sizeof(missing) / sizeof(*missing); k++)
		assert_int_equal(pack_find(&p, missing[k], &i), -ENOENT);
	assert_int_equal(pack_find(&p, "b0/x", &i), -ENOTDIR);
	assert_int_equal(pack_find(&p, "b/link/x", &i), -ENOTDIR);
	assert_int_equal(pack_find(&p, "b/a", &i), 0);
	assert_int_equal(pack_child(&p, i, slice("x", 1), &i), -ENOTDIR);
	pack_deinit(&p);
}

static void test_order_is_breadth_first_and_sorted(void **state)
{
	static const char *const want[] = {"",	  "b",	    "b0",  "c",	      "empty",
					   "b/a", "b/link", "c/d", "c/d/file"};
	CLEANUP_BUF struct buf path = BUF_INIT;
	struct pack p;
	struct pack_entry e;
	uint32_t found;

	make(sample(), 15, &p);
	for (uint32_t i = 0; i < pack_entries(&p); i++) {
		assert_int_equal(buf_set(&path, "x:", 2), 0);
		assert_int_equal(pack_path(&p, i, &path), 0);
		assert_int_equal(path.len, 2 + strlen(want[i]));
		assert_memory_equal(path.data + 2, want[i], strlen(want[i]));
		assert_int_equal(pack_find(&p, want[i], &found), 0);
		assert_int_equal(found, i);
	}
	pack_get(&p, 0, &e);
	assert_int_equal(e.first_child, 1);
	assert_int_equal(e.children, 4);
	pack_get(&p, 7, &e);
	assert_int_equal(e.parent, 3);
	assert_int_equal(e.first_child, 8);
	pack_deinit(&p);
}

static void test_directories_that_were_not_added(void **state)
{
	struct pack_maker *m = sample();
	struct pack p;
	struct pack_entry e;
	uint32_t i;

	/* One that was made for its children may still be added, once. */
	assert_int_equal(add_dir(m, "c", 0700), 0);
	assert_int_equal(add_dir(m, "c", 0700), -EEXIST);
	make(m, 15, &p);
	assert_int_equal(pack_find(&p, "b", &i), 0);
	pack_get(&p, i, &e);
	assert_int_equal(e.mode, S_IFDIR | 0755);
	assert_int_equal(e.mtime_ns, 1000);
	assert_int_equal(pack_find(&p, "c", &i), 0);
	pack_get(&p, i, &e);
	assert_int_equal(e.mode, S_IFDIR | 0700);
	assert_int_equal(e.mtime_ns, 7);
	pack_get(&p, 0, &e);
	assert_int_equal(e.mode, S_IFDIR | 0755);
	assert_int_equal(e.mtime_ns, 1000);
	pack_deinit(&p);
}

static void test_root_and_meta(void **state)
{
	struct pack_maker *m = maker();
	struct pack p;
	struct pack_entry e;
	char *large = calloc(1, PACK_META_MAX + 1);

	assert_non_null(large);
	assert_int_equal(add_dir(m, "", 0500), 0);
	assert_int_equal(add_file(m, "", 0, 0, HASH_A), -EEXIST);
	assert_int_equal(pack_maker_meta(m, slice(large, PACK_META_MAX + 1)), -E2BIG);
	assert_int_equal(pack_maker_meta(m, slice("one", 3)), 0);
	assert_int_equal(pack_maker_meta(m, slice("me\0ta", 5)), 0);
	make(m, 0, &p);
	assert_int_equal(pack_entries(&p), 1);
	pack_get(&p, 0, &e);
	assert_int_equal(e.mode, S_IFDIR | 0500);
	assert_int_equal(pack_meta(&p).len, 5);
	assert_memory_equal(pack_meta(&p).data, "me\0ta", 5);
	pack_deinit(&p);
	free(large);
}

static void test_names_that_are_refused(void **state)
{
	static const char *const bad[] = {"/",	   "/a",      "a/",	     "a//b",
					  "a/./b", "a/..",    "../a",	     "..",
					  ".",	   ".memofs", "a/.memofs/b", "a/.memofs"};
	char name[PACK_NAME_MAX + 2], target[PACK_TARGET_MAX + 2];
	struct pack_maker *m = maker();
	struct pack p;

	for (size_t k = 0; k < sizeof(bad) / sizeof(*bad); k++)
		assert_int_equal(add_file(m, bad[k], 0, 0, HASH_A), -EINVAL);
	memset(name, 'n', sizeof(name));
	name[PACK_NAME_MAX + 1] = '\0';
	assert_int_equal(add_file(m, name, 0, 0, HASH_A), -ENAMETOOLONG);
	name[PACK_NAME_MAX] = '\0';
	assert_int_equal(add_file(m, name, 0, 0, HASH_A), 0);
	memset(target, 't', sizeof(target));
	target[PACK_TARGET_MAX + 1] = '\0';
	assert_int_equal(add_link(m, "l", target), -ENAMETOOLONG);
	target[PACK_TARGET_MAX] = '\0';
	assert_int_equal(add_link(m, "l", target), 0);
	assert_int_equal(add_link(m, "k", ""), -EINVAL);
	assert_int_equal(add_file(m, "...", 0, 0, HASH_A), 0);
	assert_int_equal(add_file(m, ".memofs2", 0, 0, HASH_A), 0);
	make(m, 0, &p);
	assert_int_equal(pack_entries(&p), 5); /* nothing was made of what was refused */
	pack_deinit(&p);
}

static void test_one_name_is_one_thing(void **state)
{
	struct pack_maker *m = sample();

	assert_int_equal(add_file(m, "b0", 0, 0, HASH_A), -EEXIST);
	assert_int_equal(add_file(m, "b0/x", 0, 0, HASH_A), -EEXIST);
	assert_int_equal(add_file(m, "b/link/x", 0, 0, HASH_A), -EEXIST);
	assert_int_equal(add_file(m, "b", 0, 0, HASH_A), -EEXIST);
	assert_int_equal(add_link(m, "c/d", "x"), -EEXIST);
	assert_int_equal(add_dir(m, "empty", 0755), -EEXIST);
	pack_maker_free(m);
}

static void test_contents_are_within_the_pack(void **state)
{
	struct pack_maker *m = sample();
	CLEANUP_BUF struct buf raw = BUF_INIT;

	assert_int_equal(pack_maker_finish(m, 14, &raw), -EINVAL);
	assert_int_equal(raw.len, 0);
	assert_int_equal(pack_maker_finish(m, 15, &raw), 0);
	assert_int_equal(add_file(m, "huge", 8, UINT64_MAX - 4, HASH_A), 0);
	assert_int_equal(pack_maker_finish(m, UINT64_MAX, &raw), -EINVAL);
	pack_maker_free(m);
}

static void hash_of(struct pack_maker *m, uint8_t ret_hash[PACK_HASH_BYTES])
{
	struct pack p;

	make(m, UINT32_MAX, &p);
	memcpy(ret_hash, p.trailer.tree_hash, PACK_HASH_BYTES);
	pack_deinit(&p);
}

static bool same_hash(struct pack_maker *a, struct pack_maker *b)
{
	uint8_t hash_a[PACK_HASH_BYTES], hash_b[PACK_HASH_BYTES];

	hash_of(a, hash_a);
	hash_of(b, hash_b);
	return !memcmp(hash_a, hash_b, PACK_HASH_BYTES);
}

/* The sample in another order, with other times, places and meta. */
static struct pack_maker *sample_again(void)
{
	struct pack_maker *m = maker();

	assert_int_equal(add_dir(m, "empty", 0750), 0);
	assert_int_equal(add_file(m, "b0", 0, 0, HASH_A), 0);
	assert_int_equal(add_dir(m, "b", 0755), 0);
	assert_int_equal(add_file(m, "b/a", 40, 10, HASH_B), 0);
	assert_int_equal(add_link(m, "b/link", "../c/d/file"), 0);
	assert_int_equal(add_file(m, "c/d/file", 90, 5, HASH_A), 0);
	assert_int_equal(pack_maker_meta(m, slice("meta", 4)), 0);
	return m;
}

static void test_equal_trees_have_equal_hashes(void **state)
{
	struct pack_maker *other;

	assert_true(same_hash(sample(), sample_again()));
	other = sample();
	assert_int_equal(add_dir(other, "another", 0755), 0);
	assert_false(same_hash(sample(), other));
	other = sample();
	assert_int_equal(add_dir(other, "c", 0711), 0);
	assert_false(same_hash(sample(), other));
}

/* Two trees of the same names and contents, with one thing different each. */
static void test_different_trees_have_different_hashes(void **state)
{
	struct pack_maker *a = maker(), *b = maker();

	assert_int_equal(add_file(a, "x/y", 0, 1, HASH_A), 0);
	assert_int_equal(add_dir(a, "z", 0755), 0);
	assert_int_equal(add_file(b, "z/y", 0, 1, HASH_A), 0);
	assert_int_equal(add_dir(b, "x", 0755), 0);
	assert_false(same_hash(a, b));
	a = maker(), b = maker();
	assert_int_equal(add_file(a, "x", 0, 1, HASH_A), 0);
	assert_int_equal(add_file(b, "x", 0, 1, HASH_B), 0);
	assert_false(same_hash(a, b));
	a = maker(), b = maker();
	assert_int_equal(add_link(a, "x", "one"), 0);
	assert_int_equal(add_link(b, "x", "two"), 0);
	assert_false(same_hash(a, b));
}

/* A pack as bytes: index and trailer, and what becomes of it. */
struct raw_pack {
	struct buf raw;
	uint8_t *index, *trailer;
};

static struct raw_pack raw_sample(void)
{
	struct raw_pack r = {.raw = BUF_INIT};
	struct pack_maker *m = sample();

	assert_int_equal(pack_maker_meta(m, slice("meta", 4)), 0);
	assert_int_equal(pack_maker_finish(m, 15, &r.raw), 0);
	pack_maker_free(m);
	r.index = r.raw.data;
	r.trailer = r.raw.data + r.raw.len - PACK_TRAILER_BYTES;
	return r;
}

/* Make the checksums fit again, so that what is wrong must be seen itself. */
static void resum(struct raw_pack *r)
{
	pack_hash(r->index, r->raw.len - PACK_TRAILER_BYTES,
		  r->trailer + TRAILER_INDEX_HASH);
	put_u64(r->trailer + TRAILER_SUM, XXH3_64bits(r->trailer, TRAILER_SUM));
}

static int parse(const struct raw_pack *r, struct errmsg *err)
{
	CLEANUP_BUF struct buf index = BUF_INIT;
	struct pack_trailer t;
	struct pack p;
	int ret = pack_trailer_parse(r->trailer, 15 + r->raw.len, &t, err);

	if (ret)
		return ret;
	assert_int_equal(buf_set(&index, r->index, r->raw.len - PACK_TRAILER_BYTES), 0);
	ret = pack_init(&p, &t, &index, err);
	assert_null(index.data);
	if (!ret)
		pack_deinit(&p);
	return ret;
}

static void test_each_byte_counts(void **state)
{
	struct raw_pack r = raw_sample();

	assert_int_equal(parse(&r, NULL), 0);
	for (size_t i = 0; i < r.raw.len; i++) {
		struct errmsg err = {0};

		r.raw.data[i] ^= 0x10;
		assert_int_equal(parse(&r, &err), -EBADMSG);
		assert_true(err.text[0]);
		r.raw.data[i] ^= 0x10;
	}
	assert_int_equal(parse(&r, NULL), 0);
	buf_deinit(&r.raw);
}

/* Records of the sample: 0 root, 1 b, 2 b0, 3 c, 4 empty, 5 b/a, 6 b/link, 7 c/d. */
struct spoil {
	uint32_t record;
	size_t at, len; /* bytes of the record; len 1, 2, 4 or 8 */
	uint64_t value;
	const char *message; /* part of it */
};

static void test_a_record_that_is_wrong(void **state)
{
	static const struct spoil spoils[] = {
	    {0, REC_TYPE, 1, PACK_FILE, "root is no directory"},
	    {0, REC_PARENT, 4, 1, "in no directory"},
	    {0, REC_NAME_LEN, 1, 1, "root has a name"},
	    {2, REC_TYPE, 1, 0, "type is none"},
	    {2, REC_TYPE, 1, 9, "type is none"},
	    {2, REC_PERM, 2, 04755, "bits beyond 0777"},
	    {2, REC_ZERO, 4, 1, "not zero"},
	    {4, REC_HASH, 8, 1, "not zero"},
	    {6, REC_HASH + 8, 8, 1, "not zero"},
	    {2, REC_NAME_OFF, 4, 0, "string"},
	    {2, REC_NAME_OFF, 4, 0xffffffff, "string"},
	    {2, REC_NAME_LEN, 1, 255, "string"},
	    {2, REC_NAME_LEN, 1, 1, "sorted"}, /* "b" a second time */
	    {2, REC_PARENT, 4, 3, "another parent"},
	    {5, REC_PARENT, 4, 0xffffffff, "another parent"},
	    {5, REC_A, 8, 6, "content"},
	    {5, REC_A, 8, UINT64_MAX, "content"},
	    {5, REC_B, 8, UINT64_MAX, "content"},
	    {1, REC_A, 8, 0, "children"},
	    {1, REC_A, 8, 6, "children"},
	    {1, REC_B, 8, 3, "another parent"},
	    {1, REC_B, 8, UINT64_MAX, "children"},
	    {0, REC_B, 8, 9, "children"},
	    {0, REC_B, 8, 0, "in no directory"},
	    {6, REC_A, 8, 0, "string"},
	    {6, REC_B, 8, 0, "empty or too long"},
	    {6, REC_B, 8, PACK_TARGET_MAX + 1, "empty or too long"},
	    {6, REC_PERM, 2, 0755, "not 0777"},
	    {7, REC_B, 8, 0, "in no directory"},
	};

	for (size_t i = 0; i < sizeof(spoils) / sizeof(*spoils); i++) {
		const struct spoil *s = &spoils[i];
		struct raw_pack r = raw_sample();
		struct errmsg err = {0};
		uint64_t value = htole64(s->value);

		memcpy(r.index + s->record * PACK_RECORD_BYTES + s->at, &value, s->len);
		resum(&r);
		assert_int_equal(parse(&r, &err), -EBADMSG);
		if (!strstr(err.text, s->message))
			fail_msg("spoil %zu: %s", i, err.text);
		buf_deinit(&r.raw);
	}
}

/* Of the same length as the name that it replaces. */
static void test_a_name_that_is_wrong(void **state)
{
	static const struct {
		const char *name; /* instead of "empty" */
		size_t len;
		const char *message;
	} spoils[] = {{"em/ty", 5, "its name is none"},
		      {"emp\0y", 5, "its name is none"},
		      {"azzzz", 5, "not sorted"},
		      {"zzzzz", 5, "not that of its tree"}};

	for (size_t i = 0; i < sizeof(spoils) / sizeof(*spoils); i++) {
		struct raw_pack r = raw_sample();
		struct errmsg err = {0};
		uint8_t *strings = r.index + 9 * PACK_RECORD_BYTES;
		uint32_t at = get_u32(r.index + 4 * PACK_RECORD_BYTES + REC_NAME_OFF);

		assert_memory_equal(strings + at, "empty", 5);
		memcpy(strings + at, spoils[i].name, spoils[i].len);
		resum(&r);
		assert_int_equal(parse(&r, &err), -EBADMSG);
		assert_non_null(strstr(err.text, spoils[i].message));
		buf_deinit(&r.raw);
	}
}

/* Names of 1, 2 and 7 bytes, made what no name may be. */
static void test_reserved_names(void **state)
{
	static const char *const reserved[] = {".", "..", ".memofs"};

	for (size_t i = 0; i < 3; i++) {
		struct raw_pack r = {.raw = BUF_INIT};
		struct pack_maker *m = maker();
		size_t len = strlen(reserved[i]);
		struct errmsg err = {0};

		/* 15 bytes of contents, as parse() has it. */
		assert_int_equal(add_file(m, "abcdefg" + 7 - len, 0, 15, HASH_A), 0);
		assert_int_equal(pack_maker_finish(m, 15, &r.raw), 0);
		pack_maker_free(m);
		r.index = r.raw.data;
		r.trailer = r.raw.data + r.raw.len - PACK_TRAILER_BYTES;
		memcpy(r.index + 2 * PACK_RECORD_BYTES, reserved[i], len);
		resum(&r);
		assert_int_equal(parse(&r, &err), -EBADMSG);
		assert_non_null(strstr(err.text, "its name is none"));
		buf_deinit(&r.raw);
	}
}

static void test_a_trailer_that_is_wrong(void **state)
{
	static const struct {
		size_t at, len;
		uint64_t value;
		const char *message;
	} spoils[] = {
	    {TRAILER_MAGIC, 1, 'M', "does not end as"},
	    {TRAILER_FORMAT, 4, 2, "format 2"},
	    {TRAILER_ENTRIES, 4, 0, "too large"},
	    {TRAILER_ENTRIES, 4, PACK_ENTRIES_MAX + 1, "too large"},
	    {TRAILER_ENTRIES, 4, 8, "does not go with its size"},
	    {TRAILER_INDEX_OFF, 8, 14, "does not go with its size"},
	    {TRAILER_INDEX_OFF, 8, UINT64_MAX, "does not go with its size"},
	    {TRAILER_STRINGS, 8, UINT64_MAX, "too large"},
	    {TRAILER_STRINGS, 8, PACK_STRINGS_MAX, "does not go with its size"},
	    {TRAILER_META, 8, PACK_META_MAX + 1, "too large"},
	    {TRAILER_ZERO, 8, 1, "damaged"},
	    {TRAILER_TREE_HASH, 8, 1, "not that of its tree"},
	};

	for (size_t i = 0; i < sizeof(spoils) / sizeof(*spoils); i++) {
		struct raw_pack r = raw_sample();
		struct errmsg err = {0};
		uint64_t value = htole64(spoils[i].value);

		memcpy(r.trailer + spoils[i].at, &value, spoils[i].len);
		resum(&r);
		assert_int_equal(parse(&r, &err), -EBADMSG);
		if (!strstr(err.text, spoils[i].message))
			fail_msg("spoil %zu: %s", i, err.text);
		buf_deinit(&r.raw);
	}
}

/* What is counted twice: more meta and fewer strings, as many bytes in all. */
static void test_strings_and_meta_have_their_places(void **state)
{
	struct raw_pack r = raw_sample();
	struct errmsg err = {0};

	put_u64(r.trailer + TRAILER_STRINGS, get_u64(r.trailer + TRAILER_STRINGS) + 1);
	put_u64(r.trailer + TRAILER_META, get_u64(r.trailer + TRAILER_META) - 1);
	resum(&r);
	assert_int_equal(parse(&r, &err), -EBADMSG);
	assert_non_null(strstr(err.text, "holds more than its tree"));
	buf_deinit(&r.raw);
}

static void test_an_index_that_is_cut_off(void **state)
{
	struct raw_pack r = raw_sample();
	struct buf index = BUF_INIT;
	struct pack_trailer t;
	struct pack p;

	assert_int_equal(pack_trailer_parse(r.trailer, 15 + r.raw.len, &t, NULL), 0);
	assert_int_equal(buf_set(&index, r.index, r.raw.len - PACK_TRAILER_BYTES - 1), 0);
	assert_int_equal(pack_init(&p, &t, &index, NULL), -EBADMSG);
	assert_null(index.data);
	buf_deinit(&r.raw);
}

/* A pack whose contents are 15 zeros; the read after `good` ones fails. */
struct disk {
	const struct buf *raw;
	int good, reads;
	size_t bytes;
};

static int read_disk(void *arg, void *data, size_t len, uint64_t off)
{
	struct disk *d = arg;

	if (d->reads++ == d->good)
		return -ENXIO;
	assert_true(len && off + len <= 15 + d->raw->len);
	d->bytes += len;
	for (size_t i = 0; i < len; i++)
		((uint8_t *)data)[i] = off + i < 15 ? 0 : d->raw->data[off + i - 15];
	return 0;
}

/* However much of it is read first, it is the same pack, and no byte is read twice. */
static void test_read_from_its_end(void **state)
{
	struct raw_pack r = raw_sample();
	const size_t size = 15 + r.raw.len;
	const size_t tails[] = {
	    0,	     PACK_TRAILER_BYTES + 1, r.raw.len - 1, r.raw.len, size - 1, size,
	    size + 1};

	for (size_t i = 0; i < sizeof(tails) / sizeof(*tails); i++) {
		struct disk disk = {.raw = &r.raw, .good = 2};
		const struct pack_source src = {read_disk, &disk, size, tails[i]};
		size_t first = tails[i] < PACK_TRAILER_BYTES ? PACK_TRAILER_BYTES
			       : tails[i] > size	     ? size
							     : tails[i];
		struct buf tail = BUF_INIT;
		struct pack p;

		assert_int_equal(pack_read(&src, &p, &tail, NULL), 0);
		assert_int_equal(tail.len, first);
		assert_int_equal(disk.bytes, first > r.raw.len ? first : r.raw.len);
		assert_int_equal(disk.reads, first < r.raw.len ? 2 : 1);
		assert_int_equal(p.index.len, r.raw.len - PACK_TRAILER_BYTES);
		assert_memory_equal(p.index.data, r.raw.data, p.index.len);
		buf_deinit(&tail);
		pack_deinit(&p);
	}
	buf_deinit(&r.raw);
}

static void test_cannot_be_read(void **state)
{
	struct raw_pack r = raw_sample();
	struct disk disk = {.raw = &r.raw, .good = 0};
	struct pack_source src = {read_disk, &disk, 15 + r.raw.len, 0};
	struct buf tail = BUF_INIT;
	struct errmsg err = {0};
	struct pack p;

	assert_int_equal(pack_read(&src, &p, &tail, NULL), -ENXIO);
	disk = (struct disk){.raw = &r.raw, .good = 1};
	assert_int_equal(pack_read(&src, &p, &tail, &err), -ENXIO);
	assert_string_equal(err.text, "");
	src.size_bytes = PACK_TRAILER_BYTES - 1;
	assert_int_equal(pack_read(&src, &p, &tail, &err), -EBADMSG);
	assert_string_equal(err.text, "too short for a pack: 95 bytes");
	assert_int_equal(disk.reads, 2);
	assert_null(tail.data);
	buf_deinit(&r.raw);
}

enum { MANY = 50000, DEEP = 4000 };

/* Added backwards, found by bisection among all. */
static void test_many_entries(void **state)
{
	struct pack_maker *m = maker();
	struct pack p;
	char path[64];
	uint32_t i;

	for (int k = MANY; k-- > 0;) {
		snprintf(path, sizeof(path), "d%02d/f%d", k % 100, k);
		assert_int_equal(add_file(m, path, (uint64_t)k, 1, HASH_A), 0);
	}
	make(m, MANY, &p);
	assert_int_equal(pack_entries(&p), MANY + 101);
	for (int k = 0; k < MANY; k++) {
		struct pack_entry e;

		snprintf(path, sizeof(path), "d%02d/f%d", k % 100, k);
		assert_int_equal(pack_find(&p, path, &i), 0);
		pack_get(&p, i, &e);
		assert_int_equal(e.off, k);
	}
	pack_deinit(&p);
}

static void test_deep_trees(void **state)
{
	CLEANUP_BUF struct buf path = BUF_INIT;
	struct pack_maker *m = maker();
	char deep[2 * DEEP];
	struct pack p;
	uint32_t i;

	for (int k = 0; k < DEEP; k++)
		memcpy(deep + 2 * k, "d/", 2);
	deep[2 * DEEP - 1] = '\0';
	assert_int_equal(add_link(m, deep, "x"), 0);
	make(m, 0, &p);
	assert_int_equal(pack_entries(&p), DEEP + 1);
	assert_int_equal(pack_find(&p, deep, &i), 0);
	assert_int_equal(i, DEEP);
	assert_int_equal(pack_path(&p, i, &path), 0);
	assert_true(slice_is(buf_slice(&path), deep));
	pack_deinit(&p);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_what_was_added_is_found),
	    cmocka_unit_test(test_what_was_not_added_is_not_found),
	    cmocka_unit_test(test_order_is_breadth_first_and_sorted),
	    cmocka_unit_test(test_directories_that_were_not_added),
	    cmocka_unit_test(test_root_and_meta),
	    cmocka_unit_test(test_names_that_are_refused),
	    cmocka_unit_test(test_one_name_is_one_thing),
	    cmocka_unit_test(test_contents_are_within_the_pack),
	    cmocka_unit_test(test_equal_trees_have_equal_hashes),
	    cmocka_unit_test(test_different_trees_have_different_hashes),
	    cmocka_unit_test(test_each_byte_counts),
	    cmocka_unit_test(test_a_record_that_is_wrong),
	    cmocka_unit_test(test_a_name_that_is_wrong),
	    cmocka_unit_test(test_reserved_names),
	    cmocka_unit_test(test_a_trailer_that_is_wrong),
	    cmocka_unit_test(test_strings_and_meta_have_their_places),
	    cmocka_unit_test(test_an_index_that_is_cut_off),
	    cmocka_unit_test(test_read_from_its_end),
	    cmocka_unit_test(test_cannot_be_read),
	    cmocka_unit_test(test_many_entries),
	    cmocka_unit_test(test_deep_trees),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
