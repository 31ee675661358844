/* SPDX-License-Identifier: Apache-2.0 */
#include "store/usage.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>

#include "store/census.h"
#include "store/evict.h"
#include "store/gc.h"
#include "store/internal.h"
#include "store/sealed.h"
#include "store/util/log.h"
#include "store/util/size.h"

#define MIB (UINT64_C(1) << 20)
#define SIZE_DEFAULT (20 * 1024 * MIB)
#define SIZE_DISK_PART 10
#define MARKS_APART (8 * MIB)
#define KEEP_EXPIRED_DEFAULT (3600 * NSEC_PER_SEC)
/* XFS gives a file more blocks than it needs, for a while. */
#define BLOCKS_SPARE (64 * 1024)
/* What a writer may write half way between the high mark and the bound, a second. */
#define PRESSURE_RATE (64.0 * (double)MIB)

#define COUNT_PART 20 /* a count takes one part in so many of the time */

static const char quota_key[] = "quota";

/* A directory with a quota. */
struct area {
	struct hlink link;
	uint64_t dir_ino;
	int64_t used;  /* charges of what is below; not known unless `counted` */
	int64_t since; /* of it: since the count began */
	int64_t found; /* by the count */
	bool counted;
	bool counting;	       /* it was there when the count began */
	atomic_bool shrinking; /* as of the whole store */
	int64_t wanted;	       /* somebody waits for so much */
	int64_t pause_ns;      /* nothing could be evicted; 0: something could */
	int64_t resume_ns;     /* monotonic: it is looked at again */
};

/* ---- charges ---- */

uint64_t core_content_bytes(const struct row_core *core)
{
	if (core->layout == LAYOUT_EXTENT &&
	    core->disk_bytes < core->size_bytes + BLOCKS_SPARE)
		return core->disk_bytes;
	return core->layout == LAYOUT_EXTENT ? core->size_bytes + BLOCKS_SPARE
					     : core->size_bytes;
}

uint64_t core_charge(const struct row_core *core)
{
	/* The root is there whatever is stored. */
	return core->ino == STORE_ROOT_INO ? 0
					   : core_content_bytes(core) + USAGE_ROWS_BYTES;
}

/* ---- counters and their mirror ---- */

static struct key key_quota(uint64_t dir_ino)
{
	struct key ino = key_ino(dir_ino), key = {.len = sizeof(quota_key) - 1};

	memcpy(key.data, quota_key, key.len);
	memcpy(key.data + key.len, ino.data, ino.len);
	key.len = (uint16_t)(key.len + ino.len);
	return key;
}

static int key_quota_decode(struct slice raw, uint64_t *ret_dir_ino)
{
	const size_t len = sizeof(quota_key) - 1;

	if (raw.len <= len || memcmp(raw.data, quota_key, len))
		return -EUCLEAN;
	return key_ino_decode(slice((const uint8_t *)raw.data + len, raw.len - len),
			      ret_dir_ino);
}

static struct area *area_find(const struct usage *u, uint64_t dir_ino)
{
	struct hlink *l = htab_first(&u->areas, hash_u64(dir_ino));

	for (; l; l = htab_next(l)) {
		struct area *area = CONTAINER_OF(l, struct area, link);

		if (area->dir_ino == dir_ino)
			return area;
	}
	return NULL;
}

/* Under `names`. NULL: out of memory. */
static struct area *area_add(struct usage *u, uint64_t dir_ino)
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

static void area_remove(struct usage *u, struct area *area)
{
	pthread_mutex_lock(&u->lock);
	htab_remove(&u->areas, &area->link);
	pthread_mutex_unlock(&u->lock);
	free(area);
}

void usage_init(struct usage *u)
{
	pthread_mutex_init(&u->lock, NULL);
}

static struct area *any_area(const struct usage *u)
{
	for (size_t i = 0; i < u->areas.bucket_count; i++)
		if (u->areas.buckets[i])
			return CONTAINER_OF(u->areas.buckets[i], struct area, link);
	return NULL;
}

void usage_deinit(struct usage *u)
{
	struct area *area;

	while ((area = any_area(u)))
		area_remove(u, area);
	htab_deinit(&u->areas);
	pthread_mutex_destroy(&u->lock);
}

static void area_changed(struct store *st, uint64_t dir_ino, int64_t delta)
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

