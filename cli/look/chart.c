/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/look/chart.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/look/treemap.h"
#include "cli/look/words.h"
#include "cli/message.h"
#include "store/util/utf8.h"

/* One unit is about a pixel on a phone; wider screens scale it. */
#define WIDTH 400.0
#define HEIGHT 180.0
#define LEFT 62.0
#define RIGHT 10.0
#define TOP 10.0
#define BOTTOM 22.0
#define PLOT_WIDTH (WIDTH - LEFT - RIGHT)
#define PLOT_HEIGHT (HEIGHT - TOP - BOTTOM)

/* ---- text ---------------------------------------------------------------------- */

/* Marks of direction would have the text around them read backwards. */
static bool turns_text(uint32_t c)
{
	return c == 0x061c || (c >= 0x200b && c <= 0x200f) ||
	       (c >= 0x2028 && c <= 0x202e) || (c >= 0x2066 && c <= 0x206f) ||
	       c == 0xfeff;
}

static bool is_shown(uint32_t c)
{
	bool control = c < 0x20 || (c >= 0x7f && c < 0xa0);
	bool none = (c >= 0xfdd0 && c <= 0xfdef) || (c & 0xfffe) == 0xfffe;

	return !control && !none && !turns_text(c);
}

void html_text(FILE *out, const char *text)
{
	size_t len = strlen(text), n;
	uint32_t c;

	for (; len; text += n, len -= n) {
		n = utf8_decode(text, len, &c);
		if (!n) {
			n = 1;
			fprintf(out, "\\x%02x", (unsigned char)*text);
		} else if (!is_shown(c)) {
			fprintf(out, "\\u%04x", (unsigned int)c);
		} else if (strchr("&<>\"'`", (int)c) && c < 0x80) {
			fprintf(out, "&#%u;", (unsigned int)c);
		} else {
			fwrite(text, 1, n, out);
		}
	}
}

static const char *word(double value, enum unit unit, char ret_text[WORD_MAX])
{
	char size[WORD_MAX];

	switch (unit) {
	case UNIT_SHARE:
		return word_share(value, ret_text);
	case UNIT_SECONDS:
		return word_duration(value, ret_text);
	case UNIT_BYTES:
		return word_size(value, ret_text);
	case UNIT_RATE:
		snprintf(ret_text, WORD_MAX, "%.40s/s", word_size(value, size));
		return ret_text;
	case UNIT_COUNT:
		break;
	}
	return word_count(value, ret_text);
}

static void text_at(FILE *out, double x, double y, const char *anchor, const char *text)
{
	fprintf(out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">", x, y, anchor);
	html_text(out, text);
	fputs("</text>", out);
}

/* ---- the frame of a chart ------------------------------------------------------ */

static void begin_figure(FILE *out, const char *title, const char *period)
{
	fputs("<figure><figcaption><b>", out);
	html_text(out, title);
	fputs("</b>", out);
	if (period) {
		fputs(" <span>", out);
		html_text(out, period);
		fputs("</span>", out);
	}
	fputs("</figcaption>\n", out);
}

static void begin_svg(FILE *out, const char *id, const char *title, const char *desc,
		      double height)
{
	fprintf(out,
		"<svg viewBox=\"0 0 %.0f %.0f\" role=\"img\" aria-labelledby=\"%s-t "
		"%s-d\"><title id=\"%s-t\">",
		WIDTH, height, id, id, id);
	html_text(out, title);
	fprintf(out, "</title><desc id=\"%s-d\">", id);
	html_text(out, desc);
	fputs("</desc>\n", out);
}

static void begin_table(FILE *out, const char *const *heads, size_t n)
{
	fputs(
	    "<details><summary>Numbers</summary><div class=\"scroll\"><table><thead><tr>",
	    out);
	for (size_t i = 0; i < n; i++)
		fprintf(out, "<th scope=\"col\">%s</th>", heads[i]);
	fputs("</tr></thead><tbody>\n", out);
}

static void end_table(FILE *out)
{
	fputs("</tbody></table></div></details>\n", out);
}

