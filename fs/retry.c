/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/retry.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "fs/session.h"
#include "store/util/htab.h"

#define KEEP_NS (2 * NSEC_PER_SEC)

struct note {
	struct retry retry;
	struct retry_key key;
	int64_t drop_at_ns; /* monotonic */
	struct hlink link;
	struct note *next_late; /* of those that are being dropped */
	struct kept *kept;
};

/* What was taken stays kept until the request that took it has been answered. */
enum { TAKEN_SLOTS = 256 };

struct former;

struct retry_table {
	pthread_mutex_t lock;
	struct htab notes;			   /* under lock */
	_Atomic uint64_t count;			   /* of notes; read without the lock */
	struct keep *keep;			   /* set before the first request */
	_Atomic(struct kept *) taken[TAKEN_SLOTS]; /* by the request's number */
	struct former *formers; /* from retry_resume() to retry_sweep() */
};

/* ---- what is kept ---- */

/* The one record of an object KEEP_RETRY. Its counter is the request that took it, or 0.
 */
struct kept_note {
	struct retry_key key;
	uint64_t put_by; /* request */
	uint64_t ino, place, gen_ino;
	uint32_t kind;
	bool truncate, damaged, looked_up;
};

enum { COUNTER_TAKER };

/* Notes help; when there is no room to keep one, only a death now would be seen. */
static void note_keep(struct retry_table *t, struct note *n)
{
	const struct retry *r = &n->retry;
	struct kept_note k;
	struct slice record = slice(&k, sizeof(k));

	if (!t->keep)
		return;
	memset(&k, 0, sizeof(k));
	k.key = n->key;
	k.put_by = session_unique();
	k.ino = r->ino;
	k.place = r->place;
	k.gen_ino = r->gen ? r->gen_ino : 0;
	k.kind = r->kind;
	k.truncate = r->truncate;
	k.damaged = r->damaged;
	k.looked_up = r->looked_up;
	if (keep_new(t->keep, KEEP_RETRY, n->key.tid > 0 ? (uint64_t)n->key.tid : 0,
		     &n->kept) ||
	    keep_append(n->kept, &record, 1)) {
		keep_free(n->kept);
		n->kept = NULL;
	}
}

/* The request of this thread has taken it. Numbers of requests grow by two. */
static void kept_taken(struct retry_table *t, struct kept *o)
{
	uint64_t unique = session_unique();

	if (!o)
		return;
	atomic_store(keep_counter(o, COUNTER_TAKER), unique);
	keep_free(atomic_exchange(&t->taken[unique / 2 % TAKEN_SLOTS], o));
}

/* ---- the table ---- */

int retry_table_new(struct retry_table **ret_table)
{
	struct retry_table *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	pthread_mutex_init(&t->lock, NULL);
	*ret_table = t;
	return 0;
}

void retry_unpin(struct retry *note)
{
	store_gen_close(note->gen);
	store_dir_close(note->dir);
	note->gen = NULL;
	note->dir = NULL;
}

static void note_free(struct note *n)
{
	if (!n)
		return;
	retry_unpin(&n->retry);
	keep_free(n->kept);
	free(n);
}

uint64_t retry_place(uint64_t branch, const char *name)
{
	return hash_bytes(name, strlen(name), branch) | 1;
}

uint64_t retry_place_ino(uint64_t ino)
{
	return hash_u64(ino) | 1;
}

/* The place counts only where the thread is not known. */
static struct retry_key normal(const struct retry_key *key)
{
	return (struct retry_key){
	    .tid = key->tid,
	    .uid = key->uid,
	    .place = key->tid ? 0 : key->place,
	};
}

static uint64_t key_hash(const struct retry_key *key)
{
	return hash_u64(((uint64_t)key->uid << 32 | (uint32_t)key->tid) ^ key->place);
}

static bool same_key(const struct retry_key *a, const struct retry_key *b)
{
	return a->tid == b->tid && a->uid == b->uid && a->place == b->place;
}

/* Under the lock. */
static void remove_note(struct retry_table *t, struct note *n)
{
	htab_remove(&t->notes, &n->link);
	atomic_store(&t->count, t->notes.count);
}

/* Under the lock. `key` is normal. */
static struct note *find_note(struct retry_table *t, const struct retry_key *key)
{
	for (struct hlink *l = htab_first(&t->notes, key_hash(key)); l;
	     l = htab_next(l)) {
		struct note *n = CONTAINER_OF(l, struct note, link);

		if (same_key(&n->key, key))
			return n;
	}
	return NULL;
}

void retry_put(struct retry_table *t, const struct retry_key *key,
	       const struct retry *note)
{
	bool anybodys = !key->tid && !key->place && note->kind == RETRY_WRITE;
	struct note *n = anybodys ? NULL : calloc(1, sizeof(*n)), *old;

	if (!n) {
		struct retry lost = *note;

		retry_unpin(&lost);
		return;
	}
	n->retry = *note;
	n->key = normal(key);
	n->drop_at_ns = time_monotonic_ns() + KEEP_NS;
	note_keep(t, n);
	pthread_mutex_lock(&t->lock);
	old = find_note(t, &n->key);
	if (old)
		remove_note(t, old);
	if (htab_add(&t->notes, &n->link, key_hash(&n->key)) == 0) {
		atomic_store(&t->count, t->notes.count);
		n = NULL;
	}
	pthread_mutex_unlock(&t->lock);
	note_free(old);
	note_free(n);
}

bool retry_take(struct retry_table *t, const struct retry_key *key,
		struct retry *ret_note)
{
	struct retry_key want = normal(key);
	struct note *n, *taken = NULL;
	bool found;

