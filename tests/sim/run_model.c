/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <err.h>
#include <stdlib.h>

#include "store/priority.h"
#include "store/usage.h"
#include "tests/sim/run.h"

struct entry {
	struct priority_facts facts;
	bool stored;
	uint32_t place; /* in `stored` */
	uint64_t born;
};

struct cache {
	const struct trace *t;
	enum model model;
	struct entry *entries; /* of each object */
	uint32_t *stored;
	size_t count;
	uint64_t total_bytes, high_bytes, low_bytes;
	struct priority_history history;
	size_t *next;	 /* of each request: the next one of the same object */
	size_t *next_of; /* of each object, as of now */
	uint64_t seed, births;
	struct score *score;
};

static const int64_t t0_ns = INT64_C(1700000000) * NSEC_PER_SEC;

/* ---- what the future brings ---- */

static void look_ahead(struct cache *c)
{
	const struct trace *t = c->t;

	c->next = calloc(t->request_count, sizeof(*c->next));
	c->next_of = calloc(t->object_count, sizeof(*c->next_of));
	if (!c->next || !c->next_of)
		err(1, "out of memory");
	for (size_t i = 0; i < t->object_count; i++)
		c->next_of[i] = SIZE_MAX;
	for (size_t i = t->request_count; i-- > 0;) {
		uint32_t object = t->requests[i].object;

		c->next[i] = c->next_of[object];
		c->next_of[object] = i;
	}
}

static double worth(const struct cache *c, uint32_t object, size_t now)
{
	size_t next = c->next_of[object];

	if (next == SIZE_MAX)
		return -1;
	return c->t->objects[object].cost_s /
	       ((double)c->entries[object].facts.charge_bytes * (double)(next - now));
}

/* ---- evicting ---- */

struct ranked {
	double rank;
	uint32_t object;
};

static int by_rank(const void *a, const void *b)
{
	double x = ((const struct ranked *)a)->rank, y = ((const struct ranked *)b)->rank;

	return (x > y) - (x < y);
}

static double rank_of(struct cache *c, uint32_t object, size_t now)
{
	const struct entry *e = &c->entries[object];
	int64_t now_ns = t0_ns + c->t->requests[now].at_ns;

	switch (c->model) {
	case MODEL_GDSF:
		return priority_of(STORE_GDSF, &c->history, &e->facts, now_ns);
	case MODEL_LRU:
		return priority_of(STORE_LRU, &c->history, &e->facts, now_ns);
	case MODEL_FIFO:
		return (double)e->born;
	case MODEL_RANDOM:
		return random_next(&c->seed);
	case MODEL_BEST:
		return worth(c, object, now);
	case MODEL_UNBOUNDED:
		break;
	}
	return 0;
}

static void drop(struct cache *c, uint32_t object)
{
	struct entry *e = &c->entries[object];

	c->stored[e->place] = c->stored[--c->count];
	c->entries[c->stored[e->place]].place = e->place;
	e->stored = false;
	c->total_bytes -= e->facts.charge_bytes;
	c->score->evicted++;
}

static void shrink(struct cache *c, size_t now)
{
	struct ranked *all = calloc(c->count, sizeof(*all));
	size_t count = c->count;

	if (!all)
		err(1, "out of memory");
	for (size_t i = 0; i < count; i++)
		all[i] = (struct ranked){rank_of(c, c->stored[i], now), c->stored[i]};
	qsort(all, count, sizeof(*all), by_rank);
	for (size_t i = 0; i < count && c->total_bytes > c->low_bytes; i++) {
		drop(c, all[i].object);
		if (c->model == MODEL_GDSF)
			priority_raise(&c->history, t0_ns + c->t->requests[now].at_ns,
				       all[i].rank);
	}
	free(all);
}

/* ---- requests ---- */

static void store_it(struct cache *c, uint32_t object, int64_t now_ns)
{
	struct entry *e = &c->entries[object];
	const struct object *o = &c->t->objects[object];

	e->facts = (struct priority_facts){.created_ns = now_ns,
					   .cost_s = o->cost_s,
					   .charge_bytes = o->bytes + USAGE_ROWS_BYTES};
	e->stored = true;
	e->born = c->births++;
	e->place = (uint32_t)c->count;
	c->stored[c->count++] = object;
	c->total_bytes += e->facts.charge_bytes;
}

static void serve(struct cache *c, size_t i)
{
	uint32_t object = c->t->requests[i].object;
	const struct object *o = &c->t->objects[object];
	struct entry *e = &c->entries[object];
	int64_t now_ns = t0_ns + c->t->requests[i].at_ns;

	c->score->requests++;
	c->score->bytes += o->bytes;
	c->score->cost_s += o->cost_s;
	c->next_of[object] = c->next[i];
	if (e->stored) {
		e->facts.reads++;
		e->facts.last_read_ns = now_ns;
		c->score->hits++;
		c->score->hit_bytes += o->bytes;
		c->score->saved_s += o->cost_s;
	} else if (c->model == MODEL_UNBOUNDED ||
		   (o->bytes + USAGE_ROWS_BYTES < c->low_bytes / 2 &&
		    !(c->model == MODEL_BEST && c->next[i] == SIZE_MAX))) {
		store_it(c, object, now_ns);
	}
	if (c->model != MODEL_UNBOUNDED && c->total_bytes > c->high_bytes)
		shrink(c, i);
	if (c->total_bytes > c->score->peak_bytes)
		c->score->peak_bytes = c->total_bytes;
}

void run_model(const struct trace *t, uint64_t size_bytes, enum model model,
	       uint64_t seed, struct score *ret_score)
{
	struct cache *c = calloc(1, sizeof(*c));

	if (!c)
		err(1, "out of memory");
	*ret_score = (struct score){0};
	c->t = t;
	c->model = model;
	c->seed = seed;
	c->score = ret_score;
	c->entries = calloc(t->object_count, sizeof(*c->entries));
	c->stored = calloc(t->object_count, sizeof(*c->stored));
	if (!c->entries || !c->stored)
		err(1, "out of memory");
	usage_marks(size_bytes, &c->high_bytes, &c->low_bytes);
	look_ahead(c);
	for (size_t i = 0; i < t->request_count; i++)
		serve(c, i);
	free(c->next);
	free(c->next_of);
	free(c->entries);
	free(c->stored);
	free(c);
}
