/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table is chunks of places, which are never freed. A place is free, in the list of
 * its shard, or has a handle. Shards are there so that opens on several CPUs seldom
 * meet; each chunk belongs to one, by its number. The number of its use grows when a
 * place becomes free.
 */
#include "fs/handle.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "fs/listing.h"
#include "store/util/log.h"

enum { SHARDS = 16, CHUNK_PLACES = 1024, CHUNKS_MAX = 16384 };

struct chunk {
	_Atomic(struct handle *) handles[CHUNK_PLACES]; /* read without the lock */
	uint32_t uses[CHUNK_PLACES];			/* under the shard's lock */
	uint32_t nexts[CHUNK_PLACES];			/* of a free place; likewise */
};

struct shard {
	pthread_mutex_t lock;
	uint32_t free;	     /* a place + 1, or 0; under lock */
	uint32_t next_chunk; /* that may not be there yet; under lock */
	uint64_t count;	     /* of handles; under lock */
};

struct handle_list {
	struct shard shards[SHARDS];
	_Atomic(struct chunk *) chunks[CHUNKS_MAX];
	_Atomic uint64_t text_bytes; /* of all handles */
	_Atomic unsigned int threads;
	struct keep *keep;
	atomic_bool said_full;
	struct buf opened; /* struct opened, sorted; fixed by handle_resume_end() */
	uint32_t first_use;
	int resume_error;
	struct handle lost; /* what stands for all that are not there */
};

#define SHORT_TEXT_BYTES (UINT64_C(16) << 10)
#define TEXTS_MAX_BYTES (UINT64_C(32) << 20)

int handle_list_new(struct handle_list **ret_list)
{
	struct handle_list *list = calloc(1, sizeof(*list));

	if (!list)
		return -ENOMEM;
	for (uint32_t i = 0; i < SHARDS; i++) {
		pthread_mutex_init(&list->shards[i].lock, NULL);
		list->shards[i].next_chunk = i;
	}
	list->lost.kind = HANDLE_LOST;
	/* The kernel may have numbers of a daemon before this one that could not be
	 * kept; they are not to become another's. */
	if (getrandom(&list->first_use, sizeof(list->first_use), GRND_NONBLOCK) < 0 ||
	    !list->first_use)
		list->first_use = 1;
	*ret_list = list;
	return 0;
}

/* ---- places ---- */

static uint32_t place_of(uint64_t fh)
{
	return (uint32_t)fh;
}

static struct shard *shard_of(struct handle_list *list, uint32_t place)
{
	return &list->shards[place / CHUNK_PLACES % SHARDS];
}

static struct chunk *chunk_of(struct handle_list *list, uint32_t place)
{
	uint32_t i = place / CHUNK_PLACES;

	return i < CHUNKS_MAX
		   ? atomic_load_explicit(&list->chunks[i], memory_order_acquire)
		   : NULL;
}

/* Under the shard's lock, or alone. */
static struct chunk *make_chunk(struct handle_list *list, uint32_t i)
{
	struct chunk *c = calloc(1, sizeof(*c));

	for (uint32_t j = 0; c && j < CHUNK_PLACES; j++)
		c->uses[j] = list->first_use;
	if (c)
		atomic_store_explicit(&list->chunks[i], c, memory_order_release);
	return c;
}

/* Under the shard's lock: what is free in the chunk is in the list. */
static void offer_chunk(struct handle_list *list, uint32_t i)
{
	struct shard *s = &list->shards[i % SHARDS];
	struct chunk *c = chunk_of(list, i * CHUNK_PLACES);

	for (uint32_t j = CHUNK_PLACES; j-- > 0;) {
		if (atomic_load(&c->handles[j]))
			continue;
		c->nexts[j] = s->free;
		s->free = i * CHUNK_PLACES + j + 1;
	}
}

/* Under the lock: -ENFILE, -ENOMEM. */
static int grow(struct handle_list *list, struct shard *s)
{
	while (s->next_chunk < CHUNKS_MAX && chunk_of(list, s->next_chunk * CHUNK_PLACES))
		s->next_chunk += SHARDS;
	if (s->next_chunk >= CHUNKS_MAX)
		return -ENFILE;
	if (!make_chunk(list, s->next_chunk))
		return -ENOMEM;
	offer_chunk(list, s->next_chunk);
	return 0;
}

/* Under the lock; there is a free place. */
static void take_place(struct handle_list *list, struct shard *s, struct handle *h)
{
	uint32_t place = s->free - 1, j = place % CHUNK_PLACES;
	struct chunk *c = chunk_of(list, place);

	s->free = c->nexts[j];
	s->count++;
	h->fh = (uint64_t)c->uses[j] << 32 | place;
	atomic_store_explicit(&c->handles[j], h, memory_order_release);
}

