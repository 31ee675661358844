/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/tree/nfa_build.h"
#include "store/util/utf8.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Characters that are none: behind the last one of Unicode. */
#define STRAY_BYTE 0x110000

size_t nfa_decode(const char *text, size_t len, uint32_t *ret_ch)
{
	unsigned char byte = (unsigned char)*text;
	size_t n = byte < 0x80 ? 0 : utf8_decode(text, len, ret_ch);

	if (n)
		return n;
	*ret_ch = byte < 0x80 ? byte : STRAY_BYTE + byte;
	return 1;
}

bool nfa_fail(struct nfa_builder *b, int errnum, const char *why)
{
	if (!b->error) {
		b->error = errnum;
		b->why = why;
	}
	return false;
}

/* Room for one more in an array. */
static bool room(struct nfa_builder *b, void **array, size_t n, size_t *cap, size_t size)
{
	size_t more = *cap ? *cap * 2 : 16;
	void *grown;

	if (b->error)
		return false;
	if (n < *cap)
		return true;
	grown = reallocarray(*array, more, size);
	if (!grown)
		return nfa_fail(b, ENOMEM, "out of memory");
	*array = grown;
	*cap = more;
	return true;
}

static struct nfa_step *new_step(struct nfa_builder *b)
{
	struct nfa *n = b->nfa;

	if (!b->error && n->n == NFA_STEPS_MAX)
		nfa_fail(b, E2BIG, "it is too large; write several smaller ones");
	if (!room(b, (void **)&n->steps, n->n, &n->cap, sizeof(*n->steps)))
		return NULL;
	return &n->steps[n->n++];
}

void nfa_emit(struct nfa_builder *b, enum nfa_op op, uint32_t ch)
{
	struct nfa_step *st = new_step(b);

	if (st)
		*st = (struct nfa_step){.op = op, .ch = ch};
}

static void emit_jump(struct nfa_builder *b, enum nfa_op op, int32_t x, int32_t y)
{
	struct nfa_step *st = new_step(b);

	if (st)
		*st = (struct nfa_step){.op = op, .x = x, .y = y};
}

void nfa_emit_all(struct nfa_builder *b, enum nfa_op op)
{
	emit_jump(b, NFA_SPLIT, 1, 3);
	nfa_emit(b, op, 0);
	emit_jump(b, NFA_JUMP, -2, 0);
}

/* A split before what was emitted from `begin` on. */
static void insert_split(struct nfa_builder *b, size_t begin, int32_t y)
{
	struct nfa_step *steps;

	nfa_emit(b, NFA_SPLIT, 0);
	if (b->error)
		return;
	steps = b->nfa->steps;
	memmove(&steps[begin + 1], &steps[begin],
		(b->nfa->n - 1 - begin) * sizeof(*steps));
	steps[begin] = (struct nfa_step){.op = NFA_SPLIT, .x = 1, .y = y};
}

static void emit_copy(struct nfa_builder *b, const struct nfa_step *from, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct nfa_step *st = new_step(b);

		if (!st)
			return;
		*st = from[i];
	}
}

/* `n` more that may be left out, from any of them on. */
static void emit_optional(struct nfa_builder *b, const struct nfa_step *part, size_t len,
			  uint32_t n)
{
	for (; n && !b->error; n--) {
		uint64_t behind = (uint64_t)n * (len + 1);

		if (behind > NFA_STEPS_MAX)
			behind = NFA_STEPS_MAX; /* it fails before anyone goes there */
		emit_jump(b, NFA_SPLIT, 1, (int32_t)behind);
		emit_copy(b, part, len);
	}
}

