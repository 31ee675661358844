/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Expressions that are matched in linear time.
 *
 * Patterns come from whoever made a tree, so none may take long, whatever it is and
 * whatever it is compared with: all ways of matching are followed at once, one
 * character after the other (Thompson), and the length of a program is bounded. The
 * C library's regexec(3) promises neither.
 *
 * A character is one of UTF-8; a byte that belongs to none is one of its own. So
 * names of any bytes are told apart.
 */
#ifndef MEMOFS_CLI_TREE_NFA_H
#define MEMOFS_CLI_TREE_NFA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Steps of one program; more is -E2BIG. */
#define NFA_STEPS_MAX 16384

struct nfa;

/*
 * Compile the syntax of "cli/tree/pattern.h", without `!` and `regex:`; or a POSIX
 * extended expression without back references. -EINVAL, -E2BIG with a constant text
 * that says why; -ENOMEM.
 */
int nfa_glob(const char *text, struct nfa **ret_nfa, const char **ret_why);
int nfa_regex(const char *text, struct nfa **ret_nfa, const char **ret_why);
void nfa_free(struct nfa *n); /* NULL is fine */

enum {
	NFA_WHOLE = 1, /* the whole path matches */
	NFA_ABOVE = 2, /* a directory above it does; the rest was not looked at then */
	NFA_ALIVE = 4, /* a longer path may match */
};

struct nfa_path {
	const char *path;
	size_t len;
	bool is_dir;
	bool below; /* look at what is below this directory: a slash is added */
	bool exact; /* NFA_ABOVE does not matter */
};

/* What running a program needs; one thread at a time. */
struct nfa_scratch;
/* For programs not longer than those. NULL: no memory. */
struct nfa_scratch *nfa_scratch_new(struct nfa *const *programs, size_t n);
void nfa_scratch_free(struct nfa_scratch *s); /* NULL is fine */

unsigned int nfa_run(const struct nfa *n, struct nfa_scratch *s,
		     const struct nfa_path *path);

#endif
