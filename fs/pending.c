/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/pending_table.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* From the LOOKUP that made a private inode to the OPEN that follows. */
#define CLAIM_WITHIN_NS (5 * NSEC_PER_SEC)

static uint64_t name_hash(uint64_t branch, const char *name)
{
	return hash_bytes(name, strlen(name), branch);
}

int pending_table_new(struct store *st, const struct pending_events *events,
		      struct pending_table **ret_table)
{
	struct pending_table *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return -ENOMEM;
	t->store = st;
	if (events)
		t->events = *events;
	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->released, NULL);
	r = failures_new(&t->failures);
	if (!r)
		r = linger_start(t);
	if (r)
		pending_table_free(t);
	else
		*ret_table = t;
	return r;
}

void pending_set_limits(struct pending_table *t, struct limits *limits)
{
	t->limits = limits;
}

struct failures *pending_failures(struct pending_table *t)
{
	return t->failures;
}

/* ---- in and out of the table; the lock is held ---- */

static int list_name(struct pending_table *t, struct pending *p)
{
	if (htab_add(&t->by_name, &p->by_name, name_hash(p->branch, p->name)))
		return -ENOMEM;
	if (htab_add(&t->by_branch, &p->by_branch, hash_u64(p->branch))) {
		htab_remove(&t->by_name, &p->by_name);
		return -ENOMEM;
	}
	return 0;
}

static void unlist_name(struct pending_table *t, struct pending *p)
{
	htab_remove(&t->by_name, &p->by_name);
	htab_remove(&t->by_branch, &p->by_branch);
}

static int list(struct pending_table *t, struct pending *p)
{
	if (list_name(t, p))
		return -ENOMEM;
	if (htab_add(&t->by_ino, &p->by_ino, hash_u64(p->ino))) {
		unlist_name(t, p);
		return -ENOMEM;
	}
	p->listed = true;
	atomic_store(&t->count, t->by_ino.count);
	return 0;
}

int pending_resume_list(struct pending *p)
{
	struct pending_table *t = p->table;
	int r = 0;

	if (!p->detached)
		r = list(t, p);
	else if (htab_add(&t->by_ino, &p->by_ino, hash_u64(p->ino)))
		r = -ENOMEM;
	p->listed = !r;
	if (r)
		return r;
	pending_ref(p);
	p->claim_before_ns = time_monotonic_ns() + CLAIM_WITHIN_NS;
	atomic_store(&t->count, t->by_ino.count);
	return 0;
}

void pending_unlist(struct pending_table *t, struct pending *p)
{
	if (!p->listed)
		return;
	pending_keep_over(p);
	if (!p->detached)
		unlist_name(t, p);
	htab_remove(&t->by_ino, &p->by_ino);
	p->listed = false;
	atomic_store(&t->count, t->by_ino.count);
}

static struct pending *next_named(struct hlink *l, uint64_t branch, const char *name)
{
	for (; l; l = htab_next(l)) {
		struct pending *p = CONTAINER_OF(l, struct pending, by_name);

		if (p->branch == branch && strcmp(p->name, name) == 0)
			return p;
	}
	return NULL;
}

struct pending *pending_first_named(struct pending_table *t, uint64_t branch,
				    const char *name)
{
	return next_named(htab_first(&t->by_name, name_hash(branch, name)), branch, name);
}

struct pending *pending_next_named(struct pending *p)
{
	return next_named(htab_next(&p->by_name), p->branch, p->name);
}

static struct pending *next_in_branch(struct hlink *l, uint64_t branch)
{
	for (; l; l = htab_next(l)) {
		struct pending *p = CONTAINER_OF(l, struct pending, by_branch);

		if (p->branch == branch)
			return p;
	}
	return NULL;
}

struct pending *pending_first_in_branch(struct pending_table *t, uint64_t branch)
{
	return next_in_branch(htab_first(&t->by_branch, hash_u64(branch)), branch);
}

