/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A content goes first, then its GCQ row, in the batch that deletes its rows: so
 * a crash in between leaves a row for which there is nothing more to delete.
 *
 * Before an extent goes, the batch that took its name away is synced. A power loss
 * would otherwise bring the name back without its content: what a synced value was
 * renamed over, say, while the rename is lost as well.
 */
#include "store/reap.h"

#include <errno.h>

#include "store/ahead.h"
#include "store/dedup.h"
#include "store/gen.h"
#include "store/piece_queue.h"
#include "store/resume.h"
#include "store/sealed.h"
#include "store/util/log.h"
#include "store/value.h"

#define BATCH_ROWS 512	   /* changes in one commit */
#define TREE_STEP_ROWS 256 /* names deleted under one hold of `names` */

struct reaper {
	struct store *st;
	const atomic_bool *stop;
	struct batch batch;
	int64_t dead_bytes; /* of the contents in `batch` */
	bool synced;	    /* the GCQ rows that are gone through are on the disk */
	struct reaped sum;
};

static int reaper_commit(struct reaper *rp)
{
	int r;

	usage_batch_dead(&rp->batch, -rp->dead_bytes);
	r = store_commit(rp->st, &rp->batch);
	rp->dead_bytes = 0;
	batch_clear(&rp->batch);
	return r;
}

static bool is_stopped(const struct reaper *rp)
{
	return atomic_load(rp->stop);
}

static int reap_tree(struct reaper *rp, uint64_t dir_ino)
{
	struct tree_walk *walk;
	bool done = false;
	int r;

	r = tree_walk_new(rp->st, dir_ino, &walk);
	if (r)
		return r;
	while (!r && !done && !is_stopped(rp))
		r = tree_walk_step(walk, TREE_STEP_ROWS, &done);
	tree_walk_free(walk);
	if (!r)
		gc_wake(rp->st); /* for what the tree has put into GCQ */
	return r;
}

/* Unless it is *ret_used by trees that have a part of what they are there. */
static int remove_extent(struct reaper *rp, uint64_t ino, struct batch *b, bool *ret_used)
{
	int r = dedup_release(rp->st, ino, b, ret_used);

	if (r || *ret_used)
		return r;
	/* Once: all rows were there before the first of them was looked at. */
	if (!rp->synced)
		r = backend_sync(rp->st->be);
	if (r)
		return r;
	rp->synced = true;
	piece_queue_forget(rp->st->writeback, ino);
	ahead_forget(rp->st->ahead, ino);
	return backend_extent_remove(rp->st->be, ino);
}

static int reap_content(struct reaper *rp, uint64_t ino, const struct gcq_row *row)
{
	struct batch *b = &rp->batch;
	struct key key = key_ino(ino);
	bool used = false;
	int r = 0;

	sealed_forget(rp->st, ino);
	if (gen_defer_reap(rp->st, ino))
		return 0;
	if (row->layout == LAYOUT_EXTENT)
		r = remove_extent(rp, ino, b, &used);
	if (r || used)
		return r;
	batch_del_value(b, ino, row->layout, row->size_bytes);
	batch_del(b, TABLE_GCQ, key_slice(&key));
	rp->dead_bytes += (int64_t)row->disk_bytes;
	rp->sum.any = true;
	rp->sum.bytes += row->disk_bytes;
	return b->count < BATCH_ROWS ? 0 : reaper_commit(rp);
}

/*
 * The row does not say what there is, so all that can be is deleted: a content
 * and the branches of a directory.
 */
static int reap_damaged(struct reaper *rp, uint64_t ino)
{
	CLEANUP_BATCH struct batch b = BATCH_INIT;
	bool used;
	int r;

	store_damaged(rp->st, "the entry to be deleted", ino);
	sealed_forget(rp->st, ino);
	if (gen_defer_reap(rp->st, ino))
		return 0;
	r = remove_extent(rp, ino, &b, &used);
	if (r || used)
		return r;
	batch_del_any_value(&b, ino);
	r = backend_commit(rp->st->be, &b);
	if (!r)
		r = reap_tree(rp, ino); /* which deletes the row */
	return r ? r : usage_count_dead(rp->st);
}

