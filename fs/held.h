/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon's end of the talk with its holder ("fs/holder/protocol.h").
 *
 * Every function takes NULL for a daemon that has none, and does nothing.
 */
#ifndef MEMOFS_FS_HELD_H
#define MEMOFS_FS_HELD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "fs/holder/protocol.h"
#include "store/util/err.h"

struct held_events {
	/* In the thread of held_listen(). Exit, for a successor to go on; need not
	 * return. */
	void (*leave)(void *arg);
	/* What came of an upgrade. */
	void (*upgraded)(void *arg, uint64_t run, bool done, const char *text);
	/* `text` says of one request that it is under way for long. The stacks of all
	 * threads are in the file for them. */
	void (*slow)(void *arg, const char *text);
	void *arg;
};

/* Fixed from held_begin() on, but for what only held.c uses. */
struct held {
	int socket;
	int keep_fd;   /* its memory, see "store/util/keep.h" */
	int stacks_fd; /* where the stacks of a daemon that hangs are written */
	int fuse_fd;   /* of the daemon before this one; -1: this one mounts */
	bool resumes;  /* there was a daemon before this one */
	uint64_t restarts;
	int64_t watchdog_ns;  /* to tell with held_ready(); 0: none */
	uint64_t upgrade_run; /* that is under way; 0: none */
	pid_t holder;
	struct holder_message begin; /* its first word */
	bool keep_is_bad;

	struct held_events events;
	pthread_t thread;
	bool listening;
};

/*
 * Waits for the holder's first word. -EPIPE, -EPROTO, …; the socket is taken. A holder
 * that this version cannot talk to is told so, as far as it understands.
 */
int held_begin(int socket, struct held **ret_h, struct errmsg *err);
/* Ends the thread; the holder sees it go. */
void held_free(struct held *h);

/* The holder's pid, 0 when it is gone. */
pid_t held_holder(const struct held *h);

/* From now on a successor can go on. */
int held_mounted(struct held *h, int fuse_fd, const void *init, size_t len,
		 const char *mountpoint);
void held_ready(struct held *h);
void held_failed(struct held *h, int code, const struct errmsg *err);
void held_ended(struct held *h);
/* What is kept could not be used, `r`: held_failed() says so where that is not for want
 * of memory, for the holder to give it up when it is so each time. */
void held_blame_keep(struct held *h, int r);
/* -ENOTSUP: no holder; -EPIPE: it is gone; -ENAMETOOLONG. */
int held_upgrade(struct held *h, uint64_t run, const char *path);

/* Hear what the holder says, in a thread; the events are copied. -EAGAIN. */
int held_listen(struct held *h, const struct held_events *events);

#endif
