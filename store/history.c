/* SPDX-License-Identifier: Apache-2.0 */
#include "store/history.h"

#include <errno.h>
#include <stdlib.h>

#include "store/history_rows.h"
#include "store/internal.h"

/* ---- counts ---- */

void store_counts_add(struct store_counts *a, const struct store_counts *b)
{
	for (int i = 0; i < STORE_COUNTS; i++)
		a->n[i] += b->n[i];
}

void store_counts_sub(struct store_counts *a, const struct store_counts *b)
{
	for (int i = 0; i < STORE_COUNTS; i++)
		a->n[i] -= b->n[i];
}

bool store_counts_are_zero(const struct store_counts *c)
{
	uint64_t any = 0;

	for (int i = 0; i < STORE_COUNTS; i++)
		any |= c->n[i];
	return !any;
}

/* ---- rings ---- */

static const struct ring {
	enum history_tag tag;
	uint64_t slots;
} rings[] = {
    [STORE_HISTORY_MINUTE] = {HISTORY_MINUTE, STORE_HISTORY_MINUTES},
    [STORE_HISTORY_HOUR] = {HISTORY_HOUR, STORE_HISTORY_HOURS},
};

static uint64_t number_of(enum store_history_step step, int64_t at_ns)
{
	return at_ns < 0 ? 0 : (uint64_t)(at_ns / store_history_step_ns(step));
}

/* What is in the slot of that number, if it is that number's; else zeros. */
static int load(struct store *st, enum store_history_step step, uint64_t number,
		struct history_row *ret_row)
{
	struct key key = key_history(rings[step].tag, number % rings[step].slots);
	CLEANUP_BUF struct buf raw = BUF_INIT;
	struct history_row row;
	int r = backend_get(st->be, TABLE_HISTORY, key_slice(&key), &raw);

	if (!r)
		r = history_decode(buf_slice(&raw), &row);
	if (r && r != -ENOENT && r != -EUCLEAN) /* a lost sample is not worth one */
		return r;
	*ret_row =
	    !r && row.number == number ? row : (struct history_row){.number = number};
	return 0;
}

static int batch_sample(struct store *st, struct batch *b, enum store_history_step step,
			const struct store_sample *sample)
{
	uint64_t number = number_of(step, sample->at_ns);
	struct key key = key_history(rings[step].tag, number % rings[step].slots);
	CLEANUP_BUF struct buf raw = BUF_INIT;
	struct history_row row;
	int r = load(st, step, number, &row);

	if (r)
		return r;
	store_counts_add(&row.counts, &sample->counts);
	row.total_bytes = sample->total_bytes;
	row.entries = sample->entries;
	r = history_encode(&row, &raw);
	if (!r)
		batch_put(b, TABLE_HISTORY, key_slice(&key), buf_slice(&raw));
	return r;
}

static int batch_total(struct batch *b, const struct store_total *total)
{
	struct key key = key_history(HISTORY_TOTAL, total->ns_ino);
	struct total_row row = {total->since_ns, total->counts};
	CLEANUP_BUF struct buf raw = BUF_INIT;
	int r;

	if (total->gone) {
		batch_del(b, TABLE_HISTORY, key_slice(&key));
		return 0;
	}
	r = total_encode(&row, &raw);
	if (!r)
		batch_put(b, TABLE_HISTORY, key_slice(&key), buf_slice(&raw));
	return r;
}

int store_history_add(struct store *st, const struct store_sample *sample,
		      const struct store_total *totals, size_t total_count)
{
	CLEANUP_BATCH struct batch b = BATCH_INIT;
	int r = batch_sample(st, &b, STORE_HISTORY_MINUTE, sample);

	if (!r)
		r = batch_sample(st, &b, STORE_HISTORY_HOUR, sample);
	for (size_t i = 0; !r && i < total_count; i++)
		r = batch_total(&b, &totals[i]);
	return r ? r : backend_commit(st->be, &b);
}

/* ---- reading ---- */

/* Call `each` for every row with that tag, until non-zero. */
static int each_row(struct store *st, enum history_tag tag,
		    int (*each)(void *arg, uint64_t number, struct slice raw), void *arg)
{
	struct key first = key_history(tag, 0);
	struct key end = key_history((enum history_tag)(tag + 1), 0);
	struct backend_iter *it;
	int r = backend_iter_new_until(st->be, TABLE_HISTORY, key_slice(&end), &it);

	if (r)
		return r;
	backend_iter_seek(it, key_slice(&first));
	for (; !r && backend_iter_valid(it); backend_iter_next(it)) {
		enum history_tag found;
		uint64_t number;

		r = key_history_decode(backend_iter_key(it), &found, &number);
		if (!r)
			r = each(arg, number, backend_iter_value(it));
		if (r == -EUCLEAN) {
			store_damaged_key(st, TABLE_HISTORY);
			r = 0;
		}
	}
	if (!r)
		r = backend_iter_status(it);
	backend_iter_free(it);
	return r;
}

struct samples {
	enum store_history_step step;
	uint64_t first, last; /* numbers that count */
	struct store_sample *samples;
	size_t count;
};

static int add_sample(void *arg, uint64_t slot, struct slice raw)
{
	struct samples *s = arg;
	struct history_row row;
	int r = history_decode(raw, &row);

	if (r)
		return r;
	if (row.number % rings[s->step].slots != slot)
		return -EUCLEAN;
	if (row.number < s->first || row.number > s->last ||
	    s->count == rings[s->step].slots)
		return 0;
	s->samples[s->count++] = (struct store_sample){
	    .at_ns = (int64_t)row.number * store_history_step_ns(s->step),
	    .counts = row.counts,
	    .total_bytes = row.total_bytes,
	    .entries = row.entries,
	};
	return 0;
}

static int compare(const void *a, const void *b)
{
	const struct store_sample *x = a, *y = b;

	return (x->at_ns > y->at_ns) - (x->at_ns < y->at_ns);
}

int store_history_each(struct store *st, enum store_history_step step, int64_t now_ns,
		       int (*each)(void *arg, const struct store_sample *sample),
		       void *arg)
{
	struct samples s = {.step = step, .last = number_of(step, now_ns)};
	int r;

	s.first = s.last < rings[step].slots ? 0 : s.last - rings[step].slots + 1;
	s.samples = calloc(rings[step].slots, sizeof(*s.samples));
	if (!s.samples)
		return -ENOMEM;
	r = each_row(st, rings[step].tag, add_sample, &s);
	qsort(s.samples, s.count, sizeof(*s.samples), compare);
	for (size_t i = 0; !r && i < s.count; i++)
		r = each(arg, &s.samples[i]);
	free(s.samples);
	return r;
}

struct totals_each {
	int (*each)(void *arg, const struct store_total *total);
	void *arg;
};

static int give_total(void *arg, uint64_t ns_ino, struct slice raw)
{
	struct totals_each *te = arg;
	struct total_row row;
	int r = total_decode(raw, &row);

	return r ? r
		 : te->each(te->arg, &(struct store_total){.ns_ino = ns_ino,
							   .since_ns = row.since_ns,
							   .counts = row.counts});
}

int store_totals_each(struct store *st,
		      int (*each)(void *arg, const struct store_total *total), void *arg)
{
	struct totals_each te = {each, arg};

	return each_row(st, HISTORY_TOTAL, give_total, &te);
}
