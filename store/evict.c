/* SPDX-License-Identifier: Apache-2.0 */
/*
 * There is no list in the order of priorities: it would have to be changed by every
 * hit. A step looks at runs of rows at random places, works out the priority of each
 * entry, and keeps the lowest in a pool, over steps. Of what it has seen the lowest
 * sixteenth may go, in small batches under `names`; each row is read again there,
 * because it may have been read, pinned or replaced since it was seen.
 *
 * Two hunts go on beside each other, one for the whole store and one below the
 * directory whose quota is passed; each has its pool. L, by which gdsf ages, is what
 * the hunt in the whole store evicted last. Areas with a quota have an L of their own,
 * in memory, or a small one would make all of the store look old.
 *
 * What is not taken: what is open, pinned, has a reservation, or is part of a tree that
 * is being built. What was read since the oldest reservation began is taken when
 * nothing else is found.
 */
#include "store/evict.h"

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <sys/random.h>
#include <time.h>

#include "store/drop.h"
#include "store/gc.h"
#include "store/gen.h"
#include "store/leases.h"
#include "store/priority.h"
#include "store/sampler.h"
#include "store/sealed.h"
#include "store/settings.h"
#include "store/usage.h"
#include "store/util/log.h"
#include "store/util/monocond.h"
#include "store/xattrs.h"

#define PLACES 16     /* in a step: half of them by chance, half one after the other */
#define PLACE_ROWS 16 /* at each */
#define POOL_MAX 512
#define SEEN_MIN 1024 /* before anything is taken, unless that is more than there is */
#define PART 16	      /* one in so many of those seen may go */
#define BATCH_MAX 32  /* under one hold of `names` */
/* As long as one in so many of those seen has expired, nothing else goes. */
#define EXPIRED_PART 8
/* Steps in which nothing was taken: then what was just read, and then a pause. */
#define DRY_RECENT 16
#define DRY_MAX 64
#define TICK_NS (5 * NSEC_PER_SEC)   /* another program may fill the disk */
#define SAVE_NS (60 * NSEC_PER_SEC)  /* of L, at most once in */
#define LEASES_NS (5 * NSEC_PER_SEC) /* a look at the oldest reservation */
/* To be deleted, for which gc does not wait: so much, or a part of the store's size. */
#define HURRY_BYTES (UINT64_C(32) << 20)
#define HURRY_PART 64
#define AREAS_MAX 16 /* whose L is remembered */

static const char history_key[] = "evict-history";

enum rank_class { RANK_EXPIRED, RANK_FREE, RANK_RECENT };
/* What goes first is lower. `value`: the time of expiry, or the priority. */
struct rank {
	enum rank_class class;
	double value;
};

struct candidate {
	struct rank rank;
	uint64_t ino;
};

struct hunt {
	uint64_t dir_ino; /* below which; 0: everywhere */
	struct priority_history *history;
	struct candidate pool[POOL_MAX]; /* the lowest last */
	size_t count;
	size_t credit;	   /* times PART: what may go */
	bool expired_only; /* in this step */
	size_t seen;	   /* since it began */
	uint64_t cursor;   /* of the places one after the other; 0: at the beginning */
	bool swept;	   /* it came to the end since then */
	unsigned int dry;  /* steps since something was taken */
	/* Of the whole store's: after too many of those, twice as long each time. */
	int64_t pause_ns;
	int64_t resume_ns; /* monotonic: not before */
};

struct area {
	uint64_t dir_ino;
	struct priority_history history;
};

struct evictor {
	struct store *st;
	pthread_t thread;
	bool runs;
	atomic_bool stop;

	pthread_mutex_t lock; /* a leaf */
	pthread_cond_t wake;
	atomic_bool asked; /* set under lock */

