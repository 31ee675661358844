/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Unmounting, and waiting for the daemon: only when its process has ended is
 * the store free for the next one.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <spawn.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/commands.h"
#include "cli/holders.h"
#include "cli/message.h"
#include "cli/paths.h"
#include "cli/probe.h"
#include "store/util/duration.h"

#define HOLDERS_SHOWN 5
#define WAIT_DEFAULT_NS (60 * NSEC_PER_SEC)

struct umount_options {
	bool lazy;
	struct cli_duration timeout;
};

static const struct cli_option options[] = {
    {'l', "lazy", CLI_FLAG, offsetof(struct umount_options, lazy), NULL,
     "take it out of sight now, even when busy; do not wait", NULL},
    {'t', "timeout", CLI_DURATION, offsetof(struct umount_options, timeout), "DURATION",
     "how long to wait for the daemon to end (60s; 0: not at all)", NULL},
    CLI_END,
};

/*
 * Status gives the pid as the daemon sees it. In another pid namespace that
 * number may be anybody's: a daemon of FUSE has /dev/fuse open.
 */
static bool has_dev_fuse(pid_t pid)
{
	char path[64], target[32];
	bool seen_any = false;

	for (int fd = 0; fd < 64; fd++) {
		ssize_t n;

		snprintf(path, sizeof(path), "/proc/%d/fd/%d", (int)pid, fd);
		n = readlink(path, target, sizeof(target) - 1);
		if (n < 0 && errno == EACCES)
			return true; /* another user's: believe it */
		if (n < 0)
			continue;
		seen_any = true;
		target[n] = '\0';
		if (strcmp(target, "/dev/fuse") == 0)
			return true;
	}
	return !seen_any;
}

/* A pidfd of the daemon, or -1 when it is not known. */
static int daemon_pidfd(const char *mountpoint, pid_t *ret_pid)
{
	CLEANUP_STATUS struct status st = STATUS_INIT;
	pid_t pid;

	if (status_read(mountpoint, PROBE_TIMEOUT_NS, &st))
		return -1;
	if (status_value(&st, "attached_to"))
		return -1; /* its daemon goes on */
	pid = status_pid(&st);
	if (pid <= 0 || pid == getpid() || !has_dev_fuse(pid))
		return -1;
	*ret_pid = pid;
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

/* The first line that comes from `fd`, which is closed; NULL when none does. */
static char *first_line(int fd)
{
	FILE *in = fdopen(fd, "r");
	char *line = NULL;
	size_t cap = 0;

	if (!in) {
		close(fd);
		return NULL;
	}
	if (getline(&line, &cap, in) > 0) {
		line[strcspn(line, "\n")] = '\0';
	} else {
		free(line);
		line = NULL;
	}
	fclose(in);
	return line;
}

/* Run the set-user-id helper with its errors in a pipe. */
static int spawn_helper(const char *point, bool lazy, pid_t *ret_pid, int *ret_errors)
{
	const char *const argv[] = {"fusermount3", "-u",  lazy ? "-qz" : "-q",
				    "--",	   point, NULL};
	posix_spawn_file_actions_t actions;
	int fds[2], r;

	if (pipe2(fds, O_CLOEXEC))
		return -errno;
	r = posix_spawn_file_actions_init(&actions);
	if (r == 0) {
		r = posix_spawn_file_actions_adddup2(&actions, fds[1], STDERR_FILENO);
		if (r == 0)
			r = posix_spawnp(ret_pid, argv[0], &actions, NULL,
					 (char *const *)argv, environ);
		posix_spawn_file_actions_destroy(&actions);
	}
	close(fds[1]);
	if (r) {
		close(fds[0]);
		return -r;
	}
	*ret_errors = fds[0];
	return 0;
}

/*
 * Who has no CAP_SYS_ADMIN asks the helper. It is silent about a mount that is
 * busy (-EBUSY); else *ret_said is what it said, to be freed.
 */
static int unmount_by_helper(const char *point, bool lazy, char **ret_said)
{
	int status, errors = -1, r;
	char *said;
	pid_t pid;

	r = spawn_helper(point, lazy, &pid, &errors);
	if (r)
		return r;
	said = first_line(errors);
	while (waitpid(pid, &status, 0) < 0) {
		if (errno != EINTR) {
			free(said);
			return -errno;
		}
	}
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		free(said);
		return 0;
	}
	*ret_said = said;
	return said ? -EIO : -EBUSY;
}

