/* SPDX-License-Identifier: Apache-2.0 */
/* stats.json and history.csv. */
#include <inttypes.h>
#include <math.h>

#include "fs/stats.h"

static void put_counts(struct put *p, const char *key, const struct store_counts *c)
{
	put(p, "\"%s\":{", key);
	for (int i = 0; i < STATS_FIELDS; i++) {
		put(p, "%s\"%s\":", i ? "," : "", stats_fields[i].key);
		stats_put_value(p, &stats_fields[i], c);
	}
	put(p, "}");
}

/* STORE_SIZE_NONE is no number of bytes. */
static void put_bound(struct put *p, const char *key, uint64_t bytes)
{
	if (bytes == STORE_SIZE_NONE)
		put(p, "\"%s\":null,", key);
	else
		put(p, "\"%s\":%" PRIu64 ",", key, bytes);
}

static void put_store(struct put *p, const struct stats *s)
{
	const struct store_bounds *b = &s->bounds;
	const struct store_stats *st = &s->store;

	put(p, "\"store\":{");
	put_bound(p, "size_bytes", b->size_bytes);
	put_bound(p, "max_entry_bytes", b->max_entry_bytes);
	put(p,
	    "\"total_bytes\":%" PRIu64 ",\"used_bytes\":%" PRIu64
	    ",\"shared_bytes\":%" PRIu64 ",\"dead_bytes\":%" PRIu64
	    ",\"staged_bytes\":%" PRIu64 ",",
	    b->total_bytes, b->used_bytes, b->shared_bytes, b->dead_bytes,
	    b->staged_bytes);
	put(p,
	    "\"entries\":%" PRIu64 ",\"dirs\":%" PRIu64 ",\"bytes\":%" PRIu64
	    ",\"memory_bytes\":%" PRIu64 ",\"db_disk_bytes\":%" PRIu64 ",",
	    st->entries, st->dirs, st->bytes, st->memory_bytes, st->db_disk_bytes);
	put(p,
	    "\"disk_avail_bytes\":%" PRIu64 ",\"min_free_bytes\":%" PRIu64
	    ",\"policy\":\"%s\"},\n",
	    st->disk_avail_bytes, b->min_free_bytes,
	    b->policy == STORE_LRU ? "lru" : "gdsf");
}

static void put_now(struct put *p, const struct stats *s)
{
	put(p,
	    "\"now\":{\"open_handles\":%" PRIu64 ",\"pending_writes\":%" PRIu64
	    ",\"waiting_opens\":%" PRIu64 ",\"reservations\":%" PRIu64 "},\n",
	    s->handles, s->pending, s->waiting, s->reservations);
}

static void put_latency(struct put *p, struct fs *fs, enum metrics_op op)
{
	struct metrics_latency l;

	metrics_latency(fs->metrics, op, &l);
	put(p, "\"%s\":{\"count\":%" PRIu64 ",\"sum_s\":%.9f,\"buckets\":[",
	    metrics_op_name(op), l.count, l.sum_s);
	for (unsigned int i = 0; i + 1 < METRICS_BUCKETS; i++)
		put(p, "[%.9g,%" PRIu64 "],", metrics_bucket_s(i), l.buckets[i]);
	put(p, "[null,%" PRIu64 "]]}", l.buckets[METRICS_BUCKETS - 1]);
}

static void put_latencies(struct put *p, struct fs *fs)
{
	put(p, "\"latency\":{");
	for (int op = 0; op < METRICS_OPS; op++) {
		put_latency(p, fs, (enum metrics_op)op);
		put(p, op + 1 < METRICS_OPS ? ",\n" : "},\n");
	}
}

static void put_histogram(struct put *p, const char *key, const struct store_histogram *h,
			  double unit)
{
	put(p, "\"%s\":[", key);
	for (int i = 0; i < STORE_CENSUS_BUCKETS; i++) {
		if (i + 1 < STORE_CENSUS_BUCKETS)
			put(p, "[%.9g", ldexp(unit, i));
		else
			put(p, "[null");
		put(p, ",%" PRIu64 ",%" PRIu64 "]%s", h->entries[i], h->bytes[i],
		    i + 1 < STORE_CENSUS_BUCKETS ? "," : "]");
	}
}

