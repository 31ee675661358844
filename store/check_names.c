/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Names, inodes, branches: is each row what the others say?
 *
 * The inode row is the truth about an inode, and the name's row repeats it. An entry
 * whose rows differ is dropped, since a result that may be another one's is worse than
 * a miss; a directory gets its name's row again, since what is below it is sound.
 */
#include <errno.h>
#include <unistd.h>

#include "store/check_parts.h"
#include "store/value.h"

#define DEPTH_MAX 65536 /* as in policy.c: only a damaged store has a ring */

static const char drop_entry[] = "drop it";
static const char drop_dir[] = "drop the directory";
static const char delete_row[] = "delete the row";

/* The inode row of a number; -ENOENT, and -EUCLEAN without a word in the log. */
static int row_load(struct store *st, uint64_t ino, struct buf *raw,
		    struct inode_row *ret_row)
{
	struct key key = key_ino(ino);
	int r = backend_get(st->be, TABLE_INODE, key_slice(&key), raw);

	if (!r)
		r = inode_decode(buf_slice(raw), ret_row);
	return !r && ret_row->core.ino != ino ? -EUCLEAN : r;
}

/* ---- where a branch is ---- */

static uint64_t *known_slot(struct check *c, uint64_t branch)
{
	return &c->known[(branch * UINT64_C(0x9e3779b97f4a7c15) >> 32) % CHECK_KNOWN];
}

/* The directory of a branch. -ENOENT: it is gone; *ret_ino is what is missing. */
static int dir_of(struct store *st, uint64_t branch, struct buf *raw,
		  struct inode_row *ret_row, uint64_t *ret_ino)
{
	CLEANUP_BUF struct buf owner = BUF_INIT;
	struct key key = key_branch_owner(branch);
	struct slice version;
	int r;

	*ret_ino = branch;
	r = row_load(st, branch, raw, ret_row);
	if (r != -ENOENT)
		return r;
	r = backend_get(st->be, TABLE_BRANCH, key_slice(&key), &owner);
	if (!r)
		r = branch_owner_decode(buf_slice(&owner), ret_ino, &version);
	return r ? r : row_load(st, *ret_ino, raw, ret_row);
}

/* Is what is missing being deleted, with all that is below it? */
static int is_queued(struct store *st, uint64_t dir_ino, bool *ret_queued)
{
	CLEANUP_BUF struct buf raw = BUF_INIT;
	struct key key = key_ino(dir_ino);
	int r = backend_get(st->be, TABLE_GCQ, key_slice(&key), &raw);

	*ret_queued = r == 0 || r == -EUCLEAN;
	return r == -ENOENT || r == -EUCLEAN ? 0 : r;
}

static void put_tree(struct fault *f, uint64_t ino)
{
	const struct gcq_row row = {.kind = GCQ_TREE};
	CLEANUP_BUF struct buf raw = BUF_INIT;
	struct key key = key_ino(ino);

	if (gcq_encode(&row, &raw))
		f->fix.failed = true;
	else
		batch_put(&f->fix, TABLE_GCQ, key_slice(&key), buf_slice(&raw));
	f->reap_ino = ino;
}

static int missing_place(struct check *c, uint64_t ino, struct fault *f)
{
	bool queued = false;
	int r = is_queued(c->st, ino, &queued);

	if (r || queued)
		return r;
	fault_set(f, "the directory it is in is missing", "delete what was in it");
	put_tree(f, ino);
	return 0;
}

/* Its directory goes; what is in it is deleted. */
static void drop_ring(struct fault *f, const struct inode_row *dir)
{
	fault_set(f, "its path leads in a circle", drop_dir);
	batch_drop_name(&f->fix, dir->parent_branch, dir->name, &dir->core);
	f->fix_dirs = true;
	f->reap_ino = dir->core.ino;
}

int check_place(struct check *c, uint64_t branch, struct fault *f)
{
	uint64_t at = branch;

	for (unsigned int depth = 0; at && *known_slot(c, at) != at; depth++) {
		CLEANUP_BUF struct buf raw = BUF_INIT;
		struct inode_row dir;
		uint64_t ino;
		int r = dir_of(c->st, at, &raw, &dir, &ino);

		if (r == -ENOENT)
			return missing_place(c, ino, f);
		if (r) /* that row has a line of its own */
			return r == -EUCLEAN ? 0 : r;
		if (!S_ISDIR(dir.core.mode)) {
			struct key first = key_branch(at), end = key_branch(at + 1);

			fault_set(f, "what it is in is no directory", delete_row);
			batch_del_range(&f->fix, TABLE_DIRENT, key_slice(&first),
					key_slice(&end));
			return 0;
		}
		if (depth == DEPTH_MAX) {
			drop_ring(f, &dir);
			return 0;
		}
		at = dir.parent_branch;
	}
	*known_slot(c, branch) = branch;
	return 0;
}

