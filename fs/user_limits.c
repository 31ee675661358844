/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/user_limits.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "fs/session.h"
#include "store/store.h"
#include "store/util/htab.h"
#include "store/util/log.h"
#include "store/util/monocond.h"

#define SAY_EACH_NS (60 * NSEC_PER_SEC)
/* Much longer than a RELEASE takes. */
#define CLOSING_MAX_NS (2 * NSEC_PER_SEC)

static const struct {
	const char *name, *option, *remedy;
	int errnum;
} kinds[LIMIT_KINDS] = {
    [LIMIT_HANDLES] = {"open descriptors", "user-handles", "close some", EMFILE},
    [LIMIT_VALUES] = {"values being written", "user-values", "close some", EMFILE},
    [LIMIT_BYTES] = {"bytes in values being written", "user-bytes", "close some", EDQUOT},
    [LIMIT_RESERVATIONS] = {"reservations", "user-reservations", "release some", EDQUOT},
    [LIMIT_WAITERS] = {"waiting opens", "user-waiters", "let some end", EAGAIN},
};

struct limits_user {
	struct hlink link;
	struct limits *limits;
	uid_t uid;
	_Atomic uint64_t used[LIMIT_KINDS];
	_Atomic uint64_t refused[LIMIT_KINDS];
	_Atomic int64_t said_ns[LIMIT_KINDS]; /* monotonic; 0: never */
	atomic_uint closing;		      /* limit_closing() less limit_closed() */
	bool waits;			      /* for that; under limits.lock */
};

struct limits {
	uid_t own_uid;
	_Atomic uint64_t max[LIMIT_KINDS];
	pthread_mutex_t lock; /* a leaf */
	struct htab users;    /* under lock; what is in it stays */
	pthread_cond_t closed;
	atomic_uint waiting; /* for that; changed under lock */
	unsigned int waiting_max;
};

int limits_new(struct limits **ret_limits)
{
	struct limits *l = calloc(1, sizeof(*l));

	if (!l)
		return -ENOMEM;
	l->own_uid = geteuid();
	for (int i = 0; i < LIMIT_KINDS; i++)
		atomic_init(&l->max[i], LIMIT_NONE);
	pthread_mutex_init(&l->lock, NULL);
	monocond_init(&l->closed);
	*ret_limits = l;
	return 0;
}

void limits_set_waiting_max(struct limits *l, unsigned int n)
{
	l->waiting_max = n;
}

void limits_free(struct limits *l)
{
	if (!l)
		return;
	for (struct hwalk w = htab_walk(&l->users); w.link; hwalk_next(&w))
		free(CONTAINER_OF(w.link, struct limits_user, link));
	htab_deinit(&l->users);
	pthread_cond_destroy(&l->closed);
	pthread_mutex_destroy(&l->lock);
	free(l);
}

void limits_set(struct limits *l, enum limit_kind kind, uint64_t max)
{
	atomic_store(&l->max[kind], max);
}

uint64_t limits_max(const struct limits *l, enum limit_kind kind, uid_t uid)
{
	uint64_t max = l ? atomic_load(&l->max[kind]) : LIMIT_NONE;

	if (max == LIMIT_NONE || (uid != 0 && uid != l->own_uid))
		return max;
	return max > LIMIT_NONE / LIMIT_SHARE ? LIMIT_NONE : max * LIMIT_SHARE;
}

/* ---- users ---- */

/* Under the lock. */
static struct limits_user *find(const struct limits *l, uid_t uid)
{
	struct hlink *link = htab_first(&l->users, hash_u64(uid));

	for (; link; link = htab_next(link)) {
		struct limits_user *u = CONTAINER_OF(link, struct limits_user, link);

		if (u->uid == uid)
			return u;
	}
	return NULL;
}

/* Under the lock. */
static struct limits_user *add(struct limits *l, uid_t uid)
{
	struct limits_user *u = calloc(1, sizeof(*u));

	if (!u)
		return NULL;
	u->limits = l;
	u->uid = uid;
	if (htab_add(&l->users, &u->link, hash_u64(uid))) {
		free(u);
		return NULL;
	}
	return u;
}

/* NULL: no memory. */
static struct limits_user *user_of(struct limits *l, uid_t uid)
{
	struct limits_user *u;

	pthread_mutex_lock(&l->lock);
	u = find(l, uid);
	if (!u)
		u = add(l, uid);
	pthread_mutex_unlock(&l->lock);
	return u;
}

/* ---- taking ---- */

/* Once a minute for each user and kind: who is refused may try as often as he likes. */
static int refuse(struct limits_user *u, enum limit_kind kind)
{
	int64_t now_ns = time_monotonic_ns(), said_ns = atomic_load(&u->said_ns[kind]);

	atomic_fetch_add(&u->refused[kind], 1);
	if ((!said_ns || now_ns - said_ns >= SAY_EACH_NS) &&
	    atomic_compare_exchange_strong(&u->said_ns[kind], &said_ns, now_ns))
		log_warning("uid %u has as many %s as one user may have, %" PRIu64
			    ", and is refused more; %s, or make %s larger",
			    u->uid, kinds[kind].name, limits_max(u->limits, kind, u->uid),
			    kinds[kind].remedy, kinds[kind].option);
	return -kinds[kind].errnum;
}