void nfa_repeat(struct nfa_builder *b, size_t begin, uint32_t min, uint32_t max)
{
	size_t len = b->nfa->n - begin;
	struct nfa_step *part;

	if (b->error)
		return;
	part = malloc((len + 1) * sizeof(*part));
	if (!part) {
		nfa_fail(b, ENOMEM, "out of memory");
		return;
	}
	if (len)
		memcpy(part, &b->nfa->steps[begin], len * sizeof(*part));
	b->nfa->n = begin;
	/* Nothing, however often, is nothing; and would never be too large. */
	for (uint32_t i = 0; len && i < min && !b->error; i++)
		emit_copy(b, part, len);
	if (len && max == NFA_REPEAT_INFINITE) {
		emit_jump(b, NFA_SPLIT, 1, (int32_t)len + 2);
		emit_copy(b, part, len);
		emit_jump(b, NFA_JUMP, -(int32_t)len - 1, 0);
	} else if (len) {
		emit_optional(b, part, len, max - min);
	}
	free(part);
}

void nfa_choice_begin(struct nfa_builder *b, struct nfa_choice *c)
{
	*c = (struct nfa_choice){.begin = b->nfa->n, .jumps = -1};
}

void nfa_choice_next(struct nfa_builder *b, struct nfa_choice *c)
{
	size_t len = b->nfa->n - c->begin;

	insert_split(b, c->begin, (int32_t)len + 2);
	/* Until its target is known, a jump holds the place of the one before it. */
	emit_jump(b, NFA_JUMP, (int32_t)c->jumps, 0);
	c->jumps = (int64_t)b->nfa->n - 1;
	c->begin = b->nfa->n;
}

void nfa_choice_end(struct nfa_builder *b, struct nfa_choice *c)
{
	int64_t jump = c->jumps;

	while (!b->error && jump >= 0) {
		struct nfa_step *st = &b->nfa->steps[jump];
		int64_t before = st->x;

		st->x = (int32_t)((int64_t)b->nfa->n - jump);
		jump = before;
	}
}

uint32_t nfa_take(struct nfa_builder *b)
{
	uint32_t ch;

	b->at += nfa_decode(b->at, strlen(b->at), &ch);
	return ch;
}

/* ---- sets ---------------------------------------------------------------------- */

static void add_range(struct nfa_builder *b, uint32_t low, uint32_t high)
{
	struct nfa *n = b->nfa;

	if (n->n_ranges == NFA_STEPS_MAX)
		nfa_fail(b, E2BIG, "its sets are too large");
	if (room(b, (void **)&n->ranges, n->n_ranges, &n->cap_ranges, sizeof(*n->ranges)))
		n->ranges[n->n_ranges++] = (struct nfa_range){low, high};
}

/* A set of all ranges from `first` on. */
static void emit_set(struct nfa_builder *b, size_t first, bool negated, bool in_part)
{
	struct nfa *n = b->nfa;

	if (!room(b, (void **)&n->sets, n->n_sets, &n->cap_sets, sizeof(*n->sets)))
		return;
	n->sets[n->n_sets] = (struct nfa_set){.negated = negated,
					      .in_part = in_part,
					      .first = first,
					      .n = n->n_ranges - first};
	emit_jump(b, NFA_SET, (int32_t)n->n_sets++, 0);
}

/* Of ASCII, whatever the locale. False: there is no such class. */
static bool add_class(struct nfa_builder *b, const char *name, size_t len)
{
	static const struct {
		const char *name;
		struct nfa_range ranges[4]; /* to the first that ends with 0 */
	} classes[] = {
	    {"alnum", {{'0', '9'}, {'A', 'Z'}, {'a', 'z'}}},
	    {"alpha", {{'A', 'Z'}, {'a', 'z'}}},
	    {"blank", {{'\t', '\t'}, {' ', ' '}}},
	    {"cntrl", {{0x01, 0x1f}, {0x7f, 0x7f}}},
	    {"digit", {{'0', '9'}}},
	    {"graph", {{0x21, 0x7e}}},
	    {"lower", {{'a', 'z'}}},
	    {"print", {{0x20, 0x7e}}},
	    {"punct", {{0x21, 0x2f}, {0x3a, 0x40}, {0x5b, 0x60}, {0x7b, 0x7e}}},
	    {"space", {{'\t', '\r'}, {' ', ' '}}},
	    {"upper", {{'A', 'Z'}}},
	    {"xdigit", {{'0', '9'}, {'A', 'F'}, {'a', 'f'}}},
	};

	for (size_t i = 0; i < sizeof(classes) / sizeof(*classes); i++) {
		const struct nfa_range *r = classes[i].ranges;

		if (strlen(classes[i].name) != len || memcmp(classes[i].name, name, len))
			continue;
		for (size_t k = 0; k < 4 && r[k].high; k++)
			add_range(b, r[k].low, r[k].high);
		return true;
	}
	return false;
}

