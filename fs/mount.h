/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How a session comes by its connection to the kernel, and how that is taken away: by a
 * mount of its own, over a descriptor that somebody else has mounted, or by going on with
 * the one that a process before this one had.
 */
#ifndef MEMOFS_FS_MOUNT_H
#define MEMOFS_FS_MOUNT_H

#include <stdbool.h>
#include <stddef.h>

#include "store/util/err.h"

struct fs;

/*
 * Followed by the number of a descriptor: a connection that is there already, and ends
 * when its other end does. Nothing is mounted, and so nothing unmounted.
 */
#define MOUNT_FD "/dev/fd/"

struct mount_options {
	const char *mountpoint; /* or MOUNT_FD */
	const char *store_path; /* shown as the file system's source */
	bool allow_other;
	bool read_only;
	bool nonempty; /* mount over what the directory holds */
	/*
	 * With `resume` nothing is mounted: this is the connection that another process
	 * had, which becomes the session's, and its INIT request.
	 */
	bool resume;
	int fuse_fd;
	const void *init;
	size_t init_len;
};

/*
 * Make fs->se, with its connection; with `resume` INIT is answered, and fs->resuming set.
 * *ret_mounted: there is something to unmount. An error leaves nothing, and its message
 * names the mount point and what to do: see session_new().
 */
int mount_begin(struct fs *fs, const struct mount_options *opt, bool *ret_mounted,
		struct errmsg *err);

/*
 * Take away what is mounted there, whosever it is; with `lazy` now or when it is not busy
 * any more. -errno of umount(2), -EBUSY above all. Unless we are root, fusermount3 does
 * it: -EBUSY when that fails, -ENOENT without it, -ECHILD. Nothing is closed.
 */
int mount_end(const char *mountpoint, bool lazy);

#endif
