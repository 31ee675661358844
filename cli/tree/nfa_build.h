/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making programs for "cli/tree/nfa.h": what both syntaxes compile to.
 *
 * Jumps are relative, so a run of steps can be moved and copied: an operator that
 * comes after what it applies to inserts a step before it.
 */
#ifndef MEMOFS_CLI_TREE_NFA_BUILD_H
#define MEMOFS_CLI_TREE_NFA_BUILD_H

#include "cli/tree/nfa.h"

enum nfa_op {
	NFA_CHAR,    /* `ch` */
	NFA_ANY,     /* any character */
	NFA_IN_PART, /* any but a slash */
	NFA_SET,     /* one that nfa_set `x` has */
	NFA_SPLIT,   /* go on at +x and at +y */
	NFA_JUMP,    /* go on at +x */
	NFA_BEGIN,   /* nothing, at the beginning of the path */
	NFA_END,     /* nothing, at its end */
	NFA_PART,    /* nothing, at the beginning of a part */
	NFA_DIR,     /* nothing, at the end of a part that is a directory */
	NFA_MATCH,
};

struct nfa_step {
	enum nfa_op op;
	uint32_t ch;
	int32_t x, y;
};

struct nfa_range {
	uint32_t low, high;
};

struct nfa_set {
	bool negated;
	bool in_part;	 /* never a slash */
	size_t first, n; /* ranges */
};

struct nfa {
	struct nfa_step *steps;
	size_t n, cap;
	struct nfa_set *sets;
	size_t n_sets, cap_sets;
	struct nfa_range *ranges;
	size_t n_ranges, cap_ranges;
};

/* The text that is compiled, and what came of it. */
struct nfa_builder {
	const char *at;
	struct nfa *nfa;
	int error; /* the first, or 0; then nothing more is added */
	const char *why;
};

/* One of several. */
struct nfa_choice {
	size_t begin;  /* of the alternative */
	int64_t jumps; /* the last of the jumps behind the others, or -1 */
};

/* Remember the first error. Returns false. */
bool nfa_fail(struct nfa_builder *b, int errnum, const char *why);
void nfa_emit(struct nfa_builder *b, enum nfa_op op, uint32_t ch);
/* Any characters, as many as there are. */
void nfa_emit_all(struct nfa_builder *b, enum nfa_op op);
/* What was emitted from `begin` on: any number of it, from `min` to `max`. */
#define NFA_REPEAT_INFINITE UINT32_MAX
void nfa_repeat(struct nfa_builder *b, size_t begin, uint32_t min, uint32_t max);

void nfa_choice_begin(struct nfa_builder *b, struct nfa_choice *c);
void nfa_choice_next(struct nfa_builder *b, struct nfa_choice *c);
void nfa_choice_end(struct nfa_builder *b, struct nfa_choice *c);

/* The next character of the text; not at its end. */
uint32_t nfa_take(struct nfa_builder *b);
/* What is behind the `[`, up to its `]`, as a set; emits it. `in_part`: no slash. */
bool nfa_take_set(struct nfa_builder *b, bool in_part);
/* The characters of `\d`, `\w` or `\s`, as a set. */
void nfa_emit_class(struct nfa_builder *b, const char *name, bool extra_underscore,
		    bool negated);

/* One character of `len` bytes, which are not none; returns how many it takes. */
size_t nfa_decode(const char *text, size_t len, uint32_t *ret_ch);

/* The whole of it: `parse` emits; on failure nothing is left. */
int nfa_build(const char *text, void (*parse)(struct nfa_builder *b),
	      struct nfa **ret_nfa, const char **ret_why);

#endif
