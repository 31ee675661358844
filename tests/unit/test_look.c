/* SPDX-License-Identifier: Apache-2.0 */
/* What stats, top and report make of what a daemon, or anybody, writes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <errno.h>
#include <math.h>

#include "cli/look/chart.h"
#include "cli/look/graph.h"
#include "cli/look/report.h"
#include "cli/look/top.h"
#include "cli/look/treemap.h"
#include "cli/look/words.h"
#include "cli/show.h"

/* ---- JSON ---------------------------------------------------------------------- */

static int read_json(const char *text, struct jdoc *ret)
{
	struct errmsg err = {""};
	int r = jdoc_read(text, strlen(text), ret, &err);

	assert_true(r == 0 || *err.text);
	return r;
}

static void json_is_read(void **state)
{
	CLEANUP_JDOC struct jdoc d = JDOC_INIT;
	const struct jval *v, *e;

	assert_int_equal(
	    read_json(" {\"a\": [1, -2.5e-1 ,true,false,null,[],{}] ,\n"
		      "\"b\":\"x\\n\\u00e9\\ud83d\\ude00\\\"é\", \"a\": 2}\t",
		      &d),
	    0);
	v = &d.values[0];
	e = jval_elements(jval_get(v, "a")); /* the first of two */
	assert_true(jval_number(e, 0) == 1);
	assert_true(jval_number(e->next, 0) == -0.25);
	assert_int_equal(e->next->next->type, JTRUE);
	assert_int_equal(e->next->next->next->type, JFALSE);
	assert_int_equal(e->next->next->next->next->type, JNULL);
	assert_string_equal(jval_string(jval_get(v, "b"), ""), "x\né😀\"é");
	assert_null(jval_get(v, "c"));
	assert_null(jval_get(e, "a"));
	assert_true(jval_number(jval_get(v, "b"), 7) == 7);
}

static void what_is_no_json_is_refused(void **state)
{
	static const char *const wrong[] = {
	    "",
	    " ",
	    "{",
	    "[1,]",
	    "{\"a\":1,}",
	    "{a:1}",
	    "[1 2]",
	    "01",
	    "1.",
	    ".5",
	    "+1",
	    "1e",
	    "1e999",
	    "nul",
	    "\"",
	    "\"\\x\"",
	    "\"\\u12\"",
	    "\"\\ud800\"",
	    "\"\t\"",
	    "\"\xff\"",
	    "\"\xc0\x80\"",
	    "\"\\u0000\"",
	    "[1]x",
	    "NaN",
	    "[\"a\":1]",
	    "{\"a\"}",
	    "//\n1",
	    "'a'",
	    "\"\\udc00\"",
	    "-",
	};
	struct jdoc d;

	for (size_t i = 0; i < sizeof(wrong) / sizeof(*wrong); i++) {
		int r = read_json(wrong[i], &d);

		if (r == 0)
			fail_msg("%s was read", wrong[i]);
	}
}

static void json_has_bounds(void **state)
{
	static char deep[2 * JDOC_DEPTH_MAX + 3];
	size_t len = JDOC_VALUES_MAX + 3;
	char *many = malloc(len + 1);
	struct jdoc d;

	memset(deep, '[', JDOC_DEPTH_MAX);
	memset(deep + JDOC_DEPTH_MAX, ']', JDOC_DEPTH_MAX);
	assert_int_equal(read_json(deep, &d), 0);
	jdoc_deinit(&d);
	memset(deep, '[', JDOC_DEPTH_MAX + 1);
	memset(deep + JDOC_DEPTH_MAX + 1, ']', JDOC_DEPTH_MAX + 1);
	assert_int_equal(read_json(deep, &d), -E2BIG);
	assert_non_null(many);
	memset(many, ',', len);
	many[len] = '\0';
	assert_int_equal(read_json(many, &d), -E2BIG);
	free(many);
}

/* ---- the daemon's files --------------------------------------------------------- */