/* The smallest that is not below `value` of these, times a power of ten. */
static double nice_decimal(double value)
{
	static const double steps[] = {1, 2, 3, 4, 5, 6, 8};
	double power = pow(10, floor(log10(value)));

	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
		if (value <= steps[i] * power * 1.0001)
			return steps[i] * power;
	}
	return 10 * power;
}

static double nice_binary(double value)
{
	return exp2(ceil(log2(fmax(value, 1)) - 1e-9));
}

static double nice_seconds(double value)
{
	static const double steps[] = {60,   120,   300,   600,	  1200,	 1800,	 3600,
				       7200, 10800, 21600, 43200, 86400, 172800, 432000};

	if (value <= 30)
		return nice_decimal(value);
	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
		if (value <= steps[i])
			return steps[i];
	}
	return nice_decimal(value / 86400) * 86400;
}

/* The end of the axis for values up to `largest`: it and its half are short words. */
static double axis_end(double largest, enum unit unit)
{
	if (unit == UNIT_SHARE)
		return 1;
	if (!(largest > 0))
		return unit == UNIT_SECONDS ? 2 : unit == UNIT_COUNT ? 2 : 2048;
	if (unit == UNIT_SECONDS)
		return 2 * nice_seconds(largest / 2);
	if (unit == UNIT_COUNT)
		return 2 * nice_decimal(fmax(largest / 2, 1));
	return 2 * nice_binary(largest / 2);
}

static double y_of(double value, double end)
{
	return TOP + PLOT_HEIGHT * (1 - fmin(value / end, 1));
}

static void y_axis(FILE *out, double end, enum unit unit)
{
	char text[WORD_MAX];

	for (int i = 0; i <= 2; i++) {
		double value = end * i / 2, y = y_of(value, end);

		fprintf(out,
			"<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" "
			"y2=\"%.1f\"/>",
			LEFT, WIDTH - RIGHT, y, y);
		if (unit == UNIT_SHARE)
			snprintf(text, sizeof(text), "%d%%", 50 * i);
		text_at(out, LEFT - 6, y + 4, "end",
			unit == UNIT_SHARE ? text
			: i		   ? word(value, unit, text)
					   : "0");
	}
	fputc('\n', out);
}

/* ---- over time ----------------------------------------------------------------- */

/* How far the points go; and the time axis with its marks. */
struct span {
	double from_s, to_s;
};

static double x_of(const struct span *s, double time_s)
{
	return LEFT + PLOT_WIDTH * (time_s - s->from_s) / (s->to_s - s->from_s);
}

/* The first whole multiple of so many hours, or the first midnight, of local time. */
static time_t first_mark(double from_s, double every_s)
{
	time_t t = (time_t)from_s;
	struct tm tm;

	if (!localtime_r(&t, &tm))
		return t;
	tm.tm_sec = 0;
	if (every_s < 3600) {
		tm.tm_min -= tm.tm_min % (int)(every_s / 60);
	} else {
		tm.tm_min = 0;
		tm.tm_hour -=
		    every_s < 86400 ? tm.tm_hour % (int)(every_s / 3600) : tm.tm_hour;
	}
	t = mktime(&tm);
	while ((double)t < from_s)
		t += (time_t)every_s;
	return t;
}

static double mark_every(double span_s)
{
	static const double steps[] = {60,     300,    600,    1800,   3600,
				       7200,   10800,  21600,  43200,  86400,
				       172800, 432000, 864000, 1728000};

	for (size_t i = 0; i < sizeof(steps) / sizeof(*steps); i++) {
		if (span_s / steps[i] <= 5)
			return steps[i];
	}
	return span_s / 4;
}

static void x_axis(FILE *out, const struct span *s)
{
	double every_s = mark_every(s->to_s - s->from_s);
	char text[WORD_MAX];

	for (time_t t = first_mark(s->from_s, every_s); (double)t <= s->to_s;
	     t += (time_t)every_s) {
		double x = x_of(s, (double)t);
		struct tm tm;

		if (!localtime_r(&t, &tm) ||
		    !strftime(text, sizeof(text), every_s < 86400 ? "%H:%M" : "%-d %b",
			      &tm))
			continue;
		fprintf(out,
			"<line class=\"grid\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" "
			"y2=\"%.1f\"/>",
			x, x, TOP + PLOT_HEIGHT, TOP + PLOT_HEIGHT + 4);
		if (x > LEFT + 8 && x < WIDTH - RIGHT - 8)
			text_at(out, x, HEIGHT - 6, "middle", text);
	}
	fputc('\n', out);
}

