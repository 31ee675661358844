/* SPDX-License-Identifier: Apache-2.0 */
/* `stats`, for people: time saved first. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "fs/stats.h"
#include "store/util/size.h"
#include "store/util/text.h"

enum { VALUE_MAX = 64, BAR = 30, NAME_WIDTH = 24, LISTED_MAX = 40 };

/* ---- values ---- */

static const char *duration_of_us(uint64_t us, char ret_text[DURATION_TEXT_MAX])
{
	int64_t ns = us < INT64_MAX / 1000 ? (int64_t)us * 1000 : INT64_MAX - 1;

	duration_format_short(ns, ret_text);
	return ret_text;
}

/* "12 us", "1.5 ms", "2 s": the ends of buckets, which are powers of two. */
static const char *latency_of(double s, char ret_text[VALUE_MAX])
{
	if (s < 1e-3)
		snprintf(ret_text, VALUE_MAX, "%.0f us", s * 1e6);
	else if (s < 1)
		snprintf(ret_text, VALUE_MAX, "%.1f ms", s * 1e3);
	else
		snprintf(ret_text, VALUE_MAX, "%.1f s", s);
	return ret_text;
}

static const char *size_of(uint64_t bytes, char ret_text[SIZE_TEXT_MAX])
{
	size_format(bytes, ret_text);
	return ret_text;
}

/* "93.4 %", or "-" when nothing was asked for. */
static const char *ratio_of(const struct store_counts *c, char ret_text[VALUE_MAX])
{
	uint64_t hits = c->n[STORE_COUNT_HITS], all = hits + store_counts_misses(c);

	if (all)
		snprintf(ret_text, VALUE_MAX, "%.1f %%",
			 100.0 * (double)hits / (double)all);
	else
		strcpy(ret_text, "-");
	return ret_text;
}

static void put_since(struct put *p, int64_t now_ns, int64_t since_ns)
{
	char text[DURATION_TEXT_MAX];

	duration_format_short(now_ns > since_ns ? now_ns - since_ns : 0, text);
	put(p, "%s", text);
}

/* ---- what was done ---- */

static void put_reads(struct put *p, const struct store_counts *c)
{
	char ratio[VALUE_MAX];

	put(p, "Hit ratio      %s (%" PRIu64 " hits, %" PRIu64 " misses)\n",
	    ratio_of(c, ratio), c->n[STORE_COUNT_HITS], store_counts_misses(c));
	put(p,
	    "Misses         %" PRIu64 " absent, %" PRIu64 " expired, %" PRIu64
	    " too old for the view, %" PRIu64 " damaged\n",
	    c->n[STORE_COUNT_MISSES_ABSENT], c->n[STORE_COUNT_MISSES_EXPIRED],
	    c->n[STORE_COUNT_MISSES_TOO_OLD], c->n[STORE_COUNT_MISSES_DAMAGED]);
}

static void put_writes(struct put *p, const struct store_counts *c)
{
	char a[SIZE_TEXT_MAX], b[SIZE_TEXT_MAX], cost[DURATION_TEXT_MAX];

	put(p, "Published      %" PRIu64 ", computed in %s; %" PRIu64 " not stored\n",
	    c->n[STORE_COUNT_PUBLISHED],
	    duration_of_us(c->n[STORE_COUNT_COMPUTED_US], cost),
	    c->n[STORE_COUNT_FAILED]);
	put(p, "Bytes          %s read, %s written\n",
	    size_of(c->n[STORE_COUNT_BYTES_READ], a),
	    size_of(c->n[STORE_COUNT_BYTES_WRITTEN], b));
	put(p, "Evicted        %" PRIu64 " entries, %s, which had cost %s\n",
	    c->n[STORE_COUNT_EVICTED], size_of(c->n[STORE_COUNT_EVICTED_BYTES], a),
	    duration_of_us(c->n[STORE_COUNT_EVICTED_COST_US], cost));
	put(p, "Expired        %" PRIu64 " entries, %s, deleted\n",
	    c->n[STORE_COUNT_EXPIRED], size_of(c->n[STORE_COUNT_EXPIRED_BYTES], a));
}

static void put_leases(struct put *p, const struct store_counts *c)
{
	char waited[DURATION_TEXT_MAX];

	put(p, "Reservations   %" PRIu64 " acquired, %" PRIu64 " refused\n",
	    c->n[STORE_COUNT_RESERVED], c->n[STORE_COUNT_RESERVED_BUSY]);
	put(p, "Waits          %" PRIu64 ", %s in all\n", c->n[STORE_COUNT_WAITS],
	    duration_of_us(c->n[STORE_COUNT_WAITED_US], waited));
}

static void put_totals(struct put *p, const struct stats *s,
		       const struct metrics_totals *t)
{
	char ever[DURATION_TEXT_MAX], start[DURATION_TEXT_MAX];

	put(p, "Time saved     %s in ",
	    duration_of_us(t->ever.n[STORE_COUNT_SAVED_US], ever));
	put_since(p, s->now_ns, s->since_ns);
	put(p, " (%s since the mount)\n",
	    duration_of_us(t->start.n[STORE_COUNT_SAVED_US], start));
	put_reads(p, &t->ever);
	put_writes(p, &t->ever);
	put_leases(p, &t->ever);
}

/* ---- the store ---- */

