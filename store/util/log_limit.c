/* SPDX-License-Identifier: Apache-2.0 */
#include "store/util/log_limit.h"

#include <pthread.h>

#include "store/util/htab.h"

/* Two kinds that meet in a slot push each other out, and are let through then. */
enum { SLOTS = 512 };

struct slot {
	struct log_kind kind;
	int64_t since_ns; /* when its while began */
	unsigned int lines;
	uint64_t left_out;
};

static struct {
	unsigned int lines; /* fixed while threads log, as is the next */
	int64_t while_ns;
	pthread_mutex_t lock; /* a leaf */
	struct slot slots[SLOTS];
} limit = {.lock = PTHREAD_MUTEX_INITIALIZER};

void log_limit_set(unsigned int lines, int64_t while_ns)
{
	limit.lines = lines;
	limit.while_ns = while_ns;
	for (int i = 0; i < SLOTS; i++)
		limit.slots[i] = (struct slot){0};
}

bool log_limit_is_set(void)
{
	return limit.lines > 0;
}

int64_t log_limit_while_ns(void)
{
	return limit.while_ns;
}

static bool is_same(const struct log_kind *a, const struct log_kind *b)
{
	return a->format == b->format && a->level == b->level && a->tag == b->tag;
}

/* Under the lock. */
static struct slot *slot_of(const struct log_kind *kind, int64_t now_ns,
			    uint64_t *ret_left_out)
{
	uint64_t hash = hash_u64((uintptr_t)kind->format ^ hash_u64(kind->tag));
	struct slot *s = &limit.slots[(hash + (unsigned int)kind->level) % SLOTS];

	*ret_left_out = 0;
	if (is_same(&s->kind, kind) && now_ns - s->since_ns < limit.while_ns)
		return s;
	if (is_same(&s->kind, kind))
		*ret_left_out = s->left_out;
	*s = (struct slot){.kind = *kind, .since_ns = now_ns};
	return s;
}

struct log_verdict log_limit_judge(const struct log_kind *kind, int64_t now_ns)
{
	struct log_verdict v = {0};
	struct slot *s;

	pthread_mutex_lock(&limit.lock);
	s = slot_of(kind, now_ns, &v.left_out);
	v.admitted = s->lines < limit.lines;
	if (v.admitted)
		v.is_last = ++s->lines == limit.lines;
	else
		s->left_out++;
	pthread_mutex_unlock(&limit.lock);
	return v;
}
