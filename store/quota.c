/* SPDX-License-Identifier: Apache-2.0 */
#include "store/quota.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/internal.h"
#include "store/sealed.h"

static const char quota_key[] = "quota";

/* ---- the table ---- */

struct key area_key(uint64_t dir_ino)
{
	struct key ino = key_ino(dir_ino), key = {.len = sizeof(quota_key) - 1};

	memcpy(key.data, quota_key, key.len);
	memcpy(key.data + key.len, ino.data, ino.len);
	key.len = (uint16_t)(key.len + ino.len);
	return key;
}

int area_key_decode(struct slice raw, uint64_t *ret_dir_ino)
{
	const size_t len = sizeof(quota_key) - 1;

	if (raw.len <= len || memcmp(raw.data, quota_key, len))
		return -EUCLEAN;
	return key_ino_decode(slice((const uint8_t *)raw.data + len, raw.len - len),
			      ret_dir_ino);
}

struct area *area_find(const struct usage *u, uint64_t dir_ino)
{
	struct hlink *l = htab_first(&u->areas, hash_u64(dir_ino));

	for (; l; l = htab_next(l)) {
		struct area *area = CONTAINER_OF(l, struct area, link);

		if (area->dir_ino == dir_ino)
			return area;
	}
	return NULL;
}

struct area *area_add(struct usage *u, uint64_t dir_ino)
{
	struct area *area = area_find(u, dir_ino);

	if (area)
		return area;
	area = calloc(1, sizeof(*area));
	if (!area)
		return NULL;
	area->dir_ino = dir_ino;
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&u->lock);
	if (htab_add(&u->areas, &area->link, hash_u64(dir_ino))) {
		free(area);
		return NULL;
	}
	return area;
}

void area_remove(struct usage *u, struct area *area)
{
	pthread_mutex_lock(&u->lock);
	htab_remove(&u->areas, &area->link);
	pthread_mutex_unlock(&u->lock);
	free(area);
}

void areas_deinit(struct usage *u)
{
	for (struct hwalk w = htab_walk(&u->areas); w.link; hwalk_next(&w))
		area_remove(u, CONTAINER_OF(w.link, struct area, link));
	htab_deinit(&u->areas);
}

void area_changed(struct store *st, uint64_t dir_ino, int64_t delta)
{
	struct usage *u = &st->usage;
	struct area *area = area_add(u, dir_ino);

	if (!area) {
		u->spoiled = true;
		usage_want_count(st);
		return;
	}
	pthread_mutex_lock(&u->lock);
	area->used += delta;
	area->since += delta;
	pthread_mutex_unlock(&u->lock);
	if (!area->counted && !area->counting)
		usage_want_count(st);
}

void area_gone(struct store *st, struct slice meta_key)
{
	struct area *area;
	uint64_t dir_ino;

	if (area_key_decode(meta_key, &dir_ino))
		return;
	area = area_find(&st->usage, dir_ino);
	if (area)
		area_remove(&st->usage, area);
}

static int load_area(struct store *st, uint64_t dir_ino)
{
	CLEANUP_BUF struct buf raw = BUF_INIT;
	struct key key = area_key(dir_ino);
	struct area *area = area_add(&st->usage, dir_ino);
	uint64_t used = 0;
	int r;

	if (!area)
		return -ENOMEM;
	r = backend_get(st->be, TABLE_COUNTER, key_slice(&key), &raw);
	if (r && r != -ENOENT && r != -EUCLEAN)
		return r;
	area->counted = !r && !u64_decode(buf_slice(&raw), &used);
	area->used = (int64_t)used;
	return 0;
}

/* A restart may have come between a removal and the count that was to follow. */
int areas_load(struct store *st)
{
	struct backend_iter *it;
	uint64_t dir_ino;
	int r = backend_iter_new(st->be, TABLE_META, &it);

	if (r)
		return r;
	for (backend_iter_seek(it, slice_str(quota_key));
	     !r && backend_iter_valid(it) &&
	     !area_key_decode(backend_iter_key(it), &dir_ino);
	     backend_iter_next(it)) {
		r = load_area(st, dir_ino);
		atomic_store(&st->usage.count_wanted, true);
	}
	if (!r)
		r = backend_iter_status(it);
	backend_iter_free(it);
	return r;
}

/* ---- what may be stored ---- */

struct quota quota_of(const struct policy *policy)
{
	return (struct quota){.dir_ino = policy->quota_ino,
			      .bytes = policy->quota_bytes,
			      .parent_branch = policy->quota_parent_branch};
}

