/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Serving the connection to the kernel, from the mount to the end: the threads that
 * receive requests and handle them.
 */
#ifndef MEMOFS_FS_SESSION_H
#define MEMOFS_FS_SESSION_H

#include "fs/fs.h"
#include "fs/mount.h"
#include "store/util/err.h"

struct session_options {
	struct mount_options mount;
	unsigned int threads;
	/* When INIT was received, before it is answered; NULL is fine. */
	void (*mounted)(void *arg, int fuse_fd, const void *init, size_t init_len);
	void *arg;
};

struct session;

/*
 * Mount (fs/mount.h). The tables of `fs` are there already; fs->se is set. Nothing is
 * answered before session_start(). A message names the mount point and what to
 * do: -ENOENT, -ENOTDIR, -ENOTEMPTY, -EBUSY (a memofs is mounted there),
 * -ENOTCONN (a dead mount), -ENODEV (no /dev/fuse), -EPERM, -EACCES.
 */
int session_new(struct fs *fs, const struct session_options *opt, struct session **ret_s,
		struct errmsg *err);
/* Start the workers. Returns 0 when the first of them runs. */
int session_start(struct session *s, struct errmsg *err);
/*
 * Instead of session_start(): receive one request into `buf`, the caller's, and handle
 * it, in this thread. Its length; 0 or -errno when there was none.
 */
int session_serve_one(struct session *s, struct fuse_buf *buf);
/* Wait until it is unmounted, by whomever. Calls `tick` about once a second. */
void session_wait(struct session *s, void (*tick)(void *arg), void *arg);
/* Unmount, from a signal's thread: session_wait() returns soon. */
void session_end(struct session *s);
/*
 * Receive no more, finish what was begun, and leave it mounted: session_wait() returns
 * soon, and nothing but the end of the process may follow. From any thread but a worker.
 */
void session_leave(struct session *s);
/* Has a worker ended by itself, since it was unmounted? */
bool session_ended(struct session *s);
/*
 * Has it ended where the connection may not have? Then who comes to the mount waits for
 * ever, until this process closes it. After session_wait(), and when no thread is at
 * session_end() any more.
 */
bool session_detached(const struct session *s);
/* Unmounts if that has not happened; joins the workers. NULL is fine. */
void session_free(struct session *s);

/*
 * For what the workers call; nothing happens in other threads. Who asks, by the
 * request that this thread handles now (0: not known). And before it sleeps: so that
 * another may read from the kernel.
 */
pid_t session_asker(void);
/* The number of the request (0: not known), the same when it is sent again; and was it?
 */
uint64_t session_unique(void);
bool session_resent(void);
void session_pass_token(void);

#endif
