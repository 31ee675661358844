/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What one user may have at a time, so that nobody starves the others.
 *
 * A user is a uid, as the kernel tells it in a request. Root and the daemon's own
 * user have LIMIT_SHARE times as much. What was taken is in a struct limit_hold,
 * which lies in what it is taken for and gives it back with that; one that is all
 * zeros holds nothing.
 *
 * Users are never forgotten: there are only as many as there are uids in use.
 */
#ifndef MEMOFS_FS_USER_LIMITS_H
#define MEMOFS_FS_USER_LIMITS_H

#include <stdatomic.h>
#include <stdint.h>
#include <sys/types.h>

#include "store/util/buf.h"

enum limit_kind {
	LIMIT_HANDLES,	    /* open descriptors: -EMFILE */
	LIMIT_VALUES,	    /* values being written: -EMFILE */
	LIMIT_BYTES,	    /* written into them: -EDQUOT */
	LIMIT_RESERVATIONS, /* by name: -EDQUOT; the store counts them */
	LIMIT_WAITERS,	    /* opens that are kept: -EAGAIN */
	LIMIT_KINDS
};

/* Root and the daemon's user have so many times as much. */
enum { LIMIT_SHARE = 4 };
#define LIMIT_NONE UINT64_MAX

struct limits;
struct limits_user;

struct limit_hold {
	struct limits_user *user; /* NULL: nothing is held */
	enum limit_kind kind;
	_Atomic uint64_t amount;
};

/* The caller's user is the daemon's. All are LIMIT_NONE until they are set. -ENOMEM. */
int limits_new(struct limits **ret_limits);
/* How many may wait in limit_closing()'s way at a time, none at first: some worker must
 * be left to close. Before there are any. */
void limits_set_waiting_max(struct limits *l, unsigned int n);
void limits_free(struct limits *l); /* NULL is fine; what is held is not given back */
/* For an ordinary user; what is held already stays. */
void limits_set(struct limits *l, enum limit_kind kind, uint64_t max);
/* What this user may have. */
uint64_t limits_max(const struct limits *l, enum limit_kind kind, uid_t uid);

/*
 * Take so much for a user: 0, or the kind's errno, with a line in the log once a minute,
 * or -ENOMEM; then *ret_hold is untouched. `l` is NULL: there are no limits.
 */
int limits_take(struct limits *l, enum limit_kind kind, uid_t uid, uint64_t amount,
		struct limit_hold *ret_hold);
/* Have it hold `amount` at least. Fails as limits_take(), and holds what it held. */
int limit_grow(struct limit_hold *hold, uint64_t amount);
void limit_give(struct limit_hold *hold);
/*
 * close(2) returns before its RELEASE is handled. From when that was received, which is
 * before any later request is, to when all is given back that the descriptor held, a user
 * who would be refused waits for it, two seconds at most, one request of his at a time.
 * limit_closed() is called with what `user` of the same hold was; NULL is fine.
 */
void limit_closing(const struct limit_hold *hold);
void limit_closed(struct limits_user *user);
/* `to` holds nothing; from now on it holds what `from` held. */
void limit_move(struct limit_hold *to, struct limit_hold *from);
/* Something counted elsewhere was refused to this user: count that, and log it. */
int limits_refuse(struct limits *l, enum limit_kind kind, uid_t uid);

/* A line for each user who has something or was refused something. -ENOMEM. */
int limits_text(struct limits *l, struct buf *ret_text);

#endif
