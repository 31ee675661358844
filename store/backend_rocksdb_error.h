/* SPDX-License-Identifier: Apache-2.0 */
/* What the RocksDB backend's errors mean, to a program and to a person. */
#ifndef MEMOFS_STORE_BACKEND_ROCKSDB_ERROR_H
#define MEMOFS_STORE_BACKEND_ROCKSDB_ERROR_H

#include "store/util/err.h"

/*
 * The one place that turns an error text of RocksDB into a number: 0 for none
 * (NULL), else -errno. Frees the text. With `doing`, a failure that the errno
 * alone does not explain goes to the log.
 */
int rocks_error(char *text, const char *doing);

/*
 * Opening the store at `path` failed with `rc` (-errno), in RocksDB's or
 * strerror's words `text`: say what to do about it. Returns `rc`.
 */
int rocks_explain(int rc, const char *path, const char *text, struct errmsg *err);

#endif
