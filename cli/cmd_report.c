/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/copy.h"
#include "cli/look/look.h"
#include "cli/look/report.h"
#include "cli/message.h"
#include "cli/scratch.h"

struct report_options {
	const char *output;
};

static const struct cli_option options[] = {
    {'o', "output", CLI_STRING, offsetof(struct report_options, output), "FILE",
     "write it to FILE, not to standard output", NULL},
    CLI_END,
};

/* The whole page in memory: some hundred kilobytes. The caller frees it. */
static char *make_page(const struct look *look, const struct numbers *n,
		       const struct history *h, size_t *ret_len)
{
	char *page = NULL;
	FILE *out = open_memstream(&page, ret_len);

	must(out ? 0 : -ENOMEM);
	report_write(out, look->point, n, h);
	must(fclose(out) ? -ENOMEM : 0);
	return page;
}

/* FILE appears whole, or stays what it was. */
static int write_file(const char *path, const char *page, size_t len)
{
	struct scratch s;
	int r = scratch_open(path, ".memofs-report", &s);

	if (!r) {
		r = copy_bytes(s.fd, page, len);
		if (r)
			scratch_drop(&s);
		else
			r = scratch_keep(&s, path);
	}
	if (!r)
		return CLI_OK;
	cli_error("%s: %s; nothing was written", path, strerror(-r));
	return CLI_FAILED;
}

static int run(const void *opt, char **operands, size_t n)
{
	const struct report_options *o = opt;
	CLEANUP_LOOK struct look look = LOOK_INIT;
	CLEANUP_NUMBERS struct numbers numbers = NUMBERS_INIT;
	CLEANUP_HISTORY struct history history = HISTORY_INIT;
	CLEANUP_FREE char *page = NULL;
	size_t len;
	int status;

	if (!o->output && isatty(STDOUT_FILENO)) {
		cli_error(
		    "report: a page of HTML is nothing for a terminal; give -o FILE");
		return CLI_USAGE;
	}
	status = look_find(n ? operands[0] : NULL, &look);
	if (!status)
		status = look_numbers(&look, &numbers);
	if (!status)
		status = look_history(&look, &history);
	if (status)
		return status;
	page = make_page(&look, &numbers, &history, &len);
	if (o->output)
		return write_file(o->output, page, len);
	fwrite(page, 1, len, stdout);
	return CLI_OK;
}

const struct command cmd_report = {
    .name = "report",
    .args = "[PATH]",
    .summary = "write a page with charts of what a mount does",
    .detail =
	"One HTML file that needs no network and runs no script: time saved, hit\n"
	"ratio, bytes and evictions over the last day and the last 90 days, size by\n"
	"namespace, ages and costs, misses by reason; each chart with a table of its\n"
	"numbers. It has names of namespaces, but not of entries. PATH is any path in\n"
	"a mount; without it: the mount of the current directory, else the one that\n"
	"results are kept in (memofs cache).\n",
    .exits = "0  written\n"
	     "1  there is no mount\n"
	     "2  the command line is wrong, or standard output is a terminal\n"
	     "3  the numbers cannot be read, the daemon has none, or FILE cannot be\n"
	     "   written\n"
	     "4  PATH is not in a memofs mount, or the mount is dead",
    .example = "memofs report -o report.html /tmp/cache",
    .options = options,
    .options_size = sizeof(struct report_options),
    .operands_max = 1,
    .run = run,
};
