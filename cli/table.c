/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/table.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/message.h"
#include "cli/show.h"

static const char *const style_on[TABLE_STYLES] = {
    [TABLE_DIR] = "\033[1;34m",
    [TABLE_LINK] = "\033[36m",
    [TABLE_FAINT] = "\033[2m",
};

void table_init(struct table *t, const struct table_column *columns, size_t n_columns)
{
	assert(n_columns > 0 && n_columns <= TABLE_COLUMNS_MAX);
	*t = (struct table){.columns = columns, .n_columns = n_columns};
	for (size_t i = 0; i < n_columns; i++)
		t->width[i] = show_width(columns[i].title);
}

void table_deinit(struct table *t)
{
	buf_deinit(&t->cells);
}

void table_cell(struct table *t, const char *text, enum table_style style)
{
	char byte = (char)style;
	size_t width;

	text = text && *text ? text : "-";
	width = show_width(text);
	if (width > t->width[t->at])
		t->width[t->at] = width;
	must(buf_append(&t->cells, &byte, 1));
	must(buf_append(&t->cells, text, strlen(text) + 1));
	t->at = (t->at + 1) % t->n_columns;
}

static void put_cell(const struct table *t, size_t column, const char *text,
		     const char *style, FILE *out)
{
	bool last = column + 1 == t->n_columns;
	size_t pad = t->width[column] - show_width(text);

	if (t->columns[column].right)
		fprintf(out, "%*s", (int)pad, "");
	fprintf(out, "%s%s%s", style ? style : "", text, style ? "\033[0m" : "");
	if (last)
		putc('\n', out);
	else
		fprintf(out, "%*s  ", t->columns[column].right ? 0 : (int)pad, "");
}

void table_print(const struct table *t, FILE *out, bool colour)
{
	const char *p = (const char *)t->cells.data, *end;

	assert(t->at == 0);
	if (!t->cells.len)
		return;
	end = p + t->cells.len;
	for (size_t i = 0; i < t->n_columns; i++)
		put_cell(t, i, t->columns[i].title, colour ? "\033[1m" : NULL, out);
	for (size_t i = 0; p < end; i = (i + 1) % t->n_columns) {
		put_cell(t, i, p + 1, colour ? style_on[(int)*p] : NULL, out);
		p += strlen(p + 1) + 2;
	}
}

bool table_colour(FILE *out)
{
	const char *no = getenv("NO_COLOR"), *term = getenv("TERM");

	return isatty(fileno(out)) && !(no && *no) && term && strcmp(term, "dumb") != 0;
}
