/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stddef.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/message.h"
#include "cli/reservation.h"
#include "cli/waiting.h"

struct wait_options {
	struct cli_duration timeout;
};

static const struct cli_option options[] = {
    {'t', "timeout", CLI_DURATION, offsetof(struct wait_options, timeout), "DURATION",
     "so long, for all of them (the policy `wait`)", NULL},
    CLI_END,
};

static int wait_for(const struct waiting *w, const char *path)
{
	int status = reservation_check_path("wait", path), fd;

	if (status)
		return status;
	fd = waiting_open(w, path, 0);
	if (fd >= 0) {
		close(fd);
		return CLI_OK;
	}
	if (fd == -ENOENT || fd == -ENOTDIR)
		return CLI_MISS;
	if (fd != -ETIMEDOUT)
		return reservation_failed(path, fd);
	reservation_say_held(path);
	return CLI_HELD;
}

static int run(const void *opt, char **operands, size_t n)
{
	const struct wait_options *o = opt;
	struct waiting w = waiting_begin(&o->timeout);
	int status = CLI_OK;

	for (size_t i = 0; i < n; i++)
		status = cli_worse(status, wait_for(&w, operands[i]));
	return status;
}

const struct command cmd_wait = {
    .name = "wait",
    .args = "PATH…",
    .summary = "wait until entries that others compute are there",
    .detail =
	"It returns as soon as the last one was published or given up. One that is\n"
	"there, or that nobody computes, is not waited for.\n",
    .exits = "0  all are there\n"
	     "1  one is not there, and nobody computes it (silent)\n"
	     "2  the command line is wrong\n"
	     "3  not permitted, or reading failed\n"
	     "4  a path is not in a memofs mount, or the mount is dead\n"
	     "5  one is still being computed: the time was over",
    .example = "memofs wait --timeout 5m \"$dir/$key\" && cat \"$dir/$key\"",
    .options = options,
    .options_size = sizeof(struct wait_options),
    .operands_min = 1,
    .operands_max = CLI_MANY,
    .run = run,
};
