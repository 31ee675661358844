/* SPDX-License-Identifier: Apache-2.0 */
/* The names of holders. */
#include <string.h>

#include "store/lease.h"

/*
 * The code point at the front of `len` bytes, at least one of them; its length is
 * returned, or 0 when it is not UTF-8 (RFC 3629).
 */
static size_t utf8_next(const unsigned char *s, size_t len, uint32_t *ret_code)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t n = s[0] < 0x80	 ? 1
		   : s[0] < 0xc0 ? 0
		   : s[0] < 0xe0 ? 2
		   : s[0] < 0xf0 ? 3
				 : 4;
	uint32_t code = n == 1 ? s[0] : s[0] & (0x7fu >> n);

	if (!n || n > len || s[0] >= 0xf8)
		return 0;
	for (size_t i = 1; i < n; i++) {
		if ((s[i] & 0xc0) != 0x80)
			return 0;
		code = code << 6 | (s[i] & 0x3f);
	}
	if (code < least[n] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
		return 0;
	*ret_code = code;
	return n;
}

/* It prints, and cannot be taken for the end of a word. */
static bool is_visible(uint32_t code)
{
	static const uint32_t spaces[] = {0x1680, 0x2028, 0x2029, 0x202f, 0x205f, 0x3000};

	if (code <= 0x20 || (code >= 0x7f && code <= 0xa0))
		return false;
	if (code >= 0x2000 && code <= 0x200b)
		return false;
	for (size_t i = 0; i < sizeof(spaces) / sizeof(*spaces); i++) {
		if (code == spaces[i])
			return false;
	}
	return true;
}

static bool is_word(const char *owner, size_t len, const char *word)
{
	return len == strlen(word) && !memcmp(owner, word, len);
}

bool store_owner_valid(const char *owner, size_t len)
{
	size_t at = 0, n;
	uint32_t code;

	if (!len || len > STORE_OWNER_MAX || is_word(owner, len, "free") ||
	    is_word(owner, len, "held"))
		return false;
	for (; at < len; at += n) {
		n = utf8_next((const unsigned char *)owner + at, len - at, &code);
		if (!n || !is_visible(code))
			return false;
	}
	return true;
}
