/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kept memory: what a successor has to know when this process dies at any instruction.
 *
 * Objects in a mapped file (a memfd that the holder has, or any file). An object has a
 * kind, an id, records that are appended whole or not at all, and COUNTERS numbers that
 * are changed in place. It survives the death of the process, not that of the machine.
 *
 * A record counts from the moment keep_append() has stored its length (a release store);
 * an object from the end of keep_new(), and no longer from the beginning of keep_free().
 * Memory is taken in chunks of powers of two from 64 bytes; what was being taken when
 * the process died is found and given back by the next keep_open(). Memory that is asked
 * of the system is allocated before it is used, so that a full machine is -ENOSPC here
 * and no SIGBUS.
 *
 * Every function takes NULL for "nothing is kept": it does nothing and succeeds.
 * Different objects may be used by different threads; one object by one at a time (its
 * owner's lock), but for the counters.
 */
#ifndef MEMOFS_STORE_UTIL_KEEP_H
#define MEMOFS_STORE_UTIL_KEEP_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "store/util/buf.h"
#include "store/util/err.h"

/* Raised with any change of what is in it: of the form here, or of a record of any kind.
 * A process of another layout refuses the file. */
enum { KEEP_LAYOUT = 2 };

enum {
	KEEP_COUNTERS = 2,
	KEEP_RECORD_MAX = 32 << 20, /* bytes */
};

/* Who uses it for what is said where the records are written. */
enum keep_kind {
	KEEP_VNODE = 1,
	KEEP_HANDLE,
	KEEP_HANDLE_TEXT,
	KEEP_HANDLE_DIR,
	KEEP_GEN,
	KEEP_STAGED,
	KEEP_PENDING,
	KEEP_WAIT,
	KEEP_REQUEST,
	KEEP_RETRY,
	KEEP_CONTENT,
	KEEP_KINDS,
};

struct keep;
struct kept;

/*
 * Map it; `fd` is the caller's still. Empty: it is made, of `max_bytes` at most, which
 * are reserved as addresses. Else what is in it can be listed, and the bound is the one
 * it was made with. One process at a time may have it open. -EPROTO: of another layout
 * (the message says which); -EUCLEAN: damaged; -EINVAL: a bound that cannot be;
 * -ENOSPC; -ENOMEM; or what the system says about `fd`.
 */
int keep_open(int fd, uint64_t max_bytes, struct keep **ret_keep, struct errmsg *err);
/* What is in it stays in the file. NULL is fine. */
void keep_close(struct keep *k);

/* -ENOSPC: full; -ENOMEM. *ret_kept is NULL with a NULL `k`. */
int keep_new(struct keep *k, uint32_t kind, uint64_t id, struct kept **ret_kept);
/* The object is gone. NULL is fine. */
void keep_free(struct kept *o);
/* One record, of `count` pieces: whole or absent. -ENOSPC, also when it is longer than
 * KEEP_RECORD_MAX; -ENOMEM. */
int keep_append(struct kept *o, const struct slice *pieces, size_t count);
/* All records so far are replaced by this one, in one step. The same errors, and then
 * the old ones are there. */
int keep_replace(struct kept *o, const struct slice *pieces, size_t count);
/* Bytes that its records occupy. */
uint64_t keep_bytes(const struct kept *o);
/* NULL for a NULL object: see keep_count(). Good until keep_free(). */
_Atomic uint64_t *keep_counter(struct kept *o, unsigned int which);
/* Add to it; a negative number takes away. */
void keep_count(struct kept *o, unsigned int which, int64_t n);

uint32_t keep_kind(const struct kept *o);
uint64_t keep_id(const struct kept *o);

/* After keep_open(), before anything is made: every object of that kind, in no order,
 * until `each` returns non-zero, which is returned. It may free the object it is given.
 */
int keep_each(struct keep *k, uint32_t kind, int (*each)(void *arg, struct kept *o),
	      void *arg);
/* Its records in the order they were appended, likewise. The bytes are good until the
 * object is changed. */
int keep_records(struct kept *o, int (*each)(void *arg, struct slice record), void *arg);

/* The first of them, which is the one of an object that has one. -ENODATA: it has none,
 * as its owner died before. */
int keep_record(struct kept *o, struct slice *ret_record);

/*
 * A page that both processes look at: the daemon writes what it is doing, the holder
 * reads. Zeroed by keep_open(), but for what follows `last_unique`. Times are of
 * CLOCK_MONOTONIC, 0 is none.
 */
enum { KEEP_PULSE_WORKERS = 256 };

struct keep_pulse {
	/* Requests that were read from the kernel, and those that are done with. */
	_Alignas(64) _Atomic uint64_t begun;
	_Alignas(64) _Atomic uint64_t answered;
	/* When each worker began what it is at; one that only waits for an event that
	 * is not the daemon's to bring about says 0. */
	_Alignas(64) _Atomic uint64_t worker_since_ns[KEEP_PULSE_WORKERS];
	/* For a successor: the highest number of a request that was read. */
	_Alignas(64) _Atomic uint64_t last_unique;
	/* Not 0: something is open of which there is no object. */
	_Atomic uint64_t unkept;
};

/* The daemon's side, good until keep_close(). NULL with a NULL `k`. */
struct keep_pulse *keep_pulse(struct keep *k);
/* The holder's: of the descriptor alone. -ENODATA: nobody has opened it yet; else what
 * the system says. */
int keep_pulse_map(int fd, struct keep_pulse **ret_pulse);
void keep_pulse_unmap(struct keep_pulse *pulse); /* NULL is fine */

#endif
