/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>

#include "cli/carejob.h"
#include "cli/commands.h"
#include "cli/look/look.h"
#include "cli/message.h"

struct gc_options {
	bool quiet;
};

static const struct cli_option options[] = {
    {'q', "quiet", CLI_FLAG, offsetof(struct gc_options, quiet), NULL,
     "print nothing of what was freed", NULL},
    CLI_END,
};

/* The mount a path is in; without one, the one that is meant. */
static int find(const char *path, struct carestore *ret_cs)
{
	CLEANUP_LOOK struct look look = LOOK_INIT;
	int status = look_find(path, &look);

	if (!status)
		status = carestore_find("gc", look.point, ret_cs);
	return status;
}

static int run(const void *opt, char **operands, size_t n)
{
	const struct gc_options *o = opt;
	const struct carejob job = {
	    .command = "gc", .verb = "reclaiming", .unit = "rows", .quiet = o->quiet};
	CLEANUP_CARESTORE struct carestore cs = CARESTORE_INIT;
	CLEANUP_CARERESULT struct careresult result = CARERESULT_INIT;
	int status = find(n ? operands[0] : NULL, &cs);

	if (!status)
		status = carejob_mount(&job, &cs, "gc", "", &result);
	if (status)
		return status;
	if (result.failed)
		return CLI_FAILED;
	if (!o->quiet)
		careresult_print(&result, NULL);
	return CLI_OK;
}

const struct command cmd_gc = {
    .name = "gc",
    .args = "[PATH]",
    .summary = "free now what can be freed, and say what that was",
    .detail =
	"A mount does this by itself, in small steps. Here it is done at once: what has\n"
	"expired goes, though it is kept for a while for who asks for stale results;\n"
	"contents without a name are deleted; the database gives back what it does not\n"
	"need. When it runs already, that one is followed.\n"
	"\n"
	"Without PATH, the mount of the current directory, or else your own. It is for\n"
	"the user whose mount it is.\n",
    .exits = "0  done\n"
	     "1  there is no mount\n"
	     "2  the command line is wrong\n"
	     "3  refused or failed\n"
	     "4  PATH is not in a memofs mount, or the mount is dead",
    .example = "memofs gc /tmp/cache",
    .options = options,
    .options_size = sizeof(struct gc_options),
    .operands_max = 1,
    .run = run,
};
