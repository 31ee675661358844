/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/pending.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "store/util/htab.h"
#include "store/util/log.h"

/* From the LOOKUP that made a private inode to the OPEN that follows. */
#define CLAIM_WITHIN_NS (5 * NSEC_PER_SEC)

struct pending {
	struct pending_table *table;
	struct store_staged *sg;
	uint64_t ino;
	pid_t tid, tgid;
	uid_t uid; /* who asked for it */
	_Atomic unsigned int refs;

	/* All below: under the table's lock. */
	uint64_t branch;
	char name[STORE_NAME_MAX + 1];
	bool listed;   /* in the table */
	bool detached; /* has no name: will be dropped */
	bool closing;  /* the last writer has gone: being published or dropped */
	unsigned int writers;
	unsigned int releasing;	 /* noted and not handled */
	int64_t claim_before_ns; /* monotonic; 0: it has been opened */
	struct hlink by_ino, by_name, by_branch;
	struct pending *next_late; /* of those that are being dropped */
};

struct pending_table {
	struct store *store;
	pthread_mutex_t lock;
	pthread_cond_t released;
	struct htab by_ino, by_name, by_branch; /* under lock */
	_Atomic uint64_t count;			/* of by_ino; read without the lock */
	_Atomic uint64_t releasing;		/* sum over all; written under lock */
};

static uint64_t name_hash(uint64_t branch, const char *name)
{
	return hash_bytes(name, strlen(name), branch);
}

int pending_table_new(struct store *st, struct pending_table **ret_table)
{
	struct pending_table *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->store = st;
	pthread_mutex_init(&t->lock, NULL);
	pthread_cond_init(&t->released, NULL);
	*ret_table = t;
	return 0;
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

static void unlist(struct pending_table *t, struct pending *p)
{
	if (!p->listed)
		return;
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

static struct pending *first_named(struct pending_table *t, uint64_t branch,
				   const char *name)
{
	return next_named(htab_first(&t->by_name, name_hash(branch, name)), branch, name);
}

/* ---- life ---- */

static void pending_free(struct pending *p)
{
	store_staged_free(p->sg);
	free(p);
}

void pending_unref(struct pending *p)
{
	if (p && atomic_fetch_sub(&p->refs, 1) == 1)
		pending_free(p);
}

/* ---- threads and processes ---- */

/* Is this thread of that process? Costs one system call and no permission. */
static bool in_process(pid_t tid, pid_t tgid)
{
	return syscall(SYS_tgkill, tgid, tid, 0) == 0 || errno != ESRCH;
}

/* A text of /proc/TID, cut to `size`. Empty when the thread is gone. */
static void read_proc(pid_t tid, const char *file, char *ret_text, size_t size)
{
	char path[48];
	ssize_t n = -1;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)tid, file);
	fd = tid ? open(path, O_RDONLY | O_CLOEXEC) : -1;
	if (fd >= 0) {
		n = read(fd, ret_text, size - 1);
		close(fd);
	}
	ret_text[n > 0 ? n : 0] = '\0';
}

static void read_comm(pid_t tid, char *comm, size_t size)
{
	read_proc(tid, "comm", comm, size);
	comm[strcspn(comm, "\n")] = '\0';
}

/* To be asked while the thread is alive: it may end before its process does. */
static pid_t tgid_of(pid_t tid)
{
	char text[512];
	const char *line;
	int tgid;

	if (!tid || in_process(tid, tid))
		return tid;
	read_proc(tid, "status", text, sizeof(text));
	line = strstr(text, "\nTgid:");
	return line && sscanf(line, "\nTgid: %d", &tgid) == 1 ? tgid : tid;
}

/* ---- beginning ---- */

static int stage(struct pending_table *t, const struct pending_args *args,
		 struct store_staged **ret_sg)
{
	struct store_stage_args sa = {
	    .branch = args->branch,
	    .base_ino = args->base_ino,
	    .truncate = args->truncate,
	    .mode = S_IFREG | (args->mode & 07777),
	    .writer = {.uid = args->uid, .gid = args->gid, .pid = args->tid},
	};

	read_comm(args->tid, sa.writer.comm, sizeof(sa.writer.comm));
	return store_stage(t->store, &sa, ret_sg);
}

int pending_new(struct pending_table *t, const struct pending_args *args,
		struct pending **ret_p)
{
	struct pending *p;
	int r;

