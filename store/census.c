/* SPDX-License-Identifier: Apache-2.0 */
#include "store/census.h"

#include <errno.h>
#include <stdlib.h>
#include <time.h>

#include "store/census_walk.h"
#include "store/gc.h"
#include "store/util/log.h"
#include "store/util/monocond.h"

#define INTERVAL_MAX_NS (600 * NSEC_PER_SEC)
#define INTERVAL_MIN_NS (5 * NSEC_PER_SEC)
#define START_NS (10 * NSEC_PER_SEC)	    /* from the start to the first walk */
#define STALE_NS (3600 * NSEC_PER_SEC)	    /* ages grow, even when nothing changes */
#define PAUSES 9			    /* as long as a slice took */
#define PAUSE_MIN_NS (NSEC_PER_SEC / 10000) /* a clock may stand still meanwhile */

/* What has to move when an entry was made, changed, moved or removed. */
struct state {
	uint64_t names_added, policy_epoch;
	uint64_t entries, dirs, bytes;
};

struct census {
	pthread_t thread;
	atomic_bool stop;
	atomic_uint hurried; /* who cannot wait for a walk that pauses: it ends */

	pthread_mutex_t work; /* one walk at a time; no other lock is held then */
	/* Under work: */
	struct state state; /* before the last walk */
	int64_t next_due_ns;
	int last_error; /* logged last */

	pthread_mutex_t lock; /* a leaf, of what follows */
	pthread_cond_t wake;
	bool asked;
	struct store_census *last; /* NULL: none yet */
};

/* ---- waiting ---- */

/* For so long, unless it is asked for or stopped. */
static void wait_for_walk(struct census *cs, int64_t delay_ns, bool *ret_asked)
{
	struct timespec until = monocond_after(delay_ns);
	int r = 0;

	pthread_mutex_lock(&cs->lock);
	while (!r && !cs->asked && !atomic_load(&cs->stop))
		r = pthread_cond_timedwait(&cs->wake, &cs->lock, &until);
	*ret_asked = cs->asked;
	cs->asked = false;
	pthread_mutex_unlock(&cs->lock);
}

static bool is_ended(struct census *cs)
{
	return atomic_load(&cs->stop) || atomic_load(&cs->hurried);
}

static int64_t cpu_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

/* After a slice that took so much of a CPU. */
static void pause_for(struct census *cs, int64_t slice_ns)
{
	struct timespec until = monocond_after(slice_ns * PAUSES + PAUSE_MIN_NS);
	int r = 0;

	pthread_mutex_lock(&cs->lock);
	while (!r && !is_ended(cs))
		r = pthread_cond_timedwait(&cs->wake, &cs->lock, &until);
	pthread_mutex_unlock(&cs->lock);
}

/* ---- a walk ---- */

static void keep_result(struct census *cs, struct store_census *census)
{
	struct store_census *old;

	pthread_mutex_lock(&cs->lock);
	old = cs->last;
	cs->last = census;
	pthread_mutex_unlock(&cs->lock);
	store_census_free(old);
}

static int load_state(struct store *st, struct state *ret_state)
{
	int r;

	pthread_mutex_lock(&st->names);
	ret_state->names_added = st->names_added;
	pthread_mutex_unlock(&st->names);
	ret_state->policy_epoch = policy_epoch(st);
	r = counter_load(st, "entries", &ret_state->entries);
	if (r == 0)
		r = counter_load(st, "dirs", &ret_state->dirs);
	return r ? r : counter_load(st, "bytes", &ret_state->bytes);
}

/* Step by step to the end; with pauses it is ended by who is in a hurry. */
static int walk_all(struct census *cs, struct census_walk *walk, bool pauses,
		    const atomic_bool *stop)
{
	bool done = false;
	int r = 0;

	while (!r && !done) {
		int64_t begin_ns = cpu_ns();

		r = census_walk_step(walk, stop, &done);
		if (r == 0 && pauses && !done)
			pause_for(cs, cpu_ns() - begin_ns);
		if (r == 0 && (atomic_load(stop) || (pauses && is_ended(cs))))
			r = -ECANCELED;
	}
	return r;
}

/* Under work. What was dropped before an error is in *ret_expired. */
static int run(struct store *st, int64_t keep_ns, bool pauses, const atomic_bool *stop,
	       struct expired *ret_expired)
{
	struct census *cs = st->census;
	struct store_census *census;
	struct census_walk walk;
	struct state state = {0};
	int r;

	r = census_walk_init(&walk, st, keep_ns);
	if (r)
		return r;
	r = load_state(st, &state);
	if (r == 0)
		r = walk_all(cs, &walk, pauses, stop);
	if (r == 0)
		r = census_walk_end(&walk, &census);
	if (r == 0) {
		keep_result(cs, census);
		cs->state = state;
		cs->next_due_ns = walk.next_due_ns;
	}
	*ret_expired = walk.expired;
	census_walk_deinit(&walk);
	return r;
}

/* ---- the thread ---- */

static int64_t interval_ns(struct store *st)
{
	int64_t keep_ns = atomic_load(&st->usage.keep_expired_ns);

	if (keep_ns < INTERVAL_MIN_NS)
		return INTERVAL_MIN_NS;
	return keep_ns < INTERVAL_MAX_NS ? keep_ns : INTERVAL_MAX_NS;
}

