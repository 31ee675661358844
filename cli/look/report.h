/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The page of `memofs report`: one HTML document that needs nothing else, no network
 * and no script, and says so to the browser (Content-Security-Policy).
 */
#ifndef MEMOFS_CLI_LOOK_REPORT_H
#define MEMOFS_CLI_LOOK_REPORT_H

#include <stdio.h>

#include "cli/look/numbers.h"

/* `point` is where it is mounted. Errors of `out` are the caller's to look for. */
void report_write(FILE *out, const char *point, const struct numbers *n,
		  const struct history *h);

#endif
