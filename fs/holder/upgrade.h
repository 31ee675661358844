/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From one binary to another, and back if the other is not ready in time.
 *
 *	none → leaving → trying → none     the other one runs
 *	                 trying → back → none
 */
#ifndef MEMOFS_FS_HOLDER_UPGRADE_H
#define MEMOFS_FS_HOLDER_UPGRADE_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "fs/holder/protocol.h"
#include "store/util/err.h"

enum upgrade_phase {
	UPGRADE_NONE,
	UPGRADE_LEAVING, /* the old one was told to */
	UPGRADE_TRYING,	 /* the new one was started */
	UPGRADE_BACK,	 /* the old one was started again */
};

struct upgrade {
	enum upgrade_phase phase;
	uint64_t run;			  /* of the job */
	char program[PATH_MAX];		  /* what is started ordinarily */
	char version[HOLDER_VERSION_MAX]; /* of what was ready last */
	int64_t deadline_ns;		  /* 0: none */

	char next[PATH_MAX];
	int next_fd, old_fd; /* -1: none, or taken already */
	char why[1024];	     /* it is to be the old one again */
};

void upgrade_init(struct upgrade *u, const char *program);
void upgrade_deinit(struct upgrade *u);

/*
 * To the binary at `path`, "": where the one is that was started. `running_fd` is the one
 * to go back to. -EBUSY, -EINVAL, or what is wrong with the path, with a message.
 */
int upgrade_begin(struct upgrade *u, uint64_t run, const char *path, int running_fd,
		  struct errmsg *err);
/* A daemon has ended, in the words of `reason`: is that what was meant, so that the next
 * is to be started at once? */
bool upgrade_daemon_ended(struct upgrade *u, const char *reason);
/* A daemon is ready: true when that decides an upgrade, with a text for people. One that
 * was told to leave may still say it: it serves, and may be asked for the upgrade, before
 * it is ready. */
bool upgrade_daemon_ready(struct upgrade *u, const char *version, bool *ret_done,
			  char *ret_text, size_t size);
/* Which binary is to be started, if that is not the same as before, or -1. The caller's,
 * once. */
int upgrade_program(struct upgrade *u, const char **ret_path);
/* What the daemon has not done in time, in words, once; or NULL. */
const char *upgrade_late(struct upgrade *u, int64_t now_ns);

#endif
