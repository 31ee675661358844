/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/message.h"
#include "cli/owner.h"
#include "cli/reservation.h"
#include "cli/show.h"

struct release_options {
	const char *owner;
	bool verbose;
};

static const struct cli_option options[] = {
    {'o', "owner", CLI_STRING, offsetof(struct release_options, owner), "ID",
     "whose reservation it is ($MEMOFS_OWNER)", NULL},
    {'v', "verbose", CLI_FLAG, offsetof(struct release_options, verbose), NULL,
     "say whether ID still had it", NULL},
    CLI_END,
};

static void say(const char *path, const char *owner, bool had)
{
	CLEANUP_FREE char *word = show_shell_new(path);
	CLEANUP_FREE char *who = had ? NULL : reservation_holder_text(path);
	CLEANUP_FREE char *id = show_shell_new(owner);

	if (had)
		printf("%s: released by %s\n", word, id);
	else
		printf("%s: not reserved by %s any more%s\n", word, id, who);
}

static int release(const struct release_options *o, const char *owner, const char *path)
{
	CLEANUP_RESERVATION struct reservation rv = RESERVATION_INIT;
	bool had;
	int r = o->verbose ? reservation_read(path, false, &rv) : 0;

	had = rv.owner && strcmp(rv.owner, owner) == 0;
	if (!r)
		r = reservation_release(path, owner);
	if (r)
		return reservation_failed(path, r);
	if (o->verbose)
		say(path, owner, had);
	return CLI_OK;
}

static int run(const void *opt, char **operands, size_t n)
{
	const struct release_options *o = opt;
	const char *owner = owner_find("release", o->owner);
	int status;

	if (!owner)
		return CLI_USAGE;
	status = reservation_check_path("release", operands[0]);
	return status ? status : release(o, owner, operands[0]);
}

const struct command cmd_release = {
    .name = "release",
    .args = "PATH",
    .summary = "give a reservation back; who waits may take it",
    .detail =
	"Late is harmless: when ID does not have it any more, nothing changes, and\n"
	"that is a success.\n",
    .exits = "0  ID does not have it now\n"
	     "2  the command line is wrong\n"
	     "3  not permitted, or the directory does not exist\n"
	     "4  PATH is not in a memofs mount, or the mount is dead",
    .example = "memofs release -o \"$id\" \"$dir/$key\"",
    .options = options,
    .options_size = sizeof(struct release_options),
    .operands_min = 1,
    .operands_max = 1,
    .run = run,
};
