/* SPDX-License-Identifier: Apache-2.0 */
/* Which parts of a key must be the same for a hit: --validate. */
#ifndef MEMOFS_CLI_KEY_VALIDATE_H
#define MEMOFS_CLI_KEY_VALIDATE_H

#include "cli/key/key.h"
#include "cli/key/parts.h"

/*
 * The text of those parts alone. Two keys answer for each other when it is the same,
 * unless --validate is never_use; and its hash is the id of a key, so that without
 * --key, too, what need not be the same is not looked for elsewhere.
 */
void validate_text(const struct key_options *o, const struct parts *ps,
		   struct buf *ret_text);

/* key_differences() of those parts. */
int validate_differences(const struct key_options *o, struct slice stored,
			 struct slice now, struct buf *ret_lines);

/* --validate-on names parts that there are. -EINVAL with a message. */
int validate_check(const struct key_options *o, const struct parts *ps,
		   struct errmsg *err);

#endif
