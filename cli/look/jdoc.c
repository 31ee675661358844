/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/look/jdoc.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "cli/message.h"
#include "store/util/utf8.h"

/* Longer numbers say nothing more in a double. */
#define NUMBER_MAX 64

struct reader {
	const char *text, *at, *end;
	struct jdoc *doc;
	char *strings; /* where the next one goes */
	unsigned int depth;
	struct errmsg *err;
};

static int wrong(const struct reader *r, const char *what)
{
	return err_set(r->err, EINVAL, "byte %zu: %s", (size_t)(r->at - r->text), what);
}

static void skip_space(struct reader *r)
{
	while (r->at < r->end && memchr(" \t\r\n", *r->at, 4))
		r->at++;
}

static bool take(struct reader *r, char c)
{
	if (r->at == r->end || *r->at != c)
		return false;
	r->at++;
	return true;
}

static bool take_word(struct reader *r, const char *word)
{
	size_t len = strlen(word);

	if ((size_t)(r->end - r->at) < len || memcmp(r->at, word, len) != 0)
		return false;
	r->at += len;
	return true;
}

/* ---- strings ------------------------------------------------------------------- */

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = (char)(c | 0x20);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* The four digits behind \u; negative when there are none. */
static int32_t take_unit(struct reader *r)
{
	int32_t unit = 0;

	if (r->end - r->at < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		int digit = hex_digit(r->at[i]);

		if (digit < 0)
			return -1;
		unit = unit << 4 | digit;
	}
	r->at += 4;
	return unit;
}

static void put_char(struct reader *r, uint32_t c)
{
	if (c < 0x80) {
		*r->strings++ = (char)c;
		return;
	}
	if (c < 0x800) {
		*r->strings++ = (char)(0xc0 | c >> 6);
	} else {
		if (c < 0x10000) {
			*r->strings++ = (char)(0xe0 | c >> 12);
		} else {
			*r->strings++ = (char)(0xf0 | c >> 18);
			*r->strings++ = (char)(0x80 | (c >> 12 & 0x3f));
		}
		*r->strings++ = (char)(0x80 | (c >> 6 & 0x3f));
	}
	*r->strings++ = (char)(0x80 | (c & 0x3f));
}

static int take_unicode(struct reader *r)
{
	int32_t c = take_unit(r), low;

	if (c < 0)
		return wrong(r, "four hexadecimal digits are missing behind \\u");
	if (c == 0)
		return wrong(r, "a NUL in a string");
	if (c >= 0xd800 && c <= 0xdbff) {
		low = take_word(r, "\\u") ? take_unit(r) : -1;
		if (low < 0xdc00 || low > 0xdfff)
			return wrong(r, "half of a surrogate pair");
		c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
	} else if (c >= 0xdc00 && c <= 0xdfff) {
		return wrong(r, "half of a surrogate pair");
	}
	put_char(r, (uint32_t)c);
	return 0;
}

static int take_escape(struct reader *r)
{
	static const char letters[] = "\"\\/bfnrt", means[] = "\"\\/\b\f\n\r\t";
	const char *at;

	if (take(r, 'u'))
		return take_unicode(r);
	at = r->at < r->end && *r->at ? strchr(letters, *r->at) : NULL;
	if (!at)
		return wrong(r, "an unknown escape in a string");
	*r->strings++ = means[at - letters];
	r->at++;
	return 0;
}

/* Behind the first quote. Never longer than its text, for which there is room. */
static int take_string(struct reader *r, const char **ret_string)
{
	char *begin = r->strings;
	uint32_t c;
	size_t n;

	while (!take(r, '"')) {
		if (r->at == r->end)
			return wrong(r, "the text ends in a string");
		if (take(r, '\\')) {
			int e = take_escape(r);

			if (e)
				return e;
			continue;
		}
		n = utf8_decode(r->at, (size_t)(r->end - r->at), &c);
		if (!n || c < 0x20)
			return wrong(r, n ? "a control character in a string"
					  : "a string is not UTF-8");
		memcpy(r->strings, r->at, n);
		r->strings += n;
		r->at += n;
	}
	*r->strings++ = '\0';
	*ret_string = begin;
	return 0;
}

/* ---- numbers ------------------------------------------------------------------- */

static size_t count_digits(const char *s, const char *end)
{
	const char *at = s;

	while (at < end && *at >= '0' && *at <= '9')
		at++;
	return (size_t)(at - s);
}

/* The length of the number at `s`, or 0. */
static size_t number_length(const char *s, const char *end)
{
	const char *at = s + (s < end && *s == '-');
	size_t n = count_digits(at, end);

	if (!n || (n > 1 && *at == '0'))
		return 0;
	at += n;
	if (at < end && *at == '.') {
		n = count_digits(++at, end);
		at += n;
		if (!n)
			return 0;
	}
	if (at < end && (*at | 0x20) == 'e') {
		at++;
		at += at < end && (*at == '+' || *at == '-');
		n = count_digits(at, end);
		at += n;
		if (!n)
			return 0;
	}
	return (size_t)(at - s);
}

