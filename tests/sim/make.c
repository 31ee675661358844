/* SPDX-License-Identifier: Apache-2.0 */
#include <err.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "store/util/duration.h"
#include "store/util/htab.h"
#include "tests/sim/trace.h"

#define ALPHA 0.9
#define BYTES_MIN 512.0
#define BYTES_MAX ((double)(64 << 20))

double random_next(uint64_t *seed)
{
	*seed += UINT64_C(0x9e3779b97f4a7c15);
	return (double)(hash_u64(*seed) >> 11) * 0x1p-53;
}

/* Box and Muller. */
static double normal(uint64_t *seed)
{
	double u = 1 - random_next(seed), v = random_next(seed);

	return sqrt(-2 * log(u)) * cos(2 * M_PI * v);
}

static double log_normal(uint64_t *seed, double median, double sigma)
{
	return median * exp(sigma * normal(seed));
}

static struct object object_of(uint64_t *seed, double bytes, double sigma, double cost_s,
			       double cost_sigma)
{
	double b = log_normal(seed, bytes, sigma);

	b = b < BYTES_MIN ? BYTES_MIN : b > BYTES_MAX ? BYTES_MAX : b;
	return (struct object){.bytes = (uint64_t)b,
			       .cost_s = log_normal(seed, cost_s, cost_sigma)};
}

/* ---- Zipf: the popularity of rank i is 1 / i^ALPHA ---- */

struct zipf {
	double *sums;
	size_t count;
};

static void zipf_init(struct zipf *z, size_t count)
{
	double sum = 0;

	z->sums = calloc(count, sizeof(*z->sums));
	z->count = count;
	if (!z->sums)
		err(1, "out of memory");
	for (size_t i = 0; i < count; i++)
		z->sums[i] = sum += pow((double)i + 1, -ALPHA);
}

static size_t zipf_next(const struct zipf *z, uint64_t *seed)
{
	double at = random_next(seed) * z->sums[z->count - 1];
	size_t low = 0, high = z->count - 1;

	while (low < high) {
		size_t mid = (low + high) / 2;

		if (z->sums[mid] <= at)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

/* ---- workloads: the object of request `i` ---- */

struct making {
	struct trace *t;
	struct zipf zipf;
	uint64_t seed;
	size_t once; /* the next of those that are asked for once */
};

/* Ranks are no order of making. */
static size_t shuffled(const struct making *m, size_t rank, size_t among)
{
	return (rank * 7919 + 13) % among;
}

static size_t next_zipf(struct making *m, size_t i)
{
	return shuffled(m, zipf_next(&m->zipf, &m->seed), m->zipf.count);
}

static size_t next_scan(struct making *m, size_t i)
{
	/* A tenth of the time nothing but them. */
	if (i % 5000 < 500 && m->once < m->t->object_count)
		return m->once++;
	return next_zipf(m, i);
}

static size_t next_loop(struct making *m, size_t i)
{
	return i % m->t->object_count;
}

/* A quarter of the objects of a class is another one every eighth of the time. */
static size_t next_ml(struct making *m, size_t i)
{
	size_t rank = zipf_next(&m->zipf, &m->seed);
	size_t phase = i * 8 / m->t->request_count;

	return (shuffled(m, rank, m->zipf.count) + phase * m->zipf.count / 4) %
	       m->t->object_count;
}

static const struct object_class {
	double bytes, sigma, cost_s, cost_sigma;
} plain = {1 << 20, 1.5, 0.5, 2}, same = {1 << 20, 0, 1, 0},
  mixed[] = {
      {32 << 10, 1, 20, 1},    /* features of a sample */
      {16 << 20, 0.5, 200, 1}, /* what training leaves */
      {1 << 20, 1, 2, 1},      /* data made ready */
      {256 << 10, 1, 0.05, 1}, /* what is as soon made again */
};

static const struct object_class *class_of(const char *workload, size_t object)
{
	if (!strcmp(workload, "loop"))
		return &same;
	return strcmp(workload, "ml") ? &plain : &mixed[object % 4];
}

static const struct workload {
	const char *name;
	size_t (*next)(struct making *m, size_t i);
	double popular; /* part of the objects that popularity is about */
} workloads[] = {
    {"zipf", next_zipf, 1},
    {"scan", next_scan, 0.5},
    {"loop", next_loop, 1},
    {"ml", next_ml, 0.5},
};

static const struct workload *workload_find(const char *name)
{
	for (size_t i = 0; i < sizeof(workloads) / sizeof(*workloads); i++)
		if (!strcmp(workloads[i].name, name))
			return &workloads[i];
	errx(2, "%s: no workload; there are zipf, scan, loop and ml", name);
}

void trace_make(struct trace *t, const char *workload, size_t requests, size_t objects,
		uint64_t seed)
{
	const struct workload *w = workload_find(workload);
	struct making m = {.t = t, .seed = seed};

	*t = (struct trace){.request_count = requests, .object_count = objects};
	t->requests = calloc(requests, sizeof(*t->requests));
	t->objects = calloc(objects, sizeof(*t->objects));
	if (!t->requests || !t->objects)
		err(1, "out of memory");
	m.once = (size_t)((double)objects * w->popular);
	zipf_init(&m.zipf, m.once);
	for (size_t i = 0; i < objects; i++) {
		const struct object_class *c = class_of(workload, i);

		t->objects[i] =
		    object_of(&m.seed, c->bytes, c->sigma, c->cost_s, c->cost_sigma);
	}
	for (size_t i = 0; i < requests; i++)
		t->requests[i] = (struct request){.at_ns = (int64_t)i * NSEC_PER_SEC,
						  .object = (uint32_t)w->next(&m, i)};
	free(m.zipf.sums);
}

void trace_deinit(struct trace *t)
{
	free(t->requests);
	free(t->objects);
	*t = (struct trace){0};
}

uint64_t trace_footprint(const struct trace *t)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < t->object_count; i++)
		bytes += t->objects[i].bytes;
	return bytes;
}
