/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/look/graph.h"
#include "cli/look/look.h"
#include "cli/look/words.h"
#include "cli/message.h"
#include "cli/paths.h"
#include "cli/show.h"
#include "cli/table.h"

#define LINE_MAX_COLUMNS 100
#define LABEL_COLUMNS 16

struct stats_options {
	bool json;
};

static const struct cli_option options[] = {
    {'j', "json", CLI_FLAG, offsetof(struct stats_options, json), NULL,
     "all numbers, as the daemon writes them", NULL},
    CLI_END,
};

/* Of the store, or of one namespace of it. */
struct subject {
	const struct look *look;
	const struct numbers *all;
	const struct namespace_numbers *ns; /* NULL: the store */
	struct look_style style;
};

static const struct totals *totals_of(const struct subject *s)
{
	return s->ns ? &s->ns->total : &s->all->total;
}

/* ---- lines --------------------------------------------------------------------- */

static struct line begin(const struct subject *s, const char *label)
{
	struct line l = line_new(LINE_MAX_COLUMNS, s->style);

	line_printf(&l, FAINT, "  %s", label);
	line_pad(&l, LABEL_COLUMNS);
	return l;
}

static void end(struct line *l)
{
	fwrite(l->text.data, 1, l->text.len, stdout);
	putchar('\n');
	line_deinit(l);
}

static void show_title(const struct subject *s)
{
	struct line l = line_new(LINE_MAX_COLUMNS, s->style);
	CLEANUP_FREE char *point = show_shell_new(s->look->point);
	char since[WORD_MAX];

	line_put(&l, BOLD, point);
	if (s->ns) {
		CLEANUP_FREE char *name = show_shell_new(s->ns->name);

		line_printf(&l, BOLD, ", namespace %s", name);
	}
	if (s->all->since_s > 0)
		line_printf(&l, FAINT, ", since %s", word_minute(s->all->since_s, since));
	end(&l);
}

static void show_saved(const struct subject *s)
{
	const struct totals *t = totals_of(s);
	double computed = t->of[COMPUTED_S], saved = t->of[SAVED_S];
	struct line l = begin(s, "time saved");
	char word[WORD_MAX];

	line_put(&l, GOOD, word_duration(saved, word));
	line_printf(&l, PLAIN, ", computed %s", word_duration(computed, word));
	if (saved + computed > 0)
		line_printf(&l, FAINT, " (%s of the work)",
			    word_share(saved / (saved + computed), word));
	end(&l);
}

static void show_hits(const struct subject *s)
{
	const struct totals *t = totals_of(s);
	struct line l = begin(s, "hit ratio");
	char share[WORD_MAX], hits[WORD_MAX], misses[WORD_MAX];

	line_put(&l, BOLD, word_share(totals_hit_ratio(t), share));
	line_printf(&l, PLAIN, ", %s hits, %s misses", word_count(t->of[HITS], hits),
		    word_count(t->of[MISSES], misses));
	end(&l);
}

static void show_size(const struct subject *s)
{
	double used = s->ns ? s->ns->bytes : s->all->total_bytes;
	double bound = s->ns ? s->ns->quota_bytes : s->all->size_bytes;
	double entries = s->ns ? s->ns->entries : s->all->entries;
	struct line l = begin(s, "size");
	char a[WORD_MAX], b[WORD_MAX], share[WORD_MAX];

	if (bound > 0) {
		line_put_bar(&l, used / bound, 32);
		line_printf(&l, PLAIN, " %s of %s (%s)", word_size(used, a),
			    word_size(bound, b), word_share(used / bound, share));
	} else {
		line_put(&l, PLAIN, word_size(used, a));
	}
	line_printf(&l, PLAIN, ", %s %s", word_count(entries, a),
		    entries == 1 ? "entry" : "entries");
	end(&l);
}

static void show_misses(const struct subject *s)
{
	const struct totals *t = totals_of(s);
	struct line l = begin(s, "misses");
	char n[WORD_MAX];

	for (size_t i = 0; i < MISS_REASONS; i++)
		line_printf(&l, PLAIN, "%s%s %s", i ? ", " : "",
			    word_count(t->of[MISSES_ABSENT + i], n), miss_reasons[i]);
	end(&l);
}

