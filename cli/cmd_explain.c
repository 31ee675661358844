/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cache.h"
#include "cli/commands.h"
#include "cli/json.h"
#include "cli/key/key_options.h"
#include "cli/key/make_here.h"
#include "cli/key/stored.h"
#include "cli/key/validate.h"
#include "cli/message.h"
#include "cli/paths.h"
#include "cli/reservation.h"
#include "cli/run/exitcodes.h"
#include "cli/show.h"
#include "store/util/duration.h"
#include "store/util/timestamp.h"

/* So many differences are shown to people. */
#define LINES_SHOWN 20

struct explain_options {
	struct key_options key;
	struct cli_duration max_age;
	const char *since, *cache_exit, *cache;
	bool json;
};

static const struct cli_option options[] = {
    KEY_OPTIONS(struct explain_options, key),
    {'a', "max-age", CLI_DURATION, offsetof(struct explain_options, max_age), "DURATION",
     "a hit only if it is not older", NULL},
    {0, "since", CLI_STRING, offsetof(struct explain_options, since), "TIME",
     "a hit only if it was stored at TIME or later", NULL},
    {0, "cache-exit", CLI_STRING, offsetof(struct explain_options, cache_exit), "CODES",
     "results with these exit codes are hits, too (0)", NULL},
    {'c', "cache", CLI_STRING, offsetof(struct explain_options, cache), "DIR",
     "where results are kept (MEMOFS_CACHE, else your own mount)", NULL},
    {'j', "json", CLI_FLAG, offsetof(struct explain_options, json), NULL,
     "an object with all of it", NULL},
    CLI_END,
};

/* ---- why
 * ------------------------------------------------------------------------------- */

enum reason {
	REASON_HIT,
	REASON_DISABLED,
	REASON_NEVER, /* --validate never_use */
	REASON_NO_CACHE,
	REASON_ABSENT,
	REASON_OTHER, /* something else is at its path */
	REASON_EXPIRED,
	REASON_TOO_OLD,
	REASON_BEFORE, /* --since */
	REASON_EXIT,
	REASON_DIFFERS,
};
static const char *const reason_words[] = {
    "hit",     "disabled", "never-use", "no-cache", "absent",  "other",
    "expired", "max-age",  "since",	"exit",	    "differs",
};

struct explanation {
	const struct explain_options *o;
	struct exit_codes codes;
	int64_t since_ns, now_ns;
	struct key k;
	enum reason reason;
	char *entry;	       /* NULL: there is no cache */
	struct errmsg trouble; /* REASON_NO_CACHE */
	struct stored stored;  /* what is there; path NULL: nothing */
	struct stored nearest; /* beside it; path NULL: none */
	struct buf lines;      /* how `stored` or `nearest` differs */
	int differences;
	struct reservation rv;
};

static void explanation_deinit(struct explanation *ex)
{
	key_deinit(&ex->k);
	free_charp(&ex->entry);
	stored_deinit(&ex->stored);
	stored_deinit(&ex->nearest);
	buf_deinit(&ex->lines);
	reservation_deinit(&ex->rv);
}

static bool is_disabled(void)
{
	const char *disable = getenv("MEMOFS_DISABLE");

	return disable && *disable && strcmp(disable, "0") != 0;
}

/* Of one that is there and has not expired. */
static enum reason judge(struct explanation *ex)
{
	const struct explain_options *o = ex->o;
	const struct stored *st = &ex->stored;

	if (o->max_age.text && o->max_age.ns != DURATION_NONE &&
	    ex->now_ns - st->created_ns >= o->max_age.ns)
		return REASON_TOO_OLD;
	if (st->created_ns < ex->since_ns)
		return REASON_BEFORE;
	if (!exit_codes_have(&ex->codes, st->exit_code))
		return REASON_EXIT;
	return key_answers(&o->key, &ex->k, buf_slice(&st->key)) ? REASON_HIT
								 : REASON_DIFFERS;
}

/* At the path of the result. */
static enum reason look(struct explanation *ex)
{
	int r = stored_read(ex->entry, &ex->stored);

	if (r == 0)
		return judge(ex);
	if (r != -ENOENT)
		return REASON_OTHER;
	return ex->rv.expired_ns ? REASON_EXPIRED : REASON_ABSENT;
}

static void find_differences(struct explanation *ex)
{
	const struct key_options *o = &ex->o->key;

	if (ex->stored.path)
		ex->differences = validate_differences(
		    o, buf_slice(&ex->stored.key), buf_slice(&ex->k.text), &ex->lines);
	else
		stored_nearest(o, &ex->k, ex->entry, &ex->nearest, &ex->lines,
			       &ex->differences);
}