static const char stats_text[] =
    "{\"version\":\"9\",\"time\":1000.5,\"started\":900,\"since\":1,\"new\":{},"
    "\"total\":{\"saved_s\":7200.0,\"hits\":30,\"misses\":10,\"misses_absent\":10},"
    "\"store\":{\"size_bytes\":null,\"total_bytes\":4096,\"entries\":-5,"
    "\"policy\":\"gdsf\"},"
    "\"latency\":{\"open\":{\"count\":4,\"sum_s\":0.4,"
    "\"buckets\":[[0.001,1],[0.002,2],[null,1]]}},"
    "\"census\":{\"time\":5,\"age_s\":[[1,2,3],[null,4,5],7,[]]},"
    "\"namespaces\":[{\"name\":\"small\",\"bytes\":1,\"quota_bytes\":null},"
    "{\"name\":\"large\",\"bytes\":9,\"quota_bytes\":20,\"total\":{\"hits\":1}},3]}";

static void stats_are_read(void **state)
{
	CLEANUP_NUMBERS struct numbers n = NUMBERS_INIT;
	const struct namespace_numbers *large;

	assert_int_equal(numbers_read(stats_text, strlen(stats_text), &n, NULL), 0);
	assert_string_equal(n.version, "9");
	assert_true(n.time_s == 1000.5 && n.started_s == 900);
	assert_true(n.total.of[SAVED_S] == 7200 && n.total.of[MISSES_ABSENT] == 10);
	assert_true(totals_hit_ratio(&n.total) == 0.75);
	assert_true(isnan(totals_hit_ratio(&n.since_start)));
	assert_true(n.size_bytes == 0 && n.total_bytes == 4096 && n.entries == 0);
	assert_true(latency_percentile(&n.latency[1], 50) == 0.002);
	assert_true(isinf(latency_percentile(&n.latency[1], 99)));
	assert_true(isnan(latency_percentile(&n.latency[0], 50)));
	assert_int_equal(n.age_s.n, 4);
	assert_true(n.age_s.bucket[0].entries == 2 && isinf(n.age_s.bucket[1].le));
	assert_int_equal(n.n_ns, 2);
	assert_string_equal(n.ns[0].name, "large");
	large = numbers_of(&n, "large");
	assert_true(large && large->quota_bytes == 20 && large->total.of[HITS] == 1);
	assert_int_equal(stats_text[large->json->begin], '{');
	assert_int_equal(stats_text[large->json->end - 1], '}');
	assert_null(numbers_of(&n, "other"));
}

static void cut_stats_are_refused(void **state)
{
	struct numbers n = NUMBERS_INIT;
	struct errmsg err;

	for (size_t len = 0; len < strlen(stats_text); len++)
		assert_int_not_equal(numbers_read(stats_text, len, &n, &err), 0);
	assert_int_equal(numbers_read("[]", 2, &n, &err), -EINVAL);
	assert_string_equal(err.text, "it is no JSON object");
}

static int read_history(const char *text, struct history *ret, struct errmsg *err)
{
	return history_read(text, strlen(text), ret, err);
}

static void history_is_read(void **state)
{
	CLEANUP_HISTORY struct history h = HISTORY_INIT;
	struct errmsg err;

	assert_int_equal(read_history("step_s,time,hits,new,total_bytes\n"
				      "3600,7200,5,what ever,8\n60,7260,,,1e3\n",
				      &h, &err),
			 0);
	assert_int_equal(h.n, 2);
	assert_true(h.list[0].step_s == 3600 && h.list[0].time_s == 7200);
	assert_true(h.list[0].t.of[HITS] == 5 && h.list[0].total_bytes == 8);
	assert_true(h.list[1].t.of[HITS] == 0 && h.list[1].total_bytes == 1000);
}

static void history_refuses(const char *text, const char *why)
{
	struct history h;
	struct errmsg err = {""};

	assert_int_equal(read_history(text, &h, &err), -EINVAL);
	assert_string_equal(err.text, why);
}

