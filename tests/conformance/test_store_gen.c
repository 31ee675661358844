/* SPDX-License-Identifier: Apache-2.0 */
/* Reading generations: what keeps them, what deletes them, what is damaged. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "store/gen.h"
#include "store/internal.h"
#include "tests/conformance/value_fixture.h"

static struct store *store_of(void **state)
{
	return ((struct fixture *)*state)->st;
}

/* ---- keeping ---- */

struct kept {
	uint64_t ino;
	struct store_gen *gen;
	uint8_t *data;
	size_t len;
};

static struct kept keep(struct store *st, const char *name, size_t len)
{
	uint64_t ino = put_value(st, name, len, len);

	return (struct kept){ino, open_value(st, ino), pattern(len, len), len};
}

static void check_kept(struct kept *k)
{
	assert_gen(k->gen, k->data, k->len);
}

static void end_kept(struct kept *k)
{
	check_kept(k);
	store_gen_close(k->gen);
	free(k->data);
}

static void remove_by(struct store *st, const char *name, int how)
{
	uint64_t ino = lookup(st, ROOT, name);

	switch (how) {
	case 0:
		assert_ok(store_unlink(st, ROOT, name));
		break;
	case 1:
		put_value(st, name, 1, 99);
		break;
	case 2:
		put_value(st, "other", 1, 99);
		assert_ok(store_rename(st, ROOT, "other", ROOT, name, 0, NULL));
		break;
	default:
		set_ttl_ms(st, ino, 1);
		sleep_until(time_now_ns() + 5 * 1000 * 1000);
		assert_int_equal(lookup(st, ROOT, name), 0);
	}
}

/* Read neither before nor after: what is loaded late is there all the same. */
static void test_reader_keeps_its_generation(void **state)
{
	static const size_t sizes[] = {10, SMALL, SMALL + 1, 3 * MIB};
	struct store *st = store_of(state);
	struct store_attr attr;

	for (size_t i = 0; i < 4; i++) {
		for (int how = 0; how < 4; how++) {
			struct kept k = keep(st, "f", sizes[i]),
				    late = keep(st, "g", sizes[i]);

			check_kept(&k);
			remove_by(st, "f", how);
			remove_by(st, "g", how);
			assert_ok(store_settle(st));
			assert_ok(store_gen_attr_by_ino(st, k.ino, &attr));
			assert_int_equal(attr.size_bytes, sizes[i]);
			end_kept(&k);
			end_kept(&late);
		}
	}
}

static void test_deleted_at_last_close(void **state)
{
	struct store *st = store_of(state);
	struct kept large = keep(st, "large", MIB), again, small = keep(st, "small", 100);

	again = (struct kept){large.ino, NULL, pattern(MIB, MIB), MIB};
	assert_ok(store_gen_open(st, lookup(st, ROOT, "large"), &again.gen));
	assert_ptr_equal(again.gen, large.gen);
	assert_ok(store_unlink(st, ROOT, "large"));
	assert_ok(store_unlink(st, ROOT, "small"));
	assert_ok(store_settle(st));
	assert_int_equal(count_extents(st), 1);
	assert_int_equal(count_rows(st, TABLE_SMALL), 1);
	assert_int_equal(count_rows(st, TABLE_GCQ), 2);

	end_kept(&small);
	end_kept(&large);
	assert_ok(store_settle(st));
	assert_int_equal(count_extents(st), 1);
	assert_int_equal(count_rows(st, TABLE_SMALL), 0);
	end_kept(&again);
	assert_left(st, 0, 0);
}

/* The thread does it by itself. */
static void test_deleted_in_the_background(void **state)
{
	struct store *st = store_of(state);

	put_value(st, "large", MIB, 1);
	put_value(st, "small", 10, 1);
	assert_ok(store_unlink(st, ROOT, "large"));
	assert_ok(store_unlink(st, ROOT, "small"));
	for (int i = 0; i < 100 && (count_extents(st) || count_rows(st, TABLE_GCQ)); i++)
		usleep(100 * 1000);
	assert_int_equal(count_extents(st), 0);
	assert_int_equal(count_rows(st, TABLE_GCQ), 0);
	assert_int_equal(count_rows(st, TABLE_UNSYNCED), 0);
	assert_int_equal(count_rows(st, TABLE_SMALL), 0);
	assert_int_equal(count_rows(st, TABLE_SUMS), 0);
}

