/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Opening and closing a store, and what concerns all of it.
 *
 * META "root" is written with the root directory when a store is made. A store
 * whose FORMAT file says that it was made, but whose database has no such row,
 * has lost its database: it is refused, not silently begun anew, because its
 * extents would be taken for orphans.
 */
#include "store/store.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <sys/sysinfo.h>

#include "store/ahead.h"
#include "store/backup.h"
#include "store/census.h"
#include "store/commits.h"
#include "store/evict.h"
#include "store/format.h"
#include "store/gc.h"
#include "store/internal.h"
#include "store/leases.h"
#include "store/lock.h"
#include "store/piece_queue.h"
#include "store/policy.h"
#include "store/resume.h"
#include "store/scrub.h"
#include "store/sealed.h"
#include "store/util/log.h"
#include "store/verified.h"
#include "store/writeback.h"

static int struct_new(const struct store_options *opt, struct store **ret_store)
{
	struct store *st = calloc(1, sizeof(*st));

	if (!st)
		return -ENOMEM;
	st->path = strdup(opt->kind == STORE_MEMORY ? ":memory:" : opt->path);
	st->small_max_bytes = opt->small_max_bytes ?: SMALL_MAX_DEFAULT;
	st->staged_memory_bytes = opt->staged_memory_bytes ?: STAGED_MEMORY_DEFAULT;
	st->room.wait_ns = ROOM_WAIT_DEFAULT_NS;
	st->room.on_wait = opt->on_wait;
	usage_init(&st->usage);
	st->clock = opt->clock ? opt->clock : &clock_system;
	/* What is in memory goes with the process, whatever is known of it. */
	st->keep = opt->kind == STORE_MEMORY ? NULL : opt->keep;
	pthread_rwlock_init(&st->watch_lock, NULL);
	pthread_mutex_init(&st->names, NULL);
	pthread_mutex_init(&st->ids, NULL);
	st->verified = verified_new();
	if (!st->path || !st->verified || policy_cache_new(&st->policy) ||
	    gen_table_new(&st->gens) || sealed_cache_new(&st->sealed) ||
	    leases_new(&st->leases) || writeback_new(&st->writeback)) {
		store_close(st);
		return -ENOMEM;
	}
	*ret_store = st;
	return 0;
}

/* ---- a new store ---- */

/* The root directory, and META "root", which says that it is there. */
static int make_root(struct store *st, const struct store_options *opt)
{
	CLEANUP_BATCH struct batch b = BATCH_INIT;
	int64_t now_ns = time_now_ns();
	const uint8_t format = STORE_FORMAT;
	struct inode_row row = {
	    .core = {.ino = STORE_ROOT_INO,
		     .mode = S_IFDIR | (opt->root_mode & 07777),
		     .uid = opt->root_uid,
		     .gid = opt->root_gid,
		     .atime_ns = now_ns,
		     .mtime_ns = now_ns,
		     .ctime_ns = now_ns,
		     .created_ns = now_ns,
		     .ttl_ns = DURATION_UNSET},
	    .cost_s = -1,
	    .branch = STORE_ROOT_INO,
	};
	int r;

	batch_put_inode(&b, &row);
	batch_count(&b, &row.core, 1);
	batch_put(&b, TABLE_META, slice_str("root"), slice(&format, 1));
	usage_batch_new(&b);
	r = backend_commit(st->be, &b);
	return r ? r : backend_sync(st->be);
}

/* -ENOENT: the database is a new one. */
static int check_root(struct store *st, struct errmsg *err)
{
	CLEANUP_BUF struct buf raw = BUF_INIT;
	int r;

	r = backend_get(st->be, TABLE_META, slice_str("root"), &raw);
	if (r == -ENOENT)
		return r;
	if (r)
		return err_set(err, -r, "%s: the database cannot be read: %s", st->path,
			       strerror(-r));
	/* The format under which it was made: the FORMAT file may be newer. */
	if (raw.len != 1 || raw.data[0] < STORE_FORMAT_OLDEST ||
	    raw.data[0] > STORE_FORMAT)
		return err_set(err, EUCLEAN,
			       "%s: the database does not fit the FORMAT file; restore "
			       "both from one backup, or use another directory",
			       st->path);
	return 0;
}

static int make_or_check(struct store *st, const struct store_options *opt, bool made,
			 struct errmsg *err)
{
	int r;

