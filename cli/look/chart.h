/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parts of a page: HTML text, and charts as SVG with a table of their numbers.
 *
 * All text from outside goes through html_text(), which leaves nothing that could be
 * markup, also inside an attribute. Colours are classes; the style sheet has them.
 */
#ifndef MEMOFS_CLI_LOOK_CHART_H
#define MEMOFS_CLI_LOOK_CHART_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "cli/look/numbers.h"

/* Any bytes. What does not print, or turns the direction of text, is shown escaped. */
void html_text(FILE *out, const char *text);

enum unit { UNIT_SHARE, UNIT_SECONDS, UNIT_BYTES, UNIT_COUNT, UNIT_RATE };

struct point {
	double time_s; /* where its step begins */
	double value;  /* NAN: there is none */
};

/* A value over time. */
struct time_chart {
	const char *title, *period, *id; /* `id` is unique on the page */
	enum unit unit;
	bool bars;    /* amounts of a step; else a line, of what is at one moment */
	double limit; /* a line across, 0: none */
	const char *limit_name;
	double step_s;
	const struct point *points;
	size_t n;
};
void chart_time(FILE *out, const struct time_chart *c);

/* How often which size is: bars without gaps, from a histogram of the census. */
struct spread_chart {
	const char *title, *id, *what; /* "age", of the table */
	enum unit unit;		       /* of the limits of its buckets */
	const struct histogram *h;
};
void chart_spread(FILE *out, const struct spread_chart *c);

/* A bar for each of a few names, with its share of all. */
struct part {
	const char *name;
	double value;
};
void chart_parts(FILE *out, const char *title, const struct part *parts, size_t n);

/* The sizes of the namespaces, coloured by hit ratio. */
void chart_namespaces(FILE *out, const struct numbers *n);

#endif
