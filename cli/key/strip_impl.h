/* SPDX-License-Identifier: Apache-2.0 */
/* What the languages of strip.h share. */
#ifndef MEMOFS_CLI_KEY_STRIP_IMPL_H
#define MEMOFS_CLI_KEY_STRIP_IMPL_H

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "cli/message.h"
#include "store/util/buf.h"

int strip_shell(struct slice text, struct buf *out);
int strip_python(struct slice text, struct buf *out);
int strip_c(struct slice text, struct buf *out);

/* Where it is read, and what was written. */
struct strip {
	const char *at, *end;
	struct buf *out;
	size_t begun; /* of `out`: what was there before is not ours */
	bool blank;   /* blanks were read, and are one when more follows in the line */
};

/* The byte `n` ahead; 0 behind the end: the text has no NUL. */
static inline char strip_peek(const struct strip *s, size_t n)
{
	return n < (size_t)(s->end - s->at) ? s->at[n] : '\0';
}

static inline bool strip_sees(const struct strip *s, const char *word)
{
	size_t len = strlen(word);

	return (size_t)(s->end - s->at) >= len && memcmp(s->at, word, len) == 0;
}

/* What was written last; a line break before anything was. */
static inline char strip_last(const struct strip *s)
{
	return s->out->len > s->begun ? (char)s->out->data[s->out->len - 1] : '\n';
}

/* Take `n` bytes as they are. */
static inline void strip_copy(struct strip *s, size_t n)
{
	must(buf_append(s->out, s->at, n));
	s->at += n;
}

/* The blanks that were read, before something that is kept. */
static inline void strip_put_blank(struct strip *s)
{
	if (s->blank && strip_last(s) != '\n')
		must(buf_append(s->out, " ", 1));
	s->blank = false;
}

/* A line ends: no blanks before it, and no empty ones. */
static inline void strip_put_newline(struct strip *s)
{
	if (strip_last(s) != '\n')
		must(buf_append(s->out, "\n", 1));
	s->blank = false;
}

/* To the line break, which stays, or the end. */
static inline void strip_skip_line(struct strip *s)
{
	const char *newline = memchr(s->at, '\n', (size_t)(s->end - s->at));

	s->at = newline ? newline : s->end;
}

#endif
