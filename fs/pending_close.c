/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Closing a value: who produced it, and what becomes of it.
 */
#include "fs/pending_table.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "fs/session.h"
#include "fs/topic.h"
#include "store/util/log.h"

/* ---- who produced it ---- */

void production_deinit(struct production *made)
{
	for (unsigned int i = 0; i < made->alive_count; i++)
		producer_unref(made->alive[i]);
	producer_unref(made->closer);
}

static bool has_written(const struct production *made, pid_t pid)
{
	for (unsigned int i = 0; i < made->wrote_count; i++)
		if (made->wrote[i] == pid)
			return true;
	return false;
}

void pending_wrote(struct pending *p, pid_t tid)
{
	struct production *made = &p->made;
	pid_t pid;

	if (!atomic_load_explicit(&p->written, memory_order_relaxed))
		atomic_store(&p->written, true);
	if (atomic_load_explicit(&made->last_tid, memory_order_relaxed) == tid || !tid)
		return;
	atomic_store_explicit(&made->last_tid, tid, memory_order_relaxed);
	pid = process_of(tid, p->tgid);
	pthread_mutex_lock(&p->table->lock);
	if (pid != p->tgid && !has_written(made, pid) &&
	    made->wrote_count < PRODUCERS_MAX) {
		made->wrote[made->wrote_count++] = pid;
		pending_keep(p);
	}
	pthread_mutex_unlock(&p->table->lock);
}

/* It is known now how this one ended, or it is seen again. The reference that was
 * kept of it, or NULL. Under the lock. */
static struct producer *forget_alive(struct production *made, pid_t pid)
{
	for (unsigned int i = 0; i < made->alive_count; i++) {
		struct producer *pr = made->alive[i];

		if (producer_pid(pr) != pid)
			continue;
		made->alive[i] = made->alive[--made->alive_count];
		return pr;
	}
	return NULL;
}

/* What is to be let go once the lock is not held. */
struct former {
	struct producer *alive, *closer;
};

/* This process closes it and is ending. Under the lock. */
static struct former note_end(struct pending *p, pid_t pid, const struct process_end *end)
{
	struct production *made = &p->made;
	struct former former = {forget_alive(made, pid), made->closer};
	char *text = made->closer_failed;

	made->closer = NULL;
	*text = '\0';
	if (pid == p->tgid || has_written(made, pid))
		text = made->failed;
	if (end->status && !*text)
		process_say_end(end->comm, pid, end->status, text, FAILURE_TEXT_MAX);
	return former;
}

/* This process closes it and lives on. Takes two references over, under the lock. */
static struct former note_alive(struct pending *p, pid_t pid, struct producer *pr)
{
	struct production *made = &p->made;
	struct former former = {forget_alive(made, pid), made->closer};

	made->closer = pr;
	*made->closer_failed = '\0';
	if ((pid == p->tgid || has_written(made, pid)) &&
	    made->alive_count < PRODUCERS_MAX)
		made->alive[made->alive_count++] = producer_ref(pr);
	return former;
}

/* Nothing can be known about the one that closes it. Under the lock. */
static struct former note_unknown(struct pending *p)
{
	struct former former = {NULL, p->made.closer};

	p->made.closer = NULL;
	*p->made.closer_failed = '\0';
	return former;
}

/*
 * The process is in close(2), execve(2) or exit(2), and waits for our answer. True: it
 * is ending, and will not look at it.
 */
static bool note_closer(struct pending *p, pid_t tid)
{
	struct pending_table *t = p->table;
	struct producer *pr = NULL;
	struct former former;
	struct process_end end;
	pid_t pid = process_of(tid, p->tgid);
	bool seen = tid && producer_get(t->producers, pid, &pr) == 0;
	bool ends = seen && producer_read_end(pr, &end) && !end.unsure;

	pthread_mutex_lock(&t->lock);
	if (ends)
		former = note_end(p, pid, &end);
	else
		former = seen ? note_alive(p, pid, pr) : note_unknown(p);
	pending_keep(p);
	pthread_mutex_unlock(&t->lock);
	if (ends)
		producer_unref(pr);
	producer_unref(former.alive);
	producer_unref(former.closer);
	return ends;
}

/* ---- close(2) ---- */

/*
 * What was written is a pack? Not asked of what nobody has written to: a shell closes
 * a copy of the descriptor before the command writes.
 */
