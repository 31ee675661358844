/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/look/report.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "cli/look/chart.h"
#include "cli/look/words.h"
#include "cli/message.h"

/* A phone shows so many bars; more would be thinner than a pixel. */
#define BINS_MAX 120
#define DAY_S 86400.0

/*
 * Colours have names, a value for a light and one for a dark page; paper is light. Text
 * has a contrast of 4.5 at least to what it is on, lines and bars of 3.
 */
static const char style[] =
    ":root{color-scheme:light dark;--page:#f6f7f9;--card:#fff;--text:#1b1f24;"
    "--soft:#57606a;--grid:#d8dde3;--bar:#2563c4;--good:#14713a;--limit:#b3261e;"
    "--t0:#fbe3d3;--t1:#f3ecd0;--t2:#dceaf9;--t3:#b9d7f6;--t4:#8fc0f2}\n"
    "@media (prefers-color-scheme:dark){:root{--page:#0f1216;--card:#181c22;"
    "--text:#e8ebef;--soft:#a2acb8;--grid:#343b45;--bar:#5b9cf0;--good:#5fce8a;"
    "--limit:#ff8a80;--t0:#5c3a22;--t1:#4d4420;--t2:#1f3347;--t3:#22466c;"
    "--t4:#255c94}}\n"
    "*{box-sizing:border-box}\n"
    "body{margin:0 auto;max-width:76rem;padding:1.25rem;background:var(--page);"
    "color:var(--text);font:16px/1.5 system-ui,sans-serif}\n"
    "h1{font-size:1.1rem;font-weight:600;margin:0}"
    "h2{font-size:1.15rem;margin:2.25rem 0 .75rem}\n"
    "header p,footer{color:var(--soft);margin:.15rem 0;font-size:.9rem;"
    "overflow-wrap:anywhere}\n"
    ".saved{margin:1.5rem 0}.saved strong{display:block;font-size:clamp(2.6rem,10vw,"
    "4.5rem);line-height:1.1;color:var(--good);letter-spacing:-.02em}\n"
    ".saved span{font-size:1.1rem}\n"
    "dl{display:grid;grid-template-columns:repeat(auto-fit,minmax(9.5rem,1fr));"
    "gap:.75rem;margin:0}\n"
    "dl div,figure{background:var(--card);border:1px solid var(--grid);"
    "border-radius:.5rem;padding:.75rem 1rem;margin:0;min-width:0}\n"
    "dt{color:var(--soft);font-size:.85rem}dd{margin:0;font-size:1.45rem;"
    "font-weight:600;line-height:1.3}dd small{display:block;font-size:.85rem;"
    "font-weight:400;color:var(--soft)}\n"
    ".charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(min(100%,26rem),"
    "1fr));gap:.75rem;align-items:start}\n"
    "figcaption{margin-bottom:.35rem}figcaption span,.none,.legend{color:var(--soft);"
    "font-size:.9rem}\n"
    "figure>svg,td>svg{display:block;width:100%;height:auto}svg text{font-size:11px;"
    "fill:var(--soft)}\n"
    ".grid{stroke:var(--grid)}.bar{fill:var(--bar)}.track{fill:var(--grid)}"
    ".line{fill:none;stroke:var(--bar);stroke-width:1.8;stroke-linejoin:round;"
    "stroke-linecap:round}.limit{stroke:var(--limit);stroke-dasharray:5 4}"
    ".target{fill:transparent}.target:hover{fill:var(--text);fill-opacity:.12}"
    ".bar:hover{fill-opacity:.75}\n"
    ".tile~svg text{fill:var(--text)}.t0{fill:var(--t0);background:var(--t0)}"
    ".t1{fill:var(--t1);background:var(--t1)}.t2{fill:var(--t2);background:var(--t2)}"
    ".t3{fill:var(--t3);background:var(--t3)}.t4{fill:var(--t4);background:var(--t4)}\n"
    ".legend{margin:.5rem 0 0}.key{color:var(--text);padding:.05rem .45rem;"
    "border-radius:.25rem;white-space:nowrap}\n"
    "details{margin-top:.5rem;font-size:.9rem}summary{cursor:pointer;"
    "color:var(--soft)}.scroll{max-height:20rem;overflow:auto}\n"
    "table{border-collapse:collapse;width:100%;font-variant-numeric:tabular-nums}"
    "th,td{text-align:right;padding:.2rem .5rem;border-bottom:1px solid var(--grid);"
    "white-space:nowrap}th:first-child,td:first-child{text-align:left}"
    "th{font-weight:600}td.name{white-space:normal;overflow-wrap:anywhere;"
    "min-width:7rem}\n"
    ".parts td.meter{width:45%}.parts td>svg{height:.65rem}.parts th{font-weight:400}\n"
    "footer{margin-top:2rem}\n"
    "@media (max-width:30rem){body{padding:.75rem}svg text{font-size:13px}"
    "th,td{padding:.2rem .3rem;font-size:.85rem}thead th{white-space:normal}}\n"
    "@media print{:root{color-scheme:light;--page:#fff;--card:#fff;--text:#000;"
    "--soft:#444;--grid:#bbb;--bar:#2563c4;--good:#14713a;--limit:#b3261e;"
    "--t0:#fbe3d3;--t1:#f3ecd0;--t2:#dceaf9;--t3:#b9d7f6;--t4:#8fc0f2}"
    "*{print-color-adjust:exact;-webkit-print-color-adjust:exact}"
    "body{max-width:none;padding:0}.charts{grid-template-columns:1fr 1fr}"
    "figure{break-inside:avoid}details{display:none}}\n";

