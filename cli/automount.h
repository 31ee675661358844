/* SPDX-License-Identifier: Apache-2.0 */
/*
 * This user's own mount, made when somebody needs it.
 *
 *   store        ${XDG_CACHE_HOME:-~/.cache}/memofs/store
 *   mount point  $XDG_RUNTIME_DIR/memofs, else /tmp/memofs-UID/mnt
 *
 * Whoever can put something at the mount point decides what commands seem to print.
 * So the directory it is in must be this user's, and nobody else may write it. Anyone
 * can make /tmp/memofs-UID first, and mount a file system there that says whatever he
 * likes about owners: it must be on the device of /tmp, too, and the mount is one level
 * below.
 */
#ifndef MEMOFS_CLI_AUTOMOUNT_H
#define MEMOFS_CLI_AUTOMOUNT_H

#include <stdbool.h>

#include "store/util/err.h"

/*
 * Where it is or would be; nothing is made, and what is in it is not looked at. The
 * caller frees it. -ENOENT: its directory is still to be made; -EACCES: another's.
 */
int automount_point(char **ret_point, struct errmsg *err);

/* Whether there is a store, mounted or not. If not, *err says where it would be. */
bool automount_is_kept(struct errmsg *err);

/*
 * Mount it, unless it is mounted and answers. One that is dead is taken away first.
 * Those who start it at once wait for each other and get the same. *ret_point may be
 * another than automount_point() says: where the store was mounted already. -ENODEV:
 * no FUSE for this user, or no daemon; -EACCES, -EROFS, -EIO, …; with a message.
 */
int automount_start(char **ret_point, struct errmsg *err);

#endif
