/* SPDX-License-Identifier: Apache-2.0 */
/* Archives in memory: what is written is read, and what is damaged is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>

#include "cli/tar/header.h"
#include "cli/tar/place.h"
#include "cli/tar/tar.h"
#include "store/util/duration.h"

/* ---- an archive in memory ------------------------------------------------------------
 */

struct source {
	const struct buf *bytes;
	size_t pos, at_once;
};

static int give(void *arg, void *data, size_t len, size_t *ret_len)
{
	struct source *s = arg;

	if (len > s->bytes->len - s->pos)
		len = s->bytes->len - s->pos;
	if (len > s->at_once)
		len = s->at_once;
	if (len)
		memcpy(data, s->bytes->data + s->pos, len);
	s->pos += len;
	*ret_len = len;
	return 0;
}

struct fixture {
	struct buf archive;
	struct source source;
	struct tar_reader *reader;
	struct tar_member m;
	struct errmsg err;
};

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	f->m = TAR_MEMBER_INIT;
	f->source = (struct source){.bytes = &f->archive, .at_once = 700};
	*state = f;
	return tar_reader_new(give, &f->source, &f->reader);
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	tar_reader_free(f->reader);
	tar_member_deinit(&f->m);
	buf_deinit(&f->archive);
	free(f);
	return 0;
}

static void begin(struct tar_member *m, enum tar_type type, const char *path)
{
	tar_member_clear(m);
	m->type = type;
	m->mode = 0640;
	assert_int_equal(buf_set(&m->path, path, strlen(path) + 1), 0);
}

static void add(struct fixture *f, const struct tar_member *m, const char *content)
{
	static const char zeros[TAR_BLOCK_BYTES];

	assert_int_equal(tar_header(m, &f->archive), 0);
	assert_int_equal(buf_append(&f->archive, content, strlen(content)), 0);
	assert_int_equal(buf_append(&f->archive, zeros, tar_padding(strlen(content))), 0);
}

static void next_is(struct fixture *f, enum tar_type type, const char *path)
{
	int r = tar_next(f->reader, &f->m, &f->err);

	if (r)
		fail_msg("%s: %s", path, f->err.text);
	assert_int_equal(f->m.type, type);
	assert_string_equal(tar_text(&f->m.path), path);
}

static void content_is(struct fixture *f, const char *want)
{
	char text[4096];
	size_t done = 0, n = 1;

	while (n) {
		assert_int_equal(tar_read(f->reader, text + done, sizeof(text) - 1 - done,
					  &n, &f->err),
				 0);
		done += n;
	}
	text[done] = '\0';
	assert_string_equal(text, want);
}

static void fails_with(struct fixture *f, int want, const char *message)
{
	int r;

	while ((r = tar_next(f->reader, &f->m, &f->err)) == 0)
		;
	assert_int_equal(r, want);
	if (!strstr(f->err.text, message))
		fail_msg("\"%s\" does not say \"%s\"", f->err.text, message);
}

/* ---- round trips
 * ----------------------------------------------------------------------- */

static void test_members(void **state)
{
	CLEANUP_TAR_MEMBER struct tar_member m = TAR_MEMBER_INIT;
	struct fixture *f = *state;

	begin(&m, TAR_DIR, "d/");
	add(f, &m, "");
	begin(&m, TAR_FILE, "d/f");
	m.size_bytes = 5;
	m.uid = 12;
	m.gid = 34;
	m.mtime_ns = 17 * NSEC_PER_SEC;
	strcpy(m.uname, "someone");
	add(f, &m, "hello");
	begin(&m, TAR_SYMLINK, "d/l");
	assert_int_equal(buf_set(&m.link, "f", 2), 0);
	add(f, &m, "");
	assert_int_equal(tar_end(&f->archive), 0);

	next_is(f, TAR_DIR, "d/");
	next_is(f, TAR_FILE, "d/f");
	assert_int_equal(f->m.mode, 0640);
	assert_int_equal(f->m.uid, 12);
	assert_int_equal(f->m.gid, 34);
	assert_int_equal(f->m.mtime_ns, 17 * NSEC_PER_SEC);
	assert_string_equal(f->m.uname, "someone");
	content_is(f, "hello");
	next_is(f, TAR_SYMLINK, "d/l");
	assert_string_equal(tar_text(&f->m.link), "f");
	assert_int_equal(tar_next(f->reader, &f->m, &f->err), -ENODATA);
}

