/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/busy_poll.h"

#include <poll.h>
#include <sched.h>
#include <stdatomic.h>

#include "store/util/duration.h"

/* A shorter window than this finds nothing. */
#define WINDOW_MIN_NS INT64_C(10000)
/* Yielding the CPU takes a fraction of this if nobody wants it. */
#define TAKEN_NS INT64_C(10000)
enum { HOLD_MIN = 32, HOLD_MAX = 8192 };

/* CPUs that are left for those who look; one is always left to the clients. */
static atomic_int places;

void busy_poll_set_cpus(int cpus)
{
	atomic_store(&places, cpus - 1);
}

int busy_poll_cpus(void)
{
	cpu_set_t cpus;

	return sched_getaffinity(0, sizeof(cpus), &cpus) ? 1 : CPU_COUNT(&cpus);
}

void busy_poll_init(struct busy_poll *b, bool on)
{
	*b = (struct busy_poll){.on = on, .next_hold = HOLD_MIN};
}

static bool is_readable(int fd)
{
	struct pollfd pfd = {.fd = fd, .events = POLLIN};

	return poll(&pfd, 1, 0) > 0;
}

static enum busy_poll_result look(const struct busy_poll *b, int fd)
{
	int64_t began = time_monotonic_ns(), before = began;

	while (!is_readable(fd)) {
		int64_t now;

		sched_yield();
		now = time_monotonic_ns();
		if (now - before > TAKEN_NS)
			return is_readable(fd) ? BUSY_POLL_FOUND : BUSY_POLL_YIELDED;
		if (now - began > b->window_ns)
			return BUSY_POLL_MISSED;
		before = now;
	}
	return BUSY_POLL_FOUND;
}

enum busy_poll_result busy_poll_look(struct busy_poll *b, int fd)
{
	enum busy_poll_result r = BUSY_POLL_OFF;

	if (b->hold) {
		b->hold--;
		return r;
	}
	if (!b->on || !b->window_ns)
		return r;
	if (atomic_fetch_sub(&places, 1) > 0)
		r = look(b, fd);
	atomic_fetch_add(&places, 1);
	return r;
}

void busy_poll_came(struct busy_poll *b, enum busy_poll_result looked, int64_t waited_ns)
{
	switch (looked) {
	case BUSY_POLL_OFF:
		if (waited_ns <= BUSY_POLL_MAX_NS)
			b->window_ns = BUSY_POLL_MAX_NS;
		break;
	case BUSY_POLL_FOUND:
		/* Slowly: where others want the CPU, it is found most times, too. */
		b->next_hold -= (b->next_hold - HOLD_MIN) / 16;
		break;
	case BUSY_POLL_MISSED:
		b->window_ns /= 2;
		if (b->window_ns < WINDOW_MIN_NS)
			b->window_ns = 0;
		break;
	case BUSY_POLL_YIELDED:
		b->hold = b->next_hold;
		if (b->next_hold < HOLD_MAX)
			b->next_hold *= 2;
		break;
	}
}
