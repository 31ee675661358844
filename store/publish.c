/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values being written: how they become current.
 *
 * All that takes long comes before `names` is taken: checksums, the extent's
 * final name, the encoding of the content into the batch. Under it the previous
 * generation is found and one batch is committed, which is the only commit
 * point; nothing syncs there.
 *
 * Power loss. The batch is in the database's log, which is synced later. A small
 * value is inside it. An extent is not: an UNSYNCED row in the same batch says
 * that it must be checked if it comes to the worst, until gc has synced it.
 * A value that was fsynced gets more, because what fsync returned for must not
 * be lost: when it is closed, an INTENT row with all that the publish would
 * write is put on disk, synced. Recovery publishes it. The publish deletes the
 * row in its batch; a write after the close deletes it, synced, before it is
 * acknowledged, since the value is then no longer what the intent says.
 */
#include <assert.h>
#include <errno.h>
#include <string.h>

#include "store/dedup.h"
#include "store/gc.h"
#include "store/gen.h"
#include "store/seal.h"
#include "store/sealed.h"
#include "store/staged.h"
#include "store/staged_keep.h"
#include "store/staged_limits.h"
#include "store/sums.h"
#include "store/value.h"

/* ---- the row and what goes with it ---- */

static int seal(struct store_staged *sg, struct buf *ret_sums)
{
	struct row_core *core = &sg->row.core;
	int r;

	r = content_seal(&sg->content, &sg->row.has_hash, sg->row.hash, ret_sums);
	if (r)
		return r;
	core->size_bytes = sg->content.size_bytes;
	core->disk_bytes = content_disk_bytes(&sg->content);
	if (!content_in_memory(&sg->content))
		core->layout = LAYOUT_EXTENT;
	else
		core->layout = core->size_bytes ? LAYOUT_SMALL : LAYOUT_NONE;
	return 0;
}

static void set_place(struct store_staged *sg, uint64_t branch, struct slice name)
{
	bool completed = sg->completed_ns;
	int64_t end_ns = completed ? sg->completed_mono_ns : time_monotonic_ns();

	sg->row.parent_branch = branch;
	sg->row.name = name;
	if (sg->row.core.sealed)
		sg->row.core.mode = tree_mode(sg->row.core.mode, sg->root_mode);
	sg->row.core.created_ns = completed ? sg->completed_ns : time_now_ns();
	if (!sg->cost_given)
		sg->row.cost_s = (double)(end_ns - sg->begun_ns) / (double)NSEC_PER_SEC;
}

static void put_content(struct store_staged *sg, struct batch *b, const struct buf *sums)
{
	batch_put_value(b, &sg->row.core, buf_slice(&sg->content.mem), buf_slice(sums));
}

static void put_unsynced(struct store_staged *sg, struct batch *b)
{
	CLEANUP_BUF struct buf raw = BUF_INIT;
	struct key key = key_ino(sg->ino);
	struct unsynced_row row = {.size_bytes = sg->row.core.size_bytes,
				   .published_ns = sg->row.core.created_ns};

	if (unsynced_encode(&row, &raw))
		b->failed = true;
	else
		batch_put(b, TABLE_UNSYNCED, key_slice(&key), buf_slice(&raw));
}

/* ---- intents ---- */

static bool intent_is_current(const struct store_staged *sg, uint64_t branch,
			      struct slice name)
{
	const struct intent *in = &sg->intent;

	return in->durable && in->writes == sg->writes &&
	       in->attr_changes == sg->attr_changes && in->branch == branch &&
	       in->name.len == name.len && !memcmp(in->name.data, name.data, name.len);
}

static int put_intent(struct store_staged *sg, struct batch *b)
{
	CLEANUP_BUF struct buf raw = BUF_INIT;
	struct key key = key_ino(sg->ino);
	int r = inode_encode(&sg->row, &raw);

	if (!r)
		batch_put(b, TABLE_INTENT, key_slice(&key), buf_slice(&raw));
	return r;
}

static int commit_synced(struct store *st, const struct batch *b)
{
	int r = backend_commit(st->be, b);

	return r ? r : backend_sync(st->be);
}

