/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MEMOFS_CLI_KEY_GITVERSION_H
#define MEMOFS_CLI_KEY_GITVERSION_H

#include "store/util/err.h"

/*
 * What git tracks at `pathspec` (from the current directory), as it is in the working
 * tree: `git N xxh128:…`. The same whether a change is committed, staged or neither;
 * submodules included. Asks git; reads only files that git says are changed. -ENOENT:
 * it tracks nothing there, or there is no git; -ECHILD: it failed (no repository);
 * with a message. The caller frees the value.
 */
int git_version(const char *pathspec, char **ret_value, struct errmsg *err);

#endif
