/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/tree/pattern.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/tree/nfa.h"
#include "store/util/text.h"

#define REGEX "regex:"

struct pattern {
	char *text;
	bool negated;
	bool exact; /* an expression: of what is below a directory it says nothing */
	bool used;
};

struct patterns {
	size_t n;
	struct pattern *list;
	struct nfa **programs; /* of each */
	struct nfa_scratch *scratch;
};

static int pattern_init(struct pattern *p, const char *text, struct nfa **ret_program,
			struct errmsg *err)
{
	char quoted[TEXT_QUOTE_MAX];
	const char *rest = text, *why;
	int r;

	p->text = strdup(text);
	if (!p->text)
		return err_set(err, ENOMEM, "out of memory");
	text_quote(quoted, text, strlen(text));
	p->negated = *rest == '!';
	rest += p->negated;
	p->exact = strncmp(rest, REGEX, strlen(REGEX)) == 0;
	rest += p->exact ? strlen(REGEX) : 0;
	if (!*rest)
		return err_set(err, EINVAL, "pattern %s: it is empty", quoted);
	r = p->exact ? nfa_regex(rest, ret_program, &why)
		     : nfa_glob(rest, ret_program, &why);
	return r ? err_set(err, -r, "pattern %s: %s", quoted, why) : 0;
}

static int check_positive(const struct patterns *ps, struct errmsg *err)
{
	for (size_t i = 0; i < ps->n; i++) {
		if (!ps->list[i].negated)
			return 0;
	}
	if (!ps->n)
		return err_set(err, EINVAL, "there is no pattern");
	return err_set(
	    err, EINVAL,
	    "pattern \"%s\": all patterns only leave something out; begin with "
	    "what to choose, such as \"**\"",
	    ps->list[0].text);
}

static int patterns_init(struct patterns *ps, const char *const *texts, size_t n,
			 struct errmsg *err)
{
	ps->list = calloc(n + 1, sizeof(*ps->list));
	ps->programs = calloc(n + 1, sizeof(struct nfa *));
	if (!ps->list || !ps->programs)
		return err_set(err, ENOMEM, "out of memory");
	for (ps->n = 0; ps->n < n; ps->n++) {
		struct nfa *program = NULL;
		int r = pattern_init(&ps->list[ps->n], texts[ps->n], &program, err);

		if (r)
			return r;
		ps->programs[ps->n] = program;
	}
	ps->scratch = nfa_scratch_new(ps->programs, n);
	if (!ps->scratch)
		return err_set(err, ENOMEM, "out of memory");
	return check_positive(ps, err);
}

int patterns_new(const char *const *texts, size_t n, struct patterns **ret_patterns,
		 struct errmsg *err)
{
	struct patterns *ps = calloc(1, sizeof(*ps));
	int r;

	if (!ps)
		return err_set(err, ENOMEM, "out of memory");
	r = patterns_init(ps, texts, n, err);
	if (r) {
		/* The one that failed has its text already. */
		if (ps->list && ps->n < n)
			free(ps->list[ps->n].text);
		patterns_free(ps);
		return r;
	}
	*ret_patterns = ps;
	return 0;
}

void patterns_free(struct patterns *ps)
{
	if (!ps)
		return;
	for (size_t i = 0; i < ps->n; i++) {
		free(ps->list[i].text);
		nfa_free(ps->programs[i]);
	}
	free(ps->list);
	free(ps->programs);
	nfa_scratch_free(ps->scratch);
	free(ps);
}

static unsigned int run(const struct patterns *ps, size_t i, const char *path,
			bool is_dir, bool below)
{
	struct nfa_path p = {
	    .path = path,
	    .len = strlen(path),
	    .is_dir = is_dir,
	    .below = below,
	    .exact = ps->list[i].exact,
	};

	return nfa_run(ps->programs[i], ps->scratch, &p);
}

bool patterns_match(struct patterns *ps, const char *path, bool is_dir)
{
	bool decided = false;

	/* From the last on: it decides, and the others may have chosen it as well. */
	for (size_t i = ps->n; i-- > 0;) {
		struct pattern *p = &ps->list[i];

		if (decided && (p->used || p->negated))
			continue;
		if (!(run(ps, i, path, is_dir, false) & (NFA_WHOLE | NFA_ABOVE)))
			continue;
		if (p->negated)
			return false;
		decided = true;
		p->used = true;
	}
	return decided;
}

bool patterns_reach(const struct patterns *ps, const char *dir)
{
	for (size_t i = ps->n; i-- > 0;) {
		unsigned int how = run(ps, i, dir, true, true);

		if (!ps->list[i].negated && how)
			return true;
		if (ps->list[i].negated && how & NFA_ABOVE)
			return false;
	}
	return false;
}

bool patterns_take_all(const struct patterns *ps, const char *dir)
{
	if (patterns_unused(ps))
		return false;
	for (size_t i = ps->n; i-- > 0 && !ps->list[i].negated;) {
		if (!ps->list[i].exact &&
		    run(ps, i, dir, true, false) & (NFA_WHOLE | NFA_ABOVE))
			return true;
	}
	return false;
}

const char *patterns_unused(const struct patterns *ps)
{
	for (size_t i = 0; i < ps->n; i++) {
		if (!ps->list[i].negated && !ps->list[i].used)
			return ps->list[i].text;
	}
	return NULL;
}
