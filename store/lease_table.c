/* SPDX-License-Identifier: Apache-2.0 */
#include "store/lease_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static uint64_t hash_of(uint64_t branch, const char *name)
{
	return hash_bytes(name, strlen(name), branch);
}

struct lease *lease_new(enum store_lease_kind kind, uint64_t branch, const char *name,
			struct slice owner)
{
	size_t name_len = strlen(name);
	struct lease *lease = calloc(1, sizeof(*lease) + name_len + owner.len + 2);

	if (!lease)
		return NULL;
	memcpy(lease->text, name, name_len);
	memcpy(lease->text + name_len + 1, owner.data, owner.len);
	lease->name = lease->text;
	lease->owner = lease->text + name_len + 1;
	lease->kind = kind;
	lease->branch = branch;
	lease->ends_ns = DURATION_NONE;
	lease->heap_at = LEASE_NO_END;
	return lease;
}

/* ---- the order of ends: a binary heap ---- */

static void heap_set(struct lease_table *t, size_t at, struct lease *lease)
{
	t->heap[at] = lease;
	lease->heap_at = at;
}

static void heap_up(struct lease_table *t, size_t at, struct lease *lease)
{
	while (at && t->heap[(at - 1) / 2]->ends_ns > lease->ends_ns) {
		heap_set(t, at, t->heap[(at - 1) / 2]);
		at = (at - 1) / 2;
	}
	heap_set(t, at, lease);
}

static void heap_down(struct lease_table *t, size_t at, struct lease *lease)
{
	for (;;) {
		size_t child = 2 * at + 1;

		if (child + 1 < t->heap_count &&
		    t->heap[child + 1]->ends_ns < t->heap[child]->ends_ns)
			child++;
		if (child >= t->heap_count || t->heap[child]->ends_ns >= lease->ends_ns)
			break;
		heap_set(t, at, t->heap[child]);
		at = child;
	}
	heap_set(t, at, lease);
}

static void heap_place(struct lease_table *t, size_t at, struct lease *lease)
{
	if (at && t->heap[(at - 1) / 2]->ends_ns > lease->ends_ns)
		heap_up(t, at, lease);
	else
		heap_down(t, at, lease);
}

static void heap_remove(struct lease_table *t, struct lease *lease)
{
	size_t at = lease->heap_at;
	struct lease *last;

	if (at == LEASE_NO_END)
		return;
	lease->heap_at = LEASE_NO_END;
	last = t->heap[--t->heap_count];
	if (last != lease)
		heap_place(t, at, last);
}

void lease_table_reorder(struct lease_table *t, struct lease *lease)
{
	heap_remove(t, lease);
	if (lease->kind == STORE_LEASE_NAMED && !lease->publishing)
		heap_up(t, t->heap_count++, lease);
}

/* The heap's order bounds the walk: below what has not ended nothing has. */
static size_t ended_below(const struct lease_table *t, size_t at, int64_t now_ns,
			  struct lease **ended, size_t count, size_t max)
{
	if (at >= t->heap_count || count == max || t->heap[at]->ends_ns > now_ns)
		return count;
	if (ended)
		ended[count] = t->heap[at];
	count = ended_below(t, 2 * at + 1, now_ns, ended, count + 1, max);
	return ended_below(t, 2 * at + 2, now_ns, ended, count, max);
}

size_t lease_table_ended(const struct lease_table *t, int64_t now_ns,
			 struct lease **ret_ended, size_t max)
{
	return ended_below(t, 0, now_ns, ret_ended, 0, max);
}

/* ---- by branch: lists, whose heads are in a table ---- */

static void branch_add(struct lease_table *t, struct lease *lease)
{
	struct lease *first = lease_table_first(t, lease->branch);

	/* Behind the head, which stays in the table of heads. */
	lease->prev = first;
	lease->next = first ? first->next : NULL;
	if (lease->next)
		lease->next->prev = lease;
	if (first)
		first->next = lease;
	else
		htab_add(&t->branches, &lease->branch_link, hash_u64(lease->branch));
}

static void branch_remove(struct lease_table *t, struct lease *lease)
{
	if (lease->next)
		lease->next->prev = lease->prev;
	if (lease->prev) {
		lease->prev->next = lease->next;
		return;
	}
	htab_remove(&t->branches, &lease->branch_link);
	if (lease->next)
		htab_add(&t->branches, &lease->next->branch_link,
			 hash_u64(lease->branch));
}

struct lease *lease_table_first(const struct lease_table *t, uint64_t branch)
{
	struct hlink *l = htab_first(&t->branches, hash_u64(branch));

