/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/look/numbers.h"

#include <errno.h>
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cli/message.h"

static const char *const total_names[TOTALS] = {
    "saved_s",	      "hits",		"misses",     "misses_absent", "misses_expired",
    "misses_too_old", "misses_damaged", "bytes_read", "bytes_written", "published",
    "failed",	      "computed_s",	"evicted",    "evicted_bytes", "evicted_cost_s",
    "expired",	      "expired_bytes",	"reserved",   "reserved_busy", "waits",
    "waited_s",
};

const char *const miss_reasons[MISS_REASONS] = {"absent", "expired", "too old",
						"damaged"};

const char *const latency_names[LATENCIES] = {"lookup", "open",	 "read",
					      "write",	"close", "publish"};

struct totals totals_since(const struct totals *a, const struct totals *b)
{
	struct totals d;

	for (size_t i = 0; i < TOTALS; i++)
		d.of[i] = fmax(b->of[i] - a->of[i], 0);
	return d;
}

double totals_hit_ratio(const struct totals *t)
{
	double all = t->of[HITS] + t->of[MISSES];

	return all > 0 ? t->of[HITS] / all : NAN;
}

double latency_percentile(const struct latency *l, double percent)
{
	double all = 0, below = 0;

	for (size_t i = 0; i < l->buckets.n; i++)
		all += l->buckets.bucket[i].entries;
	for (size_t i = 0; i < l->buckets.n && all > 0; i++) {
		below += l->buckets.bucket[i].entries;
		if (below >= all * percent / 100)
			return l->buckets.bucket[i].le;
	}
	return NAN;
}

/* ---- stats.json ---------------------------------------------------------------- */

/* What is counted is neither negative nor more than this; sums of it are finite. */
#define LARGEST 1e18
/* Some three thousand years. */
#define LATEST_S 1e11

static double bounded(double value)
{
	return fmin(fmax(value, 0), LARGEST);
}

static double number(const struct jval *object, const char *key)
{
	return bounded(jval_number(jval_get(object, key), 0));
}

static double point_in_time(const struct jval *object, const char *key)
{
	return fmin(number(object, key), LATEST_S);
}

static struct totals read_totals(const struct jval *object)
{
	struct totals t;

	for (size_t i = 0; i < TOTALS; i++)
		t.of[i] = number(object, total_names[i]);
	return t;
}

/* [[le, entries, bytes], …]; no number for `le` is the last one, of the rest. */
static struct histogram read_histogram(const struct jval *array)
{
	struct histogram h = {0};
	size_t n = 0;

	for (const struct jval *b = jval_elements(array); b; b = b->next)
		n++;
	h.bucket = n ? xcalloc(n, sizeof(*h.bucket)) : NULL;
	for (const struct jval *b = jval_elements(array); b; b = b->next) {
		const struct jval *le = jval_elements(b), *entries, *bytes;

		entries = le ? le->next : NULL;
		bytes = entries ? entries->next : NULL;
		h.bucket[h.n++] = (struct histogram_bucket){
		    .le = fmax(jval_number(le, INFINITY), 0),
		    .entries = bounded(jval_number(entries, 0)),
		    .bytes = bounded(jval_number(bytes, 0)),
		};
	}
	return h;
}

static void read_store(const struct jval *s, struct numbers *n)
{
	n->policy = jval_string(jval_get(s, "policy"), "");
	n->size_bytes = number(s, "size_bytes");
	n->total_bytes = number(s, "total_bytes");
	n->shared_bytes = number(s, "shared_bytes");
	n->dead_bytes = number(s, "dead_bytes");
	n->staged_bytes = number(s, "staged_bytes");
	n->bytes = number(s, "bytes");
	n->entries = number(s, "entries");
	n->dirs = number(s, "dirs");
	n->memory_bytes = number(s, "memory_bytes");
	n->db_disk_bytes = number(s, "db_disk_bytes");
	n->disk_avail_bytes = number(s, "disk_avail_bytes");
	n->max_entry_bytes = number(s, "max_entry_bytes");
	n->min_free_bytes = number(s, "min_free_bytes");
}

static void read_now(const struct jval *now, struct numbers *n)
{
	n->open_handles = number(now, "open_handles");
	n->pending_writes = number(now, "pending_writes");
	n->waiting_opens = number(now, "waiting_opens");
	n->reservations = number(now, "reservations");
}

