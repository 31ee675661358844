/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Shell: a comment begins with a `#` at the beginning of a word, which is the hard
 * part: what is a word depends on quotes, expansions and here-documents, and those
 * nest. What shells disagree about, or what needs a whole parser (`case` inside
 * `$(…)`), is refused.
 */
#include "cli/key/strip_impl.h"

#define DOCS_MAX 8
#define DEPTH_MAX 40

struct heredoc {
	struct buf word; /* without its quotes */
	bool quoted, tabs;
};

struct shell {
	struct strip s;
	struct heredoc docs[DOCS_MAX]; /* begun in this line */
	size_t n_docs;
	int depth;
	/* What the next byte follows: the byte itself if it divides words, '\n' at the
	 * beginning of a line, 'x' for anything in a word. */
	char before;
};

static int scan_code(struct shell *sh, bool nested);
static int scan_double(struct shell *sh);
static int scan_brace(struct shell *sh, bool in_double);

/* ---- quotes and expansions: copied as they are ------------------------------------- */

/* To the next `'`, from behind one. After a `$`, shells differ in what `\'` is. */
static int scan_single(struct shell *sh, bool after_dollar)
{
	const char *from = sh->s.at;
	const char *end = memchr(from, '\'', (size_t)(sh->s.end - from));

	if (!end || (after_dollar && end > from && end[-1] == '\\'))
		return -EBADMSG;
	strip_copy(&sh->s, (size_t)(end - from) + 1);
	return 0;
}

static int copy_escaped(struct shell *sh)
{
	if (!strip_peek(&sh->s, 1))
		return -EBADMSG;
	strip_copy(&sh->s, 2);
	return 0;
}

/* `…`, at the first one. */
static int scan_backquote(struct shell *sh)
{
	strip_copy(&sh->s, 1);
	while (sh->s.at < sh->s.end) {
		char c = *sh->s.at;

		if (c == '\\' && copy_escaped(sh))
			return -EBADMSG;
		if (c == '\\')
			continue;
		strip_copy(&sh->s, 1);
		if (c == '`')
			return 0;
	}
	return -EBADMSG;
}

/*
 * ((…)) and $((…)), at the first parenthesis. In one line it is the same whether it
 * is arithmetic or two subshells: nothing in it is a comment.
 */
static int scan_arithmetic(struct shell *sh)
{
	int open = 0, r = 0;

	do {
		char c = strip_peek(&sh->s, 0);

		if (!c || c == '\n' || c == '\'' || c == '`')
			return -EBADMSG;
		open += (c == '(') - (c == ')');
		if (c == '"')
			r = scan_double(sh);
		else if (c == '\\')
			r = copy_escaped(sh);
		else
			strip_copy(&sh->s, 1);
	} while (open && !r);
	return r;
}

/* What a `$` or a backquote begins, at it. */
static int scan_expansion(struct shell *sh, bool in_double)
{
	int r = 0;

	if (*sh->s.at == '`')
		return scan_backquote(sh);
	if (sh->depth == DEPTH_MAX || strip_peek(&sh->s, 1) == '[' ||
	    (strip_peek(&sh->s, 1) == '\\' && strip_peek(&sh->s, 2) == '\n'))
		return -EBADMSG;
	sh->depth++;
	strip_copy(&sh->s, 1);
	if (strip_sees(&sh->s, "(("))
		r = scan_arithmetic(sh);
	else if (strip_peek(&sh->s, 0) == '(')
		r = scan_code(sh, true);
	else if (strip_peek(&sh->s, 0) == '{')
		r = scan_brace(sh, in_double);
	else if (strip_peek(&sh->s, 0) == '#')
		strip_copy(&sh->s, 1); /* $# */
	sh->depth--;
	return r;
}

/* "…", at the first one. */
static int scan_double(struct shell *sh)
{
	int r = 0;

	strip_copy(&sh->s, 1);
	while (!r && sh->s.at < sh->s.end) {
		char c = *sh->s.at;

		if (c == '\\')
			r = copy_escaped(sh);
		else if (c == '$' || c == '`')
			r = scan_expansion(sh, true);
		else
			strip_copy(&sh->s, 1);
		if (c == '"')
			return 0;
	}
	return -EBADMSG;
}