static void give_place_back(struct handle_list *list, const struct handle *h)
{
	uint32_t place = place_of(h->fh), j = place % CHUNK_PLACES;
	struct shard *s = shard_of(list, place);
	struct chunk *c = chunk_of(list, place);

	pthread_mutex_lock(&s->lock);
	atomic_store_explicit(&c->handles[j], NULL, memory_order_relaxed);
	c->uses[j] = c->uses[j] + 1 ? c->uses[j] + 1 : 1;
	c->nexts[j] = s->free;
	s->free = place + 1;
	s->count--;
	pthread_mutex_unlock(&s->lock);
}

/* The same one for a thread, always. */
static struct shard *my_shard(struct handle_list *list)
{
	static __thread unsigned int mine;

	if (!mine)
		mine = atomic_fetch_add(&list->threads, 1) % SHARDS + 1;
	return &list->shards[mine - 1];
}

/* ---- the calls ---- */

struct handle *handle_new(struct handle_list *list, enum handle_kind kind)
{
	struct handle *h = calloc(1, sizeof(*h));
	struct shard *s = my_shard(list);
	int r = 0;

	if (!h)
		return NULL;
	h->kind = kind;
	pthread_mutex_lock(&s->lock);
	if (!s->free)
		r = grow(list, s);
	if (!r)
		take_place(list, s, h);
	pthread_mutex_unlock(&s->lock);
	if (!r)
		return h;
	free(h);
	return NULL;
}

struct handle *handle_get(struct handle_list *list, uint64_t fh)
{
	struct chunk *c = chunk_of(list, place_of(fh));
	struct handle *h = NULL;

	if (c)
		h = atomic_load_explicit(&c->handles[place_of(fh) % CHUNK_PLACES],
					 memory_order_acquire);
	return h && h->fh == fh ? h : &list->lost;
}

int handle_count_text(struct handle_list *list, struct handle *h)
{
	uint64_t before;

	if (h->text.len <= SHORT_TEXT_BYTES)
		return 0;
	h->counted = h->text.len;
	before = atomic_fetch_add(&list->text_bytes, h->counted);
	return before + h->counted > TEXTS_MAX_BYTES ? -ENFILE : 0;
}

/* What it owns, but not what is kept of it. */
static void destroy(struct handle_list *list, struct handle *h)
{
	give_place_back(list, h);
	if (h->counted)
		atomic_fetch_sub(&list->text_bytes, h->counted);
	store_gen_close(h->gen);
	pending_unref(h->pending);
	buf_deinit(&h->text);
	listing_free(h->listing);
	limit_give(&h->hold);
	free(h);
}

void handle_free(struct handle_list *list, struct handle *h)
{
	if (!h || h == &list->lost)
		return;
	keep_free(h->page);
	keep_free(h->kept);
	destroy(list, h);
}

uint64_t handle_count(struct handle_list *list)
{
	uint64_t count = 0;

	for (int i = 0; i < SHARDS; i++) {
		pthread_mutex_lock(&list->shards[i].lock);
		count += list->shards[i].count;
		pthread_mutex_unlock(&list->shards[i].lock);
	}
	return count;
}

void handle_each(struct handle_list *list, void (*each)(void *arg, struct handle *h),
		 void *arg)
{
	for (uint32_t i = 0; i < CHUNKS_MAX; i++) {
		struct chunk *c = chunk_of(list, i * CHUNK_PLACES);

		for (uint32_t j = 0; c && j < CHUNK_PLACES; j++) {
			struct handle *h = atomic_load(&c->handles[j]);

			if (h)
				each(arg, h);
		}
	}
}

static void destroy_each(void *arg, struct handle *h)
{
	destroy(arg, h);
}

void handle_list_free(struct handle_list *list)
{
	if (!list)
		return;
	handle_each(list, destroy_each, list);
	for (int i = 0; i < SHARDS; i++)
		pthread_mutex_destroy(&list->shards[i].lock);
	for (int i = 0; i < CHUNKS_MAX; i++)
		free(atomic_load(&list->chunks[i]));
	buf_deinit(&list->opened);
	free(list);
}

/* ---- kept ---- */

/* The beginning of the one record of a KEEP_HANDLE; `extra` follows. */
struct record {
	uint64_t nodeid, ino, ns_ino, unique;
	uint32_t kind, told;
	uint32_t writer;
	int32_t backing_id;
};

void handle_list_keep(struct handle_list *list, struct keep *k)
{
	list->keep = k;
}

static void say_full(struct handle_list *list, int r)
{
	atomic_store(&keep_pulse(list->keep)->unkept, 1);
	if (!atomic_exchange(&list->said_full, true))
		log_warning("an open file cannot be kept for a daemon that goes on for "
			    "this one, and would read EIO then: %s",
			    strerror(-r));
}

void handle_keep(struct handle_list *list, struct handle *h, struct slice extra)
{
	struct record rec = {
	    .nodeid = h->nodeid,
	    .ino = h->ino,
	    .ns_ino = h->ns_ino,
	    .unique = h->unique,
	    .kind = h->kind,
	    .told = h->told,
	    .writer = h->writer,
	    .backing_id = h->backing_id,
	};
	struct slice pieces[] = {slice(&rec, sizeof(rec)), extra};
	int r = 0;

	if (!list->keep)
		return;
	if (!h->kept)
		r = keep_new(list->keep, KEEP_HANDLE, h->fh, &h->kept);
	if (!r)
		r = keep_replace(h->kept, pieces, 2);
	if (!r)
		return;
	keep_free(h->kept);
	h->kept = NULL;
	say_full(list, r);
}