/* All that needs a record. */
static void test_records(void **state)
{
	CLEANUP_TAR_MEMBER struct tar_member m = TAR_MEMBER_INIT;
	char path[5000], link[4000];
	struct fixture *f = *state;
	struct slice value;

	memset(path, 'p', sizeof(path));
	path[sizeof(path) - 1] = '\0';
	memset(link, '\xff', sizeof(link));
	link[sizeof(link) - 1] = '\0';
	begin(&m, TAR_SYMLINK, path);
	assert_int_equal(buf_set(&m.link, link, sizeof(link)), 0);
	m.uid = m.gid = UINT32_MAX;
	m.mtime_ns = -1500000000;
	assert_int_equal(tar_xattr_add(&m, "user.a=b%3D", slice("x\0\ny", 4)), 0);
	assert_int_equal(tar_xattr_add(&m, "user.none", slice("", 0)), 0);
	m.tree = true;
	m.expires_ns = 1790000000123456789;
	strcpy(m.version, "v=1");
	m.has_version = true;
	m.has_hash = true;
	m.hash[0] = 0xa0;
	m.hash[15] = 0x0f;
	add(f, &m, "");
	assert_int_equal(tar_end(&f->archive), 0);

	next_is(f, TAR_SYMLINK, path);
	assert_string_equal(tar_text(&f->m.link), link);
	assert_int_equal(f->m.uid, UINT32_MAX);
	assert_int_equal(f->m.gid, UINT32_MAX);
	assert_int_equal(f->m.mtime_ns, -1500000000);
	assert_int_equal(tar_xattr_find(&f->m, "user.a=b%3D", &value), 0);
	assert_int_equal(value.len, 4);
	assert_memory_equal(value.data, "x\0\ny", 4);
	assert_int_equal(tar_xattr_find(&f->m, "user.none", &value), 0);
	assert_int_equal(value.len, 0);
	assert_int_equal(tar_xattr_find(&f->m, "user.other", &value), -ENODATA);
	assert_true(f->m.tree);
	assert_true(f->m.expires_ns == 1790000000123456789);
	assert_true(f->m.has_version);
	assert_string_equal(f->m.version, "v=1");
	assert_true(f->m.has_hash);
	assert_memory_equal(f->m.hash, m.hash, sizeof(m.hash));
}

/* More than eleven octal digits; also as GNU tar writes it. */
static void test_large_sizes(void **state)
{
	CLEANUP_TAR_MEMBER struct tar_member m = TAR_MEMBER_INIT;
	struct fixture *f = *state;
	struct header *h;

	begin(&m, TAR_FILE, "large");
	m.size_bytes = UINT64_C(1) << 40;
	assert_int_equal(tar_header(&m, &f->archive), 0);
	next_is(f, TAR_FILE, "large");
	assert_true(f->m.size_bytes == UINT64_C(1) << 40);

	teardown(state);
	setup(state);
	f = *state;
	begin(&m, TAR_FILE, "large");
	assert_int_equal(tar_header(&m, &f->archive), 0);
	h = (struct header *)f->archive.data;
	memset(h->size, 0, sizeof(h->size));
	h->size[0] = (char)0x80;
	h->size[sizeof(h->size) - 6] = 1;
	snprintf(h->checksum, sizeof(h->checksum), "%06o", header_sum(h));
	next_is(f, TAR_FILE, "large");
	assert_true(f->m.size_bytes == UINT64_C(1) << 40);
}

/* What the records say of all that follow, until one says otherwise. */
static void test_global_records(void **state)
{
	CLEANUP_TAR_MEMBER struct tar_member m = TAR_MEMBER_INIT;
	struct fixture *f = *state;
	static const char text[] = "9 uid=77\n";
	struct header *h;

	begin(&m, TAR_FILE, "global");
	m.size_bytes = sizeof(text) - 1;
	add(f, &m, text);
	h = (struct header *)f->archive.data;
	h->type = HEADER_PAX_GLOBAL;
	snprintf(h->checksum, sizeof(h->checksum), "%06o", header_sum(h));
	begin(&m, TAR_FILE, "a");
	m.uid = 1;
	add(f, &m, "");
	begin(&m, TAR_FILE, "b");
	m.uid = HEADER_ID_MAX + 1; /* in a record of its own */
	add(f, &m, "");
	assert_int_equal(tar_end(&f->archive), 0);
	next_is(f, TAR_FILE, "a");
	assert_int_equal(f->m.uid, 77);
	next_is(f, TAR_FILE, "b");
	assert_int_equal(f->m.uid, HEADER_ID_MAX + 1);
}