void nfa_emit_class(struct nfa_builder *b, const char *name, bool extra_underscore,
		    bool negated)
{
	size_t first = b->nfa->n_ranges;

	add_class(b, name, strlen(name));
	if (extra_underscore)
		add_range(b, '_', '_');
	emit_set(b, first, negated, false);
}

#define SET_OPEN "a set, [, is not closed; [[] is the character itself"

/* `[:name:]` in a set, with b->at at its bracket. */
static bool take_class(struct nfa_builder *b)
{
	const char *name = b->at + 2, *end = strstr(name, ":]");

	if (b->at[1] != ':')
		return nfa_fail(b, EINVAL, "[. and [= in a set have no meaning here");
	if (!end)
		return nfa_fail(b, EINVAL, SET_OPEN);
	if (!add_class(b, name, (size_t)(end - name)))
		return nfa_fail(b, EINVAL,
				"there is no such class; one is [:alnum:], [:alpha:], "
				"[:digit:], [:space:], …");
	b->at = end + 2;
	return true;
}

static bool take_member(struct nfa_builder *b, bool in_part, uint32_t *ret_ch)
{
	if (in_part && *b->at == '\\' && b->at[1])
		b->at++;
	if (!*b->at)
		return nfa_fail(b, EINVAL, SET_OPEN);
	if (in_part && *b->at == '/')
		return nfa_fail(b, EINVAL,
				"a set is of characters within a name; / is not");
	*ret_ch = nfa_take(b);
	return true;
}

static bool take_range(struct nfa_builder *b, bool in_part)
{
	uint32_t low = 0, high;

	if (!take_member(b, in_part, &low))
		return false;
	high = low;
	if (*b->at == '-' && b->at[1] && b->at[1] != ']') {
		b->at++;
		if (!take_member(b, in_part, &high))
			return false;
	}
	if (high < low)
		return nfa_fail(b, EINVAL, "a range of a set is the wrong way round");
	add_range(b, low, high);
	return true;
}

bool nfa_take_set(struct nfa_builder *b, bool in_part)
{
	size_t first = b->nfa->n_ranges;
	bool negated = *b->at == '^' || (in_part && *b->at == '!');
	bool empty = true;

	b->at += negated;
	/* A bracket that comes first is a member. */
	for (; empty || *b->at != ']'; empty = false) {
		bool class = *b->at == '[' && strchr(":.=", b->at[1]) && b->at[1];

		if (!(class ? take_class(b) : take_range(b, in_part)) || b->error)
			return false;
	}
	b->at++;
	emit_set(b, first, negated, in_part);
	return !b->error;
}

int nfa_build(const char *text, void (*parse)(struct nfa_builder *b),
	      struct nfa **ret_nfa, const char **ret_why)
{
	struct nfa_builder b = {.at = text, .nfa = calloc(1, sizeof(*b.nfa))};

	if (!b.nfa) {
		*ret_why = "out of memory";
		return -ENOMEM;
	}
	parse(&b);
	nfa_emit(&b, NFA_MATCH, 0);
	if (b.error) {
		nfa_free(b.nfa);
		*ret_why = b.why;
		return -b.error;
	}
	*ret_nfa = b.nfa;
	return 0;
}