/* Under `names`, as what is removed. */
static void area_gone(struct store *st, struct slice meta_key)
{
	struct area *area;
	uint64_t dir_ino;

	if (key_quota_decode(meta_key, &dir_ino))
		return;
	area = area_find(&st->usage, dir_ino);
	if (area)
		area_remove(&st->usage, area);
}

/* What a batch adds to each. */
struct deltas {
	int64_t used, dead, shared;
};

static bool is_counter(struct slice key, const char *name)
{
	return !slice_cmp(key, slice_str(name));
}

static void delta_add(struct store *st, const struct batch_op *op, struct deltas *d)
{
	uint64_t dir_ino;

	if (is_counter(op->key, "used"))
		d->used += op->delta;
	else if (is_counter(op->key, "dead"))
		d->dead += op->delta;
	else if (is_counter(op->key, "shared"))
		d->shared += op->delta;
	else if (!key_quota_decode(op->key, &dir_ino))
		area_changed(st, dir_ino, op->delta);
}

/* What grows first, so that usage_total() is never too low. */
static void mirror(struct usage *u, const struct deltas *d)
{
	_Atomic int64_t *const counters[] = {&u->used, &u->dead, &u->shared};
	const int64_t deltas[] = {d->used, d->dead, d->shared};

	for (int sign = 1; sign >= -1; sign -= 2)
		for (int i = 0; i < 3; i++)
			if (sign * deltas[i] > 0)
				atomic_fetch_add(counters[i], deltas[i]);
	if (d->used) /* by who holds `names` */
		u->since += d->used;
}

void usage_wake(struct store *st)
{
	evict_wake(st);
	gc_soon(st, atomic_load(&st->usage.dead) > 0);
}

static bool is_above_high(const struct usage *u)
{
	uint64_t size = atomic_load(&u->size_bytes), high, low;

	if (size == STORE_SIZE_NONE)
		return false;
	usage_marks(size, &high, &low);
	return usage_total(u) > high;
}

int store_commit(struct store *st, const struct batch *b)
{
	struct deltas d = {0};
	struct batch_op op;
	size_t pos = 0;
	int r = backend_commit(st->be, b);

	if (r)
		return r;
	while (batch_next(b, &pos, &op)) {
		if (op.kind == BATCH_ADD)
			delta_add(st, &op, &d);
		else if (op.kind == BATCH_DEL && op.table == TABLE_META)
			area_gone(st, op.key);
	}
	mirror(&st->usage, &d);
	if ((d.used > 0 || d.dead > 0) && is_above_high(&st->usage))
		usage_wake(st);
	return 0;
}

/*
 * Read in the order in which bytes move, from `taken` to `dead`: what moves meanwhile
 * is seen twice and not missed.
 */
uint64_t usage_total(const struct usage *u)
{
	int64_t total = atomic_load(&u->taken);

	total += atomic_load(&u->staged);
	total += atomic_load(&u->used);
	total += atomic_load(&u->dead);
	total -= atomic_load(&u->shared);
	return total > 0 ? (uint64_t)total : 0;
}

void usage_batch_dead(struct batch *b, int64_t bytes)
{
	if (bytes)
		batch_add(b, slice_str("dead"), bytes);
}

/* ---- loading, and adding up ---- */

void usage_batch_new(struct batch *b)
{
	batch_put(b, TABLE_META, slice_str("usage"), slice("", 0));
}

static int sum_table(struct store *st, enum table table,
		     int64_t (*bytes_of)(struct slice raw), int64_t *ret_sum)
{
	struct backend_iter *it;
	int64_t sum = 0;
	int r = backend_iter_new(st->be, table, &it);

	if (r)
		return r;
	for (backend_iter_seek(it, slice("", 0)); backend_iter_valid(it);
	     backend_iter_next(it))
		sum += bytes_of(backend_iter_value(it));
	r = backend_iter_status(it);
	backend_iter_free(it);
	if (!r)
		*ret_sum = sum;
	return r;
}

static int64_t inode_bytes(struct slice raw)
{
	struct inode_row row;

	return inode_decode(raw, &row) ? 0 : (int64_t)core_charge(&row.core);
}

static int64_t gcq_bytes(struct slice raw)
{
	struct gcq_row row;

	return gcq_decode(raw, &row) ? 0 : (int64_t)row.disk_bytes;
}

