/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Deleting what rmdir leaves behind: expired names, other versions, and all
 * that is below those.
 *
 * The directory has no inode row any more, so that policy_get() refuses every
 * change in its branches: what is there can only become less. Its GCQ_TREE row
 * stands for the work and goes last, so a crash at any point only means that
 * the walk is begun anew. A directory found below loses its rows and gets a
 * GCQ_TREE row in one batch: depth costs no memory, and one rule serves all.
 *
 * One iterator is kept over the steps: a fresh one would have to skip all that
 * the steps before it deleted.
 */
#include <errno.h>
#include <stdlib.h>

#include "store/gen.h"
#include "store/leases.h"

struct tree_walk {
	struct store *st;
	uint64_t dir_ino;
	uint64_t branch;	 /* the one being emptied */
	struct buf version;	 /* its version; empty: the unnamed one */
	struct backend_iter *it; /* its names; NULL: not begun */
};

int tree_walk_new(struct store *st, uint64_t dir_ino, struct tree_walk **ret_walk)
{
	struct tree_walk *walk = calloc(1, sizeof(*walk));

	if (!walk)
		return -ENOMEM;
	walk->st = st;
	walk->dir_ino = dir_ino;
	walk->branch = dir_ino;
	*ret_walk = walk;
	return 0;
}

void tree_walk_free(struct tree_walk *walk)
{
	if (!walk)
		return;
	backend_iter_free(walk->it);
	buf_deinit(&walk->version);
	free(walk);
}

static int begin_branch(struct tree_walk *walk)
{
	struct key key = key_branch(walk->branch), end = key_branch(walk->branch + 1);
	int r;

	r = backend_iter_new_until(walk->st->be, TABLE_DIRENT, key_slice(&end),
				   &walk->it);
	if (r == 0)
		backend_iter_seek(walk->it, key_slice(&key));
	return r;
}

/*
 * Put the removal of the name under the iterator into `b`. Its row is read
 * again: another thread may have dropped it since the iterator was made.
 */
static int drop_under_iter(struct tree_walk *walk, struct batch *b, struct slice name)
{
	struct slice key = backend_iter_key(walk->it);
	struct row_core core;
	int r;

	r = dirent_load(walk->st, walk->branch, name, &core);
	if (r && r != -ENOENT)
		return r;
	if (r) { /* gone, or damaged: what it led to cannot be known */
		batch_del(b, TABLE_DIRENT, key);
		return 0;
	}
	gen_keep_nameless(walk->st, core.ino);
	batch_drop_name(b, walk->branch, name, &core);
	if (S_ISDIR(core.mode))
		usage_batch_dir_removed(walk->st, b, core.ino);
	return 0;
}

/* *ret_more: the branch may have more names. */
static int drop_names(struct tree_walk *walk, struct batch *b, unsigned int max_rows,
		      bool *ret_more)
{
	for (unsigned int n = 0; n < max_rows; n++) {
		uint64_t branch;
		struct slice name;
		int r;

		if (!backend_iter_valid(walk->it)) {
			*ret_more = false;
			return backend_iter_status(walk->it);
		}
		r = key_dirent_decode(backend_iter_key(walk->it), &branch, &name);
		if (r)
			return store_damaged(walk->st, "a name in the branch",
					     walk->branch);
		r = drop_under_iter(walk, b, name);
		if (r)
			return r;
		backend_iter_next(walk->it);
	}
	*ret_more = true;
	return 0;
}

/* The rows that say which version an emptied branch belonged to. */
static void drop_branch_rows(struct tree_walk *walk, struct batch *b)
{
	struct key key = key_version(walk->dir_ino, buf_slice(&walk->version));

	if (walk->branch == walk->dir_ino)
		return;
	batch_del(b, TABLE_BRANCH, key_slice(&key));
	key = key_branch_owner(walk->branch);
	batch_del(b, TABLE_BRANCH, key_slice(&key));
}

/* The first version left but the one being dropped. -ENOENT: there is none. */
static int next_branch(struct tree_walk *walk)
{
	struct key key = key_version(walk->dir_ino, buf_slice(&walk->version));
	struct key end = key_version(walk->dir_ino + 1, slice("", 0));
	struct backend_iter *it;
	struct slice version;
	uint64_t dir_ino, branch;
	int r;

	r = backend_iter_new_until(walk->st->be, TABLE_BRANCH, key_slice(&end), &it);
	if (r)
		return r;
	backend_iter_seek(it, key_slice(&key));
	if (backend_iter_valid(it) && walk->branch != walk->dir_ino)
		backend_iter_next(it);
	r = backend_iter_valid(it) ? 0 : backend_iter_status(it) ?: -ENOENT;
	if (r == 0 && (key_version_decode(backend_iter_key(it), &dir_ino, &version) ||
		       dir_ino != walk->dir_ino))
		r = -ENOENT;
	if (r == 0)
		r = u64_decode(backend_iter_value(it), &branch);
	if (r == 0)
		r = buf_set(&walk->version, version.data, version.len);
	if (r == 0)
		walk->branch = branch;
	backend_iter_free(it);
	return r;
}

/* The branch is empty: drop its rows and go on to the next, or end. */
static int end_branch(struct tree_walk *walk, struct batch *b, bool *ret_done)
{
	struct key key = key_ino(walk->dir_ino);
	int r;

	backend_iter_free(walk->it);
	walk->it = NULL;
	r = leases_drop_branch(walk->st, walk->branch);
	if (r)
		return r;
	drop_branch_rows(walk, b);
	r = next_branch(walk);
	if (r && r != -ENOENT)
		return r;
	if (r == -ENOENT)
		batch_del(b, TABLE_GCQ, key_slice(&key));
	*ret_done = r == -ENOENT;
	return 0;
}

int tree_walk_step(struct tree_walk *walk, unsigned int max_rows, bool *ret_done)
{
	CLEANUP_BATCH struct batch b = BATCH_INIT;
	struct store *st = walk->st;
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&st->names);
	bool more, done = false;
	int r = 0;

	if (!walk->it)
		r = begin_branch(walk);
	if (r == 0)
		r = drop_names(walk, &b, max_rows, &more);
	if (r == 0 && !more)
		r = end_branch(walk, &b, &done);
	if (r == 0)
		r = store_commit(st, &b);
	if (r)
		return r;
	*ret_done = done;
	return 0;
}