/* ${…}, at the brace. Between double quotes, shells differ in what a `'` is. */
static int scan_brace(struct shell *sh, bool in_double)
{
	int r = 0;

	strip_copy(&sh->s, 1);
	while (!r && sh->s.at < sh->s.end) {
		char c = *sh->s.at;

		if (c == '\'' && in_double)
			return -EBADMSG;
		if (c == '\\') {
			r = copy_escaped(sh);
		} else if (c == '"') {
			r = scan_double(sh);
		} else if (c == '\'') {
			strip_copy(&sh->s, 1);
			r = scan_single(sh, true);
		} else if ((c == '$' && strip_peek(&sh->s, 1) != '}') || c == '`') {
			r = scan_expansion(sh, in_double);
		} else {
			strip_copy(&sh->s, 1);
		}
		if (c == '}')
			return r;
	}
	return -EBADMSG;
}

/* ---- here-documents -----------------------------------------------------------------
 */

/* One byte, or one quoted run, of the word behind `<<`. */
static int take_word_piece(struct shell *sh, struct heredoc *doc)
{
	char c = *sh->s.at;
	const char *end;

	if (c == '$' || c == '`')
		return -EBADMSG;
	if (c == '\\') {
		doc->quoted = true;
		if (!strip_peek(&sh->s, 1) || strip_peek(&sh->s, 1) == '\n')
			return -EBADMSG;
		must(buf_append(&doc->word, sh->s.at + 1, 1));
		strip_copy(&sh->s, 2);
		return 0;
	}
	if (c != '\'' && c != '"') {
		must(buf_append(&doc->word, &c, 1));
		strip_copy(&sh->s, 1);
		return 0;
	}
	doc->quoted = true;
	end = memchr(sh->s.at + 1, c, (size_t)(sh->s.end - sh->s.at - 1));
	if (!end || memchr(sh->s.at, '\\', (size_t)(end - sh->s.at)) ||
	    memchr(sh->s.at, '\n', (size_t)(end - sh->s.at)))
		return -EBADMSG;
	must(buf_append(&doc->word, sh->s.at + 1, (size_t)(end - sh->s.at) - 1));
	strip_copy(&sh->s, (size_t)(end - sh->s.at) + 1);
	return 0;
}

/* `<<WORD` and `<<-WORD`, at the first one. */
static int begin_heredoc(struct shell *sh)
{
	struct heredoc *doc;
	int r = 0;

	if (sh->n_docs == DOCS_MAX)
		return -EBADMSG;
	doc = &sh->docs[sh->n_docs++];
	*doc = (struct heredoc){.tabs = strip_peek(&sh->s, 2) == '-'};
	strip_copy(&sh->s, doc->tabs ? 3 : 2);
	while (strip_peek(&sh->s, 0) == ' ' || strip_peek(&sh->s, 0) == '\t')
		sh->s.at++;
	while (!r && sh->s.at < sh->s.end && !strchr(" \t\r\n;&|<>()", *sh->s.at))
		r = take_word_piece(sh, doc);
	sh->before = 'x';
	return r || doc->word.len || doc->quoted ? r : -EBADMSG;
}

static bool is_last_line(const struct heredoc *doc, const char *line, size_t len)
{
	while (doc->tabs && len && *line == '\t') {
		line++;
		len--;
	}
	return len == doc->word.len && (!len || memcmp(line, doc->word.data, len) == 0);
}

/* Its lines, from the first to the one that ends it. */
static int copy_heredoc(struct shell *sh, const struct heredoc *doc)
{
	bool joined = false; /* the line before goes on in this one */

	while (sh->s.at < sh->s.end) {
		const char *line = sh->s.at;
		const char *newline = memchr(line, '\n', (size_t)(sh->s.end - line));
		size_t len = (size_t)((newline ? newline : sh->s.end) - line);
		bool last = is_last_line(doc, line, len);

		if (last && joined)
			return -EBADMSG;
		strip_copy(&sh->s, len + !!newline);
		if (last)
			return 0;
		joined = !doc->quoted && len && line[len - 1] == '\\';
	}
	return -EBADMSG;
}

static void drop_heredocs(struct shell *sh)
{
	for (size_t i = 0; i < sh->n_docs; i++)
		buf_deinit(&sh->docs[i].word);
	sh->n_docs = 0;
}