int look_place(struct check *c, enum table table, struct slice key, struct slice raw,
	       struct fault *f)
{
	CLEANUP_BUF struct buf again = BUF_INIT;
	struct slice name;
	uint64_t branch;
	int r;

	if (key_dirent_decode(key, &branch, &name))
		return 0; /* look_name() says so */
	r = check_place(c, branch, f);
	if (r || !f->what)
		return r;
	/* When the name is still there, what it is in cannot just have gone. */
	r = backend_get(c->st->be, table, key, &again);
	if (r == -ENOENT) {
		f->what = NULL;
		return 0;
	}
	f->branch = branch;
	return r == -EUCLEAN ? 0 : r ?: buf_set(&f->name, name.data, name.len);
}

/* ---- versions ---- */

static int look_version(struct check *c, struct slice key, struct slice raw,
			struct fault *f)
{
	CLEANUP_BUF struct buf back = BUF_INIT;
	struct slice version, back_version;
	uint64_t dir_ino, branch, back_dir;
	struct key back_key;
	int r;

	if (key_version_decode(key, &dir_ino, &version)) {
		fault_delete(f, TABLE_BRANCH, key, "a key of a version is damaged");
		return 0;
	}
	f->ino = dir_ino;
	if (u64_decode(raw, &branch) || !branch) {
		/* The way back has it, and puts it right below. */
		fault_delete(f, TABLE_BRANCH, key, "the row of a version is damaged");
		return 0;
	}
	back_key = key_branch_owner(branch);
	r = backend_get(c->st->be, TABLE_BRANCH, key_slice(&back_key), &back);
	if (r && r != -ENOENT)
		return r;
	if (!r && branch_owner_decode(buf_slice(&back), &back_dir, &back_version) == 0) {
		if (back_dir == dir_ino && !slice_cmp(version, back_version))
			return 0;
		fault_delete(f, TABLE_BRANCH, key, "a version leads to another's branch");
		return 0;
	}
	fault_set(f, "the branch of a version does not lead back", "write the row anew");
	buf_clear(&back);
	if (branch_owner_encode(dir_ino, version, &back))
		return -ENOMEM;
	batch_put(&f->fix, TABLE_BRANCH, key_slice(&back_key), buf_slice(&back));
	f->fix_dirs = true;
	return 0;
}

static void put_version(struct fault *f, const struct key *key, uint64_t branch)
{
	CLEANUP_BUF struct buf raw = BUF_INIT;

	fault_set(f, "a version has lost its row", "write the row anew");
	if (u64_encode(branch, &raw))
		f->fix.failed = true;
	else
		batch_put(&f->fix, TABLE_BRANCH, key_slice(key), buf_slice(&raw));
	f->fix_dirs = true;
}

/* The version leads to another branch: whose is it, by the other's way back? */
static int other_branch(struct check *c, struct slice key, const struct key *there,
			uint64_t branch, uint64_t other, struct fault *f)
{
	struct key other_key = key_branch_owner(other);
	CLEANUP_BUF struct buf raw = BUF_INIT;
	int r = backend_get(c->st->be, TABLE_BRANCH, key_slice(&other_key), &raw);

	if (r == -ENOENT)
		put_version(f, there, branch);
	else if (!r)
		fault_delete(f, TABLE_BRANCH, key, "a branch is no version's");
	return r == -ENOENT ? 0 : r;
}

static int look_way_back(struct check *c, struct slice key, struct slice raw,
			 struct fault *f)
{
	CLEANUP_BUF struct buf there = BUF_INIT;
	uint64_t branch, other, dir_ino;
	struct slice version;
	struct key there_key;
	int r;

	/* 'b' be64(branch) */
	if (key.len != 9 ||
	    key_ino_decode(slice((const char *)key.data + 1, 8), &branch) ||
	    branch_owner_decode(raw, &dir_ino, &version)) {
		fault_delete(f, TABLE_BRANCH, key, "the row of a branch is damaged");
		return 0;
	}
	f->ino = dir_ino;
	there_key = key_version(dir_ino, version);
	r = backend_get(c->st->be, TABLE_BRANCH, key_slice(&there_key), &there);
	if (r && r != -ENOENT)
		return r;
	if (r || u64_decode(buf_slice(&there), &other) || !other) {
		put_version(f, &there_key, branch);
		return 0;
	}
	return other == branch ? 0 : other_branch(c, key, &there_key, branch, other, f);
}

