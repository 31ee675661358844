/* SPDX-License-Identifier: Apache-2.0 */
/*
 * memofsd: the daemon behind one mount. `memofs mount` starts it; its options
 * are the same.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/care.h"
#include "fs/config.h"
#include "fs/daemon.h"
#include "fs/held.h"
#include "fs/launch.h"
#include "store/util/buf.h"
#include "store/util/log.h"

static const char usage[] =
    "usage: memofsd [-f] [-d] [-o OPTION[,OPTION...]] [--config FILE] [--log WHERE]\n"
    "               STORE MOUNTPOINT\n"
    "\n"
    "Serves STORE, a directory, at MOUNTPOINT; returns when the mount answers.\n"
    "\n"
    "  -f, --foreground   stay, and log to stderr\n"
    "  -d, --debug        stay, and log everything\n"
    "  -o OPTION          a key of `mount` or `store` in memofs.conf(5), with its "
    "value;\n"
    "                     also backend=rocksdb|memory, nonempty, holder=yes|no\n"
    "      --config FILE  read settings; again on SIGHUP\n"
    "      --log WHERE    stderr, syslog, or a file\n"
    "      --check STORE  look through a store that is not mounted; with --repair,\n"
    "                     drop what is damaged, with --database have the database\n"
    "                     made anew before, with --fast read no contents\n"
    "      --backup STORE make STORE/backup of a store that is not mounted\n"
    "  -h, --help         this\n"
    "  -V, --version      the version\n"
    "\n"
    "Exit status: 0 mounted; 2 command line or configuration; 3 the store cannot be\n"
    "opened; 4 it cannot be mounted.\n";

struct arguments {
	struct daemon_options opt;
	struct config command_line;
	const char *given_mountpoint;
	const char *check, *backup; /* a store: not to be mounted */
	int held_fd;		    /* to the holder; 0: there is none */
	struct care_options care;
	char store_path[PATH_MAX], mountpoint[PATH_MAX], config_path[PATH_MAX];
};

/* Relative paths are from where the first daemon was started; `cwd` is NULL for that. */
static int absolute(const char *cwd, const char *path, char ret_path[PATH_MAX],
		    struct errmsg *err)
{
	char here[PATH_MAX];
	int n;

	if (*path == '/') {
		n = snprintf(ret_path, PATH_MAX, "%s", path);
	} else {
		if (!cwd && !getcwd(here, sizeof(here)))
			return err_set(err, errno, "current directory: %s",
				       strerror(errno));
		n = snprintf(ret_path, PATH_MAX, "%s/%s", cwd ? cwd : here, path);
	}
	if (n < 0 || n >= PATH_MAX)
		return err_set(err, ENAMETOOLONG, "%s: %s", path, strerror(ENAMETOOLONG));
	return 0;
}

/*
 * As mountinfo will show it, if it is there; else as given, for the message. A successor
 * has it from the holder, because to look there is to ask itself.
 */
static int find_mountpoint(struct arguments *a, struct errmsg *err)
{
	const struct held *held = a->opt.held;

	a->opt.mountpoint = a->mountpoint;
	if (held && held->resumes)
		return absolute(NULL, held->begin.mountpoint, a->mountpoint, err);
	if (realpath(a->given_mountpoint, a->mountpoint))
		return 0;
	return absolute(a->opt.cwd, a->given_mountpoint, a->mountpoint, err);
}

static int set_option(struct arguments *a, const char *key, const char *value,
		      struct errmsg *err)
{
	if (strcmp(key, "nonempty") == 0 && !value) {
		a->opt.nonempty = true;
		return 0;
	}
	if (strcmp(key, "holder") == 0) {
		if (!value || (strcmp(value, "yes") != 0 && strcmp(value, "no") != 0))
			return err_set(err, EINVAL,
				       "-o holder: \"%s\" is not one; use yes or no",
				       value ? value : "");
		a->opt.alone = strcmp(value, "no") == 0; /* memofs mount saw to it */
		return 0;
	}
	if (strcmp(key, "backend") == 0) {
		if (value && strcmp(value, "rocksdb") == 0)
			a->opt.kind = STORE_ROCKSDB;
		else if (value && strcmp(value, "memory") == 0)
			a->opt.kind = STORE_MEMORY;
		else
			return err_set(
			    err, EINVAL,
			    "-o backend: \"%s\" is not one; use rocksdb or memory",
			    value ? value : "");
		return 0;
	}
	return config_set_option(&a->command_line, key, value, err);
}

/* KEY[=VALUE],…; the text is cut up. */
static int set_options(struct arguments *a, char *text, struct errmsg *err)
{
	for (char *key = strsep(&text, ","); key; key = strsep(&text, ",")) {
		char *value = strchr(key, '=');
		int r;

		if (!*key)
			continue;
		if (value)
			*value++ = '\0';
		r = set_option(a, key, value, err);
		if (r)
			return r;
	}
	return 0;
}

static int take_paths(struct arguments *a, int argc, char **argv, struct errmsg *err)
{
	if (argc != 2)
		return err_set(err, EINVAL,
			       argc < 2 ? "STORE and MOUNTPOINT are missing; see --help"
					: "more than STORE and MOUNTPOINT; see --help");
	if (absolute(a->opt.cwd, argv[0], a->store_path, err))
		return -EINVAL;
	a->opt.store_path = a->store_path;
	a->given_mountpoint = argv[1];
	return 0;
}

static int set_debug(struct arguments *a, struct errmsg *err)
{
	a->opt.foreground = true;
	return config_set_option(&a->command_line, "log-level", "debug", err);
}

