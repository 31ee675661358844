/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A program in one of the languages, which the first byte names: what remains of it
 * is a program of the same language, and nothing is left to leave out of that.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "cli/key/strip.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct buf once = BUF_INIT, twice = BUF_INIT;
	enum strip_language language = len ? data[0] % 4 : STRIP_NONE;
	struct slice text = len ? slice(data + 1, len - 1) : slice(data, 0);

	if (strip_comments(language, text, &once) == 0) {
		FUZZ_CHECK(once.len <= text.len * 101);
		FUZZ_CHECK(strip_comments(language, buf_slice(&once), &twice) == 0);
		FUZZ_CHECK(once.len == twice.len);
		FUZZ_CHECK(!once.len || memcmp(once.data, twice.data, once.len) == 0);
	}
	buf_deinit(&once);
	buf_deinit(&twice);
	return 0;
}
