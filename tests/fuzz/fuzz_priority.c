/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The history of L from a disk. What is accepted is written to the same bytes again,
 * and L rises over it.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "store/priority.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	static struct priority_history h;
	CLEANUP_BUF struct buf again = BUF_INIT;
	double level = 0;

	if (priority_decode(slice(data, len), &h))
		return 0;
	FUZZ_CHECK(h.count <= PRIORITY_POINTS_MAX);
	for (size_t i = 0; i < h.count; i++) {
		double next = priority_level(&h, h.points[i].at_ns);

		FUZZ_CHECK(next > level);
		level = next;
	}
	FUZZ_CHECK(priority_encode(&h, &again) == 0);
	FUZZ_CHECK(again.len == len && memcmp(again.data, data, len) == 0);
	return 0;
}