static int record_intent(struct store_staged *sg, uint64_t branch, struct slice name)
{
	CLEANUP_BATCH struct batch b = BATCH_INIT;
	CLEANUP_BUF struct buf sums = BUF_INIT;
	struct intent *in = &sg->intent;
	int r;

	r = staged_require_check(sg);
	if (!r)
		r = seal(sg, &sums);
	if (!r)
		r = staged_take_place(sg, branch, name, sums.len);
	if (r)
		return r;
	if (buf_set(&in->name, name.data, name.len))
		return -ENOMEM;
	set_place(sg, branch, buf_slice(&in->name));
	r = put_intent(sg, &b);
	if (!r && sg->row.core.layout == LAYOUT_EXTENT)
		r = backend_extent_sync_name(sg->st->be, sg->ino);
	if (r)
		return r;
	put_content(sg, &b, &sums);
	in->core = sg->row.core; /* from here on there may be rows to delete */
	in->recorded = true;
	in->durable = false;
	r = commit_synced(sg->st, &b);
	if (r)
		return r;
	in->durable = true;
	in->branch = branch;
	in->writes = sg->writes;
	in->attr_changes = sg->attr_changes;
	return staged_keep(sg);
}

int staged_withdraw(struct store_staged *sg, bool sync)
{
	CLEANUP_BATCH struct batch b = BATCH_INIT;
	const struct row_core *core = &sg->intent.core;
	struct key key = key_ino(sg->ino);
	int r;

	batch_del(&b, TABLE_INTENT, key_slice(&key));
	batch_del_value(&b, sg->ino, core->layout, core->size_bytes);
	r = sync ? commit_synced(sg->st, &b) : backend_commit(sg->st->be, &b);
	if (r)
		return r;
	sg->intent.recorded = sg->intent.durable = false;
	usage_unpromise(sg->st, &sg->promise);
	return 0;
}

/* What the rows of its checksums will take, about: holes take little. */
static uint64_t sums_bytes(const struct content *c)
{
	return sizeof(uint64_t) *
	       (c->counted_bytes / SUMS_BLOCK_BYTES + 4 * sums_chunks(c->size_bytes));
}

int store_staged_flush(struct store_staged *sg, uint64_t branch, const char *name)
{
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&sg->lock);
	int r;

	r = sg->content.error;
	if (r || sg->published || !staged_content_changed(sg))
		return r;
	/* It is promised: that there is no room any more is of no concern. */
	if (sg->synced && sg->synced_writes == sg->writes &&
	    intent_is_current(sg, branch, slice_str(name)))
		return 0;
	/* What it is refused for is told to who can still be told. */
	r = name_may_replace(sg->st, &sg->row, branch, slice_str(name));
	if (!r)
		r = staged_take_place(sg, branch, slice_str(name),
				      sums_bytes(&sg->content));
	if (r) {
		staged_fail(sg, r);
		return r;
	}
	if (!sg->synced || sg->synced_writes != sg->writes)
		return 0;
	staged_await_sums(sg);
	return record_intent(sg, branch, slice_str(name));
}

/* ---- publishing ---- */

/* The inode that has the name now, or 0. */
static int ino_at(struct store *st, uint64_t branch, struct slice name, uint64_t *ret_ino)
{
	struct row_core core;
	int r = dirent_load(st, branch, name, &core);

	if (r && r != -ENOENT)
		return r;
	*ret_ino = r ? 0 : core_shown_ino(&core);
	return 0;
}

/* Give the staged attributes to the base, unless it lost its place. */
static int publish_attrs_locked(struct store_staged *sg, uint64_t branch,
				struct slice name)
{
	CLEANUP_BATCH struct batch b = BATCH_INIT;
	CLEANUP_INODE struct inode in = INODE_INIT;
	const struct row_core *from = &sg->row.core;
	struct row_core *to = &in.row.core;
	int r;

	r = inode_load(sg->st, sg->base_ino, &in);
	if (r)
		return r == -ENOENT ? 0 : r;
	if (in.row.parent_branch != branch || slice_cmp(in.row.name, name))
		return 0;
	to->mode = to->sealed ? tree_mode(from->mode, 0777) : from->mode;
	to->uid = from->uid;
	to->gid = from->gid;
	to->atime_ns = from->atime_ns;
	to->mtime_ns = from->mtime_ns;
	to->ctime_ns = from->ctime_ns;
	to->ttl_ns = from->ttl_ns;
	in.row.ttl_text = sg->row.ttl_text;
	in.row.xattrs = sg->row.xattrs;
	if (sg->cost_given)
		in.row.cost_s = sg->row.cost_s;
	batch_put_inode(&b, &in.row);
	r = backend_commit(sg->st->be, &b);
	if (r)
		return r;
	sg->st->names_added++; /* a longer ttl may have brought it back */
	gen_attr_changed(sg->st, to);
	return 0;
}

