/* SPDX-License-Identifier: Apache-2.0 */
#include "store/staged_keep.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/gen.h"
#include "store/staged_limits.h"

/* Counters of KEEP_STAGED; and one of KEEP_CONTENT, beside its own. */
enum { COUNT_MTIME, COUNT_WRITES };
enum { COUNT_PUBLISHED = 1 };

enum state_flags {
	STATE_BASE_REPLACED = 1 << 0,
	STATE_BASE_HELD = 1 << 1, /* its content has not been copied */
	STATE_COST_GIVEN = 1 << 2,
	STATE_SYNCED = 1 << 3,
	STATE_MAX_GIVEN = 1 << 4,
	STATE_INTENT = 1 << 5,
};

/* Followed by the name of the intent, and the row. */
struct state {
	uint64_t branch, base_ino;
	int64_t begun_ns, completed_ns, completed_mono_ns, inherited_ttl_ns;
	uint64_t writes, synced_writes, attr_changes;
	uint64_t max_entry_bytes, max_entry_dir;
	uint64_t intent_writes, intent_attr_changes, intent_branch;
	uint32_t intent_name_len, flags;
};

/* ---- keeping ---- */

static uint32_t flags_of(const struct store_staged *sg)
{
	return (sg->base_replaced ? STATE_BASE_REPLACED : 0) |
	       (sg->base ? STATE_BASE_HELD : 0) |
	       (sg->cost_given ? STATE_COST_GIVEN : 0) | (sg->synced ? STATE_SYNCED : 0) |
	       (sg->max_entry_given ? STATE_MAX_GIVEN : 0) |
	       (sg->intent.durable ? STATE_INTENT : 0);
}

/* Size, layout, hash and name are set when it is sealed; a valid row has some. */
static int encode_row(const struct store_staged *sg, struct buf *ret_raw)
{
	struct inode_row row = sg->row;

	row.core.size_bytes = 1;
	row.core.layout = LAYOUT_SMALL;
	row.parent_branch = sg->branch;
	row.name = slice("-", 1);
	row.has_hash = false;
	return inode_encode(&row, ret_raw);
}

int staged_keep(struct store_staged *sg)
{
	CLEANUP_BUF struct buf row = BUF_INIT;
	struct state state = {
	    .branch = sg->branch,
	    .base_ino = sg->base_ino,
	    .begun_ns = sg->begun_ns,
	    .completed_ns = sg->completed_ns,
	    .completed_mono_ns = sg->completed_mono_ns,
	    .inherited_ttl_ns = sg->inherited_ttl_ns,
	    .writes = sg->writes,
	    .synced_writes = sg->synced_writes,
	    .attr_changes = sg->attr_changes,
	    .max_entry_bytes = sg->max_entry_bytes,
	    .max_entry_dir = sg->max_entry_dir,
	    .intent_writes = sg->intent.writes,
	    .intent_attr_changes = sg->intent.attr_changes,
	    .intent_branch = sg->intent.branch,
	    .intent_name_len = (uint32_t)sg->intent.name.len,
	    .flags = flags_of(sg),
	};
	struct slice pieces[3] = {slice(&state, sizeof(state)),
				  buf_slice(&sg->intent.name)};

	if (!sg->kept)
		return 0;
	if (encode_row(sg, &row))
		return -ENOMEM;
	pieces[2] = buf_slice(&row);
	return keep_replace(sg->kept, pieces, 3);
}

int staged_keep_begin(struct store_staged *sg)
{
	int r = keep_new(sg->st->keep, KEEP_STAGED, sg->ino, &sg->kept);

	if (!r)
		r = content_keep(&sg->content, sg->st->keep);
	return r ? r : staged_keep(sg);
}

void staged_keep_write(struct store_staged *sg)
{
	if (!sg->kept)
		return;
	atomic_store(keep_counter(sg->kept, COUNT_MTIME),
		     (uint64_t)sg->row.core.mtime_ns);
	atomic_store(keep_counter(sg->kept, COUNT_WRITES), sg->writes);
}

void staged_keep_published(struct store_staged *sg)
{
	_Atomic uint64_t *published = keep_counter(sg->content.kept, COUNT_PUBLISHED);

	if (published)
		atomic_store(published, 1);
}

bool staged_kept_published(struct kept *content)
{
	return atomic_load(keep_counter(content, COUNT_PUBLISHED)) != 0;
}

/* ---- resuming ---- */

/* What a record says; the slices are in it. */
struct record {
	struct state state;
	struct slice intent_name, row;
};

/* -ENOENT: it had not begun. */
static int record_of(struct kept *kept, struct record *ret_rec)
{
	const uint8_t *at;
	struct slice raw;

	if (keep_record(kept, &raw))
		return -ENOENT;
	if (raw.len < sizeof(ret_rec->state))
		return -EUCLEAN;
	at = raw.data;
	memcpy(&ret_rec->state, at, sizeof(ret_rec->state));
	at += sizeof(ret_rec->state);
	raw.len -= sizeof(ret_rec->state);
	if (ret_rec->state.intent_name_len > raw.len)
		return -EUCLEAN;
	ret_rec->intent_name = slice(at, ret_rec->state.intent_name_len);
	ret_rec->row =
	    slice(at + ret_rec->intent_name.len, raw.len - ret_rec->intent_name.len);
	return 0;
}

int staged_kept_base(struct kept *staged, bool *ret_held, uint64_t *ret_base_ino)
{
	struct record rec;
	int r = record_of(staged, &rec);

	if (r)
		return r;
	*ret_held = rec.state.flags & STATE_BASE_HELD;
	*ret_base_ino = rec.state.base_ino;
	return 0;
}

