/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directories with a quota: what usage.c, quota.c and quota_count.c share. What others
 * call is in "store/usage.h".
 *
 * The table is `areas` of struct usage, with its locks.
 */
#ifndef MEMOFS_STORE_QUOTA_H
#define MEMOFS_STORE_QUOTA_H

#include "store/keys.h"
#include "store/policy.h"
#include "store/usage.h"

/* A directory with a quota. */
struct area {
	struct hlink link;
	uint64_t dir_ino;
	int64_t used;  /* charges of what is below; not known unless `counted` */
	int64_t since; /* of it: since the count began */
	int64_t found; /* by the count */
	bool counted;
	bool counting;	       /* it was there when the count began */
	atomic_bool shrinking; /* as of the whole store */
	int64_t wanted;	       /* somebody waits for so much */
	int64_t pause_ns;      /* nothing could be evicted; 0: something could */
	int64_t resume_ns;     /* monotonic: it is looked at again */
};

/* Of TABLE_COUNTER, and of TABLE_META once it was counted. -EUCLEAN: another key. */
struct key area_key(uint64_t dir_ino);
int area_key_decode(struct slice raw, uint64_t *ret_dir_ino);

/* NULL: there is none. */
struct area *area_find(const struct usage *u, uint64_t dir_ino);
/* Under `names`. NULL: out of memory. */
struct area *area_add(struct usage *u, uint64_t dir_ino);
void area_remove(struct usage *u, struct area *area);
/* Under `names`: a batch that was committed has changed its counter, */
void area_changed(struct store *st, uint64_t dir_ino, int64_t delta);
/* or has removed this key of TABLE_META. */
void area_gone(struct store *st, struct slice meta_key);
int areas_load(struct store *st);
void areas_deinit(struct usage *u);

/* A directory with a quota, and what is above it. */
struct quota {
	uint64_t dir_ino, bytes, parent_branch;
};

struct quota quota_of(const struct policy *policy);
/* The next above; none: dir_ino is 0. */
void quota_up(struct store *st, struct quota *q);

/*
 * Bytes to be evicted of `live`, when `total` is above the high mark of a bound, or was
 * and is not below the low one yet.
 */
int64_t usage_shrink(int64_t live, int64_t total, uint64_t size_bytes,
		     atomic_bool *shrinking);
void usage_put_counter(struct batch *b, struct slice key, int64_t value);

#endif
