/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Requests that must not be done twice.
 *
 * The kernel sends again what a daemon that died had received and not answered. To make,
 * move or remove a name may have happened by then, and to do it again would fail. So
 * before such a request changes anything, it is kept what it is about to do, and how it
 * went when that is known. The directory is locked by the kernel all the while; so what
 * has happened to a name, while it is not known how the request went, the request did.
 *
 *	struct once once = once_enter(fs);	at the beginning of the handler
 *	if (!once_known(&once))
 *		once_begin(&once, ino);		right before the change
 *	once_done(&once, r);			right after it
 *	once_leave(&once);			after the answer
 *
 * Without a keep all of it does nothing. When the keep is full the request is done all
 * the same: only a death within it could be seen then.
 */
#ifndef MEMOFS_FS_ONCE_H
#define MEMOFS_FS_ONCE_H

#include <stdbool.h>
#include <stdint.h>

#include "fs/fs.h"
#include "store/util/keep.h"

enum once_state {
	ONCE_NEW,   /* nothing was done */
	ONCE_DOUBT, /* it was begun */
	ONCE_DONE,  /* ->result says how it went */
};

struct once {
	struct fs *fs;
	struct kept *kept;
	enum once_state state;
	int result;	  /* ONCE_DONE: 0 or -errno */
	int64_t begun_ns; /* ONCE_DOUBT, ONCE_DONE: on the store's clock */
	uint64_t ino;	  /* likewise: what once_begin() was told */
};

/* For the request that this thread handles now. */
struct once once_enter(struct fs *fs);
/* It was done before; ->result is the answer. */
static inline bool once_known(const struct once *o)
{
	return o->state == ONCE_DONE;
}
/* `ino`: what the change is of, for who looks later whether it has happened. */
void once_begin(struct once *o, uint64_t ino);
void once_done(struct once *o, int r);
void once_leave(struct once *o);
/* 0 when `r` is what a request gets that has happened before, and this one was begun
 * before; else `r`. */
int once_again(const struct once *o, int r, int already);

struct once_table;

/*
 * What a process that died has kept; before the first request. *ret_table is NULL with a
 * NULL `k`. -ENOMEM; -EUCLEAN: a record is bad.
 */
int once_resume(struct keep *k, struct once_table **ret_table);
/* The kernel has sent this one again; as session_unique() has it. */
void once_expect(struct once_table *t, uint64_t unique);
/* It has sent all: what was not among them was answered. */
void once_sweep(struct once_table *t);
void once_table_free(struct once_table *t); /* NULL is fine */

#endif
