/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The free space of the disk that new entries leave alone.
 *
 * A database that runs out of space in the middle of its own work recovers
 * slowly or, in a build with assertions as Debian's, not at all; and a full
 * cache could not even be emptied. So what makes the store larger (values being
 * written, publishes, new directories) asks here first and is refused while the
 * disk is nearly full. Removals, renames and changes of attributes do not ask.
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

/* Kept free unless an option says otherwise; never more than ROOM_DISK_PART. */
#define ROOM_RESERVE_DEFAULT (UINT64_C(16) << 20)
#define ROOM_DISK_PART 8 /* one part in so many of the disk */
/* What a publish writes beside its content, generously: rows, and the log's own. */
#define ROOM_ROWS_BYTES 4096

struct store;

struct room {
	uint64_t reserve_bytes;	       /* fixed */
	_Atomic int64_t until_ns;      /* the last look is good until then */
	_Atomic int64_t allowed_bytes; /* that it still allows */
	atomic_bool told;	       /* in the log: once, until there is room again */
};

/*
 * May `bytes` more be stored? When the disk is short, what was queued for
 * deletion is deleted first. The caller holds no lock of the store but that of a
 * value being written. -ENOSPC. A store in memory has always room.
 */
int room_take(struct store *st, uint64_t bytes);
/* The same for the background thread, which deletes nothing for it. */
bool room_is_there(struct store *st, uint64_t bytes);

/* How much of a disk of `total_bytes` is kept free. */
uint64_t room_reserve(const struct room *room, uint64_t total_bytes);

#endif
