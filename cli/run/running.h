/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Results that are being computed above this process: who would wait for one of them
 * would wait for himself. They are lines of the environment's MEMOFS_RUNNING; the
 * directory of the cache is known by its numbers, since it may have several names.
 */
#ifndef MEMOFS_CLI_RUN_RUNNING_H
#define MEMOFS_CLI_RUN_RUNNING_H

#include <stdbool.h>

bool running_has(const char *dir, const char *path);
/* For what is run from here on. */
void running_add(const char *dir, const char *path);

#endif
