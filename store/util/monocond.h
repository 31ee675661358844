/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Conditions whose timed waits go by CLOCK_MONOTONIC, which nobody sets:
 *
 *	monocond_init(&cond);
 *	until = monocond_after(delay_ns);
 *	while (!asked && r == 0)
 *		r = pthread_cond_timedwait(&cond, &lock, &until);
 */
#ifndef MEMOFS_STORE_UTIL_MONOCOND_H
#define MEMOFS_STORE_UTIL_MONOCOND_H

#include <pthread.h>
#include <stdint.h>
#include <time.h>

/* For pthread_cond_destroy(). */
void monocond_init(pthread_cond_t *cond);
/* The point in time at `at_ns`, as time_monotonic_ns() counts; 0 or later. */
struct timespec monocond_at(int64_t at_ns);
/* The one `delay_ns` from now, which is at most some hundred years. */
struct timespec monocond_after(int64_t delay_ns);

#endif