	if (strlen(args->name) > STORE_NAME_MAX)
		return -ENAMETOOLONG;
	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	r = stage(t, args, &p->sg);
	if (r) {
		free(p);
		return r;
	}
	p->table = t;
	p->ino = store_staged_ino(p->sg);
	p->tid = args->tid;
	p->tgid = tgid_of(args->tid);
	p->uid = args->uid;
	p->refs = 2; /* the table's and the caller's */
	p->branch = args->branch;
	strcpy(p->name, args->name);
	p->claim_before_ns = time_monotonic_ns() + CLAIM_WITHIN_NS;

	pthread_mutex_lock(&t->lock);
	if (args->exclusive && first_named(t, p->branch, p->name))
		r = -EEXIST;
	else
		r = list(t, p);
	pthread_mutex_unlock(&t->lock);
	if (r)
		pending_free(p);
	else
		*ret_p = p;
	return r;
}

/* Out of the table, so that nobody finds it any more. */
static void drop(struct pending_table *t, struct pending *p)
{
	bool was;

	pthread_mutex_lock(&t->lock);
	was = p->listed;
	unlist(t, p);
	pthread_mutex_unlock(&t->lock);
	if (was)
		pending_unref(p);
}

void pending_drop(struct pending *p)
{
	drop(p->table, p);
	pending_unref(p);
}

void pending_table_free(struct pending_table *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->by_ino.bucket_count; i++)
		while (t->by_ino.buckets[i])
			drop(t,
			     CONTAINER_OF(t->by_ino.buckets[i], struct pending, by_ino));
	htab_deinit(&t->by_ino);
	htab_deinit(&t->by_name);
	htab_deinit(&t->by_branch);
	pthread_cond_destroy(&t->released);
	pthread_mutex_destroy(&t->lock);
	free(t);
}

/* Under the lock: unlist what is late; the chain has the table's references. */
static struct pending *unlist_late(struct pending_table *t, int64_t now_ns)
{
	struct pending *late = NULL;

	for (size_t i = 0; i < t->by_ino.bucket_count; i++) {
		struct hlink *l = t->by_ino.buckets[i];

		while (l) {
			struct pending *p = CONTAINER_OF(l, struct pending, by_ino);

			l = l->next;
			if (!p->claim_before_ns || p->claim_before_ns >= now_ns)
				continue;
			unlist(t, p);
			p->next_late = late;
			late = p;
		}
	}
	return late;
}

