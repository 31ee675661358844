/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Compares what the store evicts with other ways, on made-up or published traces:
 * hit ratio, byte hit ratio, and the computing time saved.
 *
 *	sim [--workload NAME]… [--trace FILE]… [--requests N] [--objects N]
 *	    [--size PERCENT%|BYTES] [--seed N]
 *
 * Without a workload or trace: all workloads. The size is that of the store; percent are
 * of the bytes of all objects. Unless it is given it is a tenth of them; four fifths for
 * the loop, of which nothing is left in a small store by any rule that knows the past.
 */
#include <err.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/util/size.h"
#include "tests/sim/run.h"

struct options {
	size_t requests, objects;
	double percent;	     /* 0: not given */
	uint64_t size_bytes; /* 0: percent of all */
	uint64_t seed;
};

static void print_score(const char *name, const struct score *s)
{
	printf("  %-16s %8.2f %% %8.2f %% %8.2f %% %10llu\n", name,
	       100.0 * (double)s->hits / (double)s->requests,
	       100.0 * (double)s->hit_bytes / (double)s->bytes,
	       100.0 * s->saved_s / s->cost_s, (unsigned long long)s->evicted);
}

static void print_models(const struct trace *t, uint64_t size_bytes, uint64_t seed)
{
	static const struct {
		const char *name;
		enum model model;
	} models[] = {
	    {"gdsf, sorted", MODEL_GDSF},   {"lru, sorted", MODEL_LRU},
	    {"fifo", MODEL_FIFO},	    {"random", MODEL_RANDOM},
	    {"best (offline)", MODEL_BEST}, {"no bound", MODEL_UNBOUNDED},
	};
	struct score score;

	for (size_t i = 0; i < sizeof(models) / sizeof(*models); i++) {
		run_model(t, size_bytes, models[i].model, seed, &score);
		print_score(models[i].name, &score);
	}
}

static void compare(const char *name, const struct trace *t, const struct options *opt)
{
	double percent = opt->percent > 0 ? opt->percent : 10;
	uint64_t footprint = trace_footprint(t),
		 size_bytes = opt->size_bytes
				  ? opt->size_bytes
				  : (uint64_t)((double)footprint * percent / 100);
	char size[SIZE_TEXT_MAX], all[SIZE_TEXT_MAX];
	struct score score;

	size_format(size_bytes, size);
	size_format(footprint, all);
	printf("%s: %zu requests, %zu objects of %s in all, a store of %s\n", name,
	       t->request_count, t->object_count, all, size);
	printf("  %-16s %10s %10s %10s %10s\n", "", "hits", "hit bytes", "time saved",
	       "evicted");
	run_store(t, size_bytes, STORE_GDSF, opt->seed, &score);
	print_score("store, gdsf", &score);
	run_store(t, size_bytes, STORE_LRU, opt->seed, &score);
	print_score("store, lru", &score);
	print_models(t, size_bytes, opt->seed);
	fflush(stdout);
}

static void compare_made(const char *workload, const struct options *opt)
{
	struct options own = *opt;
	struct trace t;

	if (!own.percent && !strcmp(workload, "loop"))
		own.percent = 80;
	trace_make(&t, workload, own.requests, own.objects, own.seed);
	compare(workload, &t, &own);
	trace_deinit(&t);
}

static void compare_read(const char *path, const struct options *opt)
{
	struct trace t;

	trace_read(&t, path, opt->requests);
	compare(path, &t, opt);
	trace_deinit(&t);
}

static void parse_size(const char *text, struct options *opt)
{
	char *end;

	opt->percent = strtod(text, &end);
	opt->size_bytes = 0;
	if (end != text && !strcmp(end, "%") && opt->percent > 0)
		return;
	opt->percent = 0;
	if (size_parse(text, strlen(text), &opt->size_bytes) || !opt->size_bytes)
		errx(2, "%s: not a size; use e.g. 10%% or 1G", text);
}

static size_t parse_count(const char *text)
{
	char *end;
	unsigned long long count = strtoull(text, &end, 10);

	if (end == text || *end || !count || count > UINT32_MAX)
		errx(2, "%s: not a number of at least 1", text);
	return count;
}

enum {
	TRACE = 't',
	WORKLOAD = 'w',
	REQUESTS = 'r',
	OBJECTS = 'o',
	SIZE = 's',
	SEED = 'x'
};

static const struct option long_options[] = {
    {"trace", required_argument, NULL, TRACE},
    {"workload", required_argument, NULL, WORKLOAD},
    {"requests", required_argument, NULL, REQUESTS},
    {"objects", required_argument, NULL, OBJECTS},
    {"size", required_argument, NULL, SIZE},
    {"seed", required_argument, NULL, SEED},
    {0},
};

/* What was asked for is run in a second pass, with all the options. */
static int each_option(int argc, char **argv, struct options *opt, bool run)
{
	int asked = 0, c;

	optind = 1;
	while ((c = getopt_long(argc, argv, "", long_options, NULL)) != -1) {
		asked += c == TRACE || c == WORKLOAD;
		if (c == '?')
			exit(2);
		if (c == REQUESTS)
			opt->requests = parse_count(optarg);
		if (c == OBJECTS)
			opt->objects = parse_count(optarg);
		if (c == SEED)
			opt->seed = parse_count(optarg);
		if (c == SIZE)
			parse_size(optarg, opt);
		if (c == TRACE && run)
			compare_read(optarg, opt);
		if (c == WORKLOAD && run)
			compare_made(optarg, opt);
	}
	if (optind < argc)
		errx(2, "%s: not an option", argv[optind]);
	return asked;
}

int main(int argc, char **argv)
{
	static const char *const all[] = {"zipf", "scan", "loop", "ml"};
	struct options opt = {.requests = 86400, .objects = 20000, .seed = 1};

	if (each_option(argc, argv, &opt, false)) {
		each_option(argc, argv, &opt, true);
		return 0;
	}
	for (int i = 0; i < 4; i++)
		compare_made(all[i], &opt);
	return 0;
}