/* ---- the top of the page ------------------------------------------------------- */

static void head(FILE *out, const char *point, const struct numbers *n)
{
	char at[WORD_MAX], day[WORD_MAX];

	fputs(
	    "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
	    "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
	    "style-src 'unsafe-inline'\">\n"
	    "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n"
	    "<meta name=\"referrer\" content=\"no-referrer\">\n"
	    "<title>memofs report: ",
	    out);
	html_text(out, point);
	fprintf(out,
		"</title>\n<style>\n%s</style></head>\n<body><header><h1>memofs "
		"report</h1>\n<p><bdi>",
		style);
	html_text(out, point);
	fprintf(out, "</bdi>, %s", word_minute(n->time_s, at));
	if (n->since_s > 0)
		fprintf(out, ", counted since %s", word_day(n->since_s, day));
	fputs("</p></header>\n<main>\n", out);
}

static void headline(FILE *out, const struct numbers *n)
{
	double saved = n->total.of[SAVED_S], computed = n->total.of[COMPUTED_S];
	char a[WORD_MAX], b[WORD_MAX];

	fprintf(out,
		"<section class=\"saved\"><strong>%s</strong><span>of computing saved",
		word_duration(saved, a));
	if (computed > 0)
		fprintf(out, ": the work took %s in place of %s",
			word_duration(computed, a), word_duration(saved + computed, b));
	fputs(".</span></section>\n", out);
}

static void tile(FILE *out, const char *name, const char *value, const char *more)
{
	fprintf(out, "<div><dt>%s</dt><dd>%s <small>%s</small></dd></div>\n", name, value,
		more);
}

static void tiles(FILE *out, const struct numbers *n)
{
	const struct totals *t = &n->total;
	char a[WORD_MAX], b[WORD_MAX], c[WORD_MAX], more[4 * WORD_MAX];

	fputs("<dl>\n", out);
	snprintf(more, sizeof(more), "%s hits, %s misses", word_count(t->of[HITS], b),
		 word_count(t->of[MISSES], c));
	tile(out, "Hit ratio", word_share(totals_hit_ratio(t), a), more);
	if (n->size_bytes > 0)
		snprintf(more, sizeof(more), "%s of %s",
			 word_share(n->total_bytes / n->size_bytes, b),
			 word_size(n->size_bytes, c));
	else
		strcpy(more, "");
	tile(out, "Size", word_size(n->total_bytes, a), more);
	snprintf(more, sizeof(more), "%s of memory", word_size(n->memory_bytes, b));
	tile(out, "Entries", word_count(n->entries, a), more);
	snprintf(more, sizeof(more), "%s written", word_size(t->of[BYTES_WRITTEN], b));
	tile(out, "Read", word_size(t->of[BYTES_READ], a), more);
	snprintf(more, sizeof(more), "%s, worth %s", word_size(t->of[EVICTED_BYTES], b),
		 word_duration(t->of[EVICTED_COST_S], c));
	tile(out, "Evicted", word_count(t->of[EVICTED], a), more);
	snprintf(more, sizeof(more), "times for what another computed, %s",
		 word_duration(t->of[WAITED_S], b));
	tile(out, "Waited", word_count(t->of[WAITS], a), more);
	fputs("</dl>\n", out);
}

/* ---- over time ----------------------------------------------------------------- */

/* Samples of one length, put together to steps that can be seen. */
struct bins {
	double from_s, step_s;
	size_t n;
	struct sample of[BINS_MAX];
	bool any[BINS_MAX];
	char period[WORD_MAX]; /* what time it is, in words */
};

/* The smallest step that is even, and of which BINS_MAX reach over so much time. */
static double step_for(double span_s, double sample_s)
{
	static const double steps[] = {60,    120,   300,   600,   900,	   1800,  3600,
				       10800, 21600, 43200, 86400, 172800, 604800};

	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
		if (steps[i] >= sample_s && span_s / steps[i] <= BINS_MAX - 1)
			return steps[i];
	}
	return span_s / (BINS_MAX - 1);
}

