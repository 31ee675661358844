/* SPDX-License-Identifier: Apache-2.0 */
/* Reading one row: get, decode, and a word in the log when it is damaged. */
#include <errno.h>
#include <inttypes.h>

#include "store/commits.h"
#include "store/internal.h"
#include "store/util/log.h"

int store_damaged(struct store *st, const char *what, uint64_t number)
{
	log_error("%s: %s of %" PRIu64 " is damaged", st->path, what, number);
	return -EUCLEAN;
}

void store_damaged_key(struct store *st, enum table table)
{
	log_error("%s: a key in the table \"%s\" is damaged", st->path,
		  table_name(table));
}

void inode_deinit(struct inode *in)
{
	buf_deinit(&in->raw);
	*in = INODE_INIT;
}

/* The one in the database, or a copy of it. -ENOENT. */
static int row_load(struct store *st, enum table table, const struct key *key,
		    struct buf *ret_raw)
{
	struct commits *c = st->be->commits;
	struct slice raw;
	uint64_t mark;
	int r = commits_row(c, table, key_slice(key), ret_raw, &mark);

	if (r != -EAGAIN)
		return r;
	r = backend_get(st->be, table, key_slice(key), ret_raw);
	raw = buf_slice(ret_raw);
	if (!r || r == -ENOENT)
		commits_offer(c, table, key_slice(key), r ? NULL : &raw, mark);
	return r;
}

int inode_load(struct store *st, uint64_t ino, struct inode *ret_in)
{
	CLEANUP_INODE struct inode in = INODE_INIT;
	struct key key = key_ino(ino);
	int r = row_load(st, TABLE_INODE, &key, &in.raw);

	if (r)
		return r;
	r = inode_decode(buf_slice(&in.raw), &in.row);
	if (r || in.row.core.ino != ino)
		return store_damaged(st, "the inode row", ino);
	inode_deinit(ret_in);
	*ret_in = in;
	in = INODE_INIT;
	return 0;
}

int inode_load_placed(struct store *st, uint64_t ino, struct inode *ret_in,
		      struct policy *ret_policy)
{
	uint64_t gone_branch = 0;
	int r;

	for (;;) {
		r = inode_load(st, ino, ret_in);
		if (r)
			return r;
		r = policy_get(st, ret_in->row.parent_branch ?: STORE_ROOT_INO,
			       ret_policy);
		/* Moved away between the two, before its directory was removed? */
		if (r != -ENOENT || ret_in->row.parent_branch == gone_branch)
			return r;
		gone_branch = ret_in->row.parent_branch;
	}
}

int dirent_read(struct store *st, uint64_t branch, struct slice raw,
		struct row_core *ret_core)
{
	if (dirent_decode(raw, ret_core) == 0)
		return 0;
	store_damaged(st, "a name in the branch", branch);
	return -ENOENT;
}

int dirent_load(struct store *st, uint64_t branch, struct slice name,
		struct row_core *ret_core)
{
	CLEANUP_BUF struct buf raw = BUF_INIT;
	struct key key = key_dirent(branch, name);
	int r = row_load(st, TABLE_DIRENT, &key, &raw);

	if (r)
		return r;
	return dirent_read(st, branch, buf_slice(&raw), ret_core);
}

int branch_owner_load(struct store *st, uint64_t branch, uint64_t *ret_dir_ino,
		      struct buf *ret_version)
{
	CLEANUP_BUF struct buf raw = BUF_INIT;
	struct key key = key_branch_owner(branch);
	struct slice version;
	uint64_t dir_ino;
	int r;

	r = backend_get(st->be, TABLE_BRANCH, key_slice(&key), &raw);
	if (r)
		return r;
	r = branch_owner_decode(buf_slice(&raw), &dir_ino, &version);
	if (r)
		return store_damaged(st, "the owner of the branch", branch);
	r = buf_set(ret_version, version.data, version.len);
	if (r)
		return r;
	*ret_dir_ino = dir_ino;
	return 0;
}

int ino_range_load(struct store *st, const struct ino_range *range, struct buf *ret_inos)
{
	struct backend_iter *it;
	uint64_t ino;
	int r;

	if (range->end.len)
		r = backend_iter_new_until(st->be, range->table, key_slice(&range->end),
					   &it);
	else
		r = backend_iter_new(st->be, range->table, &it);
	if (r)
		return r;
	for (backend_iter_seek(it, key_slice(&range->first));
	     !r && backend_iter_valid(it); backend_iter_next(it)) {
		if (range->decode(backend_iter_key(it), &ino))
			store_damaged_key(st, range->table);
		else
			r = buf_append(ret_inos, &ino, sizeof(ino));
	}
	if (!r)
		r = backend_iter_status(it);
	backend_iter_free(it);
	return r;
}

int inos_load(struct store *st, enum table table, struct buf *ret_inos)
{
	const struct ino_range all = {
	    .table = table, .first = key_ino(0), .decode = key_ino_decode};

	return ino_range_load(st, &all, ret_inos);
}

int counter_load(struct store *st, const char *name, uint64_t *ret_value)
{
	CLEANUP_BUF struct buf raw = BUF_INIT;
	int r;

	r = backend_get(st->be, TABLE_COUNTER, slice_str(name), &raw);
	if (r == -ENOENT) {
		*ret_value = 0;
		return 0;
	}
	if (r)
		return r;
	r = u64_decode(buf_slice(&raw), ret_value);
	return r ? store_damaged(st, name, 0) : 0;
}
