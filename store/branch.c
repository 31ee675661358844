/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Directories, their versions, and the branches these stand for.
 *
 * The unnamed version's branch is the directory's own number and has no row. A
 * named version gets a number, and two rows that lead from one to the other,
 * when it is first written or made current. Making a version current changes
 * one field of the directory's row.
 */
#include <errno.h>

#include "store/internal.h"
#include "store/sealed.h"

bool store_version_valid(const char *version, size_t len)
{
	if (len > STORE_VERSION_MAX)
		return false;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)version[i];

		if (c == '/' || c < 0x20 || c == 0x7f)
			return false;
	}
	return !(len == 1 && version[0] == '.') &&
	       !(len == 2 && version[0] == '.' && version[1] == '.');
}

/* The policy of a directory's own branch. -ENOENT, -ENOTDIR. */
static int dir_policy(struct store *st, uint64_t dir_ino, struct policy *ret_policy)
{
	struct policy policy;
	int r;

	r = policy_get(st, dir_ino, &policy);
	if (r)
		return r;
	if (policy.dir_ino != dir_ino)
		return -ENOENT; /* the number of a branch */
	*ret_policy = policy;
	return 0;
}

/* -ENOENT: the version was never written. */
static int version_load(struct store *st, uint64_t dir_ino, struct slice version,
			uint64_t *ret_branch)
{
	CLEANUP_BUF struct buf raw = BUF_INIT;
	struct key key = key_version(dir_ino, version);
	uint64_t branch;
	int r;

	if (version.len == 0) {
		*ret_branch = dir_ino;
		return 0;
	}
	r = backend_get(st->be, TABLE_BRANCH, key_slice(&key), &raw);
	if (r)
		return r;
	r = u64_decode(buf_slice(&raw), &branch);
	if (r || branch == 0)
		return store_damaged(st, "a version of the directory", dir_ino);
	*ret_branch = branch;
	return 0;
}

static void batch_put_version(struct batch *b, uint64_t dir_ino, struct slice version,
			      uint64_t branch)
{
	CLEANUP_BUF struct buf raw = BUF_INIT;
	struct key key = key_version(dir_ino, version);

	if (u64_encode(branch, &raw))
		b->failed = true;
	batch_put(b, TABLE_BRANCH, key_slice(&key), buf_slice(&raw));
	buf_clear(&raw);
	if (branch_owner_encode(dir_ino, version, &raw))
		b->failed = true;
	key = key_branch_owner(branch);
	batch_put(b, TABLE_BRANCH, key_slice(&key), buf_slice(&raw));
}

/* `fresh` is the number it gets when it has none. Under `names`. */
static int version_create(struct store *st, uint64_t dir_ino, struct slice version,
			  uint64_t fresh, uint64_t *ret_branch)
{
	CLEANUP_BATCH struct batch b = BATCH_INIT;
	struct policy policy;
	int r;

	r = dir_policy(st, dir_ino, &policy);
	if (r)
		return r;
	r = version_load(st, dir_ino, version, ret_branch);
	if (r != -ENOENT)
		return r;
	batch_put_version(&b, dir_ino, version, fresh);
	r = backend_commit(st->be, &b);
	if (r == 0)
		*ret_branch = fresh;
	return r;
}

/* The branch of a named version, made when `create`. */
static int version_branch(struct store *st, uint64_t dir_ino, struct slice version,
			  bool create, uint64_t *ret_branch)
{
	uint64_t fresh;
	int r;

	r = version_load(st, dir_ino, version, ret_branch);
	if (r != -ENOENT)
		return r;
	if (!create) {
		*ret_branch = 0;
		return 0;
	}
	r = ino_alloc(st, &fresh);
	if (r)
		return r;
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&st->names);
	return version_create(st, dir_ino, version, fresh, ret_branch);
}

int store_branch(struct store *st, uint64_t dir_ino, const char *version, bool create,
		 uint64_t *ret_branch)
{
	struct policy policy;
	int r;

	if (version && !store_version_valid(version, strlen(version)))
		return -EINVAL;
	if (store_ino_in_tree(dir_ino)) {
		r = sealed_check_dir(st, dir_ino);
		if (!r)
			*ret_branch = dir_ino; /* it has no versions */
		return r;
	}
	r = dir_policy(st, dir_ino, &policy);
	if (r)
		return r;
	if (version)
		return version_branch(st, dir_ino, slice_str(version), create,
				      ret_branch);
	*ret_branch = policy.current_branch;
	return 0;
}

int store_branch_owner(struct store *st, uint64_t branch, uint64_t *ret_dir_ino,
		       struct buf *ret_version)
{
	struct policy policy;
	uint64_t dir_ino;
	int r;

