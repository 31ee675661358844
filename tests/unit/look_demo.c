/* SPDX-License-Identifier: Apache-2.0 */
/*
 * look_demo frame DIRECTORY [COLUMNS ROWS [NAMESPACE]], look_demo report DIRECTORY:
 * what the commands would show of a mount whose daemon wrote the files in DIRECTORY, so
 * that it can be looked at, in a browser too, without having one run for a day.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/look/report.h"
#include "cli/look/top.h"

static int frame(const struct look *l, char **argv, int argc)
{
	CLEANUP_BUF struct buf lines = BUF_INIT;
	size_t columns = argc > 0 ? strtoul(argv[0], NULL, 10) : 80;
	size_t rows = argc > 1 ? strtoul(argv[1], NULL, 10) : 24;
	struct look_style style = {.unicode = !getenv("ASCII"),
				   .colour = getenv("COLOUR")};
	struct top t;
	int status;

	top_init(&t, l, style, INT64_C(2000000000));
	status = top_look(&t);
	if (!status)
		top_frame(&t, columns, rows, &lines);
	fwrite(lines.data, 1, lines.len, stdout);
	top_deinit(&t);
	return status;
}

static int report(const struct look *l)
{
	CLEANUP_NUMBERS struct numbers n = NUMBERS_INIT;
	CLEANUP_HISTORY struct history h = HISTORY_INIT;
	int status = look_numbers(l, &n);

	if (!status)
		status = look_history(l, &h);
	if (!status)
		report_write(stdout, l->point, &n, &h);
	return status;
}

int main(int argc, char **argv)
{
	char point[] = "/srv/cache";
	struct look l = LOOK_INIT;

	if (argc < 3) {
		fprintf(stderr, "usage: look_demo frame|report DIRECTORY ...\n");
		return 2;
	}
	l.point = point;
	l.dir = argv[2];
	l.ns = argc > 5 ? argv[5] : NULL;
	return strcmp(argv[1], "report") == 0 ? report(&l)
					      : frame(&l, argv + 3, argc - 3);
}