void quota_up(struct store *st, struct quota *q)
{
	struct policy above;

	if (q->parent_branch && !policy_get(st, q->parent_branch, &above))
		*q = quota_of(&above);
	else
		*q = (struct quota){0};
}

void usage_batch_charge(struct store *st, struct batch *b, const struct policy *policy,
			int64_t bytes)
{
	if (!bytes)
		return;
	for (struct quota q = quota_of(policy); q.dir_ino; quota_up(st, &q)) {
		struct key key = area_key(q.dir_ino);

		batch_add(b, key_slice(&key), bytes);
	}
}

static bool is_below(struct store *st, const struct policy *from, uint64_t dir_ino)
{
	struct quota q = from ? quota_of(from) : (struct quota){0};

	while (q.dir_ino && q.dir_ino != dir_ino)
		quota_up(st, &q);
	return q.dir_ino != 0;
}

/* Below a directory; 0: all together is too little to matter. Under the lock. */
static int64_t promised_below(struct store *st, uint64_t dir_ino, int64_t left,
			      const struct usage_promise *own)
{
	struct usage *u = &st->usage;
	struct policy policy;
	int64_t bytes = 0;

	if (atomic_load(&u->promised_bytes) <= left)
		return 0;
	for (const struct usage_promise *p = u->promises; p; p = p->next)
		if (p != own && !policy_get(st, p->branch, &policy) &&
		    is_below(st, &policy, dir_ino))
			bytes += p->bytes;
	return bytes;
}

static int64_t promised_below_unlocked(struct store *st, uint64_t dir_ino, int64_t left,
				       const struct usage_promise *own)
{
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&st->usage.lock);

	return promised_below(st, dir_ino, left, own);
}

int usage_check_quota(struct store *st, const struct policy *policy,
		      const struct policy *from, int64_t bytes,
		      const struct usage_promise *own)
{
	bool above_high = false;
	int r = 0;

	/* What was promised is not refused any more, even if the quota is less now. */
	if (bytes <= 0 || (own && bytes <= own->bytes))
		return 0;
	for (struct quota q = quota_of(policy); !r && q.dir_ino; quota_up(st, &q)) {
		const struct area *area = area_find(&st->usage, q.dir_ino);
		uint64_t high, low;
		int64_t left;

		if (!area || !area->counted || is_below(st, from, q.dir_ino))
			continue;
		usage_marks(q.bytes, &high, &low);
		above_high |= area->used + bytes > (int64_t)high;
		left = (int64_t)q.bytes - area->used - bytes;
		if (left < 0 || promised_below_unlocked(st, q.dir_ino, left, own) > left)
			r = -EDQUOT;
	}
	if (above_high)
		usage_wake(st);
	return r;
}

/* Under the lock. `replaced` -1: is it more than the whole? */
static int ask_area(struct store *st, const struct quota *q, int64_t bytes,
		    int64_t replaced)
{
	struct area *area = area_find(&st->usage, q->dir_ino);
	int64_t left = (int64_t)q->bytes;

	if (!area || !area->counted)
		return 0;
	if (replaced >= 0) {
		left -= area->used - replaced;
		left -= promised_below(st, q->dir_ino, left - bytes, NULL);
	}
	/* What is too much already may become less. */
	if (bytes <= left || bytes <= replaced)
		return 0;
	if (replaced >= 0 && area->wanted < bytes - replaced)
		area->wanted = bytes - replaced;
	return -EDQUOT;
}

/* Under the lock. */
static int ask_areas(struct store *st, uint64_t branch, int64_t bytes, int64_t replaced)
{
	struct policy policy;
	int r = 0;

	if (policy_get(st, branch, &policy))
		return 0; /* who publishes is told */
	for (struct quota q = quota_of(&policy); !r && q.dir_ino; quota_up(st, &q))
		r = ask_area(st, &q, bytes, replaced);
	return r;
}

int usage_ask_quota(struct store *st, uint64_t branch, int64_t bytes)
{
	int r;

	pthread_mutex_lock(&st->usage.lock);
	r = ask_areas(st, branch, bytes, -1);
	pthread_mutex_unlock(&st->usage.lock);
	if (r)
		usage_wake(st);
	return r;
}

/* Under the lock. */
static void forget_promise(struct usage *u, struct usage_promise *p)
{
	if (!p->link)
		return;
	*p->link = p->next;
	if (p->next)
		p->next->link = p->link;
	atomic_fetch_sub(&u->promised_bytes, p->bytes);
	*p = (struct usage_promise){0};
}

