/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reservations: who is computing an entry now.
 *
 * A lease belongs to (branch, name), whether or not an entry is there, and has
 * one holder at a time. There are two kinds:
 *  - named: taken by an ID for a duration, extended and released by the same ID.
 *    It is a row of the database, and outlives the process.
 *  - held: by an open descriptor, for as long as that is open. In memory only.
 *
 * Whether a lease has run out is decided by a clock that nobody can set
 * (CLOCK_BOOTTIME); the wall clock is only shown. After a boot of the machine,
 * which ends that clock, a named lease has what the wall clock leaves of it, but
 * never more than its duration.
 *
 * Every acquisition has a token that was never used before and is larger than
 * all before it; an extension keeps it. Who publishes under a lease compares the
 * token (store_lease_begin_publish), so that a holder who was too late changes
 * nothing (a fence, as in M. Kleppmann, "How to do distributed locking", 2016).
 *
 * All functions may be called from any thread. Errors as in "store/store.h".
 */
#ifndef MEMOFS_STORE_LEASE_H
#define MEMOFS_STORE_LEASE_H

#include <string.h>

#include "store/store.h"

#define STORE_OWNER_MAX 200
/* A lease without end would be one that nobody can take over. */
#define STORE_LEASE_MAX_NS (INT64_C(366) * 86400 * NSEC_PER_SEC)

enum store_lease_kind { STORE_LEASE_NAMED, STORE_LEASE_HELD };

struct store_lease {
	enum store_lease_kind kind;
	char owner[STORE_OWNER_MAX + 1];
	uint64_t token;
	int64_t since_ns;   /* of the acquisition, wall clock */
	int64_t expires_ns; /* wall clock, as it is now; DURATION_NONE: held */
	int64_t left_ns;    /* until it ends; DURATION_NONE: held */
	bool has_user;	    /* it was taken for `uid` */
	uint32_t uid;
};

/* For whom one is taken, by name, and how many that one may have. */
struct store_lease_user {
	uint32_t uid;
	uint64_t max;
};

/* Does that one have it, by name? */
static inline bool store_lease_is_of(const struct store_lease *lease, const char *owner)
{
	return lease->kind == STORE_LEASE_NAMED && strcmp(lease->owner, owner) == 0;
}

/* 1 to STORE_OWNER_MAX bytes, printable ASCII or UTF-8, no white space, not "free"
 * or "held", which begin what `reservation` reads. */
bool store_owner_valid(const char *owner, size_t len);

/*
 * Take the lease, or extend it when `owner` has it: it ends `duration_ns` from
 * now, also when that is sooner. -EBUSY: another has it, and *ret_lease says who.
 * -EINVAL: no valid owner, or a duration that is not in 1..STORE_LEASE_MAX_NS.
 * -ENOENT: the branch's directory is gone. -ENOSPC: the disk is full; not for who
 * has it already. ret_lease may be NULL.
 */
int store_lease_acquire(struct store *st, uint64_t branch, const char *name,
			const char *owner, int64_t duration_ns,
			struct store_lease *ret_lease);
/* The same for a user. -EDQUOT: that one has as many as it may; it may extend them. */
int store_lease_acquire_for(struct store *st, uint64_t branch, const char *name,
			    const char *owner, int64_t duration_ns,
			    const struct store_lease_user *user,
			    struct store_lease *ret_lease);
/* Only extend. -ESTALE: `owner` does not have it (any more). */
int store_lease_extend(struct store *st, uint64_t branch, const char *name,
		       const char *owner, int64_t duration_ns,
		       struct store_lease *ret_lease);
/* -ESTALE: `owner` does not have it; harmless, and for the caller to say or not. */
int store_lease_release(struct store *st, uint64_t branch, const char *name,
			const char *owner);
/* Who has it; -ENOENT: free. */
int store_lease_get(struct store *st, uint64_t branch, const char *name,
		    struct store_lease *ret_lease);
/* All that are held now in a branch, in no order, until `each` returns non-zero. */
int store_lease_list(struct store *st, uint64_t branch,
		     int (*each)(void *arg, const char *name,
				 const struct store_lease *lease),
		     void *arg);
/* The same of all branches, but `max` at most, whichever they are. */
int store_lease_list_all(struct store *st, size_t max,
			 int (*each)(void *arg, uint64_t branch, const char *name,
				     const struct store_lease *lease),
			 void *arg);
/* How many there are in all. */
uint64_t store_lease_count(struct store *st);

/*
 * A lease for an open descriptor. `token` is the number of the value being
 * written (store_staged_ino(), which comes from the same counter), so it is only as
 * new as that. `owner` is for people, and made valid when it is not; nobody extends
 * or releases such a lease by name. -EBUSY.
 */
int store_lease_hold(struct store *st, uint64_t branch, const char *name,
		     const char *owner, uint64_t token);
/* The descriptor is gone. Nothing happens when it does not have that token. */
void store_lease_drop(struct store *st, uint64_t branch, const char *name,
		      uint64_t token);

/*
 * The fence, for named leases: a held one cannot be lost. Between begin and end
 * nobody else gets the lease, even if it runs out or is released meanwhile; then it
 * is gone when the last that has begun ends. `token` 0: whatever `owner` has; else
 * it must be that one. -ESTALE: `owner` does not have it.
 */
int store_lease_begin_publish(struct store *st, uint64_t branch, const char *name,
			      const char *owner, uint64_t token, uint64_t *ret_token);
/* `release`: it was published, and the lease ends. */
void store_lease_end_publish(struct store *st, uint64_t branch, const char *name,
			     uint64_t token, bool release);

#endif
