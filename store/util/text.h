/* SPDX-License-Identifier: Apache-2.0 */
/* Text that came from users: trimmed for parsing, escaped for showing. */
#ifndef MEMOFS_STORE_UTIL_TEXT_H
#define MEMOFS_STORE_UTIL_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Blank, tab and the line breaks, whatever the locale. */
bool text_is_space(char c);

/* Leave the white space at both ends out. */
void text_trim(const char **text, size_t *len);

/*
 * Write `text` so that it is one harmless line: control characters become
 * `\n`, `\t`, `\xNN`, and a backslash is doubled. Other bytes are kept, UTF-8
 * or not. Writes a NUL within `cap` (at least 4), and `...` at the end of what
 * had to be cut. Returns the length written.
 */
size_t text_escape(char *ret_text, size_t cap, const char *text, size_t len);

#define TEXT_QUOTE_MAX 128
/* The same between double quotes, for messages. Returns ret_text. */
const char *text_quote(char ret_text[TEXT_QUOTE_MAX], const char *text, size_t len);

#endif