/* CLI_OK, or an exit code after a message: it cannot be told. */
static int find_reason(struct explanation *ex)
{
	CLEANUP_FREE char *dir = NULL;
	int r;

	if (is_disabled() || ex->o->key.validate == KEY_NEVER_USE) {
		ex->reason = is_disabled() ? REASON_DISABLED : REASON_NEVER;
		return CLI_OK;
	}
	r = cache_find_kept(ex->o->cache, &dir, &ex->trouble);
	if (r == -ENOENT || r == -ENODEV) {
		ex->reason = REASON_NO_CACHE;
		return CLI_OK;
	}
	if (r) {
		cli_error("%s", ex->trouble.text);
		return r == -EACCES || r == -EPERM ? CLI_FAILED : CLI_MOUNT;
	}
	ex->entry = path_join(dir, ex->k.path);
	reservation_read(ex->entry, true, &ex->rv);
	ex->reason = look(ex);
	if (ex->reason == REASON_ABSENT || ex->reason == REASON_DIFFERS)
		find_differences(ex);
	return CLI_OK;
}

/* ---- for people
 * --------------------------------------------------------------------------- */

static const char *span(int64_t ns, char text[DURATION_TEXT_MAX])
{
	duration_format_short(ns < 0 ? 0 : ns, text);
	return text;
}

static void put(const char *text)
{
	CLEANUP_BUF struct buf out = BUF_INIT;

	show_printable(&out, text);
	fwrite(out.data, 1, out.len, stdout);
}

static void put_hit(const struct explanation *ex)
{
	char age[DURATION_TEXT_MAX], left[DURATION_TEXT_MAX];
	const struct stored *st = &ex->stored;

	printf("hit: ");
	put(ex->k.path);
	printf(", %s old, ", span(ex->now_ns - st->created_ns, age));
	if (st->expires_ns == DURATION_NONE)
		printf("never expires\n");
	else
		printf("expires in %s\n", span(st->expires_ns - ex->now_ns, left));
}

/* Of the nearest or of what is there: the first lines. */
static void put_differences(const struct explanation *ex)
{
	const char *at = (const char *)ex->lines.data, *end = at + ex->lines.len;
	int shown = 0;

	for (const char *next; at < end && shown < LINES_SHOWN; at = next, shown++) {
		next = (const char *)memchr(at, '\n', (size_t)(end - at)) + 1;
		printf("  %.*s\n", (int)(next - 1 - at), at);
	}
	for (shown = 0; at < end; shown++)
		at = (const char *)memchr(at, '\n', (size_t)(end - at)) + 1;
	if (shown)
		printf("  and %d more\n", shown);
}

static void put_absent(const struct explanation *ex)
{
	const struct stored *st = ex->stored.path ? &ex->stored : &ex->nearest;
	char age[DURATION_TEXT_MAX];

	if (!st->path) {
		printf("nothing is stored for ");
		put(ex->k.name);
		printf("%s\n", ex->o->key.template ? " at that path" : "");
		return;
	}
	printf("%s ", ex->stored.path ? "what is stored is" : "the nearest result is");
	printf("of %s ago and differs:\n", span(ex->now_ns - st->created_ns, age));
	put_differences(ex);
}

static void put_miss(const struct explanation *ex)
{
	char a[DURATION_TEXT_MAX];
	const struct stored *st = &ex->stored;

	printf("miss: ");
	switch (ex->reason) {
	case REASON_HIT:
		break;
	case REASON_DISABLED:
		printf("MEMOFS_DISABLE is set\n");
		break;
	case REASON_NEVER:
		printf("--validate never_use\n");
		break;
	case REASON_NO_CACHE:
		put(ex->trouble.text);
		printf("\n");
		break;
	case REASON_OTHER:
		put(ex->entry);
		printf(" is no result of memofs run\n");
		break;
	case REASON_EXPIRED:
		printf("it expired %s ago\n", span(ex->now_ns - ex->rv.expired_ns, a));
		break;
	case REASON_TOO_OLD:
		printf("it is %s old, more than --max-age %s\n",
		       span(ex->now_ns - st->created_ns, a), ex->o->max_age.text);
		break;
	case REASON_BEFORE:
		printf("it was stored %s ago, before --since %s\n",
		       span(ex->now_ns - st->created_ns, a), ex->o->since);
		break;
	case REASON_EXIT:
		printf("its exit code is %d; see --cache-exit\n", st->exit_code);
		break;
	case REASON_ABSENT:
	case REASON_DIFFERS:
		put_absent(ex);
		break;
	}
}

/* Who computes it, and why the attempt before came to nothing. */
static void put_reservation(const struct explanation *ex)
{
	CLEANUP_FREE char *who = ex->rv.owner ? reservation_describe(&ex->rv) : NULL;
	char ago[DURATION_TEXT_MAX];

	if (who) {
		printf("computed now ");
		put(who);
		printf("\n");
	}
	if (ex->rv.failure) {
		printf("failed last time, %s ago: ",
		       span(ex->now_ns - ex->rv.failure_ns, ago));
		put(ex->rv.failure);
		printf("\n");
	}
}

/* ---- for programs
 * --------------------------------------------------------------------------- */

static void json_stored(struct json *js, const struct explanation *ex,
			const struct stored *st)
{
	json_seconds(js, "age", ex->now_ns - st->created_ns);
	if (st->expires_ns == DURATION_NONE)
		json_null(js, "expires_in");
	else
		json_seconds(js, "expires_in", st->expires_ns - ex->now_ns);
}

