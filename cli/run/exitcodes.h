/* SPDX-License-Identifier: Apache-2.0 */
/* Which exit codes of a command make its result worth keeping. */
#ifndef MEMOFS_CLI_RUN_EXITCODES_H
#define MEMOFS_CLI_RUN_EXITCODES_H

#include <stdbool.h>
#include <stdint.h>

#include "store/util/err.h"

struct exit_codes {
	uint64_t set[4]; /* a bit for each code from 0 to 255 */
};

/*
 * `0,1,10-12`, or `any`; NULL: 0 alone. -EINVAL with a message that names
 * --cache-exit, the value and the remedy.
 */
int exit_codes_parse(const char *text, struct exit_codes *ret_codes, struct errmsg *err);
bool exit_codes_have(const struct exit_codes *codes, int code);

#endif
