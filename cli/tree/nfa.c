/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/tree/nfa.h"

#include <stdlib.h>
#include <string.h>

#include "cli/tree/nfa_build.h"

/* Steps that wait for the next character, each once. */
struct states {
	uint32_t *list;
	size_t n;
	bool matched;
};

struct nfa_scratch {
	struct states now, next;
	uint32_t *stack;
	uint32_t *seen; /* by step: the round that it was added in */
	uint32_t round;
};

/* Where in the path a round is. */
struct place {
	bool begin, end, part, dir;
};

void nfa_free(struct nfa *n)
{
	if (!n)
		return;
	free(n->steps);
	free(n->sets);
	free(n->ranges);
	free(n);
}

struct nfa_scratch *nfa_scratch_new(struct nfa *const *programs, size_t n)
{
	struct nfa_scratch *s = calloc(1, sizeof(*s));
	size_t most = 1;

	if (!s)
		return NULL;
	for (size_t i = 0; i < n; i++)
		most = programs[i]->n > most ? programs[i]->n : most;
	s->now.list = calloc(most, sizeof(*s->now.list));
	s->next.list = calloc(most, sizeof(*s->next.list));
	/* Each step is pushed by two others at most, and looked at once. */
	s->stack = calloc(2 * most + 1, sizeof(*s->stack));
	s->seen = calloc(most, sizeof(*s->seen));
	if (s->now.list && s->next.list && s->stack && s->seen)
		return s;
	nfa_scratch_free(s);
	return NULL;
}

void nfa_scratch_free(struct nfa_scratch *s)
{
	if (!s)
		return;
	free(s->now.list);
	free(s->next.list);
	free(s->stack);
	free(s->seen);
	free(s);
}

static void next_round(struct nfa_scratch *s, size_t n)
{
	if (++s->round == 0) {
		memset(s->seen, 0, n * sizeof(*s->seen));
		s->round = 1;
	}
}

static bool holds(enum nfa_op op, const struct place *at)
{
	switch (op) {
	case NFA_BEGIN:
		return at->begin;
	case NFA_END:
		return at->end;
	case NFA_PART:
		return at->part;
	default:
		return at->dir;
	}
}

/* Add a step and all that can be reached from it without a character. */
static void add(const struct nfa *n, struct nfa_scratch *s, struct states *to,
		uint32_t step, const struct place *at)
{
	size_t depth = 0;

	s->stack[depth++] = step;
	while (depth) {
		uint32_t i = s->stack[--depth];
		const struct nfa_step *st = &n->steps[i];

		if (s->seen[i] == s->round)
			continue;
		s->seen[i] = s->round;
		switch (st->op) {
		case NFA_SPLIT:
			s->stack[depth++] = (uint32_t)((int64_t)i + st->y);
			s->stack[depth++] = (uint32_t)((int64_t)i + st->x);
			break;
		case NFA_JUMP:
			s->stack[depth++] = (uint32_t)((int64_t)i + st->x);
			break;
		case NFA_BEGIN:
		case NFA_END:
		case NFA_PART:
		case NFA_DIR:
			if (holds(st->op, at))
				s->stack[depth++] = i + 1;
			break;
		case NFA_MATCH:
			to->matched = true;
			break;
		default:
			to->list[to->n++] = i;
		}
	}
}

static bool set_has(const struct nfa *n, const struct nfa_set *set, uint32_t ch)
{
	bool found = false;

	if (set->in_part && ch == '/')
		return false;
	for (size_t i = 0; i < set->n && !found; i++) {
		const struct nfa_range *r = &n->ranges[set->first + i];

		found = ch >= r->low && ch <= r->high;
	}
	return found != set->negated;
}

static bool accepts(const struct nfa *n, const struct nfa_step *st, uint32_t ch)
{
	switch (st->op) {
	case NFA_CHAR:
		return st->ch == ch;
	case NFA_ANY:
		return true;
	case NFA_IN_PART:
		return ch != '/';
	default:
		return set_has(n, &n->sets[st->x], ch);
	}
}

static void advance(const struct nfa *n, struct nfa_scratch *s, uint32_t ch,
		    const struct place *at)
{
	struct states old = s->now;

	next_round(s, n->n);
	s->next.n = 0;
	s->next.matched = false;
	for (size_t i = 0; i < old.n; i++) {
		uint32_t step = old.list[i];

		if (accepts(n, &n->steps[step], ch))
			add(n, s, &s->next, step + 1, at);
	}
	s->now = s->next;
	s->next = old;
}

/* Behind `off` bytes, the last of which was `before`. */
static struct place place_at(const struct nfa_path *p, size_t off, uint32_t before)
{
	bool end = off == p->len;

	return (struct place){
	    .begin = off == 0,
	    .end = end && !p->below,
	    .part = off == 0 || before == '/',
	    .dir = off && before != '/' &&
		   (end ? p->is_dir || p->below : p->path[off] == '/'),
	};
}

/* Take the slash behind a directory. */
static unsigned int run_below(const struct nfa *n, struct nfa_scratch *s)
{
	struct place at = {.part = true};

	advance(n, s, '/', &at);
	return s->now.n ? NFA_ALIVE : 0;
}

unsigned int nfa_run(const struct nfa *n, struct nfa_scratch *s, const struct nfa_path *p)
{
	struct place at = place_at(p, 0, 0);
	uint32_t ch = 0;
	size_t off = 0;

	next_round(s, n->n);
	s->now.n = 0;
	s->now.matched = false;
	add(n, s, &s->now, 0, &at);
	while (off < p->len && s->now.n) {
		off += nfa_decode(p->path + off, p->len - off, &ch);
		at = place_at(p, off, ch);
		advance(n, s, ch, &at);
		if (s->now.matched && !p->exact && off < p->len && p->path[off] == '/')
			return NFA_ABOVE;
	}
	if (off < p->len)
		return 0;
	if (!p->below)
		return (s->now.matched ? NFA_WHOLE : 0) | (s->now.n ? NFA_ALIVE : 0);
	if (s->now.matched && !p->exact)
		return NFA_ABOVE;
	return run_below(n, s);
}
