/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/attrs.h"
#include "cli/cache.h"
#include "cli/commands.h"
#include "cli/json.h"
#include "cli/message.h"
#include "cli/paths.h"
#include "cli/tree/packwrite.h"
#include "cli/tree/progress.h"
#include "cli/tree/stored.h"
#include "cli/viewpath.h"
#include "store/util/duration.h"

struct save_options {
	const char *directory, *cache, *cost;
	struct cli_duration ttl;
	bool force, if_missing, allow_empty, skip_special, fsync, quiet, json;
};

static const struct cli_option options[] = {
    {'C', "directory", CLI_STRING, offsetof(struct save_options, directory), "DIR",
     "PATTERNs are of what is in DIR (the current directory)", NULL},
    {'t', "ttl", CLI_DURATION, offsetof(struct save_options, ttl), "DURATION",
     "a hit for so long from now: 90s, 1h30m, PT1H, none", NULL},
    {0, "cost", CLI_STRING, offsetof(struct save_options, cost), "SECONDS",
     "what it took to make the files", NULL},
    {'f', "force", CLI_FLAG, offsetof(struct save_options, force), NULL,
     "store it also when the same is stored already", NULL},
    {'m', "if-missing", CLI_FLAG, offsetof(struct save_options, if_missing), NULL,
     "do nothing when KEY is there, or being stored", NULL},
    {0, "allow-empty", CLI_FLAG, offsetof(struct save_options, allow_empty), NULL,
     "let a PATTERN match nothing", NULL},
    {0, "skip-special", CLI_FLAG, offsetof(struct save_options, skip_special), NULL,
     "leave sockets, fifos and devices out", NULL},
    {0, "fsync", CLI_FLAG, offsetof(struct save_options, fsync), NULL,
     "return when it would survive a loss of power", NULL},
    {0, "cache", CLI_STRING, offsetof(struct save_options, cache), "CACHE",
     "the directory of a mount that KEY is in", NULL},
    {'q', "quiet", CLI_FLAG, offsetof(struct save_options, quiet), NULL,
     "say nothing but errors", NULL},
    {'j', "json", CLI_FLAG, offsetof(struct save_options, json), NULL,
     "say what was done as an object", NULL},
    CLI_END,
};

struct saving {
	const struct save_options *opt;
	const char *key;
	char *entry; /* its path in the mount */
	char *view;  /* the same, as a pack */
	struct patterns *patterns;
	struct buf meta; /* the patterns, a line each, for restore --exact */
	int dirfd;
	struct tree_items items;
	uint64_t files, bytes; /* of the items */
	struct filehash *fh;
	int64_t begun_ns;
};

static int failed(const struct saving *sv, const char *why)
{
	cli_error("%s: %s; nothing was saved", sv->key, why);
	return CLI_FAILED;
}

/* ---- what it says ---- */

static void say_json(const struct saving *sv, const char *done)
{
	struct json js = JSON_INIT(stdout);

	json_object(&js, NULL);
	json_name(&js, "key", sv->key);
	json_name(&js, "path", sv->entry);
	json_string(&js, "done", done);
	json_uint(&js, "files", sv->files);
	json_uint(&js, "bytes", sv->bytes);
	json_seconds(&js, "seconds", time_monotonic_ns() - sv->begun_ns);
	json_object_end(&js);
}

static int say(const struct saving *sv, const char *done)
{
	double seconds =
	    (double)(time_monotonic_ns() - sv->begun_ns) / (double)NSEC_PER_SEC;
	char amount[PROGRESS_AMOUNT_MAX];

	if (sv->opt->json)
		say_json(sv, done);
	else if (!sv->opt->quiet)
		printf("%s %s: %s (%.1fs)\n", done, sv->key,
		       progress_amount(sv->files, sv->bytes, amount), seconds);
	return CLI_OK;
}

static int say_present(const struct saving *sv)
{
	if (sv->opt->json)
		say_json(sv, "present");
	else if (!sv->opt->quiet)
		printf("present %s: nothing was saved\n", sv->key);
	return CLI_OK;
}

/* ---- what is to be saved ---- */