static void add_promise(struct usage *u, struct usage_promise *p)
{
	p->next = u->promises;
	p->link = &u->promises;
	if (p->next)
		p->next->link = &p->next;
	u->promises = p;
	atomic_fetch_add(&u->promised_bytes, p->bytes);
}

int usage_promise(struct store *st, uint64_t branch, int64_t bytes, int64_t replaced,
		  struct usage_promise *promise)
{
	struct usage *u = &st->usage;
	int r;

	pthread_mutex_lock(&u->lock);
	if (promise->link && promise->branch == branch &&
	    bytes - replaced <= promise->bytes) {
		pthread_mutex_unlock(&u->lock);
		return 0;
	}
	forget_promise(u, promise);
	r = ask_areas(st, branch, bytes, replaced);
	if (!r && bytes > replaced) {
		promise->branch = branch;
		promise->bytes = bytes - replaced;
		add_promise(u, promise);
	}
	pthread_mutex_unlock(&u->lock);
	if (r)
		usage_wake(st);
	return r;
}

void usage_unpromise(struct store *st, struct usage_promise *promise)
{
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&st->usage.lock);

	forget_promise(&st->usage, promise);
}

/* Room for what waits is made before it comes. */
static int64_t area_excess(struct store *st, struct area *area)
{
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&st->usage.lock);
	struct policy policy;
	int64_t taken, excess;

	if (!area->counted || policy_get(st, area->dir_ino, &policy) ||
	    policy.quota_ino != area->dir_ino)
		return 0;
	taken = area->used + area->wanted;
	excess = usage_shrink(taken, taken, policy.quota_bytes, &area->shrinking);
	if (excess <= 0)
		area->wanted = 0;
	if (area->pause_ns && time_monotonic_ns() < area->resume_ns)
		return 0;
	return excess < area->used ? excess : area->used;
}

bool usage_quota_stuck(struct store *st, uint64_t dir_ino)
{
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&st->usage.lock);
	struct area *area = area_find(&st->usage, dir_ino);
	bool first;

	if (!area)
		return false;
	first = !area->pause_ns;
	area->pause_ns = first ? USAGE_PAUSE_MIN_NS : 2 * area->pause_ns;
	if (area->pause_ns > USAGE_PAUSE_MAX_NS)
		area->pause_ns = USAGE_PAUSE_MAX_NS;
	area->resume_ns = time_monotonic_ns() + area->pause_ns;
	return first;
}

void usage_quota_freed(struct store *st, uint64_t dir_ino)
{
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&st->usage.lock);
	struct area *area = area_find(&st->usage, dir_ino);

	if (area)
		area->pause_ns = 0;
}

int64_t usage_quota_excess(struct store *st, uint64_t *ret_dir_ino)
{
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&st->names);
	struct usage *u = &st->usage;

	for (struct hwalk w = htab_walk(&u->areas); w.link; hwalk_next(&w)) {
		struct area *area = CONTAINER_OF(w.link, struct area, link);
		int64_t excess = area_excess(st, area);

		if (excess > 0) {
			*ret_dir_ino = area->dir_ino;
			return excess;
		}
	}
	return 0;
}

/* ---- for callers ---- */

/* The policy of a branch, which may be in a sealed tree. */
static int shown_policy(struct store *st, uint64_t branch, struct policy *ret_policy)
{
	uint64_t dir_ino;
	int r = 0;

	if (store_ino_in_tree(branch))
		r = sealed_parent(st, store_tree_root(branch), &dir_ino, &branch);
	if (!r)
		r = policy_get(st, branch, ret_policy);
	return r == -ENOTDIR ? -ENOENT : r;
}

int store_namespace(struct store *st, uint64_t branch, uint64_t *ret_dir_ino)
{
	struct policy policy;
	int r = shown_policy(st, branch, &policy);

	if (!r)
		*ret_dir_ino = policy.ns_ino;
	return r;
}

int store_quota(struct store *st, uint64_t branch, struct store_quota *ret_quota)
{
	struct usage *u = &st->usage;
	const struct area *area;
	struct policy policy;
	int r = shown_policy(st, branch, &policy);

	if (r || !policy.quota_ino)
		return r ?: -ENODATA;
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&u->lock);
	area = area_find(u, policy.quota_ino);
	*ret_quota = (struct store_quota){
	    .dir_ino = policy.quota_ino,
	    .quota_bytes = policy.quota_bytes,
	    .counted = area && area->counted,
	    .used_bytes =
		area && area->counted && area->used > 0 ? (uint64_t)area->used : 0,
	};
	return 0;
}
