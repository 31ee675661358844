/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The mount is made here, with what the caller may and in his mount namespace; the daemon
 * gets its connection, through a socket in the store's directory
 * (store/util/attach_packet.h).
 */
#include "cli/attach.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/message.h"
#include "cli/paths.h"
#include "cli/probe.h"
#include "store/util/attach_packet.h"
#include "store/util/fdpass.h"

/* The daemon answers within milliseconds, and hears one after the other. */
enum { ANSWER_MAX_S = 30 };

/* ---- mounting ---- */

static int run_helper(const char *const argv[])
{
	int status = -1, r;
	pid_t pid;

	r = posix_spawnp(&pid, argv[0], NULL, NULL, (char *const *)argv, environ);
	if (r) {
		cli_error("mount: %s cannot be run: %s; it is in the package fuse3",
			  argv[0], strerror(r));
		return -r;
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	return status ? -EIO : 0;
}

static void unmount(const char *point)
{
	const char *const argv[] = {"fusermount3", "-uz", "--", point, NULL};

	if (umount2(point, MNT_DETACH | UMOUNT_NOFOLLOW))
		(void)run_helper(argv);
}

/* Commas and backslashes of a path would begin another option. */
static char *helper_options(const char *store)
{
	char *options = xcalloc(2 * strlen(store) + 128, 1), *at;

	at =
	    stpcpy(options, "ro,nosuid,nodev,default_permissions,subtype=memofs,fsname=");
	for (; *store; store++) {
		if (*store == ',' || *store == '\\')
			*at++ = '\\';
		*at++ = *store;
	}
	return options;
}

/* The connection, or -1: the helper has said why. */
static int mount_by_helper(const char *store, const char *point)
{
	CLEANUP_FREE char *options = helper_options(store);
	const char *const argv[] = {"fusermount3", "-o", options, "--", point, NULL};
	int fds[2], fd = -1;
	char number[16], byte;

	if (socketpair(AF_UNIX, SOCK_STREAM, 0, fds)) {
		cli_error("mount: %s", strerror(errno));
		return -1;
	}
	snprintf(number, sizeof(number), "%d", fds[1]);
	fcntl(fds[0], F_SETFD, FD_CLOEXEC);
	if (setenv("_FUSE_COMMFD", number, 1) == 0 && run_helper(argv) == 0)
		(void)fdpass_receive(fds[0], &byte, 1, &fd, 1);
	close(fds[0]);
	close(fds[1]);
	return fd;
}

/*
 * Others may use what root mounts, as of a mount with a daemon of its own; but not what
 * they may not use where it is live.
 */
static int mount_by_hand(const struct mount *live, const char *store, const char *point,
			 int fd)
{
	bool others = geteuid() == 0 && mount_has_option(live, "allow_other");
	char options[160];

	snprintf(options, sizeof(options),
		 "fd=%d,rootmode=40000,user_id=%u,group_id=%u,default_permissions%s", fd,
		 (unsigned int)geteuid(), (unsigned int)getegid(),
		 others ? ",allow_other" : "");
	return mount(store, point, "fuse.memofs", MS_RDONLY | MS_NOSUID | MS_NODEV,
		     options)
		   ? -errno
		   : 0;
}

/* The connection, or -1 after a message. */
static int mount_at(const struct mount *live, const char *store, const char *point)
{
	int fd = open("/dev/fuse", O_RDWR | O_CLOEXEC);
	int r = fd < 0 ? -errno : mount_by_hand(live, store, point, fd);

	if (!r)
		return fd;
	if (fd >= 0)
		close(fd);
	if (geteuid() && (r == -EPERM || r == -EACCES))
		return mount_by_helper(store, point);
	cli_error("mount: %s: %s", fd < 0 ? "/dev/fuse" : point, strerror(-r));
	return -1;
}

static bool is_empty(DIR *d)
{
	const struct dirent *e;

	while ((e = readdir(d)))
		if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
			return false;
	return true;
}

/* Absolute, or NULL after a message. */
static char *check_point(const struct mounts *ms, const char *path)
{
	char *point = realpath(path, NULL);
	const struct mount *m = point ? mounts_at(ms, point) : NULL;
	DIR *d = point ? opendir(point) : NULL;

	if (!d)
		cli_error("mount: %s: %s; MOUNTPOINT is an empty directory", path,
			  strerror(errno));
	else if (strlen(point) >= PATH_MAX)
		cli_error("mount: the path of %s is too long", path);
	else if (m && mount_is_memofs(m))
		cli_error("mount: a memofs is mounted on %s already", point);
	else if (!is_empty(d))
		cli_error("mount: %s is not empty", point);
	else
		path = NULL;
	if (d)
		closedir(d);
	if (path) {
		free(point);
		return NULL;
	}
	return point;
}

/* ---- the daemon ---- */

/* -errno. */
static int connect_to(const char *store)
{
	const struct timeval tv = {.tv_sec = ANSWER_MAX_S};
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	CLEANUP_FD int dir = open(store, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int fd = dir < 0 ? -1 : socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), r;

	if (fd < 0)
		return -errno;
	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	snprintf(addr.sun_path, sizeof(addr.sun_path), "/proc/self/fd/%d/" ATTACH_SOCKET,
		 dir);
	if (connect(fd, (struct sockaddr *)&addr, sizeof(addr)) == 0)
		return fd;
	r = -errno;
	close(fd);
	return r;
}

/*
 * Where the store's path is taken for that of the live mount, which is in the namespace
 * of who calls this, somebody else may listen; and would be given a mount to serve.
 * The mount's options have the number of its user as it is in its user namespace, and the
 * socket that of who listens as it is in ours: check_user_ns() was before this.
 */
static int check_listener(int fd, const struct mount *live, const char *store)
{
	struct ucred who;
	socklen_t len = sizeof(who);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &who, &len)) {
		cli_error("mount: %s/" ATTACH_SOCKET ": %s", store, strerror(errno));
		return -EIO;
	}
	if (who.uid == 0 || mount_is_of(live, who.uid))
		return 0;
	cli_error("mount: cannot attach to %s: user %u listens at %s/" ATTACH_SOCKET
		  ", and neither root nor who has mounted it; is that its store here?",
		  live->point, (unsigned int)who.uid, store);
	return -EPERM;
}

