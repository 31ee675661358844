/* SPDX-License-Identifier: Apache-2.0 */
#include "store/room.h"

#include <errno.h>
#include <sys/statvfs.h>

#include "store/gc.h"
#include "store/internal.h"
#include "store/util/log.h"
#include "store/util/size.h"

#define LOOK_NS (50 * (NSEC_PER_SEC / 1000)) /* others fill the disk, too */
#define LOOK_PART 4 /* a look allows one part in so many of the room it found */
#define WAIT_STEP_NS (20 * (NSEC_PER_SEC / 1000))
/* For what is being deleted, by the store or by the database: moments. */
#define DELETE_STEP_NS (5 * (NSEC_PER_SEC / 1000))
#define DELETE_STEPS 40
#define WAITING_MAX 2 /* the others are refused: they may be all who serve readers */

/* A clock that costs nothing to read; its ticks are a few milliseconds. */
static int64_t coarse_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &ts);
	return ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

uint64_t room_reserve(const struct room *room, uint64_t total_bytes)
{
	uint64_t part = total_bytes / ROOM_DISK_PART;
	uint64_t reserve = atomic_load(&room->reserve_bytes);

	return part < reserve ? part : reserve;
}

uint64_t room_kept(struct store *st, uint64_t total_bytes)
{
	return room_reserve(&st->room, total_bytes) + backend_headroom(st->be);
}

static void tell(struct store *st, uint64_t bytes, uint64_t avail_bytes,
		 uint64_t kept_bytes)
{
	char want[SIZE_TEXT_MAX], avail[SIZE_TEXT_MAX], kept[SIZE_TEXT_MAX];

	if (atomic_exchange(&st->room.told, true))
		return;
	size_format(bytes, want);
	size_format(avail_bytes, avail);
	size_format(kept_bytes, kept);
	log_warning("%s: no room on the disk for %s more: %s are free, and %s are kept "
		    "free; what is stored stays, and removing some of it makes room",
		    st->path, want, avail, kept);
}

/* Look at the disk. */
static bool look(struct store *st, uint64_t bytes, bool last_try)
{
	struct room *room = &st->room;
	uint64_t total, avail, kept, above;
	struct statvfs vfs;

	/* No answer, or a file system that counts no blocks: the write will tell. */
	if (statvfs(st->path, &vfs) || !vfs.f_blocks)
		return true;
	avail = (uint64_t)vfs.f_bavail * vfs.f_frsize;
	total = (uint64_t)vfs.f_blocks * vfs.f_frsize;
	kept = room_kept(st, total);
	above = avail > kept ? avail - kept : 0;
	if (bytes > above) {
		atomic_store(&room->until_ns, 0);
		if (last_try)
			tell(st, bytes, avail, kept);
		return false;
	}
	/* Not at once, lest a disk at its limit fills the log. */
	if (above > room_reserve(room, total))
		atomic_store(&room->told, false);
	atomic_store(&room->allowed_bytes, (int64_t)((above - bytes) / LOOK_PART));
	atomic_store(&room->until_ns, coarse_now_ns() + LOOK_NS);
	return true;
}

void room_waits(const struct store *st)
{
	if (st->room.on_wait)
		st->room.on_wait();
}

/* May it be kept waiting? Few at a time; each is to call end_waiting(). */
static bool begin_waiting(struct store *st)
{
	if (atomic_fetch_add(&st->room.waiting, 1) < WAITING_MAX) {
		room_waits(st);
		return true;
	}
	atomic_fetch_sub(&st->room.waiting, 1);
	return false;
}

static void end_waiting(struct store *st)
{
	atomic_fetch_sub(&st->room.waiting, 1);
}

/* While the database gives something back. */
static bool look_when_shrunk(struct store *st, uint64_t bytes)
{
	const struct timespec step = {.tv_nsec = DELETE_STEP_NS};
	bool found = look(st, bytes, false);

	if (!found && backend_is_shrinking(st->be) && begin_waiting(st)) {
		for (int i = 0; !found && i < DELETE_STEPS; i++) {
			nanosleep(&step, NULL);
			found = look(st, bytes, false);
			if (!backend_is_shrinking(st->be))
				break;
		}
		end_waiting(st);
	}
	return found || look(st, bytes, true);
}

