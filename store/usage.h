/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the store takes, and what it may: "bounds" of "store/store.h".
 *
 * The charge of an entry is what it takes of the bounds: the blocks of its extent or
 * the bytes of its row, and USAGE_ROWS_BYTES for its rows. Counters in TABLE_COUNTER
 * are changed by the batch that changes the entry, so they are exact after a crash:
 * "used" (all charges of what has a name), "dead" (contents in GCQ), "shared" (see
 * dedup.c) and one for each directory with a quota. store_commit() mirrors them here,
 * so that to ask costs nothing.
 *
 * A quota's counter is not known when the quota is set on a directory that has
 * something in it, and is too high when a removed directory leaves something for gc: what
 * is below it then belongs to no path any more. So it is counted anew, by gc: one walk
 * over a snapshot of all inodes, and to that is added what has changed since the
 * snapshot, which is noted under `names`.
 *
 * `staged` are the blocks of extents being written, `taken` what room_take() has
 * granted and not seen arrive yet.
 */
#ifndef MEMOFS_STORE_USAGE_H
#define MEMOFS_STORE_USAGE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "store/backend.h"
#include "store/rows.h"
#include "store/util/htab.h"

#define USAGE_ROWS_BYTES 512

struct policy;
struct store;

/* A value that will be published whatever there is by then, as fsync and close said. */
struct usage_promise {
	struct usage_promise *next, **link; /* NULL: not promised */
	uint64_t branch;
	int64_t bytes; /* more than there are now */
};

struct usage {
	/* Options; STORE_SIZE_NONE where there is no bound. */
	_Atomic uint64_t size_bytes, max_entry_bytes;
	atomic_bool max_entry_given; /* else it is a part of the size */
	_Atomic int policy;	     /* enum store_policy */
	_Atomic int64_t keep_expired_ns;

	_Atomic int64_t used, dead, shared; /* as the counters */
	_Atomic int64_t staged, taken;
	_Atomic int64_t wanted; /* somebody waits for so much; not part of the total */

	atomic_bool shrinking;	  /* the high mark was passed, the low one not reached */
	atomic_bool disk_short;	  /* the same of the disk's free space */
	atomic_bool told;	  /* in the log: once, until there is room again */
	atomic_bool count_wanted; /* by gc */
	/* Not sooner, so that it takes but a part of a CPU, however often it is wanted.
	 */
	_Atomic int64_t count_after_ns;

	/* Directories with a quota. Changed under `names` and this, which is a leaf;
	 * read under either. */
	pthread_mutex_t lock;
	struct htab areas;
	struct usage_promise *promises; /* under lock */
	_Atomic int64_t promised_bytes; /* all of them together; changed under lock */
	bool counts;			/* under names: a count runs */
	bool spoiled;			/* under names: it is for nothing */
	int64_t since; /* under names: of `used`, since the count began */
};

void usage_init(struct usage *u);
void usage_deinit(struct usage *u);

/* What an entry takes, and of that its content. Directories and symlinks take some. */
uint64_t core_charge(const struct row_core *core);
uint64_t core_content_bytes(const struct row_core *core);

/*
 * Load the counters; add them up where an older format did not keep them. Once, before
 * anything is changed. Needs size_bytes and so on, of usage_set_bounds().
 */
int usage_load(struct store *st);
/* META "usage": of a new store. */
void usage_batch_new(struct batch *b);
/* Fills in defaults, which depend on the disk. */
void usage_set_bounds(struct store *st, const struct store_options *opt);

/* backend_commit(), and the counters here. For every batch that has batch_add(). */
int store_commit(struct store *st, const struct batch *b);

/* Content in GCQ: `bytes` more, or less. */
void usage_batch_dead(struct batch *b, int64_t bytes);
/* A row of GCQ was damaged: add up "dead" anew. By gc alone. */
int usage_count_dead(struct store *st);

/* used - shared + dead + staged + taken. */
uint64_t usage_total(const struct usage *u);
/*
 * Bytes to be evicted now, not counting what is dead already: 0, when nothing has to be
 * done. Looks at the disk, too.
 */
int64_t usage_excess(struct store *st);
/*
 * The same below a directory with a quota, the first that is above its high mark and not
 * left alone for now.
 */
int64_t usage_quota_excess(struct store *st, uint64_t *ret_dir_ino);
/*
 * Nothing below it could be evicted: it is left alone for a while, each time for longer,
 * so that others get their turn. Returns true the first time. Something could: not so.
 */
bool usage_quota_stuck(struct store *st, uint64_t dir_ino);
void usage_quota_freed(struct store *st, uint64_t dir_ino);
#define USAGE_PAUSE_MIN_NS (NSEC_PER_SEC / 4)
#define USAGE_PAUSE_MAX_NS (60 * NSEC_PER_SEC)
/* Whoever can make room is asked to. Cheap; any lock may be held. */
void usage_wake(struct store *st);
/* The marks of a bound. */
void usage_marks(uint64_t size_bytes, uint64_t *ret_high, uint64_t *ret_low);

/* ---- quotas; under `names`, but usage_ask_quota() and those of promises ---- */

/* Children of that policy's branch change by so much: what is below its quotas. */
void usage_batch_charge(struct store *st, struct batch *b, const struct policy *policy,
			int64_t bytes);
/*
 * May they grow by so much? What comes from below `from` was counted there already
 * (NULL: it is new), and so was what `own` promises (NULL: nothing). -EDQUOT.
 */
int usage_check_quota(struct store *st, const struct policy *policy,
		      const struct policy *from, int64_t bytes,
		      const struct usage_promise *own);
/*
 * Without `names`: is it more than the whole of a quota? -EDQUOT.
 */
int usage_ask_quota(struct store *st, uint64_t branch, int64_t bytes);
/*
 * About the same as usage_check_quota() for a value in a branch that takes so much and
 * replaces what takes `replaced`; then it is kept for the value, in place of what was
 * kept by that promise before; what that covers is not asked again. A zeroed one keeps
 * nothing. -EDQUOT: it keeps nothing now.
 */
int usage_promise(struct store *st, uint64_t branch, int64_t bytes, int64_t replaced,
		  struct usage_promise *promise);
void usage_unpromise(struct store *st, struct usage_promise *promise);
/* Into the batch that removes a directory: what is known of its own quota goes, too. */
void usage_batch_dir_removed(struct store *st, struct batch *b, uint64_t dir_ino);
/* A directory was removed in a branch of that policy, and may leave something. */
void usage_dir_removed(struct store *st, const struct policy *policy,
		       const struct row_core *dir);
/* Before and after the commit that sets or removes the quota of a directory. */
enum quota_change { QUOTA_KEPT, QUOTA_NEW, QUOTA_GONE };
void usage_batch_quota(struct store *st, struct batch *b, uint64_t dir_ino,
		       enum quota_change change);
void usage_quota_changed(struct store *st, uint64_t dir_ino, enum quota_change change);

/* What gc does when `count_wanted`. -ECANCELED: `stop` became true. */
int usage_count(struct store *st, const atomic_bool *stop);
void usage_want_count(struct store *st);

#endif
