/* SPDX-License-Identifier: Apache-2.0 */
/* Checksums that are computed after a write was answered: each byte once, in order. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include "store/digest.h"
#include "store/internal.h"
#include "store/staged.h"
#include "tests/conformance/value_fixture.h"

enum { PIECES = 6 };
#define PIECE (BLOCK + 4096)
#define ALL ((size_t)PIECES * PIECE)

struct piece {
	struct store_staged *sg;
	const uint8_t *data;
	uint64_t off, turn;
};

static struct store *store_of(void **state)
{
	return ((struct fixture *)*state)->st;
}

static struct piece write_piece(struct store_staged *sg, const uint8_t *all, size_t i)
{
	struct piece p = {.sg = sg, .data = all + i * PIECE, .off = i * PIECE};

	assert_ok(store_staged_write_first(sg, p.data, PIECE, p.off, &p.turn));
	return p;
}

static void *sum_piece(void *arg)
{
	struct piece *p = arg;

	store_staged_sum(p->sg, p->data, PIECE, p->off, p->turn);
	return NULL;
}

static void assert_published(struct store *st, uint64_t ino, const uint8_t *data,
			     size_t len)
{
	struct store_facts facts;
	uint8_t hash[DIGEST_HASH_BYTES];
	struct store_gen *gen;

	assert_ok(store_facts(st, ino, &facts));
	assert_true(facts.has_hash);
	digest_of(slice(data, len), hash);
	assert_memory_equal(facts.hash, hash, sizeof(hash));
	gen = open_value(st, ino);
	assert_gen(gen, data, len);
	store_gen_close(gen);
}

/* Whoever comes first waits for those before. */
static void test_in_any_order(void **state)
{
	struct store *st = store_of(state);
	struct store_staged *sg = stage_new(st);
	uint8_t *data = pattern(ALL, 1);
	struct piece pieces[PIECES];
	pthread_t id[PIECES];

	for (size_t i = 0; i < PIECES; i++) {
		pieces[i] = write_piece(sg, data, i);
		assert_int_equal(pieces[i].turn, i + 1);
	}
	assert_staged(sg, data, ALL);
	for (size_t i = PIECES; i-- > 0;)
		pthread_create(&id[i], NULL, sum_piece, &pieces[i]);
	for (size_t i = 0; i < PIECES; i++)
		pthread_join(id[i], NULL);
	/* Nothing is left to be read back. */
	assert_int_equal(sg->content.digest.len, ALL);
	assert_published(st, publish(sg, "value"), data, ALL);
	free(data);
}

/* Who closes a descriptor that another one writes through waits for no sums, and who
 * sums waits for nobody who has the value. */
static void test_who_needs_none_does_not_wait(void **state)
{
	struct store *st = store_of(state);
	struct store_staged *sg = stage_new(st);
	uint8_t *data = pattern(ALL, 7);
	struct piece p = write_piece(sg, data, 0);

	assert_ok(store_staged_flush(sg, ROOT, "value"));
	assert_false(content_is_summed(&sg->content));
	pthread_mutex_lock(&sg->lock);
	sum_piece(&p);
	pthread_mutex_unlock(&sg->lock);
	assert_true(content_is_summed(&sg->content));
	assert_published(st, publish(sg, "value"), data, PIECE);
	free(data);
}

/* ---- what needs them waits for them ---- */

/* Begins when the other thread does, and comes after it as a rule. */
static void *sum_late(void *arg)
{
	for (int i = 0; i < 100; i++)
		sched_yield();
	return sum_piece(arg);
}

static void begin(struct store_staged *sg, const uint8_t *data, struct piece *ret_piece,
		  pthread_t *ret_id)
{
	*ret_piece = write_piece(sg, data, 0);
	assert_int_equal(ret_piece->turn, 1);
	pthread_create(ret_id, NULL, sum_late, ret_piece);
}

/* Published before its sum is there; `before`, if any, comes in between. */
static void publish_unsummed(struct store *st, const uint8_t *data,
			     void (*before)(struct store_staged *sg))
{
	struct store_staged *sg = stage_new(st);
	struct piece piece;
	pthread_t id;
	uint64_t ino;

	begin(sg, data, &piece, &id);
	if (before)
		before(sg);
	ino = publish(sg, "value"); /* and is freed */
	pthread_join(id, NULL);
	assert_published(st, ino, data, PIECE);
}

