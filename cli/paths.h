/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Paths as users give them, and whether they are in a memofs mount.
 */
#ifndef MEMOFS_CLI_PATHS_H
#define MEMOFS_CLI_PATHS_H

#include "cli/mounts.h"

/*
 * Make absolute and drop `.`, `..` and double slashes, without looking at the
 * file system (except for the current directory): safe on a dead mount.
 */
char *path_absolute(const char *path);

/* The part after the last slash, and the part before it ("." or "/" at least). */
const char *path_base(const char *path);
char *path_parent(const char *path);

/* dir/name; dir "." is left out. */
char *path_join(const char *dir, const char *name);

/*
 * Check that `path`, or the nearest existing directory above it, is in a memofs
 * mount. Returns CLI_OK, or CLI_MOUNT after a message: it is not, or the mount
 * is dead; CLI_FAILED when it cannot be told (no permission).
 */
int path_check_inside(const char *path);

/*
 * The memofs mount whose mount point `path` is, read from `ms`. Symlinks are
 * followed only when the path as written is not one. NULL after a message: it
 * is not a mount point, or one of another file system.
 */
const struct mount *path_mount_point(const struct mounts *ms, const char *path);

#endif
