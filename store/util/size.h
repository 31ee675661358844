/* SPDX-License-Identifier: Apache-2.0 */
/* Sizes in bytes, as users write and read them. */
#ifndef MEMOFS_STORE_UTIL_SIZE_H
#define MEMOFS_STORE_UTIL_SIZE_H

#include <stddef.h>
#include <stdint.h>

/* The longest text size_format() writes, with its NUL. */
#define SIZE_TEXT_MAX 32

/*
 * Parse `len` bytes of `text`: `4096`, `64MiB`, `1.5G`. As in coreutils, K, M,
 * G, T, P and E, alone or followed by `iB`, are powers of 1024, and followed by
 * `B` powers of 1000; the first letter may be lower case. Blanks around number
 * and unit are ignored. What is below a byte is rounded down.
 *
 * Returns 0, -EINVAL when it is not a size (or negative), -ERANGE when it is
 * more than INT64_MAX.
 */
int size_parse(const char *text, size_t len, uint64_t *ret_bytes);

/* For people, rounded down to a tenth: `512B`, `1.5KiB`, `64MiB`, `812GiB`. */
void size_format(uint64_t bytes, char ret_text[SIZE_TEXT_MAX]);

#endif
