/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/key/validate.h"

#include <errno.h>
#include <string.h>

#include "cli/message.h"
#include "store/util/text.h"

/* One asked for by a default: with a template, its path says what is the same. */
static int effective(const struct key_options *o)
{
	if (o->validate == KEY_VALIDATE_DEFAULT)
		return o->template ? KEY_DURATION_ONLY : KEY_ALL_PARTS;
	return o->validate;
}

static bool is_input(const struct part *p)
{
	return p->kind == PART_PARAM || p->kind == PART_ENV || p->kind == PART_INPUT ||
	       p->kind == PART_STDIN;
}

/* Called `name`, or below what is: all of a directory. */
static bool is_called(const struct part *p, const char *name)
{
	CLEANUP_FREE char *own = part_unescape(p->name);
	const char *called = p->kind == PART_STDIN ? "stdin" : own;
	size_t len = strlen(name);

	return strncmp(called, name, len) == 0 && (!called[len] || called[len] == '/');
}

static bool is_named(const struct key_options *o, const struct part *p)
{
	for (size_t i = 0; i < o->validate_on.len; i++) {
		if (is_called(p, o->validate_on.item[i]))
			return true;
	}
	return false;
}

static bool counts(const void *arg, const struct part *p)
{
	const struct key_options *o = arg;

	/* They are made by an answer: no others, and not fewer. */
	if (p->kind == PART_OUTPUT)
		return true;
	switch (effective(o)) {
	case KEY_DURATION_ONLY:
		return false;
	case KEY_ALL_INPUTS:
		return is_input(p);
	case KEY_ALL_PARAMETERS:
		return p->kind == PART_PARAM;
	case KEY_PARTIAL_INPUTS_ONLY:
		return is_input(p) && is_named(o, p);
	case KEY_PARTIAL_PARAMETERS_ONLY:
		return p->kind == PART_PARAM && is_named(o, p);
	}
	return true;
}

void validate_text(const struct key_options *o, const struct parts *ps,
		   struct buf *ret_text)
{
	parts_text_of(ps, counts, o, ret_text);
}

static bool may_be_named(const struct key_options *o, const struct part *p)
{
	return o->validate == KEY_PARTIAL_PARAMETERS_ONLY ? p->kind == PART_PARAM
							  : is_input(p);
}

static int check_name(const struct key_options *o, const struct parts *ps,
		      const char *name, struct errmsg *err)
{
	char quoted[TEXT_QUOTE_MAX];

	for (size_t i = 0; i < ps->n; i++) {
		if (may_be_named(o, &ps->list[i]) && is_called(&ps->list[i], name))
			return 0;
	}
	return err_set(
	    err, EINVAL,
	    "--validate-on: %s is no %s of this command; memofs key shows them",
	    text_quote(quoted, name, strlen(name)),
	    o->validate == KEY_PARTIAL_PARAMETERS_ONLY ? "param" : "input");
}

int validate_check(const struct key_options *o, const struct parts *ps,
		   struct errmsg *err)
{
	int r = 0;

	for (size_t i = 0; i < o->validate_on.len && !r; i++)
		r = check_name(o, ps, o->validate_on.item[i], err);
	return r;
}

/* The parts of a text that count. False: it is no key. */
static bool counting_text(const struct key_options *o, struct slice text, struct buf *ret)
{
	CLEANUP_PARTS struct parts ps = PARTS_INIT;

	if (parts_parse(text, &ps))
		return false;
	validate_text(o, &ps, ret);
	return true;
}

int validate_differences(const struct key_options *o, struct slice stored,
			 struct slice now, struct buf *ret_lines)
{
	CLEANUP_BUF struct buf a = BUF_INIT;
	CLEANUP_BUF struct buf b = BUF_INIT;

	if (!counting_text(o, stored, &a) || !counting_text(o, now, &b))
		return -EBADMSG;
	return key_differences(buf_slice(&a), buf_slice(&b), ret_lines);
}

static bool same_bytes(struct slice a, struct slice b)
{
	return a.len == b.len && (!a.len || memcmp(a.data, b.data, a.len) == 0);
}

bool key_answers(const struct key_options *o, const struct key *k, struct slice stored)
{
	CLEANUP_BUF struct buf now = BUF_INIT;
	CLEANUP_BUF struct buf then = BUF_INIT;

	if (o->validate == KEY_NEVER_USE)
		return false;
	/* The usual case needs no look at the parts. */
	if (same_bytes(buf_slice(&k->text), stored))
		return true;
	if (effective(o) == KEY_ALL_PARTS)
		return false;
	return counting_text(o, stored, &then) &&
	       counting_text(o, buf_slice(&k->text), &now) &&
	       same_bytes(buf_slice(&now), buf_slice(&then));
}
