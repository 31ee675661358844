/* SPDX-License-Identifier: Apache-2.0 */
/* What is set on a directory for all below it, beside ttl and version. */
#include "store/settings.h"

#include <errno.h>

#include "store/internal.h"
#include "store/lease.h"
#include "store/sealed.h"
#include "store/usage.h"
#include "store/util/size.h"
#include "store/util/text.h"
#include "store/xattrs.h"

static const char *const names[STORE_SETTING_COUNT] = {
    [STORE_SETTING_LEASE] = "lease",	     [STORE_SETTING_WAIT] = "wait",
    [STORE_SETTING_PUBLISH] = "publish",     [STORE_SETTING_QUOTA] = "quota",
    [STORE_SETTING_MAX_ENTRY] = "max-entry", [STORE_SETTING_PIN] = "pin",
};

static bool is_word(struct slice text, const char *word)
{
	return !slice_cmp(text, slice_str(word));
}

static int parse_publish(struct slice text, struct settings *settings)
{
	if (!is_word(text, "always") && !is_word(text, "on-success"))
		return -EINVAL;
	settings->publish = is_word(text, "always") ? PUBLISH_ALWAYS : PUBLISH_ON_SUCCESS;
	return 0;
}

static int parse_pin(struct slice text, struct settings *settings)
{
	if (!is_word(text, "yes") && !is_word(text, "no"))
		return -EINVAL;
	settings->pin = is_word(text, "yes") ? PIN_YES : PIN_NO;
	return 0;
}

static int parse_bytes(struct slice text, uint64_t *ret_bytes)
{
	uint64_t bytes;

	if (size_parse(text.data, text.len, &bytes) || !bytes)
		return -EINVAL;
	*ret_bytes = bytes;
	return 0;
}

static int parse_wait(struct slice text, struct settings *settings)
{
	return duration_parse(text.data, text.len, &settings->wait_ns) ? -EINVAL : 0;
}

static int parse_lease(struct slice text, struct settings *settings)
{
	int64_t ns = 0;

	if (duration_parse(text.data, text.len, &ns) || ns < 1 || ns > STORE_LEASE_MAX_NS)
		return -EINVAL;
	settings->lease_ns = ns;
	return 0;
}

/* Into the field of `settings` that is its own. -EINVAL: not a value. */
static int parse(enum store_setting which, struct slice text, struct settings *settings)
{
	switch (which) {
	case STORE_SETTING_LEASE:
		return parse_lease(text, settings);
	case STORE_SETTING_WAIT:
		return parse_wait(text, settings);
	case STORE_SETTING_PUBLISH:
		return parse_publish(text, settings);
	case STORE_SETTING_QUOTA:
		return parse_bytes(text, &settings->quota_bytes);
	case STORE_SETTING_MAX_ENTRY:
		return parse_bytes(text, &settings->max_entry_bytes);
	case STORE_SETTING_PIN:
		return parse_pin(text, settings);
	case STORE_SETTING_COUNT:
		break;
	}
	return -EINVAL;
}

static bool is_set(enum store_setting which, const struct settings *settings)
{
	switch (which) {
	case STORE_SETTING_LEASE:
		return settings->lease_ns != DURATION_UNSET;
	case STORE_SETTING_WAIT:
		return settings->wait_ns != DURATION_UNSET;
	case STORE_SETTING_PUBLISH:
		return settings->publish != PUBLISH_UNSET;
	case STORE_SETTING_QUOTA:
		return settings->quota_bytes;
	case STORE_SETTING_MAX_ENTRY:
		return settings->max_entry_bytes;
	case STORE_SETTING_PIN:
		return settings->pin != PIN_UNSET;
	case STORE_SETTING_COUNT:
		break;
	}
	return false;
}

void settings_inherit(struct settings *settings, struct slice packed)
{
	struct slice name, value;
	size_t pos = 0;

	while (xattrs_next(packed, &pos, &name, &value)) {
		for (int i = 0; i < STORE_SETTING_COUNT; i++) {
			enum store_setting which = (enum store_setting)i;

			/* What is no value was not written here: it is as if unset. */
			if (is_word(name, names[which]) && !is_set(which, settings))
				(void)parse(which, value, settings);
		}
	}
}

