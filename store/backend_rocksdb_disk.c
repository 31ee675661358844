/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The RocksDB backend: its folder on the disk. Syncing, space, and what is there
 * before it is opened.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "store/backend_rocksdb.h"
#include "store/backend_rocksdb_error.h"
#include "store/util/log.h"

/* What opening takes, with some to spare: a log, a manifest, options, a few tables. */
#define OPEN_BYTES (4 * 1024 * 1024)
/* Left for a compaction, at most, beside what is left for tables. */
#define COMPACTION_BYTES (64 * 1024 * 1024)
/* Of one table, in memory: so many are stepped over in a millisecond or two. */
#define TIDY_DELETIONS 4096
/* They have come to an end when no more than one part in so many is new. */
#define TIDY_QUIET_PART 256

static bool ends_with(const char *text, const char *end)
{
	size_t len = strlen(text), end_len = strlen(end);

	return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

static int open_db_folder(struct rocks *r, DIR **ret_dir)
{
	int fd = openat(r->store_fd, "db", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir;

	if (fd < 0)
		return -errno;
	dir = fdopendir(fd);
	if (!dir) {
		int rc = -errno;

		close(fd);
		return rc;
	}
	*ret_dir = dir;
	return 0;
}

/* ---- syncing ------------------------------------------------------------------ */

static int sync_log(int db_fd, const char *name)
{
	int fd = openat(db_fd, name, O_RDONLY | O_CLOEXEC);
	int rc = 0;

	/* Deleted: what it held is in tables, which RocksDB synced before. */
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	if (fdatasync(fd))
		rc = -errno;
	close(fd);
	return rc;
}

/*
 * Sync each log from the number `from` on; the highest number of one is *ret_newest. To
 * sync what has nothing new is not for nothing: the disk is told to flush its cache each
 * time, and there are a dozen logs as a rule, each kept by some table of few rows.
 */
static int sync_logs(DIR *db, uint64_t from, uint64_t *ret_newest)
{
	struct dirent *ent;
	uint64_t newest = 0;

	for (;;) {
		uint64_t number;
		int rc;

		errno = 0;
		ent = readdir(db);
		if (!ent)
			break;
		if (!ends_with(ent->d_name, ".log"))
			continue;
		number = strtoull(ent->d_name, NULL, 10);
		if (number < from)
			continue;
		rc = sync_log(dirfd(db), ent->d_name);
		if (rc)
			return rc;
		if (number > newest)
			newest = number;
	}
	if (errno)
		return -errno;
	*ret_newest = newest;
	return 0;
}

/*
 * After a sync that failed. Pages that could not be written are clean from then on: the
 * next sync of that log has nothing to do and succeeds, and behind a part that is missing
 * nothing of a log is replayed. So all of it goes to tables, which RocksDB syncs, and
 * what is committed meanwhile to another log. Twice: a table that had nothing in memory
 * may have got something before the other log was begun.
 *
 * Where RocksDB meets the same error, in its own descriptor of the log, it takes no more
 * commits until it is opened again: then this fails, and so does every sync.
 */
static int make_good(struct rocks *r)
{
	int rc = rocks_check_space(r);

	for (int i = 0; rc == 0 && i < 2; i++)
		rc = rocks_flush(r);
	if (rc == 0) {
		r->log_failed = false;
		log_info("database: what the log could not be synced with is in tables");
	}
	return rc;
}

/*
 * RocksDB writes to the newest log alone: one that is older than the newest one of the
 * sync before has been synced since it got its last row.
 */
static int sync_folder(struct rocks *r)
{
	uint64_t newest = 0;
	DIR *db = NULL;
	int rc;

	rc = open_db_folder(r, &db);
	if (rc)
		return rc;
	rc = sync_logs(db, r->log_full, &newest);
	/* A new log's name must last too. */
	if (rc == 0 && newest > r->log_named) {
		if (fsync(dirfd(db)))
			rc = -errno;
		else
			r->log_named = newest;
	}
	closedir(db);
	r->log_failed = rc != 0;
	r->log_full = r->log_failed ? 0 : r->log_seen;
	r->log_seen = r->log_failed ? 0 : newest;
	return rc;
}

/* RocksDB syncs logs, too, those that it has done with: an error that it was told of is
 * not told again. */
static void look_for_errors(struct rocks *r)
{
	uint64_t errors = 0;

	if (rocksdb_property_int(r->db, "rocksdb.background-errors", &errors) == 0 &&
	    errors != r->errors_seen) {
		r->errors_seen = errors;
		r->log_failed = true;
	}
}

static int sync_now(void *arg)
{
	struct rocks *r = arg;
	int rc = 0;

	look_for_errors(r);
	if (r->log_failed)
		rc = make_good(r);
	if (rc == 0)
		rc = sync_folder(r);
	if (rc)
		log_error("database: syncing the log: %s", strerror(-rc));
	return rc;
}

/*
 * Not rocksdb_flush_wal(): in a build with assertions, as Debian's, it ends the
 * process when another thread's commit has just found the disk full. A commit
 * that returned is in the page cache of a log that has its name in the folder,
 * so syncing those is all there is to do, and it holds up no commit.
 */
int rocks_sync(struct backend *be)
{
	struct rocks *r = rocks(be);

	return sync_group_run(&r->syncs, sync_now, r);
}

/* ---- space ---------------------------------------------------------------------- */

static uint64_t property(struct rocks *r, enum table t, const char *name)
{
	uint64_t n = 0;

	/* Non-zero: there is no such property; it counts as nothing. */
	if (rocksdb_property_int_cf(r->db, r->family[t], name, &n))
		return 0;
	return n;
}

static uint64_t sum(struct rocks *r, const char *name)
{
	uint64_t n = 0;

	for (int t = 0; t < TABLE_COUNT; t++)
		n += property(r, (enum table)t, name);
	return n;
}

/* Memtables, which become tables of about their size. */
static uint64_t unwritten(struct rocks *r)
{
	return sum(r, "rocksdb.cur-size-all-mem-tables");
}

uint64_t rocks_disk_bytes(struct rocks *r)
{
	struct statvfs fs;

	return fstatvfs(r->store_fd, &fs) ? 0 : (uint64_t)fs.f_blocks * fs.f_frsize;
}

/*
 * What a compaction writes comes before what it frees, too: as much as all tables have
 * where much was just deleted, or is soon. One that finds no room is tried again, but a
 * commit that comes while it fills the disk is refused, and so is each one for seconds
 * after. Large tables are not kept from that: what they need is too much of a small disk,
 * and hardly met on a large one.
 */
uint64_t rocks_headroom(struct backend *be)
{
	uint64_t once = unwritten(rocks(be));
	uint64_t tables = sum(rocks(be), "rocksdb.total-sst-files-size") + once;

	return once + (tables < COMPACTION_BYTES ? tables : COMPACTION_BYTES);
}

/*
 * RocksDB does not survive running out of space while it opens (see the level of
 * its log in the options), and is better not let to while it flushes.
 */
int rocks_check_space(struct rocks *r)
{
	uint64_t need = OPEN_BYTES + (r->db ? unwritten(r) : 0);
	struct statvfs fs;

	if (fstatvfs(r->store_fd, &fs))
		return -errno;
	if (fs.f_flag & ST_RDONLY)
		return -EROFS;
	if (!fs.f_blocks) /* a file system that counts none */
		return 0;
	return fs.f_bavail < need / fs.f_frsize ? -ENOSPC : 0;
}

static int flush_table(struct rocks *r, rocksdb_flushoptions_t *opt, enum table t)
{
	char *text = NULL;

	rocksdb_flush_cf(r->db, opt, r->family[t], &text);
	return rocks_error(text, "flushing a table");
}

/* From the log and from memory to tables: the log has then no more to say. */
int rocks_flush(struct rocks *r)
{
	rocksdb_flushoptions_t *opt = rocksdb_flushoptions_create();
	int rc = 0;

	rocksdb_flushoptions_set_wait(opt, 1);
	for (int t = 0; rc == 0 && t < TABLE_COUNT; t++)
		rc = flush_table(r, opt, (enum table)t);
	rocksdb_flushoptions_destroy(opt);
	return rc;
}

/*
 * Deleted rows take space until the log that has them is dropped and the tables
 * that have them are compacted. Flushing does the first, and brings the deletions
 * to where the second begins by itself (see DELETIONS_WINDOW in the options).
 */
int rocks_reclaim(struct backend *be)
{
	struct rocks *r = rocks(be);
	int rc = rocks_check_space(r);

	return rc ? rc : rocks_flush(r);
}

/*
 * In tables deletions are compacted away (see DELETIONS_WINDOW in the options), in memory
 * each is stepped over: some 20 ms for as many as fit. So they are flushed, if nothing
 * does it by itself: hardly any came since the last look. Those of an even flow of
 * changes lie between other rows, and flushing each few of them would have tables
 * rewritten for it.
 */
int rocks_tidy(struct backend *be)
{
	struct rocks *r = rocks(be);
	rocksdb_flushoptions_t *opt = rocksdb_flushoptions_create();
	int rc = 0;

	rocksdb_flushoptions_set_wait(opt, 1);
	for (int t = 0; rc == 0 && t < TABLE_COUNT; t++) {
		uint64_t n =
		    property(r, (enum table)t, "rocksdb.num-deletes-active-mem-table");
		uint64_t before = r->deletions[t];

		r->deletions[t] = n;
		if (n < TIDY_DELETIONS || n < before || n - before > n / TIDY_QUIET_PART)
			continue;
		if (rocks_check_space(r) == 0) /* else it can wait */
			rc = flush_table(r, opt, (enum table)t);
	}
	rocksdb_flushoptions_destroy(opt);
	return rc;
}

/*
 * A range without ends. What it writes anew comes before what it frees: false where
 * there is no room for that.
 */
static bool compact_table(struct rocks *r, enum table t)
{
	rocksdb_compactoptions_t *opt;
	struct statvfs fs;

	if (fstatvfs(r->store_fd, &fs) ||
	    (fs.f_blocks &&
	     (uint64_t)fs.f_bavail * fs.f_frsize <
		 OPEN_BYTES + property(r, t, "rocksdb.total-sst-files-size")))
		return false;
	opt = rocksdb_compactoptions_create();
	rocksdb_compactoptions_set_exclusive_manual_compaction(opt, 0);
	rocksdb_compact_range_cf_opt(r->db, r->family[t], opt, NULL, 0, NULL, 0);
	rocksdb_compactoptions_destroy(opt);
	return true;
}

/* What runs is counted for the whole database. Only values are worth waiting for. */
bool rocks_is_shrinking(struct backend *be)
{
	struct rocks *r = rocks(be);

	return property(r, TABLE_SMALL, "rocksdb.num-running-compactions") ||
	       property(r, TABLE_SMALL, "rocksdb.num-running-flushes") ||
	       property(r, TABLE_SMALL, "rocksdb.compaction-pending");
}

/* It had an argument for what may not be done any more: to enable them all at once. */
static void enable_file_deletions(rocksdb_t *db, char **ret_text)
{
#ifdef ROCKSDB_ENABLE_BY_FORCE
	rocksdb_enable_file_deletions(db, 0, ret_text);
#else
	rocksdb_enable_file_deletions(db, ret_text);
#endif
}

/*
 * Files that are not needed any more are deleted by a thread of the database, later;
 * it does so at once for who allows it again to delete any.
 */
static int delete_files(struct rocks *r)
{
	char *text = NULL;

	rocksdb_disable_file_deletions(r->db, &text);
	if (!text)
		enable_file_deletions(r->db, &text);
	return rocks_error(text, "deleting files");
}

int rocks_compact(struct backend *be, const atomic_bool *stop)
{
	struct rocks *r = rocks(be);
	int rc = rocks_check_space(r);

	if (rc == 0)
		rc = rocks_flush(r);
	for (int t = 0; rc == 0 && t < TABLE_COUNT; t++) {
		if (atomic_load(stop))
			rc = -ECANCELED;
		else if (!compact_table(r, (enum table)t))
			log_info("database: the disk has no room to compact the table "
				 "\"%s\"",
				 table_name((enum table)t));
	}
	return rc ? rc : delete_files(r);
}

/* ---- numbers --------------------------------------------------------------------- */

/* Of the database's folder. `bytes`: of blocks. */
struct folder_sums {
	uint64_t bytes;	    /* tables, logs, and whatever else is there */
	uint64_t log_bytes; /* by length: some blocks of the newest one are for later */
};

static struct folder_sums add_up_folder(struct rocks *r)
{
	struct folder_sums sums = {0};
	struct dirent *ent;
	DIR *db = NULL;

	if (open_db_folder(r, &db))
		return sums;
	while ((ent = readdir(db))) {
		struct stat st;

		if (fstatat(dirfd(db), ent->d_name, &st, AT_SYMLINK_NOFOLLOW) ||
		    !S_ISREG(st.st_mode))
			continue;
		sums.bytes += (uint64_t)st.st_blocks * 512;
		if (ends_with(ent->d_name, ".log"))
			sums.log_bytes += (uint64_t)st.st_size;
	}
	closedir(db);
	return sums;
}

/*
 * A log stays while any table has a row of it in memory alone, and what the others have
 * written to tables meanwhile is there twice.
 */
uint64_t rocks_wasted(struct backend *be)
{
	uint64_t log = add_up_folder(rocks(be)).log_bytes;
	uint64_t once = unwritten(rocks(be));

	return log > once ? log - once : 0;
}

void rocks_stats(struct backend *be, struct backend_stats *ret_stats)
{
	struct rocks *r = rocks(be);
	struct backend_stats stats = {0};

	/* All tables share the cache. */
	stats.memory_bytes = property(r, TABLE_INODE, "rocksdb.block-cache-usage") +
			     unwritten(r) + sum(r, "rocksdb.estimate-table-readers-mem");
	stats.disk_bytes = add_up_folder(r).bytes;
	stats.keys_estimate = property(r, TABLE_INODE, "rocksdb.estimate-num-keys");
	*ret_stats = stats;
}

/* ---- before it is opened ------------------------------------------------------- */

/*
 * RocksDB would make a new database over the rows of one that has lost its
 * CURRENT file. Look first: before CURRENT is there for the first time, there
 * are no tables and no logs.
 */
int rocks_check_folder(struct rocks *r, bool *ret_exists)
{
	bool current = false, rows = false;
	struct dirent *ent;
	DIR *db = NULL;
	int rc;

	rc = open_db_folder(r, &db);
	if (rc)
		return rc;
	while ((ent = readdir(db))) {
		current |= strcmp(ent->d_name, "CURRENT") == 0;
		rows |= ends_with(ent->d_name, ".sst") || ends_with(ent->d_name, ".log");
	}
	closedir(db);
	if (rows && !current)
		return -EUCLEAN;
	*ret_exists = current;
	return 0;
}
