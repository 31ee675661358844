/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/stats.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/handle.h"
#include "fs/node.h"
#include "fs/pending.h"
#include "fs/waiters.h"
#include "store/lease.h"

/* ---- namespaces: those that count, and those of the census ---- */

struct gather {
	struct fs *fs;
	struct stats *s;
	size_t cap;
	int r;
};

static struct stats_ns *find(const struct stats *s, uint64_t ns_ino)
{
	for (size_t i = 0; i < s->ns_count; i++)
		if (s->namespaces[i].ino == ns_ino)
			return &s->namespaces[i];
	return NULL;
}

const struct stats_ns *stats_find(const struct stats *s, uint64_t ns_ino)
{
	return find(s, ns_ino);
}

/* By its path, since the current version may have one of that name. */
static bool path_of_version(struct fs *fs, uint64_t branch, const char *name,
			    char ret_path[STATS_NAME_MAX])
{
	CLEANUP_BUF struct buf version = BUF_INIT;
	uint64_t dir_ino;

	if (store_branch_owner(fs->store, branch, &dir_ino, &version) ||
	    dir_ino != STORE_ROOT_INO)
		return false; /* moved below another, where it is no namespace */
	snprintf(ret_path, STATS_NAME_MAX, ".memofs/%s%.*s/%s",
		 version.len ? "versions/" : "view/version=", (int)version.len,
		 version.len ? (const char *)version.data : "", name);
	return true;
}

/* Now: it may have been renamed since the census. False: it is gone. */
static bool name_of(struct fs *fs, uint64_t ino, char ret_name[STATS_NAME_MAX])
{
	char name[STORE_NAME_MAX + 1];
	uint64_t branch, current;

	*ret_name = '\0';
	if (!ino)
		return true;
	if (name_of_ino(fs, ino, &branch, name))
		return false;
	if (store_branch(fs->store, STORE_ROOT_INO, NULL, false, &current) ||
	    branch != current)
		return path_of_version(fs, branch, name, ret_name);
	strcpy(ret_name, name);
	return true;
}

/* NULL: it is gone, or there is no memory. */
static struct stats_ns *add(struct gather *g, uint64_t ino)
{
	struct stats *s = g->s;
	struct stats_ns *ns;

	if (s->ns_count == g->cap) {
		size_t cap = g->cap ? 2 * g->cap : 64;

		ns = realloc(s->namespaces, cap * sizeof(*ns));
		if (!ns) {
			g->r = -ENOMEM;
			return NULL;
		}
		s->namespaces = ns;
		g->cap = cap;
	}
	ns = &s->namespaces[s->ns_count];
	memset(ns, 0, sizeof(*ns));
	ns->ino = ino;
	if (!name_of(g->fs, ino, ns->name))
		return NULL;
	s->ns_count++;
	return ns;
}

static void add_counted(void *arg, const struct metrics_ns *counted)
{
	struct gather *g = arg;
	uint64_t ino = metrics_ns_ino(counted);
	struct stats_ns *ns;

	if (!ino && g->s->ns_count) /* gone since they were listed: 0 is the first */
		return;
	ns = add(g, ino);
	if (ns)
		metrics_ns_totals(counted, &ns->totals);
}

static int by_ino(const void *a, const void *b)
{
	const struct stats_ns *x = a, *y = b;

	return (x->ino > y->ino) - (x->ino < y->ino);
}

static void add_census(struct gather *g)
{
	const struct store_census *c = g->s->census;
	size_t counted = g->s->ns_count;

	qsort(g->s->namespaces, counted, sizeof(struct stats_ns), by_ino);
	for (size_t i = 0; c && i < c->namespace_count; i++) {
		const struct store_census_ns *from = &c->namespaces[i];
		struct stats_ns key = {.ino = from->ino};
		struct stats_ns *ns =
		    bsearch(&key, g->s->namespaces, counted, sizeof(key), by_ino);

		if (!ns)
			ns = add(g, from->ino);
		if (!ns)
			continue;
		ns->entries = from->entries;
		ns->bytes = from->bytes;
		ns->expired_entries = from->expired_entries;
		ns->expired_bytes = from->expired_bytes;
		ns->quota_bytes = from->quota_bytes;
	}
}

