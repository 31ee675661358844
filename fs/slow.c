/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/slow.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "fs/reply.h"
#include "fs/timers.h"
#include "store/util/duration.h"
#include "store/util/htab.h"
#include "store/util/monocond.h"

struct parked {
	struct timer timer; /* under the lock */
	struct parked *next, **link;
	uint64_t id;
	fuse_req_t req;
	bool is_write;
	size_t size;
	bool interrupted;
};

/* Of one that may not be answered yet. */
#define NOT_READY INT64_MAX

struct slow {
	pthread_t thread;
	pthread_mutex_t lock; /* of all below */
	pthread_cond_t wake;
	struct timers timers;
	struct parked *all;
	size_t count;
	uint64_t last_id;
	bool stopping, stopped;
};

static void answer(fuse_req_t req, bool is_write, size_t size)
{
	if (is_write)
		fuse_reply_write(req, size);
	else
		reply_err(req, 0);
}

/* ---- the thread ---- */

/* Under the lock: the next whose time has come, taken out; NULL: none. */
static struct parked *take_due(struct slow *slow)
{
	struct timer *first = timers_first(&slow->timers);
	struct parked *p;

	if (!first || first->at_ns == NOT_READY ||
	    (!slow->stopping && first->at_ns > time_monotonic_ns()))
		return NULL;
	p = CONTAINER_OF(first, struct parked, timer);
	timers_clear(&slow->timers, first);
	*p->link = p->next;
	if (p->next)
		p->next->link = p->link;
	slow->count--;
	return p;
}

/* Under the lock. */
static void sleep_until_due(struct slow *slow)
{
	const struct timer *first = timers_first(&slow->timers);
	struct timespec until;

	if (!first || first->at_ns == NOT_READY) {
		pthread_cond_wait(&slow->wake, &slow->lock);
		return;
	}
	until = monocond_at(first->at_ns);
	pthread_cond_timedwait(&slow->wake, &slow->lock, &until);
}

static void *run(void *arg)
{
	struct slow *slow = arg;
	struct parked *p;

	pthread_mutex_lock(&slow->lock);
	for (;;) {
		p = take_due(slow);
		if (!p && slow->stopping && !slow->count)
			break;
		if (!p) {
			sleep_until_due(slow);
			continue;
		}
		pthread_mutex_unlock(&slow->lock);
		answer(p->req, p->is_write, p->size);
		free(p);
		pthread_mutex_lock(&slow->lock);
	}
	pthread_mutex_unlock(&slow->lock);
	return NULL;
}

/* ---- parking ---- */

/* libfuse keeps the request alive until it returns, though it may be answered by then. */
static void on_interrupt(fuse_req_t req, void *data)
{
	struct slow *slow = fs_of(req)->slow;
	struct parked *p;

	pthread_mutex_lock(&slow->lock);
	p = slow->all;
	while (p && p->id != (uint64_t)(uintptr_t)data)
		p = p->next;
	if (p) {
		p->interrupted = true;
		if (p->timer.at_ns != NOT_READY)
			timers_set(&slow->timers, &p->timer, 0);
		pthread_cond_signal(&slow->wake);
	}
	pthread_mutex_unlock(&slow->lock);
}

static int add(struct slow *slow, struct parked *p)
{
	int r = 0;

	pthread_mutex_lock(&slow->lock);
	if (slow->stopping)
		r = -ENOTCONN;
	if (!r)
		r = timers_reserve(&slow->timers, slow->count + 1);
	if (!r) {
		p->id = ++slow->last_id;
		p->next = slow->all;
		p->link = &slow->all;
		if (p->next)
			p->next->link = &p->next;
		slow->all = p;
		slow->count++;
		timers_set(&slow->timers, &p->timer, NOT_READY);
	}
	pthread_mutex_unlock(&slow->lock);
	return r;
}

/* From here on it may be answered, and be gone, at any time. */
static void set_time(struct slow *slow, struct parked *p, int64_t at_ns)
{
	pthread_mutex_lock(&slow->lock);
	timers_set(&slow->timers, &p->timer, p->interrupted ? 0 : at_ns);
	pthread_cond_signal(&slow->wake);
	pthread_mutex_unlock(&slow->lock);
}

static int park(fuse_req_t req, bool is_write, size_t size, int64_t delay_ns)
{
	struct slow *slow = fs_of(req)->slow;
	struct parked *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return -ENOMEM;
	p->req = req;
	p->is_write = is_write;
	p->size = size;
	r = add(slow, p);
	if (r) {
		free(p);
		return r;
	}
	/* May call back at once. Not before it can be found, nor when it may be gone. */
	fuse_req_interrupt_func(req, on_interrupt, (void *)(uintptr_t)p->id);
	set_time(slow, p, time_monotonic_ns() + delay_ns);
	return 0;
}

static void reply(fuse_req_t req, bool is_write, size_t size, uint64_t bytes)
{
	int64_t delay_ns = store_pressure_ns(fs_of(req)->store, bytes);

	if (delay_ns <= 0 || park(req, is_write, size, delay_ns))
		answer(req, is_write, size);
}

void slow_reply_write(fuse_req_t req, size_t size)
{
	reply(req, true, size, size);
}

void slow_reply_done(fuse_req_t req, uint64_t bytes)
{
	reply(req, false, 0, bytes);
}

/* ---- the whole ---- */

int slow_new(struct slow **ret_slow)
{
	struct slow *slow = calloc(1, sizeof(*slow));
	int r;

	if (!slow)
		return -ENOMEM;
	pthread_mutex_init(&slow->lock, NULL);
	monocond_init(&slow->wake);
	r = -pthread_create(&slow->thread, NULL, run, slow);
	if (r) {
		slow->stopped = true;
		slow_free(slow);
		return r;
	}
	*ret_slow = slow;
	return 0;
}

void slow_stop(struct slow *slow)
{
	if (!slow || slow->stopped)
		return;
	pthread_mutex_lock(&slow->lock);
	slow->stopping = true;
	pthread_cond_signal(&slow->wake);
	pthread_mutex_unlock(&slow->lock);
	pthread_join(slow->thread, NULL);
	slow->stopped = true;
}

void slow_free(struct slow *slow)
{
	if (!slow)
		return;
	slow_stop(slow);
	timers_deinit(&slow->timers);
	pthread_cond_destroy(&slow->wake);
	pthread_mutex_destroy(&slow->lock);
	free(slow);
}
