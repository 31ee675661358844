/* SPDX-License-Identifier: Apache-2.0 */
/* Counting what is below quotas; see "store/usage.h". */
#include "store/quota.h"

#include <errno.h>

#include "store/gc.h"
#include "store/internal.h"
#include "store/util/log.h"

#define COUNT_PART 20 /* a count takes one part in so many of the time */

void usage_want_count(struct store *st)
{
	if (!atomic_exchange(&st->usage.count_wanted, true))
		gc_soon(st, false);
}

/* Whether a directory has rows at any of its versions. */
static bool is_bare(struct store *st, uint64_t dir_ino)
{
	struct key names = key_branch(dir_ino), names_end = key_branch(dir_ino + 1);
	struct key versions = key_version(dir_ino, slice("", 0));
	struct key versions_end = key_version(dir_ino + 1, slice("", 0));
	const struct {
		enum table table;
		const struct key *first, *end;
	} rows[] = {{TABLE_DIRENT, &names, &names_end},
		    {TABLE_BRANCH, &versions, &versions_end}};
	bool bare = true;

	for (int i = 0; bare && i < 2; i++) {
		struct backend_iter *it;

		if (backend_iter_new_until(st->be, rows[i].table, key_slice(rows[i].end),
					   &it))
			return false;
		backend_iter_seek(it, key_slice(rows[i].first));
		bare = !backend_iter_valid(it);
		backend_iter_free(it);
	}
	return bare;
}

/* Where nothing is below yet, it is known what is. */
void usage_batch_quota(struct store *st, struct batch *b, uint64_t dir_ino,
		       enum quota_change change)
{
	struct key key = area_key(dir_ino);

	if (change == QUOTA_KEPT)
		return;
	batch_del(b, TABLE_META, key_slice(&key));
	batch_del(b, TABLE_COUNTER, key_slice(&key));
	if (change == QUOTA_NEW && is_bare(st, dir_ino)) {
		usage_put_counter(b, key_slice(&key), 0);
		batch_put(b, TABLE_META, key_slice(&key), slice("", 0));
	}
}

void usage_batch_dir_removed(struct store *st, struct batch *b, uint64_t dir_ino)
{
	if (area_find(&st->usage, dir_ino))
		usage_batch_quota(st, b, dir_ino, QUOTA_GONE);
}

void usage_quota_changed(struct store *st, uint64_t dir_ino, enum quota_change change)
{
	struct usage *u = &st->usage;
	struct area *area;

	if (change == QUOTA_KEPT)
		return;
	area = change == QUOTA_NEW ? area_add(u, dir_ino) : NULL;
	if (area && is_bare(st, dir_ino)) {
		area->counted = true;
		return;
	}
	/* Else it is made by the next change. */
	u->spoiled = true;
	usage_want_count(st);
}

void usage_dir_removed(struct store *st, const struct policy *policy,
		       const struct row_core *dir)
{
	if (!S_ISDIR(dir->mode) || !policy->quota_ino)
		return;
	/* A count that runs may come to what was in it, and not find where that was. */
	if (!st->usage.counts && is_bare(st, dir->ino))
		return;
	st->usage.spoiled = true;
	usage_want_count(st);
}

/* The count: its snapshot, and what it has found of all. */
struct count {
	struct backend_iter *it;
	int64_t used;
	uint64_t branch; /* the last, and the area that it is in */
	struct area *area;
};

static int count_begin(struct store *st, struct count *c)
{
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&st->names);
	struct usage *u = &st->usage;
	int r = backend_iter_new(st->be, TABLE_INODE, &c->it);

	if (r)
		return r;
	atomic_store(&u->count_wanted, false);
	u->counts = true;
	u->spoiled = false;
	u->since = 0;
	for (struct hwalk w = htab_walk(&u->areas); w.link; hwalk_next(&w)) {
		struct area *area = CONTAINER_OF(w.link, struct area, link);

		area->counting = true;
		area->since = area->found = 0;
	}
	return 0;
}

