/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From top to bottom: where and when; time saved; hits; size; what goes on; graphs;
 * lists. What is lower goes first where there are few rows, what is further to the
 * right where there are few columns.
 */
#include "cli/look/top.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli/look/words.h"
#include "cli/message.h"

#define LABEL_COLUMNS 12
/* From here on two lists stand side by side. */
#define WIDE 140
#define GAP 3
/* Of each list; where there is no end of rows, fewer. */
#define LIST_MAX 32
#define LIST_MAX_ONCE 10
/* A list with fewer lines says too little. */
#define LIST_MIN 2

struct frame {
	const struct top *t;
	size_t columns, rows; /* 0 rows: no limit */
	size_t used;
	struct buf *out;
};

static bool has_room(const struct frame *f, size_t rows)
{
	return !f->rows || f->used + rows <= f->rows;
}

static struct line new_line(const struct frame *f)
{
	return line_new(f->columns, f->t->style);
}

static void end_line(struct frame *f, struct line *l)
{
	if (has_room(f, 1)) {
		must(buf_append(f->out, l->text.data, l->text.len));
		must(buf_append(f->out, "\n", 1));
		f->used++;
	}
	line_deinit(l);
}

static void put_label(struct line *l, const char *label)
{
	line_put(l, FAINT, label);
	line_pad(l, LABEL_COLUMNS);
}

/* ---- the head ------------------------------------------------------------------ */

static void put_title(struct frame *f)
{
	const struct top *t = f->t;
	struct line l = new_line(f);
	char up[WORD_MAX], at[WORD_MAX], right[2 * WORD_MAX + 8];
	time_t now = (time_t)t->numbers.time_s;
	struct tm tm;

	if (!localtime_r(&now, &tm) || !strftime(at, sizeof(at), "%H:%M:%S", &tm))
		strcpy(at, "-");
	snprintf(right, sizeof(right), "up %s  %s",
		 word_duration(floor(t->numbers.time_s - t->numbers.started_s), up), at);
	line_put(&l, BOLD, "memofs ");
	line_put_name(&l, PLAIN,
		      f->columns > strlen(right) + 24 ? f->columns - strlen(right) - 10
						      : f->columns,
		      t->look->point);
	if (t->look->ns) {
		line_put(&l, FAINT, " namespace ");
		line_put_name(&l, BOLD, f->columns / 3, t->look->ns);
	}
	if (l.width + strlen(right) + 2 <= f->columns)
		line_put_right(&l, FAINT, f->columns, right);
	end_line(f, &l);
}

static void put_saved(struct frame *f)
{
	const struct top *t = f->t;
	struct line l = new_line(f);
	char saved[WORD_MAX], now[WORD_MAX], ago[WORD_MAX], computed[WORD_MAX];

	put_label(&l, "time saved");
	line_put(&l, GOOD, word_duration(t->total.of[SAVED_S], saved));
	if (t->since_s > 0)
		line_printf(&l, BOLD, "  +%s", word_duration(t->since.of[SAVED_S], now));
	if (t->since_s > 0)
		line_printf_whole(&l, FAINT, " in %s", word_duration(t->since_s, ago));
	line_printf_whole(&l, FAINT, "   computed %s",
			  word_duration(t->total.of[COMPUTED_S], computed));
	end_line(f, &l);
}

static void put_hits(struct frame *f)
{
	const struct top *t = f->t;
	struct line l = new_line(f);
	char share[WORD_MAX], now[WORD_MAX], hits[WORD_MAX], misses[WORD_MAX];

	put_label(&l, "hit ratio");
	line_put(&l, BOLD, word_share(totals_hit_ratio(&t->total), share));
	line_printf_whole(&l, FAINT, "  %s hits, %s misses",
			  word_count(t->total.of[HITS], hits),
			  word_count(t->total.of[MISSES], misses));
	if (t->since_s > 0)
		line_printf_whole(
		    &l, PLAIN, "   now %s: %s/s, %s/s",
		    word_share(totals_hit_ratio(&t->since), share),
		    word_count(ceil(t->since.of[HITS] / t->since_s), hits),
		    word_count(ceil(t->since.of[MISSES] / t->since_s), now));
	end_line(f, &l);
}

