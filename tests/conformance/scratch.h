/* SPDX-License-Identifier: Apache-2.0 */
/* A folder of a test's own, below TMPDIR or /tmp. */
#ifndef MEMOFS_TESTS_CONFORMANCE_SCRATCH_H
#define MEMOFS_TESTS_CONFORMANCE_SCRATCH_H

#include <stdbool.h>
#include <stddef.h>

#define SCRATCH_MAX 256

/* Make it; ends the program when that fails. */
void scratch_make(char ret_path[SCRATCH_MAX]);
/* Remove it with all it holds. */
void scratch_remove(const char *path);

/* The file of that beginning and end in a folder, the last one by name. */
bool scratch_find(const char *folder, const char *start, const char *end,
		  char ret_path[SCRATCH_MAX]);
/* Replace a file's content; create it. */
void scratch_write(const char *path, const void *data, size_t len);
/* Cut a file to `percent` of its size. */
void scratch_cut(const char *path, unsigned int percent);
/* Flip bits all over a file from `percent` of it on. */
void scratch_garble(const char *path, unsigned int percent);

#endif