static void bad_history_is_refused(void **state)
{
	history_refuses("", "it is empty");
	history_refuses("step_s,time", "line 1: it is cut off");
	history_refuses("time,hits\n",
			"line 1: it does not name the columns step_s and time");
	history_refuses("step_s,time\n60,1\n60,", "line 3: it is cut off");
	history_refuses("step_s,time\n60\n", "line 2: 1 fields are missing");
	history_refuses("step_s,time\n60,1,2\n", "line 2: too many fields");
	history_refuses("step_s,time\n60,x\n", "line 2: field 2 is no number");
	history_refuses("step_s,time\n60,nan\n", "line 2: field 2 is no number");
	history_refuses("step_s,time\n60,-1\n", "line 2: field 2 is no number");
	history_refuses("step_s,time\n60,1-1\n", "line 2: field 2 is no number");
}

static void totals_never_go_back(void **state)
{
	struct totals a = {.of = {[HITS] = 10, [SAVED_S] = 5}},
		      b = {.of = {[HITS] = 4, [SAVED_S] = 9}}, d = totals_since(&a, &b);

	assert_true(d.of[HITS] == 0 && d.of[SAVED_S] == 4);
}

static void namespace_is(const char *below, const char *want)
{
	char *ns = look_namespace(below);

	if (want)
		assert_string_equal(ns, want);
	else
		assert_null(ns);
	free(ns);
}

static void the_namespace_of_a_path(void **state)
{
	namespace_is("", NULL);
	namespace_is("/", NULL);
	namespace_is("/a", "a");
	namespace_is("//a/b/c", "a");
	namespace_is("a/.memofs/view/ro/b", "a");
	namespace_is("/.memofs/view/version=2,ro/a/b", "a");
	namespace_is("/.memofs/versions/v2/.memofs/view/ro/a", "a");
	namespace_is("/.memofs/view/ro", NULL);
	namespace_is("/.memofs/view", NULL);
	namespace_is("/.memofs/stats", NULL);
	namespace_is("/.memofs", NULL);
	namespace_is("/.memofsx/y", ".memofsx");
	namespace_is("/a\xff\xc0é/y", "a\ufffd\ufffdé");
}

/* ---- words and lines ------------------------------------------------------------ */

static void numbers_are_words(void **state)
{
	char w[WORD_MAX];

	assert_string_equal(word_duration(0, w), "0s");
	assert_string_equal(word_duration(0.00004, w), "40us");
	assert_string_equal(word_duration(0.25, w), "250ms");
	assert_string_equal(word_duration(0.9999, w), "0.999s");
	assert_string_equal(word_duration(93784, w), "1d 2h");
	assert_string_equal(word_duration(INFINITY, w), "more");
	assert_string_equal(word_duration(NAN, w), "-");
	assert_string_equal(word_duration(1e300, w), "104166d 16h");
	assert_string_equal(word_size(1536, w), "1.5KiB");
	assert_string_equal(word_size(-1, w), "0B");
	assert_string_equal(word_size(1e300, w), "7.8EiB");
	assert_string_equal(word_count(1234567.9, w), "1,234,567");
	assert_string_equal(word_share(0.9999999, w), "99.9%");
	assert_string_equal(word_share(1, w), "100%");
	assert_string_equal(word_share(0, w), "0.0%");
	assert_string_equal(word_share(NAN, w), "-");
	assert_string_equal(word_minute(NAN, w), "-");
}

static void line_is(struct line *l, const char *want)
{
	assert_int_equal(buf_append(&l->text, "", 1), 0);
	assert_string_equal((const char *)l->text.data, want);
	assert_int_equal(l->width, show_width(want));
	line_deinit(l);
}

