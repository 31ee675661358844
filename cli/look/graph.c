/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/look/graph.h"

#include <langinfo.h>
#include <locale.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/message.h"
#include "cli/show.h"
#include "cli/table.h"
#include "store/util/utf8.h"

static const char *const style_on[STYLES] = {
    [BOLD] = "\033[1m",	  [FAINT] = "\033[2m", [GOOD] = "\033[1;32m",
    [GRAPH] = "\033[36m", [BAD] = "\033[31m",
};

struct look_style look_style_of_stdout(void)
{
	struct look_style style = {.colour = table_colour(stdout)};

	setlocale(LC_CTYPE, "");
	style.unicode = strcmp(nl_langinfo(CODESET), "UTF-8") == 0;
	setlocale(LC_CTYPE, "C.UTF-8"); /* as cli/show.c wants it */
	return style;
}

struct line line_new(size_t max, struct look_style style)
{
	return (struct line){.text = BUF_INIT, .max = max, .style = style};
}

void line_deinit(struct line *l)
{
	buf_deinit(&l->text);
}

static void append(struct buf *b, const char *s, size_t len)
{
	must(buf_append(b, s, len));
}

/* The length and the columns of the first character. */
static size_t first_char(const char *s, size_t *ret_columns)
{
	char one[8] = {0};
	uint32_t c;
	size_t n = utf8_decode(s, strlen(s), &c);

	n = n ? n : 1;
	memcpy(one, s, n);
	*ret_columns = show_width(one);
	return n;
}

/* So many bytes at the beginning of `s` have at most these columns. */
static size_t fitting(const char *s, size_t columns, size_t *ret_width)
{
	size_t len = 0, width = 0, w;

	while (s[len]) {
		size_t n = first_char(s + len, &w);

		if (width + w > columns)
			break;
		width += w;
		len += n;
	}
	*ret_width = width;
	return len;
}

void line_put(struct line *l, enum style style, const char *text)
{
	size_t width, len = fitting(text, l->max - l->width, &width);
	const char *on = l->style.colour ? style_on[style] : NULL;

	if (!len)
		return;
	if (on)
		append(&l->text, on, strlen(on));
	append(&l->text, text, len);
	if (on)
		append(&l->text, "\033[0m", 4);
	l->width += width;
}

static char *format(const char *fmt, va_list ap)
{
	char *text;

	must(vasprintf(&text, fmt, ap) < 0 ? -1 : 0);
	return text;
}

void line_printf(struct line *l, enum style style, const char *fmt, ...)
{
	CLEANUP_FREE char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	text = format(fmt, ap);
	va_end(ap);
	line_put(l, style, text);
}

void line_printf_whole(struct line *l, enum style style, const char *fmt, ...)
{
	CLEANUP_FREE char *text = NULL;
	va_list ap;

	va_start(ap, fmt);
	text = format(fmt, ap);
	va_end(ap);
	if (show_width(text) <= l->max - l->width)
		line_put(l, style, text);
}

void line_pad(struct line *l, size_t column)
{
	while (l->width < column && l->width < l->max)
		line_put(l, PLAIN, " ");
}

void line_put_right(struct line *l, enum style style, size_t column, const char *text)
{
	size_t width = show_width(text);

	line_pad(l, column > width ? column - width : 0);
	line_put(l, style, text);
}

/* Where the last characters of `s` begin that have at most these columns. */
static const char *tail(const char *s, size_t columns)
{
	size_t width = show_width(s), w;

	while (width > columns) {
		s += first_char(s, &w);
		width -= w;
	}
	return s;
}

void line_put_name(struct line *l, enum style style, size_t columns, const char *name)
{
	CLEANUP_BUF struct buf whole = BUF_INIT;
	CLEANUP_FREE char *head = NULL;
	const char *dots = l->style.unicode ? "…" : "~", *text;
	size_t width, len;

	show_printable(&whole, name);
	append(&whole, "", 1);
	text = (const char *)whole.data;
	if (columns > l->max - l->width)
		columns = l->max - l->width;
	if (show_width(text) <= columns || columns < 4) {
		line_put(l, style, text);
		return;
	}
	len = fitting(text, (columns - 1) / 3, &width);
	if (asprintf(&head, "%.*s%s%s", (int)len, text, dots,
		     tail(text + len, columns - 1 - width)) < 0) {
		head = NULL;
		must(-1);
	}
	line_put(l, style, head);
}

/* `n` times the same. */
static void put_times(struct line *l, enum style style, const char *text, size_t n)
{
	CLEANUP_BUF struct buf all = BUF_INIT;

	while (n--)
		append(&all, text, strlen(text));
	append(&all, "", 1);
	line_put(l, style, (const char *)all.data);
}

void line_put_bar(struct line *l, double share, size_t width)
{
	size_t inner = width > 2 ? width - 2 : 0, n;

	share = isnan(share) ? 0 : fmin(fmax(share, 0), 1);
	n = (size_t)lround(share * (double)inner);
	line_put(l, FAINT, "[");
	put_times(l, GRAPH, l->style.unicode ? "█" : "#", n);
	put_times(l, FAINT, l->style.unicode ? "░" : "-", inner - n);
	line_put(l, FAINT, "]");
}

static double largest(const double *values, size_t n)
{
	double max = 0;

	for (size_t i = 0; i < n; i++)
		max = fmax(max, values[i]); /* which leaves NAN out */
	return max;
}

void line_put_graph(struct line *l, const double *values, size_t n, size_t width,
		    double max)
{
	static const char *const blocks[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
	static const char *const ascii[] = {"_", ".", ":", "-", "=", "+", "*", "#"};
	const char *const *levels = l->style.unicode ? blocks : ascii;
	CLEANUP_BUF struct buf all = BUF_INIT;

	if (n > width) {
		values += n - width;
		n = width;
	}
	if (max <= 0)
		max = largest(values, n);
	line_pad(l, l->width + width - n);
	for (size_t i = 0; i < n; i++) {
		double share = max > 0 ? fmin(values[i] / max, 1) : 0;
		const char *level = isnan(values[i]) ? " " : levels[lround(share * 7)];

		append(&all, level, strlen(level));
	}
	append(&all, "", 1);
	line_put(l, GRAPH, (const char *)all.data);
}
