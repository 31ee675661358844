/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store_bench [--rounds N] [--keep] [DIR]
 *
 * What the operations of the engine cost, without a kernel in between, beside
 * what one row of their size costs in the database alone. Every round does each
 * of them some thousand times; printed is the median of the rounds and the range.
 * DIR, by default /tmp, is where the store is made, and removed again. With --keep what
 * is being written is kept for a successor, as the daemon does.
 */
#include <err.h>
#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "store/backend.h"
#include "store/store.h"
#include "store/util/keep.h"
#include "tests/conformance/scratch.h"

enum { VALUE_BYTES = 4096, ROW_BYTES = 160, NAMES = 2000, ROUNDS_MAX = 99 };

static struct {
	struct store *st;
	struct keep *keep;  /* or NULL */
	struct backend *be; /* beside it, with rows of the same sizes */
	uint64_t branch;    /* of a directory with NAMES values */
	uint64_t inos[NAMES];
	uint8_t value[VALUE_BYTES];
} bench;

static void must(int r, const char *doing)
{
	if (r)
		errx(1, "%s: %s", doing, strerror(-r));
}

static const char *name_of(const char *prefix, unsigned int i)
{
	static char name[64];

	snprintf(name, sizeof(name), "%s%u", prefix, i);
	return name;
}

/* ---- rows of the database ---- */

static struct slice row_key(const char *prefix, unsigned int i)
{
	const char *name = name_of(prefix, i);

	return slice(name, strlen(name));
}

static void put_row(const char *prefix, unsigned int i, size_t len)
{
	CLEANUP_BATCH struct batch b = BATCH_INIT;

	batch_put(&b, TABLE_SMALL, row_key(prefix, i), slice(bench.value, len));
	must(backend_commit(bench.be, &b), "commit");
}

static void get_row(const char *prefix, unsigned int i)
{
	CLEANUP_BUF struct buf value = BUF_INIT;

	must(backend_get(bench.be, TABLE_SMALL, row_key(prefix, i), &value), "get");
}

static void get_short(unsigned int i)
{
	get_row("short", i);
}

static void get_value(unsigned int i)
{
	get_row("value", i);
}

static void put_short(unsigned int i)
{
	put_row("short", i, ROW_BYTES);
}

static void put_value(unsigned int i)
{
	put_row("value", i, VALUE_BYTES);
}

/* ---- operations of the engine ---- */

static void lookup(unsigned int i)
{
	struct store_attr attr;

	must(store_lookup(bench.st, bench.branch, name_of("f", i), &attr), "lookup");
}

static void lookup_absent(unsigned int i)
{
	struct store_attr attr;

	if (store_lookup(bench.st, bench.branch, name_of("absent", i), &attr) != -ENOENT)
		errx(1, "a name that was never written");
}

static void get_attr(unsigned int i)
{
	struct store_attr attr;

	must(store_getattr(bench.st, bench.inos[i], &attr), "getattr");
}

static void open_close(unsigned int i)
{
	struct store_gen *gen;

	must(store_gen_open(bench.st, bench.inos[i], &gen), "open");
	store_gen_close(gen);
}

static void open_read_close(unsigned int i)
{
	uint8_t data[VALUE_BYTES];
	struct store_gen *gen;
	size_t len;

	must(store_gen_open(bench.st, bench.inos[i], &gen), "open");
	must(store_gen_read(gen, data, sizeof(data), 0, &len), "read");
	store_gen_hit(gen);
	store_gen_close(gen);
	if (len != sizeof(data))
		errx(1, "a short value");
}

static void publish(const char *name, uint64_t *ret_ino)
{
	struct store_stage_args args = {.branch = bench.branch, .mode = 0644};
	struct store_staged *sg;

	must(store_stage(bench.st, &args, &sg), "stage");
	must(store_staged_write(sg, bench.value, VALUE_BYTES, 0), "write");
	must(store_publish(sg, bench.branch, name, false, ret_ino, NULL), "publish");
	store_staged_free(sg);
}

static void write_on(unsigned int i)
{
	struct store_stage_args args = {.branch = bench.branch, .mode = 0644};
	struct store_staged *sg;

	must(store_stage(bench.st, &args, &sg), "stage");
	for (unsigned int n = 0; n < 8; n++)
		must(store_staged_write(sg, bench.value, VALUE_BYTES, n * VALUE_BYTES),
		     "write");
	store_staged_free(sg);
}

static void publish_over(unsigned int i)
{
	publish(name_of("f", i), &bench.inos[i]);
}

static void publish_new(unsigned int i)
{
	publish(name_of("new", i), NULL);
}

