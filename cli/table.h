/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A table for people: aligned columns, a header, colour on a terminal.
 *
 * Cells are added from left to right, row by row; they must be printable. The
 * last column is not padded, so that long names there cost nothing. The cells
 * are kept as one run of bytes: a listing of a million rows is not a million
 * allocations.
 */
#ifndef MEMOFS_CLI_TABLE_H
#define MEMOFS_CLI_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

#include "store/util/buf.h"

#define TABLE_COLUMNS_MAX 16

enum table_style { TABLE_PLAIN, TABLE_DIR, TABLE_LINK, TABLE_FAINT, TABLE_STYLES };

struct table_column {
	const char *title;
	bool right; /* numbers: aligned to the right */
};

struct table {
	const struct table_column *columns; /* the caller's */
	size_t n_columns;
	size_t width[TABLE_COLUMNS_MAX];
	size_t at;	  /* column of the next cell */
	struct buf cells; /* a style byte, the text, NUL; for each cell */
};

void table_init(struct table *t, const struct table_column *columns, size_t n_columns);
void table_deinit(struct table *t);
/* NULL and the empty text are shown as "-". */
void table_cell(struct table *t, const char *text, enum table_style style);
/* Nothing at all when there are no rows. */
void table_print(const struct table *t, FILE *out, bool colour);

/* Whether to use colour on `out`: a terminal that can, and no NO_COLOR. */
bool table_colour(FILE *out);

#endif
