/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MEMOFS_CLI_KEY_STDINSPOOL_H
#define MEMOFS_CLI_KEY_STDINSPOOL_H

#include "store/util/err.h"

/*
 * Read all of standard input into a file without a name, below TMPDIR, in memory where
 * that cannot be. *ret_fd is at its beginning, close-on-exec, and the caller's;
 * *ret_value says what it holds: `N xxh128:…`, freed by the caller.
 *
 * -errno with a message: it cannot be read or kept. *ret_fd is then what to read in its
 * place, from where it began; -1: standard input itself.
 */
int stdin_spool(int *ret_fd, char **ret_value, struct errmsg *err);

#endif
