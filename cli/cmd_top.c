/* SPDX-License-Identifier: Apache-2.0 */
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/look/screen.h"
#include "cli/look/top.h"
#include "cli/message.h"
#include "store/util/duration.h"

#define INTERVAL_NS (2 * NSEC_PER_SEC)
#define INTERVAL_MIN_NS (NSEC_PER_SEC / 10)

struct top_options {
	struct cli_duration interval;
	bool once;
};

static const struct cli_option options[] = {
    {'i', "interval", CLI_DURATION, offsetof(struct top_options, interval), "DURATION",
     "look so often (2s)", NULL},
    {'1', "once", CLI_FLAG, offsetof(struct top_options, once), NULL,
     "print one look and end", NULL},
    CLI_END,
};

static void show(const struct top *t)
{
	CLEANUP_BUF struct buf lines = BUF_INIT;
	size_t columns, rows;

	screen_size(&columns, &rows);
	top_frame(t, columns, rows, &lines);
	screen_show(&lines);
}

/* Until somebody ends it; `t` has had its first look. */
static void follow(struct top *t)
{
	int64_t next_ns = time_monotonic_ns() + t->interval_ns;
	char key = 0;

	for (;;) {
		int64_t left_ns = next_ns - time_monotonic_ns();
		enum screen_event event;

		show(t);
		event = screen_wait(left_ns > 0 ? left_ns : 0, &key);
		if (event == SCREEN_END ||
		    (event == SCREEN_KEY && (key == 'q' || key == 'Q')))
			return;
		if (event == SCREEN_RESIZE)
			continue;
		top_look(t);
		next_ns = time_monotonic_ns() + t->interval_ns;
	}
}

static int live(struct top *t)
{
	int r = screen_enter(), sig;

	if (r) {
		cli_error("the terminal cannot be used: %s; see --once", strerror(-r));
		return CLI_FAILED;
	}
	follow(t);
	screen_leave();
	sig = screen_end_signal();
	if (sig && sig != SIGINT) { /* who sent it is to see that it worked */
		signal(sig, SIG_DFL);
		raise(sig);
	}
	return CLI_OK;
}

static size_t columns_of_stdout(void)
{
	const char *text = getenv("COLUMNS");
	unsigned long columns = text ? strtoul(text, NULL, 10) : 0;
	size_t rows, width = 80;

	if (isatty(STDOUT_FILENO))
		screen_size(&width, &rows);
	else if (columns >= 20 && columns <= 10000)
		width = columns;
	return width;
}

static int print_once(struct top *t)
{
	CLEANUP_BUF struct buf lines = BUF_INIT;

	top_frame(t, columns_of_stdout(), 0, &lines);
	fwrite(lines.data, 1, lines.len, stdout);
	return CLI_OK;
}

static int run(const void *opt, char **operands, size_t n)
{
	const struct top_options *o = opt;
	CLEANUP_LOOK struct look look = LOOK_INIT;
	struct top t;
	int status;

	if (o->interval.text &&
	    (o->interval.ns < INTERVAL_MIN_NS || o->interval.ns == DURATION_NONE)) {
		cli_error("--interval: \"%s\" is not a time between two looks; 0.1s at "
			  "least",
			  o->interval.text);
		return CLI_USAGE;
	}
	status = look_find(n ? operands[0] : NULL, &look);
	if (status)
		return status;
	top_init(&t, &look, look_style_of_stdout(),
		 o->interval.text ? o->interval.ns : INTERVAL_NS);
	status = top_look(&t);
	if (!status)
		status = o->once || !screen_possible() ? print_once(&t) : live(&t);
	top_deinit(&t);
	return status;
}

const struct command cmd_top = {
    .name = "top",
    .args = "[PATH]",
    .summary = "watch what a mount does, in a terminal",
    .detail =
	"Time saved first; hit ratio, throughput and size; the entries that are read\n"
	"most and those that are dearest to lose, who computes what, and what is\n"
	"waited for. Entries are shown to the user of the daemon only. q or Ctrl-C\n"
	"ends it, any other key looks at once. PATH is any path in a mount; in a\n"
	"namespace, it is about that one. Without PATH: the mount of the current\n"
	"directory, else the one that results are kept in (memofs cache).\n"
	"\n"
	"Where standard output is no terminal, one look is printed.\n",
    .exits = "0  it was ended, or printed\n"
	     "1  there is no mount\n"
	     "2  the command line is wrong\n"
	     "3  the numbers cannot be read, or the daemon has none\n"
	     "4  PATH is not in a memofs mount, or the mount is dead",
    .example = "memofs top --interval 1s /tmp/cache",
    .options = options,
    .options_size = sizeof(struct top_options),
    .operands_max = 1,
    .run = run,
};
