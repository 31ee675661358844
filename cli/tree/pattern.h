/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Patterns that name files below a directory.
 *
 *   node_modules/**   everything below it, at any depth, and the directory itself
 *   node_modules      the same, when it is a directory
 *   *.o   src/?.c     within one part of a path; a leading dot is nothing special
 *   [a-z] [!0-9]      one character of a set; classes such as [[:digit:]]
 *   {a,b/c}           one of several; may be nested
 *   regex:TEXT        a POSIX extended expression that matches the whole path
 *   !PATTERN          not what this one matches; the last that matches decides
 *   \x                x itself
 *
 * Paths are relative, without `.` and `..`, and their bytes are compared as they are.
 */
#ifndef MEMOFS_CLI_TREE_PATTERN_H
#define MEMOFS_CLI_TREE_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

#include "store/util/err.h"

struct patterns;

/*
 * Compile. -EINVAL with a message that names the pattern and the remedy: it is
 * empty, absolute, leaves the directory, ends within a set or a choice, is no
 * expression, or all are negations; -E2BIG: choices multiply beyond reason.
 */
int patterns_new(const char *const *texts, size_t n, struct patterns **ret_patterns,
		 struct errmsg *err);
void patterns_free(struct patterns *ps); /* NULL is fine */

/* Is this file chosen? Remembers which patterns have chosen something. */
bool patterns_match(struct patterns *ps, const char *path, bool is_dir);
/* Can anything below this directory be chosen? Else it need not be read. */
bool patterns_reach(const struct patterns *ps, const char *dir);
/* The first pattern that has chosen nothing so far; NULL: each has. */
const char *patterns_unused(const struct patterns *ps);

#endif
