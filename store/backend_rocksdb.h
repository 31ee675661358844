/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the RocksDB backend share. */
#ifndef MEMOFS_STORE_BACKEND_ROCKSDB_H
#define MEMOFS_STORE_BACKEND_ROCKSDB_H

#include <rocksdb/c.h>
#include <stdatomic.h>

#include "store/backend.h"
#include "store/backend_rocksdb_seen.h"
#include "store/util/sync_group.h"

/* Those of the tables, and the one that RocksDB always has. */
#define FAMILY_COUNT (TABLE_COUNT + 1)

struct rocks {
	struct backend be;
	int store_fd;
	struct extent_dir *extents;
	rocksdb_t *db;
	/* By table; the last one is the default family. */
	rocksdb_column_family_handle_t *family[FAMILY_COUNT];
	/* Never changed once they are made, and so shared by all threads. */
	rocksdb_readoptions_t *read;
	rocksdb_writeoptions_t *write;
	struct sync_group syncs; /* of the logs */
	/* By who syncs: */
	uint64_t log_named;   /* the newest log whose name is durable */
	uint64_t log_seen;    /* the newest log of the last sync */
	uint64_t log_full;    /* logs below it are on disk, and get no more rows */
	bool log_failed;      /* the logs may lack what was committed */
	uint64_t errors_seen; /* RocksDB's own, in the background */

	uint64_t deletions[TABLE_COUNT]; /* in memory, when rocks_tidy() looked last */
};

static inline struct rocks *rocks(struct backend *be)
{
	return (struct rocks *)be;
}

/*
 * Before a thread reads. RocksDB counts what it does for each thread, which nobody asks
 * for, and which is a part of what the next row costs.
 */
static inline void rocks_count_nothing(void)
{
	static __thread bool done;

	if (!done)
		rocksdb_set_perf_level(rocksdb_disable);
	done = true;
}

/* ---- backend_rocksdb_iter.c ---- */

int rocks_iter_new(struct backend *be, enum table t, struct slice end, enum iter_use use,
		   struct backend_iter **ret_it);

/* ---- backend_rocksdb_care.c ---- */

int rocks_checkpoint(struct backend *be, const char *path);
/* See "store/backend_rocksdb_seen.h". Write it down; and before opening: */
void rocks_manifest_seen(struct rocks *r);
bool rocks_manifest_is_short(struct rocks *r);

/* ---- backend_rocksdb_disk.c ---- */

int rocks_sync(struct backend *be);
int rocks_reclaim(struct backend *be);
int rocks_compact(struct backend *be, const atomic_bool *stop);
int rocks_tidy(struct backend *be);
void rocks_stats(struct backend *be, struct backend_stats *ret_stats);

uint64_t rocks_headroom(struct backend *be);
uint64_t rocks_wasted(struct backend *be);
bool rocks_is_shrinking(struct backend *be);

/* Everything from the log and from memory to tables. */
int rocks_flush(struct rocks *r);

/* Of the file system, in all; 0: not known, or it counts none. */
uint64_t rocks_disk_bytes(struct rocks *r);

/*
 * What RocksDB does not look after itself when it opens. -EROFS, -ENOSPC: there
 * is too little space to open. -EUCLEAN: there are rows, but no CURRENT file,
 * and it would make a new database over them. *ret_exists: there is a database.
 */
int rocks_check_space(struct rocks *r);
int rocks_check_folder(struct rocks *r, bool *ret_exists);

#endif
