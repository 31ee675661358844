/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A copy of a store that is in use, made in the store itself:
 *
 *   STORE/backup/MANIFEST     written last: see "store/util/manifest.h"
 *   STORE/backup/STORE_FORMAT what will be its FORMAT: a backup is no store, since to
 *                             mount it would change it
 *   STORE/backup/db/          a checkpoint of the database
 *   STORE/backup/extents/XX/  hard links of the extents
 *
 * It costs no more than the links. Whoever asked for it moves it to where it shall be;
 * what is left lying there is dropped by the next one, and when the store is opened.
 * An extent that has another name is never changed (see extent_dir_punch()).
 */
#ifndef MEMOFS_STORE_BACKUP_H
#define MEMOFS_STORE_BACKUP_H

#include <stdatomic.h>
#include <stdint.h>

#include "store/store.h"

#define BACKUP_DIR "backup"

struct store_backup_options {
	const atomic_bool *stop; /* NULL: none. Ends it early: -ECANCELED */
	void (*progress)(void *arg, uint64_t extents);
	void *arg;
};

/*
 * *ret_path is the directory, ended by NUL. Everything that was published before the
 * call is in it. While extents are linked, nothing is deleted. -EOPNOTSUPP: a store in
 * memory; -EPERM: no hard links here; -ENOSPC, -EIO, …; with a message.
 */
int store_backup(struct store *st, const struct store_backup_options *opt,
		 struct buf *ret_path, struct errmsg *err);

/* Of a store that is locked by the caller: drop what is left of one. */
void backup_drop(const char *store_path);

#endif