static bool fits(struct limits_user *u, enum limit_kind kind, uint64_t amount)
{
	uint64_t max = limits_max(u->limits, kind, u->uid);
	uint64_t before = atomic_fetch_add(&u->used[kind], amount);

	if (amount <= max && before <= max - amount)
		return true;
	atomic_fetch_sub(&u->used[kind], amount);
	return false;
}

/* Wait for what is being closed, unless others do already. */
static bool fits_when_closed(struct limits_user *u, enum limit_kind kind, uint64_t amount)
{
	struct limits *l = u->limits;
	struct timespec until = monocond_after(CLOSING_MAX_NS);
	bool taken = false;
	int r = 0;

	session_pass_token(); /* who reads must not sleep */
	pthread_mutex_lock(&l->lock);
	if (atomic_fetch_add(&l->waiting, 1) >= l->waiting_max || u->waits)
		r = -EBUSY;
	else
		u->waits = true;
	while (!r && !(taken = fits(u, kind, amount)) && atomic_load(&u->closing))
		r = pthread_cond_timedwait(&l->closed, &l->lock, &until);
	atomic_fetch_sub(&l->waiting, 1);
	if (r != -EBUSY)
		u->waits = false;
	pthread_mutex_unlock(&l->lock);
	return taken;
}

static int take(struct limits_user *u, enum limit_kind kind, uint64_t amount)
{
	if (fits(u, kind, amount) ||
	    (atomic_load(&u->closing) && fits_when_closed(u, kind, amount)) ||
	    fits(u, kind, amount)) /* what was closed just then */
		return 0;
	return refuse(u, kind);
}

void limit_closing(const struct limit_hold *hold)
{
	if (hold->user)
		atomic_fetch_add(&hold->user->closing, 1);
}

void limit_closed(struct limits_user *user)
{
	if (!user)
		return;
	atomic_fetch_sub(&user->closing, 1);
	if (!atomic_load(&user->limits->waiting))
		return;
	pthread_mutex_lock(&user->limits->lock);
	pthread_cond_broadcast(&user->limits->closed);
	pthread_mutex_unlock(&user->limits->lock);
}

int limits_take(struct limits *l, enum limit_kind kind, uid_t uid, uint64_t amount,
		struct limit_hold *ret_hold)
{
	struct limits_user *u;
	int r;

	if (!l)
		return 0;
	u = user_of(l, uid);
	if (!u)
		return -ENOMEM;
	r = take(u, kind, amount);
	if (r)
		return r;
	ret_hold->user = u;
	ret_hold->kind = kind;
	atomic_store(&ret_hold->amount, amount);
	return 0;
}

int limit_grow(struct limit_hold *hold, uint64_t amount)
{
	uint64_t held = atomic_load(&hold->amount);
	int r;

	if (!hold->user)
		return 0;
	while (held < amount) {
		uint64_t more = amount - held;

		r = take(hold->user, hold->kind, more);
		if (r)
			return r;
		if (atomic_compare_exchange_strong(&hold->amount, &held, amount))
			return 0;
		/* Another thread was faster; `held` is what it has now. */
		atomic_fetch_sub(&hold->user->used[hold->kind], more);
	}
	return 0;
}

void limit_give(struct limit_hold *hold)
{
	if (!hold->user)
		return;
	atomic_fetch_sub(&hold->user->used[hold->kind], atomic_load(&hold->amount));
	hold->user = NULL;
}

void limit_move(struct limit_hold *to, struct limit_hold *from)
{
	to->user = from->user;
	to->kind = from->kind;
	atomic_store(&to->amount, atomic_load(&from->amount));
	from->user = NULL;
}

int limits_refuse(struct limits *l, enum limit_kind kind, uid_t uid)
{
	struct limits_user *u = user_of(l, uid);

	return u ? refuse(u, kind) : -kinds[kind].errnum;
}

/* ---- showing ---- */

static bool is_shown(const struct limits_user *u)
{
	for (int i = 0; i < LIMIT_KINDS; i++)
		if (atomic_load(&u->used[i]) || atomic_load(&u->refused[i]))
			return true;
	return false;
}

static int put_user(const struct limits_user *u, struct buf *out)
{
	static const char *const names[LIMIT_KINDS] = {"handles", "values", "bytes",
						       "reservations", "waiters"};
	int r = buf_printf(out, "uid=%u", u->uid);

	for (int i = 0; !r && i < LIMIT_KINDS; i++) {
		if (i != LIMIT_RESERVATIONS)
			r = buf_printf(out, " %s=%" PRIu64, names[i],
				       atomic_load(&u->used[i]));
		if (!r)
			r = buf_printf(out, " %s_refused=%" PRIu64, names[i],
				       atomic_load(&u->refused[i]));
	}
	return r ? r : buf_append(out, "\n", 1);
}

int limits_text(struct limits *l, struct buf *ret_text)
{
	int r = 0;

	pthread_mutex_lock(&l->lock);
	for (struct hwalk w = htab_walk(&l->users); !r && w.link; hwalk_next(&w)) {
		struct limits_user *u = CONTAINER_OF(w.link, struct limits_user, link);

		if (is_shown(u))
			r = put_user(u, ret_text);
	}
	pthread_mutex_unlock(&l->lock);
	return r;
}
