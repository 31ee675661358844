/* SPDX-License-Identifier: Apache-2.0 */
#include "store/ahead.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/sendfile.h>
#include <sys/types.h>
#include <unistd.h>

#include "store/backend.h"

/* Many readers on a slow disk. */
enum { WAITING_MAX = 16 };

/* The kernel's own requests for what it reads ahead; who reads little is not in a hurry.
 */
#define LARGE_BYTES (UINT64_C(64) << 10)

/* Workers answer two or three of these at a time, in any order. */
#define SLACK_BYTES (UINT64_C(2) << 20)

struct piece {
	uint64_t ino;
	uint64_t off, len;
};

struct ahead {
	struct backend *be;
	int null_fd;
	pthread_t thread;
	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t wake;
	bool started, stop;
	uint64_t current; /* the inode of the piece that is being read; 0: dropped */
	struct piece ring[WAITING_MAX];
	unsigned int first, count;
};

int ahead_new(struct backend *be, struct ahead **ret_ahead)
{
	struct ahead *a = calloc(1, sizeof(*a));

	if (!a)
		return -ENOMEM;
	a->be = be;
	a->null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC); /* or nothing is read */
	pthread_mutex_init(&a->lock, NULL);
	pthread_cond_init(&a->wake, NULL);
	*ret_ahead = a;
	return 0;
}

/* ---- the thread ---- */

/* Waits for a piece. False: it is to end. */
static bool next_piece(struct ahead *a, struct piece *ret_piece)
{
	bool stop;

	pthread_mutex_lock(&a->lock);
	while (!a->count && !a->stop)
		pthread_cond_wait(&a->wake, &a->lock);
	stop = a->stop;
	if (!stop) {
		*ret_piece = a->ring[a->first];
		a->first = (a->first + 1) % WAITING_MAX;
		a->count--;
		a->current = ret_piece->ino;
	}
	pthread_mutex_unlock(&a->lock);
	return !stop;
}

static bool goes_on(struct ahead *a, const struct piece *p)
{
	bool yes;

	pthread_mutex_lock(&a->lock);
	yes = !a->stop && a->current == p->ino;
	pthread_mutex_unlock(&a->lock);
	return yes;
}

/*
 * sendfile(2) to where nothing is kept takes the pages as they are. Unlike readahead(2)
 * it has the kernel choose large folios, of which there are fewer to get, to find and to
 * copy from.
 */
static void read_piece(struct ahead *a, int fd, const struct piece *p)
{
	off_t off = (off_t)p->off, end = (off_t)(p->off + p->len);

	while (off < end && goes_on(a, p)) {
		size_t left = (size_t)(end - off);

		if (left > AHEAD_STEP_BYTES)
			left = AHEAD_STEP_BYTES;
		if (sendfile(a->null_fd, fd, &off, left) <= 0)
			return;
	}
}

static void *read_pieces(void *arg)
{
	struct ahead *a = arg;
	struct piece p;
	int fd;

	while (next_piece(a, &p)) {
		if (backend_extent_open(a->be, p.ino, &fd))
			continue;
		read_piece(a, fd, &p);
		close(fd);
	}
	return NULL;
}

/* Under the lock. */
static bool is_started(struct ahead *a)
{
	if (!a->started)
		a->started = pthread_create(&a->thread, NULL, read_pieces, a) == 0;
	return a->started;
}

/* False: too much is waiting. */
static bool ask(struct ahead *a, const struct piece *p)
{
	bool has_room;

	pthread_mutex_lock(&a->lock);
	has_room = a->count < WAITING_MAX && is_started(a);
	if (has_room) {
		a->ring[(a->first + a->count++) % WAITING_MAX] = *p;
		pthread_cond_signal(&a->wake);
	}
	pthread_mutex_unlock(&a->lock);
	return has_room;
}

/* ---- readers ---- */

static uint64_t get(_Atomic uint64_t *field)
{
	return atomic_load_explicit(field, memory_order_relaxed);
}

static void set(_Atomic uint64_t *field, uint64_t value)
{
	atomic_store_explicit(field, value, memory_order_relaxed);
}

/* How far the reads in order have come with this one; 0 when it begins anew. */
static uint64_t go_on(struct ahead_place *place, uint64_t off, uint64_t len)
{
	uint64_t was = get(&place->end), end = off + len;

	if (off > was + SLACK_BYTES || off + SLACK_BYTES < was) {
		set(&place->begun, off);
		set(&place->end, end);
		set(&place->asked, end);
		return 0;
	}
	if (end <= was)
		return was;
	set(&place->end, end);
	return end;
}

void ahead_note(struct ahead *a, struct ahead_place *place, uint64_t ino,
		uint64_t size_bytes, uint64_t off, uint64_t len)
{
	uint64_t end, begun, asked, until;

	if (!a || len < LARGE_BYTES)
		return;
	end = go_on(place, off, len);
	begun = get(&place->begun);
	if (end < begun + AHEAD_STEP_BYTES)
		return;
	until = end + (end - begun < AHEAD_BYTES ? end - begun : AHEAD_BYTES);
	if (until > size_bytes)
		until = size_bytes;
	asked = get(&place->asked);
	if (asked < end)
		asked = end;
	if (asked < until && (asked + AHEAD_STEP_BYTES <= until || until == size_bytes) &&
	    ask(a, &(struct piece){ino, asked, until - asked}))
		set(&place->asked, until);
}

void ahead_forget(struct ahead *a, uint64_t ino)
{
	unsigned int kept = 0;

	if (!a)
		return;
	pthread_mutex_lock(&a->lock);
	for (unsigned int i = 0; i < a->count; i++) {
		struct piece p = a->ring[(a->first + i) % WAITING_MAX];

		if (p.ino != ino)
			a->ring[(a->first + kept++) % WAITING_MAX] = p;
	}
	a->count = kept;
	if (a->current == ino)
		a->current = 0;
	pthread_mutex_unlock(&a->lock);
}

void ahead_free(struct ahead *a)
{
	if (!a)
		return;
	pthread_mutex_lock(&a->lock);
	a->stop = true;
	pthread_cond_signal(&a->wake);
	pthread_mutex_unlock(&a->lock);
	if (a->started)
		pthread_join(a->thread, NULL);
	if (a->null_fd >= 0)
		close(a->null_fd);
	pthread_cond_destroy(&a->wake);
	pthread_mutex_destroy(&a->lock);
	free(a);
}
