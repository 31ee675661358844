/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The background thread: deletes what has lost its name, syncs extents that were
 * published without fsync, looks for what sealed trees have in common, writes counted
 * reads, drops extents nobody names and reservations that have ended, and counts what is
 * below quotas.
 *
 * What is to be done stands in tables (GCQ, UNSYNCED, SHARE), so that a crash forgets
 * nothing. Callers also pass numbers in memory, so that the thread need not look
 * for them: finding the few rows of a table that a million deletions went
 * through is slow. When there are too many numbers, it looks after all.
 *
 * A pass begins a moment after it was asked for, to have more to do in one
 * batch, and at once when much is waiting. `work` is held during a pass, by the
 * thread or by who cannot wait for it: passes never overlap, and what only
 * passes do (deleting contents, writing HEAT and deleting UNSYNCED rows) races
 * with nothing. When `work` is taken, no other lock of the store is held but that
 * of a value being written.
 *
 * Here is who does what when. What is done is in reap.c, extent_sync.c, heat.c.
 */
#include "store/gc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "store/dedup.h"
#include "store/extent_sync.h"
#include "store/gen.h"
#include "store/heat.h"
#include "store/leases.h"
#include "store/notes.h"
#include "store/reap.h"
#include "store/room.h"
#include "store/util/log.h"
#include "store/util/monocond.h"
#include "store/value.h"

#define PASS_DELAY_NS NSEC_PER_SEC	   /* from a wake to the pass */
#define TICK_NS (5 * NSEC_PER_SEC)	   /* a pass when nobody asks for one */
#define REAP_URGENT 8192		   /* numbers that do not wait */
#define UNSYNCED_URGENT_BYTES (256u << 20) /* bytes that do not wait */
#define ROUNDS_MAX 4096			   /* a path has no more directories */
#define RECLAIM_NS (5 * NSEC_PER_SEC)	   /* in the background, for a few deletions */
#define WASTED_MIN (1u << 20)		   /* bytes that are worth a flush */
#define FEW_MAX 4096			   /* more of them wait for the next start */

struct gc {
	pthread_t thread;

	pthread_mutex_t lock; /* of what follows, up to `work` */
	pthread_cond_t wake;
	bool asked, urgent;
	struct notes reap, unsynced;
	struct notes trees;   /* never all: of the others some may still be used */
	struct notes intents; /* to be withdrawn; never all, either */
	uint64_t unsynced_bytes;
	atomic_bool stop; /* set under lock; long work looks at it without */

	pthread_mutex_t work;
	bool seek_orphans;	  /* under work */
	bool seek_trees;	  /* under work: those that an earlier process left */
	bool deleted;		  /* under work: rows, since the last backend_reclaim() */
	int64_t reclaim_after_ns; /* under work: the next in the background */
	uint64_t ours_above;	  /* numbers from here on are of this process */
	int last_error;		  /* under work: what was logged last */

	struct heat *heat;
};

static struct notes notes_take(struct gc *gc, struct notes *notes)
{
	struct notes taken;

	pthread_mutex_lock(&gc->lock);
	taken = *notes;
	*notes = (struct notes){0};
	if (notes == &gc->unsynced)
		gc->unsynced_bytes = 0;
	pthread_mutex_unlock(&gc->lock);
	/* What was asked for twice is deleted, and counted, once. */
	notes_sort(&taken);
	return taken;
}

/* ---- asking for work ---- */

/* Under the lock. */
static void ask(struct gc *gc, bool urgent)
{
	if (gc->asked && (gc->urgent || !urgent))
		return;
	gc->asked = true;
	gc->urgent |= urgent;
	pthread_cond_signal(&gc->wake);
}

/* Of those that are never all. Under the lock. */
static void note_few(struct notes *notes, uint64_t ino)
{
	if (note_count(notes) < FEW_MAX)
		note(notes, ino);
}

void gc_wake(struct store *st)
{
	struct gc *gc = st->gc;

	if (!gc)
		return;
	pthread_mutex_lock(&gc->lock);
	note_all(&gc->reap);
	ask(gc, false);
	pthread_mutex_unlock(&gc->lock);
}

void gc_reap(struct store *st, uint64_t ino)
{
	struct gc *gc = st->gc;

	if (!gc)
		return;
	pthread_mutex_lock(&gc->lock);
	note(&gc->reap, ino);
	ask(gc, note_count(&gc->reap) >= REAP_URGENT);
	pthread_mutex_unlock(&gc->lock);
}

void gc_soon(struct store *st, bool urgent)
{
	struct gc *gc = st->gc;

	if (!gc)
		return;
	pthread_mutex_lock(&gc->lock);
	ask(gc, urgent);
	pthread_mutex_unlock(&gc->lock);
}

