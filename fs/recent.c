/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/recent.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

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

void recent_put(struct recent *rec, const struct store_attr *attr)
{
	pthread_mutex_t *lock = &rec->locks[attr->ino % LOCKS];

	pthread_mutex_lock(lock);
	rec->slots[attr->ino % SLOTS] = *attr;
	pthread_mutex_unlock(lock);
}

int recent_get(struct recent *rec, uint64_t ino, struct store_attr *ret_attr)
{
	pthread_mutex_t *lock = &rec->locks[ino % LOCKS];
	int r = -ENOENT;

	pthread_mutex_lock(lock);
	if (rec->slots[ino % SLOTS].ino == ino) {
		*ret_attr = rec->slots[ino % SLOTS];
		r = 0;
	}
	pthread_mutex_unlock(lock);
	return r;
}