struct pending *pending_next_in_branch(struct pending *p)
{
	return next_in_branch(htab_next(&p->by_branch), p->branch);
}

/* ---- life ---- */

static void pending_free(struct pending *p)
{
	keep_free(p->kept);
	production_deinit(&p->made);
	hold_deinit(&p->hold);
	store_staged_free(p->sg);
	limit_give(&p->value);
	limit_give(&p->bytes);
	free(p);
}

void pending_unref(struct pending *p)
{
	if (p && atomic_fetch_sub(&p->refs, 1) == 1)
		pending_free(p);
}

/* ---- beginning ---- */

/* Who begins it; and what that one has closed before lingers no longer. */
static void note_opener(struct pending_table *t, const struct pending_args *args,
			struct pending *p)
{
	pid_t pid = process_of(args->tid, atomic_load(&t->last_opener));
	struct producer *pr = NULL;

	atomic_store(&t->last_opener, pid);
	if (pid)
		pr = producer_recognize(t->producers, pid, p->comm, sizeof(p->comm));
	p->tid = args->tid;
	p->tgid = pid;
	if (!pr) {
		process_comm(pid, p->comm, sizeof(p->comm));
		return;
	}
	pthread_mutex_lock(&t->lock);
	pending_leave(t, args->branch, pr);
	pthread_mutex_unlock(&t->lock);
	producer_unref(pr);
}

static int stage(struct pending_table *t, const struct pending_args *args,
		 int64_t before_ns, struct pending *p)
{
	struct store_stage_args sa = {
	    .branch = args->branch,
	    .base_ino = args->base_ino,
	    .truncate = args->truncate,
	    .sealed = args->sealed,
	    .mode = S_IFREG | (args->mode & 07777),
	    .before_ns = before_ns,
	    .writer = {.uid = args->uid, .gid = args->gid},
	};

	note_opener(t, args, p);
	sa.writer.pid = p->tgid;
	strcpy(sa.writer.comm, p->comm);
	return store_stage(t->store, &sa, &p->sg);
}

static void fill(struct pending *p, const struct pending_args *args)
{
	p->ino = store_staged_ino(p->sg);
	p->uid = args->uid;
	p->sealed = args->sealed;
	p->base_ino = args->base_ino;
	p->truncate = args->truncate;
	p->since_ns = time_now_ns();
	p->refs = 2; /* the table's and the caller's */
	p->branch = args->branch;
	strcpy(p->name, args->name);
	p->claim_before_ns = time_monotonic_ns() + CLAIM_WITHIN_NS;
}

struct pending *pending_shell(struct pending_table *t)
{
	struct pending *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;
	p->table = t;
	p->refs = 1;
	pthread_mutex_init(&p->hold.lock, NULL);
	return p;
}

static int count_for_user(struct pending_table *t, const struct pending_args *args,
			  struct pending *p)
{
	int r = limits_take(t->limits, LIMIT_VALUES, args->uid, 1, &p->value);

	return r ? r : limits_take(t->limits, LIMIT_BYTES, args->uid, 0, &p->bytes);
}

/* What the owner's lease has cost already counts. */
static int make(struct pending_table *t, const struct pending_args *args,
		struct pending **ret_p)
{
	struct store_lease lease = {0};
	struct pending *p;
	int64_t before_ns = 0;
	int r = 0;

	if (args->owner)
		r = hold_check_owner(t, args, &lease);
	if (r)
		return r;
	if (args->owner)
		before_ns = time_now_ns() - lease.since_ns;
	p = pending_shell(t);
	if (!p)
		return -ENOMEM;
	r = count_for_user(t, args, p);
	if (!r)
		r = stage(t, args, before_ns > 0 ? before_ns : 0, p);
	if (!r) {
		fill(p, args);
		r = hold_begin(p, args, lease.token);
	}
	if (r)
		pending_free(p);
	else
		*ret_p = p;
	return r;
}

