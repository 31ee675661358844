/* SPDX-License-Identifier: Apache-2.0 */
/* What was parsed is in range, and is the same after it is written and read. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "store/util/duration.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char text[DURATION_TEXT_MAX], again_text[DURATION_TEXT_MAX];
	int64_t ns = -7, again = -7;
	int r = duration_parse((const char *)data, len, &ns);

	if (r) {
		FUZZ_CHECK(ns == -7);
		return 0;
	}
	FUZZ_CHECK(ns >= 0);
	duration_format(ns, text);
	FUZZ_CHECK(duration_parse(text, strlen(text), &again) == 0);
	FUZZ_CHECK(again == ns);
	duration_format(again, again_text);
	FUZZ_CHECK(strcmp(text, again_text) == 0);
	duration_format_short(ns, text);
	FUZZ_CHECK(strlen(text) < sizeof(text));
	return 0;
}