static void put_size(struct frame *f)
{
	const struct numbers *n = &f->t->numbers;
	const struct namespace_numbers *ns =
	    f->t->look->ns ? numbers_of(n, f->t->look->ns) : NULL;
	double used = f->t->look->ns ? (ns ? ns->bytes : 0) : n->total_bytes;
	double bound = f->t->look->ns ? (ns ? ns->quota_bytes : 0) : n->size_bytes;
	double entries = f->t->look->ns ? (ns ? ns->entries : 0) : n->entries;
	struct line l = new_line(f);
	char a[WORD_MAX], b[WORD_MAX], c[WORD_MAX];

	put_label(&l, "size");
	if (bound > 0) {
		line_put_bar(&l, used / bound, f->columns >= 60 ? 22 : 12);
		line_printf(&l, PLAIN, " %s of %s", word_size(used, a),
			    word_size(bound, b));
	} else {
		line_put(&l, PLAIN, word_size(used, a));
	}
	line_printf_whole(&l, FAINT, ", %s %s", word_count(entries, c),
			  entries == 1 ? "entry" : "entries");
	if (*n->policy)
		line_printf_whole(&l, FAINT, ", %s", n->policy);
	end_line(f, &l);
}

static void put_now(struct frame *f)
{
	const struct numbers *n = &f->t->numbers;
	struct line l = new_line(f);
	char a[WORD_MAX], b[WORD_MAX];

	put_label(&l, "now");
	line_printf(&l, PLAIN, "%s open, %s being written, ",
		    word_count(n->open_handles, a), word_count(n->pending_writes, b));
	line_printf_whole(&l, PLAIN, "%s reserved, %s waiting",
			  word_count(n->reservations, a),
			  word_count(n->waiting_opens, b));
	line_printf_whole(&l, FAINT, "   evicted %s (%s)",
			  word_count(f->t->total.of[EVICTED], a),
			  word_size(f->t->total.of[EVICTED_BYTES], b));
	end_line(f, &l);
}

static void put_trouble(struct frame *f)
{
	struct line l = new_line(f);

	line_printf(&l, BAD, "no news: %s", f->t->trouble);
	end_line(f, &l);
}

/* ---- graphs -------------------------------------------------------------------- */

static const char *const rate_names[RATES] = {
    [RATE_HIT_RATIO] = "hit ratio",
    [RATE_SAVED] = "time saved",
    [RATE_READ] = "read",
    [RATE_WRITTEN] = "written",
};

static double rate_of_sample(const struct sample *s, enum rate rate)
{
	static const enum total total[RATES] = {
	    [RATE_SAVED] = SAVED_S,
	    [RATE_READ] = BYTES_READ,
	    [RATE_WRITTEN] = BYTES_WRITTEN,
	};

	if (rate == RATE_HIT_RATIO)
		return totals_hit_ratio(&s->t);
	return s->step_s > 0 ? s->t.of[total[rate]] / s->step_s : NAN;
}

static const char *word_rate(double value, enum rate rate, char ret_text[WORD_MAX])
{
	char word[WORD_MAX];

	if (rate == RATE_HIT_RATIO || isnan(value))
		return word_share(value, ret_text);
	snprintf(ret_text, WORD_MAX, "%.40s/s",
		 rate == RATE_SAVED ? word_duration(value, word)
				    : word_size(value, word));
	return ret_text;
}

/* The minutes that end with now, one a column. */
static void put_minutes(struct line *l, const struct top *t, enum rate rate,
			size_t minutes)
{
	double values[LIVE_MAX], end_s = t->numbers.time_s;

	if (minutes > LIVE_MAX)
		minutes = LIVE_MAX;
	for (size_t i = 0; i < minutes; i++)
		values[i] = rate == RATE_HIT_RATIO ? NAN : 0;
	for (size_t i = 0; i < t->history.n; i++) {
		const struct sample *s = &t->history.list[i];
		double ago = floor((end_s - s->time_s) / 60);

		if (s->step_s <= 60 && ago >= 0 && ago < (double)minutes)
			values[minutes - 1 - (size_t)ago] = rate_of_sample(s, rate);
	}
	line_put_graph(l, values, minutes, minutes, rate == RATE_HIT_RATIO ? 1 : 0);
}

