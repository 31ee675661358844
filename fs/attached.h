/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the files attach*.c share.
 *
 *	attach.c	begin and end of an attached mount, and of all
 *	attach_listen.c	who asks for one
 *	attach_tell.c	what its kernel keeps, and the mark
 */
#ifndef MEMOFS_FS_ATTACHED_H
#define MEMOFS_FS_ATTACHED_H

#include <limits.h>
#include <pthread.h>
#include <sys/types.h>

#include "fs/attach.h"
#include "fs/fs.h"
#include "store/util/attach_packet.h"

/* Names that a kernel was told are bits, by their hash: 128 KiB of each mount. */
enum { ATTACH_TOLD_BITS = 1 << 20, ATTACH_MAX = 64 };

struct attached {
	struct fs fs;
	struct session *session;
	struct attached *next;	   /* under attach.list */
	char mountpoint[PATH_MAX]; /* as who has mounted it sees it */
	int guard_fd; /* to who sees our end, and tells the kernel; see cli/attach.c */
	atomic_bool failed;  /* it never began: the next tick frees it */
	bool leaves;	     /* it waits for no mark any more; under attach.mark_lock */
	char connection[32]; /* MOUNT_FD and its number */

	/* Held over INC_EPOCH, so that nobody takes a name for told of, or not told of,
	 * before the kernel does. That waits for nothing. */
	pthread_mutex_t told_lock;
	bool told_any;			      /* under told_lock */
	uint64_t told[ATTACH_TOLD_BITS / 64]; /* under told_lock */
};

/*
 * The order of locks: `list` comes first; under it the told_lock of one that is in it, or
 * a lock of that one's tables or session, which are leaves, as told_lock is. asker_lock,
 * send_lock and mark_lock are leaves that are taken alone. Under told_lock and `list` a
 * kernel is told what it waits for nobody to do; under send_lock it may wait for workers
 * of the live mount, which never take that.
 */
struct attach {
	struct fs *live;
	int dir_fd, listen_fd, wake_fds[2]; /* dir_fd: the store's directory */
	pthread_t thread;
	bool listens;		    /* the thread runs */
	pthread_mutex_t asker_lock; /* of the next two */
	int asker_fd;		    /* who is heard by the thread, or -1 */
	bool ending;		    /* nobody is heard any more */

	/* Of the list. Held for reading while one of it is told of something, as
	 * it must not be freed meanwhile. */
	pthread_rwlock_t list;
	struct attached *first;
	atomic_uint count; /* written under `list` */

	/* Held to send a mark, so that they come in order. Not the other one: who
	 * receives one must not wait for the kernel. */
	pthread_mutex_t send_lock;
	uintptr_t sent;		   /* under send_lock */
	pthread_mutex_t mark_lock; /* of the next two */
	uintptr_t received;
	bool stopped;	       /* none will come any more */
	pthread_cond_t passed; /* one of them has changed; CLOCK_MONOTONIC */
	int64_t settle_max_ns; /* so long is waited for one */
};

/* attach.c */
/*
 * Serve it. `guard_fd` stays the caller's: a copy is open as long as it is served. The
 * connection is its from now on, also when that fails: -EUSERS: there are
 * as many as may be; -ENOMEM and what session_new() says, with a message.
 */
int attach_one(struct attach *a, int fuse_fd, int guard_fd,
	       const struct attach_packet *packet, struct errmsg *err);

/* attach_tell.c: make all names of its kernel stale. */
void attach_forget(struct attached *at);
/* No mark is waited for any more, by any or by this one: -ENOTCONN. */
void attach_stop_marks(struct attach *a);
void attach_stop_marks_of(struct attached *at);

/* attach_listen.c: the thread. -errno. */
int attach_listen(struct attach *a);
void attach_listen_end(struct attach *a); /* one that does not run is fine */

#endif
