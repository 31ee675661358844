/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Objects and records, in blocks of store/util/keep_arena.h.
 *
 * An object is a head, in a slab of heads, and a chain of chunks. A chunk begins with
 * the unit of the next one; records follow, each its length plus one, then its bytes,
 * aligned to 8. A length of 0 ends the chunk, and so does its end.
 *
 * The process may die between any two stores, which the next one sees in this order. So
 * everything is written where nobody looks yet, and one store makes it count: of the
 * head's state, of a record's length, of the head's first chunk (keep_replace()).
 */
#include "store/util/keep.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "store/util/keep_arena.h"

#define HEAD_LIVE 0x6d656d6fu

struct kept {
	_Atomic uint32_t state; /* HEAD_LIVE, or 0 */
	uint32_t kind;
	uint64_t id;
	_Atomic uint64_t counters[KEEP_COUNTERS];
	_Atomic uint32_t first; /* chunk; 0: none */
	/* The rest is for the process that has it open; keep_open() makes it anew. */
	uint32_t tail; /* the last chunk, when there is a first one */
	uint32_t tail_used;
	uint32_t unused;
	uint64_t bytes;
	struct keep *keep;
};

_Static_assert(sizeof(struct kept) == ARENA_UNIT_BYTES, "a head is one unit");

struct keep {
	struct arena arena;
};

/* ---- chunks ---- */

enum {
	CHUNK_FIRST = 4, /* where its first record is */
	LENGTH_BYTES = 4,
	/* Chunks of one object double up to this, so that many records are few chunks. */
	CHUNK_DOUBLE_BYTES = 32 * 1024,
};

static _Atomic uint32_t *word(const struct keep *k, uint32_t chunk, uint32_t at)
{
	return (_Atomic uint32_t *)((uint8_t *)arena_at(&k->arena, chunk) + at);
}

static uint32_t word_load(const struct keep *k, uint32_t chunk, uint32_t at)
{
	return atomic_load_explicit(word(k, chunk, at), memory_order_acquire);
}

static void word_store(const struct keep *k, uint32_t chunk, uint32_t at, uint32_t value)
{
	atomic_store_explicit(word(k, chunk, at), value, memory_order_release);
}

static uint32_t chunk_next(const struct keep *k, uint32_t chunk)
{
	return word_load(k, chunk, 0);
}

static uint64_t chunk_bytes(const struct keep *k, uint32_t chunk)
{
	return arena_block_bytes(arena_class_of(&k->arena, chunk));
}

/* Where the record behind one of that length is. */
static uint64_t after(uint64_t at, uint64_t len)
{
	return at + LENGTH_BYTES + ((len + LENGTH_BYTES + 7) & ~(uint64_t)7) -
	       LENGTH_BYTES;
}

/* An empty chunk for a record of `len`, and for some more when one came before. */
static int chunk_new(struct keep *k, uint64_t len, uint64_t before_bytes,
		     uint32_t *ret_chunk)
{
	uint64_t want = CHUNK_FIRST + LENGTH_BYTES + len, more = 2 * before_bytes;
	uint32_t chunk;
	int r = -ENOSPC;

	if (more > CHUNK_DOUBLE_BYTES)
		more = CHUNK_DOUBLE_BYTES;
	if (want < more)
		want = more;
	/* What is full for chunks of one class may have larger ones. */
	for (unsigned int cls = arena_class_for(want); r == -ENOSPC && cls < ARENA_HEADS;
	     cls++)
		r = arena_take(&k->arena, cls, &chunk);
	if (r)
		return r;
	word_store(k, chunk, 0, 0);
	word_store(k, chunk, CHUNK_FIRST, 0);
	*ret_chunk = chunk;
	return 0;
}

static void chunks_give(struct keep *k, uint32_t chunk)
{
	while (chunk) {
		uint32_t next = chunk_next(k, chunk);

		arena_give(&k->arena, chunk);
		chunk = next;
	}
}

/* There is room. The record counts when its length is stored, which comes last. */
static uint32_t put_record(struct keep *k, uint32_t chunk, uint32_t at,
			   const struct slice *pieces, size_t count, uint64_t len)
{
	uint8_t *to = (uint8_t *)word(k, chunk, at) + LENGTH_BYTES;
	uint64_t next = after(at, len);

	for (size_t i = 0; i < count; i++) {
		if (pieces[i].len)
			memcpy(to, pieces[i].data, pieces[i].len);
		to += pieces[i].len;
	}
	if (next + LENGTH_BYTES <= chunk_bytes(k, chunk))
		word_store(k, chunk, (uint32_t)next, 0);
	word_store(k, chunk, at, (uint32_t)len + 1);
	return (uint32_t)next;
}

static int pieces_len(const struct slice *pieces, size_t count, uint64_t *ret_len)
{
	uint64_t len = 0;

	for (size_t i = 0; i < count; i++) {
		if (pieces[i].len > KEEP_RECORD_MAX - len)
			return -ENOSPC;
		len += pieces[i].len;
	}
	*ret_len = len;
	return 0;
}

/* ---- objects ---- */