/* Of the last two looks; after one look of the last minute. */
static double newest_rate(const struct top *t, enum rate rate)
{
	if (t->n_live)
		return t->live[rate][t->n_live - 1];
	for (size_t i = t->history.n; i-- > 0;) {
		const struct sample *s = &t->history.list[i];

		if (s->step_s <= 60 && t->numbers.time_s - s->time_s < 120)
			return rate_of_sample(s, rate);
	}
	return NAN;
}

static void put_graph(struct frame *f, enum rate rate, size_t value_columns, size_t live,
		      size_t minutes)
{
	const struct top *t = f->t;
	struct line l = new_line(f);
	char value[WORD_MAX];

	put_label(&l, rate_names[rate]);
	line_put_right(&l, PLAIN, LABEL_COLUMNS + value_columns,
		       word_rate(newest_rate(t, rate), rate, value));
	if (live) {
		line_put(&l, PLAIN, "  ");
		line_put_graph(&l, t->live[rate], t->n_live, live,
			       rate == RATE_HIT_RATIO ? 1 : 0);
	}
	if (minutes) {
		line_put(&l, PLAIN, "  ");
		put_minutes(&l, t, rate, minutes);
	}
	end_line(f, &l);
}

static size_t at_most(size_t n, size_t max)
{
	return n < max ? n : max;
}

/* Looks at the left, minutes at the right, so far as there are any. */
static void put_graphs(struct frame *f)
{
	const struct top *t = f->t;
	size_t value = 12, left = LABEL_COLUMNS + value, minutes = 0, live = 0;
	size_t room = f->columns > left + 2 ? f->columns - left - 2 : 0;
	struct line l = new_line(f);
	char every[WORD_MAX];

	if (!f->rows)
		minutes = room;
	else if (t->history.n && room > 2)
		minutes = (room - 2) / 2;
	if (f->rows)
		live = room - (minutes ? minutes + 2 : 0);
	minutes = at_most(minutes, LIVE_MAX);
	live = at_most(live, LIVE_MAX);
	line_pad(&l, left + 2);
	if (live)
		line_printf(&l, FAINT, "each %s",
			    word_duration((double)t->interval_ns / 1e9, every));
	line_pad(&l, left + 2 + (live ? live + 2 : 0));
	if (minutes)
		line_printf_whole(&l, FAINT, "%zu minutes", minutes);
	end_line(f, &l);
	for (size_t i = 0; i < RATES; i++)
		put_graph(f, (enum rate)i, value, live, minutes);
}

/* ---- lists --------------------------------------------------------------------- */

enum list { COMPUTING, WAITING, HOTTEST, DEAREST, LISTS };

static const struct {
	const char *key, *title;
} lists[LISTS] = {
    [COMPUTING] = {"computing", "computed now"},
    [WAITING] = {"waiting", "waited for"},
    [HOTTEST] = {"hottest", "hottest"},
    [DEAREST] = {"dearest", "dearest"},
};

/* Of the namespace that is looked at; paths are those below the mount. */
static bool is_shown(const struct frame *f, const struct jval *entry)
{
	CLEANUP_FREE char *ns = look_namespace(jval_string(jval_get(entry, "path"), ""));

	return !f->t->look->ns || (ns && strcmp(ns, f->t->look->ns) == 0);
}

static const struct jval *next_shown(const struct frame *f, const struct jval *e)
{
	while (e && !is_shown(f, e))
		e = e->next;
	return e;
}

static const struct jval *list_first(const struct frame *f, enum list list)
{
	const struct jval *root = f->t->lists.n ? &f->t->lists.values[0] : NULL;

	return next_shown(f, jval_elements(jval_get(root, lists[list].key)));
}

