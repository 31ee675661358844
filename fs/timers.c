/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/timers.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

void timers_deinit(struct timers *t)
{
	free(t->items);
	*t = (struct timers){0};
}

int timers_reserve(struct timers *t, size_t count)
{
	size_t size = t->size ? t->size : 16;
	struct timer **items;

	if (count <= t->size)
		return 0;
	while (size < count)
		size *= 2;
	items = realloc(t->items, size * sizeof(*items));
	if (!items)
		return -ENOMEM;
	t->items = items;
	t->size = size;
	return 0;
}

static void put(struct timers *t, size_t place, struct timer *timer)
{
	t->items[place - 1] = timer;
	timer->place = place;
}

static void swap(struct timers *t, size_t a, size_t b)
{
	struct timer *first = t->items[a - 1];

	put(t, a, t->items[b - 1]);
	put(t, b, first);
}

static int64_t at(const struct timers *t, size_t place)
{
	return t->items[place - 1]->at_ns;
}

static void rise(struct timers *t, size_t place)
{
	for (; place > 1 && at(t, place) < at(t, place / 2); place /= 2)
		swap(t, place, place / 2);
}

static void sink(struct timers *t, size_t place)
{
	while (2 * place <= t->count) {
		size_t child = 2 * place;

		if (child < t->count && at(t, child + 1) < at(t, child))
			child++;
		if (at(t, place) <= at(t, child))
			break;
		swap(t, place, child);
		place = child;
	}
}

void timers_set(struct timers *t, struct timer *timer, int64_t at_ns)
{
	timer->at_ns = at_ns;
	if (!timer->place) {
		assert(t->count < t->size);
		put(t, ++t->count, timer);
	}
	rise(t, timer->place);
	sink(t, timer->place);
}

void timers_clear(struct timers *t, struct timer *timer)
{
	size_t place = timer->place;
	struct timer *last;

	if (!place)
		return;
	last = t->items[--t->count];
	timer->place = 0;
	if (last == timer)
		return;
	put(t, place, last);
	rise(t, last->place);
	sink(t, last->place);
}

struct timer *timers_first(const struct timers *t)
{
	return t->count ? t->items[0] : NULL;
}