int keep_new(struct keep *k, uint32_t kind, uint64_t id, struct kept **ret_kept)
{
	struct kept *o;
	uint32_t unit;
	int r;

	if (!k) {
		*ret_kept = NULL;
		return 0;
	}
	r = arena_take(&k->arena, ARENA_HEADS, &unit);
	if (r)
		return r;
	o = arena_at(&k->arena, unit);
	o->kind = kind;
	o->id = id;
	for (unsigned int i = 0; i < KEEP_COUNTERS; i++)
		atomic_store_explicit(&o->counters[i], 0, memory_order_relaxed);
	atomic_store_explicit(&o->first, 0, memory_order_relaxed);
	o->tail = o->tail_used = 0;
	o->bytes = 0;
	o->keep = k;
	atomic_store_explicit(&o->state, HEAD_LIVE, memory_order_release);
	*ret_kept = o;
	return 0;
}

static uint32_t first_chunk(const struct kept *o)
{
	return atomic_load_explicit(&o->first, memory_order_acquire);
}

static void set_first(struct kept *o, uint32_t chunk)
{
	atomic_store_explicit(&o->first, chunk, memory_order_release);
}

void keep_free(struct kept *o)
{
	struct keep *k;

	if (!o)
		return;
	k = o->keep;
	/* From here on nothing leads to its chunks. */
	atomic_store_explicit(&o->state, 0, memory_order_seq_cst);
	chunks_give(k, first_chunk(o));
	arena_give(&k->arena,
		   (uint32_t)(((uint8_t *)o - k->arena.base) / ARENA_UNIT_BYTES));
}

/* The tail has room for one more record of that length. */
static bool tail_fits(const struct kept *o, uint64_t len)
{
	return first_chunk(o) && (uint64_t)o->tail_used + LENGTH_BYTES + len <=
				     chunk_bytes(o->keep, o->tail);
}

static void set_tail(struct kept *o, uint32_t chunk, uint32_t used)
{
	o->tail = chunk;
	o->tail_used = used;
}

/* One more chunk, empty: for who reads it changes nothing. */
static int add_chunk(struct kept *o, uint64_t len)
{
	struct keep *k = o->keep;
	uint64_t before = first_chunk(o) ? chunk_bytes(k, o->tail) : 0;
	uint32_t chunk;
	int r = chunk_new(k, len, before, &chunk);

	if (r)
		return r;
	if (first_chunk(o))
		word_store(k, o->tail, 0, chunk);
	else
		set_first(o, chunk);
	set_tail(o, chunk, CHUNK_FIRST);
	o->bytes += chunk_bytes(k, chunk);
	return 0;
}

int keep_append(struct kept *o, const struct slice *pieces, size_t count)
{
	uint64_t len;
	int r;

	if (!o)
		return 0;
	r = pieces_len(pieces, count, &len);
	if (r == 0 && !tail_fits(o, len))
		r = add_chunk(o, len);
	if (r)
		return r;
	o->tail_used = put_record(o->keep, o->tail, o->tail_used, pieces, count, len);
	return 0;
}

int keep_replace(struct kept *o, const struct slice *pieces, size_t count)
{
	uint32_t chunk, old, used;
	uint64_t len;
	int r;

	if (!o)
		return 0;
	r = pieces_len(pieces, count, &len);
	if (r == 0)
		r = chunk_new(o->keep, len, 0, &chunk);
	if (r)
		return r;
	used = put_record(o->keep, chunk, CHUNK_FIRST, pieces, count, len);
	old = first_chunk(o);
	set_first(o, chunk);
	set_tail(o, chunk, used);
	o->bytes = chunk_bytes(o->keep, chunk);
	chunks_give(o->keep, old);
	return 0;
}

uint64_t keep_bytes(const struct kept *o)
{
	return o ? o->bytes : 0;
}

_Atomic uint64_t *keep_counter(struct kept *o, unsigned int which)
{
	return o ? &o->counters[which] : NULL;
}

void keep_count(struct kept *o, unsigned int which, int64_t n)
{
	if (o)
		atomic_fetch_add_explicit(&o->counters[which], (uint64_t)n,
					  memory_order_relaxed);
}

uint32_t keep_kind(const struct kept *o)
{
	return o->kind;
}

uint64_t keep_id(const struct kept *o)
{
	return o->id;
}

/* ---- reading ---- */

static struct kept *live_at(struct keep *k, uint32_t unit)
{
	struct kept *o = arena_at(&k->arena, unit);

	return atomic_load_explicit(&o->state, memory_order_acquire) == HEAD_LIVE ? o
										  : NULL;
}

struct visit {
	struct keep *keep;
	uint32_t kind;
	int (*each)(void *arg, struct kept *o);
	void *arg;
};

static int visit_head(void *arg, uint32_t unit)
{
	struct visit *v = arg;
	struct kept *o = live_at(v->keep, unit);

	return o && o->kind == v->kind ? v->each(v->arg, o) : 0;
}

