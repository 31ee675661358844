/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The IDs that reservations are taken by.
 *
 * Whoever knows an ID can extend, release and write under its reservation, so no
 * two processes may have the same one by accident: process numbers are reused,
 * and every container counts them from one.
 */
#ifndef MEMOFS_CLI_OWNER_H
#define MEMOFS_CLI_OWNER_H

#include <stdbool.h>

#define OWNER_MAX 200 /* bytes; what the daemon takes */

/*
 * `build@web1:4711:9f86d081884c7d65`: user, host, process, for people; and 64
 * random bits. The caller frees it. NULL after a message: no random numbers.
 */
char *owner_new(void);

/* 1 to OWNER_MAX bytes of UTF-8 without white space and control characters, and
 * neither "free" nor "held", with which the text of a reservation begins. */
bool owner_valid(const char *owner);

/*
 * The ID that a command is to use: `given` (may be NULL), else that of the
 * environment, MEMOFS_OWNER. NULL after a message: there is none, or it is not
 * valid.
 */
const char *owner_find(const char *command, const char *given);

#endif
