/* SPDX-License-Identifier: Apache-2.0 */
/* Which bytes are characters. */
#ifndef MEMOFS_STORE_UTIL_UTF8_H
#define MEMOFS_STORE_UTIL_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * One character (RFC 3629: no overlong forms, no surrogates). Returns its
 * length in bytes, or 0 when `s` does not start with one; `len` is at least 1.
 */
size_t utf8_decode(const char *s, size_t len, uint32_t *ret_char);
bool utf8_valid(const char *s, size_t len);

#endif
