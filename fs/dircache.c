/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/dircache.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "store/util/htab.h"

enum { SLOTS = 256, FEW = 4096 };

/* As of names (fs/kcache.c): the kernel may be slow to use what it was given. */
#define MARGIN_NS NSEC_PER_SEC

/* LOOKUPs beside one listing, until it counts as one that wants attributes. */
enum { LOOKUPS_MAX = 32 };
/* Attributes were wanted so often, although they had come with the copy (the kernel keeps
 * them for too short a time): it is given up. */
enum { DROPS_MAX = 2 };

enum state {
	EMPTY,	  /* or nobody knows what is in it */
	FILLING,  /* by `filler` */
	PART,	  /* of these names, and nobody goes on */
	COMPLETE, /* these names */
};

/* What is known of one directory's copy. */
struct slot {
	uint64_t nodeid; /* 0: of none */
	enum state state;
	unsigned int open; /* listings that may be copied */
	const void *filler;
	uint64_t given;	  /* it was given names up to here */
	bool plain;	  /* some of them without their attributes */
	int64_t until_ns; /* when the first of them expires */
	struct store_dir_stamp names;
	bool wants_plus;
	unsigned int lookups, drops;
};

struct dircache {
	atomic_uint kept;     /* listings that read a copy, or may */
	pthread_mutex_t lock; /* a leaf, for all that follows */
	struct slot slots[SLOTS];
	uint64_t few[FEW];    /* directories that are not worth it */
	unsigned int unknown; /* listings that may be copied, of no slot */
};

int dircache_new(struct dircache **ret_c)
{
	struct dircache *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	pthread_mutex_init(&c->lock, NULL);
	*ret_c = c;
	return 0;
}

void dircache_free(struct dircache *c)
{
	if (!c)
		return;
	pthread_mutex_destroy(&c->lock);
	free(c);
}

/* With the lock; NULL: it has none. */
static struct slot *slot_of(struct dircache *c, uint64_t nodeid)
{
	struct slot *s = &c->slots[hash_u64(nodeid) % SLOTS];

	return s->nodeid == nodeid ? s : NULL;
}

/* With the lock; NULL: another directory's is in use. */
static struct slot *take_slot(struct dircache *c, uint64_t nodeid)
{
	struct slot *s = &c->slots[hash_u64(nodeid) % SLOTS];

	if (s->nodeid != nodeid && !s->open)
		*s = (struct slot){.nodeid = nodeid};
	return s->nodeid == nodeid ? s : NULL;
}

static void spoil(struct slot *s)
{
	s->state = EMPTY;
	s->filler = NULL;
}

/* With the lock. */
static uint64_t *few_of(struct dircache *c, uint64_t nodeid)
{
	return &c->few[hash_u64(nodeid) % FEW];
}

void dircache_learn(struct dircache *c, uint64_t nodeid, bool many)
{
	uint64_t *few;

	if (!c)
		return;
	few = few_of(c, nodeid);
	pthread_mutex_lock(&c->lock);
	/* Without a slot it is not looked at again until it is listed. */
	if (!many || !take_slot(c, nodeid))
		*few = nodeid;
	else if (*few == nodeid)
		*few = 0;
	pthread_mutex_unlock(&c->lock);
}

/* With the lock. */
static enum dircache_worth worth(struct dircache *c, uint64_t nodeid)
{
	const struct slot *s = slot_of(c, nodeid);

	if (c->unknown || (s && s->drops >= DROPS_MAX))
		return DIRCACHE_NO;
	if (s)
		return DIRCACHE_YES;
	return *few_of(c, nodeid) == nodeid ? DIRCACHE_NO : DIRCACHE_UNKNOWN;
}

enum dircache_worth dircache_worth(struct dircache *c, uint64_t nodeid)
{
	enum dircache_worth w;

	if (!c)
		return DIRCACHE_NO;
	pthread_mutex_lock(&c->lock);
	w = worth(c, nodeid);
	pthread_mutex_unlock(&c->lock);
	return w;
}

/* Is what the kernel has, or has a part of, what would be read from the store? */
static bool is_good(const struct slot *s, const struct store_dir_stamp *names)
{
	return store_dir_stamp_equal(&s->names, names) &&
	       (s->until_ns == DURATION_NONE ||
		s->until_ns - MARGIN_NS > time_now_ns()) &&
	       (s->state == PART ||
		(s->state == COMPLETE && !(s->wants_plus && s->plain)));
}