static int reap_row(struct reaper *rp, uint64_t ino, struct slice raw)
{
	struct gcq_row row;
	int r;

	if (gcq_decode(raw, &row))
		r = reap_damaged(rp, ino);
	else if (row.kind == GCQ_TREE)
		r = reap_tree(rp, ino);
	else
		r = reap_content(rp, ino, &row);
	/* What cannot be read stays, logged, and does not keep the rest waiting. */
	return r == -EUCLEAN ? 0 : r;
}

static int reap_some(struct reaper *rp, const struct notes *notes)
{
	CLEANUP_BUF struct buf raw = BUF_INIT;
	int r = 0;

	for (size_t i = 0; !r && i < note_count(notes); i++) {
		uint64_t ino = note_at(notes, i);
		struct key key = key_ino(ino);

		r = backend_get(rp->st->be, TABLE_GCQ, key_slice(&key), &raw);
		if (!r)
			r = reap_row(rp, ino, buf_slice(&raw));
		else if (r == -ENOENT) /* done already */
			r = 0;
	}
	return r;
}

static int reap_all(struct reaper *rp)
{
	struct key first = key_ino(0);
	struct backend_iter *it;
	uint64_t ino;
	int r;

	r = backend_iter_new(rp->st->be, TABLE_GCQ, &it);
	if (r)
		return r;
	for (backend_iter_seek(it, key_slice(&first));
	     !r && backend_iter_valid(it) && !is_stopped(rp); backend_iter_next(it)) {
		if (key_ino_decode(backend_iter_key(it), &ino))
			store_damaged_key(rp->st, TABLE_GCQ);
		else
			r = reap_row(rp, ino, backend_iter_value(it));
	}
	if (!r)
		r = backend_iter_status(it);
	backend_iter_free(it);
	return r;
}

int reap_noted(struct store *st, const struct notes *notes, const atomic_bool *stop,
	       struct reaped *sum)
{
	struct reaper rp = {.st = st, .stop = stop};
	int r = notes->all ? reap_all(&rp) : reap_some(&rp, notes);

	/* What was deleted before an error is deleted: its rows go, too. */
	if (rp.batch.count) {
		int r2 = reaper_commit(&rp);

		r = r ? r : r2;
	}
	batch_deinit(&rp.batch);
	sum->any |= rp.sum.any;
	sum->bytes += rp.sum.bytes;
	return r;
}

/* ---- extents nobody names ---- */

struct orphan_search {
	struct store *st;
	uint64_t below;
	const atomic_bool *stop;
};

static int drop_orphan(void *arg, uint64_t ino)
{
	CLEANUP_BUF struct buf raw = BUF_INIT;
	struct orphan_search *search = arg;
	struct store *st = search->st;
	struct key key = key_ino(ino);
	int r;

	if (atomic_load(search->stop))
		return -ECANCELED;
	if (ino >= search->below || resume_has(st, ino))
		return 0;
	/* GCQ second: a number moves there when its inode row goes. */
	r = backend_get(st->be, TABLE_INODE, key_slice(&key), &raw);
	if (r == -ENOENT)
		r = backend_get(st->be, TABLE_GCQ, key_slice(&key), &raw);
	if (r != -ENOENT) /* a row that cannot be read names it, too */
		return r == -EUCLEAN ? 0 : r;
	log_info("%s: dropping extent %016llx, which no entry names", st->path,
		 (unsigned long long)ino);
	return backend_extent_remove(st->be, ino);
}

int orphans_drop(struct store *st, uint64_t below, const atomic_bool *stop)
{
	struct orphan_search search = {.st = st, .below = below, .stop = stop};

	return backend_extent_list(st->be, drop_orphan, &search);
}
