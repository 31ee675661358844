/* SPDX-License-Identifier: Apache-2.0 */
/* One thread takes one packet after the other; who says nothing is waited for shortly. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/un.h>
#include <unistd.h>

#include "fs/attached.h"
#include "fs/fast.h"
#include "store/util/fdpass.h"
#include "store/util/log.h"

enum { HEAR_MAX_S = 5, PAUSE_MS = 1000 };

/* ---- who asks ---- */

static int peer_of(int fd, struct ucred *ret_who)
{
	socklen_t len = sizeof(*ret_who);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, ret_who, &len) ? -errno : 0;
}

static bool is_allowed(const struct ucred *who)
{
	return who->uid == 0 || who->uid == geteuid();
}

/*
 * The ids in a mount's requests are those of the user namespace in which it was made, and
 * would be taken for others here. He says which that is; the kernel says which one he is
 * in, where he can be seen and looked at. (He could be lying about a connection that
 * another has made, but may read and change all that is here anyway.)
 */
static bool is_of_this_user_ns(const struct ucred *who, const struct attach_packet *p)
{
	struct stat own, of_him;
	char path[64];

	if (stat("/proc/self/ns/user", &own) || p->user_ns_dev != own.st_dev ||
	    p->user_ns != own.st_ino)
		return false;
	snprintf(path, sizeof(path), "/proc/%d/ns/user", (int)who->pid);
	return who->pid <= 0 || stat(path, &of_him) ||
	       (of_him.st_dev == own.st_dev && of_him.st_ino == own.st_ino);
}

/* Of the driver of FUSE: read(2) of anything else would hand requests to who sent it. */
static bool is_fuse(int fd)
{
	struct stat st, dev;

	return fstat(fd, &st) == 0 && S_ISCHR(st.st_mode) &&
	       stat("/dev/fuse", &dev) == 0 && st.st_rdev == dev.st_rdev;
}

static bool is_sound(const struct attach_packet *p, ssize_t len)
{
	return len == (ssize_t)sizeof(*p) && p->form == ATTACH_FORM &&
	       p->mountpoint[0] == '/' &&
	       memchr(p->mountpoint, '\0', sizeof(p->mountpoint));
}

/* -EBADMSG; or as fdpass_receive(). */
static int receive(int fd, struct attach_packet *ret_packet, int *ret_fuse_fd)
{
	int fuse_fd;
	ssize_t len = fdpass_receive(fd, ret_packet, sizeof(*ret_packet), &fuse_fd, 1);

	if (len < 0)
		return (int)len;
	if (fuse_fd < 0 || !is_sound(ret_packet, len) || !is_fuse(fuse_fd)) {
		fdpass_close(&fuse_fd, 1);
		return -EBADMSG;
	}
	*ret_fuse_fd = fuse_fd;
	return 0;
}

static int judge(struct attach *a, const struct ucred *who,
		 const struct attach_packet *packet, struct errmsg *err)
{
	if (!fast_prunes(a->live))
		return err_set(err, EOPNOTSUPP,
			       "this kernel cannot be told to forget files, which it "
			       "takes Linux 6.18 for");
	if (!is_of_this_user_ns(who, packet))
		return err_set(err, EPERM,
			       "it was made in another user namespace than the "
			       "daemon's, where users have other ids: mount it "
			       "outside, and bind-mount it there");
	return 0;
}

static int take_up(struct attach *a, int fd, struct errmsg *err)
{
	struct attach_packet packet;
	struct ucred who;
	int fuse_fd = -1, r;

	if (peer_of(fd, &who) || !is_allowed(&who))
		return err_set(err, EPERM, "only root and who has mounted it may");
	r = receive(fd, &packet, &fuse_fd);
	if (r)
		return err_set(err, -r, "no mount was received: %s", strerror(-r));
	r = judge(a, &who, &packet, err);
	if (!r)
		return attach_one(a, fuse_fd, fd, &packet, err);
	close(fuse_fd);
	return r;
}

