/* SPDX-License-Identifier: Apache-2.0 */
#include "store/expire.h"

#include <errno.h>

#include "store/drop.h"
#include "store/lease.h"
#include "store/usage.h"

#define BATCH_ENTRIES 64 /* under one hold of `names` */

/* What goes with one batch. */
struct expirer {
	struct store *st;
	int64_t keep_ns;
	struct batch batch;
	struct drops drops;
	struct expired sum;
};

int64_t expire_due_ns(const struct row_core *core, int64_t inherited_ttl_ns,
		      int64_t keep_ns)
{
	int64_t expires_ns = core_expires_ns(core, inherited_ttl_ns), due_ns;

	if (expires_ns == DURATION_NONE || keep_ns == DURATION_NONE ||
	    __builtin_add_overflow(expires_ns, keep_ns, &due_ns))
		return DURATION_NONE;
	return due_ns;
}

bool expire_is_leased(struct store *st, uint64_t branch, struct slice name)
{
	char text[STORE_NAME_MAX + 1];
	struct store_lease lease;

	memcpy(text, name.data, name.len);
	text[name.len] = '\0';
	return store_lease_get(st, branch, text, &lease) == 0;
}

/* Still there, at its place, and expired for long enough. Under `names`. */
static int is_due(const struct expirer *ex, const struct inode_row *row, bool *ret_due)
{
	struct policy policy;
	struct row_core named;
	int r;

	*ret_due = false;
	if (S_ISDIR(row->core.mode))
		return 0;
	r = policy_get(ex->st, row->parent_branch, &policy);
	if (r) /* its directory is gone, and this goes with it */
		return r == -ENOENT ? 0 : r;
	if (expire_due_ns(&row->core, policy.ttl_ns, ex->keep_ns) > store_wall_ns(ex->st))
		return 0;
	/* In a damaged store the name may be another's. */
	r = dirent_load(ex->st, row->parent_branch, row->name, &named);
	if (r || named.ino != row->core.ino)
		return r == -ENOENT ? 0 : r;
	*ret_due = !expire_is_leased(ex->st, row->parent_branch, row->name);
	return 0;
}

static int drop_one(struct expirer *ex, uint64_t ino)
{
	CLEANUP_INODE struct inode in = INODE_INIT;
	bool due;
	int r;

	r = inode_load(ex->st, ino, &in);
	if (r == 0)
		r = is_due(ex, &in.row, &due);
	if (r == -ENOENT || r == -EUCLEAN) /* what cannot be read stays */
		return 0;
	if (r || !due)
		return r;
	r = drop_name(ex->st, &ex->batch, &in.row, STORE_DROP_EXPIRED, &ex->drops);
	if (r)
		return r;
	ex->sum.entries++;
	ex->sum.bytes += core_charge(&in.row.core);
	return 0;
}

/* The next of `inos` from *pos on, under one hold of `names`. */
static int drop_some(struct expirer *ex, const struct buf *inos, size_t *pos)
{
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&ex->st->names);
	uint64_t ino;
	int r = 0;

	for (size_t i = 0; !r && i < BATCH_ENTRIES && *pos < inos->len; i++) {
		memcpy(&ino, inos->data + *pos, sizeof(ino));
		*pos += sizeof(ino);
		r = drop_one(ex, ino);
	}
	return r ? r : store_commit(ex->st, &ex->batch);
}

int expire_drop(struct store *st, const struct buf *inos, int64_t keep_ns,
		const atomic_bool *stop, struct expired *sum)
{
	size_t pos = 0;
	int r = 0;

	while (!r && pos < inos->len && !atomic_load(stop)) {
		struct expirer ex = {.st = st, .keep_ns = keep_ns};

		r = drop_some(&ex, inos, &pos);
		if (r == 0) {
			drops_tell(st, &ex.drops);
			sum->entries += ex.sum.entries;
			sum->bytes += ex.sum.bytes;
		}
		drops_deinit(&ex.drops);
		batch_deinit(&ex.batch);
	}
	return r;
}
