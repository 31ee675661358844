/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extents that were published without fsync: their bytes go to the disk, then
 * their names, then their UNSYNCED rows. A row that is still there after a power
 * loss only means that its extent is checked (recover.c).
 */
#include "store/extent_sync.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "store/value.h"

/*
 * What could not be written is dropped: the kernel reports such a failure once,
 * and the pages that it has may not be what the disk has.
 */
static int sync_extent(struct store *st, uint64_t ino)
{
	int fd, r;

	r = backend_extent_open(st->be, ino, &fd);
	if (r)
		return r == -ENOENT ? 0 : r;
	r = fdatasync(fd) ? -errno : 0;
	close(fd);
	if (r)
		value_condemn(st, ino,
			      "its extent file could not be written to the disk");
	return r;
}

static int sync_inos(struct store *st, struct slice inos)
{
	CLEANUP_BATCH struct batch b = BATCH_INIT;
	const uint8_t *raw = inos.data;
	int r = 0, failed = 0;

	for (size_t at = 0; at < inos.len; at += sizeof(uint64_t)) {
		struct key key;
		uint64_t ino;

		memcpy(&ino, raw + at, sizeof(ino));
		key = key_ino(ino);
		r = sync_extent(st, ino);
		if (r)
			failed = r;
		else
			batch_del(&b, TABLE_UNSYNCED, key_slice(&key));
	}
	if (!b.count)
		return failed;
	r = backend_extent_sync_dir(st->be);
	if (!r)
		r = backend_commit(st->be, &b);
	return r ? r : failed;
}

int extents_sync(struct store *st, const struct notes *notes)
{
	CLEANUP_BUF struct buf inos = BUF_INIT;
	int r;

	if (!notes->all)
		return sync_inos(st, buf_slice(&notes->inos));
	r = inos_load(st, TABLE_UNSYNCED, &inos);
	return r ? r : sync_inos(st, buf_slice(&inos));
}
