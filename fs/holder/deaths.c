/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/holder/deaths.h"

#define MSEC INT64_C(1000000)

enum { MANY = 5 };

int64_t deaths_note(struct deaths *d, int64_t ready_ns)
{
	static const int64_t pause_ns[] = {
	    0, 0, 50 * MSEC, 200 * MSEC, 1000 * MSEC, 5000 * MSEC, 30000 * MSEC};
	const unsigned int last = sizeof(pause_ns) / sizeof(pause_ns[0]) - 1;

	d->total++;
	d->quick = ready_ns >= d->quick_ns ? 0 : d->quick + 1;
	return pause_ns[d->quick < last ? d->quick : last];
}

bool deaths_many(const struct deaths *d)
{
	return d->quick >= MANY;
}
