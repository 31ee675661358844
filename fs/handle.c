/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/handle.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

/* Several lists, so that opens on several CPUs seldom meet. */
enum { SHARDS = 16 };

struct shard {
	pthread_mutex_t lock;
	struct handle *first; /* under lock */
	uint64_t count;	      /* under lock */
};

struct handle_list {
	struct shard shards[SHARDS];
	_Atomic uint64_t text_bytes; /* of all handles */
};

#define SHORT_TEXT_BYTES (UINT64_C(16) << 10)
#define TEXTS_MAX_BYTES (UINT64_C(32) << 20)

int handle_list_new(struct handle_list **ret_list)
{
	struct handle_list *list = calloc(1, sizeof(*list));

	if (!list)
		return -ENOMEM;
	for (int i = 0; i < SHARDS; i++)
		pthread_mutex_init(&list->shards[i].lock, NULL);
	*ret_list = list;
	return 0;
}

static struct shard *shard_of(struct handle_list *list, const struct handle *h)
{
	/* Above what malloc aligns to. */
	return &list->shards[((uintptr_t)h >> 6) % SHARDS];
}

struct handle *handle_new(struct handle_list *list, enum handle_kind kind)
{
	struct handle *h = calloc(1, sizeof(*h));
	struct shard *s = shard_of(list, h);

	if (!h)
		return NULL;
	h->kind = kind;
	pthread_mutex_lock(&s->lock);
	h->next = s->first;
	h->at = &s->first;
	if (h->next)
		h->next->at = &h->next;
	s->first = h;
	s->count++;
	pthread_mutex_unlock(&s->lock);
	return h;
}

int handle_count_text(struct handle_list *list, struct handle *h)
{
	uint64_t before;

	if (h->text.len <= SHORT_TEXT_BYTES)
		return 0;
	h->counted = h->text.len;
	before = atomic_fetch_add(&list->text_bytes, h->counted);
	return before + h->counted > TEXTS_MAX_BYTES ? -ENFILE : 0;
}

void handle_free(struct handle_list *list, struct handle *h)
{
	struct shard *s = shard_of(list, h);

	if (!h)
		return;
	pthread_mutex_lock(&s->lock);
	*h->at = h->next;
	if (h->next)
		h->next->at = h->at;
	s->count--;
	pthread_mutex_unlock(&s->lock);
	if (h->counted)
		atomic_fetch_sub(&list->text_bytes, h->counted);
	store_gen_close(h->gen);
	pending_unref(h->pending);
	buf_deinit(&h->text);
	listing_free(h->listing);
	limit_give(&h->hold);
	free(h);
}

uint64_t handle_count(struct handle_list *list)
{
	uint64_t count = 0;

	for (int i = 0; i < SHARDS; i++) {
		pthread_mutex_lock(&list->shards[i].lock);
		count += list->shards[i].count;
		pthread_mutex_unlock(&list->shards[i].lock);
	}
	return count;
}

void handle_list_free(struct handle_list *list)
{
	if (!list)
		return;
	for (int i = 0; i < SHARDS; i++) {
		while (list->shards[i].first)
			handle_free(list, list->shards[i].first);
		pthread_mutex_destroy(&list->shards[i].lock);
	}
	free(list);
}
