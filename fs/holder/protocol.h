/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What memofs-holder and the daemon that it started tell each other.
 *
 * A socketpair of packets; one packet is one struct holder_message, with descriptors
 * where it says so. It only grows at its end, since the two may be of different
 * versions: what a shorter one lacks is 0, what a longer one has more is not read.
 * Where that is not enough, each says which form of the talk it speaks, and which it
 * needs. The daemon compares, and answers `failed` where they do not go together: so an
 * upgrade to it is taken back.
 *
 *	holder           daemon
 *	begin      →                   the first word
 *	           ←     mounted       when INIT was received, before it is answered; only
 *	                               from a daemon that a successor can go on for
 *	           ←     ready         the mount answers
 *	           ←     failed        it cannot serve, and exits
 *	           ←     ended         it was unmounted, and exits with 0
 *	           ←     upgrade       somebody asks for another binary
 *	upgraded   →                   what came of that
 *	leave      →                   exit, so that a successor can go on
 *	slow       →                   log where its threads are
 *
 * A daemon whose holder is gone goes on by itself. One that ends without `ended` has
 * died.
 */
#ifndef MEMOFS_FS_HOLDER_PROTOCOL_H
#define MEMOFS_FS_HOLDER_PROTOCOL_H

#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum {
	HOLDER_FDS_MAX = 4,    /* more are refused, by older ones too */
	HOLDER_INIT_MAX = 512, /* bytes of an INIT request: it has 104 today */
	HOLDER_VERSION_MAX = 64,
};

/*
 * The form is raised with what the other side has to know; with what it cannot do
 * without, what is needed is raised as well. Who says 0 speaks the first, and needs no
 * other.
 */
enum { HOLDER_SPEAKS = 1, HOLDER_NEEDS = 1 };

/* To each thread of a daemon that is ready: write your stack. Realtime signals have no
 * other meaning to anybody. */
#define HOLDER_STACKS_SIGNAL (SIGRTMIN + 4)

enum holder_word {
	/*
	 * Descriptors: the keep, a file for stacks, and /dev/fuse if there was a daemon
	 * before this one; then `init` is its INIT, `restarts` how many there were, and
	 * `text` says how the last one ended. `run`: of the upgrade that is under way.
	 * `version`, `speaks`, `needs`: of the holder.
	 */
	HOLDER_BEGIN = 1,
	HOLDER_LEAVE,
	HOLDER_UPGRADED, /* `run`, `code` (0: it was), `text` for people */
	HOLDER_SLOW,	 /* `text`: a request takes long; stacks are in their file */

	DAEMON_MOUNTED = 64, /* descriptor: /dev/fuse; `init`, `mountpoint` */
	DAEMON_READY,	     /* `version`, `watchdog_ns` (0: none), `privileges` */
	DAEMON_FAILED,	     /* `code` to exit with, `text`: why, `keep_is_bad` */
	DAEMON_ENDED,
	DAEMON_UPGRADE, /* `run`, `text`: the path, "": the same as before */
};

struct holder_message {
	uint32_t word; /* enum holder_word */
	int32_t code;
	uint64_t run;
	uint64_t restarts;
	int64_t watchdog_ns;
	uint32_t init_len;
	uint8_t init[HOLDER_INIT_MAX];
	char version[HOLDER_VERSION_MAX];
	char text[PATH_MAX];
	char mountpoint[PATH_MAX]; /* BEGIN of a successor, MOUNTED */
	/* The first form ended here. */
	uint32_t speaks, needs; /* BEGIN; `version` is the holder's there */
	uint64_t privileges;	/* READY: "fs/holder/rights.h" */
	uint32_t keep_is_bad;	/* FAILED: no successor could use what is kept */
};

/* Bytes of the first form, but for its texts: no message is shorter. */
#define HOLDER_MESSAGE_MIN ((ssize_t)offsetof(struct holder_message, text))

/* The descriptors stay the caller's. -EPIPE: nobody is there; else -errno. */
int holder_send(int socket, const struct holder_message *m, const int *fds,
		unsigned int count);
/*
 * Waits for one. The descriptors are the caller's, closed on exec; what is missing is -1.
 * -EPIPE: the other end is gone; -EPROTO: that is no message, or its descriptors could
 * not be had; else -errno.
 */
int holder_receive(int socket, struct holder_message *ret_m, int ret_fds[HOLDER_FDS_MAX]);
void holder_close_fds(int fds[HOLDER_FDS_MAX]);

/* Is nothing in it out of bounds? */
bool holder_is_sound(const struct holder_message *m);
/* Copies a text that may be too long, which is cut. */
void holder_set_text(struct holder_message *m, const char *text);

#endif