int look_branch(struct check *c, enum table table, struct slice key, struct slice raw,
		struct fault *f)
{
	const char *kind = key.data;
	CLEANUP_BUF struct buf again = BUF_INIT;
	int r;

	r = key.len && *kind == 'v' ? look_version(c, key, raw, f)
				    : look_way_back(c, key, raw, f);
	/* The two go together. */
	if (!r && f->what && backend_get(c->st->be, table, key, &again) == -ENOENT)
		f->what = NULL;
	return r;
}

/* ---- names ---- */

static void put_name(struct fault *f, const struct inode_row *row)
{
	CLEANUP_BUF struct buf raw = BUF_INIT;
	struct key key = key_dirent(row->parent_branch, row->name);

	if (dirent_encode(&row->core, &raw))
		f->fix.failed = true;
	else
		batch_put(&f->fix, TABLE_DIRENT, key_slice(&key), buf_slice(&raw));
	f->fix_dirs = true;
}

/* The bytes of an older format say the same in another way. */
static int same_core(const struct row_core *a, const struct row_core *b, bool *ret_same)
{
	CLEANUP_BUF struct buf x = BUF_INIT;
	CLEANUP_BUF struct buf y = BUF_INIT;

	if (dirent_encode(a, &x) || dirent_encode(b, &y))
		return -ENOMEM;
	*ret_same = !slice_cmp(buf_slice(&x), buf_slice(&y));
	return 0;
}

static int compare_rows(struct fault *f, struct slice key, const struct row_core *core,
			const struct inode_row *row)
{
	bool same = false;
	int r;

	if (row->parent_branch != f->branch ||
	    slice_cmp(row->name, buf_slice(&f->name))) {
		fault_delete(f, TABLE_DIRENT, key, "it leads to what has another name");
		return 0;
	}
	r = same_core(core, &row->core, &same);
	if (r || same)
		return r;
	if (S_ISDIR(row->core.mode)) {
		fault_set(f, "its two rows differ", "write the row of the name anew");
		put_name(f, row);
	} else {
		fault_set(f, "its two rows differ", drop_entry);
		f->drop_ino = row->core.ino;
	}
	return 0;
}

int look_name(struct check *c, enum table table, struct slice key, struct slice raw,
	      struct fault *f)
{
	CLEANUP_BUF struct buf inode_raw = BUF_INIT;
	struct inode_row row;
	struct row_core core;
	struct slice name;
	int r;

	if (key_dirent_decode(key, &f->branch, &name)) {
		f->branch = 0;
		fault_delete(f, table, key, "a key of a name is damaged");
		return 0;
	}
	r = buf_set(&f->name, name.data, name.len);
	if (r)
		return r;
	if (dirent_decode(raw, &core)) {
		fault_delete(f, table, key, "the row of the name is damaged");
		f->repair = drop_entry;
		return 0;
	}
	r = row_load(c->st, core.ino, &inode_raw, &row);
	if (r == -ENOENT) {
		/* Its content, or what is in it, may be there all the same. */
		fault_delete(f, table, key, "its inode is missing");
		f->repair = drop_entry;
		batch_drop_inode(&f->fix, &core);
		f->fix_dirs = S_ISDIR(core.mode);
		f->reap_ino = core.ino;
		return 0;
	}
	if (r == -EUCLEAN) {
		fault_set(f, "its inode row is damaged", drop_entry);
		batch_drop_name(&f->fix, f->branch, name, &core);
		f->fix_dirs = S_ISDIR(core.mode);
		f->reap_ino = core.ino;
		return 0;
	}
	return r ? r : compare_rows(f, key, &core, &row);
}

/* ---- inodes ---- */

/* What it was is not known, so all that can have its number goes. */
static void drop_unknown(struct fault *f, uint64_t ino)
{
	struct key key = key_ino(ino);

	fault_set(f, "an inode row is damaged", "delete what has its number");
	f->ino = ino;
	batch_del(&f->fix, TABLE_INODE, key_slice(&key));
	batch_del_any_value(&f->fix, ino);
	put_tree(f, ino);
	f->drop_extent = ino;
}

