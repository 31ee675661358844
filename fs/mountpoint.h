/* SPDX-License-Identifier: Apache-2.0 */
/* Is it a place to mount on? */
#ifndef MEMOFS_FS_MOUNTPOINT_H
#define MEMOFS_FS_MOUNTPOINT_H

#include <stdbool.h>

#include "store/util/err.h"

/*
 * The errors of session_new() that can be told before mounting, in words.
 * `nonempty`: what the directory holds may be hidden by the mount.
 */
int mountpoint_check(const char *path, bool nonempty, struct errmsg *err);

#endif
