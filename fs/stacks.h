/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The stacks of a daemon that hangs: each thread writes its own into a file when the
 * holder asks it to by a signal. What comes after it logs them.
 */
#ifndef MEMOFS_FS_STACKS_H
#define MEMOFS_FS_STACKS_H

/* The descriptor stays the caller's, and open as long as the process is. */
void stacks_begin(int fd);
/* Log what another process has left there, a line for each, and empty it. */
void stacks_log(int fd);

#endif