/* What the kernel has of it already stays there, with what was known of that. */
static void go_on(struct slot *s, const void *by)
{
	s->state = FILLING;
	s->filler = by;
	s->given = 0;
}

static void fill(struct slot *s, const void *by, const struct store_dir_stamp *names)
{
	go_on(s, by);
	s->names = *names;
	s->plain = false;
	s->until_ns = DURATION_NONE;
}

static enum dircache_use decide(struct slot *s, const void *by,
				const struct store_dir_stamp *names)
{
	bool good = is_good(s, names);

	if (s->state == COMPLETE && good)
		return DIRCACHE_KEEP;
	if (s->open)
		return DIRCACHE_NONE;
	if (good) {
		go_on(s, by);
		return DIRCACHE_KEEP;
	}
	fill(s, by, names);
	return DIRCACHE_FILL;
}

enum dircache_use dircache_open(struct dircache *c, uint64_t nodeid, const void *by,
				const struct store_dir_stamp *names)
{
	enum dircache_use use = DIRCACHE_NONE;
	struct slot *s;

	pthread_mutex_lock(&c->lock);
	s = slot_of(c, nodeid);
	if (s && !c->unknown)
		use = decide(s, by, names);
	if (use != DIRCACHE_NONE) {
		s->open++;
		s->lookups = 0;
		atomic_fetch_add(&c->kept, 1);
	}
	pthread_mutex_unlock(&c->lock);
	return use;
}

void dircache_resume(struct dircache *c, uint64_t nodeid)
{
	struct slot *s;

	pthread_mutex_lock(&c->lock);
	s = take_slot(c, nodeid);
	if (s)
		s->open++;
	else
		c->unknown++;
	atomic_fetch_add(&c->kept, 1);
	pthread_mutex_unlock(&c->lock);
}

void dircache_read(struct dircache *c, uint64_t nodeid, const void *by, uint64_t off,
		   bool first)
{
	struct slot *s;

	pthread_mutex_lock(&c->lock);
	s = slot_of(c, nodeid);
	/* The kernel had no room for it, and makes it anew, or a part of it. */
	if (s && s->state == COMPLETE && s->open == 1 && first && off == 0)
		go_on(s, by);
	/* A listing that begins again may be one of other names. */
	if (s && (s->filler != by || off > s->given || (off == 0 && !first)))
		spoil(s);
	pthread_mutex_unlock(&c->lock);
}

void dircache_gave(struct dircache *c, uint64_t nodeid, const void *by, uint64_t next_off,
		   int64_t until_ns, bool plus)
{
	struct slot *s;

	pthread_mutex_lock(&c->lock);
	s = slot_of(c, nodeid);
	if (s && s->filler == by) {
		if (next_off > s->given)
			s->given = next_off;
		if (until_ns < s->until_ns)
			s->until_ns = until_ns;
		s->plain |= !plus;
	}
	pthread_mutex_unlock(&c->lock);
}

void dircache_end(struct dircache *c, uint64_t nodeid, const void *by)
{
	struct slot *s;

	pthread_mutex_lock(&c->lock);
	s = slot_of(c, nodeid);
	if (s && s->filler == by) {
		s->state = COMPLETE;
		s->filler = NULL;
	}
	pthread_mutex_unlock(&c->lock);
}

void dircache_close(struct dircache *c, uint64_t nodeid, const void *by)
{
	struct slot *s;

	pthread_mutex_lock(&c->lock);
	s = slot_of(c, nodeid);
	if (s && s->open)
		s->open--;
	else
		c->unknown--;
	if (s && s->filler == by) {
		/* One that asked for nothing may never have come to the kernel. */
		s->state = s->given ? PART : EMPTY;
		s->filler = NULL;
	}
	atomic_fetch_sub(&c->kept, 1);
	pthread_mutex_unlock(&c->lock);
}

/* With the lock. Those of who fills the copy are answered from what he is given. */
static bool count_lookup(struct slot *s)
{
	if (s->state != COMPLETE || !s->open || ++s->lookups < LOOKUPS_MAX)
		return false;
	if (s->plain)
		s->wants_plus = true;
	else
		s->drops++;
	spoil(s);
	return true;
}

bool dircache_looked_up(struct dircache *c, uint64_t nodeid)
{
	struct slot *s;
	bool drop;

	if (!c || !atomic_load_explicit(&c->kept, memory_order_relaxed))
		return false;
	pthread_mutex_lock(&c->lock);
	s = slot_of(c, nodeid);
	drop = s && count_lookup(s);
	pthread_mutex_unlock(&c->lock);
	return drop;
}
