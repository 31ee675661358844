/* SPDX-License-Identifier: Apache-2.0 */
/*
 * When to look again: a heap of points in time, embedded in the caller's structs.
 *
 * It locks nothing and owns nothing but its array. A zeroed one is empty, and so
 * is a zeroed timer: not set.
 */
#ifndef MEMOFS_FS_TIMERS_H
#define MEMOFS_FS_TIMERS_H

#include <stddef.h>
#include <stdint.h>

struct timer {
	int64_t at_ns; /* by whatever clock the caller uses */
	size_t place;  /* in the array, from 1; 0: not set */
};

struct timers {
	struct timer **items;
	size_t count, size;
};

void timers_deinit(struct timers *t);
/* After this `count` of them can be set at once without failing. -ENOMEM. */
int timers_reserve(struct timers *t, size_t count);
/* Set it, anew if it was; there must be room (timers_reserve). */
void timers_set(struct timers *t, struct timer *timer, int64_t at_ns);
/* That it is not set is fine. */
void timers_clear(struct timers *t, struct timer *timer);
/* The earliest; NULL: none is set. */
struct timer *timers_first(const struct timers *t);

#endif