	if (store_ino_in_tree(branch)) {
		r = sealed_check_dir(st, branch);
		if (r)
			return r == -ENOTDIR ? -ENOENT : r;
		buf_clear(ret_version);
		*ret_dir_ino = branch;
		return 0;
	}
	r = policy_get(st, branch, &policy);
	if (r)
		return r == -ENOTDIR ? -ENOENT : r;
	if (policy.dir_ino == branch)
		buf_clear(ret_version);
	else
		r = branch_owner_load(st, branch, &dir_ino, ret_version);
	if (r == 0)
		*ret_dir_ino = policy.dir_ino;
	return r;
}

int store_version_get(struct store *st, uint64_t dir_ino, struct buf *ret_version)
{
	CLEANUP_INODE struct inode dir = INODE_INIT;
	struct policy policy;
	int r;

	if (store_ino_in_tree(dir_ino)) {
		r = sealed_check_dir(st, dir_ino);
		return r ? r : buf_set(ret_version, "", 0);
	}
	r = dir_policy(st, dir_ino, &policy);
	if (r)
		return r;
	r = inode_load(st, dir_ino, &dir);
	if (r)
		return r;
	return buf_set(ret_version, dir.row.version.data, dir.row.version.len);
}

static int version_set_locked(struct store *st, uint64_t dir_ino, struct slice version,
			      uint64_t branch)
{
	CLEANUP_INODE struct inode dir = INODE_INIT;
	CLEANUP_BATCH struct batch b = BATCH_INIT;
	struct policy policy;
	int r;

	r = dir_policy(st, dir_ino, &policy);
	if (r)
		return r;
	r = inode_load(st, dir_ino, &dir);
	if (r)
		return r;
	if (dir.row.branch == branch)
		return 0;
	dir.row.version = version;
	dir.row.branch = branch;
	/* Listing it gives other names from now on, as if they had been written. */
	dir.row.core.mtime_ns = dir.row.core.ctime_ns = time_now_ns();
	batch_put_inode(&b, &dir.row);
	r = backend_commit(st->be, &b);
	if (r)
		return r;
	policy_changed(st);
	return 0;
}

int store_version_set(struct store *st, uint64_t dir_ino, const char *version)
{
	uint64_t branch;
	int r;

	r = store_branch(st, dir_ino, version, true, &branch);
	if (r)
		return r;
	if (store_ino_in_tree(dir_ino))
		return -EPERM;
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&st->names);
	return version_set_locked(st, dir_ino, slice_str(version), branch);
}

static int version_list(struct store *st, struct backend_iter *it, uint64_t dir_ino,
			int (*each)(void *arg, const char *version, uint64_t branch),
			void *arg)
{
	struct key key = key_version(dir_ino, slice("", 0));
	char text[STORE_VERSION_MAX + 1];
	struct slice version;
	uint64_t row_dir, branch;
	int r;

	for (backend_iter_seek(it, key_slice(&key)); backend_iter_valid(it);
	     backend_iter_next(it)) {
		if (key_version_decode(backend_iter_key(it), &row_dir, &version) ||
		    u64_decode(backend_iter_value(it), &branch))
			return store_damaged(st, "a version of the directory", dir_ino);
		memcpy(text, version.data, version.len);
		text[version.len] = '\0';
		r = each(arg, text, branch);
		if (r)
			return r;
	}
	return backend_iter_status(it);
}

int store_version_list(struct store *st, uint64_t dir_ino,
		       int (*each)(void *arg, const char *version, uint64_t branch),
		       void *arg)
{
	struct key end = key_version(dir_ino + 1, slice("", 0));
	struct backend_iter *it;
	struct policy policy;
	int r;

	if (store_ino_in_tree(dir_ino))
		return sealed_check_dir(st, dir_ino);
	r = dir_policy(st, dir_ino, &policy);
	if (r)
		return r;
	r = backend_iter_new_until(st->be, TABLE_BRANCH, key_slice(&end), &it);
	if (r)
		return r;
	r = version_list(st, it, dir_ino, each, arg);
	backend_iter_free(it);
	return r;
}

int store_parent(struct store *st, uint64_t dir_ino, uint64_t *ret_parent_ino,
		 uint64_t *ret_parent_branch)
{
	struct policy policy, parent;
	int r;

	if (store_ino_in_tree(dir_ino))
		return sealed_parent(st, dir_ino, ret_parent_ino, ret_parent_branch);
	r = dir_policy(st, dir_ino, &policy);
	if (r)
		return r;
	if (dir_ino == STORE_ROOT_INO) {
		*ret_parent_ino = STORE_ROOT_INO;
		*ret_parent_branch = STORE_ROOT_INO;
		return 0;
	}
	r = policy_get(st, policy.parent_branch, &parent);
	if (r)
		return r;
	*ret_parent_ino = parent.dir_ino;
	*ret_parent_branch = policy.parent_branch;
	return 0;
}
