/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/attrs.h"
#include "cli/cache.h"
#include "cli/commands.h"
#include "cli/message.h"
#include "cli/paths.h"
#include "cli/reservation.h"
#include "cli/show.h"
#include "cli/tree/exact.h"
#include "cli/tree/link.h"
#include "cli/tree/packread.h"
#include "cli/tree/progress.h"
#include "cli/viewpath.h"
#include "cli/waiting.h"
#include "store/util/duration.h"
#include "store/util/timestamp.h"

/* A link to what ends so soon is worth a word. */
#define SOON_NS (60 * 60 * NSEC_PER_SEC)

struct restore_options {
	const char *directory, *cache, *since;
	struct cli_duration max_age, wait;
	int mtime; /* enum extract_mtime */
	bool exact, link, force, list, stale, quiet;
};

static const char *const mtimes[] = {"keep", "now", NULL};

static const struct cli_option options[] = {
    {'C', "directory", CLI_STRING, offsetof(struct restore_options, directory), "DIR",
     "restore into DIR (the current directory)", NULL},
    {'e', "exact", CLI_FLAG, offsetof(struct restore_options, exact), NULL,
     "remove what was not saved, where files were saved", NULL},
    {'l', "link", CLI_FLAG, offsetof(struct restore_options, link), NULL,
     "make symlinks into the mount, copy nothing", NULL},
    {'f', "force", CLI_FLAG, offsetof(struct restore_options, force), NULL,
     "with --link: replace directories and files", NULL},
    {0, "list", CLI_FLAG, offsetof(struct restore_options, list), NULL,
     "print the names in it, restore nothing", NULL},
    {0, "mtime", CLI_CHOICE, offsetof(struct restore_options, mtime), "WHEN",
     "times of what is written: as they were (keep), or now", mtimes},
    {'a', "max-age", CLI_DURATION, offsetof(struct restore_options, max_age), "DURATION",
     "an older one is a miss", NULL},
    {0, "since", CLI_STRING, offsetof(struct restore_options, since), "TIME",
     "one that was stored before TIME is a miss", NULL},
    {0, "stale", CLI_FLAG, offsetof(struct restore_options, stale), NULL,
     "an expired one, too, while another makes it anew", NULL},
    {'w', "wait", CLI_WAIT, offsetof(struct restore_options, wait), "DURATION",
     "while another makes it, wait (the policy `wait`)", NULL},
    {0, "cache", CLI_STRING, offsetof(struct restore_options, cache), "CACHE",
     "the directory of a mount that KEY is in", NULL},
    {'q', "quiet", CLI_FLAG, offsetof(struct restore_options, quiet), NULL,
     "say nothing but errors", NULL},
    CLI_END,
};

struct restoring {
	const struct restore_options *opt;
	const char *key;
	char *entry; /* its path in the mount */
	int fd;	     /* the pack */
	struct packread pack;
	struct patterns *only;	/* the operands; NULL: none */
	struct patterns *saved; /* NULL: not needed */
	int dirfd;
	int64_t begun_ns;
	uint64_t removed;
	struct exact_found found; /* --exact */
};

/* ---- signals ------------------------------------------------------------------------
 */

static atomic_int stopped; /* by which signal; 0: by none */

static void stop(int sig)
{
	stopped = sig;
}