void pending_reap(struct pending_table *t)
{
	struct pending *late;

	if (!atomic_load(&t->count))
		return;
	pthread_mutex_lock(&t->lock);
	late = unlist_late(t, time_monotonic_ns());
	pthread_mutex_unlock(&t->lock);
	while (late) {
		struct pending *next = late->next_late;

		pending_unref(late);
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

uint64_t pending_count(const struct pending_table *t)
{
	return atomic_load(&t->count);
}

static struct pending *ref(struct pending *p)
{
	if (p)
		atomic_fetch_add(&p->refs, 1);
	return p;
}

/* Under the lock, which is given up meanwhile. False: not in the table any more. */
static bool settle(struct pending *p)
{
	while (p->closing)
		pthread_cond_wait(&p->table->released, &p->table->lock);
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
	p = ref(find_ino(t, ino));
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
	return p->tid == tid || p->tgid == tid || in_process(tid, p->tgid);
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
	for (struct pending *p = first_named(t, branch, name); p;
	     p = next_named(htab_next(&p->by_name), branch, name))
		if (is_better(p, best) && is_owner(p, tid, uid))
			best = p;
	ref(best);
	pthread_mutex_unlock(&t->lock);
	return best;
}

bool pending_busy(struct pending_table *t, uint64_t branch, const char *name)
{
	bool busy;

	if (!atomic_load(&t->count))
		return false;
	pthread_mutex_lock(&t->lock);
	busy = first_named(t, branch, name);
	pthread_mutex_unlock(&t->lock);
	return busy;
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

static struct pending *first_in_branch(struct pending_table *t, uint64_t branch)
{
	return next_in_branch(htab_first(&t->by_branch, hash_u64(branch)), branch);
}

bool pending_branch_busy(struct pending_table *t, uint64_t branch)
{
	bool busy;

	if (!atomic_load(&t->count))
		return false;
	pthread_mutex_lock(&t->lock);
	busy = first_in_branch(t, branch);
	pthread_mutex_unlock(&t->lock);
	return busy;
}

/* ---- names ---- */

static void detach(struct pending_table *t, struct pending *p)
{
	if (p->listed && !p->detached)
		unlist_name(t, p);
	p->detached = true;
}

int pending_detach(struct pending *p)
{
	bool open;

	pthread_mutex_lock(&p->table->lock);
	open = settle(p);
	if (open)
		detach(p->table, p);
	pthread_mutex_unlock(&p->table->lock);
	return open ? 0 : -ESTALE;
}

void pending_abandon(struct pending *p)
{
	pthread_mutex_lock(&p->table->lock);
	if (p->writers == 1)
		detach(p->table, p);
	pthread_mutex_unlock(&p->table->lock);
}

int pending_rename(struct pending *p, uint64_t branch, const char *name)
{
	struct pending_table *t = p->table;
	bool open;

	pthread_mutex_lock(&t->lock);
	open = settle(p);
	if (open && !p->detached) {
		unlist_name(t, p);
		p->branch = branch;
		snprintf(p->name, sizeof(p->name), "%s", name);
		/* Without memory it loses its name, which drops it at close. */
		p->detached = list_name(t, p) != 0;
	}
	pthread_mutex_unlock(&t->lock);
	return open ? 0 : -ESTALE;
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

int pending_flush(struct pending *p)
{
	char name[STORE_NAME_MAX + 1];
	uint64_t branch;
	bool detached;

	pthread_mutex_lock(&p->table->lock);
	branch = p->branch;
	strcpy(name, p->name);
	detached = p->detached;
	pthread_mutex_unlock(&p->table->lock);
	return detached ? 0 : store_staged_flush(p->sg, branch, name);
}

void pending_note_release(struct pending *p)
{
	pthread_mutex_lock(&p->table->lock);
	p->releasing++;
	atomic_fetch_add(&p->table->releasing, 1);
	pthread_mutex_unlock(&p->table->lock);
}

/* The last writer has gone: publish under the name it has now. */
static int publish(struct pending *p, uint64_t branch, const char *name)
{
	int r = store_publish(p->sg, branch, name, false, NULL, NULL);

	if (r)
		log_warning("\"%s\" was not stored: %s", name, strerror(-r));
	return r;
}

int pending_release(struct pending *p, bool *ret_published, uint64_t *ret_branch,
		    char ret_name[STORE_NAME_MAX + 1])
{
	struct pending_table *t = p->table;
	bool last, detached;
	int r = 0;

	pthread_mutex_lock(&t->lock);
	last = --p->writers == 0 && p->listed;
	p->closing = last;
	detached = p->detached;
	*ret_branch = p->branch;
	strcpy(ret_name, p->name);
	pthread_mutex_unlock(&t->lock);

	if (last && !detached)
		r = publish(p, *ret_branch, ret_name);
	*ret_published = last && !detached && r == 0;

	pthread_mutex_lock(&t->lock);
	p->releasing--;
	atomic_fetch_sub(&t->releasing, 1);
	if (last)
		unlist(t, p);
	p->closing = false;
	pthread_cond_broadcast(&t->released);
	pthread_mutex_unlock(&t->lock);
	if (last)
		pending_unref(p); /* the table's reference */
	return r;
}

/* ---- the gate ---- */

bool pending_releasing(const struct pending_table *t)
{
	return atomic_load(&t->releasing) != 0;
}

static bool name_releasing(struct pending_table *t, uint64_t branch, const char *name)
{
	for (struct pending *p = first_named(t, branch, name); p;
	     p = next_named(htab_next(&p->by_name), branch, name))
		if (p->releasing)
			return true;
	return false;
}

void pending_wait(struct pending_table *t, uint64_t branch, const char *name, pid_t tid)
{
	if (!pending_releasing(t))
		return;
	pthread_mutex_lock(&t->lock);
	while (name_releasing(t, branch, name))
		pthread_cond_wait(&t->released, &t->lock);
	pthread_mutex_unlock(&t->lock);
}

static bool branch_releasing(struct pending_table *t, uint64_t branch)
{
	for (struct pending *p = first_in_branch(t, branch); p;
	     p = next_in_branch(htab_next(&p->by_branch), branch))
		if (p->releasing)
			return true;
	return false;
}

void pending_wait_branch(struct pending_table *t, uint64_t branch, pid_t tid)
{
	if (!pending_releasing(t))
		return;
	pthread_mutex_lock(&t->lock);
	while (branch_releasing(t, branch))
		pthread_cond_wait(&t->released, &t->lock);
	pthread_mutex_unlock(&t->lock);
}
