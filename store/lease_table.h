/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The leases in memory: found by (branch, name), listed by branch, and in the
 * order in which they end. It locks nothing; "store/lease.c" does. No cost grows
 * with the number of leases but that of a listing, with those of its branch, and of
 * looking for the oldest, which is rarely done.
 */
#ifndef MEMOFS_STORE_LEASE_TABLE_H
#define MEMOFS_STORE_LEASE_TABLE_H

#include <stdbool.h>

#include "store/lease.h"
#include "store/util/htab.h"

struct lease {
	struct hlink link;	    /* by branch and name */
	struct hlink branch_link;   /* by branch, when `prev` is NULL */
	struct lease *prev, *next;  /* of the same branch */
	size_t heap_at;		    /* where it is in the heap, or LEASE_NO_END */
	enum store_lease_kind kind; /* fixed, as are the next three */
	uint64_t branch, token;
	int64_t since_ns;	 /* wall clock */
	int64_t duration_ns;	 /* as last given; 0: held */
	int64_t ends_ns;	 /* CLOCK_BOOTTIME; DURATION_NONE: held */
	unsigned int publishing; /* begun and not ended: it cannot be lost */
	bool released;		 /* goes with the last that publishes */
	bool has_user;		 /* fixed: `uid` has taken it, and it counts there */
	uint32_t uid;
	const char *name, *owner; /* fixed; in `text` */
	char text[];
};

#define LEASE_NO_END SIZE_MAX

struct lease_table {
	struct htab names, branches;
	struct htab users;   /* who ever had one: as many as there are uids in use */
	struct lease **heap; /* named and not being published; the first to end first */
	size_t heap_count, heap_cap;
};

/* Not in the table yet. NULL: no memory. The caller frees with free(). */
struct lease *lease_new(enum store_lease_kind kind, uint64_t branch, const char *name,
			struct slice owner);

void lease_table_deinit(struct lease_table *t); /* frees what is in it */
/* Room for one more: the next lease_table_add() cannot fail. -ENOMEM. */
int lease_table_reserve(struct lease_table *t);
/* It becomes the table's. Nothing else has its branch and name. Without memory its user
 * is forgotten. */
void lease_table_add(struct lease_table *t, struct lease *lease);
void lease_table_remove(struct lease_table *t, struct lease *lease); /* frees it */
/* Replace it in the order of ends, after a change of ends_ns or publishing. */
void lease_table_reorder(struct lease_table *t, struct lease *lease);

struct lease *lease_table_find(const struct lease_table *t, uint64_t branch,
			       const char *name); /* or NULL */
/* The first of a branch; `next` leads on. NULL: none. */
struct lease *lease_table_first(const struct lease_table *t, uint64_t branch);
/* How many a user has, those that have just ended included. */
size_t lease_table_of_user(const struct lease_table *t, uint32_t uid);
size_t lease_table_count(const struct lease_table *t);
/* When the oldest was taken of those that have not ended; DURATION_NONE: none. Slow. */
int64_t lease_table_oldest(const struct lease_table *t, int64_t now_ns);
/*
 * How many end at `now_ns` or before, but `max` at most; `ret_ended`, if not NULL,
 * gets them. Takes time for those only.
 */
size_t lease_table_ended(const struct lease_table *t, int64_t now_ns,
			 struct lease **ret_ended, size_t max);

#endif
