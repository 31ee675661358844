/* SPDX-License-Identifier: Apache-2.0 */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "store/evict.h"
#include "store/gc.h"
#include "store/internal.h"
#include "store/usage.h"
#include "tests/sim/run.h"

struct world {
	const struct trace *t;
	struct store *st;
	_Atomic int64_t now_ns;
	uint64_t *inos; /* of each object; 0: not stored */
	struct score *score;
};

static int64_t world_now_ns(void *arg)
{
	return atomic_load(&((struct world *)arg)->now_ns);
}

/* Names are the numbers of objects. By evict_step(), in the thread of the simulator. */
static void dropped(void *arg, const struct store_dropped *what)
{
	struct world *w = arg;

	w->inos[strtoul(what->name, NULL, 10)] = 0;
	w->score->evicted++;
}

static int publish(struct store *st, const struct inode_row *row)
{
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&st->names);
	CLEANUP_BATCH struct batch b = BATCH_INIT;

	return name_publish(st, &b, row, 0, NULL, 0, NULL);
}

static void store_it(struct world *w, uint32_t object)
{
	const struct object *o = &w->t->objects[object];
	struct inode_row row = {
	    .core = {.mode = S_IFREG | 0644,
		     .layout = LAYOUT_EXTENT,
		     .size_bytes = o->bytes,
		     .disk_bytes = o->bytes,
		     .created_ns = world_now_ns(w),
		     .ttl_ns = DURATION_UNSET},
	    .parent_branch = STORE_ROOT_INO,
	    .cost_s = o->cost_s,
	};
	char name[16];

	snprintf(name, sizeof(name), "%u", object);
	row.name = slice_str(name);
	if (ino_alloc(w->st, &row.core.ino) || publish(w->st, &row))
		errx(1, "an entry cannot be stored");
	w->inos[object] = row.core.ino;
}

static void evict(struct world *w)
{
	struct evict_step step = {0};

	while (!step.idle)
		if (evict_step(w->st, &step))
			errx(1, "an eviction failed");
}

static void serve(struct world *w, size_t i, uint64_t max_bytes)
{
	uint32_t object = w->t->requests[i].object;
	const struct object *o = &w->t->objects[object];
	uint64_t high, low, charges = 0;

	w->score->requests++;
	w->score->bytes += o->bytes;
	w->score->cost_s += o->cost_s;
	if (w->inos[object]) {
		gc_hits(w->st, w->inos[object], 1);
		w->score->hits++;
		w->score->hit_bytes += o->bytes;
		w->score->saved_s += o->cost_s;
		return;
	}
	if (o->bytes + USAGE_ROWS_BYTES >= max_bytes)
		return;
	store_it(w, object);
	usage_marks(atomic_load(&w->st->usage.size_bytes), &high, &low);
	/* What is dead is gone: here nobody waits for gc. */
	charges = (uint64_t)atomic_load(&w->st->usage.used);
	if (charges > high)
		evict(w);
	charges = (uint64_t)atomic_load(&w->st->usage.used);
	if (charges > w->score->peak_bytes)
		w->score->peak_bytes = charges;
}

void run_store(const struct trace *t, uint64_t size_bytes, enum store_policy policy,
	       uint64_t seed, struct score *ret_score)
{
	struct world w = {.t = t, .score = ret_score, .now_ns = 0};
	const struct store_clock clock = {.boot_ns = world_now_ns,
					  .wall_ns = world_now_ns,
					  .arg = &w,
					  .boot_id = "sim"};
	const struct store_options opt = {.kind = STORE_MEMORY,
					  .size_bytes = size_bytes,
					  .policy = policy,
					  .root_mode = 0755,
					  .clock = &clock};
	const struct store_watch watch = {.dropped = dropped, .arg = &w};
	const int64_t t0_ns = INT64_C(1700000000) * NSEC_PER_SEC;
	uint64_t high, low;
	struct errmsg err;

	*ret_score = (struct score){0};
	atomic_store(&w.now_ns, t0_ns);
	w.inos = calloc(t->object_count, sizeof(*w.inos));
	if (!w.inos)
		errx(1, "out of memory");
	if (store_open(&opt, &w.st, &err))
		errx(1, "%s", err.text);
	evict_stop(w.st);
	evict_seed(w.st, seed);
	store_watch(w.st, &watch);
	usage_marks(size_bytes, &high, &low);
	for (size_t i = 0; i < t->request_count; i++) {
		atomic_store(&w.now_ns, t0_ns + t->requests[i].at_ns);
		serve(&w, i, low / 2);
	}
	store_watch(w.st, NULL);
	store_close(w.st);
	free(w.inos);
}