static void unlink_new(unsigned int i)
{
	must(store_unlink(bench.st, bench.branch, name_of("new", i)), "unlink");
}

static const struct work {
	const char *what;
	void (*run)(unsigned int i);
} works[] = {
    {"database: get 160 B", get_short},
    {"database: get 4 KiB", get_value},
    {"database: put 160 B", put_short},
    {"database: put 4 KiB", put_value},
    {"lookup", lookup},
    {"lookup of an absent name", lookup_absent},
    {"getattr", get_attr},
    {"open, close", open_close},
    {"open, read 4 KiB, close", open_read_close},
    {"stage, write 4 KiB eight times, drop", write_on},
    {"stage, write 4 KiB, publish over another", publish_over},
    {"stage, write 4 KiB, publish a new one", publish_new},
    {"unlink", unlink_new},
};
enum { WORKS = sizeof(works) / sizeof(works[0]) };

/* ---- measuring ---- */

static double now_us(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e6 + (double)ts.tv_nsec / 1e3;
}

/* Microseconds for one of NAMES. */
static double measure(const struct work *work)
{
	double begin = now_us();

	for (unsigned int i = 0; i < NAMES; i++)
		work->run(i * 7 % NAMES); /* not in the order of the keys */
	return (now_us() - begin) / NAMES;
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void run(unsigned int rounds)
{
	static double us[WORKS][ROUNDS_MAX];

	for (unsigned int round = 0; round < rounds; round++) {
		for (unsigned int w = 0; w < WORKS; w++)
			us[w][round] = measure(&works[w]);
		/* What was put off is not charged to whoever comes next. */
		must(store_settle(bench.st), "settle");
	}
	printf("%-44s %9s %9s %9s\n", "microseconds each", "median", "least", "most");
	for (unsigned int w = 0; w < WORKS; w++) {
		qsort(us[w], rounds, sizeof(us[w][0]), by_value);
		printf("%-44s %9.2f %9.2f %9.2f\n", works[w].what, us[w][rounds / 2],
		       us[w][0], us[w][rounds - 1]);
	}
}

static void make_keep(void)
{
	int fd = memfd_create("keep", MFD_CLOEXEC);
	struct errmsg msg = {""};

	if (fd < 0)
		err(1, "memfd_create");
	if (keep_open(fd, UINT64_C(256) << 20, &bench.keep, &msg))
		errx(1, "%s", msg.text);
	close(fd);
}

static void prepare(const char *dir)
{
	char store[SCRATCH_MAX + 8], db[SCRATCH_MAX + 8];
	struct store_options opt = {
	    .kind = STORE_ROCKSDB, .path = store, .keep = bench.keep};
	struct backend_options be_opt = {.path = db};
	struct store_attr attr;
	struct errmsg msg = {""};

	snprintf(store, sizeof(store), "%s/store", dir);
	snprintf(db, sizeof(db), "%s/db", dir);
	if (mkdir(db, 0700))
		err(1, "%s", db);
	if (store_open(&opt, &bench.st, &msg) ||
	    backend_rocksdb_new(&be_opt, &bench.be, &msg))
		errx(1, "%s", msg.text);
	/* Some levels deep, as a cache's names are. */
	bench.branch = STORE_ROOT_INO;
	for (unsigned int depth = 0; depth < 4; depth++) {
		must(store_mkdir(bench.st, bench.branch, "dir", 0755, 0, 0, &attr),
		     "mkdir");
		bench.branch = attr.ino;
	}
	for (size_t i = 0; i < VALUE_BYTES; i++)
		bench.value[i] = (uint8_t)(i * 131 + i / 251);
	for (unsigned int i = 0; i < NAMES; i++) {
		publish_over(i);
		put_short(i);
		put_value(i);
	}
}

int main(int argc, char **argv)
{
	char dir[SCRATCH_MAX];
	unsigned int rounds = 11;

	if (argc > 2 && !strcmp(argv[1], "--rounds")) {
		rounds = (unsigned int)strtoul(argv[2], NULL, 10);
		argv += 2;
		argc -= 2;
	}
	if (argc > 1 && !strcmp(argv[1], "--keep")) {
		make_keep();
		argv++;
		argc--;
	}
	if (argc > 2 || rounds < 1 || rounds > ROUNDS_MAX)
		errx(2, "usage: store_bench [--rounds 1..%d] [--keep] [DIR]", ROUNDS_MAX);
	if (argc == 2)
		setenv("TMPDIR", argv[1], 1);
	scratch_make(dir);
	prepare(dir);
	run(rounds);
	backend_free(bench.be);
	store_close(bench.st);
	keep_close(bench.keep);
	scratch_remove(dir);
	return 0;
}