static void put_counter(struct batch *b, struct slice key, int64_t value)
{
	CLEANUP_BUF struct buf raw = BUF_INIT;

	if (u64_encode((uint64_t)value, &raw))
		b->failed = true;
	else
		batch_put(b, TABLE_COUNTER, key, buf_slice(&raw));
}

static int add_up(struct store *st)
{
	CLEANUP_BATCH struct batch b = BATCH_INIT;
	int64_t used, dead;
	int r = sum_table(st, TABLE_INODE, inode_bytes, &used);

	if (!r)
		r = sum_table(st, TABLE_GCQ, gcq_bytes, &dead);
	if (r)
		return r;
	put_counter(&b, slice_str("used"), used);
	put_counter(&b, slice_str("dead"), dead);
	usage_batch_new(&b);
	return backend_commit(st->be, &b);
}

int usage_count_dead(struct store *st)
{
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&st->names);
	CLEANUP_BATCH struct batch b = BATCH_INIT;
	int64_t dead;
	int r = sum_table(st, TABLE_GCQ, gcq_bytes, &dead);

	if (r)
		return r;
	usage_batch_dead(&b, dead - atomic_load(&st->usage.dead));
	return store_commit(st, &b);
}

static int load_counter(struct store *st, const char *name, _Atomic int64_t *counter)
{
	uint64_t value;
	int r = counter_load(st, name, &value);

	if (!r)
		atomic_store(counter, (int64_t)value);
	return r;
}

