/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Many threads at once: a batch is seen whole or not at all, nothing is lost.
 *
 * Each writer owns ROWS rows and commits batches that give all of them the same
 * number, one higher each time, and that count in a counter all share. Readers
 * take iterators and check that every writer's rows agree and never go back.
 */
#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include "tests/conformance/backend_fixture.h"

#define WRITERS 3
#define READERS 3
#define ROWS 8
#define ROUNDS 1500

struct thread {
	pthread_t id;
	struct backend *be;
	uint8_t number;
	bool *stop; /* atomic */
	uint64_t looks;
	int rc; /* -EUCLEAN: saw what must not be seen */
};

static int write_round(struct thread *t, uint64_t round)
{
	CLEANUP_BATCH struct batch b = BATCH_INIT;

	for (uint8_t row = 0; row < ROWS; row++) {
		uint8_t key[2] = {t->number, row};

		/* Deleting first must never show. */
		batch_del_range(&b, TABLE_DIRENT, slice(key, 2),
				slice((uint8_t[]){t->number, row + 1}, 2));
		batch_put(&b, TABLE_DIRENT, slice(key, 2), slice(&round, sizeof(round)));
	}
	batch_add(&b, text("rounds"), 1);
	batch_add(&b, text("balance"), round % 2 ? 1 : -1);
	return backend_commit(t->be, &b);
}

static void *writer(void *arg)
{
	struct thread *t = arg;

	for (uint64_t round = 1; round <= ROUNDS && t->rc == 0; round++) {
		t->rc = write_round(t, round);
		if (t->rc == 0 && round % 100 == 0)
			t->rc = backend_sync(t->be);
	}
	return NULL;
}

/* One walk over the table; *seen is the last number of each writer. */
static int look(struct backend *be, uint64_t seen[WRITERS])
{
	uint64_t rows[WRITERS] = {0}, numbers[WRITERS] = {0};
	struct backend_iter *it;
	int rc;

	rc = backend_iter_new(be, TABLE_DIRENT, &it);
	if (rc)
		return rc;
	for (backend_iter_seek(it, slice(NULL, 0)); backend_iter_valid(it);
	     backend_iter_next(it)) {
		const uint8_t *key = backend_iter_key(it).data;
		uint64_t number;

		memcpy(&number, backend_iter_value(it).data, sizeof(number));
		if (rows[key[0]]++ && numbers[key[0]] != number)
			rc = -EUCLEAN;
		numbers[key[0]] = number;
	}
	if (rc == 0)
		rc = backend_iter_status(it);
	backend_iter_free(it);
	for (int w = 0; w < WRITERS; w++) {
		if ((rows[w] != 0 && rows[w] != ROWS) || numbers[w] < seen[w])
			rc = -EUCLEAN;
		seen[w] = numbers[w];
	}
	return rc;
}

/* Rows are there from the first round on: a get may not miss one again. */
static int get_one(struct backend *be, uint64_t seen[WRITERS], uint8_t w)
{
	CLEANUP_BUF struct buf value = BUF_INIT;
	uint8_t key[2] = {w, ROWS - 1};
	uint64_t number;
	int rc = backend_get(be, TABLE_DIRENT, slice(key, 2), &value);

	if (rc == -ENOENT)
		return seen[w] ? -EUCLEAN : 0;
	if (rc)
		return rc;
	memcpy(&number, value.data, sizeof(number));
	return number < seen[w] ? -EUCLEAN : 0;
}

static void *reader(void *arg)
{
	struct thread *t = arg;
	uint64_t seen[WRITERS] = {0};

	do {
		t->rc = look(t->be, seen);
		for (uint8_t w = 0; w < WRITERS && t->rc == 0; w++)
			t->rc = get_one(t->be, seen, w);
		t->looks++;
	} while (t->rc == 0 && !__atomic_load_n(t->stop, __ATOMIC_RELAXED));
	return NULL;
}

static void batches_are_whole(void **state)
{
	struct fixture *f = *state;
	struct thread threads[WRITERS + READERS];
	uint64_t seen[WRITERS] = {0};
	bool stop = false;

	for (int i = 0; i < WRITERS + READERS; i++) {
		threads[i] =
		    (struct thread){.be = f->be, .number = (uint8_t)i, .stop = &stop};
		assert_int_equal(pthread_create(&threads[i].id, NULL,
						i < WRITERS ? writer : reader,
						&threads[i]),
				 0);
	}
	for (int i = 0; i < WRITERS; i++)
		pthread_join(threads[i].id, NULL);
	__atomic_store_n(&stop, true, __ATOMIC_RELAXED);
	for (int i = WRITERS; i < WRITERS + READERS; i++)
		pthread_join(threads[i].id, NULL);

	for (int i = 0; i < WRITERS + READERS; i++)
		assert_int_equal(threads[i].rc, 0);
	for (int i = WRITERS; i < WRITERS + READERS; i++)
		assert_true(threads[i].looks > 1);
	assert_int_equal(look(f->be, seen), 0);
	for (int w = 0; w < WRITERS; w++)
		assert_int_equal(seen[w], ROUNDS);
	assert_counter(f->be, "rounds", WRITERS * ROUNDS);
	assert_counter(f->be, "balance", 0);
}

static void *syncer(void *arg)
{
	struct thread *t = arg;

	for (int i = 0; i < 50 && t->rc == 0; i++) {
		t->rc = write_round(t, (uint64_t)i + 1);
		if (t->rc == 0)
			t->rc = backend_sync(t->be);
	}
	return NULL;
}

static void many_may_sync_at_once(void **state)
{
	struct fixture *f = *state;
	struct thread threads[8];

	for (int i = 0; i < 8; i++) {
		threads[i] = (struct thread){.be = f->be, .number = (uint8_t)i};
		assert_int_equal(
		    pthread_create(&threads[i].id, NULL, syncer, &threads[i]), 0);
	}
	for (int i = 0; i < 8; i++)
		pthread_join(threads[i].id, NULL);
	for (int i = 0; i < 8; i++)
		assert_int_equal(threads[i].rc, 0);
	assert_counter(f->be, "rounds", 8 * 50);
}

int main(int argc, char **argv)
{
	struct CMUnitTest tests[] = {
	    BACKEND_TEST(batches_are_whole),
	    BACKEND_TEST(many_may_sync_at_once),
	};

	return fixture_main(argc, argv, tests, sizeof(tests) / sizeof(tests[0]));
}