void gc_unsynced(struct store *st, uint64_t ino, uint64_t disk_bytes)
{
	struct gc *gc = st->gc;

	if (!gc)
		return;
	pthread_mutex_lock(&gc->lock);
	note(&gc->unsynced, ino);
	gc->unsynced_bytes += disk_bytes;
	ask(gc, gc->unsynced_bytes >= UNSYNCED_URGENT_BYTES);
	pthread_mutex_unlock(&gc->lock);
}

void gc_tree(struct store *st, uint64_t ino)
{
	struct gc *gc = st->gc;

	if (!gc)
		return;
	pthread_mutex_lock(&gc->lock);
	note_few(&gc->trees, ino);
	ask(gc, false);
	pthread_mutex_unlock(&gc->lock);
}

void gc_intent(struct store *st, uint64_t ino)
{
	struct gc *gc = st->gc;

	if (!gc)
		return;
	pthread_mutex_lock(&gc->lock);
	note_few(&gc->intents, ino);
	ask(gc, false);
	pthread_mutex_unlock(&gc->lock);
}

void gc_hits(struct store *st, uint64_t ino, uint64_t hits)
{
	struct gc *gc = st->gc;

	if (!gc || !heat_add(gc->heat, ino, hits, st->clock->wall_ns(st->clock->arg)))
		return;
	pthread_mutex_lock(&gc->lock);
	ask(gc, true);
	pthread_mutex_unlock(&gc->lock);
}

int heat_look(struct store *st, uint64_t ino, struct heat_row *ret_row)
{
	return heat_peek(st, st->gc->heat, ino, ret_row);
}

int heat_hits(struct store *st, uint64_t ino, uint64_t *ret_hits)
{
	uint64_t written, open = gen_hits(st, ino);
	int r = heat_sum(st, st->gc->heat, ino, &written);

	if (!r)
		*ret_hits = written + open;
	return r;
}

/* ---- deleting what has lost its name ---- */

/* The next pass looks at all of it. */
static void look_again(struct gc *gc, struct notes *notes)
{
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&gc->lock);

	note_all(notes);
}

/* Under work. Ended early, the next one looks at all of it. */
static int reap_until(struct store *st, const atomic_bool *stop, struct reaped *sum)
{
	struct gc *gc = st->gc;
	CLEANUP_NOTES struct notes notes = notes_take(gc, &gc->reap);
	int r = reap_noted(st, &notes, stop, sum);

	gc->deleted |= sum->any;
	if (r || atomic_load(stop))
		look_again(gc, &gc->reap);
	return r;
}

static int reap(struct store *st)
{
	struct reaped sum = {0};

	return reap_until(st, &st->gc->stop, &sum);
}

static bool has_reap(struct gc *gc)
{
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&gc->lock);

	return !notes_empty(&gc->reap);
}

bool gc_delete_now(struct store *st)
{
	struct gc *gc = st->gc;
	bool any;

	if (!gc || pthread_mutex_trylock(&gc->work))
		return false;
	any = has_reap(gc) && reap(st) == 0;
	pthread_mutex_unlock(&gc->work);
	return any;
}

/* Under work. What has gone from the database, or is in it twice, takes no room then. */
static int reclaim(struct store *st, bool *ret_any)
{
	struct gc *gc = st->gc;
	int r;

	/* Also what was deleted before the disk was short. */
	*ret_any = gc->deleted || backend_wasted(st->be) >= WASTED_MIN;
	if (!*ret_any)
		return 0;
	r = backend_reclaim(st->be);
	gc->deleted = r != 0;
	return r;
}

static bool make_room(struct store *st)
{
	struct gc *gc = st->gc;
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&gc->work);
	bool reaped = has_reap(gc) && reap(st) == 0, reclaimed;

	(void)reclaim(st, &reclaimed);
	return reaped || reclaimed;
}

bool gc_make_room(struct store *st)
{
	room_waits(st);
	return make_room(st);
}

/*
 * Removals take of what is kept free, and ask nobody; and what the evictor has dropped is
 * not counted as free any more, and must be, or it goes on. A few deletions do not have
 * tables flushed each second.
 */
static int reclaim_when_short(struct store *st)
{
	struct gc *gc = st->gc;
	int64_t now_ns = time_monotonic_ns();
	bool any;
	int r;

	if (!atomic_load(&st->usage.disk_short) && room_is_there(st, 1))
		return 0;
	if (now_ns < gc->reclaim_after_ns && backend_wasted(st->be) < WASTED_MIN)
		return 0;
	r = reclaim(st, &any);
	gc->reclaim_after_ns = now_ns + RECLAIM_NS;
	return r == -ENOSPC ? 0 : r; /* what it needs is not there: later */
}