/* Under work. */
static bool is_needed(struct store *st)
{
	struct census *cs = st->census;
	int64_t now_ns = store_wall_ns(st), last_ns;
	struct state state = {0};

	pthread_mutex_lock(&cs->lock);
	last_ns = cs->last ? cs->last->at_ns : 0;
	pthread_mutex_unlock(&cs->lock);
	if (!last_ns || now_ns - last_ns > STALE_NS || now_ns >= cs->next_due_ns)
		return true;
	return load_state(st, &state) || memcmp(&state, &cs->state, sizeof(state)) != 0;
}

static void log_once(struct store *st, int r)
{
	struct census *cs = st->census;

	if (r && r != cs->last_error)
		log_error("%s: the entries could not be counted, nor what has expired be "
			  "dropped; it will be tried again: %s",
			  st->path, strerror(-r));
	cs->last_error = r;
}

static void *census_main(void *arg)
{
	struct store *st = arg;
	struct census *cs = st->census;
	int64_t delay_ns = interval_ns(st);
	bool asked;
	int r;

	if (delay_ns > START_NS)
		delay_ns = START_NS;
	while (!atomic_load(&cs->stop)) {
		struct expired expired;

		wait_for_walk(cs, delay_ns, &asked);
		delay_ns = interval_ns(st);
		if (atomic_load(&cs->stop))
			break;
		pthread_mutex_lock(&cs->work);
		r = 0;
		if (asked || is_needed(st))
			r = run(st, atomic_load(&st->usage.keep_expired_ns), true,
				&cs->stop, &expired);
		log_once(st, r == -ECANCELED ? 0 : r);
		pthread_mutex_unlock(&cs->work);
	}
	return NULL;
}

static void census_free(struct census *cs)
{
	store_census_free(cs->last);
	pthread_cond_destroy(&cs->wake);
	pthread_mutex_destroy(&cs->lock);
	pthread_mutex_destroy(&cs->work);
	free(cs);
}

int census_start(struct store *st)
{
	struct census *cs = calloc(1, sizeof(*cs));
	int r;

	if (!cs)
		return -ENOMEM;
	cs->next_due_ns = DURATION_NONE;
	pthread_mutex_init(&cs->work, NULL);
	pthread_mutex_init(&cs->lock, NULL);
	monocond_init(&cs->wake);
	st->census = cs;
	r = -pthread_create(&cs->thread, NULL, census_main, st);
	if (r) {
		st->census = NULL;
		census_free(cs);
	}
	return r;
}

void census_stop(struct store *st)
{
	struct census *cs = st->census;

	if (!cs)
		return;
	pthread_mutex_lock(&cs->lock);
	atomic_store(&cs->stop, true);
	pthread_cond_broadcast(&cs->wake);
	pthread_mutex_unlock(&cs->lock);
	pthread_join(cs->thread, NULL);
	st->census = NULL;
	census_free(cs);
}

void census_wake(struct store *st)
{
	struct census *cs = st->census;

	if (!cs)
		return;
	pthread_mutex_lock(&cs->lock);
	cs->asked = true;
	pthread_cond_broadcast(&cs->wake);
	pthread_mutex_unlock(&cs->lock);
}

/* ---- by whoever cannot wait ---- */

/* Ends a walk that pauses, then is the only one. */
static void hurry_begin(struct census *cs)
{
	pthread_mutex_lock(&cs->lock);
	atomic_fetch_add(&cs->hurried, 1);
	pthread_cond_broadcast(&cs->wake);
	pthread_mutex_unlock(&cs->lock);
	pthread_mutex_lock(&cs->work);
}

static void hurry_end(struct census *cs)
{
	pthread_mutex_unlock(&cs->work);
	atomic_fetch_sub(&cs->hurried, 1);
}

static int run_now(struct store *st, int64_t keep_ns, const atomic_bool *stop,
		   struct expired *ret_expired)
{
	struct census *cs = st->census;
	int r;

	hurry_begin(cs);
	r = run(st, keep_ns, false, stop, ret_expired);
	hurry_end(cs);
	return r;
}

int census_now(struct store *st)
{
	struct census *cs = st->census;
	struct expired expired;

	return run_now(st, atomic_load(&st->usage.keep_expired_ns), &cs->stop, &expired);
}

int store_census(struct store *st, struct store_census **ret_census)
{
	struct census *cs = st->census;
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&cs->lock);
	size_t n = cs->last ? cs->last->namespace_count : 0;
	struct store_census *copy = calloc(1, sizeof(*copy));

	if (copy && cs->last)
		*copy = *cs->last;
	if (copy)
		copy->namespaces = calloc(n ? n : 1, sizeof(*copy->namespaces));
	if (!copy || !copy->namespaces) {
		free(copy);
		return -ENOMEM;
	}
	if (n)
		memcpy(copy->namespaces, cs->last->namespaces,
		       n * sizeof(*copy->namespaces));
	*ret_census = copy;
	return 0;
}

int store_reclaim(struct store *st, const atomic_bool *stop,
		  struct store_reclaimed *ret_reclaimed)
{
	static const atomic_bool never;
	struct store_reclaimed sum = {0};
	struct backend_stats before, after_it;
	struct expired expired = {0};
	int r;

	if (!stop)
		stop = &never;
	r = run_now(st, 0, stop, &expired);
	sum.expired_entries = expired.entries;
	sum.expired_bytes = expired.bytes;
	if (r == 0)
		r = gc_reclaim(st, stop, &sum.deleted_bytes);
	backend_stats(st->be, &before);
	if (r == 0)
		r = backend_compact(st->be, stop);
	if (r)
		return r;
	backend_stats(st->be, &after_it);
	if (after_it.disk_bytes < before.disk_bytes)
		sum.db_bytes = before.disk_bytes - after_it.disk_bytes;
	*ret_reclaimed = sum;
	return 0;
}