static int check_pack(struct pending *p, const char *name, bool quiet)
{
	struct errmsg err = {0};
	int r = 0;

	if (p->sealed && atomic_load(&p->written))
		r = store_staged_check(p->sg, &err);
	if (r && !quiet)
		log_warning("\"%s\" is not stored as it is: %s", name, err.text);
	return r;
}

static int flush(struct pending *p, bool quiet)
{
	char name[STORE_NAME_MAX + 1];
	uint64_t branch;
	bool detached;
	int r;

	pthread_mutex_lock(&p->table->lock);
	p->flushed = true;
	branch = p->branch;
	strcpy(name, p->name);
	detached = p->detached;
	pthread_mutex_unlock(&p->table->lock);
	if (detached)
		return 0;
	r = hold_check(p);
	if (!r)
		r = check_pack(p, name, quiet);
	return r ? r : store_staged_flush(p->sg, branch, name);
}

int pending_flush(struct pending *p, pid_t tid)
{
	bool ends = note_closer(p, tid);

	return flush(p, ends);
}

void pending_note_release(struct pending *p)
{
	struct pending_table *t = p->table;

	pthread_mutex_lock(&t->lock);
	p->releasing++;
	p->closed = ++t->closes;
	atomic_fetch_add(&t->busy, 1);
	pthread_mutex_unlock(&t->lock);
}

/* ---- what is known against it; nobody writes or closes it any more ---- */

static bool has_failed(struct pending *p, char *ret_text)
{
	const struct production *made = &p->made;
	int status;

	strcpy(ret_text, made->failed);
	/* They may have ended since they closed it. */
	for (unsigned int i = 0; i < made->alive_count && !*ret_text; i++)
		if (made->alive[i] != made->closer &&
		    producer_ending(made->alive[i], &status) && status)
			producer_say_end(made->alive[i], status, ret_text,
					 FAILURE_TEXT_MAX);
	if (!*ret_text)
		strcpy(ret_text, made->closer_failed);
	return *ret_text;
}

static bool closer_has_failed(struct pending *p, char *ret_text)
{
	struct producer *closer = p->made.closer;
	int status;

	if (!closer || !producer_ending(closer, &status) || !status)
		return false;
	producer_say_end(closer, status, ret_text, FAILURE_TEXT_MAX);
	return true;
}

/* publish=always: it does not matter how they end. */
static bool publishes_always(struct pending *p)
{
	struct store_settings settings;

	return store_settings(p->table->store, p->branch, &settings) == 0 &&
	       settings.publish_always;
}

/* ---- the end ---- */

/* Out of the table, in front of all who wait. Drops the table's reference. */
static void finish(struct pending *p, bool published)
{
	struct pending_table *t = p->table;
	const struct pending_events *ev = &t->events;

	hold_end(p, published);
	/* It does not count any more when somebody sees that it is published. */
	limit_give(&p->value);
	limit_give(&p->bytes);
	pthread_mutex_lock(&t->lock);
	pending_unlist(t, p);
	p->closing = false;
	atomic_fetch_sub(&t->busy, 1);
	pthread_cond_broadcast(&t->released);
	pthread_mutex_unlock(&t->lock);
	/* What is closing is not renamed, so that its name needs no lock. */
	if (published && ev->published)
		ev->published(ev->arg, p->branch, p->name);
	if (!p->detached && ev->settled)
		ev->settled(ev->arg, p->branch, p->name);
	pending_unref(p);
}

static void not_stored(struct pending *p, const char *why)
{
	struct topic former = topic_enter(TOPIC_BRANCH, p->branch);

	log_warning("\"%s\" was not stored: %s", p->name, why);
	topic_leave(former);
	failure_put(p->table->failures, p->branch, p->name, why);
	if (p->table->events.failed)
		p->table->events.failed(p->table->events.arg, p->branch);
}

static void stored(struct pending *p, int64_t took_ns)
{
	const struct pending_events *ev = &p->table->events;
	double cost_s;

	failure_clear(p->table->failures, p->branch, p->name);
	if (ev->stored && store_staged_published(p->sg, &cost_s))
		ev->stored(ev->arg, p->branch, cost_s, took_ns);
}

static void drop(struct pending *p, const char *why)
{
	not_stored(p, why);
	finish(p, false);
}

void pending_refuse(struct pending *p, const char *why)
{
	drop(p, why);
}

/* The oldest of its name that was closed before it, or NULL. Under the lock. */
static struct pending *closed_before(struct pending *p)
{
	struct pending_table *t = p->table;
	struct pending *oldest = NULL;

