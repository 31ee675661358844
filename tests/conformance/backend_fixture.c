/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/conformance/backend_fixture.h"

#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct kind kinds[] = {
    {"memory", backend_memory_new},
    {"rocksdb", backend_rocksdb_new},
};

int fixture_main(int argc, char **argv, struct CMUnitTest *tests, size_t count)
{
	for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		if (argc != 2 || strcmp(argv[1], kinds[k].name) != 0)
			continue;
		for (size_t i = 0; i < count; i++)
			tests[i].initial_state = &kinds[k];
		return _cmocka_run_group_tests(argv[0], tests, count, NULL, NULL);
	}
	fprintf(stderr, "usage: %s memory|rocksdb\n", argv[0]);
	return 2;
}

int fixture_setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	if (!f)
		return -1;
	f->kind = *state;
	scratch_make(f->path);
	fixture_open(f);
	*state = f;
	return 0;
}

int fixture_teardown(void **state)
{
	struct fixture *f = *state;

	fixture_close(f);
	scratch_remove(f->path);
	free(f);
	return 0;
}

void fixture_open(struct fixture *f)
{
	struct backend_options opt = {.path = f->path};
	struct errmsg err = {""};

	if (f->kind->new (&opt, &f->be, &err))
		fail_msg("%s: %s", f->kind->name, err.text);
}

void fixture_close(struct fixture *f)
{
	backend_iter_free(f->it);
	f->it = NULL;
	backend_free(f->be);
	f->be = NULL;
}

void commit(struct backend *be, const struct batch *b)
{
	assert_int_equal(backend_commit(be, b), 0);
}

void put(struct backend *be, enum table t, struct slice key, struct slice value)
{
	CLEANUP_BATCH struct batch b = BATCH_INIT;

	batch_put(&b, t, key, value);
	commit(be, &b);
}

void del(struct backend *be, enum table t, struct slice key)
{
	CLEANUP_BATCH struct batch b = BATCH_INIT;

	batch_del(&b, t, key);
	commit(be, &b);
}

void add(struct backend *be, const char *key, int64_t delta)
{
	CLEANUP_BATCH struct batch b = BATCH_INIT;

	batch_add(&b, text(key), delta);
	commit(be, &b);
}

void assert_slice(struct slice got, struct slice want)
{
	assert_int_equal(got.len, want.len);
	if (want.len)
		assert_memory_equal(got.data, want.data, want.len);
}

void assert_row(struct backend *be, enum table t, struct slice key, struct slice value)
{
	CLEANUP_BUF struct buf got = BUF_INIT;

	assert_int_equal(backend_get(be, t, key, &got), 0);
	assert_slice(buf_slice(&got), value);
}

void assert_no_row(struct backend *be, enum table t, struct slice key)
{
	CLEANUP_BUF struct buf got = BUF_INIT;

	assert_int_equal(backend_get(be, t, key, &got), -ENOENT);
}

void assert_counter(struct backend *be, const char *key, uint64_t value)
{
	uint64_t raw = htole64(value);

	assert_row(be, TABLE_COUNTER, text(key), slice(&raw, sizeof(raw)));
}

void dump(struct backend_iter *it, const char *from, struct buf *ret_text)
{
	buf_clear(ret_text);
	for (backend_iter_seek(it, text(from)); backend_iter_valid(it);
	     backend_iter_next(it)) {
		struct slice key = backend_iter_key(it), value = backend_iter_value(it);

		assert_int_equal(buf_printf(ret_text, "%.*s=%.*s ", (int)key.len,
					    (const char *)key.data, (int)value.len,
					    (const char *)value.data),
				 0);
	}
	assert_int_equal(backend_iter_status(it), 0);
	assert_int_equal(buf_append(ret_text, "", 1), 0);
}

void assert_dump(struct backend_iter *it, const char *from, const char *want)
{
	CLEANUP_BUF struct buf got = BUF_INIT;

	dump(it, from, &got);
	assert_string_equal((const char *)got.data, want);
}
