/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/key/parts.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/message.h"
#include "store/util/utf8.h"

static const char header[] = "memofs-key 1\n";

static const char *const kind_names[PART_KINDS] = {
    [PART_NAME] = "name",   [PART_COMMAND] = "command", [PART_VERSION] = "version",
    [PART_PARAM] = "param", [PART_ENV] = "env",		[PART_INPUT] = "input",
    [PART_STDIN] = "stdin", [PART_OUTPUT] = "output",	[PART_SALT] = "salt",
};

const char *part_kind_name(enum part_kind kind)
{
	return kind_names[kind];
}

/* ---- escapes ----------------------------------------------------------------- */

static void escape_byte(struct buf *out, unsigned char c)
{
	static const char letters[] = "\\\\\tt\nn\rr";

	for (const char *l = letters; *l; l += 2) {
		if (c == (unsigned char)*l) {
			must(buf_printf(out, "\\%c", l[1]));
			return;
		}
	}
	must(buf_printf(out, "\\x%02x", c));
}

void part_escape(struct buf *out, const char *text, size_t len)
{
	uint32_t c;

	for (size_t n; len; text += n, len -= n) {
		n = utf8_decode(text, len, &c);
		if (n && c >= 0x20 && c != '\\' && !(c >= 0x7f && c < 0xa0)) {
			must(buf_append(out, text, n));
			continue;
		}
		n = n ? n : 1;
		for (size_t i = 0; i < n; i++)
			escape_byte(out, (unsigned char)text[i]);
	}
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* What the escape at `s`, of `len` bytes at most, stands for; its length, or 0. */
static size_t unescape_one(const char *s, size_t len, char *ret_byte)
{
	static const char letters[] = "\\\\t\tn\nr\r";

	for (const char *l = letters; len >= 2 && *l; l += 2) {
		if (s[1] == *l) {
			*ret_byte = l[1];
			return 2;
		}
	}
	if (len < 4 || s[1] != 'x' || hex_digit(s[2]) < 0 || hex_digit(s[3]) < 0)
		return 0;
	*ret_byte = (char)(hex_digit(s[2]) << 4 | hex_digit(s[3]));
	return 4;
}

/* -EBADMSG: a backslash begins no escape. */
static int unescape(struct slice escaped, struct buf *ret_text)
{
	const char *s = escaped.data;

	for (size_t left = escaped.len, n; left; s += n, left -= n) {
		char byte = *s;

		n = byte == '\\' ? unescape_one(s, left, &byte) : 1;
		if (!n)
			return -EBADMSG;
		must(buf_append(ret_text, &byte, 1));
	}
	return 0;
}

char *part_unescape(struct slice escaped)
{
	struct buf text = BUF_INIT;

	unescape(escaped, &text);
	must(buf_append(&text, "", 1));
	return (char *)text.data;
}

/* Is it what part_escape() writes? */
static bool is_canonical(struct slice escaped)
{
	CLEANUP_BUF struct buf text = BUF_INIT;
	CLEANUP_BUF struct buf again = BUF_INIT;

	if (unescape(escaped, &text) ||
	    memchr(text.data ? text.data : (void *)"", '\0', text.len))
		return false;
	part_escape(&again, (const char *)text.data, text.len);
	return again.len == escaped.len &&
	       (!again.len || memcmp(again.data, escaped.data, again.len) == 0);
}

/* ---- lists ---------------------------------------------------------------------- */

void parts_deinit(struct parts *ps)
{
	for (size_t i = 0; i < ps->n; i++)
		free(ps->list[i].line);
	free(ps->list);
	*ps = PARTS_INIT;
}

static void append(struct parts *ps, struct part part)
{
	if (ps->n == ps->cap) {
		ps->cap = ps->cap ? 2 * ps->cap : 16;
		ps->list = xreallocarray(ps->list, ps->cap, sizeof(*ps->list));
	}
	ps->list[ps->n++] = part;
}

void parts_add(struct parts *ps, enum part_kind kind, const char *name, const char *value)
{
	struct buf line = BUF_INIT;
	struct part part = {.kind = kind};
	size_t name_len;

	part_escape(&line, name, strlen(name));
	name_len = line.len;
	if (value)
		part_escape(&line, value, strlen(value));
	must(buf_append(&line, "", 1));
	part.line = (char *)line.data;
	part.name = slice(part.line, name_len);
	if (value)
		part.value = slice(part.line + name_len, line.len - 1 - name_len);
	append(ps, part);
}

static int compare_bytes(struct slice a, struct slice b)
{
	size_t n = a.len < b.len ? a.len : b.len;
	int r = n ? memcmp(a.data, b.data, n) : 0;

	return r ? r : (a.len > b.len) - (a.len < b.len);
}

/* Numbers without leading zeros: the longer is the greater. */
static int compare_numbers(struct slice a, struct slice b)
{
	return a.len == b.len ? compare_bytes(a, b) : a.len < b.len ? -1 : 1;
}

int part_compare(const struct part *a, const struct part *b)
{
	if (a->kind != b->kind)
		return a->kind < b->kind ? -1 : 1;
	return a->kind == PART_COMMAND ? compare_numbers(a->name, b->name)
				       : compare_bytes(a->name, b->name);
}

bool part_same_value(const struct part *a, const struct part *b)
{
	return !a->value.data == !b->value.data && compare_bytes(a->value, b->value) == 0;
}

static int compare_for_sort(const void *a, const void *b)
{
	return part_compare(a, b);
}

/* Versions stay in the order they were given: they are moved away from the sort. */
static void sort_by_kind(struct parts *ps)
{
	CLEANUP_PARTS struct parts versions = PARTS_INIT;
	CLEANUP_PARTS struct parts before = PARTS_INIT;
	struct parts sorted = PARTS_INIT;

	for (size_t i = 0; i < ps->n; i++)
		append(ps->list[i].kind == PART_VERSION ? &versions : &before,
		       ps->list[i]);
	if (before.n)
		qsort(before.list, before.n, sizeof(*before.list), compare_for_sort);
	for (size_t i = 0, v = 0; i < before.n || v < versions.n;) {
		if (v < versions.n &&
		    (i == before.n || before.list[i].kind > PART_VERSION))
			append(&sorted, versions.list[v++]);
		else
			append(&sorted, before.list[i++]);
	}
	versions.n = before.n = ps->n = 0; /* the lines have moved on */
	parts_deinit(ps);
	*ps = sorted;
}

const struct part *parts_sort(struct parts *ps)
{
	size_t kept = 0;

	sort_by_kind(ps);
	for (size_t i = 0; i < ps->n; i++) {
		const struct part *last = kept ? &ps->list[kept - 1] : NULL;

		if (!last || part_compare(last, &ps->list[i]))
			ps->list[kept++] = ps->list[i];
		else if (part_same_value(last, &ps->list[i]))
			free(ps->list[i].line);
		else
			return &ps->list[i];
	}
	ps->n = kept;
	return NULL;
}

/* ---- the text ---------------------------------------------------------------------- */

void parts_text_of(const struct parts *ps,
		   bool (*keep)(const void *arg, const struct part *), const void *arg,
		   struct buf *ret_text)
{
	must(buf_append(ret_text, header, sizeof(header) - 1));
	for (size_t i = 0; i < ps->n; i++) {
		const struct part *p = &ps->list[i];

		if (keep && !keep(arg, p))
			continue;
		must(buf_printf(ret_text, "%s\t", kind_names[p->kind]));
		must(buf_append(ret_text, p->name.data, p->name.len));
		if (p->value.data)
			must(buf_append(ret_text, "\t", 1));
		must(buf_append(ret_text, p->value.data, p->value.len));
		must(buf_append(ret_text, "\n", 1));
	}
}

void parts_text(const struct parts *ps, struct buf *ret_text)
{
	parts_text_of(ps, NULL, NULL, ret_text);
}

static int parse_kind(struct slice word, enum part_kind *ret_kind)
{
	for (int i = 0; i < PART_KINDS; i++) {
		if (word.len == strlen(kind_names[i]) &&
		    memcmp(word.data, kind_names[i], word.len) == 0) {
			*ret_kind = (enum part_kind)i;
			return 0;
		}
	}
	return -EBADMSG;
}

/* Up to the next tab, or all of it; *line is moved behind that. */
static struct slice take_field(struct slice *line)
{
	const char *at = line->data, *tab = memchr(at, '\t', line->len);
	size_t len = tab ? (size_t)(tab - at) : line->len;
	struct slice field = slice(at, len);

	*line = tab ? slice(tab + 1, line->len - len - 1) : slice(NULL, 0);
	return field;
}

static int parse_line(struct slice line, struct part *ret_part)
{
	struct part part = {0};
	int r = parse_kind(take_field(&line), &part.kind);

	if (r || !line.data)
		return -EBADMSG;
	part.name = take_field(&line);
	if (line.data)
		part.value = take_field(&line);
	if (line.data || !is_canonical(part.name) || !is_canonical(part.value))
		return -EBADMSG;
	*ret_part = part;
	return 0;
}

struct reader {
	struct parts parts;
	size_t words, versions;
};

/* No command line has more; they are compared with each other. */
#define VERSIONS_MAX 100

/* Words are numbered 0, 1, … */
static bool is_word(const struct reader *r, const struct part *p)
{
	char number[24];

	snprintf(number, sizeof(number), "%zu", r->words);
	return p->name.len == strlen(number) &&
	       memcmp(p->name.data, number, p->name.len) == 0;
}

static bool is_other_version(const struct reader *r, const struct part *p)
{
	if (r->versions == VERSIONS_MAX)
		return false;
	for (size_t i = r->parts.n - r->versions; i < r->parts.n; i++) {
		if (part_compare(&r->parts.list[i], p) == 0)
			return false;
	}
	return true;
}

/* May `p` come next? */
static bool is_in_order(const struct reader *r, const struct part *p)
{
	const struct part *last = r->parts.n ? &r->parts.list[r->parts.n - 1] : NULL;

	if (last && last->kind > p->kind)
		return false;
	if (p->kind == PART_COMMAND)
		return is_word(r, p);
	if (p->kind == PART_VERSION)
		return is_other_version(r, p);
	return !last || part_compare(last, p) < 0;
}

static int parse_lines(struct slice text, struct reader *r)
{
	const char *at = text.data;

	for (size_t left = text.len, len; left; at += len + 1, left -= len + 1) {
		const char *end = memchr(at, '\n', left);
		struct part part;

		len = end ? (size_t)(end - at) : 0;
		if (!end || parse_line(slice(at, len), &part) || !is_in_order(r, &part))
			return -EBADMSG;
		append(&r->parts, part);
		r->words += part.kind == PART_COMMAND;
		r->versions += part.kind == PART_VERSION;
	}
	return 0;
}

int parts_parse(struct slice text, struct parts *ret_parts)
{
	struct reader r = {.parts = PARTS_INIT};
	size_t skip = sizeof(header) - 1;

	if (text.len < skip || memcmp(text.data, header, skip) != 0 ||
	    parse_lines(slice((const char *)text.data + skip, text.len - skip), &r)) {
		parts_deinit(&r.parts);
		return -EBADMSG;
	}
	*ret_parts = r.parts;
	return 0;
}