static void test_open_refusals(void **state)
{
	struct store *st = store_of(state);
	uint64_t file = put_value(st, "f", 10, 1), dir = make_dir(st, ROOT, "d");
	uint64_t link = make_link(st, ROOT, "l");
	struct kept k = keep(st, "k", 10);
	uint64_t kept = lookup(st, ROOT, "k");
	struct store_gen *gen;

	assert_int_equal(store_gen_open(st, dir, &gen), -EINVAL);
	assert_int_equal(store_gen_open(st, link, &gen), -EINVAL);
	assert_int_equal(store_gen_open(st, 1 << 30, &gen), -ENOENT);
	set_ttl_ms(st, file, 1);
	sleep_until(time_now_ns() + 5 * 1000 * 1000);
	assert_int_equal(store_gen_open(st, file, &gen), -ETIME);
	/* That somebody has it open makes it no less gone. */
	assert_ok(store_unlink(st, ROOT, "k"));
	assert_int_equal(store_gen_open(st, kept, &gen), -ENOENT);
	end_kept(&k);
}

static void test_attributes_of_what_is_open(void **state)
{
	struct store *st = store_of(state);
	struct kept k = keep(st, "f", 10);
	uint64_t ino = k.ino;
	struct store_attr attr = {.mode = 0600};

	assert_ok(store_setattr(st, ino, STORE_SET_MODE, &attr, &attr));
	assert_ok(store_gen_attr_by_ino(st, k.ino, &attr));
	assert_int_equal(attr.mode, S_IFREG | 0600);
	assert_ok(store_unlink(st, ROOT, "f"));
	assert_int_equal(store_getattr(st, ino, &attr), -ENOENT);
	memset(&attr, 0, sizeof(attr));
	assert_ok(store_gen_attr_by_ino(st, ino, &attr));
	assert_int_equal(attr.mode, S_IFREG | 0600);
	assert_int_equal(attr.size_bytes, 10);
	end_kept(&k);
	assert_int_equal(store_gen_attr_by_ino(st, ino, &attr), -ENOENT);
}

static uint64_t hits_of(struct store *st, uint64_t ino)
{
	struct store_facts facts;

	assert_ok(store_facts(st, ino, &facts));
	return facts.hits;
}

static void test_hits(void **state)
{
	struct fixture *fx = *state;
	uint64_t ino = put_value(fx->st, "f", 10, 1);
	struct store_gen *gen = open_value(fx->st, ino);

	assert_int_equal(hits_of(fx->st, ino), 0);
	store_gen_hit(gen);
	store_gen_hit(gen);
	assert_int_equal(hits_of(fx->st, ino), 2);
	store_gen_close(gen);
	assert_int_equal(hits_of(fx->st, ino), 2);
	assert_ok(store_settle(fx->st));
	assert_int_equal(count_rows(fx->st, TABLE_HEAT), 1);
	gen = open_value(fx->st, ino);
	store_gen_hit(gen);
	store_gen_close(gen);
	assert_int_equal(hits_of(fx->st, ino), 3);
	if (fx->kind != STORE_MEMORY) {
		fixture_close(fx);
		fixture_open(fx);
		assert_int_equal(hits_of(fx->st, ino), 3);
	}
	assert_ok(store_unlink(fx->st, ROOT, "f"));
	assert_left(fx->st, 0, 0);
	assert_int_equal(count_rows(fx->st, TABLE_HEAT), 0);
}

/* ---- damage ---- */

/* The next lookup misses, and nothing of it is left. */
static void assert_dropped(struct store *st, const char *name)
{
	assert_int_equal(lookup(st, ROOT, name), 0);
	assert_left(st, 0, 0);
}

static void test_flipped_bit_in_small(void **state)
{
	struct store *st = store_of(state);
	uint64_t ino = put_value(st, "f", 1000, 1);
	struct store_gen *gen;
	uint8_t data[1000];
	size_t n;

	flip_small(st, ino, 999);
	gen = open_value(st, ino);
	assert_int_equal(store_gen_read(gen, data, sizeof(data), 0, &n), -EUCLEAN);
	assert_int_equal(store_gen_read(gen, data, 1, 0, &n), -EUCLEAN);
	store_gen_close(gen);
	assert_dropped(st, "f");
}

