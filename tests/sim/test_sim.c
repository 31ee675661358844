/* SPDX-License-Identifier: Apache-2.0 */
/* What eviction is worth, on small traces: the simulator has the larger ones. */
/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
/* clang-format on */

#include <err.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/sim/run.h"

#define REQUESTS 20000
#define OBJECTS 5000
#define SEED 1
/* Of all computing time. A build asks for everything once, in a circle: where it fits
 * with some room, nothing is better than to go by the last use. */
#define LOOP_SLACK 0.06

static double saved(const struct score *s)
{
	return s->saved_s / s->cost_s;
}

/* A tenth of what there is. */
static uint64_t tenth(const struct trace *t)
{
	return trace_footprint(t) / 10;
}

static void test_gdsf_saves_more_than_lru(void **state)
{
	struct score gdsf, lru, best;
	struct trace t;

	trace_make(&t, "ml", REQUESTS, OBJECTS, SEED);
	run_store(&t, tenth(&t), STORE_GDSF, SEED, &gdsf);
	run_store(&t, tenth(&t), STORE_LRU, SEED, &lru);
	run_model(&t, tenth(&t), MODEL_BEST, SEED, &best);
	print_message("saved: gdsf %.4f, lru %.4f, best %.4f\n", saved(&gdsf),
		      saved(&lru), saved(&best));
	assert_true(saved(&gdsf) > 1.1 * saved(&lru));
	assert_true(saved(&gdsf) < saved(&best));
	assert_true(gdsf.evicted > 0 && gdsf.peak_bytes <= tenth(&t));
	trace_deinit(&t);
}

static void compare_sorted(const char *workload, enum store_policy policy,
			   enum model model)
{
	struct score sampled, sorted;
	struct trace t;

	trace_make(&t, workload, REQUESTS, OBJECTS, SEED);
	run_store(&t, tenth(&t), policy, SEED, &sampled);
	run_model(&t, tenth(&t), model, SEED, &sorted);
	print_message("%s: sampled %.4f, sorted %.4f\n", workload, saved(&sampled),
		      saved(&sorted));
	assert_true(fabs(saved(&sampled) - saved(&sorted)) < 0.03);
	trace_deinit(&t);
}

/* A sample finds what sorting everything would, nearly. */
static void test_sampling_is_as_good_as_sorting(void **state)
{
	compare_sorted("zipf", STORE_GDSF, MODEL_GDSF);
	compare_sorted("scan", STORE_GDSF, MODEL_GDSF);
	compare_sorted("ml", STORE_GDSF, MODEL_GDSF);
	compare_sorted("zipf", STORE_LRU, MODEL_LRU);
}

struct saved {
	double gdsf, lru;
};

/* With a store of so many sixteenths of all bytes. */
static struct saved compare_policies(const struct trace *t, unsigned int parts)
{
	uint64_t size_bytes = trace_footprint(t) * parts / 16;
	struct score gdsf, lru, best, all;

	run_store(t, size_bytes, STORE_GDSF, SEED, &gdsf);
	run_store(t, size_bytes, STORE_LRU, SEED, &lru);
	run_model(t, size_bytes, MODEL_BEST, SEED, &best);
	run_model(t, size_bytes, MODEL_UNBOUNDED, SEED, &all);
	print_message("%u/16 saved: gdsf %.4f, lru %.4f, best %.4f, no bound %.4f\n",
		      parts, saved(&gdsf), saved(&lru), saved(&best), saved(&all));
	assert_true(gdsf.evicted > 0 && gdsf.peak_bytes <= size_bytes);
	assert_true(lru.evicted > 0 && lru.peak_bytes <= size_bytes);
	assert_true(saved(&gdsf) > saved(&lru) - LOOP_SLACK);
	assert_true(saved(&gdsf) <= saved(&best) && saved(&lru) <= saved(&best));
	assert_true(saved(&best) <= saved(&all));
	return (struct saved){saved(&gdsf), saved(&lru)};
}

/* This project's own builds, by record.py. */
static void test_builds(void **state)
{
	static const unsigned int parts[] = {1, 2, 3, 4, 8};
	struct saved sum = {0, 0}, one;
	struct trace t;

	trace_read(&t, *state, SIZE_MAX);
	assert_true(t.request_count > 5000 && t.object_count > 1000);
	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++) {
		one = compare_policies(&t, parts[i]);
		sum.gdsf += one.gdsf;
		sum.lru += one.lru;
	}
	assert_true(sum.gdsf > sum.lru);
	trace_deinit(&t);
}

static size_t read_text(const char *text, struct trace *t)
{
	char path[] = "/tmp/memofs-sim-XXXXXX";
	int fd = mkstemp(path);
	FILE *file = fdopen(fd, "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
	trace_read(t, path, SIZE_MAX);
	unlink(path);
	return t->request_count;
}

static void test_formats(void **state)
{
	struct trace t;

	assert_int_equal(read_text("0.5 a 100 2\n1.5  b 200 0.25\n2 a 100 2\n", &t), 3);
	assert_int_equal(t.object_count, 2);
	assert_int_equal(t.requests[1].at_ns, 1000000000);
	assert_int_equal(t.requests[2].object, 0);
	assert_true(t.objects[1].cost_s == 0.25 && t.objects[1].bytes == 200);
	trace_deinit(&t);

	/* As record.py writes. */
	assert_int_equal(read_text("# two builds\n0 0 100 2\n+0.01 1 200 1\n"
				   "+0.01 2 5 3\n60 0 100 2\n+0.01 1 200 1\n",
				   &t),
			 5);
	assert_int_equal(t.object_count, 3);
	assert_int_equal(t.requests[2].at_ns, 20000000);
	assert_int_equal(t.requests[4].at_ns, 60010000000);
	trace_deinit(&t);

	/* Meta, 2022: no times, and a read may count for several. */
	assert_int_equal(read_text("key,op,size,op_count,key_size\n"
				   "1668757755,SET,82,1,40\n1668757755,GET,82,3,40\n"
				   "1665497896,GET,0,1,78\n",
				   &t),
			 3);
	assert_int_equal(t.object_count, 1);
	assert_true(t.objects[0].cost_s > 0);
	trace_deinit(&t);

	/* Meta, 2024. */
	assert_int_equal(
	    read_text("op_time,key,key_size,op,op_count,size,cache_hits,ttl\n"
		      "100,8213,48,GET,1,87,1,0\n103,8213,48,GET_LEASE,1,87,1,0\n"
		      "104,9999,48,DELETE,1,87,1,0\n",
		      &t),
	    2);
	assert_int_equal(t.requests[1].at_ns, 3000000000);
	trace_deinit(&t);

	/* libCacheSim's example, and Twitter's. */
	assert_int_equal(
	    read_text("version,time,op,size,lbn\n1,33898,2a,512,42932745\n", &t), 1);
	trace_deinit(&t);
	assert_int_equal(
	    read_text("0,nz:u:ee,17,213,2,get,0\n1,nz:u:ee,17,213,2,set,60\n", &t), 1);
	assert_int_equal(t.objects[0].bytes, 213);
	trace_deinit(&t);
}

/* test_sim TRACE */
int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_gdsf_saves_more_than_lru),
	    cmocka_unit_test(test_sampling_is_as_good_as_sorting),
	    cmocka_unit_test(test_formats),
	    cmocka_unit_test_prestate(test_builds, argv[1]),
	};

	if (argc != 2)
		errx(2, "usage: test_sim TRACE");
	return cmocka_run_group_tests(tests, NULL, NULL);
}