	pthread_mutex_t work; /* of what follows; before `names` */
	struct sampler sampler;
	struct hunt store_hunt, quota_hunt;
	struct priority_history history;
	bool history_changed;
	int64_t saved_ns;	       /* monotonic */
	struct area *areas[AREAS_MAX]; /* the one used last first */
	enum store_policy policy;
	int64_t now_ns;		  /* of the step, wall clock */
	int64_t oldest_lease_ns;  /* wall clock */
	int64_t leases_looked_ns; /* monotonic */
	uint64_t to_delete_bytes; /* dropped since gc was hurried */
	int last_error;
};

static bool rank_lower(struct rank a, struct rank b)
{
	return a.class != b.class ? a.class < b.class : a.value < b.value;
}

/* ---- the pool ---- */

/* What it was worth when it was seen before may be wrong by now. */
static void pool_forget(struct hunt *hunt, uint64_t ino)
{
	size_t i = 0;

	while (i < hunt->count && hunt->pool[i].ino != ino)
		i++;
	if (i == hunt->count)
		return;
	hunt->count--;
	memmove(&hunt->pool[i], &hunt->pool[i + 1],
		(hunt->count - i) * sizeof(hunt->pool[0]));
}

static bool pool_wants(const struct hunt *hunt, struct rank rank)
{
	return hunt->count < POOL_MAX || rank_lower(rank, hunt->pool[0].rank);
}

/* Into its place; the highest goes when there are too many. */
static void pool_add(struct hunt *hunt, struct candidate c)
{
	size_t low = 0, high;

	if (hunt->count == POOL_MAX) {
		hunt->count--;
		memmove(&hunt->pool[0], &hunt->pool[1],
			hunt->count * sizeof(hunt->pool[0]));
	}
	high = hunt->count;
	while (low < high) {
		size_t mid = (low + high) / 2;

		if (rank_lower(c.rank, hunt->pool[mid].rank))
			low = mid + 1;
		else
			high = mid;
	}
	memmove(&hunt->pool[low + 1], &hunt->pool[low],
		(hunt->count - low) * sizeof(hunt->pool[0]));
	hunt->pool[low] = c;
	hunt->count++;
}

/* ---- what an entry is worth ---- */

static bool is_below(struct store *st, const struct policy *policy, uint64_t dir_ino)
{
	struct policy at = *policy;

	while (at.quota_ino && at.quota_ino != dir_ino)
		if (!at.quota_parent_branch ||
		    policy_get(st, at.quota_parent_branch, &at))
			return false;
	return at.quota_ino == dir_ino;
}

static bool is_pinned(struct store *st, const struct inode_row *row)
{
	struct settings settings;

	return xattrs_pinned(row->xattrs) ||
	       (!policy_settings(st, row->parent_branch, &settings) &&
		settings.pin == PIN_YES);
}

/*
 * May it go, as far as its row and what is above it tell? What is not to be found any
 * more, or belongs to a removed directory, is gc's. `limit`: of no interest is what
 * ranks higher; NULL: everything is.
 */
static bool judge(struct evictor *ev, const struct hunt *hunt,
		  const struct inode_row *row, const struct rank *limit,
		  struct rank *ret_rank)
{
	struct priority_facts facts = {.created_ns = row->core.created_ns,
				       .cost_s = row->cost_s,
				       .charge_bytes = core_charge(&row->core)};
	struct store *st = ev->st;
	struct heat_row heat;
	struct policy policy;
	int64_t expires_ns;
	struct rank rank = {.class = RANK_FREE};

	if (S_ISDIR(row->core.mode) || policy_get(st, row->parent_branch, &policy) ||
	    policy.staged || (hunt->dir_ino && !is_below(st, &policy, hunt->dir_ino)))
		return false;
	expires_ns = core_expires_ns(&row->core, policy.ttl_ns);
	if (expires_ns <= ev->now_ns) {
		*ret_rank = (struct rank){RANK_EXPIRED, (double)expires_ns};
		return true;
	}
	if (is_pinned(st, row))
		return false;
	/* Reads only raise it: most need not be asked for theirs. */
	rank.value = priority_of(ev->policy, hunt->history, &facts, ev->now_ns);
	if (limit && !rank_lower(rank, *limit))
		return true;
	if (heat_look(st, row->core.ino, &heat))
		return false;
	facts.reads = heat.hits;
	facts.last_read_ns = heat.last_read_ns;
	if (heat.hits && heat.last_read_ns >= ev->oldest_lease_ns)
		rank.class = RANK_RECENT;
	rank.value = priority_of(ev->policy, hunt->history, &facts, ev->now_ns);
	*ret_rank = rank;
	return true;
}

