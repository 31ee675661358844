/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A tree that is alike to another has the same bytes at other places. What is equal
 * becomes a hole in its own extent: nothing is copied, offsets stay, and the index and
 * whatever is new lie where they were written. A SHARE row says where the bytes of the
 * holes are; readers follow it (share.c). Each tree keeps the checksums of its whole
 * stream, so that a bad block in what several share is found by each of them.
 *
 * The order is what makes it safe. The tree is compared byte for byte with extents that
 * are synced then; one batch says that it reads from them, and is synced; then holes
 * are made. Before that batch nothing has changed, and after it the holes may be made at
 * any time, also by the next process. Who has the tree open since before the batch does
 * not know of it and reads its own extent: as long as there is one, no hole is made.
 *
 * A tree whose bytes are read by others keeps its extent when it loses its name: its row
 * stays in GCQ until the last of them has gone. It reads from nobody itself then, so
 * that nothing is kept for the sake of what nobody reads. Its bytes that are not read
 * are not given back before.
 *
 * Only the background thread does any of this, and it alone deletes extents: what was
 * found does not vanish under it.
 */
#include "store/dedup.h"

#include <errno.h>
#include <string.h>

#include "store/gc.h"
#include "store/gen.h"
#include "store/resume.h"
#include "store/same.h"
#include "store/sealed.h"
#include "store/share.h"
#include "store/util/log.h"

/*
 * Holes that are made before the next pass: some tenths of a second, where the disk is
 * told of each.
 */
#define PUNCH_STEP 256

/* ---- rows ---- */

static void put_todo(struct batch *b, uint64_t ino, enum share_todo what, size_t next)
{
	const struct todo_row row = {.what = what, .next = (uint32_t)next};
	CLEANUP_BUF struct buf raw = BUF_INIT;
	struct key key = key_share_todo(ino);

	if (todo_encode(&row, &raw))
		b->failed = true;
	else
		batch_put(b, TABLE_SHARE, key_slice(&key), buf_slice(&raw));
}

static void del_todo(struct batch *b, uint64_t ino)
{
	struct key key = key_share_todo(ino);

	batch_del(b, TABLE_SHARE, key_slice(&key));
}

void dedup_batch_publish(struct batch *b, uint64_t ino)
{
	put_todo(b, ino, SHARE_COMPARE, 0);
}

/* -ENOENT: nothing. */
static int todo_load(struct store *st, uint64_t ino, struct todo_row *ret_todo)
{
	CLEANUP_BUF struct buf raw = BUF_INIT;
	struct key key = key_share_todo(ino);
	int r = backend_get(st->be, TABLE_SHARE, key_slice(&key), &raw);

	if (!r)
		r = todo_decode(buf_slice(&raw), ret_todo);
	return r == -EUCLEAN ? store_damaged(st, "what is to be shared", ino) : r;
}

/* `sign` -1: they are not shared any more. */
static void put_uses(struct batch *b, uint64_t ino, const struct share_row *row, int sign)
{
	int64_t bytes = (int64_t)share_bytes(row);
	uint64_t holders[SHARE_HOLDERS_MAX];
	size_t n = share_holders(row, holders);

	for (size_t i = 0; i < n; i++) {
		struct key key = key_share_use(holders[i], ino);

		if (sign > 0)
			batch_put(b, TABLE_SHARE, key_slice(&key), slice("", 0));
		else
			batch_del(b, TABLE_SHARE, key_slice(&key));
	}
	if (bytes)
		batch_add(b, slice_str("shared"), sign * bytes);
}

static int put_share(struct batch *b, uint64_t ino, const struct share_row *row)
{
	CLEANUP_BUF struct buf raw = BUF_INIT;
	struct key key = key_share(ino);

	if (share_encode(row, &raw))
		return -ENOMEM;
	batch_put(b, TABLE_SHARE, key_slice(&key), buf_slice(&raw));
	return 0;
}

/* ---- comparing ---- */

/* The top-level directory that the branch is below; the root when it is in that. */
static int namespace_of(struct store *st, uint64_t branch, uint64_t *ret_ns)
{
	uint64_t ns = STORE_ROOT_INO;

	while (branch) {
		uint64_t dir_ino;
		int r = policy_place(st, branch, &dir_ino, &branch);

		if (r)
			return r;
		if (branch)
			ns = dir_ino;
	}
	*ret_ns = ns;
	return 0;
}

static int compare(struct store *st, uint64_t ino, const atomic_bool *stop)
{
	CLEANUP_SHARE_ROW struct share_row row = SHARE_ROW_INIT;
	CLEANUP_INODE struct inode in = INODE_INIT;
	CLEANUP_BATCH struct batch b = BATCH_INIT;
	int r;

	r = inode_load(st, ino, &in);
	if (!r)
		r = namespace_of(st, in.row.parent_branch, &row.ns);
	if (!r)
		r = same_find(st, ino, row.ns, stop, &row.parts);
	if (!r)
		r = put_share(&b, ino, &row);
	if (r)
		return r;
	put_uses(&b, ino, &row, 1);
	put_todo(&b, ino, SHARE_PUNCH, 0);
	return store_commit(st, &b);
}

/* ---- making holes ---- */

/*
 * Once for each tree. -EAGAIN: somebody has it open who reads it all from its own
 * extent. Who opens it later does not.
 */
static int prepare_holes(struct store *st, uint64_t ino, const struct share_row *row,
			 const atomic_bool *stop)
{
	int r = same_offer(st, ino, row, stop);

	if (r || !share_parts(row))
		return r;
	sealed_forget(st, ino); /* its index may keep it open */
	return gen_defer_share(st, ino) ? -EAGAIN : backend_sync(st->be);
}

