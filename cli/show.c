/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/show.h"

#include <locale.h>
#include <stdbool.h>
#include <string.h>
#include <wchar.h>

#include "cli/message.h"
#include "store/util/utf8.h"

/*
 * wcwidth() is to know all of Unicode, whatever the user's locale is. Loading
 * that takes longer than a hit, so it waits for the first character beyond
 * ASCII. Where there is no such locale, those are shown escaped.
 */
static int columns(uint32_t c)
{
	static bool loaded;

	if (c < 0x80)
		return c >= 0x20 && c != 0x7f ? 1 : -1;
	if (!loaded)
		setlocale(LC_CTYPE, "C.UTF-8");
	loaded = true;
	return wcwidth((wchar_t)c);
}

/* The length of the printable character at `s`, or 0. */
static size_t printable(const char *s, size_t len)
{
	uint32_t c;
	size_t n = utf8_decode(s, len, &c);

	return n && columns(c) >= 0 ? n : 0;
}

size_t show_width(const char *s)
{
	size_t len = strlen(s), width = 0, n;
	uint32_t c;

	for (; len; s += n, len -= n) {
		int w;

		n = utf8_decode(s, len, &c);
		w = n ? columns(c) : 1;
		n = n ? n : 1;
		width += w > 0 ? (size_t)w : 0;
	}
	return width;
}

static void append(struct buf *out, const char *s, size_t len)
{
	must(buf_append(out, s, len));
}

/*
 * Escapes as $'…' and printf(1) read them. Three octal digits always, so that a
 * digit which follows is not taken for a part of it.
 */
static void append_escape(struct buf *out, unsigned char c)
{
	static const char letters[] = "\a\b\t\n\v\f\r", names[] = "abtnvfr";
	const char *at = c ? strchr(letters, c) : NULL;

	if (at)
		must(buf_printf(out, "\\%c", names[at - letters]));
	else
		must(buf_printf(out, "\\%03o", c));
}

void show_printable(struct buf *out, const char *s)
{
	size_t len = strlen(s), n;

	for (; len; s += n, len -= n) {
		n = printable(s, len);
		if (n) {
			append(out, s, n);
		} else {
			append_escape(out, (unsigned char)*s);
			n = 1;
		}
	}
}

enum quoting { QUOTE_NONE, QUOTE_SINGLE, QUOTE_ESCAPED };

static enum quoting quoting_needed(const char *s, size_t len)
{
	static const char safe[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				   "0123456789_@%+=:,./-";
	enum quoting q = len ? QUOTE_NONE : QUOTE_SINGLE;
	size_t n;

	for (; len; s += n, len -= n) {
		n = printable(s, len);
		if (!n)
			return QUOTE_ESCAPED;
		if (n == 1 && !strchr(safe, *s))
			q = QUOTE_SINGLE;
	}
	return q;
}

static void append_single(struct buf *out, const char *s)
{
	append(out, "'", 1);
	for (; *s; s++) {
		if (*s == '\'')
			append(out, "'\\''", 4);
		else
			append(out, s, 1);
	}
	append(out, "'", 1);
}

static void append_escaped(struct buf *out, const char *s, size_t len)
{
	size_t n;

	append(out, "$'", 2);
	for (; len; s += n, len -= n) {
		n = printable(s, len);
		if (!n) {
			append_escape(out, (unsigned char)*s);
			n = 1;
			continue;
		}
		if (*s == '\'' || *s == '\\')
			append(out, "\\", 1);
		append(out, s, n);
	}
	append(out, "'", 1);
}

char *show_shell_new(const char *s)
{
	struct buf out = BUF_INIT;
	size_t len = strlen(s);

	switch (quoting_needed(s, len)) {
	case QUOTE_NONE:
		append(&out, s, len);
		break;
	case QUOTE_SINGLE:
		append_single(&out, s);
		break;
	case QUOTE_ESCAPED:
		append_escaped(&out, s, len);
		break;
	}
	append(&out, "", 1);
	return (char *)out.data;
}
