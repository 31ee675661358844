/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Making good what the last process did not finish, before anybody looks.
 *
 * An intent is a value that was fsynced and closed and whose publish is not on
 * the disk: it is published now. An extent in UNSYNCED may have been cut by a
 * power loss: it is read and compared. How much that can be is bounded by what
 * extent_sync.c lets wait. What can be done later is left to gc: deleting what is
 * in GCQ, and extents that nobody names.
 *
 * Only a power loss cuts extents: when the process alone died, the kernel still
 * has every byte. So META "boot" names the boot of the machine under which all of
 * UNSYNCED was found whole, and nothing is read again under that one. The row is
 * written after the check, so that a check that was cut short counts for nothing.
 * Left out: a disk pulled from a machine that runs on. Every block is compared
 * with its checksum when it is first read, whatever was done here.
 */
#include <errno.h>
#include <string.h>

#include "store/dedup.h"
#include "store/gc.h"
#include "store/resume.h"
#include "store/util/log.h"
#include "store/value.h"

static int for_each_ino(struct store *st, enum table table,
			int (*each)(struct store *st, uint64_t ino))
{
	CLEANUP_BUF struct buf inos = BUF_INIT;
	int r = inos_load(st, table, &inos);

	for (size_t at = 0; !r && at < inos.len; at += sizeof(uint64_t)) {
		uint64_t ino;

		memcpy(&ino, inos.data + at, sizeof(ino));
		r = each(st, ino);
	}
	return r;
}

/* ---- intents ---- */

static int drop_intent(struct store *st, const struct inode_row *row, const char *why)
{
	CLEANUP_BATCH struct batch b = BATCH_INIT;
	struct key key = key_ino(row->core.ino);
	int r;

	log_warning("%s: %.*s, which was written but not published, is dropped: %s",
		    st->path, (int)row->name.len, (const char *)row->name.data, why);
	batch_del_value(&b, row->core.ino, row->core.layout, row->core.size_bytes);
	batch_del(&b, TABLE_INTENT, key_slice(&key));
	r = backend_commit(st->be, &b);
	if (!r)
		r = backend_extent_remove(st->be, row->core.ino);
	return r;
}

/* What it was cannot be known; its extent is dropped as one that nobody names. */
static int drop_damaged_intent(struct store *st, uint64_t ino)
{
	CLEANUP_BATCH struct batch b = BATCH_INIT;
	struct key key = key_ino(ino);

	store_damaged(st, "the value to be published", ino);
	batch_del_any_value(&b, ino);
	batch_del(&b, TABLE_INTENT, key_slice(&key));
	return backend_commit(st->be, &b);
}

static int publish_intent(struct store *st, const struct inode_row *row)
{
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&st->names);
	CLEANUP_BATCH struct batch b = BATCH_INIT;
	struct key key = key_ino(row->core.ino);

	batch_del(&b, TABLE_INTENT, key_slice(&key));
	if (row->core.sealed && row->core.layout == LAYOUT_EXTENT)
		dedup_batch_publish(&b, row->core.ino);
	return name_publish(st, &b, row, NAME_PROMISED, NULL, 0, NULL);
}

static int recover_intent(struct store *st, uint64_t ino)
{
	CLEANUP_BUF struct buf raw = BUF_INIT;
	struct key key = key_ino(ino);
	struct inode_row row;
	const char *why;
	int r;

	if (resume_has(st, ino)) /* it is still being written */
		return 0;
	r = backend_get(st->be, TABLE_INTENT, key_slice(&key), &raw);
	if (r)
		return r;
	if (inode_decode(buf_slice(&raw), &row) || row.core.ino != ino)
		return drop_damaged_intent(st, ino);
	r = value_verify(st, &row, &why);
	if (r == -EUCLEAN)
		return drop_intent(st, &row, why);
	if (!r)
		r = publish_intent(st, &row);
	/* -EUCLEAN: the directory it would be in. */
	if (r == -ENOENT || r == -EISDIR || r == -EPERM || r == -EUCLEAN)
		return drop_intent(st, &row, strerror(-r));
	return r;
}

/* ---- extents that may not have reached the disk ---- */

static int recover_unsynced(struct store *st, uint64_t ino)
{
	CLEANUP_INODE struct inode in = INODE_INIT;
	const char *why;
	int r;

	r = inode_load(st, ino, &in);
	/* Removed since: gc knows. Or its row is damaged: it cannot be opened. */
	if (r == -ENOENT || r == -EUCLEAN)
		return 0;
	if (!r)
		r = value_verify(st, &in.row, &why);
	if (r != -EUCLEAN)
		return r;
	value_condemn(st, ino, why);
	return 0;
}

/* Whether nothing was lost since UNSYNCED was checked. A damaged row says no. */
static bool was_checked(struct store *st, const struct buf *boot)
{
	CLEANUP_BUF struct buf checked = BUF_INIT;

	return boot->len &&
	       !backend_get(st->be, TABLE_META, slice_str("boot"), &checked) &&
	       !slice_cmp(buf_slice(boot), buf_slice(&checked));
}

static int mark_checked(struct store *st, const struct buf *boot)
{
	CLEANUP_BATCH struct batch b = BATCH_INIT;

	batch_put(&b, TABLE_META, slice_str("boot"), buf_slice(boot));
	return backend_commit(st->be, &b);
}

static int check_unsynced(struct store *st)
{
	CLEANUP_BUF struct buf boot = BUF_INIT;
	int r = clock_boot_id(st, &boot);

	if (r || was_checked(st, &boot))
		return r;
	r = for_each_ino(st, TABLE_UNSYNCED, recover_unsynced);
	return r ? r : mark_checked(st, &boot);
}

int recover_store(struct store *st, bool clean, struct errmsg *err)
{
	int r;

	st->seek_orphans = !clean;
	r = for_each_ino(st, TABLE_INTENT, recover_intent);
	if (!r)
		r = check_unsynced(st);
	if (r)
		return err_set(err, -r,
			       "%s: what the last process left cannot be made good: %s",
			       st->path, strerror(-r));
	return 0;
}