enum {
	OPT_CONFIG = 256,
	OPT_LOG,
	OPT_CHECK,
	OPT_BACKUP,
	OPT_REPAIR,
	OPT_FAST,
	OPT_DATABASE,
	OPT_HELD,
	OPT_CWD
};

/* The holder's end of a socket, which nothing that is started here shall have. */
static int take_held(struct arguments *a, const char *text, struct errmsg *err)
{
	int fd = atoi(text);

	if (fd <= STDERR_FILENO || fcntl(fd, F_SETFD, FD_CLOEXEC))
		return err_set(err, EINVAL,
			       "--held: \"%s\" is no descriptor of a holder; see memofs "
			       "mount --help",
			       text);
	a->held_fd = fd;
	return 0;
}

/* 0: go on; 1: done, exit well; -errno with a message. */
static int parse(struct arguments *a, int argc, char **argv, struct errmsg *err)
{
	static const struct option longs[] = {
	    {"foreground", no_argument, NULL, 'f'},
	    {"debug", no_argument, NULL, 'd'},
	    {"config", required_argument, NULL, OPT_CONFIG},
	    {"log", required_argument, NULL, OPT_LOG},
	    {"check", required_argument, NULL, OPT_CHECK},
	    {"backup", required_argument, NULL, OPT_BACKUP},
	    {"repair", no_argument, NULL, OPT_REPAIR},
	    {"fast", no_argument, NULL, OPT_FAST},
	    {"database", no_argument, NULL, OPT_DATABASE},
	    {"held", required_argument, NULL, OPT_HELD},
	    {"cwd", required_argument, NULL, OPT_CWD},
	    {"help", no_argument, NULL, 'h'},
	    {"version", no_argument, NULL, 'V'},
	    {0},
	};
	int c, r = 0;

	while (!r && (c = getopt_long(argc, argv, "fdo:hV", longs, NULL)) != -1) {
		switch (c) {
		case 'f':
			a->opt.foreground = true;
			break;
		case 'd':
			r = set_debug(a, err);
			break;
		case 'o':
			r = set_options(a, optarg, err);
			break;
		case OPT_CONFIG:
			r = absolute(a->opt.cwd, optarg, a->config_path, err);
			a->opt.config_path = a->config_path;
			break;
		case OPT_LOG:
			r = config_set_option(&a->command_line, "log", optarg, err);
			break;
		case OPT_CHECK:
			a->check = optarg;
			break;
		case OPT_BACKUP:
			a->backup = optarg;
			break;
		case OPT_REPAIR:
			a->care.set |= CARE_REPAIR;
			break;
		case OPT_FAST:
			a->care.set |= CARE_FAST;
			break;
		case OPT_DATABASE:
			a->care.set |= CARE_DATABASE;
			break;
		case OPT_HELD:
			r = take_held(a, optarg, err);
			break;
		case OPT_CWD:
			a->opt.cwd = optarg;
			break;
		case 'h':
			fputs(usage, stdout);
			return 1;
		case 'V':
			puts("memofsd " MEMOFS_VERSION);
			return 1;
		default:
			return err_set(err, EINVAL, "see memofsd --help");
		}
	}
	if (!r && (a->check || a->backup))
		return optind < argc ? err_set(err, EINVAL, "too many words; see --help")
				     : 0;
	return r ? r : take_paths(a, argc - optind, argv + optind, err);
}

static int load_config(const struct arguments *a, struct config *c, struct errmsg *err)
{
	int r;

	if (a->opt.config_path) {
		r = config_load(a->opt.config_path, c, err);
		if (r)
			return r;
	}
	r = config_merge(c, &a->command_line);
	return r ? err_set(err, -r, "%s", strerror(-r)) : 0;
}

static void tell_holder(void *arg, enum exit_code code, const struct errmsg *err)
{
	if (code == EXIT_OK)
		held_ready(arg);
	else
		held_failed(arg, code, err);
}

static int take_holder(struct arguments *a, struct launch *launch, struct errmsg *err)
{
	int r = held_begin(a->held_fd, &a->opt.held, err);

	if (r)
		return r;
	launch->tell = tell_holder;
	launch->arg = a->opt.held;
	return 0;
}

static int run(struct arguments *a, int argc, char **argv)
{
	struct launch launch = {.report_fd = -1};
	struct config config;
	struct errmsg err;
	int r = parse(a, argc, argv, &err);

	if (r <= 0 && a->held_fd && take_holder(a, &launch, &err))
		return launch_failed(&launch, EXIT_USAGE, &err);

	if (r > 0)
		return EXIT_OK;
	if (!r && a->check)
		return care_offline_check(a->check, &a->care);
	if (!r && a->backup)
		return care_offline_backup(a->backup);
	config_init(&config);
	launch.foreground = a->opt.foreground;
	if (!r)
		r = find_mountpoint(a, &err);
	if (!r)
		r = load_config(a, &config, &err);
	if (!r)
		r = launch_begin(&launch, &err);
	if (r)
		r = launch_failed(&launch, EXIT_USAGE, &err);
	else
		r = daemon_run(&a->opt, &a->command_line, &config, &launch);
	config_deinit(&config);
	held_free(a->opt.held);
	return r;
}

int main(int argc, char **argv)
{
	static struct arguments a; /* three paths are much for a stack */
	int code;

	config_init(&a.command_line);
	code = run(&a, argc, argv);
	config_deinit(&a.command_line);
	return code;
}
