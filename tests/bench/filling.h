/* SPDX-License-Identifier: Apache-2.0 */
/* Stores with many small entries in one directory, made without a mount. */
#ifndef MEMOFS_TESTS_BENCH_FILLING_H
#define MEMOFS_TESTS_BENCH_FILLING_H

#include <stdint.h>

#include "store/store.h"

enum { FILLING_BYTES = 200 };

/*
 * Open a store, and make it when it is not there, without a bound of its size; and the
 * directory of that name in its root. What fails ends the program.
 */
struct store *filling_open(const char *path, const char *name, uint64_t *ret_branch);
/* The name of entry `i`, in memory that the next call uses again. */
const char *filling_name(unsigned int i);
/* Publish entry `i`, FILLING_BYTES that differ from one to the other. */
void filling_publish(struct store *st, uint64_t branch, unsigned int i);

#endif
