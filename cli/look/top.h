/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What `memofs top` shows: looks at the numbers of a mount, one after the other, and
 * the text that is made of them for a terminal of any size.
 */
#ifndef MEMOFS_CLI_LOOK_TOP_H
#define MEMOFS_CLI_LOOK_TOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cli/look/graph.h"
#include "cli/look/look.h"

/* What there are graphs of; a second each. */
enum rate { RATE_HIT_RATIO, RATE_SAVED, RATE_READ, RATE_WRITTEN, RATES };
#define LIVE_MAX 256

struct top {
	const struct look *look;
	struct look_style style;
	int64_t interval_ns;

	struct numbers numbers; /* of the newest look that went well */
	struct totals total;	/* of the namespace, or all */
	struct totals since;	/* the look before; when there was one */
	double since_s;		/* so long ago; 0: there was none */
	double live[RATES][LIVE_MAX];
	size_t n_live;

	struct history history;
	int64_t history_ns;  /* when it was read, monotonic; 0: never */
	struct jdoc lists;   /* top.json */
	int lists_failed;    /* 0, or the -errno of reading it */
	const char *trouble; /* why the newest look failed; NULL: it did not */
};

void top_init(struct top *t, const struct look *l, struct look_style style,
	      int64_t interval_ns);
void top_deinit(struct top *t);

/*
 * Look. The first one complains and returns an enum cli_exit; a later one keeps what
 * is there and notes the trouble, since a daemon may come back.
 */
int top_look(struct top *t);

/*
 * The lines, each ended by a newline; `rows` of them at most, and none wider than
 * `columns`. 0 rows: as many as there are to show.
 */
void top_frame(const struct top *t, size_t columns, size_t rows, struct buf *ret_lines);

#endif
