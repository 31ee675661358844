/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/attrs.h"
#include "cli/commands.h"
#include "cli/copy.h"
#include "cli/message.h"
#include "cli/paths.h"
#include "cli/scratch.h"

struct put_options {
	struct cli_duration ttl;
	struct cli_mode mode;
	const char *input;
	bool fsync, parents;
};

static const struct cli_option options[] = {
    {'i', "input", CLI_STRING, offsetof(struct put_options, input), "FILE",
     "read FILE, not standard input", NULL},
    {'t', "ttl", CLI_DURATION, offsetof(struct put_options, ttl), "DURATION",
     "a hit for so long from now: 90s, 1h30m, PT1H, none", NULL},
    {'m', "mode", CLI_MODE, offsetof(struct put_options, mode), "MODE",
     "permissions, octal (0666 less the umask)", NULL},
    {'p', "parents", CLI_FLAG, offsetof(struct put_options, parents), NULL,
     "make the directories of PATH that are missing", NULL},
    {0, "fsync", CLI_FLAG, offsetof(struct put_options, fsync), NULL,
     "return when it would survive a loss of power", NULL},
    CLI_END,
};

/* mkdir -p of everything above `path`. */
static int make_parents(const char *path)
{
	CLEANUP_FREE char *dir = path_parent(path);
	struct stat st;
	int r;

	if (stat(dir, &st) == 0)
		return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
	if (errno != ENOENT)
		return -errno;
	r = make_parents(dir);
	if (r)
		return r;
	return mkdir(dir, 0777) && errno != EEXIST ? -errno : 0;
}

static int complain(const char *path, int r)
{
	if (r == -ENOENT)
		cli_error("%s: its directory does not exist; --parents makes it", path);
	else if (r == -ESTALE)
		cli_error(
		    "%s: the reservation is not held (any more); nothing was stored",
		    path);
	else
		cli_error("%s: %s", path, strerror(-r));
	return CLI_FAILED;
}

/* Everything but the name. */
static int fill(const struct put_options *o, int in, int out, const char *path)
{
	bool reading;
	int r;

	if (o->mode.set && fchmod(out, o->mode.mode))
		return complain(path, -errno);
	r = o->ttl.text ? attr_set_fd(out, "ttl", o->ttl.text) : 0;
	if (r) {
		cli_error("%s: its ttl cannot be set: %s", path, strerror(-r));
		return CLI_FAILED;
	}
	r = copy_all(in, out, &reading);
	if (r && reading) {
		cli_error("%s: %s; nothing was stored",
			  o->input ? o->input : "standard input", strerror(-r));
		return CLI_FAILED;
	}
	if (!r && o->fsync && fsync(out))
		r = -errno;
	return r ? complain(path, r) : CLI_OK;
}

/* All of the input, in a file without a name that stands at its beginning, or -1. */
static int spool(const struct put_options *o, int in)
{
	int fd = scratch_unnamed();
	bool reading = false;
	int r = fd < 0 ? fd : copy_all(in, fd, &reading);

	if (!r && lseek(fd, 0, SEEK_SET) == 0)
		return fd;
	cli_error("%s: %s; nothing was stored",
		  !reading   ? "the temporary file"
		  : o->input ? o->input
			     : "standard input",
		  strerror(r ? -r : errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

/*
 * Below view/owner= only a name that is reserved can be written, so there is none for
 * a scratch file. The name is written itself when all of the input is there; it
 * appears at the close, and not at all when writing fails.
 */
static int put_in_place(const struct put_options *o, int in, const char *path)
{
	CLEANUP_FD int spooled = spool(o, in), out = -1;
	int status, r;

	if (spooled < 0)
		return CLI_FAILED;
	out = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
	if (out < 0)
		return complain(path, -errno);
	status = fill(o, spooled, out, path);
	if (status)
		return status; /* and its end as a failed producer drops what there is */
	r = close(out) && errno != EINTR ? -errno : 0;
	out = -1;
	return r ? complain(path, r) : CLI_OK;
}

static int put(const struct put_options *o, int in, const char *path)
{
	struct scratch s;
	int status, r;

	r = o->parents ? make_parents(path) : 0;
	if (!r)
		r = scratch_open(path, ".memofs-put", &s);
	if (r == -ESTALE)
		return put_in_place(o, in, path);
	if (r)
		return complain(path, r);
	status = fill(o, in, s.fd, path);
	if (status) {
		scratch_drop(&s);
		return status;
	}
	r = scratch_keep(&s, path);
	if (r == -EISDIR || r == -EEXIST || r == -ENOTEMPTY) {
		cli_error("%s: a directory has this name", path);
		return CLI_FAILED;
	}
	return r ? complain(path, r) : CLI_OK;
}

static int open_input(const char *input)
{
	int fd;

	if (!input || strcmp(input, "-") == 0)
		return dup(STDIN_FILENO);
	fd = open(input, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0)
		cli_error("%s: %s", input, strerror(errno));
	return fd;
}

static int run(const void *opt, char **operands, size_t n)
{
	const struct put_options *o = opt;
	const char *path = operands[0];
	CLEANUP_FD int in = -1;
	int status;

	if (!*path_base(path)) {
		cli_error("put: \"%s\" does not name an entry", path);
		return CLI_USAGE;
	}
	status = path_check_inside(path);
	if (status)
		return status;
	in = open_input(o->input);
	return in < 0 ? CLI_FAILED : put(o, in, path);
}

const struct command cmd_put = {
    .name = "put",
    .args = "PATH",
    .summary = "store standard input, or a file, as an entry",
    .detail =
	"It appears at PATH whole, at once, and only when everything was read. When\n"
	"reading fails, or put is interrupted, PATH stays as it was.\n"
	"\n"
	"A pipe does not tell whether the program at its other end succeeded: in\n"
	"`make-it | memofs put k`, put sees the end of its input either way. Write to\n"
	"a file and store it when that succeeded: `make-it > f && memofs put -i f k`.\n",
    .exits = "0  stored\n"
	     "2  the command line is wrong\n"
	     "3  reading or storing failed, or it is not permitted; nothing was stored\n"
	     "4  PATH is not in a memofs mount, or the mount is dead",
    .example = "memofs put --ttl 1h -p -i out.o /tmp/cache/build/$key",
    .options = options,
    .options_size = sizeof(struct put_options),
    .operands_min = 1,
    .operands_max = 1,
    .run = run,
};