static void test_publish_waits(void **state)
{
	struct store *st = store_of(state);
	uint8_t *data = pattern(ALL, 2);

	for (int i = 0; i < 20; i++)
		publish_unsummed(st, data, NULL);
	free(data);
}

static void fsync_and_close(struct store_staged *sg)
{
	assert_ok(store_staged_sync(sg));
	assert_ok(store_staged_flush(sg, ROOT, "value"));
	assert_true(content_is_summed(&sg->content));
}

static void test_a_close_after_fsync_waits(void **state)
{
	uint8_t *data = pattern(ALL, 3);

	publish_unsummed(store_of(state), data, fsync_and_close);
	free(data);
}

static void test_what_is_dropped_waits(void **state)
{
	struct store *st = store_of(state);
	struct store_staged *sg = stage_new(st);
	uint8_t *data = pattern(ALL, 4);
	struct piece piece;
	pthread_t id;

	begin(sg, data, &piece, &id);
	store_staged_free(sg);
	pthread_join(id, NULL);
	free(data);
	assert_left(st, 0, 0);
}

/* Over what was not summed yet: in its place, cut, made a hole, copied to. */
static void test_changes_wait(void **state)
{
	struct store *st = store_of(state);
	uint8_t *data = pattern(ALL, 5), *other = pattern(PIECE, 6);
	uint64_t from = put_value(st, "from", PIECE, 6), turn;

	for (int kind = 0; kind < 5; kind++) {
		struct store_staged *sg = stage_new(st);
		struct store_gen *gen = open_value(st, from);
		struct piece piece;
		size_t len = PIECE, n;
		pthread_t id;

		memcpy(data, other, PIECE);
		begin(sg, data, &piece, &id);
		switch (kind) {
		case 0:
			assert_ok(store_staged_write(sg, other, 5000, 100));
			break;
		case 1: /* once more in the same place */
			assert_ok(store_staged_write_first(sg, other, PIECE, 0, &turn));
			assert_int_equal(turn, 2);
			assert_int_equal(sg->content.summed, 1);
			store_staged_sum(sg, other, PIECE, 0, turn);
			break;
		case 2:
			len = 50000;
			assert_ok(store_staged_truncate(sg, len));
			break;
		case 3:
			assert_ok(store_staged_allocate(
			    sg, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 4096, 4096));
			break;
		case 4:
			assert_ok(store_staged_copy(sg, 0, gen, 0, PIECE, &n));
			assert_int_equal(n, PIECE);
			break;
		}
		assert_true(content_is_summed(&sg->content));
		pthread_join(id, NULL);
		if (kind == 0)
			memcpy(data + 100, other, 5000);
		if (kind == 3)
			memset(data + 4096, 0, 4096);
		assert_published(st, publish(sg, "value"), data, len);
		store_gen_close(gen);
	}
	free(other);
	free(data);
}

/* ---- what is summed at once ---- */

static void test_little_is_summed_at_once(void **state)
{
	struct store *st = store_of(state);
	struct store_staged *sg = stage_new(st);
	uint8_t *data = pattern(ALL, 7);
	uint64_t turn = 9;

	assert_ok(store_staged_write_first(sg, data, SMALL, 0, &turn)); /* in memory */
	assert_int_equal(turn, 0);
	turn = 9;
	assert_ok(store_staged_write_first(sg, data + SMALL, 10000, SMALL, &turn));
	assert_int_equal(turn, 0);
	assert_int_equal(sg->content.digest.len, SMALL + 10000);
	turn = 9;
	assert_ok(store_staged_write_first(sg, data, PIECE, SMALL + 10001, &turn));
	assert_int_equal(turn, 0); /* it does not go on there */
	assert_int_equal(sg->content.digest.len, SMALL + 10000);
	store_staged_free(sg);
	free(data);
}

int main(int argc, char **argv)
{
	struct CMUnitTest tests[] = {
	    STORE_TEST(test_in_any_order),
	    STORE_TEST(test_who_needs_none_does_not_wait),
	    STORE_TEST(test_publish_waits),
	    STORE_TEST(test_a_close_after_fsync_waits),
	    STORE_TEST(test_what_is_dropped_waits),
	    STORE_TEST(test_changes_wait),
	    STORE_TEST(test_little_is_summed_at_once),
	};

	return fixture_main(argc, argv, tests, sizeof(tests) / sizeof(*tests));
}