int keep_each(struct keep *k, uint32_t kind, int (*each)(void *arg, struct kept *o),
	      void *arg)
{
	struct visit v = {.keep = k, .kind = kind, .each = each, .arg = arg};

	return k ? arena_each(&k->arena, ARENA_HEADS, visit_head, &v) : 0;
}

/* The record at *at, if there is one; *at is behind it then. */
static bool next_record(const struct keep *k, uint32_t chunk, uint32_t *at,
			struct slice *ret_record)
{
	uint64_t bytes = chunk_bytes(k, chunk);
	uint32_t length;

	if ((uint64_t)*at + LENGTH_BYTES > bytes)
		return false;
	length = word_load(k, chunk, *at);
	if (length == 0)
		return false;
	*ret_record = slice((uint8_t *)word(k, chunk, *at) + LENGTH_BYTES, length - 1);
	*at = (uint32_t)after(*at, length - 1);
	return true;
}

int keep_records(struct kept *o, int (*each)(void *arg, struct slice record), void *arg)
{
	struct slice record;
	int r = 0;

	if (!o)
		return 0;
	for (uint32_t c = first_chunk(o); c; c = chunk_next(o->keep, c)) {
		for (uint32_t at = CHUNK_FIRST;
		     r == 0 && next_record(o->keep, c, &at, &record);)
			r = each(arg, record);
	}
	return r;
}

static int take_first(void *arg, struct slice record)
{
	*(struct slice *)arg = record;
	return 1;
}

int keep_record(struct kept *o, struct slice *ret_record)
{
	return keep_records(o, take_first, ret_record) ? 0 : -ENODATA;
}

/* ---- opening ---- */

struct opening {
	struct keep *keep;
	uint8_t *used; /* the map for arena_sweep() */
	struct errmsg *err;
};

/* Records end within the chunk. *ret_used: where the next one goes. */
static bool chunk_whole(const struct keep *k, uint32_t chunk, uint32_t *ret_used)
{
	uint64_t bytes = chunk_bytes(k, chunk);
	uint64_t at = CHUNK_FIRST;
	uint32_t length;

	while (at + LENGTH_BYTES <= bytes &&
	       (length = word_load(k, chunk, (uint32_t)at)) != 0) {
		if (length - 1 > bytes - at - LENGTH_BYTES)
			return false;
		at = after(at, length - 1);
	}
	*ret_used = (uint32_t)at;
	return true;
}

/* A chunk that nothing else has, of a class for chunks. */
static bool chunk_claim(struct opening *op, uint32_t chunk)
{
	const struct arena *a = &op->keep->arena;

	if (!arena_is_block(a, chunk) || arena_class_of(a, chunk) == ARENA_HEADS ||
	    arena_map_get(op->used, chunk))
		return false;
	arena_map_set(op->used, chunk);
	return true;
}

/* Look through an object, and make what only this process has of it. */
static int open_head(void *arg, uint32_t unit)
{
	struct opening *op = arg;
	struct kept *o = live_at(op->keep, unit);
	uint32_t used;

	if (!o)
		return 0;
	arena_map_set(op->used, unit);
	o->keep = op->keep;
	o->bytes = 0;
	set_tail(o, 0, 0);
	for (uint32_t c = first_chunk(o); c; c = chunk_next(op->keep, c)) {
		if (!chunk_claim(op, c) || !chunk_whole(op->keep, c, &used))
			return err_set(op->err, EUCLEAN,
				       "kept memory is damaged: object %llu of kind %u",
				       (unsigned long long)o->id, o->kind);
		set_tail(o, c, used);
		o->bytes += chunk_bytes(op->keep, c);
	}
	return 0;
}

static int open_objects(struct keep *k, struct errmsg *err)
{
	struct opening op = {.keep = k, .err = err};
	int r;

	op.used = calloc(1, arena_map_bytes(&k->arena));
	if (!op.used)
		return err_set(err, ENOMEM, "kept memory: no memory to look through it");
	r = arena_each(&k->arena, ARENA_HEADS, open_head, &op);
	if (r == 0 && arena_sweep(&k->arena, op.used))
		r = err_set(err, ENOMEM, "kept memory: no memory to look through it");
	free(op.used);
	return r;
}

int keep_open(int fd, uint64_t max_bytes, struct keep **ret_keep, struct errmsg *err)
{
	struct keep *k = calloc(1, sizeof(*k));
	int r;

	if (!k)
		return err_set(err, ENOMEM, "kept memory: no memory for it");
	r = arena_open(&k->arena, fd, max_bytes, err);
	if (r) {
		free(k);
		return r;
	}
	r = open_objects(k, err);
	if (r) {
		keep_close(k);
		return r;
	}
	memset(keep_pulse(k), 0, offsetof(struct keep_pulse, last_unique));
	*ret_keep = k;
	return 0;
}

void keep_close(struct keep *k)
{
	if (!k)
		return;
	arena_close(&k->arena);
	free(k);
}

/* ---- the pulse ---- */

struct keep_pulse *keep_pulse(struct keep *k)
{
	return k ? (struct keep_pulse *)(k->arena.base + ARENA_PULSE_OFF) : NULL;
}