static void lines_are_cut(void **state)
{
	struct look_style unicode = {.unicode = true}, ascii = {.unicode = false};
	struct line l = line_new(8, unicode);

	line_put(&l, BOLD, "日本語");
	line_put(&l, PLAIN, "日本");
	line_put(&l, PLAIN, "x");
	line_is(&l, "日本語日");
	l = line_new(10, unicode);
	line_put_name(&l, PLAIN, 10, "a/b\n/0123456789");
	line_is(&l, "a/b…456789");
	l = line_new(20, ascii);
	line_put_name(&l, PLAIN, 7, "0123456789");
	line_is(&l, "01~6789");
	l = line_new(20, ascii);
	line_put_right(&l, PLAIN, 5, "42");
	line_printf_whole(&l, PLAIN, "%s", "too long for what is left");
	line_put_bar(&l, 0.5, 6);
	line_is(&l, "   42[##--]");
	l = line_new(3, (struct look_style){.colour = true});
	line_put(&l, GOOD, "abcd");
	assert_int_equal(l.width, 3);
	assert_int_equal(buf_append(&l.text, "", 1), 0);
	assert_string_equal((const char *)l.text.data, "\033[1;32mabc\033[0m");
	line_deinit(&l);
}

static void graphs_have_their_width(void **state)
{
	static const double values[] = {9, 0, 1, NAN, 2};
	struct line l = line_new(40, (struct look_style){.unicode = true});

	line_put_graph(&l, values, 5, 4, 0);
	line_put(&l, PLAIN, "|");
	line_put_graph(&l, values + 1, 2, 3, 4);
	line_put(&l, PLAIN, "|");
	line_put_graph(&l, NULL, 0, 2, 0);
	line_put(&l, PLAIN, "|");
	line_put_bar(&l, NAN, 4);
	line_is(&l, "▁▅ █| ▁▃|  |[░░]");
}

/* ---- treemap -------------------------------------------------------------------- */

static double overlap(const struct rect *a, const struct rect *b)
{
	double x = fmin(a->x + a->width, b->x + b->width) - fmax(a->x, b->x);
	double y = fmin(a->y + a->height, b->y + b->height) - fmax(a->y, b->y);

	return fmax(x, 0) * fmax(y, 0);
}

static void layout_is_right(const double *sizes, size_t n)
{
	const struct rect area = {10, 20, 300, 200};
	struct rect r[100];
	double all = 0;

	for (size_t i = 0; i < n; i++)
		all += sizes[i];
	treemap_layout(sizes, n, area, r);
	for (size_t i = 0; i < n; i++) {
		double want = sizes[i] / all * area.width * area.height;

		assert_true(fabs(r[i].width * r[i].height - want) < 1e-6 * 60000);
		assert_true(r[i].x > 10 - 1e-6 && r[i].x + r[i].width < 310 + 1e-6);
		assert_true(r[i].y > 20 - 1e-6 && r[i].y + r[i].height < 220 + 1e-6);
		for (size_t k = 0; k < i; k++)
			assert_true(overlap(&r[i], &r[k]) < 1e-6 * 60000);
	}
}

static void a_treemap_fills_its_area(void **state)
{
	static const double example[] = {6, 6, 4, 3, 2, 2, 1}, zeros[] = {5, 0, 0};
	static const double one[] = {1e15}, small_last[] = {1e12, 1, 1, 1e6};
	double many[100];

	for (int i = 0; i < 100; i++)
		many[i] = exp(-i / 10.0);
	layout_is_right(example, 7);
	layout_is_right(zeros, 3);
	layout_is_right(one, 1);
	layout_is_right(small_last, 4);
	layout_is_right(many, 100);
}

/* The example of the paper, in which no rectangle is narrower than a third. */
static void rectangles_are_nearly_squares(void **state)
{
	static const double example[] = {6, 6, 4, 3, 2, 2, 1};
	struct rect r[7];

	treemap_layout(example, 7, (struct rect){0, 0, 6, 4}, r);
	for (int i = 0; i < 7; i++) {
		double aspect = r[i].width / r[i].height;

		assert_true(fmax(aspect, 1 / aspect) < 3);
	}
	assert_true(r[0].width == 3 && r[0].height == 2);
}