static int describe(const char *point, struct attach_packet *ret_packet)
{
	CLEANUP_MOUNTS struct mounts ms = MOUNTS_INIT;
	const struct mount *m;
	struct stat st;

	if (mounts_read(&ms))
		return -EIO;
	m = mounts_at(&ms, point);
	if (!m || !mount_is_memofs(m)) {
		cli_error("mount: what was mounted on %s is not there", point);
		return -ENOENT;
	}
	*ret_packet = (struct attach_packet){.form = ATTACH_FORM, .dev = m->dev};
	if (stat("/proc/self/ns/pid", &st) == 0)
		ret_packet->pid_ns = st.st_ino;
	if (stat("/proc/self/ns/user", &st) == 0) {
		ret_packet->user_ns_dev = st.st_dev;
		ret_packet->user_ns = st.st_ino;
	}
	snprintf(ret_packet->mountpoint, sizeof(ret_packet->mountpoint), "%s", point);
	return 0;
}

/* 0 when the daemon serves it; else after a message. */
static int hand_over(int to, int fuse_fd, const char *point)
{
	char answer[ATTACH_ANSWER_MAX + 1];
	struct attach_packet packet;
	ssize_t n;
	int r = describe(point, &packet);

	if (r)
		return r;
	r = fdpass_send(to, &packet, sizeof(packet), &fuse_fd, 1);
	n = r ? -1 : recv(to, answer, sizeof(answer) - 1, 0);
	if (n == 1 && !*answer)
		return 0;
	answer[n > 0 ? n : 0] = '\0';
	cli_error("mount: %s is not attached: %s", point,
		  n > 0 ? answer : "the daemon has not answered");
	return -EIO;
}

/* Nothing but its two descriptors is left of where it was started. */
static void be_alone(int to, int fuse_fd)
{
	const int null = open("/dev/null", O_RDWR);
	const int own[] = {null, null, null, to, fuse_fd};
	int high[5];

	(void)!chdir("/");
	setsid();
	for (int i = 0; i < 5; i++)
		high[i] = fcntl(own[i], F_DUPFD, 16);
	for (int i = 0; i < 5; i++)
		dup2(high[i], i);
	(void)close_range(5, ~0u, 0);
}

/*
 * Until the daemon does not serve it any more. See store/util/attach_packet.h. Without
 * the means for it the kernel keeps no names.
 */
