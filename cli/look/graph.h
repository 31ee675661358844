/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Lines of text for a terminal: a part that has a width, small graphs, bars.
 *
 * A line is never wider than it may be: what has no room is cut, and names in the
 * middle. Styles are escapes of ECMA-48 and are left out where there is no colour.
 */
#ifndef MEMOFS_CLI_LOOK_GRAPH_H
#define MEMOFS_CLI_LOOK_GRAPH_H

#include <stdbool.h>
#include <stddef.h>

#include "store/util/buf.h"

enum style { PLAIN, BOLD, FAINT, GOOD, GRAPH, BAD, STYLES };

struct look_style {
	bool colour;
	bool unicode; /* blocks and ellipses, else ASCII */
};
/* What stdout can show: colour as table_colour(), Unicode as the locale says. */
struct look_style look_style_of_stdout(void);

struct line {
	struct buf text; /* without its end */
	size_t width, max;
	struct look_style style;
};
#define CLEANUP_LINE __attribute__((cleanup(line_deinit)))

struct line line_new(size_t max, struct look_style style);
void line_deinit(struct line *l);
/* Printable text; what is too wide is cut at the end of the line. */
void line_put(struct line *l, enum style style, const char *text);
void line_printf(struct line *l, enum style style, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The same, but nothing where it would have to be cut. */
void line_printf_whole(struct line *l, enum style style, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Blanks up to this column. */
void line_pad(struct line *l, size_t column);
/* The same, so that `text` ends before the column. */
void line_put_right(struct line *l, enum style style, size_t column, const char *text);
/* Any bytes, in so many columns at most: escaped, and cut in the middle. */
void line_put_name(struct line *l, enum style style, size_t columns, const char *name);

/* `[######----]`, `width` columns in all; NAN: empty. */
void line_put_bar(struct line *l, double share, size_t width);
/*
 * The last `width` of `n` values as columns of one row each, the newest at the right;
 * NAN is a gap. What is highest is `max`, or with 0 the largest of those.
 */
void line_put_graph(struct line *l, const double *values, size_t n, size_t width,
		    double max);

#endif
