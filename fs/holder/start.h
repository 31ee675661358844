/* SPDX-License-Identifier: Apache-2.0 */
/* Starting a daemon, and saying how one ended. */
#ifndef MEMOFS_FS_HOLDER_START_H
#define MEMOFS_FS_HOLDER_START_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct start {
	const char *path;
	int fd;		   /* of the very program, or -1: what is at the path now */
	const char *cwd;   /* where relative paths of its arguments are from */
	char *const *args; /* ends with NULL; argv[0] is not among them */
};

/* A descriptor that names the program at a path whatever becomes of the path. Or -errno:
 * -EACCES, also for what is no file. */
int start_open(const char *path);
/*
 * The process, and the other end of its socket, which never waits. Only that it could be
 * forked is known then: one that cannot be executed exits with 127.
 */
int start_daemon(const struct start *s, pid_t *ret_pid, int *ret_socket);
/* Exited because there was nothing to execute. */
bool start_was_not_executed(int status);
/* "was killed by signal 9 (Killed)". */
void start_describe(int status, char *ret_text, size_t size);

#endif