/* From part *next on, so many as others can wait for. */
static int punch_some(struct store *st, uint64_t ino, const struct share_row *row,
		      size_t *next)
{
	size_t end = share_parts(row);
	int r = 0;

	if (end - *next > PUNCH_STEP)
		end = *next + PUNCH_STEP;
	for (; !r && *next < end; ++*next) {
		struct share_part part = share_part_at(&row->parts, *next);

		r = backend_extent_punch(st->be, ino, part.off, part.len);
	}
	if (r != -EOPNOTSUPP)
		return r;
	/* The disk cannot: what is equal is stored twice, and that is all. */
	*next = share_parts(row);
	return 0;
}

static int punch(struct store *st, uint64_t ino, size_t next, const atomic_bool *stop)
{
	CLEANUP_SHARE_ROW struct share_row row = SHARE_ROW_INIT;
	CLEANUP_BATCH struct batch b = BATCH_INIT;
	int r;

	r = share_load(st, ino, &row);
	if (!r && !next)
		r = prepare_holes(st, ino, &row, stop);
	if (!r && next < share_parts(&row)) /* else it has lost its name */
		r = punch_some(st, ino, &row, &next);
	if (r)
		return r;
	if (next < share_parts(&row))
		put_todo(&b, ino, SHARE_PUNCH, next);
	else
		del_todo(&b, ino);
	r = backend_commit(st->be, &b);
	if (!r && next < share_parts(&row))
		gc_tree(st, ino);
	return r;
}

/* It is gone, or damaged, which its next reader is told. */
static int give_up(struct store *st, uint64_t ino)
{
	CLEANUP_BATCH struct batch b = BATCH_INIT;

	del_todo(&b, ino);
	return backend_commit(st->be, &b);
}

static int dedup_one(struct store *st, uint64_t ino, const atomic_bool *stop)
{
	struct todo_row todo;
	int r = todo_load(st, ino, &todo);

	if (r == -ENOENT) /* done already */
		return 0;
	if (!r && todo.what == SHARE_COMPARE)
		r = compare(st, ino, stop);
	if (!r)
		r = punch(st, ino, todo.next, stop);
	if (r == -ENOENT || r == -EUCLEAN)
		return give_up(st, ino);
	return r == -EAGAIN || r == -ECANCELED ? 0 : r;
}

/* ---- those that wait ---- */

/* All numbers before `below` that have something to be done, as u64. */
static int todos_load(struct store *st, uint64_t below, struct buf *ret_inos)
{
	const struct ino_range todos = {.table = TABLE_SHARE,
					.first = key_share_todo(0),
					.end = key_share_todo(below),
					.decode = key_share_todo_decode};

	return ino_range_load(st, &todos, ret_inos);
}

static int dedup_each(struct store *st, const struct buf *inos, bool left,
		      const atomic_bool *stop)
{
	int failed = 0;

	for (size_t at = 0; at < inos->len && !atomic_load(stop);
	     at += sizeof(uint64_t)) {
		uint64_t ino;
		int r;

		memcpy(&ino, inos->data + at, sizeof(ino));
		/* One that was resumed is read as a value still: gc_tree() comes later.
		 */
		r = left && resume_has(st, ino) ? 0 : dedup_one(st, ino, stop);
		failed = failed ? failed : r;
	}
	return failed;
}

int dedup_noted(struct store *st, const struct notes *notes, const atomic_bool *stop)
{
	return dedup_each(st, &notes->inos, false, stop);
}

int dedup_left(struct store *st, uint64_t below, const atomic_bool *stop)
{
	CLEANUP_BUF struct buf inos = BUF_INIT;
	int r = todos_load(st, below, &inos);

	return r ? r : dedup_each(st, &inos, true, stop);
}

/* ---- the end of a tree ---- */

/* What it read from others it reads no more. They may have waited for that. */
static int stop_reading(struct store *st, uint64_t ino, struct share_row *row)
{
	CLEANUP_BATCH struct batch b = BATCH_INIT;
	struct share_row none = {.ns = row->ns};
	uint64_t holders[SHARE_HOLDERS_MAX];
	size_t n = share_holders(row, holders);
	int r;

	if (!n)
		return 0;
	put_uses(&b, ino, row, -1);
	r = put_share(&b, ino, &none);
	if (!r)
		r = store_commit(st, &b);
	for (size_t i = 0; !r && i < n; i++)
		gc_reap(st, holders[i]);
	return r;
}

/* A file, or a tree that nothing was done for yet. */
static int release_uncompared(struct store *st, uint64_t ino, struct batch *b,
			      bool *ret_used)
{
	struct todo_row todo;
	int r = todo_load(st, ino, &todo);

	if (!r || r == -EUCLEAN)
		del_todo(b, ino);
	else if (r != -ENOENT)
		return r;
	*ret_used = false;
	return 0;
}

int dedup_release(struct store *st, uint64_t ino, struct batch *b, bool *ret_used)
{
	CLEANUP_SHARE_ROW struct share_row row = SHARE_ROW_INIT;
	struct key key = key_share(ino);
	bool used = false;
	int r;

	r = share_load(st, ino, &row);
	if (r == -ENOENT)
		return release_uncompared(st, ino, b, ret_used);
	if (!r)
		r = stop_reading(st, ino, &row);
	if (!r || r == -EUCLEAN)
		r = same_in_use(st, ino, &used);
	if (!r && !used)
		r = same_withdraw(st, ino, row.ns);
	if (r)
		return r;
	if (!used) {
		batch_del(b, TABLE_SHARE, key_slice(&key));
		del_todo(b, ino);
	}
	*ret_used = used;
	return 0;
}
