/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/key/hashtext.h"

#include <xxhash.h>

void hashtext(const uint8_t hash[HASHTEXT_BYTES], char ret_text[HASHTEXT_MAX])
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < HASHTEXT_BYTES; i++) {
		*ret_text++ = digits[hash[i] >> 4];
		*ret_text++ = digits[hash[i] & 15];
	}
	*ret_text = '\0';
}

void hashtext_of(struct slice bytes, char ret_text[HASHTEXT_MAX])
{
	XXH128_canonical_t canonical;

	XXH128_canonicalFromHash(&canonical, XXH3_128bits(bytes.data, bytes.len));
	hashtext(canonical.digest, ret_text);
}
