/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/busy_poll.h"

#include <limits.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs/kernel_text.h"
#include "store/util/duration.h"

/* A shorter window than this finds nothing. */
#define WINDOW_MIN_NS INT64_C(10000)
/* Yielding the CPU takes a fraction of this if nobody wants it. */
#define TAKEN_NS INT64_C(10000)
enum { HOLD_MIN = 32, HOLD_MAX = 8192 };

void busy_poll_cpus_init(struct busy_poll_cpus *c, int cpus)
{
	atomic_init(&c->left, cpus - 1);
}

int busy_poll_quota_cpus(const char *cpu_max)
{
	char *end;
	unsigned long long quota = strtoull(cpu_max, &end, 10), period;

	if (end == cpu_max || *end != ' ')
		return INT_MAX;
	period = strtoull(end, NULL, 10);
	if (!period || quota / period > INT_MAX)
		return INT_MAX;
	return quota < period ? 1 : (int)(quota / period);
}

static int quota_in(const char *dir)
{
	char path[PATH_MAX], text[64];
	int len = snprintf(path, sizeof(path), "%s/cpu.max", dir);

	if (len >= (int)sizeof(path) || !kernel_text(path, text, sizeof(text)))
		return INT_MAX;
	return busy_poll_quota_cpus(text);
}

/* The path that cgroup v2, whose number is 0, has in it, up to the end of a line. */
static const char *own_cgroup(const char *cgroups)
{
	while (cgroups && strncmp(cgroups, "0::/", 4)) {
		cgroups = strchr(cgroups, '\n');
		if (cgroups)
			cgroups++;
	}
	return cgroups ? cgroups + 3 : NULL;
}

int busy_poll_cgroup_cpus(const char *root, const char *cgroups)
{
	const char *own = own_cgroup(cgroups);
	char dir[PATH_MAX], *slash;
	int cpus, above;

	if (!own || snprintf(dir, sizeof(dir), "%s%.*s", root, (int)strcspn(own, "\n"),
			     own) >= (int)sizeof(dir))
		return INT_MAX;
	cpus = quota_in(dir);
	while ((slash = strrchr(dir + strlen(root), '/'))) {
		*slash = '\0';
		above = quota_in(dir);
		if (above < cpus)
			cpus = above;
	}
	return cpus;
}

int busy_poll_count_cpus(void)
{
	char cgroups[2 * PATH_MAX];
	cpu_set_t set;
	int cpus = sched_getaffinity(0, sizeof(set), &set) ? 1 : CPU_COUNT(&set);
	int quota = INT_MAX;

	if (kernel_text("/proc/self/cgroup", cgroups, sizeof(cgroups)))
		quota = busy_poll_cgroup_cpus("/sys/fs/cgroup", cgroups);
	return quota < cpus ? quota : cpus;
}

void busy_poll_init(struct busy_poll *b, struct busy_poll_cpus *cpus)
{
	*b = (struct busy_poll){.cpus = cpus, .next_hold = HOLD_MIN};
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
	if (!b->cpus || !b->window_ns)
		return r;
	if (atomic_fetch_sub(&b->cpus->left, 1) > 0)
		r = look(b, fd);
	atomic_fetch_add(&b->cpus->left, 1);
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
