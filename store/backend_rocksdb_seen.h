/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How long the database's MANIFEST was when it was last seen: STORE/db.seen.
 *
 * A MANIFEST that lost its end is a shorter one to RocksDB, which opens it, and deletes
 * every table that it does not name. It only grows, so one that is shorter than it was
 * is damaged, and is not opened.
 */
#ifndef MEMOFS_STORE_BACKEND_ROCKSDB_SEEN_H
#define MEMOFS_STORE_BACKEND_ROCKSDB_SEEN_H

#define ROCKS_SEEN_FILE "db.seen"

#endif
