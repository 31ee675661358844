/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What lease.c and lease_rows.c share, and what the rest of the engine tells
 * them. The contract for callers of the store is "store/lease.h".
 */
#ifndef MEMOFS_STORE_LEASES_H
#define MEMOFS_STORE_LEASES_H

#include "store/internal.h"
#include "store/lease_table.h"

struct leases {
	/*
	 * One change at a time, from the decision over the commit of its row to the
	 * change in memory. Taken after `names` and before `ids` and `lock`.
	 */
	pthread_mutex_t change;
	pthread_mutex_t lock;	  /* a leaf */
	struct lease_table table; /* changed under both locks, read under either */
	struct buf boot;	  /* fixed once loaded: see clock_boot_id() */
};

int leases_new(struct leases **ret_leases);
void leases_free(struct leases *leases); /* NULL is fine */

/* Once, before the threads: read the rows; deletes those that have ended. */
int leases_load(struct store *st);

/*
 * Delete what has ended, rows and memory, until `stop` is set. For the
 * background thread. Takes `change`, for some hundred leases at a time.
 */
int leases_expire(struct store *st, const atomic_bool *stop);

/* The branch's directory was removed: its leases go. Takes `change`. */
int leases_drop_branch(struct store *st, uint64_t branch);

/*
 * When the oldest of those that are held now was taken, by the wall clock;
 * DURATION_NONE: there is none. Looks at all of them, under `lock`.
 */
int64_t leases_oldest_ns(struct store *st);

/* Write its row as it would be with this end, or delete it. Under `change`. */
int lease_row_put(struct store *st, const struct lease *lease, int64_t duration_ns,
		  int64_t ends_ns);
int lease_row_del(struct store *st, const struct lease *lease);

static inline int64_t leases_now_ns(const struct store *st)
{
	return st->clock->boot_ns(st->clock->arg);
}

/* What is being published is not lost, however late it is. */
static inline bool lease_live(const struct lease *lease, int64_t now_ns)
{
	return lease->publishing || lease->ends_ns > now_ns;
}

#endif