static void show_bytes(const struct subject *s)
{
	const struct totals *t = totals_of(s);
	struct line l = begin(s, "bytes");
	char a[WORD_MAX], b[WORD_MAX];

	line_printf(&l, PLAIN, "%s read, %s written", word_size(t->of[BYTES_READ], a),
		    word_size(t->of[BYTES_WRITTEN], b));
	line_printf(&l, PLAIN, " (%s published, %s of failed programs dropped)",
		    word_count(t->of[PUBLISHED], a), word_count(t->of[FAILED], b));
	end(&l);
}

static void show_dropped(const struct subject *s)
{
	const struct totals *t = totals_of(s);
	struct line l = begin(s, "evicted");
	char a[WORD_MAX], b[WORD_MAX], c[WORD_MAX];

	line_printf(&l, PLAIN, "%s, %s, which took %s to compute",
		    word_count(t->of[EVICTED], a), word_size(t->of[EVICTED_BYTES], b),
		    word_duration(t->of[EVICTED_COST_S], c));
	end(&l);
	l = begin(s, "expired");
	line_printf(&l, PLAIN, "%s, %s", word_count(t->of[EXPIRED], a),
		    word_size(t->of[EXPIRED_BYTES], b));
	end(&l);
}

static void show_reserved(const struct subject *s)
{
	const struct totals *t = totals_of(s);
	struct line l = begin(s, "reservations");
	char a[WORD_MAX], b[WORD_MAX], c[WORD_MAX];

	line_printf(&l, PLAIN, "%s taken, %s refused", word_count(t->of[RESERVED], a),
		    word_count(t->of[RESERVED_BUSY], b));
	line_printf(&l, PLAIN, "; waited %s times, %s", word_count(t->of[WAITS], a),
		    word_duration(t->of[WAITED_S], c));
	end(&l);
}

static void show_now(const struct subject *s)
{
	const struct numbers *n = s->all;
	struct line l = begin(s, "now");
	char a[WORD_MAX], b[WORD_MAX];

	line_printf(&l, PLAIN, "%s open, %s being written, ",
		    word_count(n->open_handles, a), word_count(n->pending_writes, b));
	line_printf(&l, PLAIN, "%s reserved, %s waiting; memory ",
		    word_count(n->reservations, a), word_count(n->waiting_opens, b));
	line_put(&l, PLAIN, word_size(n->memory_bytes, a));
	end(&l);
}

/* ---- tables -------------------------------------------------------------------- */

static void show_namespaces(const struct numbers *n)
{
	static const struct table_column columns[] = {
	    {"SAVED", true},   {"HIT RATIO", true}, {"HITS", true},
	    {"MISSES", true},  {"SIZE", true},	    {"QUOTA", true},
	    {"ENTRIES", true}, {"EVICTED", true},   {"NAMESPACE", false}};
	bool counted = n->census_time_s > 0; /* once, since the mount was made */
	struct table t;
	char word[WORD_MAX];

	table_init(&t, columns, sizeof(columns) / sizeof(*columns));
	for (size_t i = 0; i < n->n_ns; i++) {
		const struct namespace_numbers *ns = &n->ns[i];
		CLEANUP_FREE char *name = *ns->name ? show_shell_new(ns->name) : NULL;
		const struct totals *s = &ns->total;

		if (namespace_is_empty(ns))
			continue;
		table_cell(&t, word_duration(s->of[SAVED_S], word), TABLE_PLAIN);
		table_cell(&t, word_share(totals_hit_ratio(s), word), TABLE_PLAIN);
		table_cell(&t, word_count(s->of[HITS], word), TABLE_PLAIN);
		table_cell(&t, word_count(s->of[MISSES], word), TABLE_PLAIN);
		table_cell(&t, counted ? word_size(ns->bytes, word) : "", TABLE_PLAIN);
		table_cell(&t,
			   ns->quota_bytes > 0 ? word_size(ns->quota_bytes, word) : "",
			   TABLE_PLAIN);
		table_cell(&t, counted ? word_count(ns->entries, word) : "", TABLE_PLAIN);
		table_cell(&t, word_count(s->of[EVICTED], word), TABLE_PLAIN);
		table_cell(&t, name ? name : "(others)",
			   name ? TABLE_PLAIN : TABLE_FAINT);
	}
	if (t.cells.len)
		putchar('\n');
	table_print(&t, stdout, table_colour(stdout));
	table_deinit(&t);
}

