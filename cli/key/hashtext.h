/* SPDX-License-Identifier: Apache-2.0 */
/* XXH3-128 as text: 32 hex digits, in canonical order. */
#ifndef MEMOFS_CLI_KEY_HASHTEXT_H
#define MEMOFS_CLI_KEY_HASHTEXT_H

#include <stdint.h>

#include "store/util/buf.h"

#define HASHTEXT_BYTES 16
#define HASHTEXT_MAX 33

void hashtext(const uint8_t hash[HASHTEXT_BYTES], char ret_text[HASHTEXT_MAX]);
/* The hash of these bytes. */
void hashtext_of(struct slice bytes, char ret_text[HASHTEXT_MAX]);

#endif