static int walk(struct saving *sv, struct errmsg *err)
{
	CLEANUP_FREE char *skipped = NULL;
	int r;

	if (!sv->opt->skip_special)
		return tree_walk(sv->dirfd, sv->patterns, &sv->items, err);
	r = tree_walk_skipping(sv->dirfd, sv->patterns, &sv->items, &skipped, err);
	if (!r && skipped && !sv->opt->quiet)
		cli_error("%s: \"%s\" is left out: a socket, fifo or device", sv->key,
			  skipped);
	return r;
}

static int find_files(struct saving *sv)
{
	const char *dir = sv->opt->directory ? sv->opt->directory : ".", *unused;
	struct errmsg err;
	int r;

	sv->dirfd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (sv->dirfd < 0) {
		cli_error("%s: %s; nothing was saved", dir, strerror(errno));
		return CLI_FAILED;
	}
	r = walk(sv, &err);
	if (r == -EINVAL)
		cli_error("%s: %s; --skip-special leaves those out; nothing was saved",
			  sv->key, err.text);
	if (r)
		return r == -EINVAL ? CLI_FAILED : failed(sv, err.text);
	unused = patterns_unused(sv->patterns);
	if (unused && !sv->opt->allow_empty) {
		cli_error("%s: nothing in %s matches \"%s\"; nothing was saved "
			  "(--allow-empty saves all the same)",
			  sv->key, sv->opt->directory ? dir : "the current directory",
			  unused);
		return CLI_FAILED;
	}
	for (size_t i = 0; i < sv->items.n; i++) {
		const struct stat *st = &sv->items.list[i].st;

		sv->files += !S_ISDIR(st->st_mode);
		sv->bytes += S_ISREG(st->st_mode) ? (uint64_t)st->st_size : 0;
	}
	return CLI_OK;
}

/* ---- unchanged ---- */

/* A ttl counts from when the tree was stored: make up for its age. */
static int renew_ttl(const struct saving *sv)
{
	CLEANUP_BUF struct buf value = BUF_INIT;
	int64_t ttl_ns = sv->opt->ttl.ns, created_ns, age_ns;
	char text[DURATION_TEXT_MAX];
	int r = 0;

	if (ttl_ns != DURATION_NONE) {
		r = attr_get(sv->entry, "created", &value);
		if (!r)
			r = attr_seconds_parse((const char *)value.data, &created_ns);
		if (r)
			return r;
		age_ns = time_now_ns() - created_ns;
		ttl_ns =
		    age_ns > 0 && ttl_ns < INT64_MAX - age_ns ? ttl_ns + age_ns : ttl_ns;
	}
	duration_format(ttl_ns, text);
	return attr_set(sv->entry, "ttl", text);
}

static int keep_stored(const struct saving *sv)
{
	int r = sv->opt->ttl.text ? renew_ttl(sv) : 0;

	if (!r && sv->opt->cost)
		r = attr_set(sv->entry, "cost", sv->opt->cost);
	if (r) {
		cli_error("%s: it is stored already, but its ttl or cost cannot be set: "
			  "%s; --force stores it anew",
			  sv->key, strerror(-r));
		return CLI_FAILED;
	}
	return say(sv, "unchanged");
}

/* Is there one, and is it what would be stored? */
static int look_at_stored(struct saving *sv, bool *ret_same)
{
	CLEANUP_FD int fd = open(sv->view, O_RDONLY | O_CLOEXEC);
	struct errmsg err;

	*ret_same = false;
	if (fd < 0)
		return CLI_OK;
	if (stored_same(fd, &sv->items, sv->dirfd, buf_slice(&sv->meta), sv->fh, ret_same,
			&err))
		return failed(sv, err.text);
	return CLI_OK;
}

/* ---- storing ---- */

static int cannot_store(const struct saving *sv, int r)
{
	if (r == -EISDIR)
		return failed(sv, "a directory that is no tree has this name");
	if (r == -EBADMSG)
		return failed(sv, "the mount refused what was written; its log says why");
	if (r == -ESTALE)
		return failed(sv, "its reservation was lost");
	return failed(sv, strerror(-r));
}

