/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stddef.h>
#include <stdio.h>

#include "cli/cache.h"
#include "cli/commands.h"
#include "cli/message.h"

struct cache_options {
	const char *cache;
	bool no_start;
};

static const struct cli_option options[] = {
    {0, "cache", CLI_STRING, offsetof(struct cache_options, cache), "DIR",
     "of this directory instead of the default", NULL},
    {'n', "no-start", CLI_FLAG, offsetof(struct cache_options, no_start), NULL,
     "mount nothing; fail when there is no mount", NULL},
    CLI_END,
};

static int run(const void *opt, char **operands, size_t n)
{
	const struct cache_options *o = opt;
	CLEANUP_FREE char *dir = NULL;
	struct errmsg err;
	int r = cache_find(o->cache, !o->no_start, &dir, &err);

	if (r) {
		cli_error("%s", err.text);
		return r == -ENOENT && o->no_start ? CLI_MISS : CLI_MOUNT;
	}
	printf("%s\n", dir);
	return CLI_OK;
}

const struct command cmd_cache = {
    .name = "cache",
    .args = "",
    .summary = "print the directory that results are kept in",
    .detail = "That is the one which run, save, restore and explain use: --cache, else\n"
	      "MEMOFS_CACHE, else `default` in this user's own mount, which is mounted\n"
	      "when it is not. Look into it with ls; the mount is one level above it.\n",
    .exits = "0  printed\n"
	     "1  --no-start: there is none\n"
	     "2  the command line is wrong\n"
	     "4  it is in no memofs mount, or cannot be mounted",
    .example = "memofs ls \"$(memofs cache)\"",
    .options = options,
    .options_size = sizeof(struct cache_options),
    .run = run,
};
