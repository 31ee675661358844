/* SPDX-License-Identifier: Apache-2.0 */
#include "store/drop.h"

#include <assert.h>
#include <errno.h>

#include "store/gen.h"
#include "store/sealed.h"
#include "store/usage.h"

/* As it lies in the list, followed by the name and its NUL. */
struct record {
	struct store_dropped what; /* without the name */
	uint64_t ino;		   /* of the row */
	size_t name_len;
};

void drops_deinit(struct drops *d)
{
	buf_deinit(&d->list);
}

static int add(struct drops *drops, const struct record *record, struct slice name)
{
	if (buf_append(&drops->list, record, sizeof(*record)) ||
	    buf_append(&drops->list, name.data, name.len) ||
	    buf_append(&drops->list, "", 1))
		return -ENOMEM;
	return 0;
}

int drop_name(struct store *st, struct batch *b, const struct inode_row *row,
	      enum store_drop why, struct drops *drops)
{
	struct record record = {.what = {.why = why,
					 .branch = row->parent_branch,
					 .ino = core_shown_ino(&row->core),
					 .bytes = core_charge(&row->core),
					 .cost_s = row->cost_s},
				.ino = row->core.ino,
				.name_len = row->name.len};
	struct policy policy;
	int r = 0;

	assert(!S_ISDIR(row->core.mode));
	gen_keep_nameless(st, row->core.ino);
	batch_drop_name(b, row->parent_branch, row->name, &row->core);
	/* The directory may have been removed, and this wait for gc. */
	if (policy_get(st, row->parent_branch, &policy) == 0) {
		record.what.ns_ino = policy.ns_ino;
		usage_batch_charge(st, b, &policy, -(int64_t)record.what.bytes);
		r = batch_touch_dir(st, b, policy.dir_ino, time_now_ns());
	}
	return r ? r : add(drops, &record, row->name);
}

void drops_tell(struct store *st, struct drops *drops)
{
	for (size_t at = 0; at < drops->list.len;) {
		struct record record;

		memcpy(&record, drops->list.data + at, sizeof(record));
		at += sizeof(record);
		record.what.name = (const char *)drops->list.data + at;
		at += record.name_len + 1;
		gc_reap(st, record.ino);
		pthread_rwlock_rdlock(&st->watch_lock);
		if (st->watch.dropped)
			st->watch.dropped(st->watch.arg, &record.what);
		pthread_rwlock_unlock(&st->watch_lock);
	}
	buf_clear(&drops->list);
}

void store_watch(struct store *st, const struct store_watch *watch)
{
	/* Who is being called now is waited for. */
	pthread_rwlock_wrlock(&st->watch_lock);
	st->watch = watch ? *watch : (struct store_watch){0};
	pthread_rwlock_unlock(&st->watch_lock);
}

static int drop_ino_locked(struct store *st, uint64_t ino, struct drops *drops)
{
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&st->names);
	CLEANUP_BATCH struct batch b = BATCH_INIT;
	CLEANUP_INODE struct inode in = INODE_INIT;
	int r;

	r = inode_load(st, ino, &in);
	if (!r)
		r = drop_name(st, &b, &in.row, STORE_DROP_DAMAGED, drops);
	return r ? r : store_commit(st, &b);
}

int name_drop_ino(struct store *st, uint64_t ino)
{
	CLEANUP_DROPS struct drops drops = DROPS_INIT;
	int r = drop_ino_locked(st, ino, &drops);

	if (!r)
		drops_tell(st, &drops);
	return r == -ENOENT ? 0 : r;
}