static double largest(const struct time_chart *c)
{
	double max = c->limit;

	for (size_t i = 0; i < c->n; i++)
		max = fmax(max, c->points[i].value);
	return max;
}

/* What a pointer on a step is told. */
static void step_title(FILE *out, const struct time_chart *c, size_t i)
{
	char at[WORD_MAX], value[WORD_MAX];

	fprintf(out, "<title>%s: %s</title>", word_minute(c->points[i].time_s, at),
		word(c->points[i].value, c->unit, value));
}

static void put_bars(FILE *out, const struct time_chart *c, const struct span *s,
		     double end)
{
	double width = PLOT_WIDTH * c->step_s / (s->to_s - s->from_s);

	for (size_t i = 0; i < c->n; i++) {
		double y = y_of(c->points[i].value, end);

		if (!(c->points[i].value > 0))
			continue;
		fprintf(out,
			"<rect class=\"bar\" x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" "
			"height=\"%.2f\">",
			x_of(s, c->points[i].time_s), y, fmax(width * 0.86, 0.5),
			fmax(TOP + PLOT_HEIGHT - y, 0.5));
		step_title(out, c, i);
		fputs("</rect>\n", out);
	}
}

/* One path; a gap where there is no value, and a dot where one stands alone. */
static void put_line(FILE *out, const struct time_chart *c, const struct span *s,
		     double end)
{
	bool drawing = false;

	fputs("<path class=\"line\" d=\"", out);
	for (size_t i = 0; i < c->n; i++) {
		double x = x_of(s, c->points[i].time_s + c->step_s / 2);

		if (isnan(c->points[i].value)) {
			drawing = false;
			continue;
		}
		fprintf(out, "%c%.1f %.1f", drawing ? 'L' : 'M', x,
			y_of(c->points[i].value, end));
		if (!drawing)
			fputs("h.1", out);
		drawing = true;
	}
	fputs("\"/>\n", out);
}

/* Invisible, over the whole height, so that a line can be pointed at. */
static void put_targets(FILE *out, const struct time_chart *c, const struct span *s)
{
	double width = PLOT_WIDTH * c->step_s / (s->to_s - s->from_s);

	for (size_t i = 0; i < c->n; i++) {
		if (isnan(c->points[i].value))
			continue;
		fprintf(out,
			"<rect class=\"target\" x=\"%.2f\" y=\"%.0f\" width=\"%.2f\" "
			"height=\"%.0f\">",
			x_of(s, c->points[i].time_s), TOP, width, PLOT_HEIGHT);
		step_title(out, c, i);
		fputs("</rect>\n", out);
	}
}

static void put_limit(FILE *out, const struct time_chart *c, double end)
{
	double y = y_of(c->limit, end);

	fprintf(out,
		"<line class=\"limit\" x1=\"%.1f\" x2=\"%.1f\" y1=\"%.1f\" "
		"y2=\"%.1f\"/>",
		LEFT, WIDTH - RIGHT, y, y);
	text_at(out, WIDTH - RIGHT - 2, y < TOP + 14 ? y + 12 : y - 4, "end",
		c->limit_name);
}

/* In words: from when to when, and what the last and the largest are. */
static void describe(const struct time_chart *c, char *ret_text, size_t cap)
{
	char from[WORD_MAX], to[WORD_MAX], max[WORD_MAX];
	struct time_chart without = *c;

	without.limit = 0;
	snprintf(ret_text, cap, "From %s to %s; at most %s.",
		 word_minute(c->points[0].time_s, from),
		 word_minute(c->points[c->n - 1].time_s + c->step_s, to),
		 word(largest(&without), c->unit, max));
}

