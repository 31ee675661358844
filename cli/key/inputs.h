/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The inputs of a command as parts of its key.
 *
 * A file is a part. A directory and a pattern are one for each name that is found, so
 * that it can be told which of them changed, or, of more than INPUTS_LISTED, one for
 * all of them.
 */
#ifndef MEMOFS_CLI_KEY_INPUTS_H
#define MEMOFS_CLI_KEY_INPUTS_H

#include <stdbool.h>

#include "cli/key/key.h"
#include "cli/key/parts.h"

#define INPUTS_LISTED 1000

/* --input and --input-hash, without what is ignored. Errors as key_make(). */
int inputs_add(const struct key_options *o, struct filehash *fh, struct parts *ps,
	       struct errmsg *err);

/* Is this name, or what it is below, one of --ignore? */
bool inputs_ignored(const struct key_options *o, const char *name);
/* --ignore names something that there is. -EINVAL with a message: one does not. */
int inputs_check_ignored(const struct key_options *o, struct errmsg *err);

#endif