static int by_saved(const void *a, const void *b)
{
	const struct stats_ns *x = a, *y = b;
	uint64_t sx = x->totals.ever.n[STORE_COUNT_SAVED_US];
	uint64_t sy = y->totals.ever.n[STORE_COUNT_SAVED_US];

	if (sx != sy)
		return sx < sy ? 1 : -1;
	return x->bytes != y->bytes ? (x->bytes < y->bytes ? 1 : -1)
				    : strcmp(x->name, y->name);
}

/* ---- all ---- */

int stats_gather(struct fs *fs, struct stats *ret_stats)
{
	struct stats *s = ret_stats;
	struct gather g = {fs, s, 0, 0};
	int r;

	memset(s, 0, sizeof(*s));
	r = store_stats(fs->store, &s->store);
	if (r)
		return r;
	s->now_ns = time_now_ns();
	metrics_totals(fs->metrics, &s->totals, &s->since_ns);
	store_bounds(fs->store, &s->bounds);
	store_census(fs->store, &s->census); /* without it the rest is good, too */
	metrics_each(fs->metrics, add_counted, &g);
	add_census(&g);
	qsort(s->namespaces, s->ns_count, sizeof(*s->namespaces), by_saved);
	s->handles = handle_count(fs->handles);
	s->pending = pending_count(fs->pending);
	s->waiting = waiters_count(fs->waiters);
	s->reservations = store_lease_count(fs->store);
	return g.r;
}

void stats_deinit(struct stats *s)
{
	store_census_free(s->census);
	free(s->namespaces);
}

/* ---- values ---- */

const struct stats_field stats_fields[STATS_FIELDS] = {
    {"saved_s", STORE_COUNT_SAVED_US, STATS_SECONDS},
    {"hits", STORE_COUNT_HITS, STATS_NUMBER},
    {"misses", STORE_COUNTS, STATS_NUMBER},
    {"misses_absent", STORE_COUNT_MISSES_ABSENT, STATS_NUMBER},
    {"misses_expired", STORE_COUNT_MISSES_EXPIRED, STATS_NUMBER},
    {"misses_too_old", STORE_COUNT_MISSES_TOO_OLD, STATS_NUMBER},
    {"misses_damaged", STORE_COUNT_MISSES_DAMAGED, STATS_NUMBER},
    {"bytes_read", STORE_COUNT_BYTES_READ, STATS_NUMBER},
    {"bytes_written", STORE_COUNT_BYTES_WRITTEN, STATS_NUMBER},
    {"published", STORE_COUNT_PUBLISHED, STATS_NUMBER},
    {"failed", STORE_COUNT_FAILED, STATS_NUMBER},
    {"computed_s", STORE_COUNT_COMPUTED_US, STATS_SECONDS},
    {"evicted", STORE_COUNT_EVICTED, STATS_NUMBER},
    {"evicted_bytes", STORE_COUNT_EVICTED_BYTES, STATS_NUMBER},
    {"evicted_cost_s", STORE_COUNT_EVICTED_COST_US, STATS_SECONDS},
    {"expired", STORE_COUNT_EXPIRED, STATS_NUMBER},
    {"expired_bytes", STORE_COUNT_EXPIRED_BYTES, STATS_NUMBER},
    {"reserved", STORE_COUNT_RESERVED, STATS_NUMBER},
    {"reserved_busy", STORE_COUNT_RESERVED_BUSY, STATS_NUMBER},
    {"waits", STORE_COUNT_WAITS, STATS_NUMBER},
    {"waited_s", STORE_COUNT_WAITED_US, STATS_SECONDS},
};

void stats_put_value(struct put *p, const struct stats_field *f,
		     const struct store_counts *c)
{
	uint64_t n = f->what == STORE_COUNTS ? store_counts_misses(c) : c->n[f->what];

	if (f->unit == STATS_NUMBER)
		put(p, "%" PRIu64, n);
	else
		put(p, "%" PRIu64 ".%06" PRIu64, n / 1000000, n % 1000000);
}