/* -ENODATA: the daemon died before it had a record, and nobody knows of it. */
static int decode(struct kept *o, struct record *ret_rec, struct slice *ret_extra)
{
	struct slice record;
	int r = keep_record(o, &record);

	if (r)
		return r;
	if (record.len < sizeof(*ret_rec))
		return -EUCLEAN;
	memcpy(ret_rec, record.data, sizeof(*ret_rec));
	if (ret_rec->kind < HANDLE_GEN || ret_rec->kind > HANDLE_LOST)
		return -EUCLEAN;
	*ret_extra = slice((const uint8_t *)record.data + sizeof(*ret_rec),
			   record.len - sizeof(*ret_rec));
	return 0;
}

int handle_kept_ino(struct kept *o, enum handle_kind *ret_kind, uint64_t *ret_ino,
		    uint64_t *ret_nodeid)
{
	struct record rec;
	struct slice extra;
	int r = decode(o, &rec, &extra);

	if (r)
		return r;
	*ret_kind = rec.kind;
	*ret_ino = rec.ino;
	*ret_nodeid = rec.nodeid;
	return 0;
}

/* Nobody else is there. -EUCLEAN: two have the number, or it is none. */
static int put_at(struct handle_list *list, struct handle *h)
{
	uint32_t place = place_of(h->fh), j = place % CHUNK_PLACES;
	struct chunk *c = chunk_of(list, place);

	if (place / CHUNK_PLACES >= CHUNKS_MAX || !(h->fh >> 32))
		return -EUCLEAN;
	if (!c)
		c = make_chunk(list, place / CHUNK_PLACES);
	if (!c)
		return -ENOMEM;
	if (atomic_load(&c->handles[j]))
		return -EUCLEAN;
	c->uses[j] = (uint32_t)(h->fh >> 32);
	shard_of(list, place)->count++;
	atomic_store(&c->handles[j], h);
	return 0;
}

int handle_resume(struct handle_list *list, struct kept *o, struct handle **ret_h,
		  struct slice *ret_extra)
{
	struct handle *h = calloc(1, sizeof(*h));
	struct record rec;
	int r = h ? decode(o, &rec, ret_extra) : -ENOMEM;

	if (r) {
		free(h);
		return r;
	}
	*h = (struct handle){
	    .kind = rec.kind,
	    .writer = rec.writer,
	    .fh = keep_id(o),
	    .ns_ino = rec.ns_ino,
	    .told = rec.told,
	    .nodeid = rec.nodeid,
	    .ino = rec.ino,
	    .unique = rec.unique,
	    .backing_id = rec.backing_id,
	    .kept = o,
	};
	r = put_at(list, h);
	if (r)
		free(h);
	else
		*ret_h = h;
	return r;
}

/* By which request each was opened that was there when this process began. */
struct opened {
	uint64_t unique, fh;
};

static int compare_opened(const void *a, const void *b)
{
	const struct opened *oa = a, *ob = b;

	return oa->unique < ob->unique ? -1 : oa->unique > ob->unique;
}

static void add_opened(void *arg, struct handle *h)
{
	struct opened o = {h->unique, h->fh};
	struct handle_list *list = arg;

	if (h->unique && !list->resume_error)
		list->resume_error = buf_append(&list->opened, &o, sizeof(o));
}

int handle_resume_end(struct handle_list *list)
{
	for (uint32_t i = 0; i < CHUNKS_MAX; i++)
		if (chunk_of(list, i * CHUNK_PLACES))
			offer_chunk(list, i);
	handle_each(list, add_opened, list);
	if (list->opened.len)
		qsort(list->opened.data, list->opened.len / sizeof(struct opened),
		      sizeof(struct opened), compare_opened);
	return list->resume_error;
}

bool handle_some_unkept(const struct handle_list *list)
{
	return list->keep && atomic_load(&keep_pulse(list->keep)->unkept);
}

/* A counter of its object. */
enum { COUNTER_RELEASING };

void handle_releasing(struct handle *h)
{
	if (h->kept)
		atomic_store(keep_counter(h->kept, COUNTER_RELEASING), 1);
}

bool handle_was_releasing(const struct handle *h)
{
	return h->kept && atomic_load(keep_counter(h->kept, COUNTER_RELEASING));
}

struct handle *handle_by_unique(struct handle_list *list, uint64_t unique)
{
	struct opened key = {.unique = unique}, *found = NULL;
	struct handle *h;

	if (list->opened.len)
		found = bsearch(&key, list->opened.data, list->opened.len / sizeof(key),
				sizeof(key), compare_opened);
	h = found ? handle_get(list, found->fh) : NULL;
	return h && h->unique == unique ? h : NULL;
}
