/* SPDX-License-Identifier: Apache-2.0 */
#include "store/verified.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "store/util/htab.h"

struct known {
	struct hlink link;
	struct known *newer, *older; /* by when they were asked for */
	struct verified_file file;   /* no blocks: nothing is known of it */
	int64_t forgotten_ns;	     /* what is not newer does not count */
	int64_t seen_ns;	     /* when all pages were there; 0: nobody has looked */
	uint64_t *bits;		     /* NULL: all */
};

struct verified {
	pthread_mutex_t lock;
	struct htab table;	       /* under lock */
	struct known *newest, *oldest; /* under lock */
	size_t bytes;		       /* under lock */
	int64_t forgotten_ns;	       /* under lock: of all that are not known */
};

struct verified *verified_new(void)
{
	struct verified *v = calloc(1, sizeof(*v));

	if (!v)
		return NULL;
	pthread_mutex_init(&v->lock, NULL);
	v->forgotten_ns = INT64_MIN;
	return v;
}

/* ---- the table; under the lock ---- */

static size_t words_of(uint64_t blocks)
{
	return (size_t)((blocks + 63) / 64);
}

static size_t bytes_of(const struct known *k)
{
	return sizeof(*k) + (k->bits ? words_of(k->file.blocks) * sizeof(uint64_t) : 0);
}

static struct known *find(struct verified *v, uint64_t ino)
{
	struct hlink *l = htab_first(&v->table, hash_u64(ino));

	for (; l; l = htab_next(l)) {
		struct known *k = CONTAINER_OF(l, struct known, link);

		if (k->file.ino == ino)
			return k;
	}
	return NULL;
}

static void take_out(struct verified *v, struct known *k)
{
	*(k->newer ? &k->newer->older : &v->newest) = k->older;
	*(k->older ? &k->older->newer : &v->oldest) = k->newer;
}

static void put_first(struct verified *v, struct known *k)
{
	k->newer = NULL;
	k->older = v->newest;
	*(v->newest ? &v->newest->newer : &v->oldest) = k;
	v->newest = k;
}

static int64_t later(int64_t a, int64_t b)
{
	return a > b ? a : b;
}

static void drop(struct verified *v, struct known *k)
{
	v->forgotten_ns = later(v->forgotten_ns, k->forgotten_ns);
	htab_remove(&v->table, &k->link);
	take_out(v, k);
	v->bytes -= bytes_of(k);
	free(k->bits);
	free(k);
}

static void use(struct verified *v, struct known *k)
{
	take_out(v, k);
	put_first(v, k);
}

/* What is over the bound goes, but not the newest. */
static void shrink(struct verified *v)
{
	while (v->bytes > VERIFIED_BYTES && v->oldest != v->newest)
		drop(v, v->oldest);
}

static bool same_time(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec == b->tv_sec && a->tv_nsec == b->tv_nsec;
}

/* It stays, for when it was forgotten. */
static void know_nothing(struct verified *v, struct known *k)
{
	v->bytes -= bytes_of(k);
	free(k->bits);
	k->bits = NULL;
	k->file.blocks = 0;
	k->file.since_ns = INT64_MAX;
	k->seen_ns = 0;
	v->bytes += bytes_of(k);
}

/* A new one, of which nothing is known. NULL: no memory. */
static struct known *make(struct verified *v, uint64_t ino)
{
	struct known *k = calloc(1, sizeof(*k));

	if (!k || htab_add(&v->table, &k->link, hash_u64(ino))) {
		free(k);
		return NULL;
	}
	k->file = (struct verified_file){.ino = ino, .since_ns = INT64_MAX};
	k->forgotten_ns = v->forgotten_ns;
	put_first(v, k);
	v->bytes += bytes_of(k);
	return k;
}

/* False: no memory. */
static bool know_none_of(struct verified *v, struct known *k,
			 const struct verified_file *file)
{
	know_nothing(v, k);
	k->bits = calloc(words_of(file->blocks), sizeof(*k->bits));
	if (!k->bits)
		return false;
	k->file = *file;
	v->bytes += words_of(file->blocks) * sizeof(*k->bits);
	return true;
}

/*
 * What is known of the file as it was then, perhaps nothing. NULL: what comes was found
 * out before it was forgotten; or there is no memory.
 */