void settings_merge(struct settings *settings, const struct settings *above)
{
	if (settings->lease_ns == DURATION_UNSET)
		settings->lease_ns = above->lease_ns;
	if (settings->wait_ns == DURATION_UNSET)
		settings->wait_ns = above->wait_ns;
	if (settings->publish == PUBLISH_UNSET)
		settings->publish = above->publish;
	if (settings->pin == PIN_UNSET)
		settings->pin = above->pin;
	if (!settings->quota_bytes)
		settings->quota_bytes = above->quota_bytes;
	if (!settings->max_entry_bytes) {
		settings->max_entry_bytes = above->max_entry_bytes;
		settings->max_entry_dir = above->max_entry_dir;
	}
}

/* ---- for callers ---- */

/* The row of a directory that exists. -ENOENT, -ENOTDIR. */
static int dir_load(struct store *st, uint64_t dir_ino, struct inode *ret_dir)
{
	struct policy policy;
	int r;

	r = inode_load_placed(st, dir_ino, ret_dir, &policy);
	if (r)
		return r;
	return S_ISDIR(ret_dir->row.core.mode) ? 0 : -ENOTDIR;
}

/* `text` is a value, or empty: none. */
static int pack(struct slice settings, enum store_setting which, struct slice text,
		struct buf *ret_packed)
{
	int r;

	if (text.len)
		return xattrs_set(settings, names[which], text, 0, ret_packed);
	r = xattrs_remove(settings, names[which], ret_packed);
	return r == -ENODATA ? buf_set(ret_packed, settings.data, settings.len) : r;
}

static int set_locked(struct store *st, uint64_t dir_ino, enum store_setting which,
		      struct slice text)
{
	CLEANUP_INODE struct inode dir = INODE_INIT;
	CLEANUP_BUF struct buf packed = BUF_INIT;
	CLEANUP_BUF struct buf before = BUF_INIT;
	CLEANUP_BATCH struct batch b = BATCH_INIT;
	enum quota_change change = QUOTA_KEPT;
	bool had;
	int r;

	r = dir_load(st, dir_ino, &dir);
	if (!r)
		r = pack(dir.row.settings, which, text, &packed);
	if (r)
		return r;
	had = xattrs_get(dir.row.settings, names[which], &before) == 0;
	dir.row.settings = buf_slice(&packed);
	dir.row.core.ctime_ns = time_now_ns();
	batch_put_inode(&b, &dir.row);
	if (which == STORE_SETTING_QUOTA) {
		change = !text.len ? QUOTA_GONE : had ? QUOTA_KEPT : QUOTA_NEW;
		usage_batch_quota(st, &b, dir_ino, change);
	}
	r = store_commit(st, &b);
	if (r)
		return r;
	policy_changed(st);
	usage_quota_changed(st, dir_ino, change);
	return 0;
}

int store_setting_set(struct store *st, uint64_t dir_ino, enum store_setting which,
		      const char *text)
{
	struct settings parsed = SETTINGS_UNSET;
	size_t len = strlen(text);
	int r = 0;

	if (store_ino_in_tree(dir_ino))
		return -EPERM;
	text_trim(&text, &len);
	if (len > ROW_TTL_TEXT_MAX)
		return -EINVAL;
	if (len)
		r = parse(which, slice(text, len), &parsed);
	if (r)
		return r;
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&st->names);
	return set_locked(st, dir_ino, which, slice(text, len));
}

int store_setting_get(struct store *st, uint64_t dir_ino, enum store_setting which,
		      struct buf *ret_text)
{
	CLEANUP_INODE struct inode dir = INODE_INIT;
	int r;

	if (store_ino_in_tree(dir_ino))
		return sealed_check_dir(st, dir_ino) ?: -ENODATA;
	r = dir_load(st, dir_ino, &dir);
	return r ? r : xattrs_get(dir.row.settings, names[which], ret_text);
}

int store_settings(struct store *st, uint64_t branch, struct store_settings *ret_settings)
{
	struct settings settings;
	int r = 0;

	/* A tree has none of its own; those of the directory it is in apply. */
	if (store_ino_in_tree(branch)) {
		uint64_t dir_ino, root = store_tree_root(branch);

		r = sealed_parent(st, root, &dir_ino, &branch);
	}
	if (!r)
		r = policy_settings(st, branch, &settings);
	if (r)
		return r == -ENOTDIR ? -ENOENT : r;
	*ret_settings = (struct store_settings){
	    .lease_ns = settings.lease_ns == DURATION_UNSET ? SETTINGS_LEASE_DEFAULT_NS
							    : settings.lease_ns,
	    .wait_ns = settings.wait_ns,
	    .publish_always = settings.publish == PUBLISH_ALWAYS,
	    .pinned = settings.pin == PIN_YES,
	    .max_entry_bytes = settings.max_entry_bytes,
	    .max_entry_dir = settings.max_entry_dir,
	};
	return 0;
}
