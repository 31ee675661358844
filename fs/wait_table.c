/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/wait_table.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "fs/timers.h"
#include "store/util/duration.h"
#include "store/util/monocond.h"

/* A name that is waited for. All under the table's lock. */
struct wait_key {
	uint64_t branch;
	struct hlink by_name;
	struct waiter *first, **last;
	bool due; /* on the list of those to look at */
	struct wait_key *next_due;
	bool looking; /* the thread is at it, and keeps it alive */
	struct timer again;
	char name[];
};

struct wait_table {
	struct wait_ops ops;
	void *arg;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t wake; /* of the thread; monotonic */

	/* All below: under lock. */
	struct htab by_name, by_id;
	struct wait_key *first_due, **last_due;
	struct timers timers; /* one a key at most */
	uint64_t next_id;
	bool stop;
	_Atomic uint64_t count; /* of by_id; read without the lock */
};

static uint64_t name_hash(uint64_t branch, const char *name)
{
	return hash_bytes(name, strlen(name), branch);
}

/* ---- names that are waited for; the lock is held ---- */

static struct wait_key *find_key(struct wait_table *t, uint64_t branch, const char *name)
{
	for (struct hlink *l = htab_first(&t->by_name, name_hash(branch, name)); l;
	     l = htab_next(l)) {
		struct wait_key *k = CONTAINER_OF(l, struct wait_key, by_name);

		if (k->branch == branch && strcmp(k->name, name) == 0)
			return k;
	}
	return NULL;
}

static struct wait_key *make_key(struct wait_table *t, uint64_t branch, const char *name)
{
	size_t size = strlen(name) + 1;
	struct wait_key *k;

	if (timers_reserve(&t->timers, t->by_name.count + 1))
		return NULL;
	k = calloc(1, sizeof(*k) + size);
	if (!k)
		return NULL;
	k->branch = branch;
	k->last = &k->first;
	memcpy(k->name, name, size);
	if (htab_add(&t->by_name, &k->by_name, name_hash(branch, name)) == 0)
		return k;
	free(k);
	return NULL;
}

static void free_key_if_unused(struct wait_table *t, struct wait_key *k)
{
	if (k->first || k->due || k->looking)
		return;
	timers_clear(&t->timers, &k->again);
	htab_remove(&t->by_name, &k->by_name);
	free(k);
}

static void make_due(struct wait_table *t, struct wait_key *k)
{
	if (k->due)
		return;
	k->due = true;
	k->next_due = NULL;
	*t->last_due = k;
	t->last_due = &k->next_due;
	pthread_cond_signal(&t->wake);
}

static struct wait_key *take_due(struct wait_table *t)
{
	struct wait_key *k = t->first_due;

	if (!k)
		return NULL;
	t->first_due = k->next_due;
	if (!t->first_due)
		t->last_due = &t->first_due;
	k->due = false;
	return k;
}

/* ---- waiters ---- */

int wait_table_add(struct wait_table *t, struct waiter *w, uint64_t branch,
		   const char *name)
{
	struct wait_key *k = NULL;
	int r = 0;

	pthread_mutex_lock(&t->lock);
	if (t->stop)
		r = -ENOTCONN;
	else if (t->by_id.count >= WAITERS_MAX)
		r = -EAGAIN;
	if (!r)
		k = find_key(t, branch, name);
	if (!r && !k)
		k = make_key(t, branch, name);
	if (!r && !k)
		r = -ENOMEM;
	if (!r)
		w->id = ++t->next_id;
	if (!r && htab_add(&t->by_id, &w->by_id, hash_u64(w->id))) {
		free_key_if_unused(t, k);
		r = -ENOMEM;
	}
	if (!r) {
		w->key = k;
		w->next = NULL;
		w->ready = false;
		*k->last = w;
		k->last = &w->next;
		atomic_store(&t->count, t->by_id.count);
	}
	pthread_mutex_unlock(&t->lock);
	return r;
}

void wait_table_ready(struct wait_table *t, struct waiter *w)
{
	pthread_mutex_lock(&t->lock);
	w->ready = true;
	make_due(t, w->key);
	pthread_mutex_unlock(&t->lock);
}

static struct waiter *find_id(struct wait_table *t, uint64_t id)
{
	for (struct hlink *l = htab_first(&t->by_id, hash_u64(id)); l; l = htab_next(l)) {
		struct waiter *w = CONTAINER_OF(l, struct waiter, by_id);

		if (w->id == id)
			return w;
	}
	return NULL;
}