static struct known *get(struct verified *v, const struct verified_file *file)
{
	struct known *k = find(v, file->ino);

	if (file->since_ns <= (k ? k->forgotten_ns : v->forgotten_ns))
		return NULL;
	if (!k)
		k = make(v, file->ino);
	if (!k)
		return NULL;
	use(v, k);
	if ((k->file.blocks != file->blocks ||
	     !same_time(&k->file.mtime, &file->mtime)) &&
	    !know_none_of(v, k, file))
		return NULL;
	if (k->file.since_ns > file->since_ns)
		k->file.since_ns = file->since_ns;
	return k;
}

static void know_all(struct verified *v, struct known *k)
{
	v->bytes -= bytes_of(k);
	free(k->bits);
	k->bits = NULL;
	v->bytes += bytes_of(k);
}

static bool has_all(const struct known *k)
{
	uint64_t rest = k->file.blocks % 64;
	size_t words = words_of(k->file.blocks);

	for (size_t i = 0; i < words; i++) {
		uint64_t want =
		    i + 1 == words && rest ? (UINT64_C(1) << rest) - 1 : UINT64_MAX;

		if ((k->bits[i] & want) != want)
			return false;
	}
	return true;
}

/* ---- the calls ---- */

void verified_add(struct verified *v, const struct verified_file *file, uint64_t first,
		  const uint64_t *bits, size_t count)
{
	struct known *k;

	pthread_mutex_lock(&v->lock);
	k = get(v, file);
	if (k && k->bits) {
		for (size_t i = 0; i < words_of(count); i++)
			k->bits[first / 64 + i] |= bits[i];
		if (has_all(k))
			know_all(v, k);
	}
	shrink(v);
	pthread_mutex_unlock(&v->lock);
}

void verified_add_all(struct verified *v, const struct verified_file *file)
{
	struct known *k;

	pthread_mutex_lock(&v->lock);
	k = get(v, file);
	if (k && k->bits)
		know_all(v, k);
	shrink(v);
	pthread_mutex_unlock(&v->lock);
}

bool verified_has_all(struct verified *v, uint64_t ino, const struct timespec *mtime)
{
	struct known *k;
	bool all;

	pthread_mutex_lock(&v->lock);
	k = find(v, ino);
	all = k && k->file.blocks && !k->bits && same_time(&k->file.mtime, mtime);
	if (k)
		use(v, k);
	pthread_mutex_unlock(&v->lock);
	return all;
}

bool verified_is_older(struct verified *v, uint64_t ino, int64_t than_ns)
{
	struct known *k;
	bool older;

	pthread_mutex_lock(&v->lock);
	k = find(v, ino);
	older = k && k->file.since_ns < than_ns;
	pthread_mutex_unlock(&v->lock);
	return older;
}

bool verified_seen(struct verified *v, uint64_t ino, int64_t since_ns)
{
	struct known *k;
	bool seen;

	pthread_mutex_lock(&v->lock);
	k = find(v, ino);
	seen = k && k->seen_ns && k->seen_ns > since_ns;
	pthread_mutex_unlock(&v->lock);
	return seen;
}

void verified_see(struct verified *v, uint64_t ino, int64_t now_ns)
{
	struct known *k;

	pthread_mutex_lock(&v->lock);
	k = find(v, ino);
	if (k && now_ns > k->forgotten_ns)
		k->seen_ns = now_ns;
	pthread_mutex_unlock(&v->lock);
}

void verified_forget(struct verified *v, uint64_t ino, int64_t now_ns)
{
	struct known *k;

	pthread_mutex_lock(&v->lock);
	k = find(v, ino);
	if (!k)
		k = make(v, ino);
	if (k) {
		use(v, k);
		know_nothing(v, k);
		k->forgotten_ns = later(k->forgotten_ns, now_ns);
		shrink(v);
	} else { /* no memory for the one, so it is that of all who have none */
		v->forgotten_ns = later(v->forgotten_ns, now_ns);
	}
	pthread_mutex_unlock(&v->lock);
}

void verified_free(struct verified *v)
{
	if (!v)
		return;
	while (v->oldest)
		drop(v, v->oldest);
	htab_deinit(&v->table);
	pthread_mutex_destroy(&v->lock);
	free(v);
}
