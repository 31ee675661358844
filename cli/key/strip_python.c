/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Python: what is kept of the layout is how deep a line is, as so many tabs. A line
 * ends where a logical one does. f-strings are followed into their fields, whose
 * quotes older and newer Pythons read differently; those are refused.
 */
#include "cli/key/strip_impl.h"

#define LEVELS_MAX 100

struct python {
	struct strip s;
	struct slice
	    levels[LEVELS_MAX]; /* indentations, each begins with the one above */
	size_t level;
	int open;	   /* brackets */
	const char *word;  /* where the word at the end of what was read begins */
	unsigned int line; /* physical, from 0; matters in the first two */
};

static bool is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || c == '_' || (unsigned char)c >= 0x80;
}

/* ---- strings ------------------------------------------------------------------------
 */

/* The letters before a quote: f"", rb"". False: a word that is no prefix. */
static bool has_prefix(const struct python *py, char low)
{
	size_t len = py->word ? (size_t)(py->s.at - py->word) : 0;
	bool found = false;

	if (len > 2)
		return false;
	for (size_t i = 0; i < len; i++) {
		if (!strchr("rRbBuUfFtT", py->word[i]))
			return false;
		found = found || (py->word[i] | 0x20) == low;
	}
	return found;
}

/* In a field of an f-string, a string: simple, or Pythons differ. */
static int copy_nested(struct python *py, char outer)
{
	char quote = *py->s.at;
	size_t n = 1;

	for (;; n++) {
		char c = strip_peek(&py->s, n);

		if (!c || c == outer || c == '\\' || c == '\n')
			return -EBADMSG;
		if (c == quote)
			break;
	}
	strip_copy(&py->s, n + 1);
	return 0;
}

/* One step inside a field, `*depth` braces deep. */
static int copy_field(struct python *py, char quote, int *depth)
{
	char c = *py->s.at;

	if (c == quote || c == '\\' || c == '#')
		return -EBADMSG;
	if (c == '\'' || c == '"')
		return copy_nested(py, quote);
	*depth += (c == '{') - (c == '}');
	strip_copy(&py->s, 1);
	return 0;
}

/* A brace of an f-string outside of fields: `{{`, `}}`, or where a field begins. */
static int copy_brace(struct python *py, int *depth)
{
	char c = *py->s.at;

	if (strip_peek(&py->s, 1) == c) {
		strip_copy(&py->s, 2);
		return 0;
	}
	if (c == '}')
		return -EBADMSG;
	*depth = 1;
	strip_copy(&py->s, 1);
	return 0;
}

/* At its quote. */
static int copy_string(struct python *py)
{
	bool fields = has_prefix(py, 'f') || has_prefix(py, 't');
	char quote = *py->s.at;
	char triple[4] = {quote, quote, quote, '\0'};
	bool is_triple = strip_sees(&py->s, triple);
	int depth = 0, r = 0;

	strip_copy(&py->s, is_triple ? 3 : 1);
	while (!r && py->s.at < py->s.end) {
		char c = *py->s.at;

		if (depth) {
			r = copy_field(py, quote, &depth);
		} else if (c == '\\') {
			if (!strip_peek(&py->s, 1))
				return -EBADMSG;
			/* `\{` is no escape: the brace begins a field. */
			strip_copy(&py->s, fields && py->s.at[1] == '{' ? 1 : 2);
		} else if (c == quote && (!is_triple || strip_sees(&py->s, triple))) {
			strip_copy(&py->s, is_triple ? 3 : 1);
			return 0;
		} else if (c == '\n' && !is_triple) {
			return -EBADMSG;
		} else if (fields && (c == '{' || c == '}')) {
			r = copy_brace(py, &depth);
		} else {
			strip_copy(&py->s, 1);
		}
	}
	return -EBADMSG;
}

/* ---- lines
 * ----------------------------------------------------------------------------- */

/* The first two lines may say how the rest is encoded, and who runs it. */
static bool is_kept_comment(const struct python *py)
{
	const char *newline = memchr(py->s.at, '\n', (size_t)(py->s.end - py->s.at));
	const char *end = newline ? newline : py->s.end;

	if (py->line > 1)
		return false;
	return (py->line == 0 && strip_peek(&py->s, 1) == '!') ||
	       memmem(py->s.at, (size_t)(end - py->s.at), "coding", 6);
}

