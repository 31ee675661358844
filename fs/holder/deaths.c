/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/holder/deaths.h"

#define MSEC INT64_C(1000000)

/* One that was never ready counts twice for the blame. */
enum { MANY = 5, HOPELESS = 2 * (MANY + 1) };

int64_t deaths_note(struct deaths *d, int64_t ready_ns)
{
	static const int64_t pause_ns[] = {
	    0, 0, 50 * MSEC, 200 * MSEC, 1000 * MSEC, 5000 * MSEC, 30000 * MSEC};
	const unsigned int last = sizeof(pause_ns) / sizeof(pause_ns[0]) - 1;

	d->total++;
	d->quick = ready_ns >= d->quick_ns ? 0 : d->quick + 1;
	if (!d->quick)
		d->blame = 0;
	return pause_ns[d->quick < last ? d->quick : last];
}

bool deaths_many(const struct deaths *d)
{
	return d->quick >= MANY;
}

void deaths_blame_keep(struct deaths *d, int64_t ready_ns)
{
	if (d->quick)
		d->blame += ready_ns < 0 ? 2 : 1;
}

bool deaths_hopeless(const struct deaths *d)
{
	return d->blame >= HOPELESS;
}

void deaths_forgive_keep(struct deaths *d)
{
	d->blame = 0;
}
