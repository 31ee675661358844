/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The FORMAT file of a store: what marks a directory as one, and its version.
 *
 * While a store is being made the file is called FORMAT.new, so that making it
 * can be resumed after a crash, and a directory is a store from the moment on
 * in which the file has its name.
 */
#ifndef MEMOFS_STORE_FORMAT_H
#define MEMOFS_STORE_FORMAT_H

#include "store/util/err.h"

/*
 * The layout of everything in the directory. Raise it when older programs must not
 * open what this one writes. A store of an older format is raised to it when it is
 * opened, before anything else is written; how is said here.
 *   1  the first
 *   2  the table LEASE, made empty by the backend; settings in rows of directories
 *   3  rows of sealed trees; the tables SHARE and SAME, made empty by the backend
 *   4  the table HISTORY, made empty by the backend; the counters "used" and "dead",
 *      which are added up when META "usage" is missing ("store/usage.h"); rows of GCQ
 *      with blocks; settings of quota, max-entry and pin
 */
#define STORE_FORMAT 4
#define STORE_FORMAT_OLDEST 1

#define FORMAT_FILE "FORMAT"
/* What the file says of a store of this program. Appends; -ENOMEM. */
struct buf;
int format_text(struct buf *ret_text);

/*
 * Make the directory `path` if only its parent exists, and see what it is.
 * Nothing else is written. *ret_format: that of the store it is, or 0: it is
 * empty, or making a store there was begun. -ENOTDIR, -ENOENT, -ENOTEMPTY, -EPROTO,
 * -EUCLEAN, -EACCES, …, with a message.
 */
int format_check(const char *path, unsigned int *ret_format, struct errmsg *err);
/*
 * Begin to make a store, and end it: once for all, synced. Both at once raise the
 * format of one that is there.
 */
int format_begin(const char *path, struct errmsg *err);
int format_end(const char *path, struct errmsg *err);

#endif
