/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/tree/packstream.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "cli/copy.h"

struct packstream {
	int fd;
	uint64_t off; /* of what is filled, in the stream */
	uint8_t *fill;
	size_t len;
	uint8_t *other; /* the thread's while `busy_bytes` */

	bool threaded;
	pthread_t thread;
	pthread_mutex_t lock; /* the rest */
	pthread_cond_t change;
	size_t busy_bytes; /* of `other` that are to be written; 0: none */
	bool stop;
	int error; /* -errno of a write */
};

int packstream_new(int fd, struct packstream **ret_stream)
{
	struct packstream *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->fd = fd;
	s->fill = malloc(PACKSTREAM_BLOCK_BYTES);
	if (!s->fill) {
		free(s);
		return -ENOMEM;
	}
	pthread_mutex_init(&s->lock, NULL);
	pthread_cond_init(&s->change, NULL);
	*ret_stream = s;
	return 0;
}

static void *write_blocks(void *arg)
{
	struct packstream *s = arg;

	pthread_mutex_lock(&s->lock);
	for (;;) {
		int r;

		while (!s->busy_bytes && !s->stop)
			pthread_cond_wait(&s->change, &s->lock);
		if (s->stop)
			break;
		pthread_mutex_unlock(&s->lock);
		r = copy_bytes(s->fd, s->other, s->busy_bytes);
		pthread_mutex_lock(&s->lock);
		s->error = s->error ? s->error : r;
		s->busy_bytes = 0;
		pthread_cond_signal(&s->change);
	}
	pthread_mutex_unlock(&s->lock);
	return NULL;
}

/* Signals are the other thread's, whose handlers expect to be there. */
static void start(struct packstream *s)
{
	sigset_t all, old;

	s->other = malloc(PACKSTREAM_BLOCK_BYTES);
	if (!s->other)
		return;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	s->threaded = pthread_create(&s->thread, NULL, write_blocks, s) == 0;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

void packstream_free(struct packstream *s)
{
	if (!s)
		return;
	if (s->threaded) {
		pthread_mutex_lock(&s->lock);
		s->stop = true;
		pthread_cond_signal(&s->change);
		pthread_mutex_unlock(&s->lock);
		pthread_join(s->thread, NULL);
	}
	pthread_cond_destroy(&s->change);
	pthread_mutex_destroy(&s->lock);
	free(s->fill);
	free(s->other);
	free(s);
}

/* Until the thread has written what it was given. */
static int wait_for_thread(struct packstream *s)
{
	int r;

	if (!s->threaded)
		return 0;
	pthread_mutex_lock(&s->lock);
	while (s->busy_bytes)
		pthread_cond_wait(&s->change, &s->lock);
	r = s->error;
	pthread_mutex_unlock(&s->lock);
	return r;
}

static void hand_over(struct packstream *s)
{
	uint8_t *full = s->fill;

	pthread_mutex_lock(&s->lock);
	s->fill = s->other;
	s->other = full;
	s->busy_bytes = s->len;
	pthread_cond_signal(&s->change);
	pthread_mutex_unlock(&s->lock);
}

/* Make the block empty. */
static int pass_on(struct packstream *s, bool last)
{
	int r;

	if (!s->threaded && !last)
		start(s);
	r = wait_for_thread(s);
	if (!r && s->len && s->threaded && !last)
		hand_over(s);
	else if (!r)
		r = copy_bytes(s->fd, s->fill, s->len);
	if (r)
		return r;
	s->off += s->len;
	s->len = 0;
	return 0;
}

int packstream_room(struct packstream *s, size_t len, uint8_t **ret_room)
{
	int r = 0;

	if (len > PACKSTREAM_BLOCK_BYTES - s->len)
		r = pass_on(s, false);
	if (!r)
		*ret_room = s->fill + s->len;
	return r;
}

void packstream_advance(struct packstream *s, size_t len)
{
	s->len += len;
}

int packstream_put(struct packstream *s, const void *data, size_t len)
{
	const uint8_t *p = data;

	while (len) {
		size_t n = len < PACKSTREAM_BLOCK_BYTES ? len : PACKSTREAM_BLOCK_BYTES;
		uint8_t *room;
		int r = packstream_room(s, n, &room);

		if (r)
			return r;
		memcpy(room, p, n);
		packstream_advance(s, n);
		p += n;
		len -= n;
	}
	return 0;
}

uint64_t packstream_off(const struct packstream *s)
{
	return s->off + s->len;
}

const uint8_t *packstream_peek(const struct packstream *s, uint64_t off, size_t len)
{
	if (off < s->off || off + len > s->off + s->len)
		return NULL;
	return s->fill + (off - s->off);
}

int packstream_flush(struct packstream *s)
{
	return pass_on(s, true);
}
