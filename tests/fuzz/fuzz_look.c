/* SPDX-License-Identifier: Apache-2.0 */
/*
 * stats.json, top.json or history.csv of any content: what is understood makes lines of
 * a terminal that fit it and escape nothing, and a page in which no name is markup.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "cli/look/report.h"
#include "cli/look/top.h"
#include "cli/show.h"

static void check_page(const struct numbers *n, const struct history *h)
{
	char *page = NULL;
	size_t len;
	FILE *out = open_memstream(&page, &len);

	FUZZ_CHECK(out);
	report_write(out, "/mnt", n, h);
	FUZZ_CHECK(fclose(out) == 0);
	FUZZ_CHECK(strlen(page) == len); /* no NUL */
	FUZZ_CHECK(!strstr(page, "<script") && !strstr(page, "<img"));
	FUZZ_CHECK(strstr(page, "</html>"));
	free(page);
}

static void check_frame(struct top *t, size_t columns, size_t rows)
{
	CLEANUP_BUF struct buf frame = BUF_INIT;
	char *at, *end;

	top_frame(t, columns, rows, &frame);
	FUZZ_CHECK(frame.len && frame.data[frame.len - 1] == '\n');
	for (at = (char *)frame.data; at < (char *)frame.data + frame.len; at = end + 1) {
		end = memchr(at, '\n', (size_t)((char *)frame.data + frame.len - at));
		*end = '\0';
		FUZZ_CHECK(strlen(at) == (size_t)(end - at) && !strchr(at, '\033'));
		FUZZ_CHECK(show_width(at) <= columns);
	}
}

static void check_top(const struct numbers *n, const struct history *h,
		      const struct jdoc *lists)
{
	static const struct look all = {.point = (char *)"/mnt"};
	struct top t;

	top_init(&t, &all, (struct look_style){.unicode = true}, 1000000000);
	t.numbers = *n;
	t.history = *h;
	t.lists = *lists;
	t.total = n->total;
	check_frame(&t, 80, 24);
	check_frame(&t, 23, 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	CLEANUP_NUMBERS struct numbers n = NUMBERS_INIT;
	CLEANUP_HISTORY struct history h = HISTORY_INIT;
	CLEANUP_JDOC struct jdoc lists = JDOC_INIT;
	const char *text = (const char *)data;
	struct errmsg err = {""};

	setenv("TZ", "UTC", 1);
	if (numbers_read(text, len, &n, &err))
		FUZZ_CHECK(*err.text && !strchr(err.text, '\n'));
	if (jdoc_read(text, len, &lists, &err))
		FUZZ_CHECK(*err.text && !strchr(err.text, '\n'));
	if (history_read(text, len, &h, &err))
		FUZZ_CHECK(*err.text && !strchr(err.text, '\n'));
	if (!n.doc.n)
		FUZZ_CHECK(numbers_read("{}", 2, &n, &err) == 0);
	check_page(&n, &h);
	check_top(&n, &h, &lists);
	return 0;
}
