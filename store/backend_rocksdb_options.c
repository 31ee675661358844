/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The daemon shares a machine with the jobs it serves, so what the database
 * takes is bounded whatever the number of rows: memtables by WRITE_BUFFERS_BYTES,
 * everything read by the one cache, which holds indexes and filters too (both in
 * partitions, so that one table file's filter does not fill a shard), open files
 * by MAX_OPEN_FILES, and the log to be replayed after a crash by WAL_BYTES.
 *
 * On a small disk what is written twice is less, too: the log, and memtables, each of
 * which must find room for its table. After it has run out of space, RocksDB takes
 * nothing more until the disk has room for the largest memtable there may be.
 */
#include "store/backend_rocksdb_options.h"

#define KIB UINT64_C(1024)
#define MIB (1024 * KIB)

#define CACHE_BYTES (32 * MIB)
#define CACHE_SHARD_BITS 3 /* few: a shard must hold many of the largest blocks */
#define WRITE_BUFFERS_BYTES (24 * MIB)
#define WAL_BYTES (64 * MIB)
#define SYNC_BYTES (1 * MIB)
#define TABLE_FILE_BYTES (32 * MIB)
#define MANIFEST_BYTES (4 * MIB)
#define MANIFEST_STEP_BYTES (64 * KIB) /* that it takes of the disk at a time */
/* One part in so many of the disk, at most, and what each needs at least. */
#define WAL_DISK_PART 16
#define WRITE_BUFFERS_DISK_PART 32
#define MEMTABLE_DISK_PART 64
#define TABLE_FILE_DISK_PART 16
#define DISK_PART_MIN (256 * KIB)
#define INFO_LOG_BYTES (1 * MIB)
#define INFO_LOG_FILES 3
#define MAX_OPEN_FILES 256
#define BACKGROUND_JOBS 2
#define FILTER_BITS 10.0
/*
 * A table file is compacted when half of so many rows in a row are deletions; fewer where
 * as many small values are a large part of the disk.
 */
#define DELETIONS_WINDOW 4096
#define DELETIONS_WINDOW_MIN 128	    /* RocksDB looks at no fewer */
#define DELETIONS_DISK_PART (64 * 16 * KIB) /* rows: one to so many bytes of the disk */
/* From here on additions to one counter are folded into one in memory. */
#define ADDITIONS 16

/* Values of enumerations that c.h leaves without a name. */
#define LOG_FATAL 4
#define CHECKSUM_XXH3 4 /* Debian's build computes CRC-32C without the CPU's help */
#define FORMAT_VERSION 5

struct profile {
	uint64_t memtable_bytes;
	uint64_t block_bytes;
	bool lookups;  /* asked for rows that are not there: keep a filter */
	bool deletes;  /* rows go as fast as they come: compact deletions away */
	bool compress; /* worth trying */
};

static const struct profile profiles[TABLE_COUNT] = {
    [TABLE_META] = {256 * KIB, 4 * KIB},
    [TABLE_INODE] = {4 * MIB, 4 * KIB, .lookups = true, .deletes = true,
		     .compress = true},
    [TABLE_DIRENT] = {4 * MIB, 4 * KIB, .lookups = true, .deletes = true,
		      .compress = true},
    [TABLE_SMALL] = {8 * MIB, 16 * KIB, .lookups = true, .deletes = true,
		     .compress = true},
    [TABLE_SUMS] = {1 * MIB, 16 * KIB},
    [TABLE_BRANCH] = {256 * KIB, 4 * KIB, .deletes = true},
    [TABLE_GCQ] = {1 * MIB, 4 * KIB, .deletes = true},
    [TABLE_UNSYNCED] = {1 * MIB, 4 * KIB, .deletes = true},
    [TABLE_INTENT] = {1 * MIB, 4 * KIB, .deletes = true},
    [TABLE_HEAT] = {1 * MIB, 4 * KIB, .deletes = true},
    [TABLE_LEASE] = {1 * MIB, 4 * KIB, .deletes = true},
    [TABLE_SHARE] = {1 * MIB, 4 * KIB, .lookups = true, .deletes = true},
    [TABLE_SAME] = {4 * MIB, 4 * KIB, .lookups = true, .deletes = true},
    [TABLE_HISTORY] = {256 * KIB, 4 * KIB},
    [TABLE_COUNTER] = {256 * KIB, 4 * KIB},
};

static rocksdb_cache_t *cache_new(uint64_t bytes)
{
	rocksdb_lru_cache_options_t *opt = rocksdb_lru_cache_options_create();
	rocksdb_cache_t *cache;

	rocksdb_lru_cache_options_set_capacity(opt, bytes ? bytes : CACHE_BYTES);
	rocksdb_lru_cache_options_set_num_shard_bits(opt, CACHE_SHARD_BITS);
	cache = rocksdb_cache_create_lru_opts(opt);
	rocksdb_lru_cache_options_destroy(opt);
	return cache;
}

static void set_blocks(rocksdb_options_t *opt, const struct profile *p,
		       rocksdb_cache_t *cache)
{
	rocksdb_block_based_table_options_t *block = rocksdb_block_based_options_create();

	rocksdb_block_based_options_set_block_cache(block, cache);
	rocksdb_block_based_options_set_block_size(block, p->block_bytes);
	rocksdb_block_based_options_set_checksum(block, CHECKSUM_XXH3);
	rocksdb_block_based_options_set_format_version(block, FORMAT_VERSION);
	rocksdb_block_based_options_set_cache_index_and_filter_blocks(block, 1);
	rocksdb_block_based_options_set_cache_index_and_filter_blocks_with_high_priority(
	    block, 1);
	rocksdb_block_based_options_set_index_type(
	    block, rocksdb_block_based_table_index_type_two_level_index_search);
	rocksdb_block_based_options_set_partition_filters(block, p->lookups);
	if (p->lookups) /* the filter policy becomes the options' own */
		rocksdb_block_based_options_set_filter_policy(
		    block, rocksdb_filterpolicy_create_bloom_full(FILTER_BITS));
	rocksdb_options_set_block_based_table_factory(opt, block);
	rocksdb_block_based_options_destroy(block);
}

/* `most`, or the part of the disk when that is less; `least` on the smallest. */
static uint64_t part_of(uint64_t disk_bytes, uint64_t part, uint64_t least, uint64_t most)
{
	uint64_t n = disk_bytes / part;

	if (!disk_bytes || n > most)
		return most;
	return n > least ? n : least;
}

static uint64_t on_disk(uint64_t bytes, uint64_t disk_bytes, uint64_t part)
{
	return part_of(disk_bytes, part, DISK_PART_MIN, bytes);
}

static rocksdb_options_t *db_options(uint64_t disk_bytes)
{
	rocksdb_options_t *opt = rocksdb_options_create();

	rocksdb_options_set_create_missing_column_families(opt, 1);
	rocksdb_options_set_paranoid_checks(opt, 1);
	/* After power loss: everything up to some moment, nothing after it. */
	rocksdb_options_set_wal_recovery_mode(opt, rocksdb_point_in_time_recovery);
	rocksdb_options_set_max_total_wal_size(
	    opt, on_disk(WAL_BYTES, disk_bytes, WAL_DISK_PART));
	rocksdb_options_set_db_write_buffer_size(
	    opt, on_disk(WRITE_BUFFERS_BYTES, disk_bytes, WRITE_BUFFERS_DISK_PART));
	rocksdb_options_set_max_open_files(opt, MAX_OPEN_FILES);
	rocksdb_options_set_max_background_jobs(opt, BACKGROUND_JOBS);
	rocksdb_options_set_max_manifest_file_size(opt, MANIFEST_BYTES);
	rocksdb_options_set_manifest_preallocation_size(opt, MANIFEST_STEP_BYTES);
	/* Write back as it comes, so that no sync finds a heap of dirty pages. */
	rocksdb_options_set_bytes_per_sync(opt, SYNC_BYTES);
	rocksdb_options_set_wal_bytes_per_sync(opt, SYNC_BYTES);
	rocksdb_options_set_allow_mmap_reads(opt, 0);
	/*
	 * Its own log says little beyond what it was opened with. It must not grow
	 * while the disk is full: in a build with assertions, as Debian's, a line
	 * after one that could not be written ends the process.
	 */
	rocksdb_options_set_info_log_level(opt, LOG_FATAL);
	rocksdb_options_set_max_log_file_size(opt, INFO_LOG_BYTES);
	rocksdb_options_set_keep_log_file_num(opt, INFO_LOG_FILES);
	/* An idle daemon does not wake up to count. */
	rocksdb_options_set_stats_dump_period_sec(opt, 0);
	rocksdb_options_set_stats_persist_period_sec(opt, 0);
	rocksdb_options_set_level_compaction_dynamic_level_bytes(opt, 1);
	rocksdb_options_set_target_file_size_base(
	    opt, on_disk(TABLE_FILE_BYTES, disk_bytes, TABLE_FILE_DISK_PART));
	return opt;
}

static rocksdb_options_t *table_options(rocksdb_options_t *db, enum table t,
					rocksdb_cache_t *cache, uint64_t disk_bytes,
					bool compress)
{
	const struct profile *p = &profiles[t];
	rocksdb_options_t *opt = rocksdb_options_create_copy(db);
	size_t window = part_of(disk_bytes, DELETIONS_DISK_PART, DELETIONS_WINDOW_MIN,
				DELETIONS_WINDOW);

	rocksdb_options_set_write_buffer_size(
	    opt, on_disk(p->memtable_bytes, disk_bytes, MEMTABLE_DISK_PART));
	rocksdb_options_set_compression(opt, compress && p->compress
						 ? rocksdb_lz4_compression
						 : rocksdb_no_compression);
	if (p->deletes)
		rocksdb_options_add_compact_on_deletion_collector_factory(opt, window,
									  window / 2);
	if (t == TABLE_COUNTER) {
		rocksdb_options_set_uint64add_merge_operator(opt);
		rocksdb_options_set_max_successive_merges(opt, ADDITIONS);
	}
	set_blocks(opt, p, cache);
	return opt;
}

void rocksdb_tuning_init(struct rocksdb_tuning *tuning, uint64_t cache_bytes,
			 uint64_t disk_bytes, bool compress)
{
	tuning->cache = cache_new(cache_bytes);
	tuning->db = db_options(disk_bytes);
	for (int t = 0; t < TABLE_COUNT; t++)
		tuning->table[t] = table_options(tuning->db, (enum table)t, tuning->cache,
						 disk_bytes, compress);
}

void rocksdb_tuning_deinit(struct rocksdb_tuning *tuning)
{
	for (int t = 0; t < TABLE_COUNT; t++)
		rocksdb_options_destroy(tuning->table[t]);
	rocksdb_options_destroy(tuning->db);
	rocksdb_cache_destroy(tuning->cache);
}