static size_t list_length(const struct frame *f, enum list list)
{
	size_t n = 0, max = f->rows ? LIST_MAX : LIST_MAX_ONCE;

	for (const struct jval *e = list_first(f, list); e; e = next_shown(f, e->next))
		n++;
	return n < max ? n : max;
}

static double member(const struct jval *entry, const char *key)
{
	return fmax(jval_number(jval_get(entry, key), 0), 0);
}

/* The columns at the right of a path: three at most, each with its width. */
#define CELLS 3
static const struct cell {
	const char *title;
	size_t columns;
} cells[LISTS][CELLS] = {
    [COMPUTING] = {{"since", 9}, {"bytes", 9}, {"by", 14}},
    [WAITING] = {{"waiters", 9}},
    [HOTTEST] = {{"hits", 11}, {"saved", 9}, {"bytes", 9}},
    [DEAREST] = {{"cost", 9}, {"saved", 9}, {"hits", 11}},
};

static const char *owner_of(const struct jval *e, char ret_text[WORD_MAX])
{
	const char *owner = jval_string(jval_get(e, "owner"), "");

	if (*owner)
		return owner;
	if (member(e, "pid") <= 0)
		return "-";
	snprintf(ret_text, WORD_MAX, "pid %.0f", member(e, "pid"));
	return ret_text;
}

static const char *cell_text(const struct frame *f, enum list list, size_t cell,
			     const struct jval *e, char ret_text[WORD_MAX])
{
	const char *title = cells[list][cell].title;

	if (strcmp(title, "since") == 0)
		return word_duration(
		    fmax(floor(f->t->numbers.time_s - member(e, "since")), 0), ret_text);
	if (strcmp(title, "by") == 0)
		return owner_of(e, ret_text);
	if (strcmp(title, "waiters") == 0 || strcmp(title, "hits") == 0)
		return word_count(member(e, title), ret_text);
	if (strcmp(title, "bytes") == 0)
		return word_size(member(e, "bytes"), ret_text);
	return word_duration(member(e, strcmp(title, "cost") == 0 ? "cost_s" : "saved_s"),
			     ret_text);
}

/* The path gets what the cells leave; where that is little, the last cells go. */
static size_t path_columns(enum list list, size_t columns, size_t *ret_cells)
{
	size_t taken = 0, n = 0;

	while (n < CELLS && cells[list][n].title &&
	       taken + cells[list][n].columns + 1 + 20 <= columns)
		taken += cells[list][n++].columns + 1;
	*ret_cells = n;
	return columns - taken;
}

static void put_list_title(struct line *l, const struct frame *f, enum list list,
			   size_t columns)
{
	size_t n, at = l->width, path = path_columns(list, columns, &n);

	line_put(l, BOLD, lists[list].title);
	if (!list_length(f, list)) {
		line_put(l, FAINT, ": none");
		return;
	}
	at += path;
	for (size_t i = 0; i < n; i++) {
		at += cells[list][i].columns + 1;
		line_put_right(l, FAINT, at, cells[list][i].title);
	}
}

static void put_list_entry(struct line *l, const struct frame *f, enum list list,
			   size_t columns, const struct jval *e)
{
	size_t n, at = l->width, path = path_columns(list, columns, &n);
	const char *name = jval_string(jval_get(e, "path"), "?");
	char text[WORD_MAX];

	line_put_name(l, PLAIN, path - 1, name + (*name == '/'));
	at += path;
	for (size_t i = 0; i < n; i++) {
		const char *word = cell_text(f, list, i, e, text);
		size_t width = cells[list][i].columns;

		if (strcmp(cells[list][i].title, "by") == 0) {
			struct line by = line_new(width, l->style);

			line_put_name(&by, PLAIN, width, word);
			line_pad(l, at + 1 + width - by.width);
			line_put_name(l, PLAIN, width, word);
			line_deinit(&by);
		} else {
			line_put_right(l, PLAIN, at + 1 + width, word);
		}
		at += width + 1;
	}
}