static bool was_begun_for(const struct pending *p, const struct pending_args *args)
{
	return p->resumed && p->claim_before_ns && p->tid == args->tid &&
	       p->uid == args->uid && p->base_ino == args->base_ino &&
	       p->truncate == args->truncate && p->sealed == args->sealed;
}

/* A request that the process before had begun comes again. A reference, or NULL. */
static struct pending *find_resumed(struct pending_table *t,
				    const struct pending_args *args)
{
	struct pending *p;

	if (!t->resumed_any)
		return NULL;
	pthread_mutex_lock(&t->lock);
	p = pending_first_named(t, args->branch, args->name);
	while (p && !was_begun_for(p, args))
		p = pending_next_named(p);
	pending_ref(p);
	pthread_mutex_unlock(&t->lock);
	return p;
}

int pending_new(struct pending_table *t, const struct pending_args *args,
		struct pending **ret_p)
{
	struct pending *p;
	int r;

	if (strlen(args->name) > STORE_NAME_MAX)
		return -ENAMETOOLONG;
	p = find_resumed(t, args);
	if (p) {
		*ret_p = p;
		return 0;
	}
	r = make(t, args, &p);
	if (r)
		return r;
	r = pending_keep_begin(p);
	if (r) {
		hold_end(p, false);
		pending_free(p);
		return r;
	}
	pthread_mutex_lock(&t->lock);
	if (args->exclusive && pending_first_named(t, p->branch, p->name))
		r = -EEXIST;
	else
		r = list(t, p);
	pthread_mutex_unlock(&t->lock);
	if (r) {
		hold_end(p, false);
		pending_free(p);
	} else {
		*ret_p = p;
	}
	return r;
}

/* ---- dropping ---- */

/* Out of the table, so that nobody finds it any more. */
static void drop(struct pending_table *t, struct pending *p)
{
	bool was;

	pthread_mutex_lock(&t->lock);
	was = p->listed;
	pending_unlist(t, p);
	pthread_mutex_unlock(&t->lock);
	hold_end(p, false);
	if (was)
		pending_unref(p);
}

/* Somebody may have been told to wait for it. */
static void drop_and_tell(struct pending *p)
{
	struct pending_table *t = p->table;

	drop(t, p);
	if (t->events.settled)
		t->events.settled(t->events.arg, p->branch, p->name);
}

void pending_drop(struct pending *p)
{
	drop_and_tell(p);
	pending_unref(p);
}