static int unmount(const struct mount *m, bool lazy, char **ret_said)
{
	int r;

	if (umount2(m->point, UMOUNT_NOFOLLOW | (lazy ? MNT_DETACH : 0)) == 0)
		return 0;
	if (errno != EPERM)
		return -errno;
	if (!mount_is_mine(m))
		return -EPERM;
	r = unmount_by_helper(m->point, lazy, ret_said);
	return r == -ENOENT ? -EPERM : r;
}

static void complain_busy(const struct mounts *ms, const struct mount *m)
{
	const struct mount *inside = mounts_inside(ms, m);
	CLEANUP_BUF struct buf who = BUF_INIT;

	if (inside)
		cli_error("%s is busy: %s is mounted in it; unmount that first", m->point,
			  inside->point);
	else if (holders_describe(m->dev, HOLDERS_SHOWN, &who))
		cli_error("%s is busy: %s", m->point, (char *)who.data);
	else
		cli_error("%s is busy; who uses it waits for an entry, "
			  "or is a process you may not look into",
			  m->point);
}

/* It is unmounted, and the daemon goes on. */
static void complain_alive(const struct mount *m, pid_t pid)
{
	CLEANUP_BUF struct buf who = BUF_INIT;

	if (holders_elsewhere(m->dev, HOLDERS_SHOWN, &who))
		cli_error("%s is unmounted here, but not in other mount namespaces: %s; "
			  "its daemon (pid %d) serves them, and the store is in use "
			  "until they are gone",
			  m->point, (char *)who.data, (int)pid);
	else
		cli_error("%s is unmounted, but its daemon (pid %d) has not ended yet; "
			  "the store is in use until it has",
			  m->point, (int)pid);
}

/* Until the daemon has ended. False when it takes too long. */
static bool wait_for_end(int pidfd, int64_t timeout_ns)
{
	struct pollfd pfd = {.fd = pidfd, .events = POLLIN};
	int64_t ms = timeout_ns / 1000000;
	int r;

	do {
		r = poll(&pfd, 1, ms > INT_MAX ? -1 : (int)ms);
	} while (r < 0 && errno == EINTR);
	return r > 0;
}

static int umount_one(const struct umount_options *o, const char *path)
{
	int64_t timeout_ns = o->timeout.text ? o->timeout.ns : WAIT_DEFAULT_NS;
	CLEANUP_MOUNTS struct mounts ms = MOUNTS_INIT;
	bool wait = !o->lazy && timeout_ns > 0;
	CLEANUP_FREE char *said = NULL;
	CLEANUP_FD int pidfd = -1;
	const struct mount *m;
	pid_t pid = 0;
	int r;

	if (mounts_read(&ms))
		return CLI_FAILED;
	m = path_mount_point(&ms, path);
	if (!m)
		return CLI_MOUNT;
	if (wait)
		pidfd = daemon_pidfd(m->point, &pid);
	r = unmount(m, o->lazy, &said);
	if (r == -EBUSY)
		complain_busy(&ms, m);
	else if (r)
		cli_error("cannot unmount %s: %s", m->point, said ? said : strerror(-r));
	if (r)
		return r == -EPERM || r == -EACCES ? CLI_FAILED : CLI_MOUNT;
	/* Those of other namespaces, too: most live for a moment only. */
	if (pidfd < 0 || wait_for_end(pidfd, timeout_ns))
		return CLI_OK;
	complain_alive(m, pid);
	return CLI_MOUNT;
}

static int run(const void *opt, char **operands, size_t n)
{
	int status = CLI_OK;

	for (size_t i = 0; i < n; i++)
		status = cli_worse(status, umount_one(opt, operands[i]));
	return status;
}

const struct command cmd_umount = {
    .name = "umount",
    .args = "MOUNTPOINT…",
    .summary = "unmount, and wait until the store is free",
    .detail = "Returns when the daemon has written everything and ended. A mount whose\n"
	      "daemon died is unmounted as well. When something in it is in use, says\n"
	      "by whom, and nothing changes.\n",
    .exits = "0  unmounted, and the daemon has ended\n"
	     "3  not permitted\n"
	     "4  not a memofs mount, busy, or the daemon is still ending",
    .example = "memofs umount /tmp/cache",
    .options = options,
    .options_size = sizeof(struct umount_options),
    .operands_min = 1,
    .operands_max = CLI_MANY,
    .run = run,
};
