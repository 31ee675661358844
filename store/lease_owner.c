/* SPDX-License-Identifier: Apache-2.0 */
/* The names of holders. */
#include <string.h>

#include "store/lease.h"
#include "store/util/text.h"
#include "store/util/utf8.h"

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
		n = utf8_decode(owner + at, len - at, &code);
		if (!n || !is_visible(code))
			return false;
	}
	return true;
}
