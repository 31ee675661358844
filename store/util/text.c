/* SPDX-License-Identifier: Apache-2.0 */
#include "store/util/text.h"

#include <assert.h>
#include <string.h>

bool text_is_space(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

void text_trim(const char **text, size_t *len)
{
	while (*len && text_is_space(**text)) {
		(*text)++;
		(*len)--;
	}
	while (*len && text_is_space((*text)[*len - 1]))
		(*len)--;
}

/* How `c` is shown; the length is returned. */
static size_t escape_char(char ret_text[4], char c)
{
	static const char hex[] = "0123456789abcdef";
	unsigned char u = (unsigned char)c;

	ret_text[0] = '\\';
	switch (c) {
	case '\\':
		ret_text[1] = '\\';
		return 2;
	case '\n':
		ret_text[1] = 'n';
		return 2;
	case '\t':
		ret_text[1] = 't';
		return 2;
	}
	if (u >= 0x20 && u != 0x7f) {
		ret_text[0] = c;
		return 1;
	}
	ret_text[1] = 'x';
	ret_text[2] = hex[u >> 4];
	ret_text[3] = hex[u & 15];
	return 4;
}

size_t text_escape(char *ret_text, size_t cap, const char *text, size_t len)
{
	static const char dots[] = "...";
	size_t at = 0, cut = 0; /* `cut`: how much leaves room for the dots */

	assert(cap >= sizeof(dots));
	for (size_t i = 0; i < len; i++) {
		char c[4];
		size_t n = escape_char(c, text[i]);

		if (at + n >= cap) {
			memcpy(ret_text + cut, dots, sizeof(dots));
			return cut + sizeof(dots) - 1;
		}
		memcpy(ret_text + at, c, n);
		at += n;
		if (at + sizeof(dots) <= cap)
			cut = at;
	}
	ret_text[at] = '\0';
	return at;
}

const char *text_quote(char ret_text[TEXT_QUOTE_MAX], const char *text, size_t len)
{
	size_t n = text_escape(ret_text + 1, TEXT_QUOTE_MAX - 2, text, len);

	ret_text[0] = '"';
	memcpy(ret_text + 1 + n, "\"", 2);
	return ret_text;
}