	for (; l; l = htab_next(l)) {
		struct lease *lease = CONTAINER_OF(l, struct lease, branch_link);

		if (lease->branch == branch)
			return lease;
	}
	return NULL;
}

/* ---- how many each user has ---- */

struct lease_user {
	struct hlink link;
	uint32_t uid;
	size_t count;
};

static struct lease_user *user_find(const struct lease_table *t, uint32_t uid)
{
	struct hlink *l = htab_first(&t->users, hash_u64(uid));

	for (; l; l = htab_next(l)) {
		struct lease_user *user = CONTAINER_OF(l, struct lease_user, link);

		if (user->uid == uid)
			return user;
	}
	return NULL;
}

static struct lease_user *user_new(struct lease_table *t, uint32_t uid)
{
	struct lease_user *user = calloc(1, sizeof(*user));

	if (!user)
		return NULL;
	user->uid = uid;
	if (htab_add(&t->users, &user->link, hash_u64(uid))) {
		free(user);
		return NULL;
	}
	return user;
}

static void user_add(struct lease_table *t, struct lease *lease)
{
	struct lease_user *user;

	if (!lease->has_user)
		return;
	user = user_find(t, lease->uid);
	if (!user)
		user = user_new(t, lease->uid);
	if (user)
		user->count++;
	else
		lease->has_user = false;
}

static void user_remove(struct lease_table *t, const struct lease *lease)
{
	if (lease->has_user)
		user_find(t, lease->uid)->count--;
}

static void users_deinit(struct lease_table *t)
{
	for (struct hwalk w = htab_walk(&t->users); w.link; hwalk_next(&w))
		free(CONTAINER_OF(w.link, struct lease_user, link));
	htab_deinit(&t->users);
}

size_t lease_table_of_user(const struct lease_table *t, uint32_t uid)
{
	const struct lease_user *user = user_find(t, uid);

	return user ? user->count : 0;
}

/* ---- the table ---- */

static int heap_reserve(struct lease_table *t)
{
	/* For all there are: what is being published comes back later. */
	size_t want = t->names.count + 1;
	struct lease **heap;

	if (want <= t->heap_cap)
		return 0;
	want = want < 64 ? 64 : want * 2;
	heap = realloc(t->heap, want * sizeof(*heap));
	if (!heap)
		return -ENOMEM;
	t->heap = heap;
	t->heap_cap = want;
	return 0;
}

int lease_table_reserve(struct lease_table *t)
{
	if (htab_reserve(&t->names) || htab_reserve(&t->branches))
		return -ENOMEM;
	return heap_reserve(t);
}

void lease_table_add(struct lease_table *t, struct lease *lease)
{
	htab_add(&t->names, &lease->link, hash_of(lease->branch, lease->name));
	branch_add(t, lease);
	user_add(t, lease);
	lease_table_reorder(t, lease);
}

void lease_table_remove(struct lease_table *t, struct lease *lease)
{
	heap_remove(t, lease);
	user_remove(t, lease);
	branch_remove(t, lease);
	htab_remove(&t->names, &lease->link);
	free(lease);
}

struct lease *lease_table_find(const struct lease_table *t, uint64_t branch,
			       const char *name)
{
	struct hlink *l = htab_first(&t->names, hash_of(branch, name));

	for (; l; l = htab_next(l)) {
		struct lease *lease = CONTAINER_OF(l, struct lease, link);

		if (lease->branch == branch && !strcmp(lease->name, name))
			return lease;
	}
	return NULL;
}

size_t lease_table_count(const struct lease_table *t)
{
	return t->names.count;
}

int64_t lease_table_oldest(const struct lease_table *t, int64_t now_ns)
{
	int64_t oldest_ns = DURATION_NONE;

	for (struct hwalk w = htab_walk(&t->names); w.link; hwalk_next(&w)) {
		const struct lease *lease = CONTAINER_OF(w.link, struct lease, link);

		if ((lease->publishing || lease->ends_ns > now_ns) &&
		    lease->since_ns < oldest_ns)
			oldest_ns = lease->since_ns;
	}
	return oldest_ns;
}

void lease_table_deinit(struct lease_table *t)
{
	for (struct hwalk w = htab_walk(&t->names); w.link; hwalk_next(&w))
		free(CONTAINER_OF(w.link, struct lease, link));
	htab_deinit(&t->names);
	htab_deinit(&t->branches);
	users_deinit(t);
	free(t->heap);
	*t = (struct lease_table){0};
}