/* Under the lock: another quota may be set or gone meanwhile. */
static void count_charge(struct store *st, struct count *c, const struct inode_row *row)
{
	int64_t charge = (int64_t)core_charge(&row->core);
	struct policy policy;
	struct area *area;

	c->used += charge;
	if (policy_get(st, row->parent_branch, &policy) || !policy.quota_ino)
		return;
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&st->usage.lock);
	area = area_find(&st->usage, policy.quota_ino);
	if (area)
		area->found += charge;
}

static int count_rows(struct store *st, struct count *c, const atomic_bool *stop)
{
	struct inode_row row;

	for (backend_iter_seek(c->it, slice("", 0)); backend_iter_valid(c->it);
	     backend_iter_next(c->it)) {
		if (atomic_load(stop))
			return -ECANCELED;
		if (inode_decode(backend_iter_value(c->it), &row) == 0 &&
		    row.parent_branch)
			count_charge(st, c, &row);
	}
	return backend_iter_status(c->it);
}

/* What was found below each is below all that are above it, too. */
static void count_up(struct store *st, struct area *area, const struct policy *policy)
{
	struct quota q = quota_of(policy);

	area->since += area->found;
	for (quota_up(st, &q); q.dir_ino; quota_up(st, &q)) {
		struct area *above = area_find(&st->usage, q.dir_ino);

		if (above)
			above->since += area->found;
	}
}

static void each_area(struct store *st, struct batch *b,
		      void (*each)(struct store *st, struct area *area, struct batch *b))
{
	for (struct hwalk w = htab_walk(&st->usage.areas); w.link; hwalk_next(&w))
		each(st, CONTAINER_OF(w.link, struct area, link), b);
}

/* Its directory is gone, or has no quota any more: store_commit() removes it. */
static void drop_gone(struct store *st, struct area *area, struct batch *b)
{
	struct policy policy;

	if (!policy_get(st, area->dir_ino, &policy) && policy.quota_ino == area->dir_ino)
		return;
	usage_batch_quota(st, b, area->dir_ino, QUOTA_GONE);
	area->counting = false;
}

static void add_found(struct store *st, struct area *area, struct batch *b)
{
	struct policy policy;

	if (!policy_get(st, area->dir_ino, &policy))
		count_up(st, area, &policy);
}

static void put_found(struct store *st, struct area *area, struct batch *b)
{
	struct key key = area_key(area->dir_ino);

	if (!area->counting)
		return;
	usage_put_counter(b, key_slice(&key), area->since);
	batch_put(b, TABLE_META, key_slice(&key), slice("", 0));
}

static void take_found(struct store *st, struct area *area, struct batch *b)
{
	if (!area->counting)
		return;
	pthread_mutex_lock(&st->usage.lock);
	area->used = area->since;
	area->counted = true;
	area->counting = false;
	pthread_mutex_unlock(&st->usage.lock);
}

/* Under `names`. */
static int count_end(struct store *st, struct count *c)
{
	CLEANUP_BATCH struct batch b = BATCH_INIT;
	struct usage *u = &st->usage;
	int64_t wrong = c->used + u->since - atomic_load(&u->used);
	int r;

	each_area(st, &b, drop_gone);
	each_area(st, &b, add_found);
	each_area(st, &b, put_found);
	if (wrong) { /* rows were damaged: what they led to could not be counted down */
		log_info("%s: what is stored was counted anew: %lld bytes %s", st->path,
			 (long long)(wrong < 0 ? -wrong : wrong),
			 wrong < 0 ? "less" : "more");
		batch_add(&b, slice_str("used"), wrong);
	}
	r = store_commit(st, &b);
	if (!r)
		each_area(st, NULL, take_found);
	return r;
}

int usage_count(struct store *st, const atomic_bool *stop)
{
	int64_t begun_ns = time_monotonic_ns(), now_ns;
	struct count c = {0};
	int r = count_begin(st, &c);

	if (r)
		return r;
	r = count_rows(st, &c, stop);
	backend_iter_free(c.it);
	now_ns = time_monotonic_ns();
	atomic_store(&st->usage.count_after_ns,
		     now_ns + COUNT_PART * (now_ns - begun_ns));

	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&st->names);
	st->usage.counts = false;
	if (!r && !st->usage.spoiled)
		r = count_end(st, &c);
	if (r || st->usage.spoiled)
		atomic_store(&st->usage.count_wanted, true);
	return r;
}
