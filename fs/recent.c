/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/recent.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "store/util/htab.h"

enum { SLOTS = 2048, LOCKS = 32 };

struct recent {
	pthread_mutex_t locks[LOCKS]; /* slot i: lock i % LOCKS */
	struct store_attr slots[SLOTS];
};

int recent_new(struct recent **ret_recent)
{
	struct recent *rec = calloc(1, sizeof(*rec));

	if (!rec)
		return -ENOMEM;
	for (int i = 0; i < LOCKS; i++)
		pthread_mutex_init(&rec->locks[i], NULL);
	*ret_recent = rec;
	return 0;
}

void recent_free(struct recent *rec)
{
	if (!rec)
		return;
	for (int i = 0; i < LOCKS; i++)
		pthread_mutex_destroy(&rec->locks[i]);
	free(rec);
}

/* The numbers of sealed trees differ in high bits only. */
static size_t slot_of(uint64_t ino)
{
	return hash_u64(ino) % SLOTS;
}

void recent_put(struct recent *rec, const struct store_attr *attr)
{
	size_t slot = slot_of(attr->ino);
	pthread_mutex_t *lock = &rec->locks[slot % LOCKS];

	pthread_mutex_lock(lock);
	rec->slots[slot] = *attr;
	pthread_mutex_unlock(lock);
}

int recent_get(struct recent *rec, uint64_t ino, struct store_attr *ret_attr)
{
	size_t slot = slot_of(ino);
	pthread_mutex_t *lock = &rec->locks[slot % LOCKS];
	int r = -ENOENT;

	pthread_mutex_lock(lock);
	if (rec->slots[slot].ino == ino) {
		*ret_attr = rec->slots[slot];
		r = 0;
	}
	pthread_mutex_unlock(lock);
	return r;
}
