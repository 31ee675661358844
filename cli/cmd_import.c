/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cache.h"
#include "cli/commands.h"
#include "cli/message.h"
#include "cli/paths.h"
#include "cli/tar/import.h"
#include "cli/tree/progress.h"

struct import_options {
	const char *input;
	bool keep, numeric, quiet;
};

static const struct cli_option options[] = {
    {'i', "input", CLI_STRING, offsetof(struct import_options, input), "FILE",
     "read FILE, not standard input", NULL},
    {'k', "keep", CLI_FLAG, offsetof(struct import_options, keep), NULL,
     "leave entries that are there as they are", NULL},
    {0, "numeric-owner", CLI_FLAG, offsetof(struct import_options, numeric), NULL,
     "owners by their numbers, not by their names", NULL},
    {'q', "quiet", CLI_FLAG, offsetof(struct import_options, quiet), NULL,
     "print no summary", NULL},
    CLI_END,
};

static int open_input(const struct import_options *o)
{
	int fd;

	if (o->input && strcmp(o->input, "-") != 0) {
		fd = open(o->input, O_RDONLY | O_CLOEXEC | O_NOCTTY);
		if (fd < 0)
			cli_error("%s: %s", o->input, strerror(errno));
		return fd;
	}
	if (isatty(STDIN_FILENO)) {
		cli_error("import: an archive does not come from a terminal; redirect "
			  "it, or give --input FILE");
		return -1;
	}
	return dup(STDIN_FILENO);
}

/* A namespace that is imported into a new mount is not there yet. */
static int open_target(const char *path)
{
	int fd;

	if (mkdir(path, 0777) && errno != EEXIST) {
		cli_error("%s: %s", path, strerror(errno));
		return -1;
	}
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		cli_error("%s: %s", path, strerror(errno));
	return fd;
}

static void summarise(const struct import_done *done)
{
	char amount[PROGRESS_AMOUNT_MAX];

	printf("imported %s", progress_amount(done->entries, done->bytes, amount));
	if (done->expired)
		printf("; %" PRIu64 " had expired", done->expired);
	if (done->brief)
		printf("; %" PRIu64 " symlinks with a limited life left out",
		       done->brief);
	if (done->kept)
		printf("; %" PRIu64 " were there", done->kept);
	printf("\n");
}

static int import_into(const struct import_options *o, int in, const char *path)
{
	const struct import_how how = {
	    .archive = o->input ? o->input : "standard input",
	    .keep = o->keep,
	    .numeric_owner = o->numeric,
	    .quiet = o->quiet,
	};
	CLEANUP_FD int dir = open_target(path);
	struct import_done done;
	int r;

	if (dir < 0)
		return CLI_FAILED;
	r = import_tar(in, dir, &how, &done);
	if (done.signal) {
		signal(done.signal, SIG_DFL);
		raise(done.signal);
	}
	if (!o->quiet)
		summarise(&done);
	return r ? CLI_FAILED : done.status;
}

static int run(const void *opt, char **operands, size_t n)
{
	const struct import_options *o = opt;
	CLEANUP_FREE char *found = NULL;
	const char *path = n ? operands[0] : NULL;
	CLEANUP_FD int in = -1;
	struct errmsg err;
	int status;

	if (path) {
		status = path_check_inside(path);
	} else {
		status = cache_find(NULL, true, &found, &err) ? CLI_MOUNT : CLI_OK;
		path = found;
		if (status)
			cli_error("%s", err.text);
	}
	if (status)
		return status;
	in = open_input(o);
	return in < 0 ? CLI_FAILED : import_into(o, in, path);
}

const struct command cmd_import = {
    .name = "import",
    .args = "[PATH]",
    .summary = "store what is in a tar archive",
    .detail =
	"PATH is a directory, made if it is missing; without it, the default directory\n"
	"(memofs cache). The archive is one of `memofs export`, or of any tar. Each\n"
	"entry appears whole, in place of what has its name. What expired meanwhile is\n"
	"not imported, and nothing lives longer than it would have; symlinks cannot be\n"
	"given an end, so those that had one are left out. Directories get the settings\n"
	"in the archive. Owners are for root; others own what they import.\n"
	"\n"
	"Names that are absolute or have `..` in them are refused, and no symlink is\n"
	"followed. When the archive is damaged or ends too early, what came before\n"
	"stays.\n",
    .exits = "0  imported, but for what had expired\n"
	     "2  the command line is wrong\n"
	     "3  the archive is damaged, or something was left out\n"
	     "4  PATH is not in a memofs mount, or the mount is dead",
    .example = "zstd -dc build.tar.zst | memofs import /tmp/cache/build",
    .options = options,
    .options_size = sizeof(struct import_options),
    .operands_max = 1,
    .run = run,
};