static int end_line(struct shell *sh)
{
	int r = 0;

	sh->s.at++;
	if (sh->n_docs)
		must(buf_append(sh->s.out, "\n", 1));
	else
		strip_put_newline(&sh->s);
	sh->s.blank = false;
	sh->before = '\n';
	for (size_t i = 0; i < sh->n_docs && !r; i++)
		r = copy_heredoc(sh, &sh->docs[i]);
	drop_heredocs(sh);
	return r;
}

/* ---- code
 * ------------------------------------------------------------------------------- */

/* `#`: a comment, part of a word, or not to be told. */
static int scan_hash(struct shell *sh)
{
	switch (sh->before) {
	case '\n':
	case ' ':
	case ';':
		strip_skip_line(&sh->s);
		return 0;
	case 'x':
		strip_put_blank(&sh->s);
		strip_copy(&sh->s, 1);
		return 0;
	}
	return -EBADMSG;
}

static int scan_quoted(struct shell *sh, char c)
{
	bool after_dollar = strip_last(&sh->s) == '$' && !sh->s.blank;

	strip_put_blank(&sh->s);
	if (c == '"')
		return scan_double(sh);
	if (c == '\\')
		return copy_escaped(sh);
	if (c != '\'')
		return scan_expansion(sh, false);
	strip_copy(&sh->s, 1);
	return scan_single(sh, after_dollar);
}

/* Anything but blanks, line breaks and `#`. */
static int scan_word(struct shell *sh, char c)
{
	if (strchr("\\'\"$`", c)) {
		int r = scan_quoted(sh, c);

		sh->before = 'x';
		return r;
	}
	strip_put_blank(&sh->s);
	if (strip_sees(&sh->s, "((")) {
		sh->before = ')';
		return scan_arithmetic(sh);
	}
	if (strip_sees(&sh->s, "<<<")) {
		sh->before = '<';
		strip_copy(&sh->s, 3);
		return 0;
	}
	if (strip_sees(&sh->s, "<<"))
		return begin_heredoc(sh);
	strip_copy(&sh->s, 1);
	sh->before = strchr(";&|()<>", c) ? c : 'x';
	return 0;
}

/* Only between words: `<`, joined to `<` in the next line, begins a here-document. */
static int join_lines(struct shell *sh)
{
	char next = strip_peek(&sh->s, 2);

	if (sh->before != ' ' && sh->before != '\n' && next && !strchr(" \t\n", next))
		return -EBADMSG;
	sh->s.at += 2;
	return 0;
}

/* Its patterns have parentheses without a partner. */
static bool is_case(const struct shell *sh)
{
	return sh->before != 'x' && strip_sees(&sh->s, "case") &&
	       strchr(" \t\n\\", strip_peek(&sh->s, 4));
}

/* To the end, or, nested, from `(` to the `)` that belongs to it. */
static int scan_code(struct shell *sh, bool nested)
{
	int open = 0, r = 0;

	if (nested && sh->n_docs)
		return -EBADMSG; /* whose here-document comes first? */
	sh->before = nested ? '(' : '\n';
	while (!r && sh->s.at < sh->s.end) {
		char c = *sh->s.at;

		if (c == ' ' || c == '\t') {
			sh->s.blank = true;
			sh->before = ' ';
			sh->s.at++;
		} else if (c == '\\' && strip_peek(&sh->s, 1) == '\n') {
			r = join_lines(sh);
		} else if (c == '\n') {
			r = end_line(sh);
		} else if (c == '#') {
			r = scan_hash(sh);
		} else if (nested && is_case(sh)) {
			return -EBADMSG;
		} else {
			bool arithmetic = strip_sees(&sh->s, "((") && open;

			open += (c == '(' && !arithmetic) - (c == ')');
			r = scan_word(sh, c);
			if (nested && !open && c == ')')
				return r || sh->n_docs ? -EBADMSG : 0;
		}
	}
	return r || nested || sh->n_docs ? -EBADMSG : 0;
}

int strip_shell(struct slice text, struct buf *out)
{
	struct shell sh = {
	    .s = {.at = text.data,
		  .end = (const char *)text.data + text.len,
		  .out = out,
		  .begun = out->len},
	};
	int r;

	if (strip_sees(&sh.s, "#!")) {
		const char *line = sh.s.at;

		strip_skip_line(&sh.s);
		must(buf_append(out, line, (size_t)(sh.s.at - line)));
	}
	r = scan_code(&sh, false);
	drop_heredocs(&sh);
	return r;
}
