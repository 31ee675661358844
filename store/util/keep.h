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
 * the process died is found and given back by the next keep_open().
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

enum { KEEP_COUNTERS = 2 };

struct keep;
struct kept;

/*
 * Map it; `fd` is the caller's still. Empty: it is made. Else what is in it can be
 * listed. -EPROTO: of another layout (the message says which); -EUCLEAN: damaged;
 * -ENOMEM. All memory is bounded by `max_bytes`, which is reserved as addresses.
 */
int keep_open(int fd, uint64_t max_bytes, struct keep **ret_keep, struct errmsg *err);
/* What is in it stays in the file. NULL is fine. */
void keep_close(struct keep *k);

/* -ENOSPC: full; -ENOMEM. *ret_kept is NULL with a NULL `k`. */
int keep_new(struct keep *k, uint32_t kind, uint64_t id, struct kept **ret_kept);
/* The object is gone. NULL is fine. */
void keep_free(struct kept *o);
/* One record, of `count` pieces: whole or absent. -ENOSPC, -ENOMEM. */
int keep_append(struct kept *o, const struct slice *pieces, size_t count);
/* All records so far are replaced by this one, in one step. */
int keep_replace(struct kept *o, const struct slice *pieces, size_t count);
/* Bytes that its records occupy. */
uint64_t keep_bytes(const struct kept *o);
/* NULL for a NULL object: see keep_count(). */
_Atomic uint64_t *keep_counter(struct kept *o, unsigned int which);

uint32_t keep_kind(const struct kept *o);
uint64_t keep_id(const struct kept *o);

/* After keep_open(), before anything is made: every object of that kind, until `each`
 * returns non-zero, which is returned. It may free the object it is given. */
int keep_each(struct keep *k, uint32_t kind, int (*each)(void *arg, struct kept *o),
	      void *arg);
/* Its records in the order they were appended, likewise. The bytes are good until the
 * object is changed. */
int keep_records(struct kept *o, int (*each)(void *arg, struct slice record), void *arg);

/*
 * A page that both processes look at; zeroed when the file is made. The holder maps it
 * with keep_pulse_map() (of the descriptor alone, no keep needed).
 */
struct keep_pulse;
struct keep_pulse *keep_pulse(struct keep *k);

#endif
