/* SPDX-License-Identifier: Apache-2.0 */
/* The holder does it; what came of it is read from the job of the daemon that runs then.
 */
#include <stddef.h>
#include <stdlib.h>

#include "cli/carejob.h"
#include "cli/commands.h"
#include "cli/message.h"
#include "cli/paths.h"

enum { ROLLED_BACK = 1 };

struct upgrade_options {
	const char *binary;
	bool quiet;
};

static const struct cli_option options[] = {
    {'b', "binary", CLI_STRING, offsetof(struct upgrade_options, binary), "PATH",
     "the memofsd to go on with (the one that was mounted, as it is now)", NULL},
    {'q', "quiet", CLI_FLAG, offsetof(struct upgrade_options, quiet), NULL,
     "print nothing of what was done", NULL},
    CLI_END,
};

static int run(const void *opt, char **operands, size_t n)
{
	const struct upgrade_options *o = opt;
	/* There is nothing to count: no bar. */
	const struct carejob job = {
	    .command = "upgrade", .verb = "upgrading", .unit = "", .quiet = true};
	CLEANUP_FREE char *binary = o->binary ? path_absolute(o->binary) : NULL;
	CLEANUP_CARESTORE struct carestore cs = CARESTORE_INIT;
	CLEANUP_CARERESULT struct careresult result = CARERESULT_INIT;
	int status = carestore_find("upgrade", operands[0], &cs);

	if (!status && !cs.mountpoint) {
		cli_error("upgrade: %s is not mounted; the next mount runs what is there",
			  cs.store);
		return CLI_MOUNT;
	}
	if (!status)
		status =
		    carejob_mount(&job, &cs, "upgrade", binary ? binary : "", &result);
	if (status)
		return status;
	if (result.failed)
		return ROLLED_BACK;
	if (!o->quiet)
		careresult_print(&result, NULL);
	return CLI_OK;
}

const struct command cmd_upgrade = {
    .name = "upgrade",
    .args = "MOUNTPOINT",
    .summary = "replace the daemon of a mount while it is in use",
    .detail =
	"The daemon finishes what it has begun and ends; memofs-holder starts the new\n"
	"one, which goes on with everything that is open or being written. Whoever asks\n"
	"meanwhile waits. When the new one is not ready within a minute, the one before\n"
	"it is started again. It is for the user whose mount it is.\n",
    .exits = "0  the new one runs; prints both versions\n"
	     "1  the new one could not be used, and the one before goes on; says why\n"
	     "2  the command line is wrong\n"
	     "3  refused: another user's, or a mount without memofs-holder\n"
	     "4  that is no memofs mount, or it is dead",
    .example = "memofs upgrade /tmp/cache",
    .options = options,
    .options_size = sizeof(struct upgrade_options),
    .operands_min = 1,
    .operands_max = 1,
    .run = run,
};
