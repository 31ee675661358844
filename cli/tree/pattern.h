/* SPDX-License-Identifier: Apache-2.0 */
// Patterns that name files below a directory.
//
//   node_modules/**   everything below it, at any depth, and the directory itself
//   node_modules      the same, when it is a directory: one that matches is chosen
//                     with all that is in it
//   node_modules/     only when it is a directory
//   .                 everything
//   *.o   src/?.c     within one part of a path; a leading dot is nothing special
//   **.o              also across parts; ** as a whole part is any number of them
//   [a-z] [!0-9]      one character of a set; classes such as [[:digit:]]
//   {a,b/c}           one of several; may be nested
//   regex:TEXT        a POSIX extended expression that matches the whole path; of a
//                     directory it chooses that alone. Also \d \s \w, but not \1
//   !PATTERN          not what this one matches; the last that matches decides
//   \x                x itself
//
// Paths are relative, without `.` and `..`. A character is one of UTF-8, or a byte that
// belongs to none; nothing depends on the locale. Matching takes time linear in the
// path, whatever the pattern (nfa.h).
#ifndef MEMOFS_CLI_TREE_PATTERN_H
#define MEMOFS_CLI_TREE_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

#include "store/util/err.h"

struct patterns;

/*
 * Compile. -EINVAL with a message that names the pattern and the remedy: it is
 * empty, absolute, leaves the directory, ends within a set or a choice, is no
 * expression, or all are negations; -E2BIG: one is too large; -ENOMEM. To be used by
 * one thread at a time.
 */
int patterns_new(const char *const *texts, size_t n, struct patterns **ret_patterns,
		 struct errmsg *err);
void patterns_free(struct patterns *ps); /* NULL is fine */

/* Is this file chosen? Remembers which patterns have chosen something. */
bool patterns_match(struct patterns *ps, const char *path, bool is_dir);
/* Can anything below this directory be chosen? Else it need not be read. */
bool patterns_reach(const struct patterns *ps, const char *dir);
/*
 * Is all that can be below this directory chosen, and has each pattern that chooses
 * chosen something already, so that nothing below it need be matched? No is also said
 * where that is hard to tell.
 */
bool patterns_take_all(const struct patterns *ps, const char *dir);
/* The first pattern that has chosen nothing so far; NULL: each has. */
const char *patterns_unused(const struct patterns *ps);

#endif
