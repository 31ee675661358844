/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stacks of a daemon that hangs: each thread writes its own into a file when the
 * holder asks it to by a signal. What comes after it logs them; or itself, when it was
 * only one thread that did not get on.
 */
#ifndef MEMOFS_FS_STACKS_H
#define MEMOFS_FS_STACKS_H

/* The descriptor stays the caller's, and open as long as the process is. */
void stacks_begin(int fd);
/* Log what is there behind a line that says what it is, and empty it. */
void stacks_log(int fd, const char *head);

#endif