static int resume_row(struct store_staged *sg, struct slice raw)
{
	struct inode_row row;

	if (inode_decode(raw, &row) || row.core.ino != sg->ino)
		return -EUCLEAN;
	if (buf_set(&sg->ttl_text, row.ttl_text.data, row.ttl_text.len) ||
	    buf_set(&sg->xattrs, row.xattrs.data, row.xattrs.len))
		return -ENOMEM;
	sg->row = row;
	sg->row.core.size_bytes = 0;
	sg->row.core.layout = LAYOUT_NONE;
	sg->row.name = slice(NULL, 0);
	sg->row.ttl_text = buf_slice(&sg->ttl_text);
	sg->row.xattrs = buf_slice(&sg->xattrs);
	return 0;
}

/* What was written after the record. */
static void resume_writes(struct store_staged *sg)
{
	uint64_t writes = atomic_load(keep_counter(sg->kept, COUNT_WRITES));

	if (writes <= sg->writes)
		return;
	sg->writes = writes;
	sg->row.core.mtime_ns = (int64_t)atomic_load(keep_counter(sg->kept, COUNT_MTIME));
	if (sg->row.core.ctime_ns < sg->row.core.mtime_ns)
		sg->row.core.ctime_ns = sg->row.core.mtime_ns;
}

static int resume_state(struct store_staged *sg, const struct record *rec)
{
	const struct state *s = &rec->state;
	int r = resume_row(sg, rec->row);

	if (r)
		return r;
	sg->branch = s->branch;
	sg->base_ino = s->base_ino;
	sg->begun_ns = s->begun_ns;
	sg->completed_ns = s->completed_ns;
	sg->completed_mono_ns = s->completed_mono_ns;
	sg->inherited_ttl_ns = s->inherited_ttl_ns;
	sg->writes = s->writes;
	sg->synced_writes = s->synced_writes;
	sg->attr_changes = s->attr_changes;
	sg->max_entry_bytes = s->max_entry_bytes;
	sg->max_entry_dir = s->max_entry_dir;
	sg->base_replaced = s->flags & STATE_BASE_REPLACED;
	sg->cost_given = s->flags & STATE_COST_GIVEN;
	sg->synced = s->flags & STATE_SYNCED;
	sg->max_entry_given = s->flags & STATE_MAX_GIVEN;
	resume_writes(sg);
	return 0;
}

/* The row is on the disk, if there is one; it may have been written or deleted since. */
static int resume_intent(struct store_staged *sg, const struct record *rec)
{
	CLEANUP_BUF struct buf raw = BUF_INIT;
	const struct state *s = &rec->state;
	struct key key = key_ino(sg->ino);
	struct inode_row row;
	int r;

	r = backend_get(sg->st->be, TABLE_INTENT, key_slice(&key), &raw);
	if (r == -ENOENT)
		return 0;
	if (!r && inode_decode(buf_slice(&raw), &row))
		r = store_damaged(sg->st, "the value to be published", sg->ino);
	if (r)
		return r;
	sg->intent.recorded = true;
	sg->intent.core = row.core;
	sg->intent.durable = s->flags & STATE_INTENT;
	sg->intent.writes = s->intent_writes;
	sg->intent.attr_changes = s->intent_attr_changes;
	sg->intent.branch = s->intent_branch;
	if (buf_set(&sg->intent.name, row.name.data, row.name.len))
		return -ENOMEM;
	return 0;
}

/* What was promised is kept below the quotas again; that it fits was found before. */
static void resume_promise(struct store_staged *sg)
{
	if (sg->intent.durable)
		(void)usage_promise(sg->st, sg->intent.branch,
				    (int64_t)core_charge(&sg->intent.core), 0,
				    &sg->promise);
}

/* Its bytes are those of a generation: its own, or that which it was begun over. */
static int resume_gen(struct store_staged *sg, uint64_t ino)
{
	int r = store_gen_reopen(sg->st, ino, &sg->base);

	return r == -ENOENT ? -EUCLEAN : r;
}

static int resume_content(struct store_staged *sg, struct kept *content,
			  const struct record *rec)
{
	struct content_limits limits = staged_content_limits(sg->st);
	bool published = staged_kept_published(content);
	int r;

	if (published || rec->state.flags & STATE_BASE_HELD) {
		content_init(&sg->content, &limits, sg->ino);
		sg->content.kept = content;
		sg->published = published;
		r = published ? 0 : content_clear(&sg->content);
		return r ? r : resume_gen(sg, published ? sg->ino : rec->state.base_ino);
	}
	return content_resume(&sg->content, &limits, content);
}

int staged_resume(struct store *st, struct kept *staged, struct kept *content,
		  struct store_staged **ret_staged)
{
	struct store_staged *sg = staged_new(st);
	struct record rec;
	int r;

	if (!sg) {
		keep_free(content);
		keep_free(staged);
		return -ENOMEM;
	}
	sg->kept = staged;
	sg->ino = keep_id(staged);
	r = record_of(staged, &rec);
	if (r)
		keep_free(content);
	else
		r = resume_content(sg, content, &rec);
	if (!r)
		r = resume_state(sg, &rec);
	if (!r && !sg->published)
		r = resume_intent(sg, &rec);
	if (r) {
		store_staged_free(sg);
		return r;
	}
	resume_promise(sg);
	*ret_staged = sg;
	return 0;
}