static void time_table(FILE *out, const struct time_chart *c)
{
	static const char *const heads[] = {"From", "Value"};
	char at[WORD_MAX], value[WORD_MAX];

	begin_table(out, heads, 2);
	for (size_t i = 0; i < c->n; i++)
		fprintf(out, "<tr><td>%s</td><td>%s</td></tr>\n",
			word_minute(c->points[i].time_s, at),
			word(c->points[i].value, c->unit, value));
	end_table(out);
}

void chart_time(FILE *out, const struct time_chart *c)
{
	double end = axis_end(largest(c), c->unit);
	struct span s = {c->points[0].time_s, c->points[c->n - 1].time_s + c->step_s};
	char desc[4 * WORD_MAX];

	describe(c, desc, sizeof(desc));
	begin_figure(out, c->title, c->period);
	begin_svg(out, c->id, c->title, desc, HEIGHT);
	y_axis(out, end, c->unit);
	x_axis(out, &s);
	if (c->limit > 0)
		put_limit(out, c, end);
	if (c->bars) {
		put_bars(out, c, &s, end);
	} else {
		put_line(out, c, &s, end);
		put_targets(out, c, &s);
	}
	fputs("</svg>\n", out);
	time_table(out, c);
	fputs("</figure>\n", out);
}

/* ---- distributions ------------------------------------------------------------- */

/* A few bars are not as wide as they could be. */
#define SPREAD_MIN 8.0

/* The first and last bucket that have something; false: none has. */
static bool spread_range(const struct histogram *h, size_t *ret_first, size_t *ret_last)
{
	bool found = false;

	for (size_t i = 0; i < h->n; i++) {
		if (h->bucket[i].entries <= 0)
			continue;
		if (!found)
			*ret_first = i;
		*ret_last = i;
		found = true;
	}
	return found;
}

static void bucket_name(const struct spread_chart *c, size_t i, char *ret_text,
			size_t cap)
{
	const struct histogram_bucket *b = &c->h->bucket[i];
	char limit[WORD_MAX];

	if (isinf(b->le))
		snprintf(ret_text, cap, "more");
	else
		snprintf(ret_text, cap, "to %s", word(b->le, c->unit, limit));
}

static void spread_table(FILE *out, const struct spread_chart *c, size_t first,
			 size_t last)
{
	const char *heads[] = {c->what, "Entries", "Bytes"};
	char name[2 * WORD_MAX], entries[WORD_MAX], bytes[WORD_MAX];

	begin_table(out, heads, 3);
	for (size_t i = first; i <= last; i++) {
		bucket_name(c, i, name, sizeof(name));
		fprintf(out, "<tr><td>%s</td><td>%s</td><td>%s</td></tr>\n", name,
			word_count(c->h->bucket[i].entries, entries),
			word_size(c->h->bucket[i].bytes, bytes));
	}
	end_table(out);
}

static void spread_bars(FILE *out, const struct spread_chart *c, size_t first,
			size_t last, double end)
{
	double width = PLOT_WIDTH / fmax((double)(last - first + 1), SPREAD_MIN);
	size_t marks = (last - first) / 5 + 1;
	char name[2 * WORD_MAX], entries[WORD_MAX], bytes[WORD_MAX];

	for (size_t i = first; i <= last; i++) {
		const struct histogram_bucket *b = &c->h->bucket[i];
		double x = LEFT + (double)(i - first) * width, y = y_of(b->entries, end);

		bucket_name(c, i, name, sizeof(name));
		fprintf(out,
			"<rect class=\"bar\" x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" "
			"height=\"%.2f\"><title>%s: %s entries, %s</title></rect>\n",
			x + 0.5, y, fmax(width - 1, 0.5), fmax(TOP + PLOT_HEIGHT - y, 0),
			name, word_count(b->entries, entries),
			word_size(b->bytes, bytes));
		/* The mark of a limit is at the end of its bar, and is a round one. */
		if ((i - first) % marks == marks / 2 && !isinf(b->le)) {
			word(b->le, c->unit, name);
			name[strcspn(name, " ")] = '\0';
			text_at(out, fmin(x + width, WIDTH - 24), HEIGHT - 6, "middle",
				name);
		}
	}
}

