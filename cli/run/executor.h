/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Running the command, and listening to what it writes.
 *
 * It runs in our process group, with our stdin, and finds a pipe each as stdout and
 * stderr. What comes is shown at once. Two pipes do not tell which was written to first,
 * so each holds one write only (O_DIRECT keeps writes apart, its size is a page), and
 * epoll returns them in the order in which they became readable: who writes next waits
 * until we have read what he wrote before. That is a switch between processes for each
 * write of 4 KiB or less, and keeps the order of one who writes to both.
 *
 * Whoever reads our stdout may go away: we close the pipe then, and the command is told
 * as it would have been (SIGPIPE). What we find closed is closed for the command, too,
 * and nothing is kept. A signal for us is passed on. When the command has ended, and
 * another process still has its output open, we listen until that has been silent for a
 * moment; then a child stays behind to show what may come, so that the other is not
 * disturbed.
 */
#ifndef MEMOFS_CLI_RUN_EXECUTOR_H
#define MEMOFS_CLI_RUN_EXECUTOR_H

#include <stdbool.h>
#include <stdint.h>

#include "cli/run/recording.h"

struct execution {
	char *const *argv; /* ends with NULL */
	int stdin_fd;	   /* -1: ours */
	/* NULL: nothing is recorded, the command has our own stdout and stderr. */
	struct recording *rec;
	bool silent;		/* record only */
	uint64_t skip[STREAMS]; /* so many bytes at the beginning were shown already */
};

struct ending {
	int status;	 /* as wait(2) has it */
	int exec_errno;	 /* why it could not be run; 0: it ran */
	bool open_still; /* the output, by a process that it left behind */
	int show_errno;	 /* why not everything was shown; 0: it was */
	int64_t ran_ns;
};

/*
 * Run it to its end. A failure of the recording is noted there and stops nothing.
 * -errno: it could not be started, for want of processes or descriptors.
 */
int execute(const struct execution *ex, struct ending *ret_ending);

/* What a shell makes of it: the code, 128 + the signal, 126 or 127. */
int ending_code(const struct ending *e);
/* It ended by itself, with this code and by no signal. */
bool ending_is_exit(const struct ending *e);

/* In place of this process. Returns the exit code when that failed, after a message. */
int execute_instead(char *const *argv, int stdin_fd);

#endif
