/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The gate: who asks for a name waits until what was closed is decided.
 *
 * Only what had been closed when the wait began is waited for: where somebody closes
 * one value after the other, there is always one more.
 */
#include "fs/pending_table.h"

#include <errno.h>
#include <stdlib.h>

#include "fs/session.h"

bool pending_releasing(const struct pending_table *t)
{
	return atomic_load(&t->busy) != 0;
}

void pending_set_waiting_max(struct pending_table *t, unsigned int count)
{
	pthread_mutex_lock(&t->lock);
	t->waiting_max = count;
	pthread_mutex_unlock(&t->lock);
}

/* ---- what lingers ---- */

/*
 * The closer has ended, or it goes on: it asks itself, or is waiting for one that it
 * has started. Its number is its own as long as it has not ended.
 */
static bool is_decidable(struct pending *p, pid_t tid, bool *ret_goes_on)
{
	struct producer *closer = p->made.closer;
	pid_t pid = producer_pid(closer);
	int status;

	*ret_goes_on = atomic_load(&p->left);
	if (*ret_goes_on)
		return true;
	if (producer_ended(closer, &status))
		return true;
	*ret_goes_on = tid && process_descends(process_of(tid, pid), pid);
	return *ret_goes_on;
}

/*
 * Without the lock, with a reference, for one that lingers or did just now: decide it
 * here if that can be, or give it a little time.
 */
static void urge(struct pending *p, pid_t tid)
{
	struct pending_table *t = p->table;
	bool goes_on, claimed = false;
	bool decidable = is_decidable(p, tid, &goes_on);
	int64_t ran_ns = decidable ? -1 : process_ran_ns(producer_pid(p->made.closer));

	pthread_mutex_lock(&t->lock);
	if (p->ran_ns < 0)
		p->ran_ns = ran_ns;
	/* Some threads are kept for those who need not wait. */
	if (decidable || (t->waiting_max && t->waiting >= t->waiting_max))
		claimed = pending_claim(p);
	else
		pending_hurry(p, false);
	pthread_mutex_unlock(&t->lock);
	if (claimed)
		pending_decide(p, goes_on);
}

/* ---- waiting; the lock is held, and given up meanwhile ---- */

static void wait_released(struct pending_table *t, bool lingers)
{
	/* Who reads from the kernel must not sleep. */
	session_pass_token();
	t->waiting += lingers;
	pthread_cond_wait(&t->released, &t->lock);
	t->waiting -= lingers;
}

/* `*urged`: the number of the value that this asker has urged last. */
static void wait_for(struct pending_table *t, struct pending *p, pid_t tid,
		     uint64_t *urged)
{
	if (!p->lingers || *urged == p->ino) {
		wait_released(t, p->lingers);
		return;
	}
	*urged = p->ino;
	pending_ref(p);
	pthread_mutex_unlock(&t->lock);
	urge(p, tid);
	pending_unref(p);
	pthread_mutex_lock(&t->lock);
}

void pending_wait_closing(struct pending *p)
{
	uint64_t urged = 0;

	while (p->closing)
		wait_for(p->table, p, session_asker(), &urged);
}

static bool is_awaited(const struct pending *p, uint64_t upto)
{
	return (p->releasing || p->closing) && p->closed <= upto;
}

/* ---- a name ---- */

static struct pending *awaited_name(struct pending_table *t, uint64_t branch,
				    const char *name, uint64_t upto)
{
	struct pending *p = pending_first_named(t, branch, name);

	while (p && !is_awaited(p, upto))
		p = pending_next_named(p);
	return p;
}

void pending_wait(struct pending_table *t, uint64_t branch, const char *name, pid_t tid)
{
	struct pending *p;
	uint64_t upto, urged = 0;

	if (!pending_releasing(t))
		return;
	pthread_mutex_lock(&t->lock);
	upto = t->closes;
	while ((p = awaited_name(t, branch, name, upto)))
		wait_for(t, p, tid, &urged);
	pthread_mutex_unlock(&t->lock);
}

void pending_ask(struct pending_table *t, uint64_t branch, const char *name, pid_t tid)
{
	struct pending *p;
	bool goes_on, now;

	if (!pending_releasing(t))
		return;
	pthread_mutex_lock(&t->lock);
	p = pending_first_named(t, branch, name);
	while (p && !p->lingers)
		p = pending_next_named(p);
	pending_ref(p);
	pthread_mutex_unlock(&t->lock);
	if (!p)
		return;
	now = is_decidable(p, tid, &goes_on);
	pthread_mutex_lock(&t->lock);
	pending_hurry(p, now);
	pthread_mutex_unlock(&t->lock);
	pending_unref(p);
}