static bool is_of(const struct sample *s, bool hours)
{
	return s->step_s > 0 && (s->step_s >= 3600) == hours;
}

/* When the first one began and the last one ended. */
static bool find_span(const struct history *h, bool hours, double *ret_from,
		      double *ret_to, double *ret_sample)
{
	bool found = false;

	for (size_t i = 0; i < h->n; i++) {
		const struct sample *s = &h->list[i];

		if (!is_of(s, hours))
			continue;
		if (!found || s->time_s < *ret_from)
			*ret_from = s->time_s;
		if (!found || s->time_s + s->step_s > *ret_to)
			*ret_to = s->time_s + s->step_s;
		*ret_sample = s->step_s;
		found = true;
	}
	return found;
}

static void add_sample(struct bins *b, const struct sample *s)
{
	double at = floor((s->time_s + s->step_s / 2 - b->from_s) / b->step_s);
	struct sample *to;

	if (at < 0 || at >= (double)b->n)
		return;
	to = &b->of[(size_t)at];
	for (size_t i = 0; i < TOTALS; i++)
		to->t.of[i] += s->t.of[i];
	to->total_bytes = s->total_bytes; /* the newest, since they are in order */
	to->entries = s->entries;
	b->any[(size_t)at] = true;
}

static void name_period(struct bins *b, double span_s)
{
	char word[WORD_MAX];

	if (span_s > 1.5 * DAY_S)
		snprintf(b->period, sizeof(b->period), "the last %.0f days",
			 round(span_s / DAY_S));
	else
		snprintf(b->period, sizeof(b->period), "the last %.40s",
			 span_s > DAY_S / 2 ? "day" : word_duration(floor(span_s), word));
}

/* False: there are not two steps of it, which would be no chart. */
static bool bins_fill(struct bins *b, const struct history *h, double now_s, bool hours)
{
	double from_s = 0, to_s = 0, sample_s = 0, longest = hours ? 90 * DAY_S : DAY_S;

	if (!find_span(h, hours, &from_s, &to_s, &sample_s))
		return false;
	to_s = fmax(to_s, now_s); /* nothing happened since */
	from_s = fmax(from_s, to_s - longest);
	*b = (struct bins){.step_s = step_for(to_s - from_s, sample_s)};
	b->from_s = floor(from_s / b->step_s) * b->step_s;
	b->n = (size_t)fmin(ceil((to_s - b->from_s) / b->step_s), BINS_MAX);
	name_period(b, to_s - from_s);
	for (size_t i = 0; i < h->n; i++) {
		if (is_of(&h->list[i], hours))
			add_sample(b, &h->list[i]);
	}
	return b->n >= 2;
}

/* What each chart over time is about. */
struct series {
	const char *title, *id;
	enum unit unit;
	bool bars;
	double (*value)(const struct sample *s, double step_s);
};

static double hit_ratio(const struct sample *s, double step_s)
{
	return totals_hit_ratio(&s->t);
}

static double saved(const struct sample *s, double step_s)
{
	return s->t.of[SAVED_S];
}

static double read_rate(const struct sample *s, double step_s)
{
	return s->t.of[BYTES_READ] / step_s;
}

static double written_rate(const struct sample *s, double step_s)
{
	return s->t.of[BYTES_WRITTEN] / step_s;
}

static double size(const struct sample *s, double step_s)
{
	return s->total_bytes;
}

static double evicted(const struct sample *s, double step_s)
{
	return s->t.of[EVICTED];
}

static const struct series all_series[] = {
    {"Time saved", "saved", UNIT_SECONDS, true, saved},
    {"Hit ratio", "ratio", UNIT_SHARE, false, hit_ratio},
    {"Bytes read", "read", UNIT_RATE, false, read_rate},
    {"Bytes written", "written", UNIT_RATE, false, written_rate},
    {"Size of the store", "size", UNIT_BYTES, false, size},
    {"Entries evicted", "evicted", UNIT_COUNT, true, evicted},
};

/* Where nothing was written down, nothing happened: the size is what it was. */
static double value_of(const struct series *s, const struct bins *b, size_t i)
{
	if (b->any[i])
		return s->value(&b->of[i], b->step_s);
	if (s->value == size)
		return i ? value_of(s, b, i - 1) : NAN;
	return s->value == hit_ratio ? NAN : 0;
}

static void chart(FILE *out, const struct series *s, const struct bins *b,
		  const struct numbers *n, const char *suffix)
{
	struct point points[BINS_MAX];
	char id[32], period[2 * WORD_MAX], step[WORD_MAX];
	struct time_chart c = {
	    .title = s->title,
	    .period = period,
	    .id = id,
	    .unit = s->unit,
	    .bars = s->bars,
	    .step_s = b->step_s,
	    .points = points,
	    .n = b->n,
	};

	for (size_t i = 0; i < b->n; i++)
		points[i] =
		    (struct point){b->from_s + (double)i * b->step_s, value_of(s, b, i)};
	if (s->value == size && n->size_bytes > 0) {
		c.limit = n->size_bytes;
		c.limit_name = "bound";
	}
	snprintf(id, sizeof(id), "%s-%s", s->id, suffix);
	snprintf(period, sizeof(period), "%s%s%s", b->period, s->bars ? ", each " : "",
		 s->bars ? word_duration(b->step_s, step) : "");
	chart_time(out, &c);
}