	r = check_root(st, err);
	if (r == -ENOENT && made)
		return err_set(err, EUCLEAN,
			       "%s: the store's database is missing; restore it from a "
			       "backup, or delete the directory to begin anew",
			       st->path);
	if (r == -ENOENT) {
		r = make_root(st, opt);
		if (r)
			return err_set(err, -r, "%s: cannot make the store: %s", st->path,
				       strerror(-r));
	}
	if (r)
		return r;
	return made || opt->kind == STORE_MEMORY ? 0 : format_end(st->path, err);
}

/* ---- open ---- */

/*
 * To the format of this program. Before the backend is opened, which makes the
 * tables that are new, so that an older program refuses the store by its format
 * and not because it finds a table it does not know.
 */
static int raise_format(struct store *st, unsigned int format, struct errmsg *err)
{
	int r;

	r = format_begin(st->path, err);
	if (r == 0)
		r = format_end(st->path, err);
	if (r == 0)
		log_info("%s: the store had format %u and has %d now", st->path, format,
			 STORE_FORMAT);
	return r;
}

/* Lock the directory; *ret_made: it has a store. */
static int claim_dir(struct store *st, bool *ret_made, struct errmsg *err)
{
	unsigned int format;
	int r;

	/* Before the lock, lest it writes its file among what is not ours. */
	r = format_check(st->path, &format, err);
	if (r)
		return r;
	r = lockfile_new(st->path, &st->lock, err);
	if (r)
		return r;
	/* And with it: another process may have made the store meanwhile. */
	r = format_check(st->path, &format, err);
	if (r)
		return r;
	if (!format)
		r = format_begin(st->path, err);
	else if (format < STORE_FORMAT)
		r = raise_format(st, format, err);
	if (r == 0)
		*ret_made = format != 0;
	return r;
}

/* Whether the last process closed the store; from now on, this one has not. */
static int take_clean_mark(struct store *st, bool *ret_clean, struct errmsg *err)
{
	CLEANUP_BATCH struct batch b = BATCH_INIT;
	CLEANUP_BUF struct buf raw = BUF_INIT;
	int r;

	r = backend_get(st->be, TABLE_META, slice_str("clean"), &raw);
	if (r == 0 || r == -ENOENT) {
		*ret_clean = r == 0;
		batch_del(&b, TABLE_META, slice_str("clean"));
		r = backend_commit(st->be, &b);
	}
	if (r == 0)
		r = backend_sync(st->be);
	return r ? err_set(err, -r, "%s: the database cannot be written: %s", st->path,
			   strerror(-r))
		 : 0;
}

static int open_backend(struct store *st, const struct store_options *opt,
			struct errmsg *err)
{
	struct backend_options be_opt = {.path = st->path,
					 .cache_bytes = opt->cache_bytes};
	int r;

	be_opt.staged = resume_extents(st, &be_opt.staged_count);
	r = opt->kind == STORE_MEMORY ? backend_memory_new(&be_opt, &st->be, err)
				      : backend_rocksdb_new(&be_opt, &st->be, err);
	if (r)
		return r;
	if (opt->kind != STORE_MEMORY) /* that is in memory */
		r = ahead_new(st->be, &st->ahead);
	if (r || commits_new(&st->be->commits))
		return err_set(err, ENOMEM, "no memory to open %s", st->path);
	return 0;
}

static int open_parts(struct store *st, const struct store_options *opt,
		      struct errmsg *err)
{
	bool made = false, clean = false;
	int r;

	if (opt->kind != STORE_MEMORY) {
		r = claim_dir(st, &made, err);
		if (r)
			return r;
		backup_drop(st->path);
	}
	r = resume_begin(st, opt);
	if (r)
		return err_set(err, -r, "%s: what was kept for it cannot be read: %s",
			       st->path, strerror(-r));
	r = open_backend(st, opt, err);
	if (r)
		return r;
	r = make_or_check(st, opt, made, err);
	if (r)
		return r;
	usage_set_bounds(st, opt);
	r = usage_load(st);
	if (r)
		return err_set(err, -r, "%s: the counters cannot be read: %s", st->path,
			       strerror(-r));
	r = take_clean_mark(st, &clean, err);
	if (r)
		return r;
	r = recover_store(st, clean || !made, err);
	if (r)
		return r;
	r = leases_load(st);
	if (r)
		return err_set(err, -r, "%s: the reservations cannot be read: %s",
			       st->path, strerror(-r));
	r = resume_open(st);
	if (r)
		return err_set(err, -r,
			       "%s: what was being written cannot be taken up: %s",
			       st->path, strerror(-r));
	r = evict_new(st);
	if (r == 0)
		r = gc_start(st);
	if (r == 0)
		r = evict_start(st);
	if (r == 0)
		r = census_start(st);
	return r ? err_set(err, -r, "%s: the background work cannot be started: %s",
			   st->path, strerror(-r))
		 : 0;
}

