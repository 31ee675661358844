/* SPDX-License-Identifier: Apache-2.0 */
/* Running a command while a reservation is kept for it. */
#ifndef MEMOFS_CLI_RESERVE_EXEC_H
#define MEMOFS_CLI_RESERVE_EXEC_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

struct reserve_exec {
	const char *path;
	const char *owner;
	int64_t lease_ns; /* 0: that of the directory */
	bool kill_on_loss;
	char *const *argv;	      /* ends with NULL */
	const sigset_t *command_mask; /* what the command has blocked */
};

/* The signals that are passed on, and SIGCHLD: block them before
 * reserve_exec_run(), so that none ends this process without a release. */
void reserve_exec_signals(sigset_t *ret_set);

/*
 * Run the command, extend the reservation (which `owner` has) every third of its
 * time, release it at the end. Returns what this process is to exit with: the
 * command's code, 128 + N when signal N ended it, 126 or 127 when it could not
 * be run; CLI_LOST when the reservation was lost and the command succeeded or
 * was ended because of that.
 */
int reserve_exec_run(const struct reserve_exec *re);

#endif