/* ---- looking around ---- */

/* Those that may go. */
struct seen {
	size_t all, expired;
};

/* One row of the sample. */
static void see(struct evictor *ev, struct hunt *hunt, uint64_t ino, struct slice raw,
		struct seen *seen)
{
	struct rank rank = {.class = RANK_RECENT, .value = INFINITY};
	struct rank *limit = hunt->count == POOL_MAX ? &hunt->pool[0].rank : NULL;
	struct inode_row row;

	/* A damaged row is for who reads the entry, and for a check. */
	if (inode_decode(raw, &row) || row.core.ino != ino ||
	    !judge(ev, hunt, &row, limit, &rank))
		return;
	seen->all++;
	seen->expired += rank.class == RANK_EXPIRED;
	pool_forget(hunt, ino);
	if (pool_wants(hunt, rank))
		pool_add(hunt, (struct candidate){rank, ino});
}

/* A run of rows; *ret_next is the first number behind those looked at. */
static int look_at(struct evictor *ev, struct hunt *hunt, uint64_t from,
		   struct seen *seen, uint64_t *ret_next)
{
	uint64_t end = ino_end(ev->st),
		 to = sampler_until(&ev->sampler, end, from, PLACE_ROWS);
	struct key first = key_ino(from), last = key_ino(to);
	uint64_t inos[PLACE_ROWS];
	struct backend_iter *it;
	size_t count = 0;
	int r;

	r = backend_iter_new_until(ev->st->be, TABLE_INODE, key_slice(&last), &it);
	if (r)
		return r;
	for (backend_iter_seek(it, key_slice(&first));
	     backend_iter_valid(it) && count < PLACE_ROWS; backend_iter_next(it)) {
		if (key_ino_decode(backend_iter_key(it), &inos[count]))
			continue;
		see(ev, hunt, inos[count], backend_iter_value(it), seen);
		count++;
	}
	r = backend_iter_status(it);
	backend_iter_free(it);
	if (count == PLACE_ROWS)
		to = inos[count - 1] + 1;
	sampler_saw(&ev->sampler, end, from, to, inos, count);
	*ret_next = to;
	return r == -EUCLEAN ? 0 : r; /* a damaged place does not keep the rest */
}

/*
 * Where entries lie in heaps with wide gaps between, those picked by chance are mostly
 * the same; who goes on from where he was comes to each as often as to any other.
 */
static int look_around(struct evictor *ev, struct hunt *hunt, struct seen *seen)
{
	int r = 0;

	for (int i = 0; !r && i < PLACES; i++) {
		uint64_t end = ino_end(ev->st), next;
		bool by_chance = i % 2;

		if (end <= INO_FIRST)
			break;
		if (!by_chance && (hunt->cursor < INO_FIRST || hunt->cursor >= end)) {
			hunt->swept = hunt->cursor != 0;
			hunt->cursor = INO_FIRST;
		}
		r = look_at(ev, hunt,
			    by_chance ? sampler_pick(&ev->sampler, INO_FIRST, end)
				      : hunt->cursor,
			    seen, &next);
		if (!r && !by_chance)
			hunt->cursor = next;
	}
	return r;
}

/* ---- dropping ---- */

struct dropping {
	struct evictor *ev;
	struct hunt *hunt;
	struct batch batch;
	struct drops drops;
	int64_t wanted_bytes; /* still */
	size_t dropped;
	uint64_t dropped_bytes;
	double level; /* of what was dropped; 0: only what had expired */
};

