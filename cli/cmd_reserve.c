/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/message.h"
#include "cli/owner.h"
#include "cli/paths.h"
#include "cli/reservation.h"
#include "cli/reserve_exec.h"
#include "cli/waiting.h"
#include "store/util/duration.h"

struct reserve_options {
	const char *owner;
	struct cli_duration lease, wait;
	bool unless_hit, quiet, exec, kill_on_loss;
};

static const struct cli_option options[] = {
    {'o', "owner", CLI_STRING, offsetof(struct reserve_options, owner), "ID",
     "who reserves; the same ID extends (a new one)", NULL},
    {'l', "lease", CLI_DURATION, offsetof(struct reserve_options, lease), "DURATION",
     "for so long (the directory's policy `lease`)", NULL},
    {'w', "wait", CLI_DURATION, offsetof(struct reserve_options, wait), "DURATION",
     "when another has it, wait so long for it", NULL},
    {'u', "unless-hit", CLI_FLAG, offsetof(struct reserve_options, unless_hit), NULL,
     "reserve nothing when the entry is there", NULL},
    {'x', "exec", CLI_FLAG, offsetof(struct reserve_options, exec), NULL,
     "run COMMAND, keep it reserved meanwhile, then release", NULL},
    {'k', "kill-on-loss", CLI_FLAG, offsetof(struct reserve_options, kill_on_loss), NULL,
     "end COMMAND (SIGTERM) when the reservation is lost", NULL},
    {'q', "quiet", CLI_FLAG, offsetof(struct reserve_options, quiet), NULL,
     "print neither the ID nor who has it", NULL},
    CLI_END,
};

struct taking {
	const struct reserve_options *opt;
	const char *path, *owner;
	/* With --exec: signals are let in only while waiting, when nothing would
	 * stay reserved. */
	const sigset_t *waiting_mask;
};

