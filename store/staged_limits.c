/* SPDX-License-Identifier: Apache-2.0 */
#include "store/staged_limits.h"

#include <errno.h>
#include <string.h>

#include "store/settings.h"
#include "store/sums.h"
#include "store/util/log.h"
#include "store/util/size.h"
#include "store/value.h"

void staged_limits_init(struct store_staged *sg)
{
	struct usage *u = &sg->st->usage;
	struct settings settings;

	sg->max_entry_bytes = atomic_load(&u->max_entry_bytes);
	sg->max_entry_given = atomic_load(&u->max_entry_given);
	if (policy_settings(sg->st, sg->branch, &settings) || !settings.max_entry_bytes)
		return;
	if (sg->max_entry_given && settings.max_entry_bytes > sg->max_entry_bytes)
		return;
	sg->max_entry_bytes = settings.max_entry_bytes;
	sg->max_entry_given = true;
	sg->max_entry_dir = settings.max_entry_dir;
}

/* What it will take then: holes take nothing, and what is overwritten nothing more. */
static uint64_t taken_bytes(const struct store_staged *sg, uint64_t size_bytes,
			    uint64_t more_bytes)
{
	const struct content *c = &sg->content;
	uint64_t taken = content_in_memory(c) ? c->size_bytes : c->counted_bytes;

	/* What stays small has no holes. */
	if (content_in_memory(c) && size_bytes <= c->limits.small_max_bytes)
		return size_bytes;
	taken += more_bytes;
	return taken < size_bytes ? taken : size_bytes;
}

static void tell_too_large(struct store_staged *sg)
{
	CLEANUP_BUF struct buf where = BUF_INIT, limited = BUF_INIT;
	char limit[SIZE_TEXT_MAX];
	struct policy policy;

	if (sg->told_too_large)
		return;
	sg->told_too_large = true;
	size_format(sg->max_entry_bytes, limit);
	if (!policy_get(sg->st, sg->branch, &policy))
		value_path(sg->st, policy.dir_ino, &where);
	if (!where.len)
		(void)buf_append(&where, "/", 1);
	if (sg->max_entry_dir)
		value_path(sg->st, sg->max_entry_dir, &limited);
	if (sg->max_entry_dir && !limited.len)
		(void)buf_append(&limited, "/", 1);
	log_warning(
	    "%s: an entry being written in \"%.*s\" is refused: it would be larger "
	    "than max-entry, %s, as set %s%.*s%s; make that larger, or the entry "
	    "smaller",
	    sg->st->path, (int)where.len, (const char *)where.data, limit,
	    sg->max_entry_dir ? "on the directory \"" : "for the store", (int)limited.len,
	    (const char *)limited.data, sg->max_entry_dir ? "\"" : "");
}

int staged_may_grow(struct store_staged *sg, uint64_t size_bytes, uint64_t more_bytes)
{
	uint64_t taken = taken_bytes(sg, size_bytes, more_bytes);

	/* What is only half of the store's size is no limit of what reads as zeros. */
	if ((sg->max_entry_given ? size_bytes : taken) > sg->max_entry_bytes) {
		tell_too_large(sg);
		return -EFBIG;
	}
	return usage_ask_quota(sg->st, sg->branch, (int64_t)(taken + USAGE_ROWS_BYTES));
}

/* Of what has the name now. */
static int64_t replaced_charge(struct store *st, uint64_t branch, struct slice name)
{
	struct row_core core;

	return dirent_load(st, branch, name, &core) ? 0 : (int64_t)core_charge(&core);
}

struct quota_need {
	uint64_t branch;
	int64_t charge, replaced;
	struct usage_promise *promise;
};

static int promise(struct store *st, void *arg)
{
	const struct quota_need *need = arg;

	return usage_promise(st, need->branch, need->charge, need->replaced,
			     need->promise);
}

int staged_take_place(struct store_staged *sg, uint64_t branch, struct slice name,
		      uint64_t sums_bytes)
{
	const struct content *c = &sg->content;
	uint64_t rows = c->mem.len + sums_bytes + ROOM_ROWS_BYTES;
	struct quota_need need = {
	    .branch = branch,
	    .charge = (int64_t)(content_in_memory(c) ? c->size_bytes : c->counted_bytes) +
		      USAGE_ROWS_BYTES,
	    .replaced = replaced_charge(sg->st, branch, name),
	    .promise = &sg->promise,
	};
	int r;

	if (rows > sg->hold.bytes)
		r = room_take(sg->st, rows - sg->hold.bytes, ROOM_WAIT, &sg->hold);
	else
		r = room_on_disk(sg->st, rows);
	return r ? r : room_wait_until(sg->st, promise, &need);
}