/* An index in memory keeps a tree open that nobody uses. */
static bool is_open(struct store *st, const struct row_core *core)
{
	bool used = false;
	unsigned int idle = core->sealed && sealed_has_index(st, core->ino, &used);

	return used || gen_refs(st, core->ino) > idle;
}

static bool is_reserved(struct store *st, const struct inode_row *row)
{
	char name[STORE_NAME_MAX + 1];

	memcpy(name, row->name.data, row->name.len);
	name[row->name.len] = '\0';
	return !store_lease_get(st, row->parent_branch, name, NULL);
}

/* Under `names`. 1: it was not dropped, and is no candidate any more, or another one. */
static int drop_candidate(struct dropping *d, const struct candidate *c)
{
	CLEANUP_INODE struct inode in = INODE_INIT;
	struct store *st = d->ev->st;
	uint64_t charge;
	struct rank rank;
	int r = inode_load(st, c->ino, &in);

	if (r)
		return r == -ENOENT || r == -EUCLEAN ? 1 : r;
	if (!judge(d->ev, d->hunt, &in.row, NULL, &rank) || is_open(st, &in.row.core) ||
	    is_reserved(st, &in.row))
		return 1;
	/* It is worth more by now, and there is something else. */
	if (rank_lower(c->rank, rank) && d->hunt->count &&
	    rank_lower(d->hunt->pool[d->hunt->count - 1].rank, rank)) {
		pool_add(d->hunt, (struct candidate){rank, c->ino});
		return 1;
	}
	r = drop_name(st, &d->batch, &in.row,
		      rank.class == RANK_EXPIRED ? STORE_DROP_EXPIRED
						 : STORE_DROP_EVICTED,
		      &d->drops);
	if (r)
		return r;
	charge = core_charge(&in.row.core);
	d->wanted_bytes -= (int64_t)charge;
	d->dropped++;
	d->dropped_bytes += charge;
	if (rank.class == RANK_EXPIRED)
		return 0;
	d->hunt->credit -= d->hunt->credit < PART ? d->hunt->credit : PART;
	if (rank.class == RANK_FREE)
		d->level = rank.value;
	return 0;
}

/* Is there one that may be taken now? */
static bool may_take(const struct hunt *hunt)
{
	const struct candidate *lowest;

	if (!hunt->count || (hunt->seen < SEEN_MIN && !hunt->swept))
		return false;
	lowest = &hunt->pool[hunt->count - 1];
	if (lowest->rank.class == RANK_EXPIRED)
		return true;
	if (hunt->expired_only)
		return false;
	if (lowest->rank.class == RANK_RECENT && hunt->dry < DRY_RECENT)
		return false;
	return hunt->credit >= PART;
}

/* Under `names`. */
static int fill_batch(struct dropping *d)
{
	int r = 0;

	for (int tries = 0; tries < 2 * BATCH_MAX && d->dropped < BATCH_MAX &&
			    d->wanted_bytes > 0 && may_take(d->hunt);
	     tries++) {
		struct candidate c = d->hunt->pool[--d->hunt->count];

		r = drop_candidate(d, &c);
		if (r < 0)
			return r;
	}
	return 0;
}

static int commit_batch(struct dropping *d)
{
	struct store *st = d->ev->st;
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&st->names);
	int r = fill_batch(d);

	if (!r && d->dropped)
		r = store_commit(st, &d->batch);
	return r;
}

static void hurry_gc(struct evictor *ev)
{
	if (ev->to_delete_bytes)
		gc_soon(ev->st, true);
	ev->to_delete_bytes = 0;
}

