/* SPDX-License-Identifier: Apache-2.0 */
/* Is it a place to mount on, and what is mounted there? */
#ifndef MEMOFS_FS_MOUNTPOINT_H
#define MEMOFS_FS_MOUNTPOINT_H

#include <stdbool.h>
#include <sys/types.h>

#include "store/util/err.h"

/*
 * The errors of session_new() that can be told before mounting, in words.
 * `nonempty`: what the directory holds may be hidden by the mount.
 */
int mountpoint_check(const char *path, bool nonempty, struct errmsg *err);

/*
 * The device of the memofs that is topmost at this absolute path, as this process sees
 * it. No file is looked at, so its own daemon may ask. -ENOENT: there is none.
 */
int mountpoint_dev(const char *path, dev_t *ret_dev);

#endif