static _Noreturn void guard(void)
{
	const struct timeval forever = {0};
	const struct attach_notice epoch = {
	    .len = sizeof(epoch),
	    .error = ATTACH_NOTIFY_INC_EPOCH,
	};
	char byte;
	ssize_t n;

	setsockopt(3, SOL_SOCKET, SO_RCVTIMEO, &forever, sizeof(forever));
	do
		n = recv(3, &byte, 1, 0);
	while (n > 0 || (n < 0 && errno == EINTR));
	(void)!write(4, &epoch, sizeof(epoch));
	_exit(CLI_OK);
}

/* Without it a death of the daemon is seen half a minute later. */
static void start_guard(int to, int fuse_fd)
{
	pid_t pid = fork();

	if (pid < 0)
		cli_error("mount: no guard can be started: %s", strerror(errno));
	if (pid)
		return;
	be_alone(to, fuse_fd);
	guard();
}

static int attach_to(const struct mount *live, const char *store, const char *point)
{
	CLEANUP_STATUS struct status st = STATUS_INIT;
	CLEANUP_FD int to = connect_to(store);
	CLEANUP_FD int fd = -1;
	int r;

	if (to < 0) {
		cli_error(
		    "mount: cannot attach to %s: %s/" ATTACH_SOCKET ": %s; only root "
		    "and who has mounted it may, where the store's directory is seen",
		    live->point, store, strerror(-to));
		return to == -EACCES || to == -EPERM ? CLI_FAILED : CLI_MOUNT;
	}
	if (check_listener(to, live, store))
		return CLI_FAILED;
	fd = mount_at(live, store, point);
	if (fd < 0)
		return CLI_MOUNT;
	r = hand_over(to, fd, point);
	if (!r)
		start_guard(to, fd);
	close(fd); /* it ends with the daemon */
	fd = -1;
	if (!r) {
		r = status_read(point, PROBE_TIMEOUT_NS, &st);
		if (!r)
			return CLI_OK;
		cli_error("mount: %s: %s", point, status_trouble(r));
	}
	unmount(point);
	return CLI_MOUNT;
}

/* Is ours the daemon's, in which the live mount was made? Else after a message. */
static bool check_user_ns(const struct mount *live, const struct status *st)
{
	const char *daemons = status_value(st, ATTACH_USER_NS);
	char ours[64] = "";
	struct stat ns;

	if (stat("/proc/self/ns/user", &ns) == 0)
		snprintf(ours, sizeof(ours), ATTACH_USER_NS_FORM, (uintmax_t)ns.st_dev,
			 (uintmax_t)ns.st_ino);
	if (!daemons)
		cli_error("mount: nothing can be attached to %s: its daemon does not say "
			  "which user namespace it is in; is /proc mounted there?",
			  live->point);
	else if (strcmp(daemons, ours) != 0)
		cli_error("mount: cannot attach to %s: its daemon is in another user "
			  "namespace, where users have other ids: attach it there, and "
			  "bind-mount it here",
			  live->point);
	return daemons && strcmp(daemons, ours) == 0;
}

/* NULL after a message. */
static const char *store_of(const struct mount *m, const struct status *st, int r)
{
	const char *above = status_value(st, "attached_to");

	if (r)
		cli_error("mount: %s: %s", m->point, status_trouble(r));
	else if (above)
		cli_error("mount: %s is attached itself: attach to %s", m->point, above);
	else if (mount_has_option(m, "ro"))
		cli_error("mount: %s is read-only itself: bind-mount it", m->point);
	else if (check_user_ns(m, st))
		return status_value(st, "store");
	return NULL;
}

int attach(const char *live, const char *path)
{
	CLEANUP_STATUS struct status st = STATUS_INIT;
	CLEANUP_MOUNTS struct mounts ms = MOUNTS_INIT;
	CLEANUP_FREE char *point = NULL;
	const struct mount *m;
	const char *store;
	int r;

	if (mounts_read(&ms))
		return CLI_FAILED;
	m = path_mount_point(&ms, live);
	if (!m)
		return CLI_MOUNT;
	r = status_read(m->point, PROBE_TIMEOUT_NS, &st);
	store = store_of(m, &st, r);
	if (!store)
		return CLI_MOUNT;
	point = check_point(&ms, path);
	return point ? attach_to(m, store, point) : CLI_MOUNT;
}
