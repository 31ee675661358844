/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fts.h>
#include <stddef.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/entry.h"
#include "cli/message.h"
#include "cli/paths.h"

struct rm_options {
	bool recursive, force;
};

static const struct cli_option options[] = {
    {'r', "recursive", CLI_FLAG, offsetof(struct rm_options, recursive), NULL,
     "remove directories and all that is in them", NULL},
    {'f', "force", CLI_FLAG, offsetof(struct rm_options, force), NULL,
     "what does not exist is no failure", NULL},
    CLI_END,
};

static int complain(const char *path, int err)
{
	cli_error("%s: %s", path, strerror(err));
	return CLI_FAILED;
}

/* A sealed tree goes whole: nothing in it can be removed. */
static int enter_directory(FTS *fts, FTSENT *e)
{
	if (!entry_is_tree(e->fts_accpath, S_IFDIR))
		return CLI_OK;
	fts_set(fts, e, FTS_SKIP);
	if (rmdir(e->fts_accpath) == 0 || errno == ENOENT)
		return CLI_OK;
	return complain(e->fts_path, errno);
}

/* What has gone meanwhile (expired, evicted, removed) needs no removing. */
static int remove_visited(FTS *fts, FTSENT *e)
{
	switch (e->fts_info) {
	case FTS_D:
		return enter_directory(fts, e);
	case FTS_DP:
		if (rmdir(e->fts_accpath) == 0 || errno == ENOENT)
			return CLI_OK;
		return complain(e->fts_path, errno);
	case FTS_DNR:
	case FTS_ERR:
	case FTS_NS:
		return e->fts_errno == ENOENT ? CLI_OK
					      : complain(e->fts_path, e->fts_errno);
	default:
		if (unlink(e->fts_accpath) == 0 || errno == ENOENT)
			return CLI_OK;
		return complain(e->fts_path, errno);
	}
}

static int remove_tree(const char *path)
{
	char *const paths[] = {(char *)path, NULL};
	FTS *fts = fts_open(paths, FTS_PHYSICAL | FTS_XDEV, NULL);
	int status = CLI_OK;
	FTSENT *e;

	if (!fts)
		return complain(path, errno);
	while ((errno = 0, e = fts_read(fts)))
		status = cli_worse(status, remove_visited(fts, e));
	if (errno)
		status = complain(path, errno);
	fts_close(fts);
	return status;
}

/*
 * .memofs itself, and versions and view in it, are the daemon's. What is listed
 * below them is the entries of every version: going in there to remove what
 * cannot be removed would leave nothing else.
 */
static bool is_control(const char *absolute)
{
	CLEANUP_FREE char *parent = path_parent(absolute);

	return strcmp(path_base(absolute), ".memofs") == 0 ||
	       strcmp(path_base(parent), ".memofs") == 0;
}

/* Why a directory cannot be removed under this path at all, or NULL. */
static const char *not_removable(const char *path)
{
	CLEANUP_FREE char *absolute = path_absolute(path);
	CLEANUP_FREE char *copy = xstrdup(path);
	CLEANUP_MOUNTS struct mounts ms = MOUNTS_INIT;
	size_t len = strlen(copy);

	while (len > 1 && copy[len - 1] == '/')
		copy[--len] = '\0';
	if (strcmp(path_base(copy), ".") == 0 || strcmp(path_base(copy), "..") == 0)
		return "ends in . or ..; give the directory's name";
	if (is_control(absolute))
		return "belongs to memofs";
	if (mounts_read(&ms) == 0 && mounts_at(&ms, absolute))
		return "is a mount point";
	return NULL;
}

static int remove_one(const struct rm_options *o, const char *path)
{
	int status = path_check_inside(path);
	const char *why;
	struct stat st;

	if (status)
		return status;
	if (lstat(path, &st)) {
		if (errno != ENOENT && errno != ENOTDIR)
			return complain(path, errno);
		if (o->force)
			return CLI_OK;
		cli_error("%s: there is no such entry", path);
		return CLI_MISS;
	}
	why = S_ISDIR(st.st_mode) ? not_removable(path) : NULL;
	if (why) {
		cli_error("%s %s; nothing was removed", path, why);
		return CLI_FAILED;
	}
	if (entry_is_tree(path, st.st_mode))
		return rmdir(path) == 0 || errno == ENOENT ? CLI_OK
							   : complain(path, errno);
	if (S_ISDIR(st.st_mode) && !o->recursive) {
		cli_error("%s is a directory; --recursive removes it", path);
		return CLI_FAILED;
	}
	if (S_ISDIR(st.st_mode))
		return remove_tree(path);
	if (unlink(path) == 0 || (o->force && errno == ENOENT))
		return CLI_OK;
	return errno == ENOENT ? CLI_MISS : complain(path, errno);
}

static int run(const void *opt, char **operands, size_t n)
{
	int status = CLI_OK;

	for (size_t i = 0; i < n; i++)
		status = cli_worse(status, remove_one(opt, operands[i]));
	return status;
}

const struct command cmd_rm = {
    .name = "rm",
    .args = "PATH…",
    .summary = "remove entries, and directories with --recursive",
    .detail =
	"Readers that have an entry open keep it. A sealed tree is removed whole. A\n"
	"directory's other versions go with it. Only paths in a memofs mount are\n"
	"removed.\n",
    .exits = "0  all removed\n"
	     "1  one does not exist (without --force)\n"
	     "3  a directory without --recursive, or not permitted\n"
	     "4  a path is not in a memofs mount",
    .example = "memofs rm -r /tmp/cache/build",
    .options = options,
    .options_size = sizeof(struct rm_options),
    .operands_min = 1,
    .operands_max = CLI_MANY,
    .run = run,
};
