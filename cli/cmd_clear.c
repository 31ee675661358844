/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entries are removed one by one, as rm does, a sealed tree as one. Directories that
 * are left empty go, too, but for those that carry a policy of their own: somebody
 * has set that, and wants the next results to have it.
 *
 * On a terminal everything is counted first, and the user asked. Programs are not: what
 * they call does not wait for an answer.
 */
#include <errno.h>
#include <fts.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#include "cli/attrs.h"
#include "cli/cache.h"
#include "cli/commands.h"
#include "cli/entry.h"
#include "cli/message.h"
#include "cli/paths.h"
#include "cli/show.h"
#include "cli/tree/pattern.h"
#include "cli/tree/progress.h"
#include "cli/viewpath.h"
#include "store/util/duration.h"
#include "store/util/size.h"

struct clear_options {
	const char *cache, *version;
	struct cli_list match;
	struct cli_duration older_than;
	bool dry_run, quiet, yes;
};

static const struct cli_option options[] = {
    {0, "older-than", CLI_DURATION, offsetof(struct clear_options, older_than),
     "DURATION", "only what was published longer ago", NULL},
    {'m', "match", CLI_LIST, offsetof(struct clear_options, match), "PATTERN",
     "only what matches, as in memofs save; below PATH. May be repeated", NULL},
    {'v', "version", CLI_STRING, offsetof(struct clear_options, version), "VERSION",
     "what PATH has at that version, not what is seen; '' is the unnamed one", NULL},
    {'n', "dry-run", CLI_FLAG, offsetof(struct clear_options, dry_run), NULL,
     "remove nothing, show what would be", NULL},
    {'y', "yes", CLI_FLAG, offsetof(struct clear_options, yes), NULL,
     "do not ask, on a terminal", NULL},
    {'q', "quiet", CLI_FLAG, offsetof(struct clear_options, quiet), NULL,
     "print no summary", NULL},
    {0, "cache", CLI_STRING, offsetof(struct clear_options, cache), "DIR",
     "the directory when no PATH is given (see memofs cache)", NULL},
    CLI_END,
};

/* What a walk does with what it finds. */
enum pass {
	PASS_COUNT,
	PASS_SHOW,   /* and print its name */
	PASS_REMOVE, /* and count it then */
};

struct clearing {
	const struct clear_options *opt;
	int64_t before_ns;	   /* what was published later stays */
	struct patterns *patterns; /* NULL: all */
	enum pass pass;
	size_t root_len; /* of the path that is being walked */
	uint64_t entries, bytes;
	double cost_s; /* of what is known to have cost something */
	struct progress progress;
	int status;
};

static void complain(struct clearing *c, const char *path, int err)
{
	cli_error("%s: %s", path, strerror(err));
	c->status = cli_worse(c->status, CLI_FAILED);
}

/* When it was published. -ENODATA: it has no attributes. */
static int published_ns(const char *path, int64_t *ret_ns)
{
	CLEANUP_BUF struct buf value = BUF_INIT;
	int r = attr_get(path, "created", &value);

	return r ? r : attr_seconds_parse((const char *)value.data, ret_ns);
}

static bool has_policy(const char *path)
{
	static const char *const names[] = {"ttl",     "version", "lease",     "wait",
					    "publish", "quota",	  "max-entry", "pin"};
	CLEANUP_BUF struct buf value = BUF_INIT;

	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
		buf_clear(&value);
		if (attr_get(path, names[i], &value) == 0 && value.len)
			return true;
	}
	return false;
}

/* Symlinks have no attributes: their own time is that of their publish. */
static bool is_due(const struct clearing *c, const FTSENT *e)
{
	const struct timespec *ctime = &e->fts_statp->st_ctim;
	int64_t ns;

	if (!c->opt->older_than.text)
		return true;
	if (published_ns(e->fts_accpath, &ns))
		ns = ctime->tv_sec * NSEC_PER_SEC + ctime->tv_nsec;
	return ns < c->before_ns;
}

/* Its path below the one that is walked. */
static const char *below(const struct clearing *c, const FTSENT *e)
{
	const char *path = e->fts_path + c->root_len;

	return path + strspn(path, "/");
}

static bool is_chosen(const struct clearing *c, const FTSENT *e, bool tree)
{
	return (!c->patterns || patterns_match(c->patterns, below(c, e), tree)) &&
	       is_due(c, e);
}

/* What it took to compute it, which removing it loses. */
static double cost_of(const char *path)
{
	CLEANUP_BUF struct buf value = BUF_INIT;

	return attr_get(path, "cost", &value) ? 0
					      : strtod((const char *)value.data, NULL);
}

