/* SPDX-License-Identifier: Apache-2.0 */
#include "store/util/htab.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <xxhash.h>

enum { FIRST_BUCKETS = 64 };

void htab_deinit(struct htab *t)
{
	free(t->buckets);
	*t = HTAB_INIT;
}

static void chain(struct hlink **buckets, size_t bucket_count, struct hlink *link)
{
	struct hlink **head = &buckets[link->hash & (bucket_count - 1)];

	link->next = *head;
	*head = link;
}

static int grow(struct htab *t)
{
	size_t bucket_count = t->bucket_count ? t->bucket_count * 2 : FIRST_BUCKETS;
	struct hlink **buckets = calloc(bucket_count, sizeof(*buckets));

	if (!buckets)
		return -ENOMEM;
	for (size_t i = 0; i < t->bucket_count; i++) {
		struct hlink *link = t->buckets[i];

		while (link) {
			struct hlink *next = link->next;

			chain(buckets, bucket_count, link);
			link = next;
		}
	}
	free(t->buckets);
	t->buckets = buckets;
	t->bucket_count = bucket_count;
	return 0;
}

int htab_reserve(struct htab *t)
{
	return t->bucket_count ? 0 : grow(t);
}

int htab_add(struct htab *t, struct hlink *link, uint64_t hash)
{
	/* A full table that cannot grow still works, only slower. */
	if (t->count >= t->bucket_count && grow(t) && !t->bucket_count)
		return -ENOMEM;
	link->hash = hash;
	chain(t->buckets, t->bucket_count, link);
	t->count++;
	return 0;
}

void htab_remove(struct htab *t, struct hlink *link)
{
	struct hlink **at = &t->buckets[link->hash & (t->bucket_count - 1)];

	while (*at != link)
		at = &(*at)->next;
	*at = link->next;
	t->count--;
}

static struct hlink *match(struct hlink *link, uint64_t hash)
{
	while (link && link->hash != hash)
		link = link->next;
	return link;
}

struct hlink *htab_first(const struct htab *t, uint64_t hash)
{
	if (!t->bucket_count)
		return NULL;
	return match(t->buckets[hash & (t->bucket_count - 1)], hash);
}

struct hlink *htab_next(const struct hlink *link)
{
	return match(link->next, link->hash);
}

struct hwalk htab_walk(const struct htab *t)
{
	struct hwalk w = {.table = t, .bucket_count = t->bucket_count};

	hwalk_next(&w);
	return w;
}

void hwalk_next(struct hwalk *w)
{
	assert(w->bucket_count == w->table->bucket_count);
	w->link = w->next;
	while (!w->link && w->bucket < w->bucket_count)
		w->link = w->table->buckets[w->bucket++];
	w->next = w->link ? w->link->next : NULL;
}

uint64_t hash_u64(uint64_t value)
{
	return XXH3_64bits(&value, sizeof(value));
}

uint64_t hash_bytes(const void *data, size_t len, uint64_t seed)
{
	return XXH3_64bits_withSeed(data, len, seed);
}
