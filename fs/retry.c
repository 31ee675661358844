/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/retry.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "store/util/htab.h"

#define KEEP_NS (2 * NSEC_PER_SEC)

struct note {
	struct retry retry;
	struct retry_key key;
	int64_t drop_at_ns; /* monotonic */
	struct hlink link;
	struct note *next_late; /* of those that are being dropped */
};

struct retry_table {
	pthread_mutex_t lock;
	struct htab notes;	/* under lock */
	_Atomic uint64_t count; /* of notes; read without the lock */
};

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
	if (n)
		retry_unpin(&n->retry);
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

	for (size_t i = 0; i < t->notes.bucket_count; i++) {
		struct hlink *l = t->notes.buckets[i];

		while (l) {
			struct note *n = CONTAINER_OF(l, struct note, link);

			l = l->next;
			if (n->drop_at_ns >= now_ns)
				continue;
			remove_note(t, n);
			n->next_late = late;
			late = n;
		}
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

void retry_table_free(struct retry_table *t)
{
	if (!t)
		return;
	for (size_t i = 0; i < t->notes.bucket_count; i++) {
		while (t->notes.buckets[i]) {
			struct note *n =
			    CONTAINER_OF(t->notes.buckets[i], struct note, link);

			htab_remove(&t->notes, &n->link);
			note_free(n);
		}
	}
	htab_deinit(&t->notes);
	pthread_mutex_destroy(&t->lock);
	free(t);
}
