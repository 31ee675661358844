/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Listing a branch.
 *
 * A position is the ordinal of a row in the iterator's snapshot, expired rows
 * included: it depends on nothing that changes. The iterator stays on the row
 * that was given out last, because the usual seek is back to that one (it did
 * not fit into the caller's buffer). Any other goes to the nearest mark before
 * it; there is one every MARK_ROWS rows.
 *
 * What a short listing reads may stay in the database's cache. From LONG_ROWS on it is
 * one of many rows, for which there is another iterator: it is read ahead, and does not
 * drive from the cache what hits need.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/commits.h"
#include "store/internal.h"
#include "store/sealed.h"
#include "store/stage.h"

#define MARK_ROWS 1024
#define LONG_ROWS (4 * MARK_ROWS)

struct store_dir {
	struct store *st;
	uint64_t branch;
	struct backend_iter *it; /* NULL: branch 0, which has no names, or a tree's */
	uint64_t mark;		 /* commits_mark() from before `it` was made */
	uint64_t epoch;		 /* and policy_epoch() */
	int64_t ttl_ns;		 /* that the names inherit, as of `ttl_epoch` */
	uint64_t ttl_epoch;
	struct tree_list tree;
	uint64_t pos;	  /* the row the iterator is on; in a tree, the next child */
	bool taken;	  /* it was given out */
	bool is_long;	  /* `it` is one for many rows */
	struct buf marks; /* struct key of rows 0, MARK_ROWS, 2 * MARK_ROWS, … */
	char name[STORE_NAME_MAX + 1];
};

static size_t marks_count(const struct store_dir *dir)
{
	return dir->marks.len / sizeof(struct key);
}

static const struct key *mark_at(const struct store_dir *dir, size_t i)
{
	return (const struct key *)(const void *)dir->marks.data + i;
}

static void rewind_to_start(struct store_dir *dir)
{
	struct key key = key_branch(dir->branch);

	backend_iter_seek(dir->it, key_slice(&key));
	dir->pos = 0;
	dir->taken = false;
}

/* What is listed stays, whatever becomes of the tree. */
static int open_in_tree(struct store *st, uint64_t branch, struct store_dir **ret_dir)
{
	struct store_dir *dir = calloc(1, sizeof(*dir));
	int r = dir ? tree_list_init(st, branch, &dir->tree) : -ENOMEM;

	if (r && r != -ENOENT) {
		free(dir);
		return r;
	}
	dir->st = st;
	*ret_dir = dir;
	return 0;
}

static int next_in_tree(struct store_dir *dir, struct store_dirent *ret_ent)
{
	struct store_attr attr;
	struct slice name;
	int r = tree_list_get(&dir->tree, dir->pos, &name, &attr);

	if (r)
		return r;
	memcpy(dir->name, name.data, name.len);
	dir->name[name.len] = '\0';
	*ret_ent = (struct store_dirent){
	    .name = dir->name, .next_off = ++dir->pos, .attr = attr};
	return 0;
}

int store_dir_open(struct store *st, uint64_t branch, struct store_dir **ret_dir)
{
	uint64_t epoch = policy_epoch(st);
	struct store_dir *dir;
	struct policy policy;
	struct key end;
	int r;

	if (store_ino_in_tree(branch))
		return open_in_tree(st, branch, ret_dir);
	/* A directory that is gone has no children; its rows may wait for gc. */
	r = branch ? policy_get(st, branch, &policy) : 0;
	if (r && r != -ENOENT)
		return r;
	if (r == -ENOENT)
		branch = 0;
	r = 0;
	dir = calloc(1, sizeof(*dir));
	if (!dir)
		return -ENOMEM;
	dir->st = st;
	dir->branch = branch;
	dir->mark = commits_mark(st->be->commits, branch);
	dir->epoch = dir->ttl_epoch = epoch;
	dir->ttl_ns = branch ? policy.ttl_ns : DURATION_NONE;
	end = key_branch(branch + 1);
	if (branch)
		r = backend_iter_new_until(st->be, TABLE_DIRENT, key_slice(&end),
					   &dir->it);
	if (r) {
		free(dir);
		return r;
	}
	if (dir->it)
		rewind_to_start(dir);
	*ret_dir = dir;
	return 0;
}

void store_dir_close(struct store_dir *dir)
{
	if (!dir)
		return;
	backend_iter_free(dir->it);
	tree_list_deinit(&dir->tree);
	buf_deinit(&dir->marks);
	free(dir);
}

/* The name under the iterator. -ENOENT: the branch has no more. */
static int at_row(struct store_dir *dir, struct slice *ret_name)
{
	uint64_t branch;
	int r;

	if (!backend_iter_valid(dir->it))
		return backend_iter_status(dir->it) ?: -ENOENT;
	r = key_dirent_decode(backend_iter_key(dir->it), &branch, ret_name);
	return r ? store_damaged(dir->st, "a name in the branch", dir->branch) : 0;
}

static int remember_mark(struct store_dir *dir, struct slice name)
{
	struct key key;

	if (dir->pos % MARK_ROWS || dir->pos / MARK_ROWS != marks_count(dir))
		return 0;
	key = key_dirent(dir->branch, name);
	return buf_append(&dir->marks, &key, sizeof(key));
}

static bool same_row(const struct backend_iter *a, const struct backend_iter *b)
{
	return backend_iter_valid(a) && backend_iter_valid(b) &&
	       slice_cmp(backend_iter_key(a), backend_iter_key(b)) == 0;
}

/*
 * Goes on with an iterator for many rows, which sees the branch as it is now. That is the
 * same, if nothing of it has changed since the listing began; else the listing goes on
 * with the one it has.
 */
static void go_long(struct store_dir *dir)
{
	struct key end = key_branch(dir->branch + 1);
	struct backend_iter *it = NULL, *was = dir->it;

	if (!backend_iter_valid(was) || !store_dir_is_current(dir) ||
	    backend_iter_new_many(dir->st->be, TABLE_DIRENT, key_slice(&end), &it))
		return;
	backend_iter_seek(it, backend_iter_key(was));
	dir->is_long = store_dir_is_current(dir) && same_row(it, was);
	if (dir->is_long)
		dir->it = it;
	backend_iter_free(dir->is_long ? was : it);
}

static void step(struct store_dir *dir)
{
	backend_iter_next(dir->it);
	dir->pos++;
	dir->taken = false;
	if (!dir->is_long && dir->pos >= LONG_ROWS && dir->pos % MARK_ROWS == 0)
		go_long(dir);
}

int store_dir_seek(struct store_dir *dir, uint64_t off)
{
	size_t mark = off / MARK_ROWS;
	struct slice name;
	int r;

	if (dir->tree.index)
		dir->pos = off;
	if (!dir->it)
		return 0;
	if (off == dir->pos) {
		dir->taken = false;
		return 0;
	}
	if (off < dir->pos && !marks_count(dir)) {
		rewind_to_start(dir); /* store_dir_seek_name() */
	} else if (off < dir->pos ||
		   (mark < marks_count(dir) && mark > dir->pos / MARK_ROWS)) {
		if (mark >= marks_count(dir))
			mark = marks_count(dir) - 1;
		backend_iter_seek(dir->it, key_slice(mark_at(dir, mark)));
		dir->pos = mark * MARK_ROWS;
		dir->taken = false;
	}
	while (dir->pos < off) {
		r = at_row(dir, &name);
		if (r == 0)
			r = remember_mark(dir, name);
		if (r)
			return r == -ENOENT ? 0 : r;
		step(dir);
	}
	return 0;
}

bool store_dir_reaches(struct store_dir *dir, uint64_t off)
{
	bool reaches = false;

	if (dir->it && store_dir_seek(dir, off) == 0)
		reaches = dir->pos == off && backend_iter_valid(dir->it);
	store_dir_seek(dir, 0);
	return reaches;
}

int store_dir_seek_name(struct store_dir *dir, const char *name, bool after, uint64_t off)
{
	struct slice found, want = slice(name, strlen(name));
	struct key key = key_dirent(dir->branch, want);

	if (dir->tree.index || !dir->it)
		return store_dir_seek(dir, off);
	backend_iter_seek(dir->it, key_slice(&key));
	if (after && at_row(dir, &found) == 0 && found.len == want.len &&
	    memcmp(found.data, want.data, want.len) == 0)
		backend_iter_next(dir->it);
	buf_clear(&dir->marks); /* they count as another one did */
	dir->pos = off;
	dir->taken = false;
	return backend_iter_status(dir->it);
}

/*
 * The attributes now of a directory in the snapshot: unlike a generation it
 * changes under its number. One that is gone is as it was.
 */
static int refresh_dir(struct store *st, struct row_core *core)
{
	CLEANUP_INODE struct inode in = INODE_INIT;
	int r;

	r = inode_load(st, core->ino, &in);
	if (r == 0)
		*core = in.row.core;
	return r == -ENOENT ? 0 : r;
}

/* What they inherit may change while they are listed. -ENOENT: the directory is gone. */
static int refresh_ttl(struct store_dir *dir)
{
	uint64_t epoch = policy_epoch(dir->st);
	struct policy policy;
	int r;

	if (epoch == dir->ttl_epoch)
		return 0;
	r = policy_get(dir->st, dir->branch, &policy);
	if (r)
		return r;
	dir->ttl_ns = policy.ttl_ns;
	dir->ttl_epoch = epoch;
	return 0;
}

/* Most never do, and a clock is read for every name otherwise. */
static bool has_expired(const struct store_attr *attr)
{
	return attr->expires_ns != DURATION_NONE &&
	       store_attr_expired(attr, time_now_ns());
}

/* The row under the iterator. -ENOENT: it is not one to be seen. */
static int read_row(struct store_dir *dir, struct store_attr *ret_attr)
{
	struct row_core core;
	int r;

	r = dirent_read(dir->st, dir->branch, backend_iter_value(dir->it), &core);
	if (r)
		return r;
	if (S_ISDIR(core.mode)) {
		r = refresh_dir(dir->st, &core);
		if (r)
			return r;
	}
	core_shown_attr(&core, dir->ttl_ns, ret_attr);
	return has_expired(ret_attr) ? -ENOENT : 0;
}

bool store_dir_is_current(const struct store_dir *dir)
{
	return dir->it && commits_unchanged(dir->st->be->commits, dir->branch, dir->mark);
}

uint64_t store_dir_rules(const struct store_dir *dir)
{
	return policy_epoch(dir->st);
}

void store_dir_stamp(const struct store_dir *dir, struct store_dir_stamp *ret_stamp)
{
	/* A commit between the mark and the iterator may be in what it shows. */
	*ret_stamp = (struct store_dir_stamp){
	    .branch = dir->branch,
	    .names = store_dir_is_current(dir) ? dir->mark : 0,
	    .rules = dir->epoch,
	};
}

int store_dir_next(struct store_dir *dir, struct store_dirent *ret_ent)
{
	struct store_attr attr;
	struct slice name;
	int r;

	if (dir->tree.index)
		return next_in_tree(dir, ret_ent);
	if (!dir->it)
		return -ENOENT;
	r = refresh_ttl(dir);
	if (r)
		return r; /* removed since: it has no children */
	for (;; step(dir)) {
		r = at_row(dir, &name);
		if (r)
			return r;
		r = remember_mark(dir, name);
		if (r)
			return r;
		if (dir->taken || name_is_stage(name))
			continue;
		r = read_row(dir, &attr);
		if (r == 0)
			break;
		if (r != -ENOENT)
			return r;
	}
	memcpy(dir->name, name.data, name.len);
	dir->name[name.len] = '\0';
	dir->taken = true;
	*ret_ent = (struct store_dirent){
	    .name = dir->name, .next_off = dir->pos + 1, .attr = attr};
	return 0;
}