static void dropped(struct dropping *d, struct evict_step *step)
{
	struct evictor *ev = d->ev;

	if (d->level > 0 && ev->policy == STORE_GDSF) {
		priority_raise(d->hunt->history, ev->now_ns, d->level);
		ev->history_changed |= !d->hunt->dir_ino;
	}
	drops_tell(ev->st, &d->drops);
	d->hunt->dry = 0;
	d->hunt->pause_ns = 0;
	if (d->hunt->dir_ino)
		usage_quota_freed(ev->st, d->hunt->dir_ino);
	step->dropped += d->dropped;
	step->dropped_bytes += d->dropped_bytes;
	ev->to_delete_bytes += d->dropped_bytes;
	if (ev->to_delete_bytes >= HURRY_BYTES ||
	    ev->to_delete_bytes >= atomic_load(&ev->st->usage.size_bytes) / HURRY_PART)
		hurry_gc(ev);
}

/* One batch; *ret_more: there may be another one. */
static int drop_some(struct evictor *ev, struct hunt *hunt, int64_t wanted_bytes,
		     struct evict_step *step, bool *ret_more)
{
	struct dropping d = {.ev = ev, .hunt = hunt, .wanted_bytes = wanted_bytes};
	int r = commit_batch(&d);

	if (!r && d.dropped)
		dropped(&d, step);
	*ret_more = d.dropped > 0;
	batch_deinit(&d.batch);
	drops_deinit(&d.drops);
	return r;
}

/* ---- hunts ---- */

static struct priority_history *area_history(struct evictor *ev, uint64_t dir_ino)
{
	struct area *area;
	size_t i = 0;

	while (i < AREAS_MAX - 1 && ev->areas[i] && ev->areas[i]->dir_ino != dir_ino)
		i++;
	area = ev->areas[i] ?: calloc(1, sizeof(*area));
	if (!area)
		return NULL;
	memmove(&ev->areas[1], &ev->areas[0], i * sizeof(ev->areas[0]));
	ev->areas[0] = area;
	if (area->dir_ino != dir_ino)
		*area = (struct area){.dir_ino = dir_ino};
	return &area->history;
}

static int begin_quota_hunt(struct evictor *ev, uint64_t dir_ino)
{
	struct hunt *hunt = &ev->quota_hunt;

	if (hunt->dir_ino == dir_ino)
		return 0;
	*hunt = (struct hunt){.history = area_history(ev, dir_ino)};
	if (!hunt->history)
		return -ENOMEM;
	hunt->dir_ino = dir_ino;
	return 0;
}

/* Nothing is to be taken: the next time begins with a look around. */
static void rest_hunt(struct hunt *hunt)
{
	hunt->seen = 0;
	hunt->cursor = 0;
	hunt->swept = false;
}

/* True the first time. */
static bool pause_store_hunt(struct hunt *hunt)
{
	bool first = !hunt->pause_ns;

	hunt->pause_ns = first ? USAGE_PAUSE_MIN_NS : 2 * hunt->pause_ns;
	if (hunt->pause_ns > USAGE_PAUSE_MAX_NS)
		hunt->pause_ns = USAGE_PAUSE_MAX_NS;
	hunt->resume_ns = time_monotonic_ns() + hunt->pause_ns;
	return first;
}

/* Nothing was taken for long. */
static void pause_hunt(struct evictor *ev, struct hunt *hunt)
{
	bool first = hunt->dir_ino ? usage_quota_stuck(ev->st, hunt->dir_ino)
				   : pause_store_hunt(hunt);

	hunt->dry = 0;
	gc_soon(ev->st, true);
	if (first)
		log_warning("%s: above its mark%s, and nothing can be evicted: all is "
			    "open, pinned or reserved; unpin or remove something, or "
			    "allow more",
			    ev->st->path,
			    hunt->dir_ino ? " for a directory with a quota" : "");
}

static int64_t hunt_excess(struct evictor *ev, const struct hunt *hunt)
{
	uint64_t dir_ino = 0;
	int64_t bytes =
	    hunt->dir_ino ? usage_quota_excess(ev->st, &dir_ino) : usage_excess(ev->st);

	return dir_ino == hunt->dir_ino ? bytes : 0;
}