static void test_flipped_bit_in_extent(void **state)
{
	struct store *st = store_of(state);
	uint64_t ino = put_value(st, "f", MIB + 100, 1);
	uint8_t *data = malloc(2 * MIB), *want = pattern(MIB + 100, 1);
	struct store_gen *gen;
	size_t n;

	flip_extent(st, ino, MIB + 50);
	gen = open_value(st, ino);
	/* Blocks before it are as they were; of its own, no byte is given out. */
	assert_ok(store_gen_read(gen, data, MIB, 0, &n));
	assert_memory_equal(data, want, MIB);
	assert_int_equal(store_gen_read(gen, data, 1, MIB, &n), -EUCLEAN);
	store_gen_close(gen);
	assert_dropped(st, "f");
	free(data);
	free(want);
}

static void test_flipped_bit_in_whole_read(void **state)
{
	struct store *st = store_of(state);
	uint64_t ino = put_value(st, "f", 4 * MIB, 1);
	uint8_t *data = malloc(4 * MIB);
	struct store_gen *gen;
	size_t n;

	flip_extent(st, ino, 2 * MIB);
	gen = open_value(st, ino);
	assert_int_equal(store_gen_read(gen, data, 4 * MIB, 0, &n), -EUCLEAN);
	store_gen_close(gen);
	assert_dropped(st, "f");
	free(data);
}

static void test_missing_content(void **state)
{
	struct store *st = store_of(state);
	uint64_t small = put_value(st, "small", 10, 1),
		 large = put_value(st, "large", MIB, 1);
	uint64_t sums = put_value(st, "sums", MIB, 1);
	struct batch b = BATCH_INIT;
	struct key key = key_ino(small);
	struct store_gen *gen;
	uint8_t byte;
	size_t n;

	batch_del(&b, TABLE_SMALL, key_slice(&key));
	key = key_sums(sums, 0);
	batch_del(&b, TABLE_SUMS, key_slice(&key));
	assert_ok(backend_commit(st->be, &b));
	batch_deinit(&b);
	assert_ok(backend_extent_remove(st->be, large));

	gen = open_value(st, small);
	assert_int_equal(store_gen_read(gen, &byte, 1, 0, &n), -EUCLEAN);
	store_gen_close(gen);
	gen = open_value(st, sums);
	assert_int_equal(store_gen_read(gen, &byte, 1, 0, &n), -EUCLEAN);
	store_gen_close(gen);
	assert_int_equal(store_gen_open(st, large, &gen), -EUCLEAN);
	assert_int_equal(lookup(st, ROOT, "small"), 0);
	assert_int_equal(lookup(st, ROOT, "sums"), 0);
	assert_dropped(st, "large");
}

/* What has taken the name meanwhile is not what is bad. */
static void test_damage_of_a_replaced_one(void **state)
{
	struct store *st = store_of(state);
	uint64_t ino = put_value(st, "f", MIB, 1), next;
	struct store_gen *gen = open_value(st, ino);
	uint8_t byte;
	size_t n;

	flip_extent(st, ino, 0);
	next = put_value(st, "f", 10, 2);
	assert_int_equal(store_gen_read(gen, &byte, 1, 0, &n), -EUCLEAN);
	store_gen_close(gen);
	assert_int_equal(lookup(st, ROOT, "f"), next);
	assert_left(st, 1, 0);
}

/* ---- reading ahead ---- */

/* As <linux/mman.h> has it since 6.5, which is newer than some headers. */
#ifndef SYS_cachestat
#define SYS_cachestat 451
#endif
struct pages {
	uint64_t cached, dirty, writeback, evicted, recently_evicted;
};

/* How many pages of these bytes are in memory. -1: it cannot be said. */
static int64_t cached_pages(int fd, uint64_t off, uint64_t len)
{
	uint64_t range[2] = {off, len};
	struct pages pages;

	return syscall(SYS_cachestat, fd, range, &pages, 0) ? -1 : (int64_t)pages.cached;
}

/* Nothing of it is in memory, and of who reads it the kernel does not read ahead. */
static bool make_cold(struct store_gen *gen)
{
	assert_ok(fdatasync(gen->fd));
	assert_ok(posix_fadvise(gen->fd, 0, 0, POSIX_FADV_RANDOM));
	assert_ok(posix_fadvise(gen->fd, 0, 0, POSIX_FADV_DONTNEED));
	return cached_pages(gen->fd, 0, gen->size_bytes) == 0;
}

static void read_range(struct store_gen *gen, const uint8_t *want, size_t from, size_t to)
{
	static uint8_t data[4 * BLOCK];
	size_t n;

	for (size_t at = from; at < to; at += n) {
		assert_ok(store_gen_read(gen, data, sizeof(data), at, &n));
		assert_int_equal(n, sizeof(data));
		assert_memory_equal(data, want + at, n);
	}
}

