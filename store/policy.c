/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What applies to the children of a branch: its directory, and the nearest ttl
 * and settings.
 *
 * Every lookup needs it, so it is cached by branch. One epoch counts the
 * changes of any directory; a cached policy is good while the epoch is the one
 * under which its rows were read. A change commits first and raises the epoch
 * then, and a reader takes the epoch first and the rows after it. So a policy
 * that was read before a change was committed never carries the epoch after it,
 * and once the call that made the change has returned nobody uses an older one.
 *
 * A policy is read by walking up to the root, row by row, without a lock. The
 * walk is repeated when the epoch moved. Otherwise at most one change was
 * committed meanwhile, its call has not returned, and one change touches one
 * directory of any walk, so what was seen is the tree before or after it.
 *
 * The walk goes to the root even when a ttl was found: a directory whose
 * ancestor was removed is gone too, although its own row still waits for gc.
 */
#include "store/policy.h"

#include <errno.h>
#include <stdlib.h>

#include "store/internal.h"
#include "store/settings.h"
#include "store/stage.h"

#define SLOTS (64 * 1024)
#define SHARDS 64
/* Deeper than any path the kernel takes; only a damaged store has a ring. */
#define DEPTH_MAX 65536

struct slot {
	uint64_t branch; /* 0: unused */
	uint64_t epoch;
	struct policy policy;
	struct settings settings; /* apart: a lookup does not copy it */
};

struct policy_cache {
	_Atomic uint64_t epoch;
	pthread_mutex_t locks[SHARDS]; /* slots[i] is under locks[i % SHARDS] */
	struct slot slots[SLOTS];
};

int policy_cache_new(struct policy_cache **ret_cache)
{
	/* Fresh pages are zero and cost nothing until they are used. */
	struct policy_cache *cache = calloc(1, sizeof(*cache));

	if (!cache)
		return -ENOMEM;
	for (size_t i = 0; i < SHARDS; i++)
		pthread_mutex_init(&cache->locks[i], NULL);
	*ret_cache = cache;
	return 0;
}

void policy_cache_free(struct policy_cache *cache)
{
	if (!cache)
		return;
	for (size_t i = 0; i < SHARDS; i++)
		pthread_mutex_destroy(&cache->locks[i]);
	free(cache);
}

/* Fibonacci hashing: numbers that follow each other go far apart. */
static size_t slot_of(uint64_t branch)
{
	return (branch * UINT64_C(0x9e3779b97f4a7c15) >> 32) % SLOTS;
}

/* Either of the outputs may be NULL. */
static bool cache_find(struct policy_cache *cache, uint64_t branch, uint64_t epoch,
		       struct policy *ret_policy, struct settings *ret_settings)
{
	size_t i = slot_of(branch);
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&cache->locks[i % SHARDS]);
	const struct slot *slot = &cache->slots[i];

	if (slot->branch != branch || slot->epoch != epoch)
		return false;
	if (ret_policy)
		*ret_policy = slot->policy;
	if (ret_settings)
		*ret_settings = slot->settings;
	return true;
}

static void cache_put(struct policy_cache *cache, uint64_t branch, uint64_t epoch,
		      const struct policy *policy, const struct settings *settings)
{
	size_t i = slot_of(branch);
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&cache->locks[i % SHARDS]);

	cache->slots[i] = (struct slot){
	    .branch = branch, .epoch = epoch, .policy = *policy, .settings = *settings};
}

void policy_changed(struct store *st)
{
	atomic_fetch_add(&st->policy->epoch, 1);
}

uint64_t policy_epoch(struct store *st)
{
	return atomic_load(&st->policy->epoch);
}

/* The directory a branch belongs to. -ENOENT, -ENOTDIR. */
static int owner_load(struct store *st, uint64_t branch, struct inode *ret_dir)
{
	CLEANUP_BUF struct buf version = BUF_INIT;
	uint64_t dir_ino;
	int r;

	r = inode_load(st, branch, ret_dir);
	if (r == -ENOENT) {
		r = branch_owner_load(st, branch, &dir_ino, &version);
		if (r)
			return r;
		r = inode_load(st, dir_ino, ret_dir);
	}
	if (r)
		return r;
	return S_ISDIR(ret_dir->row.core.mode) ? 0 : -ENOTDIR;
}

/* What is inherited: of each the nearest; of namespaces the farthest. */
struct inherited {
	int64_t ttl_ns;
	struct settings settings;
	uint64_t ns_ino;
	uint64_t quota_ino, quota_parent_branch;
	bool staged;
};

static void inherit_settings(struct inherited *in, const struct inode_row *dir)
{
	bool quota = in->settings.quota_bytes, max_entry = in->settings.max_entry_bytes;

	settings_inherit(&in->settings, dir->settings);
	if (!quota && in->settings.quota_bytes) {
		in->quota_ino = dir->core.ino;
		in->quota_parent_branch = dir->parent_branch;
	}
	if (!max_entry && in->settings.max_entry_bytes)
		in->settings.max_entry_dir = dir->core.ino;
}

static void inherit(struct inherited *in, const struct inode_row *dir)
{
	if (in->ttl_ns == DURATION_UNSET)
		in->ttl_ns = dir->core.ttl_ns;
	if (dir->settings.len)
		inherit_settings(in, dir);
	if (dir->parent_branch)
		in->ns_ino = dir->core.ino;
	in->staged |= name_is_stage(dir->name);
}