/* ---- damage
 * ---------------------------------------------------------------------------- */

static void make_three(struct fixture *f)
{
	CLEANUP_TAR_MEMBER struct tar_member m = TAR_MEMBER_INIT;

	for (int i = 0; i < 3; i++) {
		begin(&m, TAR_FILE, "name");
		m.size_bytes = 3;
		m.expires_ns = 1;
		add(f, &m, "abc");
	}
	assert_int_equal(tar_end(&f->archive), 0);
}

/* Wherever it is cut, but within the mark of its end, that is told. */
static void test_truncated(void **state)
{
	struct fixture *f = *state;
	size_t whole;

	make_three(f);
	whole = f->archive.len;
	for (size_t len = 0; len <= whole; len += 128) {
		CLEANUP_TAR_MEMBER struct tar_member m = TAR_MEMBER_INIT;
		struct source s = {.bytes = &f->archive, .at_once = 4096};
		struct tar_reader *t;
		int r;

		f->archive.len = len;
		assert_int_equal(tar_reader_new(give, &s, &t), 0);
		while ((r = tar_next(t, &m, &f->err)) == 0)
			;
		assert_int_equal(r, len + TAR_BLOCK_BYTES >= whole ? -ENODATA : -EBADMSG);
		tar_reader_free(t);
	}
}

static void test_flipped(void **state)
{
	struct fixture *f = *state;
	size_t member;

	make_three(f);
	member = (f->archive.len - 2 * TAR_BLOCK_BYTES) / 3;
	f->archive.data[2 * member + 10] ^= 1;
	next_is(f, TAR_FILE, "name");
	next_is(f, TAR_FILE, "name");
	fails_with(f, -EBADMSG, "the checksum of a header is wrong");
}

static void test_damaged_record(void **state)
{
	struct fixture *f = *state;

	make_three(f);
	f->archive.data[TAR_BLOCK_BYTES] = '9'; /* the length of the first record */
	fails_with(f, -EBADMSG, "damaged at byte");
}

static void test_not_an_archive(void **state)
{
	struct fixture *f = *state;
	char text[2000];

	memset(text, 'x', sizeof(text));
	memcpy(text, "\x28\xb5\x2f\xfd", 4);
	assert_int_equal(buf_set(&f->archive, text, sizeof(text)), 0);
	fails_with(f, -EBADMSG, "zstd -dc");
}

static void test_empty(void **state)
{
	fails_with(*state, -EBADMSG, "it is empty");
}

/* A header that says it has gigabytes of records is not believed. */
static void test_too_many_records(void **state)
{
	CLEANUP_TAR_MEMBER struct tar_member m = TAR_MEMBER_INIT;
	struct fixture *f = *state;
	struct header *h;

	begin(&m, TAR_FILE, "x");
	m.size_bytes = UINT64_C(1) << 32;
	assert_int_equal(tar_header(&m, &f->archive), 0);
	h = (struct header *)f->archive.data;
	h->type = HEADER_PAX;
	snprintf(h->checksum, sizeof(h->checksum), "%06o", header_sum(h));
	fails_with(f, -E2BIG, "more than a mebibyte");
}

/* Each is compared with those before it: a mebibyte of small ones would take minutes. */
static void test_too_many_attributes(void **state)
{
	CLEANUP_TAR_MEMBER struct tar_member m = TAR_MEMBER_INIT;
	struct fixture *f = *state;
	char name[32];

	begin(&m, TAR_FILE, "x");
	for (int i = 0; i <= TAR_XATTRS_MAX; i++) {
		snprintf(name, sizeof(name), "user.%d", i);
		assert_int_equal(tar_xattr_add(&m, name, slice("", 0)), 0);
	}
	assert_int_equal(tar_header(&m, &f->archive), 0);
	fails_with(f, -E2BIG, "attributes for one file");
}