/* ---- pages ---------------------------------------------------------------------- */

static void html_is(const char *text, const char *want)
{
	char *got = NULL;
	size_t len;
	FILE *out = open_memstream(&got, &len);

	html_text(out, text);
	fclose(out);
	assert_string_equal(got, want);
	free(got);
}

static void text_is_no_markup(void **state)
{
	html_is("<a href='x\">&`", "&#60;a href=&#39;x&#34;&#62;&#38;&#96;");
	html_is("é日😀", "é日😀");
	html_is("a\n\033[1m\x7f", "a\\u000a\\u001b[1m\\u007f");
	html_is("\xff\xc0\xaf", "\\xff\\xc0\\xaf");
	html_is("a\u202eb\u2066c\u200f", "a\\u202eb\\u2066c\\u200f");
	html_is("\ufeff\uffff", "\\ufeff\\uffff");
	html_is("Ħ", "Ħ"); /* U+0126: not & */
}

static char *page_of(const char *stats, const char *history)
{
	CLEANUP_NUMBERS struct numbers n = NUMBERS_INIT;
	CLEANUP_HISTORY struct history h = HISTORY_INIT;
	char *page = NULL;
	size_t len;
	FILE *out = open_memstream(&page, &len);

	assert_int_equal(numbers_read(stats, strlen(stats), &n, NULL), 0);
	assert_int_equal(history_read(history, strlen(history), &h, NULL), 0);
	report_write(out, "/mnt/<cache>", &n, &h);
	fclose(out);
	return page;
}

static size_t occurrences(const char *page, const char *what)
{
	size_t n = 0;

	while ((page = strstr(page, what))) {
		n++;
		page++;
	}
	return n;
}

static void nothing_makes_a_whole_page(void **state)
{
	char *page = page_of("{}", "step_s,time\n");

	assert_non_null(strstr(page, "/mnt/&#60;cache&#62;"));
	assert_non_null(strstr(page, "There is no history yet"));
	assert_non_null(strstr(page, "</html>"));
	assert_null(strstr(page, "nan"));
	free(page);
}

static void a_page_has_its_charts(void **state)
{
	char *page = page_of(stats_text, "step_s,time,hits,misses,total_bytes\n"
					 "3600,1792800000,1,1,5\n3600,1792836000,9,0,6\n"
					 "60,1792836000,9,0,6\n60,1792836300,0,0,6\n");

	/* Six over time, twice; the map, and the age, which is all that was counted. */
	assert_int_equal(occurrences(page, "role=\"img\""), 14);
	assert_int_equal(occurrences(page, "<svg"), occurrences(page, "</svg>"));
	assert_int_equal(occurrences(page, "<details>"), 14);
	assert_int_equal(occurrences(page, "<script"), 0);
	assert_null(strstr(page, "nan"));
	assert_null(strstr(page, "inf\""));
	free(page);
}

/* ---- top ------------------------------------------------------------------------ */

static const char lists_text[] =
    "{\"computing\":[{\"path\":\"ns/a\\u001b[31m/key\",\"owner\":\"\",\"pid\":7,"
    "\"since\":900,\"bytes\":5},{\"path\":\"other/b\",\"owner\":\"日本語の名前 ci\","
    "\"pid\":1},{}],\"waiting\":[{\"path\":\"/ns/a\",\"waiters\":3}],"
    "\"hottest\":[{\"path\":\"ns/0123456789012345678901234567890123456789\","
    "\"hits\":12345678901234567890,\"saved_s\":1e300}],\"dearest\":7}";

static void top_of_text(struct top *t, const struct look *l, struct look_style style)
{
	top_init(t, l, style, 2000000000);
	assert_int_equal(numbers_read(stats_text, strlen(stats_text), &t->numbers, NULL),
			 0);
	assert_int_equal(read_json(lists_text, &t->lists), 0);
	t->total = t->numbers.total;
	t->since_s = 2;
	t->n_live = 3;
}

