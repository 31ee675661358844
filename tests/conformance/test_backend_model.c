/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Random batches on a backend and on a model so simple that it is plainly
 * right: for each of KEYS keys, a value or none. Iterators taken on the way are
 * compared much later with the model as it was when they were made.
 */
#include <endian.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/conformance/backend_fixture.h"

#define KEYS 500
#define BATCHES 4000
#define OPS_MAX 12
#define SNAPSHOTS 8

/* The two tables in which all kinds of operations are done. */
static const enum table tables[] = {TABLE_DIRENT, TABLE_COUNTER};
#define TABLES 2

struct model {
	bool present[TABLES][KEYS];
	uint64_t value[TABLES][KEYS];
};

struct snapshot {
	struct backend_iter *it;
	int table;
	struct model model;
};

struct run {
	struct fixture *f;
	uint64_t random;
	struct model now;
	struct snapshot snapshots[SNAPSHOTS];
};

static uint32_t below(struct run *run, uint32_t limit)
{
	run->random ^= run->random << 13;
	run->random ^= run->random >> 7;
	run->random ^= run->random << 17;
	return (uint32_t)(run->random >> 32) % limit;
}

/* Of different lengths, in the order of k. */
static struct slice key_of(uint32_t k, char ret_text[16])
{
	int len = snprintf(ret_text, 16, "%03u%.*s", k, (int)(k % 7), "zzzzzzz");

	return slice(ret_text, (size_t)len);
}

static void delete_range(struct run *run, struct batch *b, int t)
{
	uint32_t begin = below(run, KEYS), end = below(run, KEYS);
	char first[16], last[16];

	if (below(run, 4)) /* mostly short ones, so that rows remain */
		end = begin + below(run, 10);
	if (end > KEYS - 1)
		end = KEYS - 1;
	batch_del_range(b, tables[t], key_of(begin, first), key_of(end, last));
	for (uint32_t k = begin; k < end; k++)
		run->now.present[t][k] = false;
}

static void add_to(struct run *run, struct batch *b, uint32_t k)
{
	int64_t delta = (int64_t)below(run, 1000) - 500;
	char key[16];

	batch_add(b, key_of(k, key), delta);
	if (!run->now.present[1][k])
		run->now.value[1][k] = 0;
	run->now.present[1][k] = true;
	run->now.value[1][k] += (uint64_t)delta;
}

static void one_operation(struct run *run, struct batch *b)
{
	uint32_t k = below(run, KEYS);
	int t = (int)below(run, TABLES);
	uint64_t value, raw;
	char key[16];

	switch (below(run, 20)) {
	case 0:
		delete_range(run, b, t);
		break;
	case 1 ... 6:
		batch_del(b, tables[t], key_of(k, key));
		run->now.present[t][k] = false;
		break;
	case 7 ... 11:
		add_to(run, b, k);
		break;
	default:
		value = run->random;
		raw = htole64(value);
		batch_put(b, tables[t], key_of(k, key), slice(&raw, sizeof(raw)));
		run->now.present[t][k] = true;
		run->now.value[t][k] = value;
	}
}

static void check_walk(struct backend_iter *it, const struct model *m, int t)
{
	backend_iter_seek(it, slice(NULL, 0));
	for (uint32_t k = 0; k < KEYS; k++) {
		uint64_t raw = htole64(m->value[t][k]);
		char key[16];

		if (!m->present[t][k])
			continue;
		assert_true(backend_iter_valid(it));
		assert_slice(backend_iter_key(it), key_of(k, key));
		assert_slice(backend_iter_value(it), slice(&raw, sizeof(raw)));
		backend_iter_next(it);
	}
	assert_false(backend_iter_valid(it));
	assert_int_equal(backend_iter_status(it), 0);
}

static void check_get(struct run *run)
{
	int t = (int)below(run, TABLES);
	uint32_t k = below(run, KEYS);
	uint64_t raw = htole64(run->now.value[t][k]);
	char key[16];

	if (run->now.present[t][k])
		assert_row(run->f->be, tables[t], key_of(k, key),
			   slice(&raw, sizeof(raw)));
	else
		assert_no_row(run->f->be, tables[t], key_of(k, key));
}

/* Check an old snapshot, and take a new one in its place. */
static void renew_snapshot(struct run *run)
{
	struct snapshot *s = &run->snapshots[below(run, SNAPSHOTS)];

	if (s->it) {
		check_walk(s->it, &s->model, s->table);
		backend_iter_free(s->it);
		s->it = NULL;
	}
	s->table = (int)below(run, TABLES);
	s->model = run->now;
	assert_int_equal(backend_iter_new(run->f->be, tables[s->table], &s->it), 0);
}

static void like_the_model(void **state)
{
	struct run *run = calloc(1, sizeof(*run));
	struct fixture *f = *state;

	assert_non_null(run);
	run->f = f;
	run->random = 0x9e3779b97f4a7c15;
	for (int i = 0; i < BATCHES; i++) {
		CLEANUP_BATCH struct batch b = BATCH_INIT;

		for (uint32_t n = below(run, OPS_MAX); n > 0; n--)
			one_operation(run, &b);
		commit(f->be, &b);
		check_get(run);
		if (i % 20 == 0)
			renew_snapshot(run);
	}
	for (int i = 0; i < SNAPSHOTS; i++) {
		struct snapshot *s = &run->snapshots[i];

		assert_non_null(s->it);
		check_walk(s->it, &s->model, s->table);
		backend_iter_free(s->it);
	}
	for (int t = 0; t < TABLES; t++) {
		assert_int_equal(backend_iter_new(f->be, tables[t], &f->it), 0);
		check_walk(f->it, &run->now, t);
		backend_iter_free(f->it);
		f->it = NULL;
	}
	free(run);
}

int main(int argc, char **argv)
{
	struct CMUnitTest tests[] = {BACKEND_TEST(like_the_model)};

	return fixture_main(argc, argv, tests, sizeof(tests) / sizeof(tests[0]));
}
