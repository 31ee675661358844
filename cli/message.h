/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the user is told on stderr, and the end of the road.
 *
 * A message is one line, `memofs: …`. Names in it come from the file system and
 * may hold any byte: control characters are shown escaped, never sent to the
 * terminal.
 */
#ifndef MEMOFS_CLI_MESSAGE_H
#define MEMOFS_CLI_MESSAGE_H

#include <stddef.h>

void cli_error(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Ends the program (CLI_FAILED) when `r`, the result of a buf function, is not 0. */
void must(int r);
/* As malloc and friends, but they end the program when there is no memory. */
void *xcalloc(size_t n, size_t size);
void *xreallocarray(void *old, size_t n, size_t size);
char *xstrdup(const char *s);

/*
 * Flush stdout. What could not be written is a failure, so that `memofs get
 * x > /full/disk` does not look like success. Returns `status`, or CLI_FAILED
 * after a message.
 */
int cli_finish(int status);

/* For __attribute__((cleanup)) on a char *. */
void free_charp(char **p);
#define CLEANUP_FREE __attribute__((cleanup(free_charp)))
/* For __attribute__((cleanup)) on a descriptor; negative: none. */
void close_fdp(int *fd);
#define CLEANUP_FD __attribute__((cleanup(close_fdp)))

#endif
