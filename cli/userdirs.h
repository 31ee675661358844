/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The directories that are this user's own. The environment may name those of another:
 * `su` and some kinds of sudo keep it. Nothing is made or written there.
 */
#ifndef MEMOFS_CLI_USERDIRS_H
#define MEMOFS_CLI_USERDIRS_H

#include <stdbool.h>
#include <sys/stat.h>

#include "store/util/err.h"

/* A directory of this user without any of the permissions `forbidden`? */
bool userdir_is_mine(const struct stat *st, mode_t forbidden);
/* $XDG_RUNTIME_DIR, if nobody else may write it; else NULL. */
const char *userdir_runtime(void);
/*
 * ${XDG_CACHE_HOME:-~/.cache}/memofs, as it is called; nothing is made or looked at. The
 * caller frees it. -ENOENT with a message: there is no home.
 */
int userdir_cache(char **ret_dir, struct errmsg *err);
/*
 * The same without symlinks, made if it is missing, with the one above it. -EACCES:
 * another user's, or one that others may write; -errno of mkdir(2); with a message.
 */
int userdir_cache_make(char **ret_dir, struct errmsg *err);

#endif
