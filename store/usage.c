/* SPDX-License-Identifier: Apache-2.0 */
#include "store/usage.h"

#include <errno.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>

#include "store/census.h"
#include "store/evict.h"
#include "store/gc.h"
#include "store/internal.h"
#include "store/quota.h"
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

void usage_init(struct usage *u)
{
	pthread_mutex_init(&u->lock, NULL);
}

void usage_deinit(struct usage *u)
{
	areas_deinit(u);
	pthread_mutex_destroy(&u->lock);
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
	else if (!area_key_decode(op->key, &dir_ino))
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

void usage_put_counter(struct batch *b, struct slice key, int64_t value)
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
	usage_put_counter(&b, slice_str("used"), used);
	usage_put_counter(&b, slice_str("dead"), dead);
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
	return r ? r : areas_load(st);
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
	    .min_free_bytes = room_kept(st, disk_bytes(st)),
	};

	b.total_bytes = b.used_bytes + b.dead_bytes + b.staged_bytes - b.shared_bytes;
	if (b.size_bytes == STORE_SIZE_NONE)
		b.high_bytes = b.low_bytes = STORE_SIZE_NONE;
	else
		usage_marks(b.size_bytes, &b.high_bytes, &b.low_bytes);
	*ret_bounds = b;
}

int64_t usage_shrink(int64_t live, int64_t total, uint64_t size_bytes,
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
	excess = usage_shrink(total - atomic_load(&u->dead), total, size, &u->shrinking);
	if (excess <= 0)
		atomic_compare_exchange_strong(&u->wanted, &wanted, 0);
	return excess;
}

/* What is kept free, and the reserve once more, lest each write is refused at first. */
static int64_t disk_excess(struct store *st)
{
	struct usage *u = &st->usage;
	int64_t reserve, kept, avail;
	struct statvfs vfs;
	uint64_t total;

	if (!st->lock || statvfs(st->path, &vfs) || !vfs.f_blocks)
		return 0;
	total = (uint64_t)vfs.f_blocks * vfs.f_frsize;
	reserve = (int64_t)room_reserve(&st->room, total);
	kept = (int64_t)room_kept(st, total);
	avail = (int64_t)((uint64_t)vfs.f_bavail * vfs.f_frsize) + atomic_load(&u->dead);
	if (avail < kept + reserve / 2)
		atomic_store(&u->disk_short, true);
	if (avail >= kept + reserve)
		atomic_store(&u->disk_short, false);
	return atomic_load(&u->disk_short) ? kept + reserve - avail : 0;
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