void pending_table_free(struct pending_table *t)
{
	if (!t)
		return;
	pending_stop(t);
	for (struct hwalk w = htab_walk(&t->by_ino); w.link; hwalk_next(&w))
		drop(t, CONTAINER_OF(w.link, struct pending, by_ino));
	linger_stop(t);
	failures_free(t->failures);
	htab_deinit(&t->by_ino);
	htab_deinit(&t->by_name);
	htab_deinit(&t->by_branch);
	pthread_cond_destroy(&t->released);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

/* Under the lock: what is late, a chain of references. */
static struct pending *chain_late(struct pending_table *t, int64_t now_ns)
{
	struct pending *late = NULL;

	for (struct hwalk w = htab_walk(&t->by_ino); w.link; hwalk_next(&w)) {
		struct pending *p = CONTAINER_OF(w.link, struct pending, by_ino);

		if (!p->claim_before_ns || p->claim_before_ns >= now_ns)
			continue;
		pending_ref(p);
		p->next_late = late;
		late = p;
	}
	return late;
}

/* Takes over the reference. It may just have been opened after all. */
static void drop_late(struct pending *p, int64_t now_ns)
{
	bool late;

	pthread_mutex_lock(&p->table->lock);
	late = p->claim_before_ns && p->claim_before_ns < now_ns && p->listed;
	if (late)
		pending_unlist(p->table, p);
	pthread_mutex_unlock(&p->table->lock);
	if (late) {
		drop_and_tell(p);
		pending_unref(p); /* the table's reference */
	}
	pending_unref(p);
}

void pending_reap(struct pending_table *t)
{
	int64_t now_ns = time_monotonic_ns();
	struct pending *late;

	if (!atomic_load(&t->count))
		return;
	pthread_mutex_lock(&t->lock);
	late = chain_late(t, now_ns);
	pthread_mutex_unlock(&t->lock);
	while (late) {
		struct pending *next = late->next_late;

		drop_late(late, now_ns);
		late = next;
	}
}

/* ---- finding ---- */

uint64_t pending_ino(const struct pending *p)
{
	return p->ino;
}

struct store_staged *pending_staged(const struct pending *p)
{
	return p->sg;
}

struct limit_hold *pending_bytes(struct pending *p)
{
	return &p->bytes;
}

uint64_t pending_count(const struct pending_table *t)
{
	return atomic_load(&t->count);
}

struct pending *pending_ref(struct pending *p)
{
	if (p)
		atomic_fetch_add(&p->refs, 1);
	return p;
}

/* Under the lock, which is given up meanwhile. False: not in the table any more. */
static bool settle(struct pending *p)
{
	pending_wait_closing(p);
	return p->listed;
}

void pending_where(struct pending *p, uint64_t *ret_branch,
		   char ret_name[STORE_NAME_MAX + 1])
{
	pthread_mutex_lock(&p->table->lock);
	*ret_branch = p->branch;
	strcpy(ret_name, p->name);
	pthread_mutex_unlock(&p->table->lock);
}

bool pending_is_open(struct pending *p)
{
	bool open;

	pthread_mutex_lock(&p->table->lock);
	open = settle(p);
	pthread_mutex_unlock(&p->table->lock);
	return open;
}

static struct pending *find_ino(struct pending_table *t, uint64_t ino)
{
	for (struct hlink *l = htab_first(&t->by_ino, hash_u64(ino)); l;
	     l = htab_next(l)) {
		struct pending *p = CONTAINER_OF(l, struct pending, by_ino);

		if (p->ino == ino)
			return p;
	}
	return NULL;
}

struct pending *pending_by_ino(struct pending_table *t, uint64_t ino)
{
	struct pending *p, *gone = NULL;

	if (!atomic_load(&t->count))
		return NULL;
	pthread_mutex_lock(&t->lock);
	p = pending_ref(find_ino(t, ino));
	if (p && !settle(p)) {
		gone = p;
		p = NULL;
	}
	pthread_mutex_unlock(&t->lock);
	pending_unref(gone);
	return p;
}

static bool is_owner(const struct pending *p, pid_t tid, uid_t uid)
{
	if (p->claim_before_ns)
		return p->tid == tid && p->uid == uid;
	if (!p->tid || !tid)
		return false;
	return p->tid == tid || p->tgid == tid || process_has(p->tgid, tid);
}

/* Is `a` rather meant than `b`? What was begun for this thread; else the newest. */
static bool is_better(const struct pending *a, const struct pending *b)
{
	if (!b || !a->claim_before_ns != !b->claim_before_ns)
		return !b || a->claim_before_ns;
	return a->ino > b->ino;
}

struct pending *pending_by_owner(struct pending_table *t, uint64_t branch,
				 const char *name, pid_t tid, uid_t uid)
{
	struct pending *best = NULL;

	if (!atomic_load(&t->count))
		return NULL;
	pthread_mutex_lock(&t->lock);
	for (struct pending *p = pending_first_named(t, branch, name); p;
	     p = pending_next_named(p))
		if (is_better(p, best) && is_owner(p, tid, uid))
			best = p;
	pending_ref(best);
	pthread_mutex_unlock(&t->lock);
	return best;
}

bool pending_busy(struct pending_table *t, uint64_t branch, const char *name)
{
	bool busy;

	if (!atomic_load(&t->count))
		return false;
	pthread_mutex_lock(&t->lock);
	busy = pending_first_named(t, branch, name);
	pthread_mutex_unlock(&t->lock);
	return busy;
}

static bool is_flushed(const struct pending *p)
{
	return p->flushed && !p->closing && p->writers > p->releasing;
}

bool pending_flushed(struct pending_table *t, uint64_t branch, const char *name,
		     uint64_t *ret_ino)
{
	struct pending *p;

	if (!atomic_load(&t->count))
		return false;
	pthread_mutex_lock(&t->lock);
	p = name ? pending_first_named(t, branch, name)
		 : pending_first_in_branch(t, branch);
	while (p && !is_flushed(p))
		p = name ? pending_next_named(p) : pending_next_in_branch(p);
	if (p)
		*ret_ino = p->ino;
	pthread_mutex_unlock(&t->lock);
	return p;
}

int pending_attr(struct pending_table *t, uint64_t branch, const char *name,
		 struct store_attr *ret_attr)
{
	struct pending *newest = NULL;

	if (!atomic_load(&t->count))
		return -ENOENT;
	pthread_mutex_lock(&t->lock);
	for (struct pending *p = pending_first_named(t, branch, name); p;
	     p = pending_next_named(p))
		if (!newest || p->ino > newest->ino)
			newest = p;
	pending_ref(newest);
	pthread_mutex_unlock(&t->lock);
	if (!newest)
		return -ENOENT;
	store_staged_attr(newest->sg, ret_attr);
	pending_unref(newest);
	return 0;
}

bool pending_branch_busy(struct pending_table *t, uint64_t branch)
{
	bool busy;

	if (!atomic_load(&t->count))
		return false;
	pthread_mutex_lock(&t->lock);
	busy = pending_first_in_branch(t, branch);
	pthread_mutex_unlock(&t->lock);
	return busy;
}

/* ---- names ---- */

static void detach(struct pending_table *t, struct pending *p)
{
	if (p->listed && !p->detached)
		unlist_name(t, p);
	p->detached = true;
	pending_keep(p);
}

/* It has left the name it had. */
static void left(struct pending_table *t, uint64_t branch, const char *name)
{
	if (t->events.settled)
		t->events.settled(t->events.arg, branch, name);
}

int pending_detach(struct pending *p)
{
	struct pending_table *t = p->table;
	bool open;

	pthread_mutex_lock(&t->lock);
	open = settle(p);
	if (open)
		detach(t, p);
	pthread_mutex_unlock(&t->lock);
	if (!open)
		return -ESTALE;
	hold_end(p, false);
	left(t, p->branch, p->name); /* what has no name is not renamed */
	return 0;
}

void pending_abandon(struct pending *p)
{
	pthread_mutex_lock(&p->table->lock);
	if (p->writers == 1)
		detach(p->table, p);
	pthread_mutex_unlock(&p->table->lock);
}

/* Under the lock. False: it is not being written any more. */
static bool rename_listed(struct pending *p, uint64_t branch, const char *name)
{
	if (!settle(p))
		return false;
	if (p->detached)
		return true;
	unlist_name(p->table, p);
	p->branch = branch;
	snprintf(p->name, sizeof(p->name), "%s", name);
	/* Without memory it loses its name, which drops it at close. */
	p->detached = list_name(p->table, p) != 0;
	pending_keep(p);
	return true;
}

int pending_rename(struct pending *p, uint64_t branch, const char *name)
{
	struct pending_table *t = p->table;
	char former[STORE_NAME_MAX + 1];
	uint64_t former_branch;
	bool open;

	pthread_mutex_lock(&t->lock);
	former_branch = p->branch;
	strcpy(former, p->name);
	open = rename_listed(p, branch, name);
	pthread_mutex_unlock(&t->lock);
	if (!open)
		return -ESTALE;
	hold_move(p, branch, name);
	left(t, former_branch, former);
	return 0;
}

/* ---- open and close ---- */

static int check_open(const struct pending *p, bool writer)
{
	if (!p->listed || p->closing)
		return -ESTALE;
	if (p->claim_before_ns)
		return writer ? 0 : -ESTALE;
	return p->tid ? 0 : -ESTALE;
}

int pending_open(struct pending *p, bool writer)
{
	int r;

	pthread_mutex_lock(&p->table->lock);
	r = check_open(p, writer);
	if (!r && writer) {
		p->claim_before_ns = 0;
		p->writers++;
	}
	pthread_mutex_unlock(&p->table->lock);
	return r;
}

/* ---- for listings ---- */

static void describe(const struct pending *p, struct pending_info *ret_info)
{
	*ret_info = (struct pending_info){.branch = p->branch,
					  .since_ns = p->since_ns,
					  .pid = p->tgid,
					  .uid = p->uid,
					  .lingers = p->lingers};
	strcpy(ret_info->name, p->name);
	strcpy(ret_info->comm, p->comm);
}

/* References to all in the branch, and what is known under the lock. */
struct snapshot {
	struct pending **values;
	struct pending_info *infos;
	size_t count;
};

/* Under the lock. */
static int snapshot_init(struct snapshot *s, size_t max)
{
	s->values = calloc(max + 1, sizeof(struct pending *));
	s->infos = calloc(max + 1, sizeof(struct pending_info));
	return s->values && s->infos ? 0 : -ENOMEM;
}

static void snapshot_add(struct snapshot *s, struct pending *p)
{
	describe(p, &s->infos[s->count]);
	s->values[s->count++] = pending_ref(p);
}

static int take_snapshot(struct pending_table *t, uint64_t branch, struct snapshot *ret_s)
{
	struct pending *p;
	int r = snapshot_init(ret_s, t->by_branch.count);

	if (r)
		return r;
	for (p = pending_first_in_branch(t, branch); p; p = pending_next_in_branch(p))
		snapshot_add(ret_s, p);
	return 0;
}

static int take_some(struct pending_table *t, size_t max, struct snapshot *ret_s)
{
	size_t count = t->by_branch.count < max ? t->by_branch.count : max;
	int r = snapshot_init(ret_s, count);

	if (r)
		return r;
	for (struct hwalk w = htab_walk(&t->by_branch); w.link && ret_s->count < count;
	     hwalk_next(&w))
		snapshot_add(ret_s, CONTAINER_OF(w.link, struct pending, by_branch));
	return 0;
}

/* Takes over what `s` has. `r`: as it was taken. */
static int each_in(struct snapshot *s, int r,
		   int (*each)(void *arg, const struct pending_info *info), void *arg)
{
	struct store_attr attr;

	for (size_t i = 0; i < s->count; i++) {
		store_staged_attr(s->values[i]->sg, &attr);
		s->infos[i].size_bytes = attr.size_bytes;
		if (!r)
			r = each(arg, &s->infos[i]);
		pending_unref(s->values[i]);
	}
	free(s->values);
	free(s->infos);
	return r;
}

int pending_list(struct pending_table *t, uint64_t branch,
		 int (*each)(void *arg, const struct pending_info *info), void *arg)
{
	struct snapshot s = {0};
	int r;

	pthread_mutex_lock(&t->lock);
	r = take_snapshot(t, branch, &s);
	pthread_mutex_unlock(&t->lock);
	return each_in(&s, r, each, arg);
}

int pending_list_all(struct pending_table *t, size_t max,
		     int (*each)(void *arg, const struct pending_info *info), void *arg)
{
	struct snapshot s = {0};
	int r;

	pthread_mutex_lock(&t->lock);
	r = take_some(t, max, &s);
	pthread_mutex_unlock(&t->lock);
	return each_in(&s, r, each, arg);
}