void chart_spread(FILE *out, const struct spread_chart *c)
{
	size_t first = 0, last = 0;
	double end, max = 0;

	begin_figure(out, c->title, "entries");
	if (!spread_range(c->h, &first, &last)) {
		fputs("<p class=\"none\">Not counted yet.</p></figure>\n", out);
		return;
	}
	for (size_t i = first; i <= last; i++)
		max = fmax(max, c->h->bucket[i].entries);
	end = axis_end(max, UNIT_COUNT);
	begin_svg(out, c->id, c->title,
		  "How many entries there are of each, from the "
		  "last census; the table has the numbers.",
		  HEIGHT);
	y_axis(out, end, UNIT_COUNT);
	spread_bars(out, c, first, last, end);
	fputs("</svg>\n", out);
	spread_table(out, c, first, last);
	fputs("</figure>\n", out);
}

/* ---- parts of a whole ---------------------------------------------------------- */

void chart_parts(FILE *out, const char *title, const struct part *parts, size_t n)
{
	double all = 0;
	char count[WORD_MAX], share[WORD_MAX];

	for (size_t i = 0; i < n; i++)
		all += parts[i].value;
	begin_figure(out, title, NULL);
	/* A table that is its own chart: the bar is behind the words. */
	fputs("<table class=\"parts\"><tbody>\n", out);
	for (size_t i = 0; i < n; i++) {
		double part = all > 0 ? parts[i].value / all : 0;

		fputs("<tr><th scope=\"row\">", out);
		html_text(out, parts[i].name);
		fprintf(out,
			"</th><td class=\"meter\"><svg viewBox=\"0 0 100 8\" "
			"preserveAspectRatio=\"none\" aria-hidden=\"true\"><rect "
			"class=\"track\" width=\"100\" height=\"8\"/><rect class=\"bar\" "
			"width=\"%.2f\" height=\"8\"/></svg></td><td>%s</td><td>%s</td>"
			"</tr>\n",
			part * 100, word_count(parts[i].value, count),
			all > 0 ? word_share(part, share) : "-");
	}
	fputs("</tbody></table></figure>\n", out);
}

/* ---- namespaces ---------------------------------------------------------------- */

#define MAP_HEIGHT 250.0
/* More would be specks; the rest is one rectangle. */
#define MAP_MAX 40
#define OTHERS "others"

static const char *name_of(const struct namespace_numbers *ns)
{
	return *ns->name ? ns->name : OTHERS;
}

/* One of five tints; the legend has them, too. */
static int tint_of(double hit_ratio)
{
	static const double from[] = {0.25, 0.5, 0.75, 0.9};
	int tint = 0;

	while (tint < 4 && hit_ratio >= from[tint])
		tint++;
	return tint;
}

/* The name, as much as fits: some 6.5 units a character. */
static void map_label(FILE *out, const struct rect *r, const char *name, double bytes)
{
	size_t room = (size_t)(fmax(r->width - 10, 0) / 6.5), len = 0, chars = 0, n;
	CLEANUP_FREE char *cut = NULL;
	char size[WORD_MAX];
	uint32_t c;

	if (room < 3 || r->height < 16)
		return;
	for (; name[len] && chars < room; chars++, len += n) {
		n = utf8_decode(name + len, strlen(name + len), &c);
		n = n ? n : 1;
	}
	if (asprintf(&cut, "%.*s%s", (int)len, name, name[len] ? "…" : "") < 0) {
		cut = NULL;
		must(-1);
	}
	/* Of its own, so that what is wider than it was taken for is clipped. */
	fprintf(out, "<svg x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" height=\"%.2f\">", r->x,
		r->y, r->width - 2, r->height - 1);
	text_at(out, 5, 14, "start", cut);
	if (r->height >= 32 && r->width >= 60)
		text_at(out, 5, 28, "start", word_size(bytes, size));
	fputs("</svg>", out);
}