static void serve(struct attach *a, int fd)
{
	const struct timeval tv = {.tv_sec = HEAR_MAX_S};
	struct errmsg err = {0};
	int r;

	setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	r = take_up(a, fd, &err);
	if (r)
		log_warning("%s: not attached: %s", a->live->mountpoint, err.text);
	(void)!send(fd, r ? err.text : "", r ? strlen(err.text) : 1, MSG_NOSIGNAL);
}

/* False: it ends, and nobody is heard any more. */
static bool begin_to_hear(struct attach *a, int fd)
{
	bool ending;

	pthread_mutex_lock(&a->asker_lock);
	ending = a->ending;
	a->asker_fd = ending ? -1 : fd;
	pthread_mutex_unlock(&a->asker_lock);
	return !ending;
}

static void hear(struct attach *a, int fd)
{
	if (begin_to_hear(a, fd))
		serve(a, fd);
	pthread_mutex_lock(&a->asker_lock);
	a->asker_fd = -1;
	pthread_mutex_unlock(&a->asker_lock);
	close(fd);
}

/* Who is heard says what he has to say within seconds, or now. */
static void stop_hearing(struct attach *a)
{
	pthread_mutex_lock(&a->asker_lock);
	a->ending = true;
	if (a->asker_fd >= 0)
		shutdown(a->asker_fd, SHUT_RDWR);
	pthread_mutex_unlock(&a->asker_lock);
}

/* ---- the thread ---- */

static void *run(void *arg)
{
	struct attach *a = arg;
	struct pollfd pfd[] = {{.fd = a->listen_fd, .events = POLLIN},
			       {.fd = a->wake_fds[0], .events = POLLIN}};

	for (;;) {
		int fd;

		if (poll(pfd, 2, -1) < 0)
			continue;
		if (pfd[1].revents)
			return NULL;
		fd = accept4(a->listen_fd, NULL, NULL, SOCK_CLOEXEC);
		if (fd >= 0)
			hear(a, fd);
		else if (errno != EAGAIN) /* no descriptor is free: he waits there */
			poll(&pfd[1], 1, PAUSE_MS);
	}
}

/* That of a daemon that died: the store is ours. */
static void remove_socket(int dir_fd)
{
	struct stat st;

	if (fstatat(dir_fd, ATTACH_SOCKET, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	    S_ISSOCK(st.st_mode))
		unlinkat(dir_fd, ATTACH_SOCKET, 0);
}

/* A socket's path is short: it is named through the directory's descriptor. */
static int bind_in(int dir_fd, int fd)
{
	struct sockaddr_un addr = {.sun_family = AF_UNIX};
	int r = 0;

	remove_socket(dir_fd);
	snprintf(addr.sun_path, sizeof(addr.sun_path), "/proc/self/fd/%d/" ATTACH_SOCKET,
		 dir_fd);
	if (bind(fd, (struct sockaddr *)&addr, sizeof(addr)) ||
	    fchmodat(dir_fd, ATTACH_SOCKET, 0600, 0) || listen(fd, 8))
		r = -errno;
	return r;
}

static void close_all(struct attach *a)
{
	const int fds[] = {a->wake_fds[0], a->wake_fds[1], a->listen_fd, a->dir_fd};

	if (a->dir_fd >= 0)
		remove_socket(a->dir_fd);
	for (size_t i = 0; i < sizeof(fds) / sizeof(fds[0]); i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

static int open_all(struct attach *a)
{
	a->listen_fd = a->wake_fds[0] = a->wake_fds[1] = -1;
	a->dir_fd = open(a->live->store_path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (a->dir_fd < 0)
		return -errno;
	a->listen_fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (a->listen_fd < 0 || pipe2(a->wake_fds, O_CLOEXEC))
		return -errno;
	return bind_in(a->dir_fd, a->listen_fd);
}

int attach_listen(struct attach *a)
{
	int r = open_all(a);

	if (!r)
		r = -pthread_create(&a->thread, NULL, run, a);
	if (r)
		close_all(a);
	a->listens = !r;
	return r;
}

void attach_listen_end(struct attach *a)
{
	if (!a->listens)
		return;
	stop_hearing(a);
	(void)!write(a->wake_fds[1], "", 1);
	pthread_join(a->thread, NULL);
	close_all(a);
	a->listens = false;
}