/* The same from a branch for which it is known already. */
static void inherit_known(struct inherited *in, const struct policy *above,
			  const struct settings *settings)
{
	if (in->ttl_ns == DURATION_UNSET)
		in->ttl_ns = above->ttl_ns;
	if (!in->settings.quota_bytes) {
		in->quota_ino = above->quota_ino;
		in->quota_parent_branch = above->quota_parent_branch;
	}
	if (above->ns_ino)
		in->ns_ino = above->ns_ino;
	in->staged |= above->staged;
	settings_merge(&in->settings, settings);
}

/* Add to `in` what it inherits from the directories above, beginning at `branch`. */
static int walk_up(struct store *st, uint64_t branch, uint64_t epoch,
		   struct inherited *in)
{
	for (unsigned int depth = 0; branch != 0; depth++) {
		CLEANUP_INODE struct inode dir = INODE_INIT;
		struct settings settings;
		struct policy above;
		int r;

		if (cache_find(st->policy, branch, epoch, &above, &settings)) {
			inherit_known(in, &above, &settings);
			break;
		}
		if (depth == DEPTH_MAX)
			return store_damaged(st, "the path", branch);
		r = owner_load(st, branch, &dir);
		if (r)
			return r == -ENOTDIR ? store_damaged(st, "the path", branch) : r;
		inherit(in, &dir.row);
		branch = dir.row.parent_branch;
	}
	return 0;
}

static int policy_read(struct store *st, uint64_t branch, uint64_t epoch,
		       struct policy *ret_policy, struct settings *ret_settings)
{
	struct inherited in = {.ttl_ns = DURATION_UNSET, .settings = SETTINGS_UNSET};
	CLEANUP_INODE struct inode dir = INODE_INIT;
	int r;

	r = owner_load(st, branch, &dir);
	if (r)
		return r;
	inherit(&in, &dir.row);
	r = walk_up(st, dir.row.parent_branch, epoch, &in);
	if (r)
		return r;
	*ret_policy = (struct policy){
	    .dir_ino = dir.row.core.ino,
	    .current_branch = dir.row.branch,
	    .parent_branch = dir.row.parent_branch,
	    .ttl_ns = in.ttl_ns == DURATION_UNSET ? DURATION_NONE : in.ttl_ns,
	    .mode = dir.row.core.mode,
	    .gid = dir.row.core.gid,
	    .ns_ino = in.ns_ino,
	    .quota_ino = in.quota_ino,
	    .quota_bytes = in.settings.quota_bytes,
	    .quota_parent_branch = in.quota_parent_branch,
	    .staged = in.staged,
	};
	*ret_settings = in.settings;
	return 0;
}

/* Either of the outputs may be NULL. */
static int get(struct store *st, uint64_t branch, struct policy *ret_policy,
	       struct settings *ret_settings)
{
	struct settings settings;
	struct policy policy;
	uint64_t epoch;
	int r;

	if (branch == 0)
		return -ENOENT;
	do {
		epoch = policy_epoch(st);
		if (cache_find(st->policy, branch, epoch, ret_policy, ret_settings))
			return 0;
		r = policy_read(st, branch, epoch, &policy, &settings);
	} while (epoch != policy_epoch(st));
	if (r)
		return r;
	cache_put(st->policy, branch, epoch, &policy, &settings);
	if (ret_policy)
		*ret_policy = policy;
	if (ret_settings)
		*ret_settings = settings;
	return 0;
}

int policy_get(struct store *st, uint64_t branch, struct policy *ret_policy)
{
	return get(st, branch, ret_policy, NULL);
}

int policy_settings(struct store *st, uint64_t branch, struct settings *ret_settings)
{
	return get(st, branch, NULL, ret_settings);
}

int policy_place(struct store *st, uint64_t branch, uint64_t *ret_dir_ino,
		 uint64_t *ret_parent_branch)
{
	CLEANUP_INODE struct inode dir = INODE_INIT;
	int r;

	r = owner_load(st, branch, &dir);
	if (r)
		return r;
	*ret_dir_ino = dir.row.core.ino;
	*ret_parent_branch = dir.row.parent_branch;
	return 0;
}

int64_t core_expires_ns(const struct row_core *core, int64_t inherited_ttl_ns)
{
	int64_t ttl_ns = core->ttl_ns;
	int64_t expires_ns;

	if (S_ISDIR(core->mode))
		return DURATION_NONE;
	if (ttl_ns == DURATION_UNSET)
		ttl_ns = inherited_ttl_ns;
	if (ttl_ns == DURATION_NONE ||
	    __builtin_add_overflow(core->created_ns, ttl_ns, &expires_ns))
		return DURATION_NONE;
	return expires_ns;
}

void core_attr(const struct row_core *core, int64_t inherited_ttl_ns,
	       struct store_attr *ret_attr)
{
	*ret_attr = (struct store_attr){
	    .ino = core->ino,
	    .mode = core->mode,
	    .uid = core->uid,
	    .gid = core->gid,
	    .size_bytes = core->size_bytes,
	    .disk_bytes = core->disk_bytes,
	    .atime_ns = core->atime_ns,
	    .mtime_ns = core->mtime_ns,
	    .ctime_ns = core->ctime_ns,
	    .created_ns = core->created_ns,
	    .expires_ns = core_expires_ns(core, inherited_ttl_ns),
	    .sealed = core->sealed,
	};
}

void policy_adopt(const struct policy *policy, mode_t *mode, gid_t *gid)
{
	if (!(policy->mode & S_ISGID))
		return;
	*gid = policy->gid;
	if (S_ISDIR(*mode))
		*mode |= S_ISGID;
}
