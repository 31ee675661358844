/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Room for what is to be stored: below the bound of the store, and on the disk, of
 * which some free space is left alone.
 *
 * A database that runs out of space in the middle of its own work recovers
 * slowly or, in a build with assertions as Debian's, not at all; and a full
 * cache could not even be emptied. So what makes the store larger (values being
 * written, publishes, new directories) asks here first and is refused while the
 * disk is nearly full. Removals, renames and changes of attributes do not ask.
 *
 * What is left alone is a reserve, and the headroom of the database: what it was given
 * is in its log and in memory first, and has yet to become tables.
 *
 * The bound is exact: what was granted counts until it is released, which is to be done
 * when it is counted in another way ("store/usage.h").
 *
 * To ask costs a look at the disk only now and then: each look allows a part of
 * the room that it found, for a short time. Several threads may pass that part
 * by what each of them takes at once; the reserve is there for that, too.
 */
#ifndef MEMOFS_STORE_ROOM_H
#define MEMOFS_STORE_ROOM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "store/util/duration.h"

/* Kept free unless an option says otherwise; never more than ROOM_DISK_PART. */
#define ROOM_RESERVE_DEFAULT (UINT64_C(16) << 20)
#define ROOM_DISK_PART 8 /* one part in so many of the disk */
/* What a publish writes beside its content, generously: rows, and the log's own. */
#define ROOM_ROWS_BYTES 4096
#define ROOM_WAIT_DEFAULT_NS (5 * NSEC_PER_SEC)

struct store;

struct room {
	_Atomic uint64_t reserve_bytes;
	_Atomic int64_t until_ns;      /* the last look is good until then */
	_Atomic int64_t allowed_bytes; /* that it still allows */
	atomic_bool told;	       /* in the log: once, until there is room again */
	_Atomic int waiting;	       /* who is kept until there is room */
	int64_t wait_ns;	       /* no longer than so; fixed */
	void (*on_wait)(void);	       /* of struct store_options; fixed */
};

/* What was granted. */
struct room_hold {
	struct store *st;
	uint64_t bytes;
};
#define ROOM_HOLD_INIT ((struct room_hold){0})
void room_release(struct room_hold *hold); /* also one that holds nothing */
#define CLEANUP_ROOM __attribute__((cleanup(room_release)))

/*
 * May `bytes` more be stored? When the disk is short, or the store at its bound, what was
 * queued for deletion is deleted first; who may ROOM_WAIT is kept for a few seconds, so
 * that something can be evicted. The caller holds no lock of the store but that of a
 * value being written. -ENOSPC. *ret_hold gets what it held before, and this.
 */
enum room_wait { ROOM_REFUSE, ROOM_WAIT };
int room_take(struct store *st, uint64_t bytes, enum room_wait wait,
	      struct room_hold *ret_hold);
/*
 * The same waiting for another reason: `ask` is asked until it answers 0, for a few
 * seconds at most. Its last answer.
 */
int room_wait_until(struct store *st, int (*ask)(struct store *st, void *arg), void *arg);
/* To be called before a thread waits; see on_wait in struct store_options. */
void room_waits(const struct store *st);
/* Of the disk alone. A store in memory has always room. */
int room_on_disk(struct store *st, uint64_t bytes);
/* The same for the background thread, which deletes nothing for it. */
bool room_is_there(struct store *st, uint64_t bytes);

/* The reserve of a disk of `total_bytes`. */
uint64_t room_reserve(const struct room *room, uint64_t total_bytes);
/* What is kept free of it now: the reserve and the headroom (backend_headroom()). */
uint64_t room_kept(struct store *st, uint64_t total_bytes);

#endif
