/* SPDX-License-Identifier: Apache-2.0 */
/* How the database is tuned, as a whole and per table. */
#ifndef MEMOFS_STORE_BACKEND_ROCKSDB_OPTIONS_H
#define MEMOFS_STORE_BACKEND_ROCKSDB_OPTIONS_H

#include <rocksdb/c.h>
#include <stdbool.h>
#include <stdint.h>

#include "store/backend.h"

/* Options of one database; to be kept until it is open. */
struct rocksdb_tuning {
	rocksdb_cache_t *cache; /* one for all tables */
	rocksdb_options_t *db;
	rocksdb_options_t *table[TABLE_COUNT];
};

/*
 * `cache_bytes` 0 is the default. `disk_bytes`: of the file system it is on, in all; logs
 * and memtables take a small part of that. 0: not known, or without end. With `compress`,
 * blocks are compressed with LZ4, which not every build of the library can.
 */
void rocksdb_tuning_init(struct rocksdb_tuning *tuning, uint64_t cache_bytes,
			 uint64_t disk_bytes, bool compress);
void rocksdb_tuning_deinit(struct rocksdb_tuning *tuning);

#endif
