/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli/cache.h"
#include "cli/commands.h"
#include "cli/message.h"
#include "cli/paths.h"
#include "cli/tar/export.h"
#include "cli/tree/outfile.h"
#include "cli/tree/progress.h"

struct export_options {
	const char *output;
	bool current, quiet;
};

static const struct cli_option options[] = {
    {'o', "output", CLI_STRING, offsetof(struct export_options, output), "FILE",
     "write FILE, not standard output; it appears when it is whole", NULL},
    {'c', "current", CLI_FLAG, offsetof(struct export_options, current), NULL,
     "no other versions of directories than what is seen", NULL},
    {'q', "quiet", CLI_FLAG, offsetof(struct export_options, quiet), NULL,
     "print no summary", NULL},
    CLI_END,
};

/* *ret_whole: the archive has its end; something may be missing in it all the same. */
static int export_to(const struct export_options *o, const char *path, int out,
		     bool *ret_whole, struct export_done *ret_done)
{
	const struct export_how how = {.current_only = o->current, .quiet = o->quiet};
	int r = export_tar(path, out, &how, ret_done);

	*ret_whole = !r;
	if (!r)
		return ret_done->status;
	return r == -ENOENT || r == -ENOTDIR ? CLI_MISS : CLI_FAILED;
}

static int export_to_stdout(const struct export_options *o, const char *path)
{
	struct export_done done;
	bool whole;

	if (isatty(STDOUT_FILENO)) {
		cli_error("export: an archive is not for a terminal; redirect it, or "
			  "give --output FILE");
		return CLI_USAGE;
	}
	return export_to(o, path, STDOUT_FILENO, &whole, &done);
}

static int cannot_write(const char *path, int r)
{
	cli_error("%s: %s", path, strerror(-r));
	return CLI_FAILED;
}

/* An archive that lacks something is kept all the same: it was said what. */
static int export_to_file(const struct export_options *o, const char *path)
{
	CLEANUP_FREE char *parent = path_parent(o->output);
	CLEANUP_FD int dir = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char amount[PROGRESS_AMOUNT_MAX];
	struct export_done done = {0};
	struct outfile file;
	bool whole;
	int r = dir < 0 ? -errno : outfile_open(dir, 0666, &file), status;

	if (r)
		return cannot_write(o->output, r);
	status = export_to(o, path, file.fd, &whole, &done);
	r = whole ? outfile_commit(&file, path_base(o->output)) : 0;
	outfile_close(&file);
	if (r)
		return cannot_write(o->output, r);
	if (!o->quiet && whole)
		printf("exported %s\n",
		       progress_amount(done.entries, done.bytes, amount));
	return status;
}

static int run(const void *opt, char **operands, size_t n)
{
	const struct export_options *o = opt;
	CLEANUP_FREE char *found = NULL;
	const char *path = n ? operands[0] : NULL;
	struct errmsg err;
	int status;

	if (path) {
		status = path_check_inside(path);
	} else {
		status = cache_find_kept(NULL, &found, &err) ? CLI_MOUNT : CLI_OK;
		path = found;
		if (status)
			cli_error("%s", err.text);
	}
	if (status)
		return status;
	return o->output ? export_to_file(o, path) : export_to_stdout(o, path);
}

const struct command cmd_export = {
    .name = "export",
    .args = "[PATH]",
    .summary = "write entries and settings as a tar archive",
    .detail =
	"PATH is a directory, or an entry; without it, the default directory (memofs\n"
	"cache). In the archive are files, symlinks, sealed trees (as their packs),\n"
	"directories with their settings and all their versions, with modes, owners,\n"
	"times, ttl, cost, pins and other attributes. tar(1) can read it, with\n"
	"--xattrs also the attributes; `memofs import` puts everything back.\n"
	"\n"
	"Names are as below PATH. What expires meanwhile is left out, and what others\n"
	"publish meanwhile is in it whole or not at all.\n",
    .exits = "0  exported\n"
	     "1  PATH does not exist\n"
	     "2  the command line is wrong\n"
	     "3  something could not be read, and is missing or not whole; or the\n"
	     "   archive could not be written\n"
	     "4  PATH is not in a memofs mount, or the mount is dead",
    .example = "memofs export /tmp/cache/build | zstd > build.tar.zst",
    .options = options,
    .options_size = sizeof(struct export_options),
    .operands_max = 1,
    .run = run,
};
