/* SPDX-License-Identifier: Apache-2.0 */
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "cli/carejob.h"
#include "cli/commands.h"
#include "cli/message.h"

struct check_options {
	bool repair, fast, database, quiet;
};

static const struct cli_option options[] = {
    {'r', "repair", CLI_FLAG, offsetof(struct check_options, repair), NULL,
     "drop what is damaged, and say what", NULL},
    {'f', "fast", CLI_FLAG, offsetof(struct check_options, fast), NULL,
     "structure only: read no contents", NULL},
    {0, "database", CLI_FLAG, offsetof(struct check_options, database), NULL,
     "with --repair: have a database made anew that cannot be opened", NULL},
    {'q', "quiet", CLI_FLAG, offsetof(struct check_options, quiet), NULL,
     "no progress, and no word when it is sound", NULL},
    CLI_END,
};

/* The options of the job, and of the daemon, say the same. */
static int check_mount(const struct check_options *o, const struct carejob *job,
		       const struct carestore *cs, struct careresult *result)
{
	char words[32];

	snprintf(words, sizeof(words), "%s%s\n", o->repair ? "repair " : "",
		 o->fast ? "fast" : "");
	return carejob_mount(job, cs, "check", words, result);
}

static int check_offline(const struct check_options *o, const struct carejob *job,
			 const struct carestore *cs, struct careresult *result)
{
	const char *args[6] = {"--check", cs->store};
	size_t n = 2;

	if (o->repair)
		args[n++] = "--repair";
	if (o->fast)
		args[n++] = "--fast";
	if (o->database)
		args[n++] = "--database";
	return carejob_offline(job, cs, args, result);
}

/* What to do about a database that does not open. */
static void advise(const struct check_options *o, const struct carestore *cs)
{
	if (!o->database && !cs->mountpoint)
		cli_error(
		    "check: if it is the database that is damaged: restore a backup "
		    "(memofs restore-backup), or have what is left of it put "
		    "together: memofs check --repair --database %s",
		    cs->store);
}

static int conclude(const struct check_options *o, const struct carestore *cs,
		    const struct careresult *r)
{
	if (r->unopened) {
		advise(o, cs);
		return CLI_FAILED;
	}
	if (r->failed)
		return CLI_FAILED;
	if (careresult_value(r, "sound")) {
		if (!o->quiet)
			careresult_print(r, NULL);
		return CLI_OK;
	}
	careresult_print(r, NULL);
	return CLI_MISS;
}

static int run(const void *opt, char **operands, size_t n)
{
	const struct check_options *o = opt;
	const struct carejob job = {
	    .command = "check", .verb = "checking", .unit = "rows", .quiet = o->quiet};
	CLEANUP_CARESTORE struct carestore cs = CARESTORE_INIT;
	CLEANUP_CARERESULT struct careresult result = CARERESULT_INIT;
	int r;

	if (o->database && !o->repair) {
		cli_error("check: --database is for --repair");
		return CLI_USAGE;
	}
	r = carestore_find("check", operands[0], &cs);
	if (r)
		return r;
	if (o->database && cs.mountpoint) {
		cli_error("check: --database needs a store that is not mounted; first: "
			  "memofs umount %s",
			  cs.mountpoint);
		return CLI_USAGE;
	}
	r = cs.mountpoint ? check_mount(o, &job, &cs, &result)
			  : check_offline(o, &job, &cs, &result);
	return cli_finish(r ? r : conclude(o, &cs, &result));
}

const struct command cmd_check = {
    .name = "check",
    .args = "PATH|STORE",
    .summary = "look through a store for damage, and drop it",
    .detail =
	"Looks at every row of the database, every file beside it and, unless --fast\n"
	"is given, every byte against its checksums. PATH is any path in a mount: its\n"
	"daemon does it beside its other work. STORE is a store's directory that is not\n"
	"mounted. What is found is printed, one line each.\n"
	"\n"
	"With --repair, entries that are damaged are dropped, so that they are computed\n"
	"again; what belongs to nothing is removed, files that are not memofs's are\n"
	"moved to STORE/lost+found. What is sound is not touched.\n"
	"\n"
	"--database is for a database that cannot be opened, or not be read everywhere:\n"
	"RocksDB puts together a copy of what is left of it, which then is repaired. "
	"The\n"
	"old one stays as STORE/db.damaged until you remove it.\n",
    .exits = "0  sound\n"
	     "1  damage was found; the last line says whether it was repaired\n"
	     "2  the command line is wrong\n"
	     "3  the store cannot be opened, or the check did not come to its end\n"
	     "4  the mount does not answer",
    .example = "memofs check --repair /mnt/cache",
    .options = options,
    .options_size = sizeof(struct check_options),
    .operands_min = 1,
    .operands_max = 1,
    .run = run,
};
