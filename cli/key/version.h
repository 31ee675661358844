/* SPDX-License-Identifier: Apache-2.0 */
/* What makes the version of a command: --version and --version-from, in order. */
#ifndef MEMOFS_CLI_KEY_VERSION_H
#define MEMOFS_CLI_KEY_VERSION_H

#include "cli/key/key.h"
#include "cli/key/parts.h"

/*
 * Policies:
 *   file:PATH     the content of a file, a directory or what a pattern matches
 *   exe           the content of the command's executable, looked for in PATH
 *   command:CMD   what CMD prints, run by sh
 *   git:PATHSPEC  what git tracks there, as it is in the working tree
 *   env:NAME      a variable
 *
 * -EINVAL: a policy is none; -ECHILD: a command failed; -ENOENT: there is nothing to
 * look at; else -errno; with a message.
 */
int version_add(const struct key_options *o, const char *command, struct filehash *fh,
		struct parts *ps, struct errmsg *err);

#endif