static void take_entry(struct clearing *c, const FTSENT *e, bool tree)
{
	uint64_t size_bytes = (uint64_t)e->fts_statp->st_size;
	double cost_s;

	if (!is_chosen(c, e, tree))
		return;
	if (tree)
		size_bytes = entry_tree_size(e->fts_accpath);
	cost_s = S_ISLNK(e->fts_statp->st_mode) ? 0 : cost_of(e->fts_accpath);
	if (c->pass == PASS_SHOW) {
		CLEANUP_FREE char *shown = show_shell_new(e->fts_path);

		printf("%s\n", shown);
	} else if (c->pass == PASS_REMOVE &&
		   (tree ? rmdir(e->fts_accpath) : unlink(e->fts_accpath)) != 0) {
		if (errno != ENOENT) /* it has gone by itself */
			complain(c, e->fts_path, errno);
		return;
	}
	c->entries++;
	c->bytes += size_bytes;
	c->cost_s += cost_s;
	progress_show(&c->progress, c->entries, c->bytes);
}

/* FTSENT.fts_number of a sealed tree. */
enum { IS_TREE = 1 };

static void enter(struct clearing *c, FTS *fts, FTSENT *e)
{
	if (e->fts_level <= 0)
		return;
	if (entry_is_tree(e->fts_accpath, S_IFDIR)) {
		fts_set(fts, e, FTS_SKIP);
		e->fts_number = IS_TREE;
		take_entry(c, e, true);
	} else if (c->patterns && !patterns_reach(c->patterns, below(c, e))) {
		fts_set(fts, e, FTS_SKIP);
	}
}

/* Not the one that was named, and not what has others' entries. */
static void leave(struct clearing *c, FTSENT *e)
{
	/* A tree that stays would go as a whole: what is skipped is left, too. */
	if (e->fts_number == IS_TREE || e->fts_level <= 0 || c->pass != PASS_REMOVE)
		return;
	/* Of what is chosen by patterns empty directories are no part. */
	if (c->patterns && !patterns_reach(c->patterns, below(c, e)))
		return;
	if (!has_policy(e->fts_accpath) && rmdir(e->fts_accpath) && errno != ENOTEMPTY &&
	    errno != ENOENT)
		complain(c, e->fts_path, errno);
}

static void visit(struct clearing *c, FTS *fts, FTSENT *e)
{
	switch (e->fts_info) {
	case FTS_D:
		enter(c, fts, e);
		break;
	case FTS_DP:
		leave(c, e);
		break;
	case FTS_DNR:
	case FTS_ERR:
	case FTS_NS:
		if (e->fts_errno != ENOENT)
			complain(c, e->fts_path, e->fts_errno);
		break;
	default:
		take_entry(c, e, false);
	}
}

static void walk(struct clearing *c, const char *path)
{
	char *const paths[] = {(char *)path, NULL};
	/* A symlink that was named stands for its directory; others are entries. */
	FTS *fts = fts_open(paths, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_XDEV, NULL);
	FTSENT *e;

	if (!fts) {
		complain(c, path, errno);
		return;
	}
	c->root_len = strlen(path);
	while ((errno = 0, e = fts_read(fts)))
		visit(c, fts, e);
	if (errno)
		complain(c, path, errno);
	fts_close(fts);
}

/* ---- what is named
 * --------------------------------------------------------------------- */

/* PATH itself, or at the version that was given. NULL after a message. */
static char *place_new(struct clearing *c, const char *path)
{
	CLEANUP_BUF struct buf view = BUF_INIT;
	CLEANUP_FREE char *inside = NULL;
	struct stat st;
	char *place;

	if (!c->opt->version)
		return xstrdup(path);
	inside = path_join(path, "."); /* the view of the directory, not of its name */
	view_option(&view, "version", c->opt->version);
	place = view_path(inside, &view);
	place[strlen(place) - 2] = '\0';
	if (stat(place, &st) == 0)
		return place;
	cli_error("%s: \"%s\" is not a version it can have: %s", path, c->opt->version,
		  strerror(errno));
	c->status = cli_worse(c->status, CLI_FAILED);
	free(place);
	return NULL;
}

/* True: it is a directory in a mount; or after a message. */
static bool check_operand(struct clearing *c, const char *path)
{
	int status = path_check_inside(path);
	struct stat st;

	if (status) {
		c->status = cli_worse(c->status, status);
	} else if (stat(path, &st)) {
		complain(c, path, errno);
	} else if (!S_ISDIR(st.st_mode)) {
		cli_error("%s is no directory; memofs rm removes an entry", path);
		c->status = cli_worse(c->status, CLI_FAILED);
	} else {
		return true;
	}
	return false;
}

