/* SPDX-License-Identifier: Apache-2.0 */
#include "store/util/monocond.h"

#include "store/util/duration.h"

void monocond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attr;

	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(cond, &attr);
	pthread_condattr_destroy(&attr);
}

struct timespec monocond_at(int64_t at_ns)
{
	return (struct timespec){.tv_sec = at_ns / NSEC_PER_SEC,
				 .tv_nsec = at_ns % NSEC_PER_SEC};
}

struct timespec monocond_after(int64_t delay_ns)
{
	int64_t at_ns;

	if (__builtin_add_overflow(time_monotonic_ns(), delay_ns, &at_ns))
		at_ns = INT64_MAX;
	return monocond_at(at_ns);
}