	if (!atomic_load(&t->count))
		return false;
	pthread_mutex_lock(&t->lock);
	n = find_note(t, &want);
	found = n;
	if (n)
		*ret_note = n->retry;
	if (n && (want.tid || n->retry.kind != RETRY_WRITE)) {
		remove_note(t, n);
		taken = n;
	}
	pthread_mutex_unlock(&t->lock);
	if (taken)
		kept_taken(t, taken->kept);
	free(taken);
	return found;
}

void retry_drop(struct retry_table *t, const struct retry_key *key)
{
	struct retry_key which = normal(key);
	struct note *n;

	if (!atomic_load(&t->count))
		return;
	pthread_mutex_lock(&t->lock);
	n = find_note(t, &which);
	if (n)
		remove_note(t, n);
	pthread_mutex_unlock(&t->lock);
	note_free(n);
}

/* Under the lock: take what is late out; returns it as a chain. */
static struct note *unlink_late(struct retry_table *t, int64_t now_ns)
{
	struct note *late = NULL;

	for (struct hwalk w = htab_walk(&t->notes); w.link; hwalk_next(&w)) {
		struct note *n = CONTAINER_OF(w.link, struct note, link);

		if (n->drop_at_ns >= now_ns)
			continue;
		remove_note(t, n);
		n->next_late = late;
		late = n;
	}
	return late;
}

void retry_reap(struct retry_table *t)
{
	struct note *late;

	if (!atomic_load(&t->count))
		return;
	pthread_mutex_lock(&t->lock);
	late = unlink_late(t, time_monotonic_ns());
	pthread_mutex_unlock(&t->lock);
	while (late) {
		struct note *next = late->next_late;

		note_free(late);
		late = next;
	}
}

/* ---- resuming ---- */

/* What a process that died had noted. */
struct former {
	struct former *next;
	struct note *note;
	uint64_t put_by, taken_by;
	bool put_again, taken_again; /* these are sent again */
};

/* 1: it is; 0: the note was not finished. */
static int get_note(struct kept *o, struct kept_note *ret_k)
{
	struct slice record;

	if (keep_record(o, &record))
		return 0;
	if (record.len != sizeof(*ret_k))
		return -EUCLEAN;
	memcpy(ret_k, record.data, sizeof(*ret_k));
	return 1;
}

static int add_ino(void *arg, struct kept *o)
{
	struct kept_note k;
	int r = get_note(o, &k);

	if (r <= 0)
		return r;
	return k.gen_ino ? buf_append(arg, &k.gen_ino, sizeof(k.gen_ino)) : 0;
}

int retry_inos(struct keep *k, struct buf *ret_inos)
{
	return keep_each(k, KEEP_RETRY, add_ino, ret_inos);
}

struct resuming {
	struct retry_table *table;
	struct store *store;
};

/* What it pins may be gone for good; then the reader looks once more. */
static void note_fill(struct note *n, const struct kept_note *k, struct store *st)
{
	n->key = k->key;
	n->retry = (struct retry){
	    .kind = k->kind,
	    .ino = k->ino,
	    .truncate = k->truncate,
	    .damaged = k->damaged,
	    .place = k->place,
	    .looked_up = k->looked_up,
	    .gen_ino = k->gen_ino,
	};
	if (k->gen_ino && store_gen_reopen(st, k->gen_ino, &n->retry.gen))
		n->retry.gen = NULL;
}

static int resume_note(void *arg, struct kept *o)
{
	struct resuming *rs = arg;
	struct former *f;
	struct kept_note k;
	int r = get_note(o, &k);

	if (r <= 0) {
		keep_free(o);
		return r;
	}
	f = calloc(1, sizeof(*f));
	if (f)
		f->note = calloc(1, sizeof(*f->note));
	if (!f || !f->note) {
		free(f);
		return -ENOMEM;
	}
	note_fill(f->note, &k, rs->store);
	f->note->kept = o;
	f->put_by = k.put_by;
	f->taken_by = atomic_load(keep_counter(o, COUNTER_TAKER));
	f->next = rs->table->formers;
	rs->table->formers = f;
	return 0;
}

int retry_resume(struct retry_table *t, struct store *st, struct keep *k)
{
	struct resuming rs = {.table = t, .store = st};

	t->keep = k;
	return keep_each(k, KEEP_RETRY, resume_note, &rs);
}

void retry_expect(struct retry_table *t, uint64_t unique)
{
	for (struct former *f = t->formers; f; f = f->next) {
		if (unique == f->put_by)
			f->put_again = true;
		if (unique == f->taken_by)
			f->taken_again = true;
	}
}

/* Its record says who had it before; it is kept anew. */
static void put_former(struct retry_table *t, struct note *n)
{
	struct retry note = n->retry;

	n->retry.gen = NULL;
	retry_put(t, &n->key, &note);
	note_free(n);
}

void retry_sweep(struct retry_table *t)
{
	struct former *f;

	while ((f = t->formers)) {
		t->formers = f->next;
		if (!f->put_again && (!f->taken_by || f->taken_again))
			put_former(t, f->note);
		else
			note_free(f->note);
		free(f);
	}
}

void retry_table_free(struct retry_table *t)
{
	if (!t)
		return;
	for (struct hwalk w = htab_walk(&t->notes); w.link; hwalk_next(&w))
		note_free(CONTAINER_OF(w.link, struct note, link));
	htab_deinit(&t->notes);
	pthread_mutex_destroy(&t->lock);
	free(t);
}
