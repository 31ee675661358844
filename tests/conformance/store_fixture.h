/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of the engine share: a store of each kind in a directory of
 * its own, and short forms of the calls most tests make. The short forms fail
 * the test when the call fails.
 */
#ifndef MEMOFS_TESTS_STORE_FIXTURE_H
#define MEMOFS_TESTS_STORE_FIXTURE_H

/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include "store/store.h"
#include "tests/conformance/scratch.h"

#define ROOT STORE_ROOT_INO

struct fixture {
	enum store_kind kind;
	char dir[SCRATCH_MAX]; /* the test's own; the store is in it */
	char path[SCRATCH_MAX + 8];
	const struct store_clock *clock; /* NULL: the machine's */
	uint64_t size_bytes;		 /* 0: the default */
	struct store *st;		 /* closed by the teardown */
	struct store_dir *list;		 /* of list_open(); closed before the store */
};

/*
 * Run the tests, each on a fresh store of the kind that the program's only
 * argument names, memory or rocksdb; without one, on each kind in turn. Returns
 * what main() should.
 */
int fixture_main(int argc, char **argv, struct CMUnitTest *tests, size_t count);
#define RUN_ON_BOTH(tests) fixture_main(1, NULL, tests, sizeof(tests) / sizeof(*(tests)))

/* For use as a setup and a teardown; fixture_main() fills in the kind. */
int fixture_setup(void **state);
int fixture_teardown(void **state);
#define STORE_TEST(fn)                                                                   \
	cmocka_unit_test_setup_teardown(fn, fixture_setup, fixture_teardown)

/* The options the store was opened with. */
struct store_options fixture_options(const struct fixture *fx);
/* Open again what was closed, which must succeed. In memory it is a new one. */
void fixture_open(struct fixture *fx);
void fixture_close(struct fixture *fx);

/* Returns the inode number. */
uint64_t make_dir(struct store *st, uint64_t branch, const char *name);
uint64_t make_link(struct store *st, uint64_t branch, const char *name);
uint64_t make_file(struct store *st, uint64_t branch, const char *name, const char *text);

/* The inode number of a name, or 0 when it is a miss. */
uint64_t lookup(struct store *st, uint64_t branch, const char *name);
/* The branch of a version, made when it has none. */
uint64_t branch_of(struct store *st, uint64_t dir_ino, const char *version);
/* Set a ttl of `ms` milliseconds. */
void set_ttl_ms(struct store *st, uint64_t ino, int64_t ms);
struct store_attr attr_of(struct store *st, uint64_t ino);
void sleep_until(int64_t when_ns);
/* Field by field: a struct may have bytes that are in no field. */
void assert_same_attr(const struct store_attr *a, const struct store_attr *b);
/* A listing that fixture_close() closes, if nobody did. */
struct store_dir *list_open(struct fixture *fx, uint64_t branch);
void list_close(struct fixture *fx);
/* The names of a branch, each followed by a space, in the order of the listing. */
void list_names(struct store *st, uint64_t branch, struct buf *ret_names);
void assert_names(struct store *st, uint64_t branch, const char *expected);

#define assert_ok(call) assert_int_equal((call), 0)

#endif
