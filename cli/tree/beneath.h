/* SPDX-License-Identifier: Apache-2.0 */
/* Opening what is below a directory, never outside it, whoever moves things meanwhile. */
#ifndef MEMOFS_CLI_TREE_BENEATH_H
#define MEMOFS_CLI_TREE_BENEATH_H

/*
 * openat(2) of a relative path without `.` and `..`; "" is the directory itself. No
 * symlink is followed, also not on the way: -ELOOP or -ENOTDIR when there is one. Not
 * for O_CREAT. Returns a descriptor (O_CLOEXEC) or -errno.
 */
int beneath_open(int dirfd, const char *path, int flags);

#endif