void wait_table_interrupt(struct wait_table *t, uint64_t id)
{
	struct waiter *w;

	pthread_mutex_lock(&t->lock);
	w = find_id(t, id);
	if (w) {
		atomic_store(&w->interrupted, true);
		make_due(t, w->key);
	}
	pthread_mutex_unlock(&t->lock);
}

void wait_table_settled(struct wait_table *t, uint64_t branch, const char *name)
{
	struct wait_key *k;

	if (!atomic_load(&t->count))
		return;
	pthread_mutex_lock(&t->lock);
	k = find_key(t, branch, name);
	if (k)
		make_due(t, k);
	pthread_mutex_unlock(&t->lock);
}

struct waited_name {
	uint64_t branch;
	size_t waiters;
	char *name;
};

/* Under the lock. -ENOMEM: not all of them. */
static int copy_names(struct wait_table *t, struct waited_name *names, size_t max,
		      size_t *ret_count)
{
	size_t count = 0;

	for (struct hwalk all = htab_walk(&t->by_name); all.link && count < max;
	     hwalk_next(&all)) {
		struct wait_key *k = CONTAINER_OF(all.link, struct wait_key, by_name);

		if (!k->first)
			continue;
		names[count].name = strdup(k->name);
		if (!names[count].name)
			return -ENOMEM;
		names[count].branch = k->branch;
		for (struct waiter *w = k->first; w; w = w->next)
			names[count].waiters++;
		*ret_count = ++count;
	}
	return 0;
}

int wait_table_list(struct wait_table *t, size_t max,
		    int (*each)(void *arg, uint64_t branch, const char *name,
				size_t waiters),
		    void *arg)
{
	struct waited_name *names = calloc(max, sizeof(*names));
	size_t count = 0;
	int r;

	if (!names)
		return -ENOMEM;
	pthread_mutex_lock(&t->lock);
	r = copy_names(t, names, max, &count);
	pthread_mutex_unlock(&t->lock);
	for (size_t i = 0; i < count; i++) {
		if (!r)
			r = each(arg, names[i].branch, names[i].name, names[i].waiters);
		free(names[i].name);
	}
	free(names);
	return r;
}

uint64_t wait_table_count(const struct wait_table *t)
{
	return atomic_load(&t->count);
}

/* ---- the thread ---- */

/* What one look at a name has found. */
struct round {
	struct wait_key *key;
	struct waiter *taken;			/* who waited when it began */
	struct waiter *answered;		/* in any order */
	struct waiter *staying, **staying_last; /* in their order */
	int64_t again_ns;			/* monotonic */
	bool anew;				/* what was seen is not true any more */
};

/* Under the lock: take those that may be answered off the key's list. */
static void take_ready(struct wait_key *k, struct round *r)
{
	struct waiter **at = &k->first, **last = &r->taken;

	while (*at) {
		struct waiter *w = *at;

		if (!w->ready) {
			at = &w->next;
			continue;
		}
		*at = w->next;
		*last = w;
		last = &w->next;
		w->next = NULL;
	}
	k->last = at;
}

/* Under the lock: who stays comes before who came meanwhile. */
static void put_back(struct wait_key *k, struct round *r)
{
	if (!r->staying)
		return;
	*r->staying_last = k->first;
	if (!k->first)
		k->last = r->staying_last;
	k->first = r->staying;
}

static enum wait_why why_now(const struct waiter *w, bool stop, int64_t now_ns)
{
	if (stop)
		return WAIT_STOPPED;
	if (atomic_load(&w->interrupted))
		return WAIT_INTERRUPTED;
	return w->deadline_ns <= now_ns ? WAIT_TIME_IS_UP : WAIT_LOOK;
}

static void stay(struct round *r, struct waiter *w)
{
	w->next = NULL;
	*r->staying_last = w;
	r->staying_last = &w->next;
	if (w->deadline_ns < r->again_ns)
		r->again_ns = w->deadline_ns;
}

/* Without the lock. */
static void answer_all(struct wait_table *t, struct round *r, bool stop)
{
	int64_t left_ns, now_ns;

	t->ops.look(t->arg, r->key->branch, r->key->name, &left_ns);
	now_ns = time_monotonic_ns();
	r->again_ns =
	    left_ns >= DURATION_NONE - now_ns ? DURATION_NONE : now_ns + left_ns;
	while (r->taken) {
		struct waiter *w = r->taken;
		enum wait_verdict verdict;

		r->taken = w->next;
		verdict = t->ops.answer(t->arg, w, why_now(w, stop, now_ns));
		if (verdict == WAIT_ANSWERED) {
			w->next = r->answered;
			r->answered = w;
			continue;
		}
		stay(r, w);
		r->anew |= verdict == WAIT_AGAIN;
	}
}