/* No line wider, and not more of them, whatever the size. */
static void frame_fits(const struct top *t, size_t columns, size_t rows)
{
	CLEANUP_BUF struct buf frame = BUF_INIT;
	char *save = NULL, *line;
	size_t n = 0;

	top_frame(t, columns, rows, &frame);
	assert_int_equal(buf_append(&frame, "", 1), 0);
	for (line = strtok_r((char *)frame.data, "\n", &save); line;
	     line = strtok_r(NULL, "\n", &save)) {
		assert_true(show_width(line) <= columns);
		assert_null(strchr(line, '\033'));
		n++;
	}
	assert_true(n > 0 && (!rows || n <= rows));
}

static void a_frame_fits_any_terminal(void **state)
{
	static const struct look all = {.point = (char *)"/mnt"},
				 one = {.point = (char *)"/mnt", .ns = (char *)"ns"};
	struct top t;

	for (int i = 0; i < 4; i++) {
		top_of_text(&t, i & 1 ? &one : &all,
			    (struct look_style){.unicode = i & 2});
		for (size_t columns = 1; columns <= 200;
		     columns += columns < 90 ? 1 : 7) {
			for (size_t rows = 0; rows <= 50; rows += rows < 30 ? 1 : 5)
				frame_fits(&t, columns, rows);
		}
		t.trouble = "gone";
		t.lists_failed = -EACCES;
		frame_fits(&t, 80, 24);
		top_deinit(&t);
	}
}

static void frame_says(const struct top *t, const char *want, bool says)
{
	CLEANUP_BUF struct buf frame = BUF_INIT;

	top_frame(t, 100, 0, &frame);
	assert_int_equal(buf_append(&frame, "", 1), 0);
	if (!strstr((const char *)frame.data, want) == says)
		fail_msg("\"%s\" in %s", want, (const char *)frame.data);
}

static void a_frame_has_what_there_is(void **state)
{
	static const struct look all = {.point = (char *)"/mnt"},
				 one = {.point = (char *)"/mnt", .ns = (char *)"ns"};
	struct top t;

	top_of_text(&t, &all, (struct look_style){.unicode = true});
	frame_says(&t, "time saved  2h", true);
	frame_says(&t, "75.0%", true);
	frame_says(&t, "ns/a\\033[31m/key", true);
	frame_says(&t, "1m 40s", true);
	frame_says(&t, "pid 7", true);
	frame_says(&t, "other/b", true);
	frame_says(&t, "waiters\nns/a ", true);
	frame_says(&t, "dearest: none", true);
	t.look = &one;
	frame_says(&t, "other/b", false);
	t.lists_failed = -EACCES;
	t.trouble = "its daemon does not answer";
	frame_says(&t, "Entries are shown to the user of the daemon only.", true);
	frame_says(&t, "no news: its daemon does not answer", true);
	frame_says(&t, "pid 7", false);
	top_deinit(&t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(json_is_read),
	    cmocka_unit_test(what_is_no_json_is_refused),
	    cmocka_unit_test(json_has_bounds),
	    cmocka_unit_test(stats_are_read),
	    cmocka_unit_test(cut_stats_are_refused),
	    cmocka_unit_test(history_is_read),
	    cmocka_unit_test(bad_history_is_refused),
	    cmocka_unit_test(totals_never_go_back),
	    cmocka_unit_test(the_namespace_of_a_path),
	    cmocka_unit_test(numbers_are_words),
	    cmocka_unit_test(lines_are_cut),
	    cmocka_unit_test(graphs_have_their_width),
	    cmocka_unit_test(a_treemap_fills_its_area),
	    cmocka_unit_test(rectangles_are_nearly_squares),
	    cmocka_unit_test(text_is_no_markup),
	    cmocka_unit_test(nothing_makes_a_whole_page),
	    cmocka_unit_test(a_page_has_its_charts),
	    cmocka_unit_test(a_frame_fits_any_terminal),
	    cmocka_unit_test(a_frame_has_what_there_is),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