static int hunt_step(struct evictor *ev, struct hunt *hunt, int64_t wanted_bytes,
		     struct evict_step *step)
{
	bool more = true;
	struct seen seen = {0};
	int r;

	hunt->dry++;
	r = look_around(ev, hunt, &seen);
	step->seen += seen.all;
	hunt->expired_only = seen.expired && hunt->dry < DRY_RECENT &&
			     seen.expired * EXPIRED_PART >= seen.all;
	hunt->seen += seen.all;
	hunt->credit += seen.all;
	if (hunt->credit > PART * BATCH_MAX)
		hunt->credit = PART * BATCH_MAX;
	while (!r && more && wanted_bytes > 0) {
		r = drop_some(ev, hunt, wanted_bytes, step, &more);
		wanted_bytes = hunt_excess(ev, hunt);
	}
	if (!r && hunt->dry >= DRY_MAX)
		pause_hunt(ev, hunt);
	return r;
}

/* ---- a step ---- */

static void load_history(struct evictor *ev)
{
	CLEANUP_BUF struct buf raw = BUF_INIT;
	int r = backend_get(ev->st->be, TABLE_META, slice_str(history_key), &raw);

	if (!r)
		r = priority_decode(buf_slice(&raw), &ev->history);
	if (r && r != -ENOENT)
		log_warning("%s: what was evicted when cannot be read, and is begun "
			    "anew: %s",
			    ev->st->path, strerror(-r));
}

static int save_history(struct evictor *ev)
{
	CLEANUP_BATCH struct batch b = BATCH_INIT;
	CLEANUP_BUF struct buf raw = BUF_INIT;
	int r = priority_encode(&ev->history, &raw);

	if (r)
		return r;
	batch_put(&b, TABLE_META, slice_str(history_key), buf_slice(&raw));
	r = backend_commit(ev->st->be, &b);
	if (!r)
		ev->history_changed = false;
	ev->saved_ns = time_monotonic_ns();
	return r;
}

static void begin_step(struct evictor *ev)
{
	struct store *st = ev->st;
	int64_t mono_ns = time_monotonic_ns();
	enum store_policy policy = (enum store_policy)atomic_load(&st->usage.policy);

	ev->now_ns = st->clock->wall_ns(st->clock->arg);
	if (policy != ev->policy) /* their values cannot be compared */
		ev->store_hunt.count = ev->quota_hunt.count = 0;
	ev->policy = policy;
	if (mono_ns - ev->leases_looked_ns < LEASES_NS && ev->leases_looked_ns)
		return;
	ev->oldest_lease_ns = leases_oldest_ns(st);
	ev->leases_looked_ns = mono_ns;
}

static bool is_paused(const struct hunt *hunt)
{
	return hunt->pause_ns && time_monotonic_ns() < hunt->resume_ns;
}

/* Below the quota first: what goes there counts for the store, too. */
static int step_locked(struct evictor *ev, struct evict_step *step)
{
	struct store *st = ev->st;
	int64_t store_bytes = usage_excess(st), quota_bytes;
	uint64_t dir_ino = 0;
	int r = 0;

	quota_bytes = usage_quota_excess(st, &dir_ino);
	if (store_bytes <= 0)
		rest_hunt(&ev->store_hunt);
	if (quota_bytes <= 0)
		rest_hunt(&ev->quota_hunt);
	step->idle = store_bytes <= 0 && quota_bytes <= 0;
	if (step->idle) {
		hurry_gc(ev);
		return 0;
	}
	begin_step(ev);
	if (quota_bytes > 0)
		r = begin_quota_hunt(ev, dir_ino);
	if (!r && quota_bytes > 0)
		r = hunt_step(ev, &ev->quota_hunt, quota_bytes, step);
	if (!r && store_bytes > 0 && !is_paused(&ev->store_hunt))
		r = hunt_step(ev, &ev->store_hunt, store_bytes, step);
	if (!r && ev->history_changed && time_monotonic_ns() - ev->saved_ns >= SAVE_NS)
		r = save_history(ev);
	return r;
}

