/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The exposition format of Prometheus, version 0.0.4. Counters are of this process, and
 * begin at 0 with it: a counter that goes back by a little, as totals do that were
 * not written before a crash, would be taken for a new one with all it has.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fs/backing.h"
#include "fs/stats.h"
#include "store/util/text.h"
#include "store/util/utf8.h"

struct text {
	struct fs *fs;
	const struct stats *s;
	const struct stats_ns *only; /* of one namespace; NULL: of all */
	struct put p;
};

static void head(struct text *t, const char *name, const char *type, const char *help)
{
	put(&t->p, "# HELP memofs_%s %s\n# TYPE memofs_%s %s\n", name, help, name, type);
}

/*
 * The value of a label is UTF-8, and two names may not be one: what is no character
 * is escaped, and so is the backslash, before the format's own escapes.
 */
static int put_label(const char *name, struct buf *out)
{
	size_t left = strlen(name), n;
	int r = 0;

	for (; !r && left; name += n, left -= n) {
		uint32_t c = 0;

		n = utf8_decode(name, left, &c);
		if (!n || c < 0x20 || c == 0x7f)
			r = buf_printf(out, "\\\\x%02x", (unsigned char)*name);
		else if (c == '\\')
			r = buf_append(out, "\\\\\\\\", 4);
		else if (c == '"')
			r = buf_append(out, "\\\"", 2);
		else
			r = buf_append(out, name, n);
		n = n ? n : 1;
	}
	return r;
}

static void begin_sample(struct text *t, const char *name, const struct stats_ns *ns)
{
	put(&t->p, "memofs_%s{namespace=\"", name);
	if (!t->p.r)
		t->p.r = put_label(ns->name, t->p.out);
	put(&t->p, "\"");
}

/* ---- counters ---- */

/* Those of one name follow each other: they are told apart by a label. */
static const struct counter {
	const char *name;
	const char *help; /* NULL: as the one before */
	const char *label;
	enum store_count what;
	enum stats_unit unit;
} counters[] = {
    {"saved_seconds_total", "What the entries that were read had cost to compute.", "",
     STORE_COUNT_SAVED_US, STATS_SECONDS},
    {"hits_total", "Entries opened for reading.", "", STORE_COUNT_HITS, STATS_NUMBER},
    {"misses_total", "Lookups that found no entry, by reason.", ",reason=\"absent\"",
     STORE_COUNT_MISSES_ABSENT, STATS_NUMBER},
    {"misses_total", NULL, ",reason=\"expired\"", STORE_COUNT_MISSES_EXPIRED,
     STATS_NUMBER},
    {"misses_total", NULL, ",reason=\"too_old\"", STORE_COUNT_MISSES_TOO_OLD,
     STATS_NUMBER},
    {"misses_total", NULL, ",reason=\"damaged\"", STORE_COUNT_MISSES_DAMAGED,
     STATS_NUMBER},
    {"read_bytes_total", "Bytes of entries read from the daemon.", "",
     STORE_COUNT_BYTES_READ, STATS_NUMBER},
    {"written_bytes_total", "Bytes written to values.", "", STORE_COUNT_BYTES_WRITTEN,
     STATS_NUMBER},
    {"published_total", "Entries published.", "", STORE_COUNT_PUBLISHED, STATS_NUMBER},
    {"failed_total", "Values that were not stored.", "", STORE_COUNT_FAILED,
     STATS_NUMBER},
    {"computed_seconds_total", "What the published entries had cost to compute.", "",
     STORE_COUNT_COMPUTED_US, STATS_SECONDS},
    {"evicted_entries_total", "Entries evicted.", "", STORE_COUNT_EVICTED, STATS_NUMBER},
    {"evicted_bytes_total", "Bytes of evicted entries.", "", STORE_COUNT_EVICTED_BYTES,
     STATS_NUMBER},
    {"evicted_cost_seconds_total", "What the evicted entries had cost to compute.", "",
     STORE_COUNT_EVICTED_COST_US, STATS_SECONDS},
    {"expired_entries_total", "Entries deleted after they had expired.", "",
     STORE_COUNT_EXPIRED, STATS_NUMBER},
    {"expired_bytes_total", "Bytes of entries deleted after they had expired.", "",
     STORE_COUNT_EXPIRED_BYTES, STATS_NUMBER},
    {"reservations_total", "Reservations asked for, by result.", ",result=\"acquired\"",
     STORE_COUNT_RESERVED, STATS_NUMBER},
    {"reservations_total", NULL, ",result=\"busy\"", STORE_COUNT_RESERVED_BUSY,
     STATS_NUMBER},
    {"waits_total", "Opens that waited for what was being computed.", "",
     STORE_COUNT_WAITS, STATS_NUMBER},
    {"wait_seconds_total", "Time that opens have waited, of those that are over.", "",
     STORE_COUNT_WAITED_US, STATS_SECONDS},
};

