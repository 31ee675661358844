/* SPDX-License-Identifier: Apache-2.0 */
/* One mount, from opening the store to closing it. */
#ifndef MEMOFS_FS_DAEMON_H
#define MEMOFS_FS_DAEMON_H

#include "fs/config.h"
#include "fs/launch.h"
#include "store/store.h"

struct held;

struct daemon_options {
	const char *store_path;	 /* absolute; for a memory store any name */
	const char *mountpoint;	 /* absolute */
	const char *cwd;	 /* relative paths are from there; NULL: from here */
	const char *config_path; /* absolute, or NULL: read again on SIGHUP */
	enum store_kind kind;
	bool nonempty;
	bool foreground;
	struct held *held; /* the holder, or NULL */
	bool alone;	   /* and that is as it should be */
};

/*
 * Mount and serve until unmounted or told to end by a signal. `config` is what
 * the file says with the `command_line` merged in; both stay the caller's.
 * Returns the exit code.
 */
int daemon_run(const struct daemon_options *opt, const struct config *command_line,
	       struct config *config, struct launch *launch);

#endif