	for (struct pending *q = pending_first_named(t, p->branch, p->name); q;
	     q = pending_next_named(q))
		if (q->closing && q->closed < p->closed &&
		    (!oldest || q->closed < oldest->closed))
			oldest = q;
	return oldest;
}

/* The last to close wins: those that were closed before come first. */
static void settle_former(struct pending *p)
{
	struct pending_table *t = p->table;
	struct pending *q;

	pthread_mutex_lock(&t->lock);
	while ((q = closed_before(p))) {
		if (!pending_claim(q)) {
			session_pass_token(); /* who reads must not sleep */
			pthread_cond_wait(&t->released, &t->lock);
			continue;
		}
		pthread_mutex_unlock(&t->lock);
		pending_decide(q, false);
		pthread_mutex_lock(&t->lock);
	}
	pthread_mutex_unlock(&t->lock);
}

/* Its writer may have ended in the midst of it, and well. -EBADMSG, with the reason. */
static int check_whole(struct pending *p, char *ret_why)
{
	struct errmsg err = {0};
	struct store_attr attr;
	int r = 0;

	store_staged_attr(p->sg, &attr);
	if (p->sealed && (atomic_load(&p->written) || !attr.size_bytes))
		r = store_staged_check(p->sg, &err);
	if (r)
		snprintf(ret_why, FAILURE_TEXT_MAX, "%.*s", FAILURE_TEXT_MAX - 1,
			 attr.size_bytes ? err.text : "nothing was written to it");
	return r;
}

static void publish(struct pending *p)
{
	char why[FAILURE_TEXT_MAX];
	int r = check_whole(p, why);
	int64_t begun_ns;

	if (r) {
		drop(p, why);
		return;
	}
	settle_former(p);
	begun_ns = time_monotonic_ns();
	r = store_publish(p->sg, p->branch, p->name, false, NULL, NULL);
	if (r)
		not_stored(p, strerror(-r));
	else
		stored(p, time_monotonic_ns() - begun_ns);
	finish(p, r == 0);
}

void pending_decide(struct pending *p, bool closer_goes_on)
{
	char why[FAILURE_TEXT_MAX];
	bool goes_on = closer_goes_on || atomic_load(&p->left);
	bool failed = has_failed(p, why) || (!goes_on && closer_has_failed(p, why));

	if (failed && !publishes_always(p))
		drop(p, why);
	else
		publish(p);
}

/* ---- RELEASE ---- */

/* Is there anything to be learned by waiting? */
static bool may_linger(struct pending *p)
{
	char why[FAILURE_TEXT_MAX];

	return p->made.closer && !has_failed(p, why) && !publishes_always(p);
}

static void close_last(struct pending *p)
{
	struct pending_table *t = p->table;
	struct pending *excess = NULL;
	uint64_t branch = p->branch; /* what lingers may be gone at once */
	char name[STORE_NAME_MAX + 1];
	bool lingers = false;
	int64_t dir_ns;

	strcpy(name, p->name);
	if (p->detached) {
		finish(p, false);
		return;
	}
	/* From here on, so that nobody else gets the lease while it lingers. */
	if (hold_fence(p)) {
		drop(p, "its reservation was lost");
		return;
	}
	if (may_linger(p)) {
		store_staged_complete(p->sg, &dir_ns);
		pthread_mutex_lock(&t->lock);
		p->complete = true;
		p->dir_ns = dir_ns;
		lingers = pending_linger(p);
		if (lingers)
			pending_keep(p);
		excess = lingers ? pending_claim_excess(t) : NULL;
		pthread_cond_broadcast(&t->released); /* they may be in a hurry */
		pthread_mutex_unlock(&t->lock);
	}
	if (!lingers) {
		pending_decide(p, false);
		return;
	}
	if (excess)
		pending_decide(excess, false);
	if (t->events.settled) /* who waits for it has to ask */
		t->events.settled(t->events.arg, branch, name);
}

void pending_release(struct pending *p)
{
	struct pending_table *t = p->table;
	bool last;

	pthread_mutex_lock(&t->lock);
	last = --p->writers == 0 && p->listed;
	p->closing = last;
	p->releasing--;
	if (!last) {
		atomic_fetch_sub(&t->busy, 1);
		pthread_cond_broadcast(&t->released);
	}
	pthread_mutex_unlock(&t->lock);
	if (last)
		close_last(p);
}
