/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The directory in a memofs mount that results are kept in.
 *
 * Given by --cache, else by MEMOFS_CACHE, else `default` in this user's own mount,
 * which is mounted when it is needed: store ~/.cache/memofs/store, mount point
 * below XDG_RUNTIME_DIR. Two that start it at once get the same one.
 */
#ifndef MEMOFS_CLI_CACHE_H
#define MEMOFS_CLI_CACHE_H

#include <stdbool.h>

#include "store/util/err.h"

/*
 * Where it should be, without a look: for whoever opens something in it at once, and
 * asks cache_find() only when that fails. NULL: that must be asked anyway.
 */
char *cache_guess(const char *given);

/*
 * The directory, absolute, which exists and is in a memofs mount that answers. With
 * `start`, this user's own mount is mounted if it is not, and a directory that is
 * missing in a mount is made. The caller frees it. -ENOENT: there is no mount, and
 * none was to be started; -ENODEV: this machine has no FUSE for this user; -EINVAL:
 * what was given is in no memofs mount; -EACCES, -EROFS, -ENOTCONN (the daemon has
 * ended), -ETIMEDOUT, …; all with a message.
 */
int cache_find(const char *given, bool start, char **ret_dir, struct errmsg *err);

/* As cache_find(), which starts this user's own mount only if it has a store already. */
int cache_find_kept(const char *given, char **ret_dir, struct errmsg *err);

/*
 * The path of an entry from a KEY operand: an absolute path, and a relative one when
 * the current directory is in a memofs mount, is one as it is; another relative one
 * is below cache_find(). Errors as there; -EINVAL also: the key is not one ("", a
 * part that is `.memofs` or `..`).
 */
int cache_entry(const char *given, const char *key, bool start, char **ret_path,
		struct errmsg *err);

/* -EINVAL, with a message: the key is not one. */
int cache_check_key(const char *key, struct errmsg *err);

/*
 * Make the directories above an entry, as mkdir -p does, in a mount only. -errno, with a
 * message.
 */
int cache_make_parents(const char *entry, struct errmsg *err);

#endif