/* Comparing trees holds it for long. */
static int hold_work(struct gc *gc, const atomic_bool *stop)
{
	for (;;) {
		struct timespec until;

		clock_gettime(CLOCK_REALTIME, &until);
		until.tv_sec++;
		if (!pthread_mutex_timedlock(&gc->work, &until))
			return 0;
		if (atomic_load(stop))
			return -ECANCELED;
	}
}

int gc_reclaim(struct store *st, const atomic_bool *stop, uint64_t *ret_bytes)
{
	struct gc *gc = st->gc;
	struct reaped sum = {0};
	int r = hold_work(gc, stop);

	if (r)
		return r;
	look_again(gc, &gc->reap);
	/* A directory leaves what is below it for the next round. */
	for (int round = 0; !r && has_reap(gc) && round < ROUNDS_MAX; round++) {
		r = reap_until(st, stop, &sum);
		if (!r && atomic_load(stop))
			r = -ECANCELED;
	}
	pthread_mutex_unlock(&gc->work);
	if (!r)
		*ret_bytes = sum.bytes;
	return r;
}

/* ---- syncing extents ---- */

static int sync_unsynced(struct store *st)
{
	struct gc *gc = st->gc;
	CLEANUP_NOTES struct notes notes = notes_take(gc, &gc->unsynced);
	int r = extents_sync(st, &notes);

	if (r)
		look_again(gc, &gc->unsynced);
	return r;
}

int gc_sync_extents(struct store *st)
{
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&st->gc->work);

	return sync_unsynced(st);
}

/* ---- contents of trees that are there already ---- */

/* The next pass tries them again; those that are done already have no row any more. */
static void note_again(struct gc *gc, struct notes *to, const struct notes *failed)
{
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&gc->lock);

	for (size_t i = 0; i < note_count(failed); i++)
		note_few(to, note_at(failed, i));
}

static int compare_trees(struct store *st)
{
	struct gc *gc = st->gc;
	CLEANUP_NOTES struct notes notes = notes_take(gc, &gc->trees);
	int r = 0, r2;

	if (gc->seek_trees)
		r = dedup_left(st, gc->ours_above, &gc->stop);
	gc->seek_trees = r != 0;
	r2 = dedup_noted(st, &notes, &gc->stop);
	if (r2)
		note_again(gc, &gc->trees, &notes);
	return r ? r : r2;
}

/* ---- intents of what was dropped ---- */

/* Left as they are, the next start might publish them over what is newer. */
static int withdraw_intents(struct store *st)
{
	struct gc *gc = st->gc;
	CLEANUP_NOTES struct notes notes = notes_take(gc, &gc->intents);
	CLEANUP_BATCH struct batch b = BATCH_INIT;
	int r;

	for (size_t i = 0; i < note_count(&notes); i++) {
		struct key key = key_ino(note_at(&notes, i));

		batch_del(&b, TABLE_INTENT, key_slice(&key));
		batch_del_any_value(&b, note_at(&notes, i));
	}
	if (!b.count)
		return 0;
	r = backend_commit(st->be, &b);
	if (!r)
		r = backend_sync(st->be);
	if (r)
		note_again(gc, &gc->intents, &notes);
	return r;
}

/* ---- extents nobody names ---- */

static int drop_orphans(struct store *st)
{
	struct gc *gc = st->gc;
	int r;

	if (!gc->seek_orphans)
		return 0;
	r = orphans_drop(st, gc->ours_above, &gc->stop);
	if (!r)
		gc->seek_orphans = false;
	return r == -ECANCELED ? 0 : r;
}

/* ---- what is below quotas ---- */

static int count_usage(struct store *st)
{
	int r = 0;

	if (atomic_load(&st->usage.count_wanted) &&
	    time_monotonic_ns() >= atomic_load(&st->usage.count_after_ns))
		r = usage_count(st, &st->gc->stop);
	return r == -ECANCELED ? 0 : r;
}

/* ---- passes ---- */

static void log_once(struct store *st, int r)
{
	if (r && r != st->gc->last_error)
		log_error("%s: background work failed and will be tried again: %s",
			  st->path, strerror(-r));
	st->gc->last_error = r;
}

/* Under `work`. Each part is done, whatever became of the others. */
static int pass(struct store *st)
{
	int r = reap(st), r2;

	r2 = reclaim_when_short(st);
	r = r ? r : r2;
	r2 = sync_unsynced(st);
	r = r ? r : r2;
	r2 = withdraw_intents(st);
	r = r ? r : r2;
	r2 = compare_trees(st);
	r = r ? r : r2;
	r2 = heat_flush(st, st->gc->heat);
	r = r ? r : r2;
	r2 = leases_expire(st, &st->gc->stop);
	r = r ? r : r2;
	r2 = count_usage(st);
	r = r ? r : r2;
	r2 = drop_orphans(st);
	r = r ? r : r2;
	r2 = backend_tidy(st->be);
	return r ? r : r2;
}

