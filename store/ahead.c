/* SPDX-License-Identifier: Apache-2.0 */
#include "store/ahead.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/sendfile.h>
#include <sys/types.h>
#include <unistd.h>

#include "store/backend.h"
#include "store/piece_queue.h"

/* Many readers on a slow disk. */
enum { WAITING_MAX = 16 };

/* The kernel's own requests for what it reads ahead; who reads little is not in a hurry.
 */
#define LARGE_BYTES (UINT64_C(64) << 10)

/* Workers answer two or three of these at a time, in any order. */
#define SLACK_BYTES (UINT64_C(2) << 20)

struct ahead {
	struct backend *be;
	int null_fd;
	struct piece_queue *queue;
};

/*
 * sendfile(2) to where nothing is kept takes the pages as they are. Unlike readahead(2)
 * it has the kernel choose large folios, of which there are fewer to get, to find and to
 * copy from.
 */
static void read_piece(struct piece_queue *q, const struct piece *p, void *arg)
{
	struct ahead *a = arg;
	off_t off = (off_t)p->off, end = (off_t)(p->off + p->len);
	int fd;

	if (backend_extent_open(a->be, p->ino, &fd))
		return;
	while (off < end && piece_queue_goes_on(q, p)) {
		size_t left = (size_t)(end - off);

		if (left > AHEAD_STEP_BYTES)
			left = AHEAD_STEP_BYTES;
		if (sendfile(a->null_fd, fd, &off, left) <= 0)
			break;
	}
	close(fd);
}

int ahead_new(struct backend *be, struct ahead **ret_ahead)
{
	struct ahead *a = calloc(1, sizeof(*a));

	if (!a || piece_queue_new(WAITING_MAX, read_piece, a, &a->queue)) {
		free(a);
		return -ENOMEM;
	}
	a->be = be;
	a->null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC); /* or nothing is read */
	*ret_ahead = a;
	return 0;
}

void ahead_free(struct ahead *a)
{
	if (!a)
		return;
	piece_queue_free(a->queue);
	if (a->null_fd >= 0)
		close(a->null_fd);
	free(a);
}

void ahead_forget(struct ahead *a, uint64_t ino)
{
	if (a)
		piece_queue_forget(a->queue, ino);
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
	    piece_queue_ask(a->queue, &(struct piece){ino, -1, asked, until - asked}))
		set(&place->asked, until);
}
