/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of the backends share: a backend of each kind, short calls. */
#ifndef MEMOFS_TESTS_CONFORMANCE_BACKEND_FIXTURE_H
#define MEMOFS_TESTS_CONFORMANCE_BACKEND_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "store/backend.h"
#include "tests/conformance/scratch.h"

struct kind {
	const char *name;
	int (*new)(const struct backend_options *opt, struct backend **ret_be,
		   struct errmsg *err);
};

struct fixture {
	const struct kind *kind;
	char path[SCRATCH_MAX];
	struct backend *be;	 /* closed by the teardown */
	struct backend_iter *it; /* freed by the teardown */
};

/*
 * Run the tests, each on a fresh backend of the kind that the program's only
 * argument names. Returns what main() should.
 */
int fixture_main(int argc, char **argv, struct CMUnitTest *tests, size_t count);

/* For use as a setup and a teardown; fixture_main() fills in the kind. */
int fixture_setup(void **state);
int fixture_teardown(void **state);
#define BACKEND_TEST(f)                                                                  \
	cmocka_unit_test_setup_teardown(f, fixture_setup, fixture_teardown)

/* Open, which must succeed. */
void fixture_open(struct fixture *f);
void fixture_close(struct fixture *f);

static inline struct slice text(const char *s)
{
	return slice(s, __builtin_strlen(s));
}

/* One commit of one operation, which must succeed. */
void put(struct backend *be, enum table t, struct slice key, struct slice value);
void del(struct backend *be, enum table t, struct slice key);
void add(struct backend *be, const char *key, int64_t delta);
void commit(struct backend *be, const struct batch *b);

void assert_row(struct backend *be, enum table t, struct slice key, struct slice value);
void assert_no_row(struct backend *be, enum table t, struct slice key);
void assert_counter(struct backend *be, const char *key, uint64_t value);
void assert_slice(struct slice got, struct slice want);

/* All rows from `from` on, written as "key=value ". */
void dump(struct backend_iter *it, const char *from, struct buf *ret_text);
void assert_dump(struct backend_iter *it, const char *from, const char *want);

#endif
