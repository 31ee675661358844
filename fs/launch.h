/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Into the background, with the caller waiting until it is known how it went.
 */
#ifndef MEMOFS_FS_LAUNCH_H
#define MEMOFS_FS_LAUNCH_H

#include <stdbool.h>

#include "store/util/err.h"

/* What memofsd exits with, in the foreground or for the caller of the other. */
enum exit_code {
	EXIT_OK = 0,
	EXIT_USAGE = 2, /* the command line or the configuration */
	EXIT_STORE = 3, /* the store cannot be opened */
	EXIT_MOUNT = 4, /* it cannot be mounted */
};

struct launch {
	int report_fd; /* to the caller; -1: in the foreground, or told already */
	bool foreground;
	/* Somebody else tells the caller; NULL: nobody. `err` is NULL with EXIT_OK. */
	void (*tell)(void *arg, enum exit_code code, const struct errmsg *err);
	void *arg;
};

/*
 * Fork. The child returns 0; the parent does not return: it exits as the child
 * reports, with the child's message on its stderr. Call it before there are
 * threads. In the foreground, or with `tell`, nothing is forked. -errno with a message.
 */
int launch_begin(struct launch *l, struct errmsg *err);
/* It runs: the caller may go; stdin, stdout and stderr become /dev/null. */
void launch_ready(struct launch *l);
/* It failed: prints (or has the caller print) the message, returns the code. */
int launch_failed(struct launch *l, enum exit_code code, const struct errmsg *err);

#endif
