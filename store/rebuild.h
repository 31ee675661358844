/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store whose database cannot be opened, or not be read everywhere.
 *
 * RocksDB can put together what is left of its tables, but what was in a file that it
 * throws away is lost, and what a row in such a file had deleted may be back. So that
 * is only done when it is asked for, on a copy, and what comes of it must be checked
 * with `repair`, which drops what does not fit together any more. The old database
 * stays as STORE/db.damaged.
 */
#ifndef MEMOFS_STORE_REBUILD_H
#define MEMOFS_STORE_REBUILD_H

#include "store/util/err.h"

/*
 * A FORMAT file that is damaged is written anew, too, where there is a database.
 * -EBUSY: the store is open; -EEXIST: there is a db.damaged of an earlier time;
 * -ENOENT: no store; -EUCLEAN: there is nothing left to be put together; -ENOSPC, …;
 * with a message. The store is as it was then.
 */
int store_rebuild(const char *store_path, struct errmsg *err);

#endif