/* ---- a branch ---- */

/* References to all in the branch that linger; none without memory. */
static size_t take_lingering(struct pending_table *t, uint64_t branch,
			     struct pending ***ret_values)
{
	struct pending **values = calloc(t->linger_count + 1, sizeof(struct pending *));
	size_t n = 0;

	for (struct pending *p = values ? t->oldest : NULL; p; p = p->linger_next)
		if (p->branch == branch)
			values[n++] = pending_ref(p);
	*ret_values = values;
	return n;
}

/* All at once: one after the other, each would take its time. */
static void urge_branch(struct pending_table *t, uint64_t branch, pid_t tid)
{
	struct pending **values;
	size_t n;

	pthread_mutex_lock(&t->lock);
	n = take_lingering(t, branch, &values);
	pthread_mutex_unlock(&t->lock);
	for (size_t i = 0; i < n; i++) {
		urge(values[i], tid);
		pending_unref(values[i]);
	}
	free(values);
}

static struct pending *awaited_in_branch(struct pending_table *t, uint64_t branch,
					 uint64_t upto)
{
	struct pending *p = pending_first_in_branch(t, branch);

	while (p && !is_awaited(p, upto))
		p = pending_next_in_branch(p);
	return p;
}

/* Under the lock. False: one is being released or decided, and has to be waited for. */
static bool look_at_branch(struct pending_table *t, uint64_t branch, uint64_t upto,
			   int64_t *ret_dir_ns, bool *ret_all_complete)
{
	*ret_dir_ns = 0;
	*ret_all_complete = true;
	for (struct pending *p = pending_first_in_branch(t, branch); p;
	     p = pending_next_in_branch(p)) {
		if (!p->complete && is_awaited(p, upto))
			return false;
		if (!p->complete)
			*ret_all_complete = false;
		else if (p->dir_ns > *ret_dir_ns)
			*ret_dir_ns = p->dir_ns;
	}
	return true;
}

bool pending_dir_times(struct pending_table *t, uint64_t branch, int64_t *ret_dir_ns)
{
	bool all_complete;
	uint64_t upto;

	*ret_dir_ns = 0;
	if (!atomic_load(&t->count))
		return true;
	pthread_mutex_lock(&t->lock);
	upto = t->closes;
	while (!look_at_branch(t, branch, upto, ret_dir_ns, &all_complete))
		wait_released(t, false);
	pthread_mutex_unlock(&t->lock);
	return all_complete;
}

void pending_wait_branch(struct pending_table *t, uint64_t branch, pid_t tid)
{
	struct pending *p;
	uint64_t upto, urged = 0;

	if (!pending_releasing(t))
		return;
	urge_branch(t, branch, tid);
	pthread_mutex_lock(&t->lock);
	upto = t->closes;
	while ((p = awaited_in_branch(t, branch, upto)))
		wait_for(t, p, tid, &urged);
	pthread_mutex_unlock(&t->lock);
}

/* ---- all below a directory ---- */

static int compare_branches(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Of all values, each once; in `*ret_branches`, to be freed. */
static int list_branches(struct pending_table *t, uint64_t **ret_branches, size_t *ret_n)
{
	uint64_t *all, *at;
	size_t n = 0;

	pthread_mutex_lock(&t->lock);
	all = calloc(t->by_branch.count + 1, sizeof(*all));
	for (struct hwalk w = htab_walk(&t->by_branch); all && w.link; hwalk_next(&w))
		all[n++] = CONTAINER_OF(w.link, struct pending, by_branch)->branch;
	pthread_mutex_unlock(&t->lock);
	if (!all)
		return -ENOMEM;
	qsort(all, n, sizeof(*all), compare_branches);
	at = all;
	for (size_t i = 0; i < n; i++)
		if (!i || all[i] != all[i - 1])
			*at++ = all[i];
	*ret_branches = all;
	*ret_n = (size_t)(at - all);
	return 0;
}

int pending_settle_below(struct pending_table *t,
			 bool (*below)(void *arg, uint64_t branch), void *arg, pid_t tid)
{
	uint64_t *branches;
	size_t n;
	int r;

	if (!pending_count(t))
		return 0;
	r = list_branches(t, &branches, &n);
	if (r)
		return r;
	for (size_t i = 0; !r && i < n; i++) {
		if (!below(arg, branches[i]))
			continue;
		pending_wait_branch(t, branches[i], tid);
		if (pending_branch_busy(t, branches[i]))
			r = -EBUSY;
	}
	free(branches);
	return r;
}
