/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stddef.h>

#include "cli/commands.h"
#include "cli/message.h"
#include "cli/owner.h"
#include "cli/reservation.h"
#include "store/util/duration.h"

struct extend_options {
	const char *owner;
	struct cli_duration lease;
};

static const struct cli_option options[] = {
    {'o', "owner", CLI_STRING, offsetof(struct extend_options, owner), "ID",
     "whose reservation it is ($MEMOFS_OWNER)", NULL},
    {'l', "lease", CLI_DURATION, offsetof(struct extend_options, lease), "DURATION",
     "for so long from now (the directory's policy `lease`)", NULL},
    CLI_END,
};

static int extend(const struct extend_options *o, const char *owner, const char *path)
{
	int r = reservation_extend(path, owner, o->lease.ns);
	CLEANUP_FREE char *who = NULL;

	if (r != -ESTALE)
		return r ? reservation_failed(path, r) : CLI_OK;
	who = reservation_holder_text(path);
	cli_error("%s: not reserved by %s any more%s", path, owner, who);
	return CLI_LOST;
}

static int run(const void *opt, char **operands, size_t n)
{
	const struct extend_options *o = opt;
	const char *owner = owner_find("extend", o->owner);
	int status;

	if (!owner)
		return CLI_USAGE;
	if (o->lease.text && (o->lease.ns == 0 || o->lease.ns == DURATION_NONE)) {
		cli_error("--lease: \"%s\" is no time to reserve for; release ends it",
			  o->lease.text);
		return CLI_USAGE;
	}
	status = reservation_check_path("extend", operands[0]);
	return status ? status : extend(o, owner, operands[0]);
}

const struct command cmd_extend = {
    .name = "extend",
    .args = "PATH",
    .summary = "keep a reservation for longer",
    .detail =
	"It ends so long from now, also when that is sooner. One that has ended is\n"
	"not taken again: then somebody else may have computed the entry.\n",
    .exits = "0  extended\n"
	     "2  the command line is wrong\n"
	     "3  not permitted, or the directory does not exist\n"
	     "4  PATH is not in a memofs mount, or the mount is dead\n"
	     "6  lost: ID does not have it",
    .example = "memofs extend -o \"$id\" --lease 10m \"$dir/$key\"",
    .options = options,
    .options_size = sizeof(struct extend_options),
    .operands_min = 1,
    .operands_max = 1,
    .run = run,
};