static void summarise(const struct clearing *c, const char *verb)
{
	char size[SIZE_TEXT_MAX], cost[DURATION_TEXT_MAX];

	size_format(c->bytes, size);
	printf("%s %" PRIu64 " %s, %s", verb, c->entries,
	       c->entries == 1 ? "entry" : "entries", size);
	if (c->cost_s >= 1) { /* everything has taken a moment */
		/* More is as good as this, and fits. */
		double s = c->cost_s < 1e9 ? c->cost_s : 1e9;

		duration_format_short((int64_t)(s * (double)NSEC_PER_SEC), cost);
		printf(", %s of computing", cost);
	}
	printf("\n");
}

/* ---- the walks
 * ---------------------------------------------------------------------------- */

static void pass(struct clearing *c, enum pass what, char *const *places, size_t n,
		 uint64_t total)
{
	static const char *const verbs[] = {
	    [PASS_COUNT] = "counting", [PASS_SHOW] = "", [PASS_REMOVE] = "removing"};

	c->pass = what;
	c->entries = c->bytes = 0;
	c->cost_s = 0;
	progress_begin(&c->progress, verbs[what], "entries", total, 0,
		       c->opt->quiet || what == PASS_SHOW);
	for (size_t i = 0; i < n; i++)
		walk(c, places[i]);
	progress_end(&c->progress);
}

/* Of who sits there. What has been typed ahead is no answer to this. */
static bool ask(const struct clearing *c)
{
	char answer[16];

	tcflush(STDIN_FILENO, TCIFLUSH);
	summarise(c, "this would remove");
	printf("Remove? [y/N] ");
	fflush(stdout);
	return fgets(answer, sizeof(answer), stdin) && (*answer == 'y' || *answer == 'Y');
}

static bool is_interactive(void)
{
	return isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) && isatty(STDERR_FILENO);
}

static void clear(struct clearing *c, char *const *places, size_t n)
{
	uint64_t counted = 0;

	if (c->opt->dry_run) {
		pass(c, PASS_SHOW, places, n, 0);
	} else if (!c->opt->yes && is_interactive()) {
		pass(c, PASS_COUNT, places, n, 0);
		counted = c->entries;
		if (counted && !ask(c)) {
			printf("nothing was removed\n");
			return;
		}
	}
	if (!c->opt->dry_run)
		pass(c, PASS_REMOVE, places, n, counted);
	if (!c->opt->quiet)
		summarise(c, c->opt->dry_run ? "would remove" : "removed");
}

/* ---- the command
 * --------------------------------------------------------------------------- */

static int find_default(const struct clearing *c, char **ret_dir)
{
	struct errmsg err;
	int r = cache_find(c->opt->cache, true, ret_dir, &err);

	if (!r)
		return CLI_OK;
	cli_error("%s", err.text);
	return CLI_MOUNT;
}

static int clear_operands(struct clearing *c, char **operands, size_t n)
{
	char **places = xcalloc(n, sizeof(*places));
	size_t found = 0;

	for (size_t i = 0; i < n; i++)
		if (check_operand(c, operands[i]) &&
		    (places[found] = place_new(c, operands[i])))
			found++;
	if (found)
		clear(c, places, found);
	for (size_t i = 0; i < found; i++)
		free(places[i]);
	free(places);
	return c->status;
}

static int prepare(struct clearing *c)
{
	const struct clear_options *o = c->opt;
	struct errmsg err;

	if (o->older_than.text)
		c->before_ns = o->older_than.ns == DURATION_NONE
				   ? INT64_MIN
				   : time_now_ns() - o->older_than.ns;
	if (o->match.len &&
	    patterns_new(o->match.item, o->match.len, &c->patterns, &err)) {
		cli_error("clear: --match: %s", err.text);
		return CLI_USAGE;
	}
	return CLI_OK;
}

static int run(const void *opt, char **operands, size_t n)
{
	CLEANUP_FREE char *found = NULL;
	struct clearing c = {.opt = opt};
	int status = prepare(&c);

	if (!status && !n) {
		status = find_default(&c, &found);
		operands = &found;
		n = 1;
	}
	if (!status)
		status = clear_operands(&c, operands, n);
	patterns_free(c.patterns);
	return status;
}

const struct command cmd_clear = {
    .name = "clear",
    .args = "[PATH…]",
    .summary = "remove the results in a directory",
    .detail =
	"Without PATH, those in the default directory (memofs cache). Directories\n"
	"that are empty afterwards go as well, but for PATH itself and for those\n"
	"with a policy of their own. Other versions of a directory stay.\n"
	"\n"
	"On a terminal it counts first, and asks: how many entries, how large, and how\n"
	"long they took to compute. What has expired is gone already; memofs gc frees\n"
	"what it takes.\n",
    .exits = "0  removed\n"
	     "2  the command line is wrong\n"
	     "3  something could not be removed\n"
	     "4  a path is not in a memofs mount, or the mount is dead",
    .example = "memofs clear --dry-run --older-than 7d --match 'build/**'",
    .options = options,
    .options_size = sizeof(struct clear_options),
    .operands_max = CLI_MANY,
    .run = run,
};