static int load_area(struct store *st, uint64_t dir_ino)
{
	CLEANUP_BUF struct buf raw = BUF_INIT;
	struct key key = key_quota(dir_ino);
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
static int load_areas(struct store *st)
{
	struct backend_iter *it;
	uint64_t dir_ino;
	int r = backend_iter_new(st->be, TABLE_META, &it);

	if (r)
		return r;
	for (backend_iter_seek(it, slice_str(quota_key));
	     !r && backend_iter_valid(it) &&
	     !key_quota_decode(backend_iter_key(it), &dir_ino);
	     backend_iter_next(it)) {
		r = load_area(st, dir_ino);
		atomic_store(&st->usage.count_wanted, true);
	}
	if (!r)
		r = backend_iter_status(it);
	backend_iter_free(it);
	return r;
}

int usage_load(struct store *st)
{
	CLEANUP_BUF struct buf raw = BUF_INIT;
	int r = backend_get(st->be, TABLE_META, slice_str("usage"), &raw);

	if (r == -ENOENT)
		r = add_up(st);
	if (!r)
		r = load_counter(st, "used", &st->usage.used);
	if (!r)
		r = load_counter(st, "dead", &st->usage.dead);
	if (!r)
		r = load_counter(st, "shared", &st->usage.shared);
	return r ? r : load_areas(st);
}

/* ---- bounds ---- */

static uint64_t disk_bytes(const struct store *st)
{
	struct sysinfo info;
	struct statvfs vfs;

	if (st->lock)
		return statvfs(st->path, &vfs) ? 0
					       : (uint64_t)vfs.f_blocks * vfs.f_frsize;
	return sysinfo(&info) ? 0 : (uint64_t)info.totalram * info.mem_unit;
}

static uint64_t default_size(const struct store *st)
{
	uint64_t part = disk_bytes(st) / SIZE_DISK_PART;

	/* A file system that counts no blocks. */
	return part && part < SIZE_DEFAULT ? part : SIZE_DEFAULT;
}

void usage_set_bounds(struct store *st, const struct store_options *opt)
{
	struct usage *u = &st->usage;
	uint64_t size = opt->size_bytes ?: default_size(st);
	uint64_t max_entry = opt->max_entry_bytes;

	atomic_store(&u->max_entry_given, max_entry != 0);
	if (!max_entry)
		max_entry = size == STORE_SIZE_NONE ? STORE_SIZE_NONE : size / 2;
	atomic_store(&u->size_bytes, size);
	atomic_store(&u->max_entry_bytes, max_entry);
	atomic_store(&u->policy, (int)opt->policy);
	atomic_store(&u->keep_expired_ns, opt->keep_expired_ns ?: KEEP_EXPIRED_DEFAULT);
	atomic_store(&st->room.reserve_bytes, opt->reserve_bytes ?: ROOM_RESERVE_DEFAULT);
	atomic_store(&st->room.until_ns, 0);
}

void store_set_bounds(struct store *st, const struct store_options *opt)
{
	usage_set_bounds(st, opt);
	census_wake(st); /* what has expired may have to go sooner */
	if (is_above_high(&st->usage))
		usage_wake(st);
}

void usage_marks(uint64_t size_bytes, uint64_t *ret_high, uint64_t *ret_low)
{
	uint64_t part = size_bytes / 20, apart = part;

	if (apart < MARKS_APART)
		apart = size_bytes / 8 < MARKS_APART ? size_bytes / 8 : MARKS_APART;
	*ret_high = size_bytes - part;
	*ret_low = *ret_high - apart;
}

void store_bounds(struct store *st, struct store_bounds *ret_bounds)
{
	struct usage *u = &st->usage;
	struct store_bounds b = {
	    .size_bytes = atomic_load(&u->size_bytes),
	    .staged_bytes = (uint64_t)(atomic_load(&u->staged) + atomic_load(&u->taken)),
	    .used_bytes = (uint64_t)atomic_load(&u->used),
	    .dead_bytes = (uint64_t)atomic_load(&u->dead),
	    .shared_bytes = (uint64_t)atomic_load(&u->shared),
	    .max_entry_bytes = atomic_load(&u->max_entry_bytes),
	    .policy = (enum store_policy)atomic_load(&u->policy),
	    .min_free_bytes = room_reserve(&st->room, disk_bytes(st)),
	};

	b.total_bytes = b.used_bytes + b.dead_bytes + b.staged_bytes - b.shared_bytes;
	if (b.size_bytes == STORE_SIZE_NONE)
		b.high_bytes = b.low_bytes = STORE_SIZE_NONE;
	else
		usage_marks(b.size_bytes, &b.high_bytes, &b.low_bytes);
	*ret_bounds = b;
}

/* Passing the high mark begins it, the low one ends it. */
static int64_t shrink(int64_t live, int64_t total, uint64_t size_bytes,
		      atomic_bool *shrinking)
{
	uint64_t high, low;
	int64_t excess;

	usage_marks(size_bytes, &high, &low);
	if (total > (int64_t)high)
		atomic_store(shrinking, true);
	if (!atomic_load(shrinking))
		return 0;
	excess = live - (int64_t)low;
	if (excess > 0)
		return excess;
	atomic_store(shrinking, false);
	return 0;
}

static int64_t size_excess(struct usage *u)
{
	uint64_t size = atomic_load(&u->size_bytes);
	int64_t wanted = atomic_load(&u->wanted);
	int64_t total = (int64_t)usage_total(u) + wanted, excess;

	if (size == STORE_SIZE_NONE)
		return 0;
	excess = shrink(total - atomic_load(&u->dead), total, size, &u->shrinking);
	if (excess <= 0)
		atomic_compare_exchange_strong(&u->wanted, &wanted, 0);
	return excess;
}

/* What is kept free, and again as much, lest each write is refused at first. */
static int64_t disk_excess(struct store *st)
{
	struct usage *u = &st->usage;
	int64_t reserve, avail;
	struct statvfs vfs;

	if (!st->lock || statvfs(st->path, &vfs) || !vfs.f_blocks)
		return 0;
	reserve = (int64_t)room_reserve(&st->room, (uint64_t)vfs.f_blocks * vfs.f_frsize);
	avail = (int64_t)((uint64_t)vfs.f_bavail * vfs.f_frsize) + atomic_load(&u->dead);
	if (avail < reserve + reserve / 2)
		atomic_store(&u->disk_short, true);
	if (avail >= 2 * reserve)
		atomic_store(&u->disk_short, false);
	return atomic_load(&u->disk_short) ? 2 * reserve - avail : 0;
}

int64_t usage_excess(struct store *st)
{
	int64_t size = size_excess(&st->usage), disk = disk_excess(st);

	return size > disk ? size : disk;
}

int64_t store_pressure_ns(struct store *st, uint64_t bytes)
{
	struct usage *u = &st->usage;
	uint64_t size = atomic_load(&u->size_bytes), high, low, total;
	double part, ns;

	if (size == STORE_SIZE_NONE)
		return 0;
	usage_marks(size, &high, &low);
	total = usage_total(u);
	if (total <= high)
		return 0;
	if (total >= size)
		return NSEC_PER_SEC;
	part = (double)(total - high) / (double)(size - high);
	ns = (double)bytes / PRESSURE_RATE * part / (1 - part) * (double)NSEC_PER_SEC;
	return ns < (double)NSEC_PER_SEC ? (int64_t)ns : NSEC_PER_SEC;
}

/* ---- quotas ---- */

/* A directory with a quota, and what is above it. */
struct quota {
	uint64_t dir_ino, bytes, parent_branch;
};

static struct quota quota_of(const struct policy *policy)
{
	return (struct quota){.dir_ino = policy->quota_ino,
			      .bytes = policy->quota_bytes,
			      .parent_branch = policy->quota_parent_branch};
}

/* The next above; none: dir_ino is 0. */
static void quota_up(struct store *st, struct quota *q)
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
		struct key key = key_quota(q.dir_ino);

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

static int64_t promised_below_unlocked(struct store *st, uint64_t dir_ino, int64_t left)
{
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&st->usage.lock);

	return promised_below(st, dir_ino, left, NULL);
}

