/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values that linger, and the thread that decides them: when the process that closed
 * one has ended, or its time is over.
 *
 * The thread sleeps until the nearest of those times. A value that begins to linger
 * wakes it only if its time comes sooner, so that a stream of values costs a few
 * wakes a second.
 */
#include "fs/pending_table.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* Data of the descriptor that wakes the thread; no producer has it. */
enum { WAKE_ID = 0 };

/* ---- the list; the lock is held ---- */

static void wake(struct pending_table *t)
{
	uint64_t one = 1;

	if (write(t->wake_fd, &one, sizeof(one)) < 0)
		abort(); /* only a full counter refuses, and the thread empties it */
}

static void wake_by(struct pending_table *t, int64_t at_ns)
{
	if (at_ns < t->wakes_at_ns) {
		t->wakes_at_ns = at_ns;
		wake(t);
	}
}

static void decide_by(struct pending *p, int64_t at_ns)
{
	p->until_ns = at_ns;
	wake_by(p->table, at_ns);
}

bool pending_linger(struct pending *p)
{
	struct pending_table *t = p->table;

	/* What nobody will report is not waited for. */
	if (t->stopping || producer_watch(p->made.closer))
		return false;
	p->lingers = true;
	p->linger_prev = t->newest;
	*(t->newest ? &t->newest->linger_next : &t->oldest) = p;
	t->newest = p;
	t->linger_count++;
	p->lingers_since_ns = time_monotonic_ns();
	p->ran_ns = -1;
	decide_by(p, p->lingers_since_ns + LINGER_MAX_NS);
	return true;
}

bool pending_claim(struct pending *p)
{
	struct pending_table *t = p->table;

	if (!p->lingers)
		return false;
	*(p->linger_prev ? &p->linger_prev->linger_next : &t->oldest) = p->linger_next;
	*(p->linger_next ? &p->linger_next->linger_prev : &t->newest) = p->linger_prev;
	p->linger_next = p->linger_prev = NULL;
	p->lingers = false;
	t->linger_count--;
	return true;
}

void pending_hurry(struct pending *p, bool now)
{
	int64_t at_ns = now ? 0 : time_monotonic_ns() + ASK_MAX_NS;

	if (p->lingers && at_ns < p->until_ns)
		decide_by(p, at_ns);
}

void pending_leave(struct pending_table *t, uint64_t branch,
		   const struct producer *closer)
{
	bool any = false;

	if (!t->linger_count)
		return;
	for (struct pending *p = pending_first_in_branch(t, branch); p;
	     p = pending_next_in_branch(p))
		if (p->lingers && p->made.closer == closer) {
			atomic_store(&p->left, true);
			any = true;
		}
	if (any && !t->pass_at_ns) {
		t->pass_at_ns = time_monotonic_ns() + LEFT_MAX_NS;
		wake_by(t, t->pass_at_ns);
	}
}

struct pending *pending_claim_excess(struct pending_table *t)
{
	struct pending *p = t->oldest;

	return t->linger_count > LINGER_COUNT_MAX && pending_claim(p) ? p : NULL;
}

/* ---- the thread ---- */

static bool is_due(const struct pending *p, const struct producer *ended, int64_t now_ns)
{
	return p->until_ns <= now_ns || (ended && p->made.closer == ended) ||
	       atomic_load(&p->left);
}

/* A reference to the oldest whose time is over or whose closer this is; or NULL. */
static struct pending *find_due(struct pending_table *t, const struct producer *ended)
{
	int64_t now_ns = time_monotonic_ns();
	struct pending *p;

	pthread_mutex_lock(&t->lock);
	p = t->oldest;
	while (p && !is_due(p, ended, now_ns))
		p = p->linger_next;
	pending_ref(p);
	pthread_mutex_unlock(&t->lock);
	return p;
}

/* Without the lock: how long its closer has run, if it would go on running; else -1. */
static int64_t look_at_closer(struct pending *p)
{
	pid_t pid = producer_pid(p->made.closer);
	int status;

	if (producer_ended(p->made.closer, &status) || !process_is_runnable(pid))
		return -1;
	return process_ran_ns(pid);
}

/*
 * Under the lock, when its time is over. True: it has been given more, because its
 * closer wants to run and has hardly done so, on a busy machine.
 */
static bool give_time(struct pending *p, int64_t ran_ns)
{
	int64_t now_ns = time_monotonic_ns();

	if (!p->lingers || !p->until_ns || ran_ns < 0 ||
	    now_ns > p->lingers_since_ns + STARVE_MAX_NS)
		return false;
	if (p->ran_ns < 0)
		p->ran_ns = ran_ns;
	if (ran_ns - p->ran_ns >= ASK_RAN_NS)
		return false;
	p->until_ns = now_ns + ASK_MAX_NS;
	return true;
}