static void map_rect(FILE *out, const struct rect *r, const char *name, double bytes,
		     double hit_ratio)
{
	char size[WORD_MAX], share[WORD_MAX];

	if (r->width < 0.3 || r->height < 0.3)
		return;
	fprintf(out,
		"<g><rect class=\"tile t%d\" x=\"%.2f\" y=\"%.2f\" width=\"%.2f\" "
		"height=\"%.2f\"><title>",
		isnan(hit_ratio) ? 0 : tint_of(hit_ratio), r->x + 0.75, r->y + 0.75,
		fmax(r->width - 1.5, 0.2), fmax(r->height - 1.5, 0.2));
	html_text(out, name);
	fprintf(out, ": %s, hit ratio %s</title></rect>", word_size(bytes, size),
		word_share(hit_ratio, share));
	map_label(out, r, name, bytes);
	fputs("</g>\n", out);
}

static void map_svg(FILE *out, const struct numbers *n, size_t shown)
{
	double sizes[MAP_MAX + 1] = {0}, rest = 0;
	struct rect rects[MAP_MAX + 1];

	for (size_t i = 0; i < n->n_ns; i++) {
		if (i < shown)
			sizes[i] = n->ns[i].bytes;
		else
			rest += n->ns[i].bytes;
	}
	sizes[shown] = rest;
	treemap_layout(sizes, shown + (rest > 0), (struct rect){0, 0, WIDTH, MAP_HEIGHT},
		       rects);
	for (size_t i = 0; i < shown; i++)
		map_rect(out, &rects[i], name_of(&n->ns[i]), n->ns[i].bytes,
			 totals_hit_ratio(&n->ns[i].total));
	if (rest > 0)
		map_rect(out, &rects[shown], OTHERS, rest, NAN);
}

static void map_legend(FILE *out)
{
	static const char *const words[] = {"under 25%", "25%", "50%", "75%", "90%"};

	fputs("<p class=\"legend\">Hit ratio: ", out);
	for (int i = 0; i < 5; i++)
		fprintf(out, "<span class=\"key t%d\">%s</span> ", i, words[i]);
	fputs("and more</p>\n", out);
}

static void namespaces_table(FILE *out, const struct numbers *n)
{
	static const char *const heads[] = {"Namespace", "Time saved", "Hit ratio",
					    "Hits",	 "Misses",     "Size",
					    "Quota",	 "Entries",    "Evicted"};
	char w[8][WORD_MAX];

	begin_table(out, heads, sizeof(heads) / sizeof(*heads));
	for (size_t i = 0; i < n->n_ns; i++) {
		const struct namespace_numbers *ns = &n->ns[i];
		const struct totals *t = &ns->total;

		if (namespace_is_empty(ns))
			continue;
		fputs("<tr><td class=\"name\"><bdi>", out);
		html_text(out, name_of(ns));
		fprintf(out,
			"</bdi></td><td>%s</td><td>%s</td><td>%s</td><td>%s</td>"
			"<td>%s</td><td>%s</td><td>%s</td><td>%s</td></tr>\n",
			word_duration(t->of[SAVED_S], w[0]),
			word_share(totals_hit_ratio(t), w[1]),
			word_count(t->of[HITS], w[2]), word_count(t->of[MISSES], w[3]),
			word_size(ns->bytes, w[4]),
			ns->quota_bytes > 0 ? word_size(ns->quota_bytes, w[5]) : "none",
			word_count(ns->entries, w[6]), word_count(t->of[EVICTED], w[7]));
	}
	end_table(out);
}

void chart_namespaces(FILE *out, const struct numbers *n)
{
	size_t shown = 0;

	while (shown < n->n_ns && shown < MAP_MAX && n->ns[shown].bytes > 0)
		shown++;
	begin_figure(out, "Size by namespace", NULL);
	if (shown) {
		begin_svg(out, "map", "Size by namespace",
			  "Each rectangle is a namespace, as large as what it stores; "
			  "the table has the numbers.",
			  MAP_HEIGHT);
		map_svg(out, n, shown);
		fputs("</svg>\n", out);
		map_legend(out);
	} else {
		fputs("<p class=\"none\">Nothing is stored, or nothing was counted "
		      "yet.</p>\n",
		      out);
	}
	if (n->n_ns)
		namespaces_table(out, n);
	fputs("</figure>\n", out);
}