static int open_pack(struct saving *sv, int *ret_fd)
{
	int flags =
	    O_WRONLY | O_CREAT | O_CLOEXEC | (sv->opt->if_missing ? O_EXCL : O_TRUNC);
	struct errmsg err;

	if (cache_make_parents(sv->entry, &err))
		return failed(sv, err.text);
	*ret_fd = open(sv->view, flags, 0666);
	/* Somebody stores it now, or has done so since we looked. */
	if (*ret_fd < 0 && errno == EEXIST && sv->opt->if_missing)
		return CLI_OK;
	return *ret_fd < 0 ? cannot_store(sv, -errno) : CLI_OK;
}

static int set_attributes(const struct saving *sv, int fd)
{
	const struct save_options *o = sv->opt;
	int r = o->ttl.text ? attr_set_fd(fd, "ttl", o->ttl.text) : 0;

	if (!r && o->cost)
		r = attr_set_fd(fd, "cost", o->cost);
	if (!r)
		return CLI_OK;
	cli_error("%s: its ttl or cost cannot be set: %s; nothing was saved", sv->key,
		  strerror(-r));
	return CLI_FAILED;
}

static int write_items(struct saving *sv, struct packwrite *w, struct errmsg *err)
{
	uint8_t hash[PACK_HASH_BYTES];
	struct progress progress;
	uint64_t files = 0;
	int r = 0;

	progress_begin(&progress, "saving", sv->key, sv->files, sv->bytes,
		       sv->opt->quiet);
	for (size_t i = 0; !r && i < sv->items.n; i++) {
		const struct tree_item *item = &sv->items.list[i];

		r = packwrite_item(w, sv->dirfd, "", item, sv->fh, err);
		files += !S_ISDIR(item->st.st_mode);
		progress_show(&progress, files, packwrite_done_bytes(w));
	}
	if (!r)
		r = packwrite_finish(w, buf_slice(&sv->meta), hash, err);
	if (!r)
		packwrite_remember(&sv->items, "", sv->fh, hash);
	progress_end(&progress);
	return r;
}

/*
 * Until the trailer is written, which is last, nothing that is closed is a pack, and
 * the mount drops it: whatever ends this program leaves what was there before.
 */
static int write_pack(struct saving *sv, int fd)
{
	struct packwrite *w;
	struct errmsg err;
	int r, status = set_attributes(sv, fd);

	if (status)
		return status;
	must(packwrite_new(fd, &w));
	r = write_items(sv, w, &err);
	packwrite_free(w);
	if (r)
		return failed(sv, err.text);
	return sv->opt->fsync && fsync(fd) ? cannot_store(sv, -errno) : CLI_OK;
}

/*
 * This publishes, if all is there. A close is not told how that went, but who closed it
 * and asks for it has it decided. One with a short ttl may have expired by then.
 */
static int publish(struct saving *sv, int fd)
{
	if (close(fd) && errno != EINTR)
		return cannot_store(sv, -errno);
	if (!(sv->opt->ttl.text && sv->opt->ttl.ns < NSEC_PER_SEC) &&
	    access(sv->view, F_OK))
		return failed(sv, "the mount could not store it; its log says why");
	return say(sv, "saved");
}

static int store(struct saving *sv)
{
	int fd, status = open_pack(sv, &fd);

	if (status)
		return status;
	if (fd < 0)
		return say_present(sv);
	status = write_pack(sv, fd);
	if (!status)
		return publish(sv, fd);
	close(fd);
	return status;
}

/* ---- the command ---- */

static bool is_there(const struct saving *sv)
{
	return access(sv->entry, F_OK) == 0;
}

static int save(struct saving *sv)
{
	bool same = false;
	int status;

	if (sv->opt->if_missing && is_there(sv))
		return say_present(sv);
	status = find_files(sv);
	if (status)
		return status;
	must(filehash_open(sv->dirfd, &sv->fh));
	if (!sv->opt->force)
		status = look_at_stored(sv, &same);
	if (!status)
		status = same ? keep_stored(sv) : store(sv);
	filehash_close(sv->fh);
	return status;
}

static int check_cost(const char *cost)
{
	char *end;
	double seconds = cost ? strtod(cost, &end) : 0;

	if (!cost || (*cost && !*end && seconds >= 0 && seconds < 1e12))
		return CLI_OK;
	cli_error("--cost: \"%s\" is not a number of seconds", cost);
	return CLI_USAGE;
}