int usage_check_quota(struct store *st, const struct policy *policy,
		      const struct policy *from, int64_t bytes)
{
	bool above_high = false;
	int r = 0;

	if (bytes <= 0)
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
		if (left < 0 || promised_below_unlocked(st, q.dir_ino, left) > left)
			r = -EDQUOT;
	}
	if (above_high)
		usage_wake(st);
	return r;
}

/* Under the lock. */
static int ask_area(struct store *st, const struct quota *q, int64_t bytes,
		    int64_t replaced, const struct usage_promise *own)
{
	struct area *area = area_find(&st->usage, q->dir_ino);
	int64_t left = (int64_t)q->bytes;

	if (!area || !area->counted)
		return 0;
	if (replaced >= 0) {
		left -= area->used - replaced;
		left -= promised_below(st, q->dir_ino, left - bytes, own);
	}
	/* What is too much already may become less. */
	if (bytes <= left || bytes <= replaced)
		return 0;
	if (replaced >= 0 && area->wanted < bytes - replaced)
		area->wanted = bytes - replaced;
	return -EDQUOT;
}

/* Under the lock. */
static int ask_areas(struct store *st, uint64_t branch, int64_t bytes, int64_t replaced,
		     const struct usage_promise *own)
{
	struct policy policy;
	int r = 0;

	if (policy_get(st, branch, &policy))
		return 0; /* who publishes is told */
	for (struct quota q = quota_of(&policy); !r && q.dir_ino; quota_up(st, &q))
		r = ask_area(st, &q, bytes, replaced, own);
	return r;
}

int usage_ask_quota(struct store *st, uint64_t branch, int64_t bytes, int64_t replaced,
		    const struct usage_promise *own)
{
	int r;

	pthread_mutex_lock(&st->usage.lock);
	r = ask_areas(st, branch, bytes, replaced, own);
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
	forget_promise(u, promise);
	r = ask_areas(st, branch, bytes, replaced, NULL);
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
	excess = shrink(taken, taken, policy.quota_bytes, &area->shrinking);
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

	for (size_t i = 0; i < u->areas.bucket_count; i++) {
		for (struct hlink *l = u->areas.buckets[i]; l; l = l->next) {
			struct area *area = CONTAINER_OF(l, struct area, link);
			int64_t excess = area_excess(st, area);

			if (excess > 0) {
				*ret_dir_ino = area->dir_ino;
				return excess;
			}
		}
	}
	return 0;
}

/* ---- counting what is below quotas ---- */

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
	struct key key = key_quota(dir_ino);

	if (change == QUOTA_KEPT)
		return;
	batch_del(b, TABLE_META, key_slice(&key));
	batch_del(b, TABLE_COUNTER, key_slice(&key));
	if (change == QUOTA_NEW && is_bare(st, dir_ino)) {
		put_counter(b, key_slice(&key), 0);
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
	for (size_t i = 0; i < u->areas.bucket_count; i++) {
		for (struct hlink *l = u->areas.buckets[i]; l; l = l->next) {
			struct area *area = CONTAINER_OF(l, struct area, link);

			area->counting = true;
			area->since = area->found = 0;
		}
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
	struct usage *u = &st->usage;

	for (size_t i = 0; i < u->areas.bucket_count; i++)
		for (struct hlink *l = u->areas.buckets[i]; l; l = l->next)
			each(st, CONTAINER_OF(l, struct area, link), b);
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
	struct key key = key_quota(area->dir_ino);

	if (!area->counting)
		return;
	put_counter(b, key_slice(&key), area->since);
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
