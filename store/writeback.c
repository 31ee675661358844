/* SPDX-License-Identifier: Apache-2.0 */
#include "store/writeback.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

/* Many writers on a slow disk: each piece holds a descriptor. */
enum { WAITING_MAX = 32 };

struct piece {
	uint64_t ino;
	int fd; /* its own */
	uint64_t off, len;
};

struct writeback {
	pthread_t thread;
	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t wake;
	bool started, stop;
	uint64_t current; /* the inode of the piece that is being written; 0: dropped */
	struct piece ring[WAITING_MAX];
	unsigned int first, count;
};

int writeback_new(struct writeback **ret_wb)
{
	struct writeback *wb = calloc(1, sizeof(*wb));

	if (!wb)
		return -ENOMEM;
	pthread_mutex_init(&wb->lock, NULL);
	pthread_cond_init(&wb->wake, NULL);
	*ret_wb = wb;
	return 0;
}

/* Waits for a piece. False: it is to end. */
static bool next_piece(struct writeback *wb, struct piece *ret_piece)
{
	bool stop;

	pthread_mutex_lock(&wb->lock);
	while (!wb->count && !wb->stop)
		pthread_cond_wait(&wb->wake, &wb->lock);
	stop = wb->stop;
	if (!stop) {
		*ret_piece = wb->ring[wb->first];
		wb->first = (wb->first + 1) % WAITING_MAX;
		wb->count--;
		wb->current = ret_piece->ino;
	}
	pthread_mutex_unlock(&wb->lock);
	return !stop;
}

static bool goes_on(struct writeback *wb, const struct piece *p)
{
	bool yes;

	pthread_mutex_lock(&wb->lock);
	yes = !wb->stop && wb->current == p->ino;
	pthread_mutex_unlock(&wb->lock);
	return yes;
}

/* What has waited long is large, and the disk busy. */
static void write_piece(struct writeback *wb, struct piece *p)
{
	while (p->len && goes_on(wb, p)) {
		uint64_t len =
		    p->len < WRITEBACK_STEP_BYTES ? p->len : WRITEBACK_STEP_BYTES;

		/* Without waiting for the pages this takes no error away from fsync. */
		(void)sync_file_range(p->fd, (off_t)p->off, (off_t)len,
				      SYNC_FILE_RANGE_WRITE);
		p->off += len;
		p->len -= len;
	}
}

static void *write_pieces(void *arg)
{
	struct writeback *wb = arg;
	struct piece p;

	while (next_piece(wb, &p)) {
		write_piece(wb, &p);
		close(p.fd);
	}
	return NULL;
}

/* Under the lock. */
static bool is_started(struct writeback *wb)
{
	if (!wb->started)
		wb->started = pthread_create(&wb->thread, NULL, write_pieces, wb) == 0;
	return wb->started;
}

bool writeback_ask(struct writeback *wb, uint64_t ino, int fd, uint64_t off, uint64_t len)
{
	struct piece p = {.ino = ino, .off = off, .len = len};
	bool has_room;

	pthread_mutex_lock(&wb->lock);
	has_room = wb->count < WAITING_MAX && is_started(wb);
	if (has_room) {
		p.fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
		has_room = p.fd >= 0;
	}
	if (has_room) {
		wb->ring[(wb->first + wb->count++) % WAITING_MAX] = p;
		pthread_cond_signal(&wb->wake);
	}
	pthread_mutex_unlock(&wb->lock);
	return has_room;
}

void writeback_forget(struct writeback *wb, uint64_t ino)
{
	unsigned int kept = 0;

	pthread_mutex_lock(&wb->lock);
	for (unsigned int i = 0; i < wb->count; i++) {
		struct piece p = wb->ring[(wb->first + i) % WAITING_MAX];

		if (p.ino == ino)
			close(p.fd);
		else
			wb->ring[(wb->first + kept++) % WAITING_MAX] = p;
	}
	wb->count = kept;
	if (wb->current == ino)
		wb->current = 0;
	pthread_mutex_unlock(&wb->lock);
}

void writeback_free(struct writeback *wb)
{
	if (!wb)
		return;
	pthread_mutex_lock(&wb->lock);
	wb->stop = true;
	pthread_cond_signal(&wb->wake);
	pthread_mutex_unlock(&wb->lock);
	if (wb->started)
		pthread_join(wb->thread, NULL);
	for (unsigned int i = 0; i < wb->count; i++)
		close(wb->ring[(wb->first + i) % WAITING_MAX].fd);
	pthread_cond_destroy(&wb->wake);
	pthread_mutex_destroy(&wb->lock);
	free(wb);
}
