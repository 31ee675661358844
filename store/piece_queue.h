/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Pieces of files that a thread comes to one by one: to read them ahead (ahead.h), or to
 * have them written early (writeback.h).
 *
 * No more than so many wait; who asks for another is told so, and nobody ever waits for
 * the thread. What it does not come to is left, so nothing may depend on it.
 */
#ifndef MEMOFS_STORE_PIECE_QUEUE_H
#define MEMOFS_STORE_PIECE_QUEUE_H

#include <stdbool.h>
#include <stdint.h>

struct piece {
	uint64_t ino; /* not 0 */
	int fd;	      /* of the file, or -1: by its number it can be opened */
	uint64_t off, len;
};

struct piece_queue;

/*
 * Called by the thread, which closes `p->fd` afterwards. Of a large piece it does some at
 * a time, and looks whether it is to go on.
 */
typedef void piece_work(struct piece_queue *q, const struct piece *p, void *arg);

/* -ENOMEM. */
int piece_queue_new(unsigned int waiting_max, piece_work *work, void *arg,
		    struct piece_queue **ret_queue);
/* Ends the thread; what it has not come to is left. NULL is fine. */
void piece_queue_free(struct piece_queue *q);
/*
 * False: too much is waiting; ask again with more. `p->fd` stays the caller's. The thread
 * is started by the first call, and where it cannot be, nothing is done.
 */
bool piece_queue_ask(struct piece_queue *q, const struct piece *p);
/* By the thread: false when it is to end, or the file of this piece is removed. */
bool piece_queue_goes_on(struct piece_queue *q, const struct piece *p);
/* It is removed: what waits of it is not to keep its blocks, nor to be worked on. */
void piece_queue_forget(struct piece_queue *q, uint64_t ino);

#endif
