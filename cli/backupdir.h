/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The directory of a backup: MANIFEST, STORE_FORMAT, db/ and extents/XX/. A store has
 * the last two, too.
 *
 * Extents and table files of the database are never changed once they are there, so on
 * one file system they are linked instead of copied.
 */
#ifndef MEMOFS_CLI_BACKUPDIR_H
#define MEMOFS_CLI_BACKUPDIR_H

#include <stdatomic.h>
#include <stdbool.h>

#include "store/util/err.h"
#include "store/util/manifest.h"

/* Told of each file; may be NULL. */
struct backupdir_progress {
	void (*copied)(void *arg, uint64_t files, uint64_t bytes);
	void *arg;
};

/*
 * Read its manifest, and see whether all that it names is there, by numbers and sizes.
 * -ENOENT: no backup; -EUCLEAN, -EPROTO, …; with a message that begins with the path.
 */
int backupdir_verify(const char *path, struct manifest *ret_manifest, struct errmsg *err);

/*
 * Make `to`, which is not there, with the db/ and extents/ of `from`, by links where that
 * goes and `copy` does not say otherwise. Extents that are in `previous` (NULL: none)
 * with the same size and time are links of those. Synced when it returns. On failure,
 * with a message, what was made stays for backupdir_remove().
 */
struct backupdir_copy {
	const char *from, *to, *previous;
	bool copy;
	struct backupdir_progress progress;
	const atomic_int *stop; /* NULL: none. Not 0: -ECANCELED */
};
int backupdir_copy(const struct backupdir_copy *args, struct errmsg *err);

/* One file of a backup, under another name in another directory; synced. */
int backupdir_copy_file(const char *from, const char *name, const char *to,
			const char *new_name, struct errmsg *err);

/* Remove one, or what there is of it. -errno. */
int backupdir_remove(const char *path);

/* Is there nothing in it, or no such directory? */
bool backupdir_is_empty(const char *path);

#endif
