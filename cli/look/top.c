/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/look/top.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "cli/command.h"
#include "cli/message.h"
#include "cli/probe.h"
#include "store/util/duration.h"

/* A line is added to it each minute. */
#define HISTORY_AGAIN_NS (60 * NSEC_PER_SEC)

void top_init(struct top *t, const struct look *l, struct look_style style,
	      int64_t interval_ns)
{
	*t = (struct top){.look = l, .style = style, .interval_ns = interval_ns};
}

void top_deinit(struct top *t)
{
	numbers_deinit(&t->numbers);
	history_deinit(&t->history);
	jdoc_deinit(&t->lists);
}

static void add_live(struct top *t, const double rates[RATES])
{
	bool full = t->n_live == LIVE_MAX;

	for (size_t i = 0; i < RATES; i++) {
		if (full)
			memmove(t->live[i], t->live[i] + 1,
				(LIVE_MAX - 1) * sizeof(double));
		t->live[i][t->n_live - full] = rates[i];
	}
	t->n_live += !full;
}

/* `total` of a namespace that nothing is known of (yet) is all zeros. */
static struct totals totals_of(const struct look *l, const struct numbers *n)
{
	const struct namespace_numbers *ns = l->ns ? numbers_of(n, l->ns) : NULL;

	if (l->ns)
		return ns ? ns->total : (struct totals){{0}};
	return n->total;
}

static void compare(struct top *t, const struct numbers *now)
{
	struct totals total = totals_of(t->look, now);
	double s = now->time_s - t->numbers.time_s;

	t->since_s = 0;
	if (t->numbers.doc.n && s > 0) {
		t->since = totals_since(&t->total, &total);
		t->since_s = s;
		add_live(t, (double[RATES]){
				[RATE_HIT_RATIO] = totals_hit_ratio(&t->since),
				[RATE_SAVED] = t->since.of[SAVED_S] / s,
				[RATE_READ] = t->since.of[BYTES_READ] / s,
				[RATE_WRITTEN] = t->since.of[BYTES_WRITTEN] / s,
			    });
	}
	t->total = total;
}

/* Graphs and lists are extra: what cannot be read of them is left out. */
static void look_at_history(struct top *t)
{
	CLEANUP_BUF struct buf text = BUF_INIT;
	CLEANUP_HISTORY struct history h = HISTORY_INIT;
	int64_t now_ns = time_monotonic_ns();

	if (t->look->ns || (t->history_ns && now_ns - t->history_ns < HISTORY_AGAIN_NS))
		return;
	t->history_ns = now_ns;
	if (look_text(t->look, "history.csv", &text) ||
	    history_read((const char *)text.data, text.len, &h, NULL))
		return;
	history_deinit(&t->history);
	t->history = h;
	h = HISTORY_INIT;
}

static void look_at_lists(struct top *t)
{
	CLEANUP_BUF struct buf text = BUF_INIT;
	struct jdoc doc;

	t->lists_failed = look_text(t->look, "top.json", &text);
	if (!t->lists_failed)
		t->lists_failed =
		    jdoc_read((const char *)text.data, text.len, &doc, NULL);
	if (t->lists_failed)
		return;
	jdoc_deinit(&t->lists);
	t->lists = doc;
}

static int look_first(struct top *t, struct numbers *ret_now)
{
	return look_numbers(t->look, ret_now);
}

static bool look_again(struct top *t, struct numbers *ret_now)
{
	CLEANUP_BUF struct buf text = BUF_INIT;
	int r = look_text(t->look, "stats.json", &text);

	t->trouble = r ? status_trouble(r) : NULL;
	if (!r && numbers_read((const char *)text.data, text.len, ret_now, NULL))
		t->trouble = "stats.json is not understood";
	return !t->trouble;
}

int top_look(struct top *t)
{
	struct numbers now = NUMBERS_INIT;

	if (!t->numbers.doc.n) {
		int status = look_first(t, &now);

		if (status)
			return status;
	} else if (!look_again(t, &now)) {
		t->since_s = 0;
		return CLI_OK;
	}
	compare(t, &now);
	numbers_deinit(&t->numbers);
	t->numbers = now;
	look_at_history(t);
	look_at_lists(t);
	return CLI_OK;
}