static void put_counter(struct text *t, const struct counter *c,
			const struct stats_ns *ns)
{
	const struct stats_field f = {.what = c->what, .unit = c->unit};

	begin_sample(t, c->name, ns);
	put(&t->p, "%s} ", c->label);
	stats_put_value(&t->p, &f, &ns->totals.start);
	put(&t->p, "\n");
}

static void put_counters(struct text *t)
{
	for (size_t i = 0; i < sizeof(counters) / sizeof(*counters); i++) {
		if (counters[i].help)
			head(t, counters[i].name, "counter", counters[i].help);
		if (t->only)
			put_counter(t, &counters[i], t->only);
		for (size_t n = 0; !t->only && n < t->s->ns_count; n++)
			put_counter(t, &counters[i], &t->s->namespaces[n]);
	}
}

/* ---- gauges of namespaces: what the last census saw ---- */

static void put_ns_gauge(struct text *t, const char *name, const char *help,
			 uint64_t (*value)(const struct stats_ns *ns))
{
	head(t, name, "gauge", help);
	for (size_t n = 0; n < t->s->ns_count; n++) {
		const struct stats_ns *ns = &t->s->namespaces[n];

		if (t->only && ns != t->only)
			continue;
		begin_sample(t, name, ns);
		put(&t->p, "} %" PRIu64 "\n", value(ns));
	}
}

static uint64_t entries_of(const struct stats_ns *ns)
{
	return ns->entries;
}

static uint64_t bytes_of(const struct stats_ns *ns)
{
	return ns->bytes;
}

static void put_ns_gauges(struct text *t)
{
	put_ns_gauge(t, "namespace_entries", "Entries, as last counted.", entries_of);
	put_ns_gauge(t, "namespace_bytes", "Bytes taken by entries, as last counted.",
		     bytes_of);
}

/* ---- gauges of all ---- */

static void put_gauge(struct text *t, const char *name, uint64_t value, const char *help)
{
	head(t, name, "gauge", help);
	put(&t->p, "memofs_%s %" PRIu64 "\n", name, value);
}

/* What is without a bound has no such gauge. */
static void put_bound(struct text *t, const char *name, uint64_t bytes, const char *help)
{
	if (bytes != STORE_SIZE_NONE)
		put_gauge(t, name, bytes, help);
}

