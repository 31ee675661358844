/* SPDX-License-Identifier: Apache-2.0 */
/*
 * C and C++: a comment and a line break are a blank, but a directive has a line of
 * its own. Blanks are not dropped: they tell `a+ ++b` from `a++ +b`, and macros show
 * them. Lines joined by a backslash are joined first, as a compiler does.
 */
#include "cli/key/strip_impl.h"

struct c {
	struct strip s;
	bool line_start; /* nothing but blanks in this line so far */
	bool directive, include;
	bool joined;	  /* lines were joined; in a raw string they would not be */
	const char *word; /* where the word at the end of what was read begins */
};

static bool is_word(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c >= '0' && c <= '9') || c == '_' || (unsigned char)c >= 0x80;
}

static bool is_hex(char c)
{
	return c && strchr("0123456789abcdefABCDEF", c);
}

static bool is_blank(char c)
{
	return c && strchr(" \t\r\f\v", c);
}

/* Join lines. -EBADMSG: blanks behind the backslash, where compilers differ. */
static int join_lines(struct slice text, struct buf *ret_text, bool *ret_joined)
{
	const char *at = text.data, *end = at + text.len;

	*ret_joined = false;
	while (at < end) {
		const char *slash = memchr(at, '\\', (size_t)(end - at));
		const char *next = slash ? slash + 1 : end;

		if (slash && next < end && *next == '\r')
			next++;
		if (slash && next < end && *next == '\n') {
			must(buf_append(ret_text, at, (size_t)(slash - at)));
			*ret_joined = true;
			at = next + 1;
			continue;
		}
		while (slash && next < end && is_blank(*next))
			next++;
		if (slash && next > slash + 1 && (next == end || *next == '\n'))
			return -EBADMSG;
		next = slash ? slash + 1 : end;
		must(buf_append(ret_text, at, (size_t)(next - at)));
		at = next;
	}
	return 0;
}

static bool word_is(const struct c *c, const char *word)
{
	size_t len = strlen(word);

	return c->word && (size_t)(c->s.at - c->word) == len &&
	       memcmp(c->word, word, len) == 0;
}

/* ---- strings and numbers
 * ---------------------------------------------------------------- */

static bool is_raw(const struct c *c)
{
	return word_is(c, "R") || word_is(c, "LR") || word_is(c, "uR") ||
	       word_is(c, "UR") || word_is(c, "u8R");
}

/* R"delimiter(…)delimiter", at the quote. */
static int copy_raw(struct c *c)
{
	const char *from = c->s.at + 1, *paren, *end;
	char close[24] = ")";
	size_t len;

	paren = memchr(from, '(', (size_t)(c->s.end - from));
	len = paren ? (size_t)(paren - from) : 0;
	if (c->joined || !paren || len > 16)
		return -EBADMSG;
	memcpy(close + 1, from, len);
	close[len + 1] = '"';
	end = memmem(paren, (size_t)(c->s.end - paren), close, len + 2);
	if (!end || memchr(from, '\n', len) || memchr(from, '"', len))
		return -EBADMSG;
	strip_copy(&c->s, (size_t)(end - c->s.at) + len + 2);
	c->word = NULL;
	return 0;
}

static int copy_string(struct c *c)
{
	char quote = *c->s.at;

	strip_copy(&c->s, 1);
	while (c->s.at < c->s.end && *c->s.at != '\n') {
		char at = *c->s.at;

		if (at == '\\' && (!strip_peek(&c->s, 1) || c->s.at[1] == '\n'))
			return -EBADMSG;
		strip_copy(&c->s, at == '\\' ? 2 : 1);
		if (at == quote)
			return 0;
	}
	return -EBADMSG;
}

/* A quote: of a string, of a character, or between the digits of a number. */
static int scan_quote(struct c *c)
{
	bool number = c->word && *c->word >= '0' && *c->word <= '9';

	if (*c->s.at == '"' && is_raw(c))
		return copy_raw(c);
	if (*c->s.at == '\'' && number) {
		if (!is_hex(c->s.at[-1]) || !is_hex(strip_peek(&c->s, 1)))
			return -EBADMSG;
		strip_copy(&c->s, 1);
		return 0;
	}
	c->word = NULL;
	return copy_string(c);
}