/* One that is kept is a line of its own; behind something, it says nothing. */
static int scan_comment(struct python *py)
{
	const char *from = py->s.at;
	bool keep = is_kept_comment(py);

	if (keep && py->open)
		return -EBADMSG;
	strip_skip_line(&py->s);
	if (keep && strip_last(&py->s) == '\n')
		must(buf_append(py->s.out, from, (size_t)(py->s.at - from)));
	return 0;
}

/* Find the level of an indentation. -EBADMSG: it is none that was there. */
static int find_level(struct python *py, struct slice indent)
{
	struct slice *top = &py->levels[py->level];

	if (indent.len > top->len && memcmp(indent.data, top->data, top->len) == 0) {
		if (py->level + 1 == LEVELS_MAX)
			return -EBADMSG;
		py->levels[++py->level] = indent;
		return 0;
	}
	while (py->levels[py->level].len > indent.len)
		py->level--;
	top = &py->levels[py->level];
	return top->len == indent.len && memcmp(top->data, indent.data, indent.len) == 0
		   ? 0
		   : -EBADMSG;
}

static int begin_line(struct python *py)
{
	const char *from = py->s.at;
	char c;
	int r;

	while (strip_peek(&py->s, 0) == ' ' || strip_peek(&py->s, 0) == '\t')
		py->s.at++;
	c = strip_peek(&py->s, 0);
	if (c == '\f')
		return -EBADMSG; /* counts the columns anew */
	if (c == '\\')
		return -EBADMSG; /* which of the two lines indents, Pythons disagree */
	if (!c || c == '\n' || c == '#' || (c == '\r' && strip_peek(&py->s, 1) == '\n'))
		return 0; /* nothing: it indents nothing */
	r = find_level(py, slice(from, (size_t)(py->s.at - from)));
	for (size_t i = 0; !r && i < py->level; i++)
		must(buf_append(py->s.out, "\t", 1));
	return r;
}

/* A physical line ends; does a logical one? */
static int end_line(struct python *py)
{
	py->s.at++;
	py->line++;
	if (py->open) {
		py->s.blank = true;
		return 0;
	}
	strip_put_newline(&py->s);
	return begin_line(py);
}

/* `\` at the end of a line; it is not within a word. */
static int join_lines(struct python *py)
{
	size_t n = strip_peek(&py->s, 1) == '\r' ? 2 : 1;

	if (strip_peek(&py->s, n) != '\n')
		return -EBADMSG;
	py->s.at += n + 1;
	py->line++;
	py->s.blank = true;
	return 0;
}

static int scan_token(struct python *py, char c)
{
	if (c == '\'' || c == '"') {
		strip_put_blank(&py->s);
		return copy_string(py);
	}
	py->open += !!strchr("([{", c) - !!strchr(")]}", c);
	if (py->open < 0)
		return -EBADMSG;
	strip_put_blank(&py->s);
	strip_copy(&py->s, 1);
	return 0;
}

static int scan(struct python *py)
{
	int r = begin_line(py);

	while (!r && py->s.at < py->s.end) {
		char c = *py->s.at;

		if (!is_word(c) && c != '\'' && c != '"')
			py->word = NULL;
		else if (is_word(c) && !py->word)
			py->word = py->s.at;
		if (strchr(" \t\f", c) || (c == '\r' && strip_peek(&py->s, 1) == '\n')) {
			py->s.blank = true;
			py->s.at++;
		} else if (c == '\n') {
			r = end_line(py);
		} else if (c == '#') {
			r = scan_comment(py);
		} else if (c == '\\') {
			r = join_lines(py);
		} else if (c == '\r') {
			return -EBADMSG;
		} else {
			r = scan_token(py, c);
			if (c == '\'' || c == '"')
				py->word = NULL;
		}
	}
	return r || py->open ? -EBADMSG : 0;
}

int strip_python(struct slice text, struct buf *out)
{
	struct python py = {
	    .s = {.at = text.data,
		  .end = (const char *)text.data + text.len,
		  .out = out,
		  .begun = out->len},
	};

	py.levels[0] = slice(text.data, 0);
	return scan(&py);
}
