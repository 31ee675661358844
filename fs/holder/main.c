/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memofs-holder: keeps a mount while its daemon is away. `memofs mount` starts it.
 */
#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fs/holder/holder.h"

static const char usage[] =
    "usage: memofs-holder [-f] DAEMON [ARGUMENT...]\n"
    "\n"
    "Starts DAEMON, a memofsd, with these arguments, and another one when that has\n"
    "died; returns when the mount answers.\n"
    "\n"
    "  -f  stay in the foreground\n"
    "  -V  the version\n";

static int absolute(const char *cwd, const char *path, char ret_path[PATH_MAX])
{
	int n = *path == '/' ? snprintf(ret_path, PATH_MAX, "%s", path)
			     : snprintf(ret_path, PATH_MAX, "%s/%s", cwd, path);

	return n < 0 || n >= PATH_MAX ? -ENAMETOOLONG : 0;
}

static int run(bool foreground, char **argv)
{
	static char program[PATH_MAX], cwd[PATH_MAX];
	struct launch launch = {.report_fd = -1, .foreground = foreground};
	struct holder_options opt = {.program = program, .args = argv + 1, .cwd = cwd};
	struct errmsg err;
	int r = 0;

	if (!getcwd(cwd, sizeof(cwd)))
		r = err_set(&err, errno, "current directory: %s", strerror(errno));
	if (!r && absolute(cwd, argv[0], program))
		r = err_set(&err, ENAMETOOLONG, "%s: %s", argv[0],
			    strerror(ENAMETOOLONG));
	if (!r)
		r = launch_begin(&launch, &err);
	return r ? launch_failed(&launch, EXIT_USAGE, &err) : holder_run(&opt, &launch);
}

int main(int argc, char **argv)
{
	bool foreground = false;
	int c;

	while ((c = getopt(argc, argv, "+fV")) != -1) {
		switch (c) {
		case 'f':
			foreground = true;
			break;
		case 'V':
			puts("memofs-holder " MEMOFS_VERSION);
			return EXIT_OK;
		default:
			fputs(usage, stderr);
			return EXIT_USAGE;
		}
	}
	if (optind == argc) {
		fputs(usage, stderr);
		return EXIT_USAGE;
	}
	/* Who is the first process of a container is its end. */
	return run(foreground || getpid() == 1, argv + optind);
}
