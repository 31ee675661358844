/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Entries come in the order of their numbers, and so do the reads counted of them:
 * both tables are walked side by side. What is in neither order, the policy of an
 * entry's branch, is in the policy cache.
 *
 * What is due is not counted, as it goes right after. What changes meanwhile is counted
 * as it is found.
 */
#include "store/census_walk.h"

#include <errno.h>

#include "store/settings.h"
#include "store/usage.h"

#define SLICE_ROWS 2048

struct slice_walk {
	struct census_walk *walk;
	struct backend_iter *inodes, *heat;
};

int census_walk_init(struct census_walk *walk, struct store *st, int64_t keep_ns)
{
	*walk = (struct census_walk){.st = st,
				     .keep_ns = keep_ns,
				     .now_ns = store_wall_ns(st),
				     .next_ino = STORE_ROOT_INO + 1,
				     .next_due_ns = DURATION_NONE};
	return census_count_init(&walk->count);
}

void census_walk_deinit(struct census_walk *walk)
{
	census_count_deinit(&walk->count);
	buf_deinit(&walk->due);
}

/* ---- an entry ---- */

/* Reads of it that are written down. A damaged row is none. */
static uint64_t hits_of(struct slice_walk *s, uint64_t ino)
{
	struct heat_row row;
	uint64_t at;

	while (backend_iter_valid(s->heat)) {
		if (key_ino_decode(backend_iter_key(s->heat), &at) == 0 && at >= ino)
			break;
		backend_iter_next(s->heat);
	}
	if (!backend_iter_valid(s->heat) || at != ino ||
	    heat_decode(backend_iter_value(s->heat), &row))
		return 0;
	return row.hits;
}

static void count_entry(struct slice_walk *s, const struct inode_row *row,
			const struct policy *policy)
{
	struct census_walk *walk = s->walk;
	struct census_entry entry = {
	    .ns_ino = policy->ns_ino,
	    .branch = row->parent_branch,
	    .name = row->name,
	    .bytes = core_charge(&row->core),
	    .size_bytes = row->core.size_bytes,
	    .age_ns = walk->now_ns - row->core.created_ns,
	    .cost_s = row->cost_s,
	    .hits = hits_of(s, row->core.ino),
	    .expired = core_expires_ns(&row->core, policy->ttl_ns) <= walk->now_ns,
	};

	census_count_entry(&walk->count, &entry);
}

static int look_at_entry(struct slice_walk *s, const struct inode_row *row,
			 const struct policy *policy)
{
	struct census_walk *walk = s->walk;
	int64_t due_ns = expire_due_ns(&row->core, policy->ttl_ns, walk->keep_ns);

	if (due_ns <= walk->now_ns &&
	    !expire_is_leased(walk->st, row->parent_branch, row->name))
		return buf_append(&walk->due, &row->core.ino, sizeof(row->core.ino));
	if (due_ns < walk->next_due_ns)
		walk->next_due_ns = due_ns;
	count_entry(s, row, policy);
	return 0;
}

static void look_at_dir(struct census_walk *walk, const struct inode_row *row,
			const struct policy *policy)
{
	/* Itself, when it is in the root. */
	census_count_dir(&walk->count, policy->ns_ino ?: row->core.ino,
			 core_charge(&row->core));
}

/* What cannot be read is for who checks the store to tell. */
static int look_at(struct slice_walk *s)
{
	struct store *st = s->walk->st;
	struct inode_row row;
	struct policy policy;
	int r;

	if (inode_decode(backend_iter_value(s->inodes), &row) || !row.parent_branch)
		return 0;
	r = policy_get(st, row.parent_branch, &policy);
	if (r) /* its directory is gone, and gc is on its way */
		return r == -EIO || r == -ENOMEM ? r : 0;
	if (!S_ISDIR(row.core.mode))
		return look_at_entry(s, &row, &policy);
	look_at_dir(s->walk, &row, &policy);
	return 0;
}

/* ---- a slice ---- */

static int begin(struct slice_walk *s)
{
	struct store *st = s->walk->st;
	struct key first = key_ino(s->walk->next_ino);
	int r;

	r = backend_iter_new(st->be, TABLE_INODE, &s->inodes);
	if (r == 0)
		r = backend_iter_new(st->be, TABLE_HEAT, &s->heat);
	if (r)
		return r;
	backend_iter_seek(s->inodes, key_slice(&first));
	backend_iter_seek(s->heat, key_slice(&first));
	return 0;
}

static int walk_rows(struct slice_walk *s, bool *ret_done)
{
	uint64_t ino;
	int r = 0;

	for (unsigned int n = 0; !r && n < SLICE_ROWS; n++) {
		if (!backend_iter_valid(s->inodes)) {
			*ret_done = true;
			return backend_iter_status(s->inodes);
		}
		if (key_ino_decode(backend_iter_key(s->inodes), &ino) == 0) {
			r = look_at(s);
			s->walk->next_ino = ino + 1;
		}
		backend_iter_next(s->inodes);
	}
	return r;
}

int census_walk_step(struct census_walk *walk, const atomic_bool *stop, bool *ret_done)
{
	struct slice_walk s = {.walk = walk};
	bool done = false;
	int r;

	buf_clear(&walk->due);
	r = begin(&s);
	if (r == 0)
		r = walk_rows(&s, &done);
	backend_iter_free(s.inodes);
	backend_iter_free(s.heat);
	if (r == 0)
		r = expire_drop(walk->st, &walk->due, walk->keep_ns, stop,
				&walk->expired);
	if (r == 0)
		*ret_done = done;
	return r;
}

/* ---- the end ---- */

/* -ENOENT: it has gone meanwhile, with all that was counted in it. */
static int fill_namespace(struct store *st, struct store_census_ns *ns)
{
	CLEANUP_INODE struct inode dir = INODE_INIT;
	struct settings settings = SETTINGS_UNSET;
	int r;

	if (!ns->ino)
		return 0;
	r = inode_load(st, ns->ino, &dir);
	if (r)
		return r;
	memcpy(ns->name, dir.row.name.data, dir.row.name.len);
	ns->name[dir.row.name.len] = '\0';
	settings_inherit(&settings, dir.row.settings);
	ns->quota_bytes = settings.quota_bytes;
	return 0;
}

int census_walk_end(struct census_walk *walk, struct store_census **ret_census)
{
	struct store_census *census;
	size_t n = 0;
	int r;

	r = census_count_end(&walk->count, &census);
	if (r)
		return r;
	for (size_t i = 0; i < census->namespace_count; i++) {
		r = fill_namespace(walk->st, &census->namespaces[i]);
		if (r == 0)
			census->namespaces[n++] = census->namespaces[i];
	}
	census->namespace_count = n;
	census->at_ns = store_wall_ns(walk->st);
	*ret_census = census;
	return 0;
}
