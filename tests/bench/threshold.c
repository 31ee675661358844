/* SPDX-License-Identifier: Apache-2.0 */
/*
 * threshold DIR: what a value costs as a row of the database and as an extent,
 * by its size: the measurement behind the default of `small-max`.
 *
 * DIR is made and filled with one store after the other; its file system is what
 * is measured. Each line is one store; times are microseconds a value.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#include "store/store.h"

#define TOTAL_BYTES (128u << 20)
#define COUNT_MAX 8000
#define NAME_BYTES 16

static void must(int r, const char *what)
{
	if (r == 0)
		return;
	fprintf(stderr, "threshold: %s: %s\n", what, strerror(-r));
	exit(1);
}

static double now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

struct run {
	struct store *st;
	size_t size;
	unsigned int count;
	uint8_t *data;
	uint64_t ino[COUNT_MAX];
};

static void put_all(struct run *run)
{
	struct store_stage_args args = {.branch = STORE_ROOT_INO, .mode = 0644};

	for (unsigned int i = 0; i < run->count; i++) {
		struct store_staged *sg;
		char name[NAME_BYTES];

		snprintf(name, sizeof(name), "%u", i);
		memcpy(run->data, &i, sizeof(i)); /* no two are alike */
		must(store_stage(run->st, &args, &sg), "stage");
		must(store_staged_write(sg, run->data, run->size, 0), "write");
		must(store_publish(sg, args.branch, name, false, &run->ino[i], NULL),
		     "publish");
		store_staged_free(sg);
	}
}

static void settle(struct run *run)
{
	must(store_settle(run->st), "settle");
	must(store_sync(run->st), "sync");
}

/* In another order than they were written. */
static void read_all(struct run *run)
{
	for (unsigned int i = 0; i < run->count; i++) {
		struct store_gen *gen;
		size_t len;

		must(store_gen_open(run->st, run->ino[i * 7919u % run->count], &gen),
		     "open");
		must(store_gen_read(gen, run->data, run->size, 0, &len), "read");
		store_gen_close(gen);
	}
}

static void remove_all(struct run *run)
{
	for (unsigned int i = 0; i < run->count; i++) {
		char name[NAME_BYTES];

		snprintf(name, sizeof(name), "%u", i);
		must(store_unlink(run->st, STORE_ROOT_INO, name), "unlink");
	}
	settle(run);
}

static double timed_us(struct run *run, void (*step)(struct run *run))
{
	double begin_us = now_us();

	step(run);
	return (now_us() - begin_us) / run->count;
}

static long written_blocks(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return usage.ru_oublock;
}

static void measure(struct run *run, const char *dir, bool row)
{
	double put_us, settle_us, read_us, remove_us;
	long blocks = written_blocks();
	struct errmsg err = {0};
	char path[4096];
	struct store_options opt = {.kind = STORE_ROCKSDB,
				    .path = path,
				    .small_max_bytes = row ? (uint32_t)run->size : 1,
				    .root_mode = 0755};

	snprintf(path, sizeof(path), "%s/%zu-%s", dir, run->size, row ? "row" : "extent");
	must(store_open(&opt, &run->st, &err), path);
	put_us = timed_us(run, put_all);
	settle_us = timed_us(run, settle);
	read_us = timed_us(run, read_all);
	remove_us = timed_us(run, remove_all);
	store_close(run->st);
	printf("%8zu %-7s %8.1f %8.1f %8.1f %8.1f %8.2f\n", run->size,
	       row ? "row" : "extent", put_us, settle_us, read_us, remove_us,
	       (double)(written_blocks() - blocks) * 512 /
		   ((double)run->count * (double)run->size));
}

int main(int argc, char **argv)
{
	struct run *run = calloc(1, sizeof(*run));

	if (argc != 2 || !run) {
		fprintf(stderr, "usage: threshold DIR\n");
		return 2;
	}
	if (mkdir(argv[1], 0700))
		must(-errno, argv[1]);
	printf("%8s %-7s %8s %8s %8s %8s %8s\n", "bytes", "as", "put", "settle", "read",
	       "remove", "written");
	for (run->size = 4096; run->size <= 256 * 1024; run->size *= 2) {
		run->count = (unsigned int)(TOTAL_BYTES / run->size);
		if (run->count > COUNT_MAX)
			run->count = COUNT_MAX;
		run->data = malloc(run->size);
		if (!run->data)
			must(-ENOMEM, "data");
		for (size_t i = 0; i < run->size; i++)
			run->data[i] = (uint8_t)rand();
		measure(run, argv[1], false);
		measure(run, argv[1], true);
		free(run->data);
	}
	free(run);
	return 0;
}
