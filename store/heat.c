/* SPDX-License-Identifier: Apache-2.0 */
#include "store/heat.h"

#include <errno.h>
#include <stdlib.h>

#include "store/util/htab.h"

#define HEAT_MAX 131072 /* inodes in the map: some 8 MiB */
#define HEAT_BATCH 512	/* rows in one commit */

struct heat_entry {
	struct hlink link;
	struct heat_entry *next; /* all of them, for the flush */
	uint64_t ino;
	struct heat_row delta;
};

struct heat {
	/* Taken before `lock`: so that nobody sees a count in both places or none. */
	pthread_mutex_t flush;
	pthread_mutex_t lock; /* of the fields below */
	struct htab map;
	struct heat_entry *all;
	struct htab writing; /* taken out of the map, to become rows; fixed entries */
};

int heat_new(struct heat **ret_heat)
{
	struct heat *heat = calloc(1, sizeof(*heat));

	if (!heat)
		return -ENOMEM;
	pthread_mutex_init(&heat->flush, NULL);
	pthread_mutex_init(&heat->lock, NULL);
	*ret_heat = heat;
	return 0;
}

static void free_entries(struct heat_entry *e)
{
	while (e) {
		struct heat_entry *next = e->next;

		free(e);
		e = next;
	}
}

void heat_free(struct heat *heat)
{
	if (!heat)
		return;
	free_entries(heat->all);
	htab_deinit(&heat->map);
	pthread_mutex_destroy(&heat->lock);
	pthread_mutex_destroy(&heat->flush);
	free(heat);
}

static struct heat_entry *find(const struct htab *map, uint64_t ino)
{
	struct hlink *l = htab_first(map, hash_u64(ino));

	for (; l; l = htab_next(l)) {
		struct heat_entry *e = CONTAINER_OF(l, struct heat_entry, link);

		if (e->ino == ino)
			return e;
	}
	return NULL;
}

static struct heat_entry *find_or_add(struct heat *heat, uint64_t ino)
{
	struct heat_entry *e = find(&heat->map, ino);

	if (e || heat->map.count >= HEAT_MAX)
		return e;
	e = calloc(1, sizeof(*e));
	if (!e)
		return NULL;
	e->ino = ino;
	if (htab_add(&heat->map, &e->link, hash_u64(ino))) {
		free(e);
		return NULL;
	}
	e->next = heat->all;
	heat->all = e;
	return e;
}

bool heat_add(struct heat *heat, uint64_t ino, uint64_t hits, int64_t now_ns)
{
	struct heat_entry *e;
	bool full;

	pthread_mutex_lock(&heat->lock);
	e = find_or_add(heat, ino);
	if (e) {
		e->delta.hits += hits;
		e->delta.last_read_ns = now_ns;
	}
	full = heat->map.count >= HEAT_MAX / 2;
	pthread_mutex_unlock(&heat->lock);
	return full;
}

static int load_row(struct store *st, uint64_t ino, struct heat_row *ret_row)
{
	CLEANUP_BUF struct buf raw = BUF_INIT;
	struct key key = key_ino(ino);
	int r = backend_get(st->be, TABLE_HEAT, key_slice(&key), &raw);

	if (!r)
		r = heat_decode(buf_slice(&raw), ret_row);
	if (r == -ENOENT || r == -EUCLEAN) { /* a lost count is not worth an error */
		*ret_row = (struct heat_row){0};
		r = 0;
	}
	return r;
}

/*
 * An inode that has lost its name gets no row: whoever deletes its content may
 * have been here already. One that loses it after this look is deleted later,
 * by the same thread that flushes (see gc.c), and its row with it.
 */
static int put_row(struct store *st, struct batch *b, const struct heat_entry *e)
{
	CLEANUP_INODE struct inode in = INODE_INIT;
	CLEANUP_BUF struct buf raw = BUF_INIT;
	struct key key = key_ino(e->ino);
	struct heat_row row;
	int r;

	r = inode_load(st, e->ino, &in);
	if (r) /* damaged: not worth keeping the others' counts back */
		return r == -ENOENT || r == -EUCLEAN ? 0 : r;
	r = load_row(st, e->ino, &row);
	if (r)
		return r;
	row.hits += e->delta.hits;
	row.last_read_ns = e->delta.last_read_ns;
	r = heat_encode(&row, &raw);
	if (!r)
		batch_put(b, TABLE_HEAT, key_slice(&key), buf_slice(&raw));
	return r;
}

/* Write `list`, which nobody changes; *ret_rest is where what was not written begins. */
static int write_entries(struct store *st, const struct heat_entry *list,
			 const struct heat_entry **ret_rest)
{
	CLEANUP_BATCH struct batch b = BATCH_INIT;
	const struct heat_entry *e = list;
	int r = 0;

	while (!r && list) {
		batch_clear(&b);
		for (e = list; !r && e && b.count < HEAT_BATCH; e = e->next)
			r = put_row(st, &b, e);
		if (!r)
			r = backend_commit(st->be, &b);
		if (!r)
			list = e;
	}
	*ret_rest = list;
	return r;
}

static struct heat_entry *take_all(struct heat *heat)
{
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&heat->lock);
	struct heat_entry *list = heat->all;

	heat->all = NULL;
	heat->writing = heat->map;
	heat->map = HTAB_INIT;
	return list;
}

static void end_writing(struct heat *heat)
{
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&heat->lock);

	htab_deinit(&heat->writing);
}

int heat_flush(struct store *st, struct heat *heat)
{
	const struct heat_entry *rest;
	struct heat_entry *list;
	int r;

	pthread_mutex_lock(&heat->flush);
	list = take_all(heat);
	r = write_entries(st, list, &rest);
	for (const struct heat_entry *e = rest; e; e = e->next)
		heat_add(heat, e->ino, e->delta.hits, e->delta.last_read_ns);
	end_writing(heat);
	pthread_mutex_unlock(&heat->flush);
	free_entries(list);
	return r;
}

/* Under the lock: what is not in the row yet. */
static void add_delta(const struct htab *map, uint64_t ino, struct heat_row *row)
{
	const struct heat_entry *e = find(map, ino);

	if (!e)
		return;
	row->hits += e->delta.hits;
	if (e->delta.last_read_ns > row->last_read_ns)
		row->last_read_ns = e->delta.last_read_ns;
}

int heat_peek(struct store *st, struct heat *heat, uint64_t ino, struct heat_row *ret_row)
{
	struct heat_row delta = {0}, row;
	int r;

	/* The maps first: what is written meanwhile is in the row then. */
	pthread_mutex_lock(&heat->lock);
	add_delta(&heat->map, ino, &delta);
	add_delta(&heat->writing, ino, &delta);
	pthread_mutex_unlock(&heat->lock);
	r = load_row(st, ino, &row);
	if (r)
		return r;
	row.hits += delta.hits;
	if (delta.last_read_ns > row.last_read_ns)
		row.last_read_ns = delta.last_read_ns;
	*ret_row = row;
	return 0;
}

int heat_sum(struct store *st, struct heat *heat, uint64_t ino, uint64_t *ret_hits)
{
	struct heat_row row;
	struct heat_entry *e;
	int r;

	pthread_mutex_lock(&heat->flush);
	r = load_row(st, ino, &row);
	pthread_mutex_lock(&heat->lock);
	e = find(&heat->map, ino);
	if (!r)
		*ret_hits = row.hits + (e ? e->delta.hits : 0);
	pthread_mutex_unlock(&heat->lock);
	pthread_mutex_unlock(&heat->flush);
	return r;
}