static void put_census(struct put *p, const struct store_census *c)
{
	static const struct store_histogram none;
	bool complete = c && c->at_ns;

	put(p, "\"census\":{");
	put_time(p, "time", complete ? c->at_ns : 0);
	put(p, ",\"complete\":%s,\n", complete ? "true" : "false");
	put_histogram(p, "age_s", c ? &c->age_s : &none, 1);
	put(p, ",\n");
	put_histogram(p, "cost_s", c ? &c->cost_ms : &none, 1e-3);
	put(p, ",\n");
	put_histogram(p, "size_bytes", c ? &c->size_bytes : &none, 1);
	put(p, "},\n");
}

static void put_namespace(struct put *p, const struct stats_ns *ns)
{
	put(p, "{\"name\":");
	put_string(p, ns->name);
	put(p,
	    ",\"entries\":%" PRIu64 ",\"bytes\":%" PRIu64 ",\"expired_entries\":%" PRIu64
	    ",\"expired_bytes\":%" PRIu64,
	    ns->entries, ns->bytes, ns->expired_entries, ns->expired_bytes);
	if (ns->quota_bytes)
		put(p, ",\"quota_bytes\":%" PRIu64 ",", ns->quota_bytes);
	else
		put(p, ",\"quota_bytes\":null,");
	put_counts(p, "total", &ns->totals.ever);
	put(p, ",");
	put_counts(p, "since_start", &ns->totals.start);
	put(p, "}");
}

int stats_json(struct fs *fs, uint64_t dir_ino, struct buf *out)
{
	CLEANUP_STATS struct stats s;
	struct put p = {out, stats_gather(fs, &s)};

	put(&p, "{\"version\":\"%s\",", MEMOFS_VERSION);
	put_time(&p, "time", s.now_ns);
	put(&p, ",");
	put_time(&p, "started", fs->started_ns);
	put(&p, ",");
	put_time(&p, "since", s.since_ns);
	put(&p, ",\n");
	put_counts(&p, "total", &s.totals.ever);
	put(&p, ",\n");
	put_counts(&p, "since_start", &s.totals.start);
	put(&p, ",\n");
	put_store(&p, &s);
	put_now(&p, &s);
	put_latencies(&p, fs);
	put_census(&p, s.census);
	put(&p, "\"namespaces\":[");
	for (size_t i = 0; i < s.ns_count; i++) {
		put(&p, i ? ",\n" : "\n");
		put_namespace(&p, &s.namespaces[i]);
	}
	put(&p, "]}\n");
	return p.r;
}

/* ---- history.csv ---- */

struct csv {
	struct put p;
	enum store_history_step step;
};

static int put_sample(void *arg, const struct store_sample *sample)
{
	struct csv *csv = arg;
	struct put *p = &csv->p;

	put(p, "%" PRId64 ",%" PRId64, store_history_step_ns(csv->step) / NSEC_PER_SEC,
	    sample->at_ns / NSEC_PER_SEC);
	for (int i = 0; i < STATS_FIELDS; i++) {
		put(p, ",");
		stats_put_value(p, &stats_fields[i], &sample->counts);
	}
	put(p, ",%" PRIu64 ",%" PRIu64 "\n", sample->total_bytes, sample->entries);
	return p->r;
}

int stats_history(struct fs *fs, uint64_t dir_ino, struct buf *out)
{
	struct csv csv = {.p = {out, 0}};
	int64_t now_ns = time_now_ns();
	int r;

	put(&csv.p, "step_s,time");
	for (int i = 0; i < STATS_FIELDS; i++)
		put(&csv.p, ",%s", stats_fields[i].key);
	put(&csv.p, ",total_bytes,entries\n");
	csv.step = STORE_HISTORY_HOUR;
	r = store_history_each(fs->store, csv.step, now_ns, put_sample, &csv);
	csv.step = STORE_HISTORY_MINUTE;
	if (!r)
		r = store_history_each(fs->store, csv.step, now_ns, put_sample, &csv);
	return r ? r : csv.p.r;
}
