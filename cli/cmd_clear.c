/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entries are removed one by one, as rm does, a sealed tree as one. Directories that
 * are left empty go, too, but for those that carry a policy of their own: somebody
 * has set that, and wants the next results to have it.
 */
#include <errno.h>
#include <fts.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/attrs.h"
#include "cli/cache.h"
#include "cli/commands.h"
#include "cli/entry.h"
#include "cli/message.h"
#include "cli/paths.h"
#include "cli/show.h"
#include "store/util/duration.h"
#include "store/util/size.h"

struct clear_options {
	const char *cache;
	struct cli_duration older_than;
	bool dry_run, quiet;
};

static const struct cli_option options[] = {
    {0, "older-than", CLI_DURATION, offsetof(struct clear_options, older_than),
     "DURATION", "only what was published longer ago", NULL},
    {'n', "dry-run", CLI_FLAG, offsetof(struct clear_options, dry_run), NULL,
     "remove nothing, show what would be", NULL},
    {'q', "quiet", CLI_FLAG, offsetof(struct clear_options, quiet), NULL,
     "print no summary", NULL},
    {0, "cache", CLI_STRING, offsetof(struct clear_options, cache), "DIR",
     "the directory when no PATH is given (see memofs cache)", NULL},
    CLI_END,
};

struct clearing {
	const struct clear_options *opt;
	int64_t before_ns; /* what was published later stays */
	uint64_t entries, bytes;
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
	static const char *const names[] = {"ttl", "version", "lease", "wait", "publish"};
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

static void remove_entry(struct clearing *c, const FTSENT *e, bool tree)
{
	uint64_t size_bytes = (uint64_t)e->fts_statp->st_size;

	if (!is_due(c, e))
		return;
	if (tree)
		size_bytes = entry_tree_size(e->fts_accpath);
	if (c->opt->dry_run) {
		CLEANUP_FREE char *shown = show_shell_new(e->fts_path);

		printf("%s\n", shown);
	} else if ((tree ? rmdir(e->fts_accpath) : unlink(e->fts_accpath)) != 0) {
		if (errno != ENOENT) /* it has gone by itself */
			complain(c, e->fts_path, errno);
		return;
	}
	c->entries++;
	c->bytes += size_bytes;
}

/* FTSENT.fts_number of a sealed tree. */
enum { IS_TREE = 1 };

static void visit(struct clearing *c, FTS *fts, FTSENT *e)
{
	switch (e->fts_info) {
	case FTS_D:
		if (e->fts_level > 0 && entry_is_tree(e->fts_accpath, S_IFDIR)) {
			fts_set(fts, e, FTS_SKIP);
			e->fts_number = IS_TREE;
			remove_entry(c, e, true);
		}
		break;
	case FTS_DP:
		/* A tree that stays would go as a whole: what is skipped is left, too. */
		if (e->fts_number == IS_TREE)
			break;
		/* Not the one that was named, and not what has others' entries. */
		if (e->fts_level > 0 && !c->opt->dry_run && !has_policy(e->fts_accpath) &&
		    rmdir(e->fts_accpath) && errno != ENOTEMPTY && errno != ENOENT)
			complain(c, e->fts_path, errno);
		break;
	case FTS_DNR:
	case FTS_ERR:
	case FTS_NS:
		if (e->fts_errno != ENOENT)
			complain(c, e->fts_path, e->fts_errno);
		break;
	default:
		remove_entry(c, e, false);
	}
}

static void clear_below(struct clearing *c, const char *path)
{
	char *const paths[] = {(char *)path, NULL};
	/* A symlink that was named stands for its directory; others are entries. */
	FTS *fts = fts_open(paths, FTS_PHYSICAL | FTS_COMFOLLOW | FTS_XDEV, NULL);
	FTSENT *e;

	if (!fts) {
		complain(c, path, errno);
		return;
	}
	while ((errno = 0, e = fts_read(fts)))
		visit(c, fts, e);
	if (errno)
		complain(c, path, errno);
	fts_close(fts);
}

static void clear_operand(struct clearing *c, const char *path)
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
		clear_below(c, path);
	}
}

static int clear_default(struct clearing *c)
{
	CLEANUP_FREE char *dir = NULL;
	struct errmsg err;
	int r = cache_find(c->opt->cache, true, &dir, &err);

	if (r) {
		cli_error("%s", err.text);
		return CLI_MOUNT;
	}
	clear_below(c, dir);
	return c->status;
}

static void summarise(const struct clearing *c)
{
	char size[SIZE_TEXT_MAX];

	size_format(c->bytes, size);
	printf("%s %" PRIu64 " %s, %s\n", c->opt->dry_run ? "would remove" : "removed",
	       c->entries, c->entries == 1 ? "entry" : "entries", size);
}

static int run(const void *opt, char **operands, size_t n)
{
	const struct clear_options *o = opt;
	struct clearing c = {.opt = o};

	if (o->older_than.text)
		c.before_ns = o->older_than.ns == DURATION_NONE
				  ? INT64_MIN
				  : time_now_ns() - o->older_than.ns;
	for (size_t i = 0; i < n; i++)
		clear_operand(&c, operands[i]);
	if (!n)
		c.status = clear_default(&c);
	if (!o->quiet && c.status != CLI_MOUNT)
		summarise(&c);
	return c.status;
}

const struct command cmd_clear = {
    .name = "clear",
    .args = "[PATH…]",
    .summary = "remove the results in a directory",
    .detail = "Without PATH, those in the default directory (memofs cache). Directories\n"
	      "that are empty afterwards go as well, but for PATH itself and for those\n"
	      "with a policy of their own. Other versions of a directory stay.\n",
    .exits = "0  removed\n"
	     "2  the command line is wrong\n"
	     "3  something could not be removed\n"
	     "4  a path is not in a memofs mount, or the mount is dead",
    .example = "memofs clear --dry-run --older-than 7d",
    .options = options,
    .options_size = sizeof(struct clear_options),
    .operands_max = CLI_MANY,
    .run = run,
};