static int publish_attrs(struct store_staged *sg, uint64_t branch, struct slice name)
{
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&sg->st->names);

	return publish_attrs_locked(sg, branch, name);
}

static int commit_row(struct store_staged *sg, struct batch *b, bool noreplace,
		      uint64_t *ret_replaced_ino)
{
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&sg->st->names);
	unsigned int flags =
	    (noreplace ? NAME_NOREPLACE : 0) | (sg->intent.durable ? NAME_PROMISED : 0);
	int r = 0;

	if (sg->source)
		r = seal_drop_source(sg->st, b, sg->source, sg->row.parent_branch);
	if (!r)
		r = name_publish(sg->st, b, &sg->row, flags, &sg->promise,
				 sg->completed_ns, ret_replaced_ino);
	if (!r) {
		staged_keep_published(sg);
		usage_unpromise(sg->st, &sg->promise); /* it is counted now */
	}
	if (!r && sg->source)
		seal_source_dropped(sg->st, sg->source);
	return r;
}

static int publish_content(struct store_staged *sg, uint64_t branch, struct slice name,
			   bool noreplace, uint64_t *ret_replaced_ino)
{
	CLEANUP_BATCH struct batch b = BATCH_INIT;
	CLEANUP_BUF struct buf sums = BUF_INIT;
	struct key key = key_ino(sg->ino);
	bool unsynced;
	int r;

	r = staged_require_check(sg);
	if (!r)
		r = seal(sg, &sums);
	/* What fsync and close have promised is not refused any more. */
	if (!r && !sg->intent.durable)
		r = staged_take_place(sg, branch, name, sums.len);
	if (r)
		return r;
	/* An intent stands for a synced extent with a synced name. */
	unsynced = sg->row.core.layout == LAYOUT_EXTENT &&
		   !(sg->intent.durable && sg->intent.writes == sg->writes);
	set_place(sg, branch, name);
	put_content(sg, &b, &sums);
	if (unsynced)
		put_unsynced(sg, &b);
	if (sg->row.core.sealed && sg->row.core.layout == LAYOUT_EXTENT)
		dedup_batch_publish(&b, sg->ino);
	if (sg->intent.recorded)
		batch_del(&b, TABLE_INTENT, key_slice(&key));
	r = commit_row(sg, &b, noreplace, ret_replaced_ino);
	sg->row.name = slice(NULL, 0); /* the caller's */
	if (r)
		return r;
	sg->published = true;
	if (sg->row.core.layout == LAYOUT_EXTENT && !sg->row.core.sealed)
		gen_verified_published(sg->st, sg->ino, sg->content.fd);
	content_uncount(&sg->content);
	room_release(&sg->hold);
	sg->intent.recorded = sg->intent.durable = false;
	if (unsynced)
		gc_unsynced(sg->st, sg->ino, sg->row.core.disk_bytes);
	return 0;
}

void store_staged_complete(struct store_staged *sg, int64_t *ret_dir_ns)
{
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&sg->lock);

	sg->completed_ns = time_now_ns();
	sg->completed_mono_ns = time_monotonic_ns();
	/* Not kept: then it counts from the publish, as of old. */
	(void)staged_keep(sg);
	*ret_dir_ns = staged_content_changed(sg) ? dir_time_ns(sg->completed_ns) : 0;
}

int store_publish(struct store_staged *sg, uint64_t branch, const char *name,
		  bool noreplace, uint64_t *ret_ino, uint64_t *ret_replaced_ino)
{
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&sg->lock);
	struct slice key = slice_str(name);
	uint64_t ino = sg->ino, replaced_ino = 0;
	int r = name_check(name);

	staged_await_sums(sg);
	assert(!sg->published);
	if (!r && store_ino_in_tree(branch))
		r = -EPERM;
	if (!r)
		r = sg->content.error;
	if (!r && staged_content_changed(sg)) {
		r = publish_content(sg, branch, key, noreplace, &replaced_ino);
		ino = core_shown_ino(&sg->row.core);
	} else if (!r) {
		if (sg->attr_changes)
			r = publish_attrs(sg, branch, key);
		if (!r)
			r = ino_at(sg->st, branch, key, &ino);
	}
	if (r)
		return r;
	if (replaced_ino)
		gc_reap(sg->st, row_ino(replaced_ino));
	if (ret_ino)
		*ret_ino = ino;
	if (ret_replaced_ino)
		*ret_replaced_ino = replaced_ino;
	return 0;
}