int room_on_disk(struct store *st, uint64_t bytes)
{
	struct room *room = &st->room;

	if (!st->lock)
		return 0;
	if (bytes <= (uint64_t)STORE_FILE_MAX &&
	    coarse_now_ns() < atomic_load(&room->until_ns) &&
	    atomic_fetch_sub(&room->allowed_bytes, (int64_t)bytes) >= (int64_t)bytes)
		return 0;
	if (look(st, bytes, false))
		return 0;
	gc_make_room(st);
	return look_when_shrunk(st, bytes) ? 0 : -ENOSPC;
}

bool room_is_there(struct store *st, uint64_t bytes)
{
	return !st->lock || look(st, bytes, false);
}

/* ---- the bound ---- */

static bool hold_below(struct store *st, uint64_t bytes, struct room_hold *hold)
{
	struct usage *u = &st->usage;

	atomic_fetch_add(&u->taken, (int64_t)bytes);
	if (usage_total(u) > atomic_load(&u->size_bytes)) {
		atomic_fetch_sub(&u->taken, (int64_t)bytes);
		return false;
	}
	atomic_store(&u->told, false);
	hold->st = st;
	hold->bytes += bytes;
	return true;
}

void room_release(struct room_hold *hold)
{
	if (hold->bytes)
		atomic_fetch_sub(&hold->st->usage.taken, (int64_t)hold->bytes);
	*hold = ROOM_HOLD_INIT;
}

static int refuse(struct store *st, uint64_t bytes)
{
	char want[SIZE_TEXT_MAX], size[SIZE_TEXT_MAX], total[SIZE_TEXT_MAX];

	if (atomic_exchange(&st->usage.told, true))
		return -ENOSPC;
	size_format(bytes, want);
	size_format(atomic_load(&st->usage.size_bytes), size);
	size_format(usage_total(&st->usage), total);
	log_warning(
	    "%s: no room for %s more: the store has %s of its size, %s, and nothing "
	    "could be evicted in time; what is stored stays; make the store "
	    "larger with the option size, or remove or unpin something",
	    st->path, want, total, size);
	return -ENOSPC;
}

/* Until `ask` has no objection, or it has taken too long. */
static int wait_until(struct store *st, int (*ask)(struct store *st, void *arg),
		      void *arg)
{
	const struct timespec step = {.tv_nsec = WAIT_STEP_NS};
	int64_t until_ns = time_monotonic_ns() + st->room.wait_ns;
	int r;

	do {
		usage_wake(st);
		nanosleep(&step, NULL);
		r = ask(st, arg);
	} while (r && time_monotonic_ns() < until_ns);
	end_waiting(st);
	return r;
}

int room_wait_until(struct store *st, int (*ask)(struct store *st, void *arg), void *arg)
{
	int r = ask(st, arg);

	return r && begin_waiting(st) ? wait_until(st, ask, arg) : r;
}

struct room_need {
	uint64_t bytes;
	struct room_hold *hold;
};

static int ask_for_room(struct store *st, void *arg)
{
	const struct room_need *need = arg;

	if (hold_below(st, need->bytes, need->hold))
		return 0;
	atomic_store(&st->usage.wanted, (int64_t)need->bytes);
	return -ENOSPC;
}

/* While something is on its way out, which takes moments. */
static bool hold_when_deleted(struct store *st, uint64_t bytes, struct room_hold *hold)
{
	const struct timespec step = {.tv_nsec = DELETE_STEP_NS};

	usage_wake(st);
	room_waits(st);
	for (int i = 0; i < DELETE_STEPS; i++) {
		bool any = gc_delete_now(st);

		if (hold_below(st, bytes, hold))
			return true;
		if (any || atomic_load(&st->usage.dead) < (int64_t)bytes)
			return false;
		nanosleep(&step, NULL);
	}
	return false;
}

int room_take(struct store *st, uint64_t bytes, enum room_wait wait,
	      struct room_hold *ret_hold)
{
	struct room_need need = {bytes, ret_hold};
	int r = room_on_disk(st, bytes);

	if (r || hold_below(st, bytes, ret_hold))
		return r;
	if (hold_when_deleted(st, bytes, ret_hold))
		return 0;
	/* What alone is too large needs no waiting. */
	if (wait == ROOM_WAIT && bytes <= atomic_load(&st->usage.size_bytes) &&
	    begin_waiting(st) && !wait_until(st, ask_for_room, &need))
		return 0;
	return refuse(st, bytes);
}
