/* SPDX-License-Identifier: Apache-2.0 */
#include "store/piece_queue.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

struct piece_queue {
	piece_work *work;
	void *arg;
	pthread_t thread;
	pthread_mutex_t lock; /* of what follows */
	pthread_cond_t wake;
	bool started, stop;
	uint64_t current; /* the inode of the piece that is worked on; 0: dropped */
	unsigned int max, first, count;
	struct piece ring[];
};

int piece_queue_new(unsigned int waiting_max, piece_work *work, void *arg,
		    struct piece_queue **ret_queue)
{
	struct piece_queue *q = calloc(1, sizeof(*q) + waiting_max * sizeof(*q->ring));

	if (!q)
		return -ENOMEM;
	q->work = work;
	q->arg = arg;
	q->max = waiting_max;
	pthread_mutex_init(&q->lock, NULL);
	pthread_cond_init(&q->wake, NULL);
	*ret_queue = q;
	return 0;
}

static struct piece *waiting(struct piece_queue *q, unsigned int i)
{
	return &q->ring[(q->first + i) % q->max];
}

static void close_piece(const struct piece *p)
{
	if (p->fd >= 0)
		close(p->fd);
}

/* Waits for a piece. False: it is to end. */
static bool next_piece(struct piece_queue *q, struct piece *ret_piece)
{
	bool stop;

	pthread_mutex_lock(&q->lock);
	while (!q->count && !q->stop)
		pthread_cond_wait(&q->wake, &q->lock);
	stop = q->stop;
	if (!stop) {
		*ret_piece = *waiting(q, 0);
		q->first = (q->first + 1) % q->max;
		q->count--;
		q->current = ret_piece->ino;
	}
	pthread_mutex_unlock(&q->lock);
	return !stop;
}

static void *work_on_pieces(void *arg)
{
	struct piece_queue *q = arg;
	struct piece p;

	while (next_piece(q, &p)) {
		q->work(q, &p, q->arg);
		close_piece(&p);
	}
	return NULL;
}

bool piece_queue_goes_on(struct piece_queue *q, const struct piece *p)
{
	bool yes;

	pthread_mutex_lock(&q->lock);
	yes = !q->stop && q->current == p->ino;
	pthread_mutex_unlock(&q->lock);
	return yes;
}

/* Under the lock. */
static bool is_started(struct piece_queue *q)
{
	if (!q->started)
		q->started = pthread_create(&q->thread, NULL, work_on_pieces, q) == 0;
	return q->started;
}

bool piece_queue_ask(struct piece_queue *q, const struct piece *p)
{
	bool has_room;
	int fd = -1;

	pthread_mutex_lock(&q->lock);
	has_room = q->count < q->max && is_started(q);
	if (has_room && p->fd >= 0) {
		fd = fcntl(p->fd, F_DUPFD_CLOEXEC, 0);
		has_room = fd >= 0;
	}
	if (has_room) {
		*waiting(q, q->count++) = (struct piece){p->ino, fd, p->off, p->len};
		pthread_cond_signal(&q->wake);
	}
	pthread_mutex_unlock(&q->lock);
	return has_room;
}

void piece_queue_forget(struct piece_queue *q, uint64_t ino)
{
	unsigned int kept = 0;

	pthread_mutex_lock(&q->lock);
	for (unsigned int i = 0; i < q->count; i++) {
		struct piece p = *waiting(q, i);

		if (p.ino == ino)
			close_piece(&p);
		else
			*waiting(q, kept++) = p;
	}
	q->count = kept;
	if (q->current == ino)
		q->current = 0;
	pthread_mutex_unlock(&q->lock);
}

void piece_queue_free(struct piece_queue *q)
{
	if (!q)
		return;
	pthread_mutex_lock(&q->lock);
	q->stop = true;
	pthread_cond_signal(&q->wake);
	pthread_mutex_unlock(&q->lock);
	if (q->started)
		pthread_join(q->thread, NULL);
	for (unsigned int i = 0; i < q->count; i++)
		close_piece(waiting(q, i));
	pthread_cond_destroy(&q->wake);
	pthread_mutex_destroy(&q->lock);
	free(q);
}