/* 0: not known. */
static uint64_t resident_bytes(void)
{
	unsigned long long total, resident = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	if (!f)
		return 0;
	if (fscanf(f, "%llu %llu", &total, &resident) != 2)
		resident = 0;
	fclose(f);
	return resident * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void put_sizes(struct text *t)
{
	const struct store_bounds *b = &t->s->bounds;
	const struct store_stats *st = &t->s->store;

	put_bound(t, "store_size_bytes", b->size_bytes, "What the store may take.");
	put_gauge(t, "store_total_bytes", b->total_bytes, "What the store takes.");
	put_gauge(t, "store_used_bytes", b->used_bytes, "What entries take.");
	put_gauge(t, "store_shared_bytes", b->shared_bytes,
		  "Of it, what trees have in common and is stored once.");
	put_gauge(t, "store_dead_bytes", b->dead_bytes,
		  "What is to be deleted, or is still open.");
	put_gauge(t, "store_staged_bytes", b->staged_bytes, "Values being written.");
	put_gauge(t, "store_entries", st->entries, "Entries, expired ones included.");
	put_gauge(t, "store_directories", st->dirs, "Directories.");
	put_gauge(t, "store_content_bytes", st->bytes, "Bytes in entries.");
	put_gauge(t, "database_memory_bytes", st->memory_bytes,
		  "Memory of the database's caches and buffers.");
	put_gauge(t, "database_disk_bytes", st->db_disk_bytes,
		  "Disk taken by the database.");
	put_gauge(t, "disk_available_bytes", st->disk_avail_bytes,
		  "Disk that the store may still take.");
	put_gauge(t, "resident_memory_bytes", resident_bytes(),
		  "Resident memory of the daemon.");
}

static void put_now(struct text *t)
{
	const struct stats *s = t->s;

	head(t, "build_info", "gauge", "The version of the daemon.");
	put(&t->p, "memofs_build_info{version=\"%s\"} 1\n", MEMOFS_VERSION);
	put_gauge(t, "start_time_seconds", (uint64_t)(t->fs->started_ns / NSEC_PER_SEC),
		  "When the daemon was started, since the epoch.");
	put_gauge(t, "open_handles", s->handles, "Open descriptors.");
	put_gauge(t, "pending_writes", s->pending, "Values being written.");
	put_gauge(t, "waiting_opens", s->waiting, "Opens that wait for an entry.");
	put_gauge(t, "reservations", s->reservations, "Reservations that are held.");
}

/* Of these opens the daemon sees no reads. */
static void put_passthrough(struct text *t)
{
	struct backing_counts c;

	backing_count(t->fs->backings, &c);
	head(t, "passthrough_opens_total", "counter",
	     "Opens after which the kernel reads the extent itself.");
	put(&t->p, "memofs_passthrough_opens_total %" PRIu64 "\n", c.opens);
	put_gauge(t, "passthrough_files", c.files, "Files that are open so.");
}

/* ---- latencies ---- */

static void put_latency(struct text *t, enum metrics_op op)
{
	static const char name[] = "memofs_request_duration_seconds";
	const char *op_name = metrics_op_name(op);
	struct metrics_latency l;
	uint64_t below = 0;

	metrics_latency(t->fs->metrics, op, &l);
	for (unsigned int i = 0; i + 1 < METRICS_BUCKETS; i++) {
		below += l.buckets[i];
		put(&t->p, "%s_bucket{op=\"%s\",le=\"%.9g\"} %" PRIu64 "\n", name,
		    op_name, metrics_bucket_s(i), below);
	}
	put(&t->p, "%s_bucket{op=\"%s\",le=\"+Inf\"} %" PRIu64 "\n", name, op_name,
	    l.count);
	put(&t->p, "%s_sum{op=\"%s\"} %.9f\n", name, op_name, l.sum_s);
	put(&t->p, "%s_count{op=\"%s\"} %" PRIu64 "\n", name, op_name, l.count);
}

static void put_latencies(struct text *t)
{
	head(t, "request_duration_seconds", "histogram",
	     "How long requests took, from when they were received.");
	for (int op = 0; op < METRICS_OPS; op++)
		put_latency(t, (enum metrics_op)op);
}

int stats_metrics(struct fs *fs, uint64_t dir_ino, struct buf *out)
{
	CLEANUP_STATS struct stats s;
	struct text t = {fs, &s, NULL, {out, stats_gather(fs, &s)}};

	if (!t.p.r && dir_ino != STORE_ROOT_INO) {
		t.only = stats_find(&s, dir_ino);
		if (!t.only) /* nothing was counted yet */
			return 0;
	}
	if (!t.p.r && !t.only) {
		put_now(&t);
		put_sizes(&t);
		put_passthrough(&t);
		put_latencies(&t);
	}
	put_counters(&t);
	put_ns_gauges(&t);
	return t.p.r;
}
