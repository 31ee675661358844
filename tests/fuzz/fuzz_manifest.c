/* SPDX-License-Identifier: Apache-2.0 */
/* What was parsed is the same text when it is written, and equal to itself. */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "store/util/manifest.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct manifest m = MANIFEST_INIT;
	struct buf text = BUF_INIT;
	struct errmsg err = {0};
	int r = manifest_parse(slice(data, len), &m, &err);

	if (r) {
		FUZZ_CHECK(*err.text);
		FUZZ_CHECK(!m.db);
		return 0;
	}
	FUZZ_CHECK(manifest_format(&m, &text) == 0);
	FUZZ_CHECK(text.len == len && !memcmp(text.data, data, len));
	FUZZ_CHECK(manifest_compare(&m, &m, &err) == 0);
	buf_deinit(&text);
	manifest_deinit(&m);
	return 0;
}