static void decide_due(struct pending_table *t, const struct producer *ended)
{
	struct pending *p;

	while ((p = find_due(t, ended))) {
		int64_t ran_ns = atomic_load(&p->left) ? -1 : look_at_closer(p);
		bool claimed;

		pthread_mutex_lock(&t->lock);
		claimed = !give_time(p, ran_ns) && pending_claim(p);
		pthread_mutex_unlock(&t->lock);
		if (claimed)
			pending_decide(p, false);
		pending_unref(p);
	}
}

static void handle_event(struct pending_table *t, uint64_t data)
{
	struct producer *ended;
	uint64_t wakes;

	if (data == WAKE_ID) {
		if (read(t->wake_fd, &wakes, sizeof(wakes)) < 0)
			abort(); /* it was readable, and nobody else reads it */
		return;
	}
	ended = producer_of_event(t->producers, data);
	if (ended)
		decide_due(t, ended);
	producer_unref(ended);
}

/* For epoll_wait(): milliseconds, -1 for ever. `idle`: there are producers to reap. */
static int time_to_sleep(struct pending_table *t, bool idle)
{
	int64_t now_ns = time_monotonic_ns(), at_ns = INT64_MAX;

	if (idle)
		at_ns = now_ns + NSEC_PER_SEC;
	pthread_mutex_lock(&t->lock);
	if (t->pass_at_ns && t->pass_at_ns < at_ns)
		at_ns = t->pass_at_ns;
	for (const struct pending *p = t->oldest; p; p = p->linger_next)
		if (p->until_ns < at_ns)
			at_ns = p->until_ns;
	if (t->stopping)
		at_ns = 0;
	t->wakes_at_ns = at_ns;
	pthread_mutex_unlock(&t->lock);
	if (at_ns == INT64_MAX)
		return -1;
	/* Rounded up: what is early would be repeated until it is time. */
	return at_ns <= now_ns ? 0 : (int)((at_ns - now_ns + 999999) / 1000000);
}

/* What is left from now on is for the next one. */
static void begin_pass(struct pending_table *t)
{
	pthread_mutex_lock(&t->lock);
	if (t->pass_at_ns <= time_monotonic_ns())
		t->pass_at_ns = 0;
	pthread_mutex_unlock(&t->lock);
}

static bool stopping(struct pending_table *t)
{
	bool stop;

	pthread_mutex_lock(&t->lock);
	stop = t->stopping;
	pthread_mutex_unlock(&t->lock);
	return stop;
}

enum { EVENTS_AT_ONCE = 32 };

static void *run(void *arg)
{
	struct pending_table *t = arg;
	struct epoll_event events[EVENTS_AT_ONCE];

	while (!stopping(t)) {
		int timeout_ms = time_to_sleep(t, producer_reap(t->producers));
		int n = epoll_wait(t->epoll_fd, events, EVENTS_AT_ONCE, timeout_ms);

		for (int i = 0; i < n; i++)
			handle_event(t, events[i].data.u64);
		begin_pass(t);
		decide_due(t, NULL);
	}
	return NULL;
}

/* ---- start and stop ---- */

static int open_descriptors(struct pending_table *t)
{
	struct epoll_event ev = {.events = EPOLLIN, .data.u64 = WAKE_ID};

	t->wake_fd = -1;
	t->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (t->epoll_fd >= 0)
		t->wake_fd = eventfd(0, EFD_CLOEXEC);
	if (t->wake_fd < 0 || epoll_ctl(t->epoll_fd, EPOLL_CTL_ADD, t->wake_fd, &ev))
		return -errno;
	return 0;
}

int linger_start(struct pending_table *t)
{
	int r = open_descriptors(t);

	t->wakes_at_ns = INT64_MAX;
	if (!r)
		r = producer_table_new(t->epoll_fd, &t->producers);
	if (!r)
		r = -pthread_create(&t->thread, NULL, run, t);
	t->thread_runs = !r;
	return r;
}

void pending_stop(struct pending_table *t)
{
	struct pending *p;

	if (!t || !t->thread_runs)
		return;
	pthread_mutex_lock(&t->lock);
	t->stopping = true;
	wake(t);
	pthread_mutex_unlock(&t->lock);
	pthread_join(t->thread, NULL);
	t->thread_runs = false;
	for (;;) {
		pthread_mutex_lock(&t->lock);
		p = t->oldest;
		if (p)
			pending_claim(p);
		pthread_mutex_unlock(&t->lock);
		if (!p)
			break;
		pending_decide(p, false);
	}
}

void linger_stop(struct pending_table *t)
{
	producer_table_free(t->producers);
	if (t->wake_fd >= 0)
		close(t->wake_fd);
	if (t->epoll_fd >= 0)
		close(t->epoll_fd);
}
