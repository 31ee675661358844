/* SPDX-License-Identifier: Apache-2.0 */
#ifndef MEMOFS_CLI_KEY_MAKE_HERE_H
#define MEMOFS_CLI_KEY_MAKE_HERE_H

#include "cli/key/key.h"

/*
 * The key of a command in the working directory, for the commands that only look at
 * it: with the remembered hashes, and what is wrong printed as `memofs: WHO: …`.
 * Returns CLI_OK, CLI_USAGE (an option is wrong) or CLI_FAILED.
 */
int key_make_here(const struct key_options *o, const char *who, char *const *command,
		  struct key *ret_key);

#endif