static void over_time(FILE *out, const struct numbers *n, const struct history *h)
{
	struct bins *bins = xcalloc(2, sizeof(*bins));
	bool day = bins_fill(&bins[0], h, n->time_s, false),
	     hours = bins_fill(&bins[1], h, n->time_s, true);

	fputs("<h2>Over time</h2>\n", out);
	if (!day && !hours)
		fputs("<p class=\"none\">There is no history yet: it is written once a "
		      "minute.</p>\n",
		      out);
	fputs("<div class=\"charts\">\n", out);
	for (size_t i = 0; i < sizeof(all_series) / sizeof(*all_series); i++) {
		if (day)
			chart(out, &all_series[i], &bins[0], n, "day");
		if (hours)
			chart(out, &all_series[i], &bins[1], n, "long");
	}
	fputs("</div>\n", out);
	free(bins);
}

/* ---- what there is ------------------------------------------------------------- */

static void stored(FILE *out, const struct numbers *n)
{
	const struct spread_chart age = {
	    .title = "Age of entries",
	    .id = "age",
	    .what = "Age",
	    .unit = UNIT_SECONDS,
	    .h = &n->age_s,
	};
	const struct spread_chart cost = {
	    .title = "What entries cost to compute",
	    .id = "cost",
	    .what = "Cost",
	    .unit = UNIT_SECONDS,
	    .h = &n->cost_s,
	};
	const struct spread_chart bytes = {
	    .title = "Size of entries",
	    .id = "bytes",
	    .what = "Size",
	    .unit = UNIT_BYTES,
	    .h = &n->entry_bytes,
	};

	fputs("<h2>What is stored</h2>\n<div class=\"charts\">\n", out);
	chart_namespaces(out, n);
	chart_spread(out, &age);
	chart_spread(out, &cost);
	chart_spread(out, &bytes);
	fputs("</div>\n", out);
}

static void misses(FILE *out, const struct numbers *n)
{
	struct part parts[MISS_REASONS];

	for (size_t i = 0; i < MISS_REASONS; i++)
		parts[i] = (struct part){miss_reasons[i], n->total.of[MISSES_ABSENT + i]};
	fputs("<h2>Misses and requests</h2>\n<div class=\"charts\">\n", out);
	chart_parts(out, "Misses by reason", parts, MISS_REASONS);
}

static void latencies(FILE *out, const struct numbers *n)
{
	char a[WORD_MAX], b[WORD_MAX], c[WORD_MAX], d[WORD_MAX];

	fputs("<figure><figcaption><b>Latency</b> <span>since the daemon began</span>"
	      "</figcaption><div class=\"scroll\"><table><thead><tr><th scope=\"col\">"
	      "Request</th><th scope=\"col\">Count</th><th scope=\"col\">Mean</th>"
	      "<th scope=\"col\">Half below</th><th scope=\"col\">99% below</th></tr>"
	      "</thead><tbody>\n",
	      out);
	for (size_t i = 0; i < LATENCIES; i++) {
		const struct latency *l = &n->latency[i];

		fprintf(out,
			"<tr><td>%s</td><td>%s</td><td>%s</td><td>%s</td><td>%s</td>"
			"</tr>\n",
			latency_names[i], word_count(l->count, a),
			word_duration(l->count > 0 ? l->sum_s / l->count : NAN, b),
			word_duration(latency_percentile(l, 50), c),
			word_duration(latency_percentile(l, 99), d));
	}
	fputs("</tbody></table></div></figure>\n</div>\n", out);
}

static void foot(FILE *out, const struct numbers *n)
{
	char at[WORD_MAX];

	fputs("</main>\n<footer>Made by memofs " MEMOFS_VERSION, out);
	if (*n->version) {
		fputs("; the daemon is ", out);
		html_text(out, n->version);
	}
	if (n->census_time_s > 0)
		fprintf(out, "; entries were counted on %s",
			word_minute(n->census_time_s, at));
	fputs(". Times are those of the machine that made it.</footer>\n</body></html>\n",
	      out);
}

void report_write(FILE *out, const char *point, const struct numbers *n,
		  const struct history *h)
{
	head(out, point, n);
	headline(out, n);
	tiles(out, n);
	over_time(out, n, h);
	stored(out, n);
	misses(out, n);
	latencies(out, n);
	foot(out, n);
}
