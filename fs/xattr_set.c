/* SPDX-License-Identifier: Apache-2.0 */
/* What writing and removing the attributes user.cache.* does. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "fs/kcache.h"
#include "fs/pending.h"
#include "fs/reservation.h"
#include "fs/xattr.h"
#include "store/util/duration.h"
#include "store/util/log.h"
#include "store/util/text.h"

static int parse_ttl(const char *value, size_t size, int64_t *ret_ttl_ns)
{
	int r =
	    size < DURATION_TEXT_MAX ? duration_parse(value, size, ret_ttl_ns) : -EINVAL;

	if (r)
		log_warning(
		    "ttl \"%.*s\" is not a duration; use e.g. 90s, 1h30m, PT1H, none",
		    (int)(size < 64 ? size : 64), value);
	return r == -ERANGE ? -EINVAL : r;
}

/*
 * A name whose life has become shorter, or that is alive again: the kernel was
 * told otherwise. A longer life needs no word: it will ask in time.
 */
static void life_changed(struct subject *s, int64_t old_expires_ns)
{
	struct store_attr now;

	if (s->is_dir) {
		kcache_all_changed(s->fs->kcache);
		return;
	}
	if (store_getattr(s->fs->store, s->ino, &now) == 0 &&
	    (now.expires_ns < old_expires_ns || old_expires_ns <= time_now_ns()))
		kcache_all_changed(s->fs->kcache);
}

static int apply_ttl(struct subject *s, int64_t ttl_ns, const char *text)
{
	int r;

	if (s->pending)
		return store_staged_ttl_set(subject_staged(s), ttl_ns, text);
	r = store_ttl_set(s->fs->store, s->ino, ttl_ns, text);
	if (!r)
		life_changed(s, s->attr.expires_ns);
	return r;
}

int subject_set_ttl(struct subject *s, const char *value, size_t size)
{
	char text[DURATION_TEXT_MAX];
	int64_t ttl_ns;
	int r = parse_ttl(value, size, &ttl_ns);

	if (r)
		return r;
	memcpy(text, value, size);
	text[size] = '\0';
	return apply_ttl(s, ttl_ns, text);
}

int subject_remove_ttl(struct subject *s)
{
	CLEANUP_BUF struct buf text = BUF_INIT;
	int r = subject_get_ttl(s, &text);

	return r ? r : apply_ttl(s, DURATION_UNSET, "");
}

static int switch_version(struct subject *s, const char *version)
{
	int r;

	if (dirref_version(&s->dir))
		return -EPERM; /* a view of one version has that version */
	r = store_version_set(s->fs->store, s->ino, version);
	if (r)
		return r;
	kcache_all_changed(s->fs->kcache);
	/* its times */
	kcache_wait(s->fs->kcache, kcache_dir_changed(s->fs->kcache, s->ino, 0));
	return 0;
}

int subject_set_version(struct subject *s, const char *value, size_t size)
{
	char version[STORE_VERSION_MAX + 1];

	if (!store_version_valid(value, size)) {
		log_warning("\"%.*s\" is not a version: up to 255 bytes without a slash "
			    "or control characters",
			    (int)(size < 64 ? size : 64), value);
		return -EINVAL;
	}
	if (!s->is_dir) /* copied in from elsewhere */
		return 0;
	memcpy(version, value, size);
	version[size] = '\0';
	return switch_version(s, version);
}

int subject_remove_version(struct subject *s)
{
	CLEANUP_BUF struct buf version = BUF_INIT;
	int r = subject_get_version(s, &version);

	if (r || !s->is_dir)
		return r;
	return switch_version(s, "");
}

int subject_set_cost(struct subject *s, const char *value, size_t size)
{
	char text[32], *end;
	double cost_s;

	if (s->is_dir)
		return -EPERM;
	if (!size || size >= sizeof(text))
		return -EINVAL;
	memcpy(text, value, size);
	text[size] = '\0';
	cost_s = strtod(text, &end);
	if (*end || !(cost_s >= 0 && cost_s < 1e12)) {
		log_warning("cost \"%s\" is not a number of seconds", text);
		return -EINVAL;
	}
	if (s->pending)
		return store_staged_cost_set(subject_staged(s), cost_s);
	return store_cost_set(s->fs->store, s->ino, cost_s);
}

int subject_remove_cost(struct subject *s)
{
	if (s->is_dir)
		return -ENODATA;
	if (s->pending)
		return store_staged_cost_set(subject_staged(s), -1);
	return store_cost_set(s->fs->store, s->ino, -1);
}

