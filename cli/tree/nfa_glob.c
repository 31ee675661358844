/* SPDX-License-Identifier: Apache-2.0 */
/* The syntax of patterns; what means what is told in "cli/tree/pattern.h". */
#include <errno.h>
#include <string.h>

#include "cli/tree/nfa_build.h"

#define DEPTH_MAX 32

struct glob {
	struct nfa_builder *b;
	struct nfa_choice open[DEPTH_MAX]; /* braces */
	size_t depth;
};

/* The end of the pattern, or of an alternative. */
static bool at_end(const struct glob *g, const char *p)
{
	return !*p || (g->depth && (*p == ',' || *p == '}'));
}

/* Slashes, and parts that are a dot, count as one slash. */
static const char *skip_slashes(const char *p)
{
	for (;;) {
		if (*p == '/')
			p++;
		else if (*p == '.' && (p[1] == '/' || !p[1]))
			p++;
		else
			return p;
	}
}

static const char *skip_stars(const char *p)
{
	return p + strspn(p, "*");
}

/* Either nothing, where `op` holds, or a slash and what `rest` emits. */
static void emit_slash_or(struct glob *g, enum nfa_op op, bool all)
{
	struct nfa_choice c;

	nfa_choice_begin(g->b, &c);
	nfa_emit(g->b, op, 0);
	nfa_choice_next(g->b, &c);
	nfa_emit(g->b, NFA_CHAR, '/');
	if (all)
		nfa_emit_all(g->b, NFA_ANY);
	nfa_choice_end(g->b, &c);
}

static void take_slash(struct glob *g)
{
	const char *p = skip_slashes(g->b->at);

	g->b->at = p;
	if (p[0] == '.' && p[1] == '.' && (p[2] == '/' || at_end(g, p + 2)))
		nfa_fail(g->b, EINVAL, "it leads out of the directory; leave .. out");
	else if (at_end(g, p))
		emit_slash_or(g, NFA_DIR, false);
	else if (p[0] == '*' && p[1] == '*' && at_end(g, skip_stars(p))) {
		/* What is below a directory, and the directory. */
		emit_slash_or(g, NFA_DIR, true);
		g->b->at = skip_stars(p);
	} else {
		nfa_emit(g->b, NFA_CHAR, '/');
	}
}

/* `**` and a slash are any number of whole parts, also none. */
static void take_star(struct glob *g)
{
	const char *behind = skip_stars(g->b->at);
	bool several = behind - g->b->at > 1;
	struct nfa_choice c;

	g->b->at = behind;
	if (!several) {
		nfa_emit_all(g->b, NFA_IN_PART);
		return;
	}
	if (*behind != '/' || !*skip_slashes(behind)) {
		nfa_emit_all(g->b, NFA_ANY);
		return;
	}
	g->b->at = skip_slashes(behind);
	nfa_choice_begin(g->b, &c);
	nfa_emit(g->b, NFA_PART, 0);
	nfa_choice_next(g->b, &c);
	nfa_emit_all(g->b, NFA_ANY);
	nfa_emit(g->b, NFA_CHAR, '/');
	nfa_choice_end(g->b, &c);
}

static void take_brace(struct glob *g)
{
	if (g->depth == DEPTH_MAX)
		nfa_fail(g->b, E2BIG, "its choices are nested too deeply");
	else
		nfa_choice_begin(g->b, &g->open[g->depth++]);
}

static void take_literal(struct glob *g)
{
	if (g->b->at[0] == '\\' && !*++g->b->at)
		nfa_fail(g->b, EINVAL, "it ends with a \\; \\\\ is the character itself");
	else
		nfa_emit(g->b, NFA_CHAR, nfa_take(g->b));
}

static void take_one(struct glob *g)
{
	char c = *g->b->at;

	if (c == '*') {
		take_star(g);
	} else if (c == '/') {
		take_slash(g);
	} else if (c == '?') {
		nfa_emit(g->b, NFA_IN_PART, 0);
		g->b->at++;
	} else if (c == '[') {
		g->b->at++;
		nfa_take_set(g->b, true);
	} else if (c == '{') {
		g->b->at++;
		take_brace(g);
	} else if (c == ',' && g->depth) {
		g->b->at++;
		nfa_choice_next(g->b, &g->open[g->depth - 1]);
	} else if (c == '}' && g->depth) {
		g->b->at++;
		nfa_choice_end(g->b, &g->open[--g->depth]);
	} else {
		take_literal(g);
	}
}

static void parse(struct nfa_builder *b)
{
	struct glob g = {.b = b};

	if (*b->at == '/') {
		nfa_fail(b, EINVAL,
			 "it is absolute; write it as seen from the directory");
		return;
	}
	b->at = skip_slashes(b->at);
	if (b->at[0] == '.' && b->at[1] == '.' && (b->at[2] == '/' || !b->at[2])) {
		nfa_fail(b, EINVAL, "it leads out of the directory; leave .. out");
		return;
	}
	/* `.` is all that is in the directory. */
	if (!*b->at)
		nfa_emit_all(b, NFA_ANY);
	while (*b->at && !b->error)
		take_one(&g);
	if (g.depth)
		nfa_fail(b, EINVAL,
			 "a choice, {, is not closed; \\{ is the character itself");
}

int nfa_glob(const char *text, struct nfa **ret_nfa, const char **ret_why)
{
	return nfa_build(text, parse, ret_nfa, ret_why);
}