static void free_answered(struct wait_table *t, struct round *r)
{
	while (r->answered) {
		struct waiter *w = r->answered;

		r->answered = w->next;
		t->ops.free(w);
	}
}

/* Under the lock, which is given up meanwhile. */
static void look_at(struct wait_table *t, struct wait_key *k)
{
	struct round r = {.key = k, .again_ns = DURATION_NONE};
	bool stop = t->stop;

	r.staying_last = &r.staying;
	take_ready(k, &r);
	k->looking = true;
	pthread_mutex_unlock(&t->lock);
	if (r.taken)
		answer_all(t, &r, stop);
	pthread_mutex_lock(&t->lock);
	k->looking = false;
	/* An interrupt finds it until here, and does it no harm. */
	for (struct waiter *w = r.answered; w; w = w->next)
		htab_remove(&t->by_id, &w->by_id);
	atomic_store(&t->count, t->by_id.count);
	put_back(k, &r);
	if (r.again_ns == DURATION_NONE)
		timers_clear(&t->timers, &k->again);
	else
		timers_set(&t->timers, &k->again, r.again_ns);
	if (r.anew)
		make_due(t, k);
	free_key_if_unused(t, k);
	pthread_mutex_unlock(&t->lock);
	free_answered(t, &r);
	pthread_mutex_lock(&t->lock);
}

/* Under the lock: the keys whose time has come are due. */
static void make_late_ones_due(struct wait_table *t)
{
	struct timer *first = timers_first(&t->timers);
	int64_t now_ns = first ? time_monotonic_ns() : 0;

	while (first && first->at_ns <= now_ns) {
		timers_clear(&t->timers, first);
		make_due(t, CONTAINER_OF(first, struct wait_key, again));
		first = timers_first(&t->timers);
	}
}

/* Under the lock: until something is due. */
static void sleep_until_due(struct wait_table *t)
{
	struct timer *first = timers_first(&t->timers);
	struct timespec at;

	if (!first) {
		pthread_cond_wait(&t->wake, &t->lock);
		return;
	}
	at = monocond_at(first->at_ns);
	pthread_cond_timedwait(&t->wake, &t->lock, &at);
}

static void *run(void *arg)
{
	struct wait_table *t = arg;
	struct wait_key *k;

	pthread_mutex_lock(&t->lock);
	/* Who is not ready yet when it is stopped is answered as well. */
	while (!t->stop || t->by_id.count) {
		make_late_ones_due(t);
		k = take_due(t);
		if (k)
			look_at(t, k);
		else
			sleep_until_due(t);
	}
	pthread_mutex_unlock(&t->lock);
	return NULL;
}

/* ---- life ---- */

int wait_table_new(const struct wait_ops *ops, void *arg, struct wait_table **ret_table)
{
	struct wait_table *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return -ENOMEM;
	t->ops = *ops;
	t->arg = arg;
	t->last_due = &t->first_due;
	pthread_mutex_init(&t->lock, NULL);
	monocond_init(&t->wake);
	r = pthread_create(&t->thread, NULL, run, t);
	if (r) {
		pthread_cond_destroy(&t->wake);
		pthread_mutex_destroy(&t->lock);
		free(t);
		return -r;
	}
	*ret_table = t;
	return 0;
}

void wait_table_stop(struct wait_table *t)
{
	bool was;

	pthread_mutex_lock(&t->lock);
	was = t->stop;
	t->stop = true;
	for (struct hwalk w = htab_walk(&t->by_name); w.link; hwalk_next(&w))
		make_due(t, CONTAINER_OF(w.link, struct wait_key, by_name));
	pthread_cond_signal(&t->wake);
	pthread_mutex_unlock(&t->lock);
	if (!was)
		pthread_join(t->thread, NULL);
}

void wait_table_free(struct wait_table *t)
{
	if (!t)
		return;
	wait_table_stop(t);
	/* What is left is due for nobody: nobody waits any more. */
	for (struct wait_key *k = take_due(t); k; k = take_due(t))
		free_key_if_unused(t, k);
	htab_deinit(&t->by_name);
	htab_deinit(&t->by_id);
	timers_deinit(&t->timers);
	pthread_cond_destroy(&t->wake);
	pthread_mutex_destroy(&t->lock);
	free(t);
}
