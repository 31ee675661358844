/* SPDX-License-Identifier: Apache-2.0 */
/*
 * An intrusive hash table: chains of links embedded in the caller's structs.
 *
 * The table knows 64-bit hashes only; the caller compares keys while walking
 * equal hashes. It locks nothing and owns nothing but its bucket array.
 *
 *	for (struct hlink *l = htab_first(&t, hash); l; l = htab_next(l))
 *		if (key matches CONTAINER_OF(l, struct thing, link)) …
 *
 * All of them, in any order; the one at hand may be removed, and freed:
 *
 *	for (struct hwalk w = htab_walk(&t); w.link; hwalk_next(&w))
 *		… CONTAINER_OF(w.link, struct thing, link) …
 */
#ifndef MEMOFS_STORE_UTIL_HTAB_H
#define MEMOFS_STORE_UTIL_HTAB_H

#include <stddef.h>
#include <stdint.h>

struct hlink {
	struct hlink *next;
	uint64_t hash;
};

struct htab {
	struct hlink **buckets;
	size_t bucket_count; /* a power of two, or 0 */
	size_t count;
};

#define HTAB_INIT ((struct htab){0})

#define CONTAINER_OF(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

/* The links' owner frees them; this frees the buckets. */
void htab_deinit(struct htab *t);
/* The next htab_add() cannot fail. -ENOMEM. */
int htab_reserve(struct htab *t);
/* Add under `hash`; several links may share one. -ENOMEM: not added. */
int htab_add(struct htab *t, struct hlink *link, uint64_t hash);
/* The link must be in the table. */
void htab_remove(struct htab *t, struct hlink *link);
struct hlink *htab_first(const struct htab *t, uint64_t hash); /* or NULL */
struct hlink *htab_next(const struct hlink *link); /* with the same hash, or NULL */

/* The links of a table one by one. */
struct hwalk {
	struct hlink *link; /* the one at hand; NULL: there are no more */
	struct hlink *next; /* in its chain */
	const struct htab *table;
	size_t bucket, bucket_count;
};

/* At its first link. Meanwhile no other one is removed, and none is added. */
struct hwalk htab_walk(const struct htab *t);
void hwalk_next(struct hwalk *w);

/* Spread a number, or bytes seeded with a number, over 64 bits. */
uint64_t hash_u64(uint64_t value);
uint64_t hash_bytes(const void *data, size_t len, uint64_t seed);

#endif