static void read_latencies(const struct jval *latency, struct numbers *n)
{
	for (size_t i = 0; i < LATENCIES; i++) {
		const struct jval *l = jval_get(latency, latency_names[i]);

		n->latency[i] = (struct latency){
		    .count = number(l, "count"),
		    .sum_s = number(l, "sum_s"),
		    .buckets = read_histogram(jval_get(l, "buckets")),
		};
	}
}

bool namespace_is_empty(const struct namespace_numbers *ns)
{
	return !*ns->name && ns->entries <= 0 && ns->total.of[HITS] <= 0 &&
	       ns->total.of[MISSES] <= 0 && ns->total.of[PUBLISHED] <= 0;
}

static int by_size(const void *a, const void *b)
{
	const struct namespace_numbers *x = a, *y = b;

	if (x->bytes != y->bytes)
		return x->bytes < y->bytes ? 1 : -1;
	return strcmp(x->name, y->name);
}

static void read_namespaces(const struct jval *array, struct numbers *n)
{
	size_t cap = 0;

	for (const struct jval *v = jval_elements(array); v; v = v->next)
		cap++;
	n->ns = xcalloc(cap, sizeof(*n->ns));
	for (const struct jval *v = jval_elements(array); v; v = v->next) {
		if (v->type != JOBJECT)
			continue;
		n->ns[n->n_ns++] = (struct namespace_numbers){
		    .name = jval_string(jval_get(v, "name"), ""),
		    .entries = number(v, "entries"),
		    .bytes = number(v, "bytes"),
		    .expired_entries = number(v, "expired_entries"),
		    .expired_bytes = number(v, "expired_bytes"),
		    .quota_bytes = number(v, "quota_bytes"),
		    .total = read_totals(jval_get(v, "total")),
		    .since_start = read_totals(jval_get(v, "since_start")),
		    .json = v,
		};
	}
	qsort(n->ns, n->n_ns, sizeof(*n->ns), by_size);
}

int numbers_read(const char *text, size_t len, struct numbers *ret_numbers,
		 struct errmsg *err)
{
	struct numbers n = NUMBERS_INIT;
	const struct jval *root, *census;
	int r = jdoc_read(text, len, &n.doc, err);

	if (r)
		return r;
	root = &n.doc.values[0];
	if (root->type != JOBJECT) {
		jdoc_deinit(&n.doc);
		return err_set(err, EINVAL, "it is no JSON object");
	}
	n.version = jval_string(jval_get(root, "version"), "");
	n.time_s = point_in_time(root, "time");
	n.started_s = point_in_time(root, "started");
	n.since_s = point_in_time(root, "since");
	n.total = read_totals(jval_get(root, "total"));
	n.since_start = read_totals(jval_get(root, "since_start"));
	read_store(jval_get(root, "store"), &n);
	read_now(jval_get(root, "now"), &n);
	read_latencies(jval_get(root, "latency"), &n);
	census = jval_get(root, "census");
	n.census_time_s = point_in_time(census, "time");
	n.age_s = read_histogram(jval_get(census, "age_s"));
	n.cost_s = read_histogram(jval_get(census, "cost_s"));
	n.entry_bytes = read_histogram(jval_get(census, "size_bytes"));
	read_namespaces(jval_get(root, "namespaces"), &n);
	*ret_numbers = n;
	return 0;
}

void numbers_deinit(struct numbers *n)
{
	for (size_t i = 0; i < LATENCIES; i++)
		free(n->latency[i].buckets.bucket);
	free(n->age_s.bucket);
	free(n->cost_s.bucket);
	free(n->entry_bytes.bucket);
	free(n->ns);
	jdoc_deinit(&n->doc);
	*n = NUMBERS_INIT;
}

const struct namespace_numbers *numbers_of(const struct numbers *n, const char *ns)
{
	for (size_t i = 0; i < n->n_ns; i++) {
		if (strcmp(n->ns[i].name, ns) == 0)
			return &n->ns[i];
	}
	return NULL;
}

/* ---- history.csv --------------------------------------------------------------- */

#define COLUMNS_MAX 128
#define FIELD_MAX 64

/* Where a column goes, as an offset into struct sample; IGNORED: nowhere. */
#define IGNORED SIZE_MAX
struct columns {
	size_t to[COLUMNS_MAX];
	size_t n;
};

static bool is_word(const char *s, size_t len, const char *word)
{
	return strlen(word) == len && memcmp(s, word, len) == 0;
}

