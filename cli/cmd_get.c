/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/copy.h"
#include "cli/message.h"
#include "cli/paths.h"
#include "cli/reservation.h"
#include "cli/scratch.h"
#include "cli/waiting.h"

struct get_options {
	const char *output;
	struct cli_duration wait;
};

static const struct cli_option options[] = {
    {'o', "output", CLI_STRING, offsetof(struct get_options, output), "FILE",
     "write to FILE, which appears whole or not at all", NULL},
    {'w', "wait", CLI_WAIT, offsetof(struct get_options, wait), "DURATION",
     "while another computes it, wait (the policy `wait`)", NULL},
    CLI_END,
};

/* A descriptor or -errno. */
static int open_or_wait(const struct get_options *o, const char *path)
{
	struct waiting w = waiting_begin(&o->wait);
	int fd;

	if (o->wait.text && *path_base(path))
		return waiting_open(&w, path, 0);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	return fd < 0 ? -errno : fd;
}

/* An open descriptor, or -CLI_…; a miss says nothing. */
static int open_entry(const struct get_options *o, const char *path)
{
	int fd = open_or_wait(o, path);
	struct stat st;

	if (fd == -ENOENT || fd == -ENOTDIR)
		return -CLI_MISS;
	if (fd == -ETIMEDOUT) {
		reservation_say_held(path);
		return -CLI_HELD;
	}
	if (fd < 0) {
		cli_error("%s: %s", path, strerror(-fd));
		return -CLI_FAILED;
	}
	if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode))
		return fd;
	cli_error("%s: %s", path, S_ISDIR(st.st_mode) ? strerror(EISDIR) : "not a file");
	close(fd);
	return -CLI_FAILED;
}

static int copy_to(int in, const char *from, int out, const char *to)
{
	bool reading;
	int r = copy_all(in, out, &reading);

	if (!r)
		return CLI_OK;
	cli_error("%s: %s", reading ? from : to, strerror(-r));
	return CLI_FAILED;
}

/* Devices and pipes are written to; a file is replaced only by a whole one. */
static int copy_to_file(int in, const char *from, const char *to)
{
	CLEANUP_FD int out = -1;
	struct scratch tmp;
	struct stat st;
	int status, r;

	if (stat(to, &st) == 0 && !S_ISREG(st.st_mode)) {
		out = open(to, O_WRONLY | O_CLOEXEC | O_NOCTTY);
		if (out >= 0)
			return copy_to(in, from, out, to);
		cli_error("%s: %s", to, strerror(errno));
		return CLI_FAILED;
	}
	r = scratch_open(to, ".memofs-get", &tmp);
	if (r) {
		cli_error("%s: %s", to, strerror(-r));
		return CLI_FAILED;
	}
	status = copy_to(in, from, tmp.fd, to);
	if (status) {
		scratch_drop(&tmp);
		return status;
	}
	r = scratch_keep(&tmp, to);
	if (r) {
		cli_error("%s: %s", to, strerror(-r));
		return CLI_FAILED;
	}
	return CLI_OK;
}

static int run(const void *opt, char **operands, size_t n)
{
	const struct get_options *o = opt;
	CLEANUP_FD int in = -1;
	int status;

	status = path_check_inside(operands[0]);
	if (status)
		return status;
	in = open_entry(o, operands[0]);
	if (in < 0)
		return -in;
	if (!o->output || strcmp(o->output, "-") == 0)
		return copy_to(in, operands[0], STDOUT_FILENO, "standard output");
	return copy_to_file(in, operands[0], o->output);
}

const struct command cmd_get = {
    .name = "get",
    .args = "PATH",
    .summary = "write an entry to standard output",
    .detail = "A miss is silent and exits with 1: use it as a condition. The bytes are\n"
	      "those of one generation, whatever is published meanwhile.\n",
    .exits = "0  a hit, written whole\n"
	     "1  a miss: absent, expired or of another version\n"
	     "3  not a file, not permitted, or reading or writing failed\n"
	     "4  PATH is not in a memofs mount, or the mount is dead\n"
	     "5  --wait: it is still being computed; the time was over",
    .example = "memofs get /tmp/cache/build/$key -o out.o || cc -c in.c -o out.o",
    .options = options,
    .options_size = sizeof(struct get_options),
    .operands_min = 1,
    .operands_max = 1,
    .run = run,
};
