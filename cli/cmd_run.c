/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "cli/commands.h"
#include "cli/key/key_options.h"
#include "cli/message.h"
#include "cli/run/run.h"
#include "store/util/duration.h"
#include "store/util/timestamp.h"

static const char *const leader_failures[] = {"takeover", "share", NULL};
static const char *const mtimes[] = {"keep", "now", NULL};

#define OPT(field) offsetof(struct run_options, field)

static const struct cli_option options[] = {
    KEY_OPTIONS(struct run_options, key),
    {'t', "ttl", CLI_DURATION, OPT(ttl), "DURATION",
     "a hit for so long from now: 90s, 1h30m, PT1H, none", NULL},
    {'a', "max-age", CLI_DURATION, OPT(max_age), "DURATION",
     "a hit only if it is not older", NULL},
    {0, "since", CLI_STRING, OPT(since), "TIME",
     "a hit only if it was stored at TIME or later", NULL},
    {0, "overwrite", CLI_FLAG, OPT(overwrite), NULL,
     "run in any case, and replace the result", NULL},
    {0, "cache-exit", CLI_STRING, OPT(cache_exit), "CODES",
     "store these exit codes, too: 0,1,10-12, any (0)", NULL},
    {'w', "wait", CLI_DURATION, OPT(wait), "DURATION",
     "wait so long for another who runs it (the policy `wait`)", NULL},
    {0, "no-wait", CLI_FLAG, OPT(no_wait), NULL,
     "run at once when another runs it, and store nothing", NULL},
    {0, "on-leader-failure", CLI_CHOICE, OPT(on_leader_failure), "WHAT",
     "when the one we wait for fails: run it, or fail as well", leader_failures},
    {0, "stale-while-refresh", CLI_FLAG, OPT(stale_while_refresh), NULL,
     "answer with an expired result, and make it anew behind", NULL},
    {'m', "mtime", CLI_CHOICE, OPT(mtime), "WHAT",
     "times of outputs from the cache: as they were, or now", mtimes},
    {'c', "cache", CLI_STRING, OPT(cache), "DIR",
     "where results are kept (MEMOFS_CACHE, else your own mount)", NULL},
    {0, "dry-run", CLI_FLAG, OPT(dry_run), NULL, "run nothing, say whether it would hit",
     NULL},
    {0, "strict", CLI_FLAG, OPT(strict), NULL, "fail (3) when the cache cannot be used",
     NULL},
    {0, "status-file", CLI_STRING, OPT(status_file), "FILE",
     "write to FILE what became of it, as JSON", NULL},
    {0, "status-fd", CLI_STRING, OPT(status_fd), "N", "the same to an open descriptor",
     NULL},
    {'q', "quiet", CLI_FLAG, OPT(quiet), NULL, "do not say when nothing was cached",
     NULL},
    {'v', "verbose", CLI_FLAG, OPT(verbose), NULL, "say on stderr what became of it",
     NULL},
    CLI_END,
};

static int parse_since(const char *text, int64_t *ret_ns)
{
	*ret_ns = INT64_MIN;
	if (!text || timestamp_parse(text, strlen(text), ret_ns) == 0)
		return CLI_OK;
	cli_error("--since: \"%s\" is no time; use e.g. 2026-11-20T15:04, or @SECONDS",
		  text);
	return CLI_USAGE;
}

static int read_limits(const struct run_options *o, struct run_limits *ret_limits)
{
	struct errmsg err;

	ret_limits->max_age_ns = o->max_age.text ? o->max_age.ns : DURATION_NONE;
	if (exit_codes_parse(o->cache_exit, &ret_limits->codes, &err)) {
		cli_error("run: %s", err.text);
		return CLI_USAGE;
	}
	return parse_since(o->since, &ret_limits->since_ns);
}

static int check(const struct run_options *o, char **operands)
{
	if (strcmp(operands[-1], "--") != 0)
		/* Options of the command would have been taken for ours. */
		cli_error("run: -- is missing before the command: [options] -- COMMAND");
	else if (!*operands[0])
		cli_error("run: the name of the command is empty");
	else if (o->wait.text && o->no_wait)
		cli_error("run: --wait and --no-wait: only one of them");
	else if (o->overwrite && o->stale_while_refresh)
		cli_error("run: --overwrite and --stale-while-refresh: only one of them");
	else if (o->quiet && o->verbose)
		cli_error("run: --quiet and --verbose: only one of them");
	else
		return CLI_OK;
	return CLI_USAGE;
}

static int run(const void *opt, char **operands, size_t n)
{
	const struct run_options *o = opt;
	struct run_limits limits;
	int status = check(o, operands);

	if (!status)
		status = read_limits(o, &limits);
	return status ? status : run_command(o, &limits, operands);
}

const struct command cmd_run = {
    .name = "run",
    .args = "-- COMMAND…",
    .summary = "run a command, or show its stored result",
    .detail =
	"The result is what it writes to stdout and stderr, its exit code, and the\n"
	"--output files. It is found again by the command's words and everything that\n"
	"is declared by --input, --param, --env, --stdin, --version …; `memofs key`\n"
	"shows the parts, `memofs explain` what has changed. Only success is stored.\n"
	"\n"
	"When several run the same at once, one does and the others wait. Output is\n"
	"shown while it is written; the command finds pipes as stdout and stderr. The\n"
	"cache is DIR of --cache, else $MEMOFS_CACHE, else a mount of your own, which\n"
	"is made when it is needed. When it cannot be used, the command runs as it\n"
	"would without, and a line says so. MEMOFS_DISABLE=1 runs it plainly.\n",
    .exits =
	"The code of COMMAND, or the one that is stored; 128 + N when signal N\n"
	"ended it; 126 or 127 when it could not be run. COMMAND was not run:\n"
	"2  the command line is wrong\n"
	"1  --dry-run: it would run\n"
	"3  --strict: the cache cannot be used (also when COMMAND succeeded and its\n"
	"   result could not be stored)\n"
	"5  --strict: another runs it, also after --wait",
    .example = "memofs run --input data.csv -- ./report data.csv\n"
	       "memofs run --ttl 1h --env LANG --output 'out/**' -- make report",
    .options = options,
    .options_size = sizeof(struct run_options),
    .operands_min = 1,
    .operands_max = CLI_MANY,
    .run = run,
};
