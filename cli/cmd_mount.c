/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

#include "cli/attach.h"
#include "cli/commands.h"
#include "cli/daemonpath.h"
#include "cli/message.h"

struct mount_options {
	bool foreground, debug, read_only, attach;
	struct cli_list options;
	const char *config, *log;
};

static const struct cli_option options[] = {
    {'f', "foreground", CLI_FLAG, offsetof(struct mount_options, foreground), NULL,
     "stay in the foreground, log to stderr", NULL},
    {'d', "debug", CLI_FLAG, offsetof(struct mount_options, debug), NULL,
     "foreground, and log every request", NULL},
    {0, "read-only", CLI_FLAG, offsetof(struct mount_options, read_only), NULL,
     "refuse every change, and open files inside the kernel", NULL},
    {0, "attach", CLI_FLAG, offsetof(struct mount_options, attach), NULL,
     "STORE is a mount: one more, read-only, of what is mounted there", NULL},
    {'o', "option", CLI_LIST, offsetof(struct mount_options, options), "NAME[=VALUE],…",
     "options of the mount or the store; may be repeated", NULL},
    {0, "config", CLI_STRING, offsetof(struct mount_options, config), "FILE",
     "read the configuration from FILE (YAML)", NULL},
    {0, "log", CLI_STRING, offsetof(struct mount_options, log), "FILE|syslog|stderr",
     "where the daemon logs; a FILE is written with a slash", NULL},
    CLI_END,
};

/* The last `holder=` of all options decides; the daemon complains of a wrong one. */
static bool wants_holder(const struct cli_list *list)
{
	static const char key[] = "holder=";
	const size_t len = sizeof(key) - 1;
	bool wants = true;

	for (size_t i = 0; i < list->len; i++) {
		const char *at = list->item[i];

		for (; at; at = strchr(at, ','), at = at ? at + 1 : NULL)
			if (strncmp(at, key, len) == 0)
				wants = strcspn(at + len, ",") != 2 ||
					strncmp(at + len, "no", 2) != 0;
	}
	return wants;
}

static int run(const void *opt, char **operands, size_t n)
{
	const struct mount_options *o = opt;
	const char *argv[2 * CLI_LIST_MAX + 16];
	CLEANUP_FREE char *daemon = NULL, *holder = NULL;
	/* Who is the first process of a container is its end. */
	bool foreground = o->foreground || getpid() == 1;
	size_t argc = 0;

	if (!*operands[0] || !*operands[1]) {
		cli_error("mount: %s is empty", *operands[0] ? "MOUNTPOINT" : "STORE");
		return CLI_USAGE;
	}
	if (o->attach &&
	    (o->foreground || o->debug || o->config || o->log || o->options.len)) {
		cli_error("mount: --attach takes no other options: what it shows has the "
			  "settings of %s",
			  operands[0]);
		return CLI_USAGE;
	}
	if (o->attach)
		return attach(operands[0], operands[1]);
	daemon = daemon_path("mount");
	if (!daemon)
		return CLI_MOUNT;
	if (wants_holder(&o->options))
		holder = daemon_holder_path(daemon);
	if (holder) {
		argv[argc++] = "memofs-holder";
		if (foreground || o->debug)
			argv[argc++] = "-f";
		argv[argc++] = daemon;
	} else {
		argv[argc++] = "memofsd";
	}
	if (foreground)
		argv[argc++] = "-f";
	if (o->debug)
		argv[argc++] = "-d";
	if (o->read_only) {
		argv[argc++] = "-o";
		argv[argc++] = "ro";
	}
	for (size_t i = 0; i < o->options.len; i++) {
		argv[argc++] = "-o";
		argv[argc++] = o->options.item[i];
	}
	if (o->config) {
		argv[argc++] = "--config";
		argv[argc++] = o->config;
	}
	if (o->log) {
		argv[argc++] = "--log";
		argv[argc++] = o->log;
	}
	argv[argc++] = "--";
	argv[argc++] = operands[0];
	argv[argc++] = operands[1];
	argv[argc] = NULL;
	execv(holder ? holder : daemon, (char **)argv);
	cli_error("mount: cannot run %s: %s", holder ? holder : daemon, strerror(errno));
	return CLI_MOUNT;
}

const struct command cmd_mount = {
    .name = "mount",
    .args = "STORE MOUNTPOINT",
    .summary = "mount a store; returns when the mount answers",
    .detail =
	"STORE is a directory on a local disk; it is made when its parent exists.\n"
	"MOUNTPOINT is an empty directory. One daemon serves one mount, and no\n"
	"other can open the store meanwhile. Errors are shown here, not only in\n"
	"the log.\n"
	"\n"
	"A small process, memofs-holder, keeps the mount when the daemon dies, and\n"
	"starts another, which goes on with all that was open; -o holder=no does\n"
	"without. See also `memofs upgrade`.\n"
	"\n"
	"With --attach, STORE is where a store is mounted for writing: what is there is\n"
	"mounted once more, read-only, by the same daemon, and ends with it.\n",
    .exits = "0  mounted (with -f: it was unmounted)\n"
	     "2  the command line or the configuration is wrong\n"
	     "3  the store cannot be opened: locked, damaged, newer, no permission\n"
	     "4  it cannot be mounted there",
    .example = "mkdir /tmp/cache\n"
	       "memofs mount --log /tmp/memofs.log /var/tmp/store /tmp/cache",
    .options = options,
    .options_size = sizeof(struct mount_options),
    .operands_min = 2,
    .operands_max = 2,
    .run = run,
};