int evict_step(struct store *st, struct evict_step *ret_step)
{
	struct evictor *ev = st->evictor;
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&ev->work);
	struct evict_step step = {0};
	int r = step_locked(ev, &step);

	if (r && r != ev->last_error)
		log_error("%s: evicting failed and will be tried again: %s", st->path,
			  strerror(-r));
	ev->last_error = r;
	*ret_step = step;
	return r;
}

void evict_seed(struct store *st, uint64_t seed)
{
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&st->evictor->work);

	sampler_init(&st->evictor->sampler, seed);
}

/* ---- the thread ---- */

void evict_wake(struct store *st)
{
	struct evictor *ev = st->evictor;

	if (!ev || atomic_load(&ev->asked))
		return;
	pthread_mutex_lock(&ev->lock);
	atomic_store(&ev->asked, true);
	pthread_cond_signal(&ev->wake);
	pthread_mutex_unlock(&ev->lock);
}

/* Until stopped, asked (if `asked` may end it), or for so long. */
static void wait_for(struct evictor *ev, int64_t delay_ns, bool asked)
{
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&ev->lock);
	struct timespec until = monocond_after(delay_ns);
	int r = 0;

	while (!r && !atomic_load(&ev->stop) && !(asked && atomic_load(&ev->asked)))
		r = pthread_cond_timedwait(&ev->wake, &ev->lock, &until);
	if (asked)
		atomic_store(&ev->asked, false);
}

static void *evict_main(void *arg)
{
	struct store *st = arg;
	struct evictor *ev = st->evictor;

	while (!atomic_load(&ev->stop)) {
		struct evict_step step;
		int r = evict_step(st, &step);

		if (!r && step.idle)
			wait_for(ev, TICK_NS, true);
		else if (r || !step.seen)
			wait_for(ev, USAGE_PAUSE_MIN_NS, false);
	}
	return NULL;
}

int evict_new(struct store *st)
{
	struct evictor *ev = calloc(1, sizeof(*ev));
	uint64_t seed = 0;

	if (!ev)
		return -ENOMEM;
	ev->st = st;
	ev->store_hunt.history = &ev->history;
	ev->policy = (enum store_policy)atomic_load(&st->usage.policy);
	ev->oldest_lease_ns = DURATION_NONE;
	if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) < 0)
		seed = (uint64_t)time_now_ns();
	sampler_init(&ev->sampler, seed);
	pthread_mutex_init(&ev->lock, NULL);
	pthread_mutex_init(&ev->work, NULL);
	monocond_init(&ev->wake);
	load_history(ev);
	st->evictor = ev;
	return 0;
}

int evict_start(struct store *st)
{
	int r = -pthread_create(&st->evictor->thread, NULL, evict_main, st);

	st->evictor->runs = !r;
	return r;
}

static void end_thread(struct evictor *ev)
{
	pthread_mutex_lock(&ev->lock);
	atomic_store(&ev->stop, true);
	pthread_cond_signal(&ev->wake);
	pthread_mutex_unlock(&ev->lock);
	pthread_join(ev->thread, NULL);
	ev->runs = false;
}

void evict_stop(struct store *st)
{
	struct evictor *ev = st->evictor;

	if (ev && ev->runs)
		end_thread(ev);
	if (!ev)
		return;
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&ev->work);
	if (ev->history_changed && save_history(ev))
		log_warning("%s: what was evicted when could not be saved", st->path);
}

void evict_free(struct store *st)
{
	struct evictor *ev = st->evictor;

	if (!ev)
		return;
	st->evictor = NULL;
	for (int i = 0; i < AREAS_MAX; i++)
		free(ev->areas[i]);
	pthread_cond_destroy(&ev->wake);
	pthread_mutex_destroy(&ev->work);
	pthread_mutex_destroy(&ev->lock);
	free(ev);
}