/* "[######------] 51 %" */
static void put_bar(struct put *p, uint64_t part, uint64_t whole)
{
	double full = whole ? (double)part / (double)whole : 0;
	int marks = (int)((full < 1 ? full : 1) * BAR + 0.5);

	put(p, "[%.*s%.*s] %.0f %%", marks, "##############################", BAR - marks,
	    "------------------------------", 100 * full);
}

static void put_store(struct put *p, const struct stats *s)
{
	const struct store_bounds *b = &s->bounds;
	char total[SIZE_TEXT_MAX], size[SIZE_TEXT_MAX];

	put(p, "Store          ");
	if (b->size_bytes == STORE_SIZE_NONE) {
		put(p, "%s, without a bound", size_of(b->total_bytes, total));
	} else {
		put_bar(p, b->total_bytes, b->size_bytes);
		put(p, " %s of %s", size_of(b->total_bytes, total),
		    size_of(b->size_bytes, size));
	}
	put(p, ", %" PRIu64 " entries, policy %s\n", s->store.entries,
	    b->policy == STORE_LRU ? "lru" : "gdsf");
	put(p, "Disk           %s may still be taken, %s are kept free\n",
	    size_of(s->store.disk_avail_bytes, total), size_of(b->min_free_bytes, size));
	put(p, "Memory         %s of the database\n",
	    size_of(s->store.memory_bytes, total));
	put(p,
	    "Now            %" PRIu64 " open, %" PRIu64 " being written, %" PRIu64
	    " waiting, %" PRIu64 " reserved\n",
	    s->handles, s->pending, s->waiting, s->reservations);
}

static void put_ns_size(struct put *p, const struct stats_ns *ns)
{
	char bytes[SIZE_TEXT_MAX], quota[SIZE_TEXT_MAX];

	put(p, "Size           ");
	if (ns->quota_bytes)
		put_bar(p, ns->bytes, ns->quota_bytes);
	put(p, "%s%s", ns->quota_bytes ? " " : "", size_of(ns->bytes, bytes));
	if (ns->quota_bytes)
		put(p, " of %s", size_of(ns->quota_bytes, quota));
	put(p, ", %" PRIu64 " entries, %" PRIu64 " of them expired, as last counted\n",
	    ns->entries, ns->expired_entries);
}

/* ---- tables ---- */

/* Cut, so that the columns stay where they are; a root's entries have no name. */
static void put_name(struct put *p, const char *name)
{
	char text[NAME_WIDTH + 4];

	text_escape(text, NAME_WIDTH, *name ? name : "(none)",
		    strlen(*name ? name : "(none)"));
	put(p, "%-*s", NAME_WIDTH, text);
}

static void put_namespace(struct put *p, const struct stats_ns *ns)
{
	const struct store_counts *c = &ns->totals.ever;
	char saved[DURATION_TEXT_MAX], ratio[VALUE_MAX], bytes[SIZE_TEXT_MAX];

	put_name(p, ns->name);
	put(p, " %12s %8s %10" PRIu64 " %10" PRIu64 " %10" PRIu64 " %9s %8" PRIu64 "\n",
	    duration_of_us(c->n[STORE_COUNT_SAVED_US], saved), ratio_of(c, ratio),
	    c->n[STORE_COUNT_HITS], store_counts_misses(c), ns->entries,
	    size_of(ns->bytes, bytes), c->n[STORE_COUNT_EVICTED]);
}

static void put_namespaces(struct put *p, const struct stats *s)
{
	size_t listed = s->ns_count < LISTED_MAX ? s->ns_count : LISTED_MAX;

	put(p, "\n%-*s %12s %8s %10s %10s %10s %9s %8s\n", NAME_WIDTH, "namespace",
	    "saved", "ratio", "hits", "misses", "entries", "size", "evicted");
	for (size_t i = 0; i < listed; i++)
		put_namespace(p, &s->namespaces[i]);
	if (listed < s->ns_count)
		put(p, "and %zu more: see stats.json\n", s->ns_count - listed);
}

static void put_latencies(struct put *p, struct fs *fs)
{
	put(p, "\n%-*s %12s %12s %12s\n", NAME_WIDTH, "since the mount", "requests",
	    "half within", "99 % within");
	for (int op = 0; op < METRICS_OPS; op++) {
		char half[VALUE_MAX], most[VALUE_MAX];
		struct metrics_latency l;

		metrics_latency(fs->metrics, (enum metrics_op)op, &l);
		put(p, "%-*s %12" PRIu64 " %12s %12s\n", NAME_WIDTH,
		    metrics_op_name((enum metrics_op)op), l.count,
		    latency_of(metrics_quantile_s(&l, 0.5), half),
		    latency_of(metrics_quantile_s(&l, 0.99), most));
	}
}

/* ---- the text ---- */

static void put_of_namespace(struct put *p, const struct stats *s, uint64_t dir_ino)
{
	static const struct stats_ns none; /* nothing was counted yet */
	const struct stats_ns *ns = stats_find(s, dir_ino);

	if (!ns)
		ns = &none;
	put_totals(p, s, &ns->totals);
	put_ns_size(p, ns);
}

int stats_text(struct fs *fs, uint64_t dir_ino, struct buf *out)
{
	CLEANUP_STATS struct stats s;
	struct put p = {out, stats_gather(fs, &s)};

	if (p.r)
		return p.r;
	if (dir_ino != STORE_ROOT_INO) {
		put_of_namespace(&p, &s, dir_ino);
		return p.r;
	}
	put_totals(&p, &s, &s.totals);
	put_store(&p, &s);
	put_namespaces(&p, &s);
	put_latencies(&p, fs);
	return p.r;
}