static void show_latencies(const struct numbers *n)
{
	static const struct table_column columns[] = {{"REQUEST", false},
						      {"COUNT", true},
						      {"MEAN", true},
						      {"HALF BELOW", true},
						      {"99% BELOW", true}};
	struct table t;
	char word[WORD_MAX];

	table_init(&t, columns, sizeof(columns) / sizeof(*columns));
	for (size_t i = 0; i < LATENCIES; i++) {
		const struct latency *l = &n->latency[i];

		if (l->count <= 0)
			continue;
		table_cell(&t, latency_names[i], TABLE_PLAIN);
		table_cell(&t, word_count(l->count, word), TABLE_PLAIN);
		table_cell(&t, word_duration(l->sum_s / l->count, word), TABLE_PLAIN);
		table_cell(&t, word_duration(latency_percentile(l, 50), word),
			   TABLE_PLAIN);
		table_cell(&t, word_duration(latency_percentile(l, 99), word),
			   TABLE_PLAIN);
	}
	if (t.cells.len)
		putchar('\n');
	table_print(&t, stdout, table_colour(stdout));
	table_deinit(&t);
}

static void show(const struct subject *s)
{
	show_title(s);
	show_saved(s);
	show_hits(s);
	show_size(s);
	show_misses(s);
	show_bytes(s);
	show_dropped(s);
	show_reserved(s);
	if (s->ns)
		return;
	show_now(s);
	show_namespaces(s->all);
	show_latencies(s->all);
}

/* ---- the command --------------------------------------------------------------- */

/* Its text, as the daemon wrote it, so that nothing is lost that is new. */
static void print_json(const struct subject *s, const struct buf *text)
{
	size_t first = 0, last = text->len;

	if (s->ns) {
		first = s->ns->json->begin;
		last = s->ns->json->end;
	}
	while (last > first && text->data[last - 1] == '\n')
		last--;
	fwrite(text->data + first, 1, last - first, stdout);
	putchar('\n');
}

static int print(const struct stats_options *o, struct subject *s, const struct buf *text)
{
	if (s->look->ns) {
		s->ns = numbers_of(s->all, s->look->ns);
		if (!s->ns) {
			cli_error("%s: nothing is known of a namespace %s yet",
				  s->look->point, s->look->ns);
			return CLI_MISS;
		}
	}
	if (o->json)
		print_json(s, text);
	else
		show(s);
	return CLI_OK;
}

/* Where only a namespace of the mount is seen, the daemon's text on it is there. */
static bool print_part(const struct look *l)
{
	CLEANUP_BUF struct buf text = BUF_INIT;

	if (look_text(l, "stats", &text) || !text.len)
		return false;
	fwrite(text.data, 1, text.len, stdout);
	return true;
}

static int run(const void *opt, char **operands, size_t n)
{
	const struct stats_options *o = opt;
	CLEANUP_LOOK struct look look = LOOK_INIT;
	CLEANUP_BUF struct buf text = BUF_INIT;
	CLEANUP_NUMBERS struct numbers numbers = NUMBERS_INIT;
	struct subject subject = {.look = &look, .all = &numbers};
	struct errmsg err;
	int status = look_find(n ? operands[0] : NULL, &look), r;

	if (status)
		return status;
	r = look_text(&look, "stats.json", &text);
	if (r == -ENOENT && !o->json && print_part(&look))
		return CLI_OK;
	if (r)
		return look_failed(&look, "stats.json", r);
	if (numbers_read((const char *)text.data, text.len, &numbers, &err)) {
		cli_error("%s/stats.json is not understood: %s", look.dir, err.text);
		return CLI_FAILED;
	}
	subject.style = look_style_of_stdout();
	return print(o, &subject, &text);
}

const struct command cmd_stats = {
    .name = "stats",
    .args = "[PATH]",
    .summary = "show what a mount has saved, and how",
    .detail =
	"Time saved first: what the results that were read took to compute. Then hit\n"
	"ratio, size and its bound, why there were misses, what was evicted, and the\n"
	"same for each namespace. PATH is any path in a mount; in a namespace, it is\n"
	"about that one. Without PATH: the mount of the current directory, else the\n"
	"one that results are kept in (memofs cache).\n",
    .exits = "0  shown\n"
	     "1  there is no mount, or nothing is known of the namespace yet\n"
	     "2  the command line is wrong\n"
	     "3  the numbers cannot be read, or the daemon has none\n"
	     "4  PATH is not in a memofs mount, or the mount is dead",
    .example = "memofs stats --json /tmp/cache | jq .total.saved_s",
    .options = options,
    .options_size = sizeof(struct stats_options),
    .operands_max = 1,
    .run = run,
};
