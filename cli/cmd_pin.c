/* SPDX-License-Identifier: Apache-2.0 */
/* memofs pin and unpin: what is never evicted. */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "cli/attrs.h"
#include "cli/commands.h"
#include "cli/message.h"
#include "cli/mounts.h"
#include "cli/paths.h"

struct no_options {
	char unused;
};

static int failed(const char *path, int r)
{
	if (r == -ENOENT || r == -ENOTDIR) {
		cli_error("%s: there is no such entry", path);
		return CLI_MISS;
	}
	if (r == -EPERM)
		cli_error("%s: not permitted; it is another's, in a sealed tree (pin the "
			  "whole tree), or read-only",
			  path);
	else if (r == -ENOSPC)
		cli_error("%s: it has as many attributes as there may be; remove one",
			  path);
	else
		cli_error("%s: %s", path, strerror(-r));
	return CLI_FAILED;
}

/* CLI_OK, and what it is; or after a message. */
static int look(const char *path, bool *ret_dir)
{
	CLEANUP_BUF struct buf state = BUF_INIT;
	int status = path_check_inside(path);
	struct stat st;

	if (status)
		return status;
	if (lstat(path, &st))
		return failed(path, -errno);
	if (S_ISLNK(st.st_mode)) {
		cli_error("%s: a symlink has no attributes; pin the directory it is in",
			  path);
		return CLI_FAILED;
	}
	*ret_dir = S_ISDIR(st.st_mode) && attr_get(path, "state", &state) != 0;
	return CLI_OK;
}

static int pin(const char *path)
{
	bool dir;
	int status = look(path, &dir);
	int r = status ? 0 : attr_set(path, "pin", "yes");

	return r ? failed(path, r) : status;
}

/* The directory above, in the mount, whose setting it has: NULL if it is not pinned. */
static char *pinned_by(const char *path)
{
	CLEANUP_MOUNTS struct mounts ms = MOUNTS_INIT;
	CLEANUP_BUF struct buf value = BUF_INIT;
	/* It is no symlink, but what leads to it may be. */
	char *at = realpath(path, NULL);
	int r = mounts_read(&ms);

	while (!r && at && at[1] && !mounts_at(&ms, at)) {
		char *up = path_parent(at);

		free(at);
		at = up;
		if (attr_get(at, "pin", &value) == 0) {
			if (strcmp((const char *)value.data, "yes") == 0)
				return at;
			break;
		}
	}
	free(at);
	return NULL;
}

/* A directory can say no to what is above it, an entry cannot. */
static int unpin(const char *path)
{
	CLEANUP_FREE char *above = NULL;
	bool dir;
	int r, status = look(path, &dir);

	if (status)
		return status;
	above = pinned_by(path);
	r = above && dir ? attr_set(path, "pin", "no") : attr_remove(path, "pin");
	if (r)
		return failed(path, r);
	if (!above || dir)
		return CLI_OK;
	cli_error("%s is still pinned, by its directory %s; unpin that", path, above);
	return CLI_FAILED;
}

static int run_pin(const void *opt, char **operands, size_t n)
{
	int status = CLI_OK;

	for (size_t i = 0; i < n; i++)
		status = cli_worse(status, pin(operands[i]));
	return status;
}

static int run_unpin(const void *opt, char **operands, size_t n)
{
	int status = CLI_OK;

	for (size_t i = 0; i < n; i++)
		status = cli_worse(status, unpin(operands[i]));
	return status;
}

const struct command cmd_pin = {
    .name = "pin",
    .args = "PATH…",
    .summary = "keep entries from being evicted",
    .detail =
	"A pinned entry is never evicted to make room, nor is what overwrites it. It\n"
	"expires like others. Of a directory everything below it is pinned. When so "
	"much\n"
	"is pinned that nothing can be evicted, writers get \"no space left\".\n"
	"\n"
	"The pin is the attribute user.cache.pin; memofs ls and stat show it.\n",
    .exits = "0  pinned\n"
	     "1  a PATH does not exist\n"
	     "3  not permitted, or a symlink\n"
	     "4  a PATH is not in a memofs mount, or the mount is dead",
    .example = "memofs pin /tmp/cache/models",
    .options_size = sizeof(struct no_options),
    .operands_min = 1,
    .operands_max = CLI_MANY,
    .run = run_pin,
};

const struct command cmd_unpin = {
    .name = "unpin",
    .args = "PATH…",
    .summary = "let pinned entries be evicted again",
    .detail = "A directory below one that is pinned gets a setting of its own, `no`.\n",
    .exits = "0  not pinned (any more)\n"
	     "1  a PATH does not exist\n"
	     "3  not permitted, or pinned by a directory above it\n"
	     "4  a PATH is not in a memofs mount, or the mount is dead",
    .example = "memofs unpin /tmp/cache/models/old",
    .options_size = sizeof(struct no_options),
    .operands_min = 1,
    .operands_max = CLI_MANY,
    .run = run_unpin,
};
