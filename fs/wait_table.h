/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who waits for which name, and the one thread that answers them.
 *
 * A waiter costs memory only. The thread looks at a name when something has
 * happened to it (wait_table_settled), when somebody began to wait for it or was
 * interrupted, when the time of one of its waiters is up, and when the reservation
 * it waits for may have run out. It looks once for all that wait for that name and
 * answers them in the order in which they came. Nobody else answers, so there is
 * exactly one answer.
 *
 * No event is lost: a waiter is in the table before the thread looks for it, and
 * what happens while the thread looks makes it look again. The table knows neither
 * FUSE nor the store; what there is to see and to answer is the caller's.
 */
#ifndef MEMOFS_FS_WAIT_TABLE_H
#define MEMOFS_FS_WAIT_TABLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "store/util/htab.h"

/* At about 300 bytes each these are 30 MB. */
#define WAITERS_MAX 100000

struct wait_key;

/* Embedded in the caller's struct, which the table frees through wait_ops. */
struct waiter {
	int64_t deadline_ns; /* monotonic; DURATION_NONE. Set by the caller */

	/* The table's: */
	uint64_t id; /* never used again */
	struct wait_key *key;
	struct waiter *next;	 /* under the table's lock, or the thread's */
	struct hlink by_id;	 /* under the table's lock */
	bool ready;		 /* under the table's lock: may be answered */
	atomic_bool interrupted; /* by the caller's user */
};

/* Why a waiter is asked about now. */
enum wait_why { WAIT_LOOK, WAIT_TIME_IS_UP, WAIT_INTERRUPTED, WAIT_STOPPED };

enum wait_verdict {
	WAIT_ANSWERED,
	WAIT_ON,    /* only for WAIT_LOOK and WAIT_TIME_IS_UP */
	WAIT_AGAIN, /* what was seen is not true any more: look anew */
};

/* All are called by the thread alone, without locks. */
struct wait_ops {
	/*
	 * See what has become of a name. The result, to be kept in `arg`, is what
	 * answer() goes by. *ret_left_ns: after this it is to be looked at again
	 * if anybody still waits; DURATION_NONE: only when something happens.
	 */
	void (*look)(void *arg, uint64_t branch, const char *name, int64_t *ret_left_ns);
	enum wait_verdict (*answer)(void *arg, struct waiter *w, enum wait_why why);
	void (*free)(struct waiter *w);
};

struct wait_table;

/* Starts the thread. -ENOMEM, -EAGAIN. */
int wait_table_new(const struct wait_ops *ops, void *arg, struct wait_table **ret_table);
/*
 * Everybody is answered with WAIT_STOPPED, and nobody can be added any more; ends
 * the thread. A second call does nothing.
 */
void wait_table_stop(struct wait_table *t);
void wait_table_free(struct wait_table *t); /* stops it; NULL is fine */

/*
 * Put a waiter into the table, which then owns it. It is not answered before
 * wait_table_ready(). -EAGAIN: WAITERS_MAX; -ENOTCONN: stopped; -ENOMEM.
 */
int wait_table_add(struct wait_table *t, struct waiter *w, uint64_t branch,
		   const char *name);
/* From here on it may be answered, and be gone, at any time. */
void wait_table_ready(struct wait_table *t, struct waiter *w);
/* By its id, since it may be gone: then nothing happens. */
void wait_table_interrupt(struct wait_table *t, uint64_t id);
/* Something happened to this name. Costs one atomic read while nobody waits. */
void wait_table_settled(struct wait_table *t, uint64_t branch, const char *name);
/*
 * Names that are waited for, `max` at most, and by how many, until `each` returns
 * non-zero, which is returned. No lock is held meanwhile. -ENOMEM.
 */
int wait_table_list(struct wait_table *t, size_t max,
		    int (*each)(void *arg, uint64_t branch, const char *name,
				size_t waiters),
		    void *arg);
/* How many wait. */
uint64_t wait_table_count(const struct wait_table *t);

#endif