static void json_differences(struct json *js, const struct explanation *ex)
{
	const char *at = (const char *)ex->lines.data, *end = at + ex->lines.len;

	json_array(js, "differences");
	for (const char *next; at < end; at = next) {
		CLEANUP_FREE char *line = NULL;

		next = (const char *)memchr(at, '\n', (size_t)(end - at)) + 1;
		line = strndup(at, (size_t)(next - 1 - at));
		must(line ? 0 : -ENOMEM);
		json_string(js, NULL, line);
	}
	json_array_end(js);
}

static void json_reservation(struct json *js, const struct explanation *ex)
{
	if (ex->rv.owner) {
		json_object(js, "computed_by");
		json_name(js, "owner", ex->rv.owner);
		json_seconds(js, "since", ex->rv.since_ns);
		json_object_end(js);
	}
	if (ex->rv.failure) {
		json_object(js, "failed");
		json_name(js, "why", ex->rv.failure);
		json_seconds(js, "time", ex->rv.failure_ns);
		json_object_end(js);
	}
}

static void print_json(const struct explanation *ex)
{
	struct json js = JSON_INIT(stdout);

	json_object(&js, NULL);
	json_bool(&js, "hit", ex->reason == REASON_HIT);
	json_string(&js, "reason", reason_words[ex->reason]);
	json_name(&js, "name", ex->k.name);
	json_string(&js, "id", ex->k.id);
	json_name(&js, "path", ex->k.path);
	if (ex->reason == REASON_NO_CACHE)
		json_name(&js, "trouble", ex->trouble.text);
	if (ex->stored.path)
		json_stored(&js, ex, &ex->stored);
	if (ex->reason == REASON_EXPIRED)
		json_seconds(&js, "expires_in", ex->rv.expired_ns - ex->now_ns);
	if (ex->nearest.path) {
		/* It is beside ours: relative to the cache as that is. */
		CLEANUP_FREE char *parent = path_parent(ex->k.path);
		CLEANUP_FREE char *path = path_join(parent, path_base(ex->nearest.path));

		json_object(&js, "nearest");
		json_name(&js, "path", path);
		json_stored(&js, ex, &ex->nearest);
		json_object_end(&js);
	}
	if (ex->lines.len)
		json_differences(&js, ex);
	json_reservation(&js, ex);
	json_object_end(&js);
}

/* ---- the command
 * ------------------------------------------------------------------------------ */

static int parse_options(struct explanation *ex)
{
	const struct explain_options *o = ex->o;
	struct errmsg err = {""};

	ex->since_ns = INT64_MIN;
	if (o->since && timestamp_parse(o->since, strlen(o->since), &ex->since_ns)) {
		cli_error("--since: \"%s\" is no time; use e.g. 2026-11-20T15:04, or "
			  "@SECONDS",
			  o->since);
		return CLI_USAGE;
	}
	if (exit_codes_parse(o->cache_exit, &ex->codes, &err)) {
		cli_error("explain: %s", err.text);
		return CLI_USAGE;
	}
	return CLI_OK;
}

static int explain(struct explanation *ex, char **command)
{
	int status = parse_options(ex);

	if (!status)
		status = key_make_here(&ex->o->key, "explain", command, &ex->k);
	if (!status)
		status = find_reason(ex);
	if (status)
		return status;
	if (ex->o->json) {
		print_json(ex);
	} else if (ex->reason == REASON_HIT) {
		put_hit(ex);
	} else {
		put_miss(ex);
		put_reservation(ex);
	}
	return ex->reason == REASON_HIT ? CLI_OK : CLI_MISS;
}

static int run(const void *opt, char **operands, size_t n)
{
	struct explanation ex = {
	    .o = opt, .k = KEY_INIT, .now_ns = time_now_ns(), .rv = RESERVATION_INIT};
	int status;

	if (strcmp(operands[-1], "--") != 0) {
		/* Options of the command would have been taken for ours. */
		cli_error(
		    "explain: -- is missing before the command: [options] -- COMMAND");
		return CLI_USAGE;
	}
	status = explain(&ex, operands);
	explanation_deinit(&ex);
	return status;
}

const struct command cmd_explain = {
    .name = "explain",
    .args = "-- COMMAND…",
    .summary = "say whether `memofs run` would hit, and why not",
    .detail =
	"Give it the options that make the key, as to `memofs run`. The command is\n"
	"not run. When nothing is stored for it, its parts are compared with those of\n"
	"the results beside it, the newest 1,000, and it is shown how they differ from\n"
	"the nearest.\n",
    .exits = "0  it would hit\n"
	     "1  it would run\n"
	     "2  the command line is wrong\n"
	     "3  an input cannot be read, or a command of --version-from or\n"
	     "   --input-hash failed\n"
	     "4  the cache is not in a memofs mount, or the mount is dead",
    .example = "memofs explain --input data.csv -- ./report data.csv",
    .options = options,
    .options_size = sizeof(struct explain_options),
    .operands_min = 1,
    .operands_max = CLI_MANY,
    .run = run,
};