static bool is_hit(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

/* Take it or complain. Whoever published before that may have left a hit. */
static int take_once(const struct taking *t)
{
	int r;

	if (t->opt->unless_hit && is_hit(t->path))
		return CLI_HIT;
	r = reservation_acquire(t->path, t->owner, t->opt->lease.ns);
	if (r == -EBUSY)
		return CLI_HELD;
	if (r)
		return reservation_failed(t->path, r);
	if (!t->opt->unless_hit || !is_hit(t->path))
		return CLI_OK;
	reservation_release(t->path, t->owner);
	return CLI_HIT;
}

/* An old value may be there, so only one that was published since counts. */
static int wait_for_change(const struct taking *t, const struct waiting *w,
			   int64_t since_ns)
{
	sigset_t old;
	int fd;

	if (t->waiting_mask)
		sigprocmask(SIG_SETMASK, t->waiting_mask, &old);
	fd = waiting_open(w, t->path, since_ns);
	if (t->waiting_mask)
		sigprocmask(SIG_SETMASK, &old, NULL);
	if (fd >= 0)
		close(fd);
	if (fd >= 0 || fd == -ENOENT)
		return CLI_OK;
	return fd == -ETIMEDOUT ? CLI_HELD : reservation_failed(t->path, fd);
}

static int take(const struct taking *t)
{
	struct waiting w = waiting_begin(&t->opt->wait);

	for (;;) {
		int64_t since_ns = time_now_ns();
		int status = take_once(t);

		if (status == CLI_HELD && t->opt->wait.text) {
			status = wait_for_change(t, &w, since_ns);
			if (status == CLI_OK)
				continue;
		}
		if (status == CLI_HELD && !t->opt->quiet)
			reservation_say_held(t->path);
		return status;
	}
}

/* An ID that nobody gets to know reserves nothing. */
static int print_owner(const struct taking *t)
{
	if (t->opt->quiet)
		return CLI_OK;
	if (printf("%s\n", t->owner) >= 0 && fflush(stdout) == 0)
		return CLI_OK;
	cli_error("cannot write to standard output: %s; nothing is reserved",
		  strerror(errno));
	clearerr(stdout);
	reservation_release(t->path, t->owner);
	return CLI_FAILED;
}

static int take_and_run(struct taking *t, char *const *argv)
{
	sigset_t set, old;
	struct reserve_exec re = {
	    .path = t->path,
	    .owner = t->owner,
	    .lease_ns = t->opt->lease.ns,
	    .kill_on_loss = t->opt->kill_on_loss,
	    .argv = argv,
	    .command_mask = &old,
	};
	int status;

	reserve_exec_signals(&set);
	sigprocmask(SIG_BLOCK, &set, &old);
	t->waiting_mask = &old;
	status = take(t);
	return status ? status : reserve_exec_run(&re);
}

static int check(const struct reserve_options *o, char **operands, size_t n)
{
	if (!o->exec && n > 1)
		cli_error("reserve: \"%s\" is one argument too many; --exec runs a "
			  "command",
			  operands[1]);
	else if (o->exec && n < 2)
		cli_error("reserve: --exec needs a command: PATH -- COMMAND");
	else if (o->exec && strcmp(operands[-1], "--") != 0)
		/* Options of the command would have been taken for ours. */
		cli_error("reserve: -- is missing before the command: PATH -- COMMAND");
	else if (o->kill_on_loss && !o->exec)
		cli_error("reserve: --kill-on-loss goes with --exec");
	else if (o->lease.text && (o->lease.ns == 0 || o->lease.ns == DURATION_NONE))
		cli_error("--lease: \"%s\" is no time to reserve for; it begins and ends",
			  o->lease.text);
	else
		return reservation_check_path("reserve", operands[0]);
	return CLI_USAGE;
}

static int run(const void *opt, char **operands, size_t n)
{
	const struct reserve_options *o = opt;
	CLEANUP_FREE char *made = NULL;
	struct taking t = {.opt = o, .path = operands[0]};
	int status = check(o, operands, n);

	if (status)
		return status;
	made = o->owner ? NULL : owner_new();
	if (!o->owner && !made)
		return CLI_FAILED;
	t.owner = owner_find("reserve", o->owner ? o->owner : made);
	if (!t.owner)
		return CLI_USAGE;
	if (o->exec)
		return take_and_run(&t, operands + 1);
	status = take(&t);
	return status ? status : print_owner(&t);
}

const struct command cmd_reserve = {
    .name = "reserve",
    .args = "PATH [-- COMMAND…]",
    .summary = "say that you compute an entry, so that others wait",
    .detail =
	"Prints the ID that extends and releases the reservation. PATH need not\n"
	"exist, its directory must. A reservation ends when it is released, when its\n"
	"time is over, and when a value is published through\n"
	"DIR/.memofs/view/owner=ID/KEY; there, one whose time was over is refused.\n"
	"\n"
	"With --exec, COMMAND finds the ID in MEMOFS_OWNER, PATH in MEMOFS_KEY, and\n"
	"in MEMOFS_OUTPUT the path to write to. It is extended while COMMAND runs;\n"
	"SIGINT, SIGTERM, SIGHUP and SIGQUIT are passed on. When it is lost all the\n"
	"same, COMMAND goes on, but what it publishes there is refused.\n",
    .exits = "0  reserved; with --exec: COMMAND succeeded\n"
	     "2  the command line is wrong\n"
	     "3  not permitted, or the directory does not exist\n"
	     "4  PATH is not in a memofs mount, or the mount is dead\n"
	     "5  another has it, also after --wait\n"
	     "6  --exec: COMMAND succeeded, but the reservation was lost\n"
	     "7  --unless-hit: the entry is there\n"
	     "With --exec, else the code of COMMAND; 128 + N when signal N ended it;\n"
	     "126 or 127 when it could not be run.",
    .example =
	"id=$(memofs reserve --unless-hit --wait 10m \"$dir/$key\") &&\n"
	"    make-it > \"$dir/.memofs/view/owner=$id/$key\"\n"
	"memofs reserve --exec \"$dir/$key\" -- sh -c 'make-it > \"$MEMOFS_OUTPUT\"'",
    .options = options,
    .options_size = sizeof(struct reserve_options),
    .operands_min = 1,
    .operands_max = CLI_MANY,
    .run = run,
};