static int take_number(struct reader *r, double *ret_number)
{
	size_t len = number_length(r->at, r->end);
	char text[NUMBER_MAX + 1];

	if (!len || len > NUMBER_MAX)
		return wrong(r, len ? "the number is too long" : "no JSON value");
	memcpy(text, r->at, len);
	text[len] = '\0';
	*ret_number = strtod(text, NULL);
	if (!isfinite(*ret_number))
		return wrong(r, "the number is too large");
	r->at += len;
	return 0;
}

/* ---- values -------------------------------------------------------------------- */

static int take_value(struct reader *r, struct jval *v);

static int take_members(struct reader *r, struct jval *v, char close)
{
	struct jval **link = &v->first;

	if (++r->depth > JDOC_DEPTH_MAX)
		return err_set(r->err, E2BIG, "byte %zu: nested too deep",
			       (size_t)(r->at - r->text));
	skip_space(r);
	if (take(r, close)) {
		r->depth--;
		return 0;
	}
	do {
		/* There is room for one more than there are commas and brackets. */
		struct jval *child = &r->doc->values[r->doc->n++];
		int e = 0;

		skip_space(r);
		if (v->type == JOBJECT) {
			e = take(r, '"') ? take_string(r, &child->key)
					 : wrong(r, "the name of a member is missing");
			skip_space(r);
			if (!e && !take(r, ':'))
				e = wrong(r, "a colon is missing");
		}
		if (!e)
			e = take_value(r, child);
		if (e)
			return e;
		*link = child;
		link = &child->next;
		skip_space(r);
	} while (take(r, ','));
	r->depth--;
	return take(r, close) ? 0 : wrong(r, "a comma or bracket is missing");
}

static int take_inner(struct reader *r, struct jval *v)
{
	if (take(r, '{')) {
		v->type = JOBJECT;
		return take_members(r, v, '}');
	}
	if (take(r, '[')) {
		v->type = JARRAY;
		return take_members(r, v, ']');
	}
	if (take(r, '"')) {
		v->type = JSTRING;
		return take_string(r, &v->string);
	}
	if (take_word(r, "true"))
		v->type = JTRUE;
	else if (take_word(r, "false"))
		v->type = JFALSE;
	else if (take_word(r, "null"))
		v->type = JNULL;
	else {
		v->type = JNUMBER;
		return take_number(r, &v->number);
	}
	return 0;
}

static int take_value(struct reader *r, struct jval *v)
{
	int e;

	skip_space(r);
	v->begin = (size_t)(r->at - r->text);
	e = take_inner(r, v);
	v->end = (size_t)(r->at - r->text);
	return e;
}

/* At most so many values are in it: each but the first is behind one of these. */
static size_t count_values(const char *text, size_t len)
{
	size_t n = 1;

	for (size_t i = 0; i < len; i++)
		n += text[i] == ',' || text[i] == '[' || text[i] == '{';
	return n;
}

int jdoc_read(const char *text, size_t len, struct jdoc *ret_doc, struct errmsg *err)
{
	CLEANUP_JDOC struct jdoc doc = {.cap = count_values(text, len)};
	struct reader r = {
	    .text = text, .at = text, .end = text + len, .doc = &doc, .err = err};
	int e;

	if (doc.cap > JDOC_VALUES_MAX)
		return err_set(err, E2BIG, "more than %u values", JDOC_VALUES_MAX);
	doc.values = xcalloc(doc.cap, sizeof(*doc.values));
	r.strings = doc.strings = xcalloc(len + 1, 1);
	doc.n = 1;
	e = take_value(&r, &doc.values[0]);
	if (e)
		return e;
	skip_space(&r);
	if (r.at != r.end)
		return wrong(&r, "something follows the value");
	*ret_doc = doc;
	doc = JDOC_INIT;
	return 0;
}

void jdoc_deinit(struct jdoc *doc)
{
	free(doc->values);
	free(doc->strings);
	*doc = JDOC_INIT;
}

const struct jval *jval_get(const struct jval *v, const char *key)
{
	if (!v || v->type != JOBJECT)
		return NULL;
	for (const struct jval *m = v->first; m; m = m->next) {
		if (strcmp(m->key, key) == 0)
			return m;
	}
	return NULL;
}

const struct jval *jval_elements(const struct jval *v)
{
	return v && v->type == JARRAY ? v->first : NULL;
}

double jval_number(const struct jval *v, double otherwise)
{
	return v && v->type == JNUMBER ? v->number : otherwise;
}

const char *jval_string(const struct jval *v, const char *otherwise)
{
	return v && v->type == JSTRING ? v->string : otherwise;
}