/* The first one ends the work in order, a second one ends it at once. */
static void catch_signals(void)
{
	static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
	struct sigaction sa = {.sa_handler = stop, .sa_flags = SA_RESETHAND}, old;

	for (size_t i = 0; i < sizeof(signals) / sizeof(*signals); i++) {
		if (sigaction(signals[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
			sigaction(signals[i], &sa, NULL);
	}
}

static int die_of_signal(void)
{
	signal(stopped, SIG_DFL);
	raise(stopped);
	return 128 + stopped;
}

static int failed(const struct restoring *rs, const struct errmsg *err)
{
	if (stopped)
		return die_of_signal();
	cli_error("%s: %s", rs->key, err->text);
	return CLI_FAILED;
}

/* ---- the tree ------------------------------------------------------------------------
 */

static char *view_of(const struct restoring *rs, const struct waiting *w)
{
	const struct restore_options *o = rs->opt;
	CLEANUP_BUF struct buf list = BUF_INIT;
	char age[DURATION_TEXT_MAX];

	view_option(&list, "pack", NULL);
	if (o->max_age.text) {
		duration_format(o->max_age.ns, age);
		view_option(&list, "max-age", age);
	}
	if (o->since)
		view_option(&list, "since", o->since);
	if (o->stale)
		view_option(&list, "stale", NULL);
	if (o->wait.text)
		waiting_option(w, &list);
	return view_path(rs->entry, &list);
}

/* One open is one generation, whatever is published meanwhile. */
static int open_view(const struct restoring *rs)
{
	struct waiting w = waiting_begin(&rs->opt->wait);
	int fd;

	do {
		CLEANUP_FREE char *view = view_of(rs, &w);

		fd = open(view, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	} while (fd < 0 && errno == EINTR && !stopped);
	return fd < 0 ? -errno : fd;
}

static int open_tree(struct restoring *rs)
{
	struct errmsg err;
	int r;

	rs->fd = open_view(rs);
	if (rs->fd == -ENOENT || rs->fd == -ENOTDIR) {
		cli_error("%s: a miss; nothing was restored", rs->key);
		return CLI_MISS;
	}
	if (rs->fd == -ETIMEDOUT) {
		reservation_say_held(rs->entry);
		return CLI_HELD;
	}
	if (rs->fd < 0) {
		err_set(&err, -rs->fd, "%s", strerror(-rs->fd));
		return failed(rs, &err);
	}
	r = packread_open(rs->fd, &rs->pack, &err);
	if (r == -EBADMSG) {
		cli_error("%s: no sealed tree, as memofs save stores it: %s", rs->key,
			  err.text);
		return CLI_FAILED;
	}
	return r ? failed(rs, &err) : CLI_OK;
}

static bool is_chosen(const struct restoring *rs, const char *path,
		      const struct pack_entry *e)
{
	return !rs->only || patterns_match(rs->only, path, e->type == PACK_DIR);
}

/* Every pattern must mean something, before anything is changed. */
static int check_patterns(const struct restoring *rs)
{
	const struct pack *p = &rs->pack.pack;
	const char *unused;
	struct pack_entry e;

	if (!rs->only)
		return CLI_OK;
	for (uint32_t i = 1; i < pack_entries(p); i++) {
		CLEANUP_BUF struct buf path = BUF_INIT;

		must(pack_path(p, i, &path));
		must(buf_append(&path, "", 1));
		pack_get(p, i, &e);
		is_chosen(rs, (char *)path.data, &e);
	}
	unused = patterns_unused(rs->only);
	if (!unused)
		return CLI_OK;
	cli_error("%s: nothing in it matches \"%s\"; --list prints its names", rs->key,
		  unused);
	return CLI_FAILED;
}

static int list_names(const struct restoring *rs)
{
	const struct pack *p = &rs->pack.pack;
	struct pack_entry e;
	uint32_t i = 0;

	while ((i = packread_next(p, 0, i))) {
		CLEANUP_BUF struct buf path = BUF_INIT;
		CLEANUP_FREE char *shown = NULL;

		must(pack_path(p, i, &path));
		must(buf_append(&path, "", 1));
		pack_get(p, i, &e);
		if (!is_chosen(rs, (char *)path.data, &e))
			continue;
		shown = show_shell_new((char *)path.data);
		printf("%s%s\n", shown, e.type == PACK_DIR ? "/" : "");
	}
	return CLI_OK;
}

/* ---- links ---------------------------------------------------------------------------
 */

/* How long it is good for; DURATION_NONE, also when that cannot be told. */
static int64_t left_ns(const struct restoring *rs)
{
	CLEANUP_BUF struct buf value = BUF_INIT;
	int64_t expires_ns;

	if (attr_get(rs->entry, "expires", &value) ||
	    attr_seconds_parse((const char *)value.data, &expires_ns) ||
	    expires_ns == DURATION_NONE)
		return DURATION_NONE;
	return expires_ns - time_now_ns();
}

static int make_links(struct restoring *rs)
{
	const struct restore_options *o = rs->opt;
	char text[DURATION_TEXT_MAX];
	struct errmsg err;
	uint64_t made;
	int64_t ns;

	if (link_tree(&rs->pack.pack, rs->entry, rs->dirfd, o->force || o->exact, &made,
		      &err))
		return failed(rs, &err);
	ns = left_ns(rs);
	duration_format_short(ns, text);
	if (ns < SOON_NS)
		cli_error("%s: expires in %s; then the symlinks lead nowhere", rs->key,
			  text);
	if (!o->quiet)
		printf("linked %s: %" PRIu64 " name%s in %s, expires %s%s\n", rs->key,
		       made, made == 1 ? "" : "s", rs->entry,
		       ns == DURATION_NONE ? "" : "in ", text);
	return CLI_OK;
}

/* ---- files
 * ----------------------------------------------------------------------------- */

static void totals(const struct restoring *rs, uint64_t *ret_files, uint64_t *ret_bytes)
{
	const struct pack *p = &rs->pack.pack;
	struct pack_entry e;

	*ret_files = *ret_bytes = 0;
	for (uint32_t i = 1; i < pack_entries(p); i++) {
		pack_get(p, i, &e);
		*ret_files += e.type != PACK_DIR;
		*ret_bytes += e.type == PACK_FILE ? e.size_bytes : 0;
	}
}

static void say_restored(const struct restoring *rs, const struct extract_report *report)
{
	char all[PROGRESS_AMOUNT_MAX], written[PROGRESS_COUNT_MAX],
	    removed[PROGRESS_COUNT_MAX];
	double seconds =
	    (double)(time_monotonic_ns() - rs->begun_ns) / (double)NSEC_PER_SEC;

	if (rs->opt->quiet)
		return;
	printf("restored %s: %s (", rs->key,
	       progress_amount(report->written_files + report->kept_files,
			       report->written_bytes + report->kept_bytes, all));
	if (!report->kept_files)
		printf("all written");
	else if (!report->written_files)
		printf("all there already");
	else
		printf("%s written, the rest was there",
		       progress_count(report->written_files, written));
	if (rs->removed)
		printf(", %s removed", progress_count(rs->removed, removed));
	printf(") in %.1fs\n", seconds);
}

static int extract(struct restoring *rs, struct filehash *fh)
{
	struct progress progress;
	struct extract how = {
	    .mtime = rs->opt->mtime == 1 ? EXTRACT_MTIME_NOW : EXTRACT_MTIME_KEEP,
	    .fh = fh,
	    .only = rs->only,
	    .chosen = rs->saved,
	    .seen = rs->found.by_entry,
	    .progress = progress_show,
	    .arg = &progress,
	    .stop = &stopped,
	};
	struct extract_report report;
	uint64_t files, bytes;
	struct errmsg err;
	int r;

	totals(rs, &files, &bytes);
	if (rs->only) /* a part of them */
		files = bytes = 0;
	progress_begin(&progress, "restoring", rs->key, files, bytes, rs->opt->quiet);
	r = packread_extract(&rs->pack, "", rs->dirfd, &how, &report, &err);
	progress_end(&progress);
	if (r)
		return failed(rs, &err);
	say_restored(rs, &report);
	return CLI_OK;
}

static int write_files(struct restoring *rs)
{
	struct filehash *fh;
	struct errmsg err;
	int r = exact_patterns(&rs->pack.pack, &rs->saved, &err), status;

	if (r && r != -ENOENT) /* an empty tree has none */
		return failed(rs, &err);
	if (rs->opt->exact && rs->saved &&
	    exact_remove(rs->dirfd, &rs->pack.pack, rs->saved, rs->only, &rs->removed,
			 &rs->found, &err))
		return failed(rs, &err);
	must(filehash_open(rs->dirfd, &fh));
	status = extract(rs, fh);
	filehash_close(fh);
	return status;
}

/* ---- the command
 * ------------------------------------------------------------------------ */

static int restore(struct restoring *rs)
{
	const char *dir = rs->opt->directory ? rs->opt->directory : ".";
	int status = open_tree(rs);

	if (!status)
		status = check_patterns(rs);
	if (status)
		return status;
	if (rs->opt->list)
		return list_names(rs);
	rs->dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (rs->dirfd < 0) {
		cli_error("%s: %s; nothing was restored", dir, strerror(errno));
		return CLI_FAILED;
	}
	return rs->opt->link ? make_links(rs) : write_files(rs);
}

static int check(const struct restore_options *o, char **operands, size_t n)
{
	int64_t since_ns;
	struct errmsg err;

	if (cache_check_key(operands[0], &err))
		cli_error("restore: %s", err.text);
	else if (o->link && n > 1)
		cli_error(
		    "restore: --link makes symlinks to the whole tree; leave \"%s\" "
		    "out",
		    operands[1]);
	else if (o->force && !o->link)
		cli_error("restore: --force goes with --link");
	else if (o->list && (o->link || o->exact))
		cli_error("restore: --list restores nothing; leave --%s out",
			  o->link ? "link" : "exact");
	else if (o->since && timestamp_parse(o->since, strlen(o->since), &since_ns))
		cli_error("--since: \"%s\" is not a time; use e.g. 2026-11-20T15:04, "
			  "@1795532640",
			  o->since);
	else
		return CLI_OK;
	return CLI_USAGE;
}

static int find_entry(struct restoring *rs)
{
	struct errmsg err;
	int r = cache_entry(rs->opt->cache, rs->key, true, &rs->entry, &err);

	if (!r)
		return CLI_OK;
	cli_error("%s", err.text);
	return r == -EACCES || r == -EPERM ? CLI_FAILED : CLI_MOUNT;
}

static int run(const void *opt, char **operands, size_t n)
{
	struct restoring rs = {
	    .opt = opt,
	    .key = operands[0],
	    .fd = -1,
	    .pack = PACKREAD_INIT,
	    .dirfd = -1,
	    .found = EXACT_FOUND_INIT,
	    .begun_ns = time_monotonic_ns(),
	};
	struct errmsg err;
	int status = check(opt, operands, n);

	if (!status && n > 1 &&
	    patterns_new((const char *const *)operands + 1, n - 1, &rs.only, &err)) {
		cli_error("restore: %s", err.text);
		status = CLI_USAGE;
	}
	if (!status)
		status = find_entry(&rs);
	if (!status) {
		catch_signals();
		status = restore(&rs);
	}
	exact_found_deinit(&rs.found);
	packread_deinit(&rs.pack);
	patterns_free(rs.only);
	patterns_free(rs.saved);
	close_fdp(&rs.fd);
	close_fdp(&rs.dirfd);
	free(rs.entry);
	return status;
}

const struct command cmd_restore = {
    .name = "restore",
    .args = "KEY [PATTERN…]",
    .summary = "put a saved tree back, or link to it where it is",
    .detail =
	"What is there already and equal is not written again; what differs is\n"
	"replaced, each file at once, so that no open file and no hard link changes.\n"
	"Files that were not saved stay, unless --exact is given. With PATTERN, only\n"
	"what matches; patterns are those of memofs save.\n"
	"\n"
	"An absolute KEY is a path in a mount; so is a relative one when the current\n"
	"directory is in a mount. Else KEY is in the directory given by --cache, by\n"
	"MEMOFS_CACHE, or in your own mount, which is mounted when it is not.\n"
	"\n"
	"With --link nothing is copied: programs read in the mount, read-only, and\n"
	"what is published at KEY later, and its end, is seen at once.\n",
    .exits = "0  restored\n"
	     "1  a miss: absent, expired, too old or of another version\n"
	     "2  the command line is wrong\n"
	     "3  failed: not permitted, no space, damaged, no tree; a PATTERN that\n"
	     "   matches nothing; --link: something is in the way\n"
	     "4  KEY is not in a memofs mount, or the mount is dead\n"
	     "5  --wait: it is still being made; the time was over",
    .example = "memofs restore deps/$(sha256sum <package-lock.json | cut -c -16) ||\n"
	       "    npm ci",
    .options = options,
    .options_size = sizeof(struct restore_options),
    .operands_min = 1,
    .operands_max = CLI_MANY,
    .run = run,
};