/* ---- reservations ---- */

/* A directory is reserved by its name, above it: the attribute is for copies. */
static int refuse_directory(const char *value, size_t size)
{
	struct reservation_command cmd;

	if (reservation_parse(value, size, &cmd, NULL) == 0 &&
	    cmd.verb == RESERVATION_NOTHING)
		return 0;
	log_warning("a directory has no reservation of its own: write to "
		    ".memofs/reservations/NAME in the directory above it");
	return -EPERM;
}

static int change_reservation(struct subject *s, const char *value, size_t size,
			      bool extend_only)
{
	struct reservation_caller by = {s->tid, s->uid, .by_name = s->is_key};
	char name[STORE_NAME_MAX + 1];
	uint64_t branch;
	int r;

	if (s->is_key)
		return reservation_node_set(s->fs, &s->node, &by, value, size,
					    extend_only);
	if (s->is_dir)
		return refuse_directory(value, size);
	r = subject_key(s, &branch, name);
	if (r)
		return r;
	return reservation_set(s->fs, branch, name, &by, value, size, extend_only);
}

int subject_set_reservation(struct subject *s, const char *value, size_t size)
{
	return change_reservation(s, value, size, false);
}

int subject_set_reservation_extend(struct subject *s, const char *value, size_t size)
{
	return change_reservation(s, value, size, true);
}

/* Only who has it ends it; but a copy may find one here that its source has not. */
int subject_remove_reservation(struct subject *s)
{
	if (!s->is_key)
		return s->is_dir ? -ENODATA : 0;
	log_warning("a reservation is not removed but released: write \"ID 0\" to it");
	return -EPERM;
}

/* ---- settings of directories ---- */

int subject_set_setting(struct subject *s, enum store_setting which, const char *value,
			size_t size)
{
	static const char *const want[] = {
	    [STORE_SETTING_LEASE] =
		"lease \"%.*s\" is not how long a reservation can last; "
		"use e.g. 60s, 5m, 1h",
	    [STORE_SETTING_WAIT] =
		"wait \"%.*s\" is not a duration; use e.g. 30s, 10m, none",
	    [STORE_SETTING_PUBLISH] = "publish \"%.*s\" is neither on-success nor always",
	    [STORE_SETTING_QUOTA] =
		"quota \"%.*s\" is not a size; use e.g. 500MiB, 20GiB",
	    [STORE_SETTING_MAX_ENTRY] =
		"max-entry \"%.*s\" is not a size; use e.g. 500MiB, 2GiB",
	    [STORE_SETTING_PIN] = "pin \"%.*s\" is neither yes nor no",
	};
	char text[DURATION_TEXT_MAX];
	int r = -EINVAL;

	if (!s->is_dir) /* copied in from elsewhere */
		return 0;
	text_trim(&value, &size);
	if (size && size < sizeof(text) && !memchr(value, '\0', size)) {
		memcpy(text, value, size);
		text[size] = '\0';
		r = store_setting_set(s->fs->store, s->ino, which, text);
	}
	if (r == -EINVAL)
		log_warning(want[which], (int)(size < 64 ? size : 64), value);
	return r;
}

int subject_remove_setting(struct subject *s, enum store_setting which)
{
	CLEANUP_BUF struct buf own = BUF_INIT;
	int r = subject_get_setting(s, which, &own);

	return r ? r : store_setting_set(s->fs->store, s->ino, which, "");
}

/* ---- pins ---- */

static int pin(struct subject *s, bool pinned)
{
	return s->pending ? store_staged_pin_set(subject_staged(s), pinned)
			  : store_pin_set(s->fs->store, s->ino, pinned);
}

int subject_set_pin(struct subject *s, const char *value, size_t size)
{
	bool pinned = size == 3 && !memcmp(value, "yes", 3);

	if (s->is_dir)
		return subject_set_setting(s, STORE_SETTING_PIN, value, size);
	if (!pinned && (size != 2 || memcmp(value, "no", 2))) {
		log_warning("pin \"%.*s\" is neither yes nor no",
			    (int)(size < 64 ? size : 64), value);
		return -EINVAL;
	}
	return pin(s, pinned);
}

int subject_remove_pin(struct subject *s)
{
	CLEANUP_BUF struct buf own = BUF_INIT;
	int r = subject_get_pin(s, &own);

	if (!r && s->is_dir)
		return subject_remove_setting(s, STORE_SETTING_PIN);
	return r ? r : pin(s, false);
}