/* Line `i` of a list: its title, then the entries; nothing where it is shorter. */
static void put_list_line(struct line *l, const struct frame *f, enum list list,
			  size_t columns, size_t i)
{
	const struct jval *e;

	if (i == 0) {
		put_list_title(l, f, list, columns);
		return;
	}
	e = list_first(f, list);
	while (e && --i)
		e = next_shown(f, e->next);
	if (e)
		put_list_entry(l, f, list, columns, e);
}

/* One list, or two side by side; `rows` with the title. */
static void put_lists(struct frame *f, const enum list *which, size_t n, size_t rows)
{
	size_t columns = n == 1 ? f->columns : (f->columns - GAP) / 2;

	for (size_t i = 0; i < rows; i++) {
		struct line l = new_line(f);

		for (size_t k = 0; k < n; k++) {
			line_pad(&l, k * (columns + GAP));
			put_list_line(&l, f, which[k], columns, i);
		}
		end_line(f, &l);
	}
}

static void put_gap(struct frame *f)
{
	struct line l = new_line(f);

	end_line(f, &l);
}

struct group {
	enum list which[2];
	size_t n, want, rows; /* rows with the title */
};

static void measure(const struct frame *f, struct group *g)
{
	g->want = 0;
	for (size_t i = 0; i < g->n; i++) {
		size_t length = list_length(f, g->which[i]) + 1;

		g->want = length > g->want ? length : g->want;
	}
}

/* Each gets its least in turn, then one row after the other as long as there are any. */
static void share_rows(const struct frame *f, struct group *groups, size_t n)
{
	size_t left = f->rows > f->used ? f->rows - f->used : 0, given;

	for (size_t i = 0; i < n; i++) {
		size_t least = groups[i].want < LIST_MIN ? groups[i].want : LIST_MIN;

		if (!f->rows)
			groups[i].rows = groups[i].want;
		else if (left >= least + 1) /* and a gap above it */
			groups[i].rows = least, left -= least + 1;
	}
	do {
		given = 0;
		for (size_t i = 0; i < n && left; i++) {
			if (groups[i].rows && groups[i].rows < groups[i].want) {
				groups[i].rows++;
				left--;
				given++;
			}
		}
	} while (given);
}

static void put_groups(struct frame *f)
{
	static const struct group wide[] = {{.which = {COMPUTING, WAITING}, .n = 2},
					    {.which = {HOTTEST, DEAREST}, .n = 2}};
	static const struct group narrow[] = {{.which = {COMPUTING}, .n = 1},
					      {.which = {HOTTEST}, .n = 1},
					      {.which = {DEAREST}, .n = 1},
					      {.which = {WAITING}, .n = 1}};
	struct group groups[LISTS];
	size_t n = f->columns >= WIDE ? 2 : 4;

	memcpy(groups, n == 2 ? wide : narrow, n * sizeof(*groups));
	for (size_t i = 0; i < n; i++)
		measure(f, &groups[i]);
	share_rows(f, groups, n);
	for (size_t i = 0; i < n; i++) {
		if (!groups[i].rows)
			continue;
		put_gap(f);
		put_lists(f, groups[i].which, groups[i].n, groups[i].rows);
	}
}

static void put_no_lists(struct frame *f)
{
	struct line l = new_line(f);
	int r = f->t->lists_failed;

	put_gap(f);
	if (r == -EACCES || r == -EPERM)
		line_put(&l, FAINT, "Entries are shown to the user of the daemon only.");
	else if (r == -ENOENT)
		line_put(&l, FAINT, "The daemon has no lists of entries.");
	else
		line_printf(&l, FAINT, "top.json cannot be read: %s", strerror(-r));
	end_line(f, &l);
}

void top_frame(const struct top *t, size_t columns, size_t rows, struct buf *ret_lines)
{
	struct frame f = {.t = t, .columns = columns, .rows = rows, .out = ret_lines};

	put_title(&f);
	put_saved(&f);
	if (t->trouble)
		put_trouble(&f);
	put_hits(&f);
	put_size(&f);
	put_now(&f);
	if (has_room(&f, RATES + 2)) {
		put_gap(&f);
		put_graphs(&f);
	}
	if (t->lists_failed)
		put_no_lists(&f);
	else
		put_groups(&f);
}