static size_t place_of(const char *name, size_t len)
{
	if (is_word(name, len, "step_s"))
		return offsetof(struct sample, step_s);
	if (is_word(name, len, "time"))
		return offsetof(struct sample, time_s);
	if (is_word(name, len, "total_bytes"))
		return offsetof(struct sample, total_bytes);
	if (is_word(name, len, "entries"))
		return offsetof(struct sample, entries);
	for (size_t i = 0; i < TOTALS; i++) {
		if (is_word(name, len, total_names[i]))
			return offsetof(struct sample, t.of) + i * sizeof(double);
	}
	return IGNORED;
}

/* The field at `at`, which ends at a comma or at `end`. */
static size_t field_length(const char *at, const char *end)
{
	const char *comma = memchr(at, ',', (size_t)(end - at));

	return (size_t)((comma ? comma : end) - at);
}

static int read_header(const char *line, const char *end, struct columns *ret,
		       struct errmsg *err)
{
	bool has_time = false, has_step = false;

	ret->n = 0;
	for (const char *at = line; at <= end; at += field_length(at, end) + 1) {
		size_t to = place_of(at, field_length(at, end));

		if (ret->n == COLUMNS_MAX)
			return err_set(err, E2BIG, "line 1: too many columns");
		has_time |= to == offsetof(struct sample, time_s);
		has_step |= to == offsetof(struct sample, step_s);
		ret->to[ret->n++] = to;
	}
	if (!has_time || !has_step)
		return err_set(err, EINVAL,
			       "line 1: it does not name the columns step_s and time");
	return 0;
}

/* Nothing is 0; otherwise all of it is a number, and none is negative. */
static bool parse_field(const char *s, size_t len, double *ret)
{
	char text[FIELD_MAX + 1], *end;

	if (len > FIELD_MAX || (len && strspn(s, "0123456789+-.eE") < len))
		return false;
	memcpy(text, s, len);
	text[len] = '\0';
	*ret = len ? strtod(text, &end) : 0;
	return (!len || !*end) && isfinite(*ret) && *ret >= 0;
}

static int read_line(const char *line, const char *end, const struct columns *columns,
		     size_t line_no, struct sample *ret, struct errmsg *err)
{
	size_t n = 0;

	*ret = (struct sample){0};
	for (const char *at = line; at <= end; at += field_length(at, end) + 1, n++) {
		size_t len = field_length(at, end);
		double value;

		if (n == columns->n)
			return err_set(err, EINVAL, "line %zu: too many fields", line_no);
		if (columns->to[n] == IGNORED)
			continue;
		if (!parse_field(at, len, &value))
			return err_set(err, EINVAL, "line %zu: field %zu is no number",
				       line_no, n + 1);
		value = bounded(value);
		memcpy((char *)ret + columns->to[n], &value, sizeof(value));
	}
	ret->time_s = fmin(ret->time_s, LATEST_S);
	if (n < columns->n)
		return err_set(err, EINVAL, "line %zu: %zu fields are missing", line_no,
			       columns->n - n);
	return 0;
}

static void append(struct history *h, size_t *cap, const struct sample *s)
{
	if (h->n == *cap) {
		*cap = *cap ? 2 * *cap : 256;
		h->list = xreallocarray(h->list, *cap, sizeof(*h->list));
	}
	h->list[h->n++] = *s;
}

static int read_lines(const char *text, size_t len, struct history *h, struct errmsg *err)
{
	const char *at = text, *end = text + len;
	struct columns columns = {.n = 0};
	size_t cap = 0, line_no = 0;
	struct sample s;

	while (at < end) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		int r;

		line_no++;
		if (!newline)
			return err_set(err, EINVAL, "line %zu: it is cut off", line_no);
		r = line_no == 1 ? read_header(at, newline, &columns, err)
				 : read_line(at, newline, &columns, line_no, &s, err);
		if (r)
			return r;
		if (line_no > 1)
			append(h, &cap, &s);
		if (h->n > HISTORY_MAX)
			return err_set(err, E2BIG, "more than %d lines", HISTORY_MAX);
		at = newline + 1;
	}
	return line_no ? 0 : err_set(err, EINVAL, "it is empty");
}

int history_read(const char *text, size_t len, struct history *ret_history,
		 struct errmsg *err)
{
	CLEANUP_HISTORY struct history h = HISTORY_INIT;
	int r = read_lines(text, len, &h, err);

	if (r)
		return r;
	*ret_history = h;
	h = HISTORY_INIT;
	return 0;
}

void history_deinit(struct history *h)
{
	free(h->list);
	*h = HISTORY_INIT;
}