static void make_root(struct fault *f)
{
	int64_t now_ns = time_now_ns();
	const struct inode_row row = {
	    .core = {.ino = STORE_ROOT_INO,
		     .mode = S_IFDIR | 0755,
		     .uid = geteuid(),
		     .gid = getegid(),
		     .atime_ns = now_ns,
		     .mtime_ns = now_ns,
		     .ctime_ns = now_ns,
		     .created_ns = now_ns,
		     .ttl_ns = DURATION_UNSET},
	    .cost_s = -1,
	    .branch = STORE_ROOT_INO,
	};

	fault_set(f, "the row of the root directory is damaged",
		  "make one with default settings");
	batch_put_inode(&f->fix, &row);
	f->fix_dirs = true;
}

/* It has no name: a directory that is at a sound place gets its own again. */
static int drop_nameless(struct check *c, const struct inode_row *row, bool taken,
			 struct fault *f)
{
	CLEANUP_FAULT struct fault place = FAULT_INIT;
	int r = 0;

	if (S_ISDIR(row->core.mode) && !taken) {
		r = check_place(c, row->parent_branch, &place);
		if (!r && !place.what) {
			fault_set(f, "it is not in its directory", "put it there again");
			put_name(f, row);
			return 0;
		}
	}
	fault_set(f, "it is not in its directory", drop_entry);
	batch_drop_inode(&f->fix, &row->core);
	batch_count(&f->fix, &row->core, -1);
	f->fix_dirs = S_ISDIR(row->core.mode);
	f->reap_ino = row->core.ino;
	return r;
}

static int look_inode_name(struct check *c, const struct inode_row *row, struct fault *f)
{
	struct key key = key_dirent(row->parent_branch, row->name);
	CLEANUP_BUF struct buf raw = BUF_INIT;
	struct row_core core;
	int r = backend_get(c->st->be, TABLE_DIRENT, key_slice(&key), &raw);

	if (r && r != -ENOENT)
		return r;
	if (!r && dirent_decode(buf_slice(&raw), &core) == 0 && core.ino == row->core.ino)
		return 0;
	f->branch = row->parent_branch;
	if (buf_set(&f->name, row->name.data, row->name.len))
		return -ENOMEM;
	return drop_nameless(c, row, r == 0, f);
}

/* Where the children of the current version are. */
static int look_current(struct check *c, const struct inode_row *row, struct fault *f)
{
	struct key key = key_branch_owner(row->branch);
	CLEANUP_BUF struct buf raw = BUF_INIT;
	struct slice version;
	uint64_t dir_ino;
	int r;

	if (row->branch == row->core.ino)
		return 0;
	r = backend_get(c->st->be, TABLE_BRANCH, key_slice(&key), &raw);
	if (r && r != -ENOENT)
		return r;
	f->ino = row->core.ino;
	if (r) {
		struct key there = key_version(row->core.ino, row->version);

		fault_set(f, "its current version has lost its rows", "write them anew");
		if (branch_owner_encode(row->core.ino, row->version, &raw))
			return -ENOMEM;
		batch_put(&f->fix, TABLE_BRANCH, key_slice(&key), buf_slice(&raw));
		buf_clear(&raw);
		if (u64_encode(row->branch, &raw))
			return -ENOMEM;
		batch_put(&f->fix, TABLE_BRANCH, key_slice(&there), buf_slice(&raw));
		f->fix_dirs = true;
		return 0;
	}
	if (branch_owner_decode(buf_slice(&raw), &dir_ino, &version) == 0 &&
	    dir_ino == row->core.ino && !slice_cmp(version, row->version))
		return 0;
	if (row->core.ino == STORE_ROOT_INO) {
		make_root(f);
		return 0;
	}
	fault_set(f, "its current version is another directory's", drop_dir);
	batch_drop_name(&f->fix, row->parent_branch, row->name, &row->core);
	f->fix_dirs = true;
	f->reap_ino = row->core.ino;
	return 0;
}

int look_inode(struct check *c, enum table table, struct slice key, struct slice raw,
	       struct fault *f)
{
	struct inode_row row;
	uint64_t ino;
	int r = 0;

	if (key_ino_decode(key, &ino)) {
		fault_delete(f, table, key, "a key of an inode is damaged");
		return 0;
	}
	if (inode_decode(raw, &row) || row.core.ino != ino ||
	    (ino == STORE_ROOT_INO) != !row.parent_branch) {
		if (ino == STORE_ROOT_INO)
			make_root(f);
		else
			drop_unknown(f, ino);
		return 0;
	}
	if (ino != STORE_ROOT_INO)
		r = look_inode_name(c, &row, f);
	if (!r && !f->what && S_ISDIR(row.core.mode))
		r = look_current(c, &row, f);
	return r;
}