/* Something was noted while a pass was under way. */
static bool more_to_do(struct store *st)
{
	struct gc *gc = st->gc;
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&gc->lock);

	return !notes_empty(&gc->reap) || !notes_empty(&gc->unsynced) ||
	       !notes_empty(&gc->intents) || !notes_empty(&gc->trees) ||
	       atomic_load(&st->usage.count_wanted);
}

int gc_settle(struct store *st)
{
	struct gc *gc = st->gc;
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&gc->work);
	int r;

	do {
		atomic_store(&st->usage.count_after_ns, 0);
		r = pass(st);
	} while (!r && more_to_do(st));
	log_once(st, r);
	return r;
}

/* ---- the thread ---- */

/* Under the lock: until asked or stopped, or `delay_ns` have passed. */
static void wait_until(struct gc *gc, int64_t delay_ns, const bool *asked)
{
	struct timespec until = monocond_after(delay_ns);
	int r = 0;

	while (!r && !*asked && !atomic_load(&gc->stop))
		r = pthread_cond_timedwait(&gc->wake, &gc->lock, &until);
}

static void *gc_main(void *arg)
{
	struct store *st = arg;
	struct gc *gc = st->gc;

	pthread_mutex_lock(&gc->lock);
	while (!atomic_load(&gc->stop)) {
		wait_until(gc, TICK_NS, &gc->asked);
		wait_until(gc, PASS_DELAY_NS, &gc->urgent);
		gc->asked = gc->urgent = false;
		if (atomic_load(&gc->stop))
			break;
		pthread_mutex_unlock(&gc->lock);

		pthread_mutex_lock(&gc->work);
		log_once(st, pass(st));
		pthread_mutex_unlock(&gc->work);

		pthread_mutex_lock(&gc->lock);
	}
	pthread_mutex_unlock(&gc->lock);
	return NULL;
}

int gc_drop_orphans(struct store *st)
{
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&st->gc->work);

	return drop_orphans(st);
}

void gc_hold(struct store *st)
{
	pthread_mutex_lock(&st->gc->work);
}

void gc_release(struct store *st)
{
	pthread_mutex_unlock(&st->gc->work);
}

uint64_t gc_ours_above(const struct store *st)
{
	return st->gc->ours_above;
}

static void gc_free(struct gc *gc)
{
	heat_free(gc->heat);
	notes_deinit(&gc->reap);
	notes_deinit(&gc->unsynced);
	notes_deinit(&gc->trees);
	notes_deinit(&gc->intents);
	pthread_cond_destroy(&gc->wake);
	pthread_mutex_destroy(&gc->lock);
	pthread_mutex_destroy(&gc->work);
	free(gc);
}

static int gc_new(struct gc **ret_gc)
{
	struct gc *gc = calloc(1, sizeof(*gc));

	if (!gc)
		return -ENOMEM;
	pthread_mutex_init(&gc->lock, NULL);
	pthread_mutex_init(&gc->work, NULL);
	monocond_init(&gc->wake);
	if (heat_new(&gc->heat)) {
		gc_free(gc);
		return -ENOMEM;
	}
	*ret_gc = gc;
	return 0;
}

int gc_start(struct store *st)
{
	struct gc *gc;
	int r;

	r = gc_new(&gc);
	if (r)
		return r;
	/* What an earlier process left. */
	note_all(&gc->reap);
	note_all(&gc->unsynced);
	gc->seek_trees = true;
	gc->asked = true;
	gc->seek_orphans = st->seek_orphans;
	st->gc = gc;
	r = ino_alloc(st, &gc->ours_above);
	if (!r)
		r = -pthread_create(&gc->thread, NULL, gc_main, st);
	if (r) {
		st->gc = NULL;
		gc_free(gc);
	}
	return r;
}

/*
 * Trees, orphans and what is long can wait for the next start; extents are
 * synced and reads written, so that it need not check or lose any.
 */
void gc_stop(struct store *st)
{
	struct gc *gc = st->gc;

	if (!gc)
		return;
	pthread_mutex_lock(&gc->lock);
	atomic_store(&gc->stop, true);
	pthread_cond_signal(&gc->wake);
	pthread_mutex_unlock(&gc->lock);
	pthread_join(gc->thread, NULL);

	pthread_mutex_lock(&gc->work);
	log_once(st, pass(st));
	st->seek_orphans = gc->seek_orphans;
	pthread_mutex_unlock(&gc->work);
	st->gc = NULL;
	gc_free(gc);
}