/* And what it finds is not believed: what is bad is so when it is read, not before. */
static void test_reads_ahead(void **state)
{
	struct store *st = store_of(state);
	const size_t size = 32 * MIB, come = 8 * MIB, bad = come + 6 * MIB;
	uint64_t ino = put_value(st, "large", size, 1);
	uint8_t *want = pattern(size, 1), byte;
	struct store_gen *gen;
	size_t n;

	flip_extent(st, ino, bad + 7);
	gen = open_value(st, ino);
	if (make_cold(gen)) {
		int64_t end_ns = time_monotonic_ns() + 25 * NSEC_PER_SEC;
		const int64_t pages = (int64_t)(6 * MIB / 4096);

		read_range(gen, want, 0, come);
		while (cached_pages(gen->fd, come, 6 * MIB) < pages) {
			assert_true(time_monotonic_ns() < end_ns);
			usleep(1000);
		}
		read_range(gen, want, come, bad);
	}
	assert_int_equal(store_gen_read(gen, &byte, 1, bad, &n), -EUCLEAN);
	store_gen_close(gen);
	assert_left(st, 0, 0);
	free(want);
}

/* Nor is it kept: not by who removes it, nor by who closes the store (the fixture). */
static void test_removed_while_it_is_read_ahead(void **state)
{
	struct store *st = store_of(state);
	const size_t size = 16 * MIB;
	uint8_t *want = pattern(size, 1);

	for (int i = 0; i < 12; i++) {
		struct store_gen *gen = open_value(st, put_value(st, "large", size, 1));

		make_cold(gen);
		read_range(gen, want, 0, 4 * MIB);
		if (i % 2)
			assert_ok(store_unlink(st, ROOT, "large"));
		if (i % 3)
			read_range(gen, want, 4 * MIB, 12 * MIB);
		store_gen_close(gen);
		assert_left(st, 0, !(i % 2));
	}
	free(want);
	want = pattern(size, 2);
	for (int i = 0; i < 2; i++) {
		struct store_gen *gen =
		    open_value(st, put_value(st, i ? "a" : "b", size, 2));

		make_cold(gen);
		read_range(gen, want, 0, 4 * MIB);
		store_gen_close(gen);
	}
	free(want);
}

/* ---- many at once ---- */

enum { WRITERS = 4, READERS = 4, ROUNDS = 150 };

/* Every eight bytes of a generation are its seed, and its size follows from it. */
static size_t size_of_seed(uint64_t seed)
{
	static const size_t sizes[] = {8, 4096, SMALL, SMALL + 8, BLOCK, 2 * BLOCK + 64};

	return sizes[seed % 6];
}

struct shared {
	struct store *st;
	_Atomic uint64_t seed;
	atomic_bool done;
	_Atomic uint64_t reads;
	_Atomic(const char *) failure;
};

static void fail_with(struct shared *sh, const char *what)
{
	atomic_store(&sh->failure, what);
}

static void write_one(struct shared *sh)
{
	uint64_t seed = atomic_fetch_add(&sh->seed, 1);
	size_t size = size_of_seed(seed);
	struct store_stage_args args = {.branch = ROOT, .mode = 0644};
	uint64_t *data = malloc(size);
	struct store_staged *sg;

	for (size_t i = 0; i < size / 8; i++)
		data[i] = seed;
	if (store_stage(sh->st, &args, &sg)) {
		fail_with(sh, "stage");
	} else {
		if (store_staged_write(sg, data, size / 2, 0) ||
		    store_staged_write(sg, (char *)data + size / 2, size - size / 2,
				       size / 2) ||
		    store_publish(sg, ROOT, "f", false, NULL, NULL))
			fail_with(sh, "publish");
		store_staged_free(sg);
	}
	free(data);
}

static void *writer(void *arg)
{
	struct shared *sh = arg;

	for (int i = 0; i < ROUNDS; i++)
		write_one(sh);
	return NULL;
}

static void check_read(struct shared *sh, struct store_gen *gen, uint64_t *data)
{
	size_t n, max = 4 * BLOCK;

	if (store_gen_read(gen, data, max, 0, &n)) {
		fail_with(sh, "read");
		return;
	}
	if (n < 8 || n != size_of_seed(data[0])) {
		fail_with(sh, "size");
		return;
	}
	for (size_t i = 0; i < n / 8; i++)
		if (data[i] != data[0])
			fail_with(sh, "torn");
	atomic_fetch_add(&sh->reads, 1);
}