static int take_patterns(struct saving *sv, char *const *texts, size_t n)
{
	struct errmsg err;

	for (size_t i = 0; i < n; i++) {
		if (strchr(texts[i], '\n')) {
			cli_error(
			    "save: pattern \"%s\": a line break in it cannot be kept; "
			    "write ? for that",
			    texts[i]);
			return CLI_USAGE;
		}
		must(buf_printf(&sv->meta, "%s\n", texts[i]));
	}
	if (patterns_new((const char *const *)texts, n, &sv->patterns, &err)) {
		cli_error("save: %s", err.text);
		return CLI_USAGE;
	}
	return CLI_OK;
}

static int check(struct saving *sv, char **operands, size_t n)
{
	struct errmsg err;

	if (cache_check_key(sv->key, &err)) {
		cli_error("save: %s", err.text);
		return CLI_USAGE;
	}
	if (sv->opt->force && sv->opt->if_missing) {
		cli_error("save: --force and --if-missing exclude each other");
		return CLI_USAGE;
	}
	if (check_cost(sv->opt->cost))
		return CLI_USAGE;
	return take_patterns(sv, operands + 1, n - 1);
}

static int find_entry(struct saving *sv)
{
	CLEANUP_BUF struct buf view = BUF_INIT;
	struct errmsg err;
	int r = cache_entry(sv->opt->cache, sv->key, true, &sv->entry, &err);

	if (r) {
		cli_error("%s", err.text);
		return r == -EACCES || r == -EPERM ? CLI_FAILED : CLI_MOUNT;
	}
	view_option(&view, "pack", NULL);
	sv->view = view_path(sv->entry, &view);
	return CLI_OK;
}

static int run(const void *opt, char **operands, size_t n)
{
	struct saving sv = {
	    .opt = opt,
	    .key = operands[0],
	    .dirfd = -1,
	    .begun_ns = time_monotonic_ns(),
	};
	int status = check(&sv, operands, n);

	if (!status)
		status = find_entry(&sv);
	if (!status)
		status = save(&sv);
	tree_items_deinit(&sv.items);
	patterns_free(sv.patterns);
	buf_deinit(&sv.meta);
	close_fdp(&sv.dirfd);
	free(sv.entry);
	free(sv.view);
	return status;
}

const struct command cmd_save = {
    .name = "save",
    .args = "KEY [--] PATTERN…",
    .summary = "keep files and directories as one entry, a sealed tree",
    .detail =
	"Saves what the PATTERNs match below the current directory, with permissions,\n"
	"times, symlinks and empty directories, whole or not at all. It replaces what\n"
	"KEY was, at once. When the same is stored already nothing is read and nothing\n"
	"is stored; a --ttl counts anew then, one that is inherited does not.\n"
	"\n"
	"Patterns: `dir` and `dir/**` are a directory with all that is in it, `.` is\n"
	"everything; `*`, `?`, `[a-z]` and `{a,b}` match within a name, `**` across\n"
	"names; `regex:…` is an expression for the whole path; `!PATTERN` leaves out\n"
	"what was matched before it. Quote them, or the shell looks for files itself.\n"
	"\n"
	"An absolute KEY is a path in a mount; so is a relative one when the current\n"
	"directory is in a mount. Else KEY is in the directory given by --cache, by\n"
	"MEMOFS_CACHE, or in your own mount, which is mounted when it is not.\n",
    .exits = "0  saved, or stored already\n"
	     "2  the command line is wrong\n"
	     "3  nothing was saved: a PATTERN that matches nothing, a file that cannot\n"
	     "   be read or changed meanwhile, no permission, no space\n"
	     "4  KEY is not in a memofs mount, or the mount is dead",
    .example = "memofs save deps/$(sha256sum <package-lock.json | cut -c -16) \\\n"
	       "    'node_modules/**' '!node_modules/.cache'",
    .options = options,
    .options_size = sizeof(struct save_options),
    .operands_min = 2,
    .operands_max = CLI_MANY,
    .run = run,
};