int store_open(const struct store_options *opt, struct store **ret_store,
	       struct errmsg *err)
{
	struct store *st;
	int r;

	r = struct_new(opt, &st);
	if (r)
		return err_set(err, -r, "%s: out of memory", opt->path ?: ":memory:");
	r = open_parts(st, opt, err);
	if (r) {
		store_close(st);
		return r;
	}
	*ret_store = st;
	return 0;
}

/* ---- close ---- */

static void mark_clean(struct store *st)
{
	CLEANUP_BATCH struct batch b = BATCH_INIT;
	int r;

	/* What came before is on disk, then the mark that says so. */
	r = backend_sync(st->be);
	if (r == 0) {
		batch_put(&b, TABLE_META, slice_str("clean"), slice("", 0));
		r = backend_commit(st->be, &b);
	}
	if (r == 0)
		r = backend_sync(st->be);
	if (r)
		log_warning("%s: the store could not be closed cleanly: %s", st->path,
			    strerror(-r));
}

void store_close(struct store *st)
{
	if (!st)
		return;
	scrub_stop(st);
	census_stop(st);
	evict_stop(st);
	if (st->gc) {
		sealed_forget_unused(st); /* which counts what was read */
		gc_stop(st);
		if (!st->seek_orphans) /* else the next start looks again */
			mark_clean(st);
	}
	evict_free(st);
	piece_queue_free(st->writeback);
	ahead_free(st->ahead);
	leases_free(st->leases);
	resume_free(st);
	if (st->sealed)
		sealed_forget_unused(st);
	sealed_cache_free(st->sealed);
	gen_table_free(st->gens);
	verified_free(st->verified);
	backend_free(st->be);
	policy_cache_free(st->policy);
	lockfile_free(st->lock);
	usage_deinit(&st->usage);
	pthread_mutex_destroy(&st->ids);
	pthread_mutex_destroy(&st->names);
	pthread_rwlock_destroy(&st->watch_lock);
	free(st->path);
	free(st);
}

/* ---- all of it ---- */

void store_lock_note(struct store *st, const char *mountpoint)
{
	if (st->lock)
		lockfile_note(st->lock, mountpoint);
}

int store_sync(struct store *st)
{
	int r;

	r = gc_sync_extents(st);
	return r ? r : backend_sync(st->be);
}

int store_settle(struct store *st)
{
	return gc_settle(st);
}

static int disk_stats(struct store *st, struct store_stats *stats)
{
	struct statvfs vfs;
	struct sysinfo info;
	uint64_t avail, kept;

	/* A memory store has what the machine has. */
	if (!st->lock) {
		if (sysinfo(&info) < 0)
			return -errno;
		stats->disk_total_bytes = (uint64_t)info.totalram * info.mem_unit;
		stats->disk_free_bytes = (uint64_t)info.freeram * info.mem_unit;
		stats->disk_avail_bytes = stats->disk_free_bytes;
		return 0;
	}
	if (statvfs(st->path, &vfs) < 0)
		return -errno;
	stats->disk_total_bytes = (uint64_t)vfs.f_blocks * vfs.f_frsize;
	stats->disk_free_bytes = (uint64_t)vfs.f_bfree * vfs.f_frsize;
	avail = (uint64_t)vfs.f_bavail * vfs.f_frsize;
	kept = room_kept(st, stats->disk_total_bytes);
	stats->disk_avail_bytes = avail > kept ? avail - kept : 0;
	return 0;
}

int store_stats(struct store *st, struct store_stats *ret_stats)
{
	struct store_stats stats = {0};
	struct backend_stats be_stats;
	int r;

	r = counter_load(st, "entries", &stats.entries);
	if (r == 0)
		r = counter_load(st, "dirs", &stats.dirs);
	if (r == 0)
		r = counter_load(st, "bytes", &stats.bytes);
	if (r == 0)
		r = counter_load(st, "shared", &stats.shared_bytes);
	if (r == 0)
		r = disk_stats(st, &stats);
	if (r)
		return r;
	backend_stats(st->be, &be_stats);
	stats.memory_bytes = be_stats.memory_bytes;
	stats.db_disk_bytes = be_stats.disk_bytes;
	stats.staged_bytes = atomic_load(&st->staged_used_bytes);
	*ret_stats = stats;
	return 0;
}