static void *reader(void *arg)
{
	struct shared *sh = arg;
	uint64_t *data = malloc(4 * BLOCK);

	while (!atomic_load(&sh->done) && !atomic_load(&sh->failure)) {
		struct store_attr attr;
		struct store_gen *gen;
		int r = store_lookup(sh->st, ROOT, "f", &attr);

		if (r) {
			fail_with(sh, "miss");
			break;
		}
		r = store_gen_open(sh->st, attr.ino, &gen);
		if (r == -ENOENT) /* replaced in between */
			continue;
		if (r) {
			fail_with(sh, "open");
			break;
		}
		check_read(sh, gen, data);
		store_gen_hit(gen);
		store_gen_close(gen);
	}
	free(data);
	return NULL;
}

static void test_whole_generations_only(void **state)
{
	struct shared sh = {.st = store_of(state)};
	pthread_t writers[WRITERS], readers[READERS];

	write_one(&sh);
	for (int i = 0; i < READERS; i++)
		assert_ok(pthread_create(&readers[i], NULL, reader, &sh));
	for (int i = 0; i < WRITERS; i++)
		assert_ok(pthread_create(&writers[i], NULL, writer, &sh));
	for (int i = 0; i < WRITERS; i++)
		pthread_join(writers[i], NULL);
	atomic_store(&sh.done, true);
	for (int i = 0; i < READERS; i++)
		pthread_join(readers[i], NULL);
	if (atomic_load(&sh.failure))
		fail_msg("%s", atomic_load(&sh.failure));
	assert_true(atomic_load(&sh.reads) > ROUNDS);
	assert_ok(store_unlink(sh.st, ROOT, "f"));
	assert_left(sh.st, 0, 0);
}

/* One object, many readers, each finding blocks that nobody has checked yet. */
struct one_object {
	struct store_gen *gen;
	const uint8_t *data;
	size_t len;
	unsigned int seed;
	bool wrong;
};

static void *random_reader(void *arg)
{
	struct one_object *o = arg;
	uint8_t *got = malloc(3 * BLOCK);

	for (int i = 0; i < 500 && !o->wrong; i++) {
		size_t off = (size_t)rand_r(&o->seed) % o->len;
		size_t len = 1 + (size_t)rand_r(&o->seed) % (3 * BLOCK - 1), n = 0;

		if (store_gen_read(o->gen, got, len, off, &n) ||
		    n != (len < o->len - off ? len : o->len - off) ||
		    memcmp(got, o->data + off, n))
			o->wrong = true;
	}
	free(got);
	return NULL;
}

static void check_shared_reads(struct store *st, size_t len)
{
	struct one_object o[READERS];
	pthread_t threads[READERS];
	struct kept k = keep(st, "f", len);

	for (unsigned int i = 0; i < READERS; i++) {
		o[i] = (struct one_object){k.gen, k.data, len, i, false};
		assert_ok(pthread_create(&threads[i], NULL, random_reader, &o[i]));
	}
	for (int i = 0; i < READERS; i++)
		pthread_join(threads[i], NULL);
	for (int i = 0; i < READERS; i++)
		assert_false(o[i].wrong);
	end_kept(&k);
}

static void test_readers_of_one_object(void **state)
{
	struct store *st = store_of(state);

	check_shared_reads(st, 10000);
	check_shared_reads(st, 20 * MIB + 12345);
}

int main(int argc, char **argv)
{
	struct CMUnitTest tests[] = {
	    STORE_TEST(test_reader_keeps_its_generation),
	    STORE_TEST(test_deleted_at_last_close),
	    STORE_TEST(test_deleted_in_the_background),
	    STORE_TEST(test_open_refusals),
	    STORE_TEST(test_attributes_of_what_is_open),
	    STORE_TEST(test_hits),
	    STORE_TEST(test_flipped_bit_in_small),
	    STORE_TEST(test_flipped_bit_in_extent),
	    STORE_TEST(test_flipped_bit_in_whole_read),
	    STORE_TEST(test_missing_content),
	    STORE_TEST(test_damage_of_a_replaced_one),
	    STORE_TEST(test_reads_ahead),
	    STORE_TEST(test_removed_while_it_is_read_ahead),
	    STORE_TEST(test_whole_generations_only),
	    STORE_TEST(test_readers_of_one_object),
	};

	return fixture_main(argc, argv, tests, sizeof(tests) / sizeof(*tests));
}
