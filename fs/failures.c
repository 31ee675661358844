/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/failures.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/util/duration.h"
#include "store/util/htab.h"

struct slot {
	struct hlink link;
	struct slot *newer, *older;
	uint64_t branch;
	struct failure failure;
	char name[];
};

struct failures {
	pthread_mutex_t lock;
	struct htab by_name;	       /* under lock */
	struct slot *newest, *oldest;  /* under lock */
	_Atomic unsigned int in_table; /* by_name.count; read without the lock */
};

int failures_new(struct failures **ret_f)
{
	struct failures *f = calloc(1, sizeof(*f));

	if (!f)
		return -ENOMEM;
	pthread_mutex_init(&f->lock, NULL);
	*ret_f = f;
	return 0;
}

static struct slot *find(struct failures *f, uint64_t branch, const char *name)
{
	uint64_t hash = hash_bytes(name, strlen(name), branch);

	for (struct hlink *l = htab_first(&f->by_name, hash); l; l = htab_next(l)) {
		struct slot *s = CONTAINER_OF(l, struct slot, link);

		if (s->branch == branch && strcmp(s->name, name) == 0)
			return s;
	}
	return NULL;
}

static void take_out(struct failures *f, struct slot *s)
{
	htab_remove(&f->by_name, &s->link);
	*(s->newer ? &s->newer->older : &f->newest) = s->older;
	*(s->older ? &s->older->newer : &f->oldest) = s->newer;
	atomic_store(&f->in_table, (unsigned int)f->by_name.count);
	free(s);
}

static void put_in(struct failures *f, struct slot *s)
{
	if (htab_add(&f->by_name, &s->link,
		     hash_bytes(s->name, strlen(s->name), s->branch))) {
		free(s);
		return;
	}
	s->older = f->newest;
	*(f->newest ? &f->newest->newer : &f->oldest) = s;
	f->newest = s;
	if (f->by_name.count > FAILURES_MAX)
		take_out(f, f->oldest);
	atomic_store(&f->in_table, (unsigned int)f->by_name.count);
}

void failures_free(struct failures *f)
{
	if (!f)
		return;
	while (f->oldest)
		take_out(f, f->oldest);
	htab_deinit(&f->by_name);
	pthread_mutex_destroy(&f->lock);
	free(f);
}

void failure_put(struct failures *f, uint64_t branch, const char *name, const char *text)
{
	size_t len = strlen(name);
	struct slot *former, *s = calloc(1, sizeof(*s) + len + 1);

	if (!s)
		return;
	s->branch = branch;
	memcpy(s->name, name, len + 1);
	s->failure.at_ns = time_now_ns();
	snprintf(s->failure.text, sizeof(s->failure.text), "%s", text);
	pthread_mutex_lock(&f->lock);
	former = find(f, branch, name);
	if (former)
		take_out(f, former);
	put_in(f, s);
	pthread_mutex_unlock(&f->lock);
}

int failure_get(struct failures *f, uint64_t branch, const char *name,
		struct failure *ret_failure)
{
	struct slot *s;

	pthread_mutex_lock(&f->lock);
	s = find(f, branch, name);
	if (s)
		*ret_failure = s->failure;
	pthread_mutex_unlock(&f->lock);
	return s ? 0 : -ENOENT;
}

void failure_clear(struct failures *f, uint64_t branch, const char *name)
{
	struct slot *s;

	if (!atomic_load(&f->in_table)) /* every publish asks */
		return;
	pthread_mutex_lock(&f->lock);
	s = find(f, branch, name);
	if (s)
		take_out(f, s);
	pthread_mutex_unlock(&f->lock);
}
