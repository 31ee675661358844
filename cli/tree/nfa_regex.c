/* SPDX-License-Identifier: Apache-2.0 */
/* POSIX extended expressions, and the \d \s \w that everyone expects. */
#include <errno.h>
#include <string.h>

#include "cli/tree/nfa_build.h"

#define DEPTH_MAX 64
#define REPEAT_MAX 10000

struct regex {
	struct nfa_builder *b;
	struct nfa_choice open[DEPTH_MAX]; /* parentheses; the first is the whole */
	size_t group[DEPTH_MAX];	   /* where each begins */
	size_t depth;
	bool has_atom; /* something that can be repeated is before */
	size_t atom;   /* where it begins */
};

static void atom_begins(struct regex *x)
{
	x->atom = x->b->nfa->n;
	x->has_atom = true;
}

static void open_group(struct regex *x)
{
	if (x->depth == DEPTH_MAX) {
		nfa_fail(x->b, E2BIG, "its parentheses are nested too deeply");
		return;
	}
	x->group[x->depth] = x->b->nfa->n;
	nfa_choice_begin(x->b, &x->open[x->depth++]);
	x->has_atom = false;
}

static void close_group(struct regex *x)
{
	nfa_choice_end(x->b, &x->open[--x->depth]);
	x->atom = x->group[x->depth];
	x->has_atom = true;
}

static void take_escape(struct regex *x)
{
	struct nfa_builder *b = x->b;
	char c = *++b->at;

	atom_begins(x);
	if (!c)
		nfa_fail(b, EINVAL, "it ends with a \\; \\\\ is the character itself");
	else if (c == 'd' || c == 'D')
		nfa_emit_class(b, "digit", false, c == 'D');
	else if (c == 's' || c == 'S')
		nfa_emit_class(b, "space", false, c == 'S');
	else if (c == 'w' || c == 'W')
		nfa_emit_class(b, "alnum", true, c == 'W');
	else if (c >= '1' && c <= '9')
		nfa_fail(b, EINVAL, "it refers back (\\1); that is not supported");
	else if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '0')
		nfa_fail(b, EINVAL, "a \\ before this letter has no meaning here");
	else
		nfa_emit(b, NFA_CHAR, nfa_take(b));
	if (!b->error && strchr("dDsSwW", c))
		b->at++;
}

static bool take_number(struct nfa_builder *b, uint32_t *ret_number)
{
	const char *begin = b->at;
	uint32_t number = 0;

	for (; *b->at >= '0' && *b->at <= '9' && number <= REPEAT_MAX; b->at++)
		number = number * 10 + (uint32_t)(*b->at - '0');
	if (number > REPEAT_MAX)
		return nfa_fail(b, E2BIG, "it repeats too often");
	*ret_number = number;
	return b->at != begin;
}

/* What is between braces. */
static bool take_bounds(struct nfa_builder *b, uint32_t *ret_min, uint32_t *ret_max)
{
	bool low = take_number(b, ret_min), high = low;

	*ret_max = *ret_min;
	if (!b->error && *b->at == ',') {
		b->at++;
		high = take_number(b, ret_max);
		if (!high)
			*ret_max = NFA_REPEAT_INFINITE;
	}
	if (b->error || !(low || high) || *b->at != '}' || *ret_max < *ret_min)
		return nfa_fail(b, EINVAL,
				"{ begins a repetition, {2} or {1,3}; \\{ is the "
				"character itself");
	b->at++;
	return true;
}

static void take_repetition(struct regex *x)
{
	uint32_t min = 0, max = NFA_REPEAT_INFINITE;
	char c = *x->b->at++;

	if (!x->has_atom) {
		nfa_fail(x->b, EINVAL, "a repetition comes behind what it repeats");
		return;
	}
	if (c == '+')
		min = 1;
	else if (c == '?')
		max = 1;
	if (c != '{' || take_bounds(x->b, &min, &max))
		nfa_repeat(x->b, x->atom, min, max);
}

static void take_anchor(struct regex *x, enum nfa_op op)
{
	nfa_emit(x->b, op, 0);
	x->b->at++;
	x->has_atom = false;
}

static void take_one(struct regex *x)
{
	struct nfa_builder *b = x->b;
	char c = *b->at;

	if (c == '\\') {
		take_escape(x);
	} else if (strchr("*+?{", c)) {
		take_repetition(x);
	} else if (c == '^' || c == '$') {
		take_anchor(x, c == '^' ? NFA_BEGIN : NFA_END);
	} else if (c == '|') {
		b->at++;
		nfa_choice_next(b, &x->open[x->depth - 1]);
		x->has_atom = false;
	} else if (c == '(') {
		b->at++;
		open_group(x);
	} else if (c == ')' && x->depth > 1) {
		b->at++;
		close_group(x);
	} else if (c == ')') {
		nfa_fail(b, EINVAL, "a ) closes nothing; \\) is the character itself");
	} else if (c == '[') {
		atom_begins(x);
		b->at++;
		nfa_take_set(b, false);
	} else {
		atom_begins(x);
		if (c == '.')
			b->at++;
		nfa_emit(b, c == '.' ? NFA_ANY : NFA_CHAR, c == '.' ? 0 : nfa_take(b));
	}
}

static void parse(struct nfa_builder *b)
{
	struct regex x = {.b = b};

	open_group(&x);
	while (*b->at && !b->error)
		take_one(&x);
	if (x.depth > 1)
		nfa_fail(b, EINVAL, "a ( is not closed; \\( is the character itself");
	if (!b->error)
		close_group(&x);
}

int nfa_regex(const char *text, struct nfa **ret_nfa, const char **ret_why)
{
	return nfa_build(text, parse, ret_nfa, ret_why);
}