/* ---- comments and directives
 * --------------------------------------------------------------- */

static int skip_block(struct c *c)
{
	const char *from = c->s.at + 2;
	const char *end = memmem(from, (size_t)(c->s.end - from), "*/", 2);

	if (!end)
		return -EBADMSG;
	c->s.at = end + 2;
	c->s.blank = true;
	return 0;
}

/* In C89 it is none: what follows decides whether that matters. */
static int skip_line(struct c *c)
{
	if (strip_sees(&c->s, "//*"))
		return -EBADMSG;
	strip_skip_line(&c->s);
	c->s.blank = true;
	return 0;
}

static void end_line(struct c *c)
{
	c->s.at++;
	c->line_start = true;
	c->include = false;
	if (c->directive)
		strip_put_newline(&c->s);
	else
		c->s.blank = true;
	c->directive = false;
}

/* Directives whose argument may be a <name>. */
static bool takes_header(const struct c *c)
{
	static const char *const words[] = {"include", "include_next", "import", "embed"};
	size_t from = 0, to;

	while (is_blank(strip_peek(&c->s, from)))
		from++;
	for (to = from; is_word(strip_peek(&c->s, to));)
		to++;
	for (size_t i = 0; i < sizeof(words) / sizeof(*words); i++) {
		if (to - from == strlen(words[i]) &&
		    memcmp(c->s.at + from, words[i], to - from) == 0)
			return true;
	}
	return false;
}

static void begin_directive(struct c *c)
{
	strip_put_newline(&c->s);
	strip_copy(&c->s, 1);
	c->directive = true;
	c->include = takes_header(c);
}

/* <sys/x.h>: no comment begins in it. */
static int copy_header_name(struct c *c)
{
	size_t n = 1;

	while (strip_peek(&c->s, n) && !strchr("\n>", strip_peek(&c->s, n)))
		n++;
	if (strip_peek(&c->s, n) != '>')
		return -EBADMSG;
	strip_copy(&c->s, n + 1);
	c->include = false;
	return 0;
}

static int scan_other(struct c *c, char at)
{
	if (at == '#' && c->line_start) {
		begin_directive(c);
		c->line_start = false;
		return 0;
	}
	/* A directive by another name; a backslash that joins no lines. */
	if ((c->line_start && strip_sees(&c->s, "%:")) || at == '\\')
		return -EBADMSG;
	c->line_start = false;
	if (strip_sees(&c->s, "__has_"))
		return -EBADMSG; /* __has_include(<a//b>) */
	strip_put_blank(&c->s);
	if (at == '"' || at == '\'')
		return scan_quote(c);
	if (at == '<' && c->include)
		return copy_header_name(c);
	strip_copy(&c->s, 1);
	return 0;
}

static int scan(struct c *c)
{
	int r = 0;

	while (!r && c->s.at < c->s.end) {
		char at = *c->s.at;

		if (!is_word(at) && at != '\'' && at != '"')
			c->word = NULL;
		else if (is_word(at) && !c->word)
			c->word = c->s.at;
		if (at == '\n') {
			end_line(c);
		} else if (is_blank(at)) {
			c->s.blank = true;
			c->s.at++;
		} else if (strip_sees(&c->s, "/*")) {
			r = skip_block(c);
		} else if (strip_sees(&c->s, "//")) {
			r = skip_line(c);
		} else {
			r = scan_other(c, at);
		}
	}
	return r;
}

int strip_c(struct slice text, struct buf *out)
{
	CLEANUP_BUF struct buf joined = BUF_INIT;
	struct c c = {.line_start = true};
	int r;

	/* What stands for `\` and `#` where trigraphs are on. */
	if (memmem(text.data, text.len,
		   "?"
		   "?/",
		   3) ||
	    memmem(text.data, text.len,
		   "?"
		   "?=",
		   3))
		return -EBADMSG;
	r = join_lines(text, &joined, &c.joined);
	if (r || !joined.len)
		return r;
	c.s = (struct strip){
	    .at = (const char *)joined.data,
	    .end = (const char *)joined.data + joined.len,
	    .out = out,
	    .begun = out->len,
	};
	return scan(&c);
}