/* The same one again and again is one. */
static void test_attribute_again(void **state)
{
	CLEANUP_TAR_MEMBER struct tar_member m = TAR_MEMBER_INIT;
	struct fixture *f = *state;

	begin(&m, TAR_FILE, "x");
	for (int i = 0; i <= TAR_XATTRS_MAX; i++)
		assert_int_equal(tar_xattr_add(&m, "user.same", slice("v", 1)), 0);
	assert_int_equal(m.xattr_count, 1);
	assert_int_equal(tar_header(&m, &f->archive), 0);
	assert_int_equal(tar_next(f->reader, &f->m, &f->err), 0);
	assert_int_equal(f->m.xattr_count, 1);
}

static int give_nothing(void *arg, void *data, size_t len, size_t *ret_len)
{
	return -EISDIR;
}

/* Why it cannot be read is said, and not that it is no archive. */
static void test_source_that_fails(void **state)
{
	CLEANUP_TAR_MEMBER struct tar_member m = TAR_MEMBER_INIT;
	struct tar_reader *reader;
	struct errmsg err;

	assert_int_equal(tar_reader_new(give_nothing, NULL, &reader), 0);
	assert_int_equal(tar_next(reader, &m, &err), -EISDIR);
	assert_non_null(strstr(err.text, "cannot be read"));
	tar_reader_free(reader);
}

static void test_types_that_are_not_written(void **state)
{
	CLEANUP_TAR_MEMBER struct tar_member m = TAR_MEMBER_INIT;
	struct fixture *f = *state;

	begin(&m, TAR_SPECIAL, "x");
	assert_int_equal(tar_header(&m, &f->archive), -EINVAL);
	begin(&m, TAR_UNKNOWN, "x");
	assert_int_equal(tar_header(&m, &f->archive), -EINVAL);
}

/* ---- where a member belongs -----------------------------------------------------------
 */

static void test_places(void **state)
{
	static const struct {
		const char *name, *want; /* NULL: refused */
		bool control;
	} cases[] = {
	    {"a", "a", false},
	    {"./a//b/./c/", "a/b/c", false},
	    {".", "", false},
	    {"./", "", false},
	    {"", "", false},
	    {"/a", NULL, false},
	    {"..", NULL, false},
	    {"a/../b", NULL, false},
	    {"a/..", NULL, false},
	    {"..a/b..", "..a/b..", false},
	    {".memofs", ".memofs", true},
	    {"d/.memofs/versions", "d/.memofs/versions", true},
	    {"d/.memofs/versions/v", "d/.memofs/versions/v", true},
	    {"d/.memofs/versions/v/k", "d/.memofs/versions/v/k", false},
	    {"d/.memofs/versions/v/.memofs/versions/w/k",
	     "d/.memofs/versions/v/.memofs/versions/w/k", false},
	    {"d/.memofs/view/version=/k", "d/.memofs/view/version=/k", false},
	    {"d/.memofs/view/version=v/k", NULL, false},
	    {"d/.memofs/view/ro/k", NULL, false},
	    {"d/.memofs/stage/k", NULL, false},
	    {"d/.memofs/versions/../k", NULL, false},
	    {".memofsx/k", ".memofsx/k", false},
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		CLEANUP_BUF struct buf path = BUF_INIT;
		bool control = false;
		const char *why;
		int r = place_path(cases[i].name, &path, &control, &why);

		if ((r == 0) != (cases[i].want != NULL))
			fail_msg("\"%s\": %d, %s", cases[i].name, r, why);
		if (r)
			continue;
		assert_string_equal((const char *)path.data, cases[i].want);
		assert_int_equal(control, cases[i].control);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(test_##name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
	    TEST(members),
	    TEST(records),
	    TEST(large_sizes),
	    TEST(global_records),
	    TEST(truncated),
	    TEST(flipped),
	    TEST(damaged_record),
	    TEST(not_an_archive),
	    TEST(empty),
	    TEST(too_many_records),
	    TEST(too_many_attributes),
	    TEST(attribute_again),
	    TEST(source_that_fails),
	    TEST(types_that_are_not_written),
	    cmocka_unit_test(test_places),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
