/* SPDX-License-Identifier: Apache-2.0 */
#include "store/census_count.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct census_ns {
	struct hlink link;
	struct store_census_ns counted;
};

/* ---- namespaces ---- */

static struct census_ns *find(const struct census_count *count, uint64_t ino)
{
	struct hlink *l = htab_first(&count->namespaces, hash_u64(ino));

	for (; l; l = htab_next(l)) {
		struct census_ns *ns = CONTAINER_OF(l, struct census_ns, link);

		if (ns->counted.ino == ino)
			return ns;
	}
	return NULL;
}

static struct census_ns *add(struct census_count *count, uint64_t ino)
{
	struct census_ns *ns = calloc(1, sizeof(*ns));

	if (!ns)
		return NULL;
	ns->counted.ino = ino;
	if (htab_add(&count->namespaces, &ns->link, hash_u64(ino))) {
		free(ns);
		return NULL;
	}
	return ns;
}

/* Past the limit, and when memory is short, they are counted together. */
static struct store_census_ns *namespace_of(struct census_count *count, uint64_t ino)
{
	struct census_ns *ns = find(count, ino);

	if (!ns && count->namespaces.count <= STORE_CENSUS_NAMESPACES)
		ns = add(count, ino);
	return ns ? &ns->counted : &count->other->counted;
}

int census_count_init(struct census_count *count)
{
	*count = (struct census_count){0};
	count->other = add(count, 0);
	return count->other ? 0 : -ENOMEM;
}

void census_count_deinit(struct census_count *count)
{
	for (struct hwalk w = htab_walk(&count->namespaces); w.link; hwalk_next(&w))
		free(CONTAINER_OF(w.link, struct census_ns, link));
	htab_deinit(&count->namespaces);
}

/* ---- histograms ---- */

unsigned int census_bucket(uint64_t value)
{
	unsigned int i = value ? 64 - (unsigned int)__builtin_clzll(value) : 0;

	return i < STORE_CENSUS_BUCKETS ? i : STORE_CENSUS_BUCKETS - 1;
}

static void add_to(struct store_histogram *histogram, uint64_t value, uint64_t bytes)
{
	unsigned int i = census_bucket(value);

	histogram->entries[i]++;
	histogram->bytes[i] += bytes;
}

/* Also of what somebody has set to be absurd. */
static uint64_t cost_ms(double cost_s)
{
	return cost_s < 1e15 ? (uint64_t)(cost_s * 1e3) : UINT64_MAX;
}

/* ---- the best ---- */

static void find_least(struct census_best *best)
{
	best->least = 0;
	for (size_t i = 1; i < best->count; i++)
		if (best->value[i] < best->value[best->least])
			best->least = i;
}

static void offer(struct census_best *best, double value,
		  const struct census_entry *entry)
{
	bool full = best->count == STORE_CENSUS_TOP;
	size_t i = full ? best->least : best->count;
	struct store_census_top *top = &best->top[i];

	if (!(value > 0) || (full && value <= best->value[i]))
		return;
	best->value[i] = value;
	*top = (struct store_census_top){.branch = entry->branch,
					 .hits = entry->hits,
					 .bytes = entry->bytes,
					 .cost_s = entry->cost_s};
	memcpy(top->name, entry->name.data, entry->name.len);
	if (!full)
		best->count++;
	if (best->count == STORE_CENSUS_TOP)
		find_least(best);
}

/* Into `ret`, the best first. */
static size_t take_best(struct census_best *best, struct store_census_top *ret)
{
	size_t n = best->count;

	for (size_t i = 0; i < n; i++) {
		size_t most = 0;

		for (size_t j = 1; j < n; j++)
			if (best->value[j] > best->value[most])
				most = j;
		ret[i] = best->top[most];
		best->value[most] = -1;
	}
	return n;
}

/* ---- entries ---- */

void census_count_entry(struct census_count *count, const struct census_entry *entry)
{
	struct store_census_ns *ns = namespace_of(count, entry->ns_ino);

	ns->entries++;
	ns->bytes += entry->bytes;
	if (entry->expired) {
		ns->expired_entries++;
		ns->expired_bytes += entry->bytes;
		return;
	}
	add_to(&count->age_s,
	       entry->age_ns > 0 ? (uint64_t)(entry->age_ns / NSEC_PER_SEC) : 0,
	       entry->bytes);
	add_to(&count->size_bytes, entry->size_bytes, entry->bytes);
	offer(&count->hottest, (double)entry->hits, entry);
	if (!(entry->cost_s >= 0))
		return;
	add_to(&count->cost_ms, cost_ms(entry->cost_s), entry->bytes);
	offer(&count->dearest, entry->cost_s * (double)entry->hits, entry);
}

void census_count_dir(struct census_count *count, uint64_t ns_ino, uint64_t bytes)
{
	namespace_of(count, ns_ino)->bytes += bytes;
}

/* ---- the end ---- */

static int larger_first(const void *a, const void *b)
{
	const struct store_census_ns *x = a, *y = b;

	if (x->bytes != y->bytes)
		return x->bytes < y->bytes ? 1 : -1;
	return (x->ino > y->ino) - (x->ino < y->ino);
}

static void take_namespaces(struct census_count *count, struct store_census *census)
{
	size_t n = 0;

	for (struct hwalk w = htab_walk(&count->namespaces); w.link; hwalk_next(&w))
		census->namespaces[n++] =
		    CONTAINER_OF(w.link, struct census_ns, link)->counted;
	census->namespace_count = n;
	qsort(census->namespaces, n, sizeof(*census->namespaces), larger_first);
}

int census_count_end(struct census_count *count, struct store_census **ret_census)
{
	struct store_census *census = calloc(1, sizeof(*census));

	if (census)
		census->namespaces =
		    calloc(count->namespaces.count, sizeof(*census->namespaces));
	if (!census || !census->namespaces) {
		store_census_free(census);
		return -ENOMEM;
	}
	census->age_s = count->age_s;
	census->cost_ms = count->cost_ms;
	census->size_bytes = count->size_bytes;
	take_namespaces(count, census);
	census->hottest_count = take_best(&count->hottest, census->hottest);
	census->dearest_count = take_best(&count->dearest, census->dearest);
	*ret_census = census;
	return 0;
}

void store_census_free(struct store_census *census)
{
	if (!census)
		return;
	free(census->namespaces);
	free(census);
}
