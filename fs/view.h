/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Views: other rules under which a directory is read and written.
 *
 * The name below DIR/.memofs/view/ is a list of options, in any order:
 *   version=V   DIR at that version; only DIR itself, not what is below it
 *   max-age=D   an entry is a hit only so long after its publish
 *   since=TIME  … only when it was published at TIME or later
 *   wait[=D]    an open of what is missing and reserved waits (fs/waiters.h)
 *   owner=ID    a value is published only while ID holds its lease
 *   stale       what is no longer a hit is one as long as it is being computed anew
 *   ro          nothing can be changed
 *   pack        a sealed tree is a file that holds its pack ("store/util/pack.h"),
 *               and what is written is a pack that becomes a sealed tree
 * All but the version hold for everything below. In a value, %XX is the byte with
 * that number: %2C for a comma, %2F for a slash, %25 for the percent sign.
 *
 * A view inside a view narrows it; what that means is at view_combine().
 */
#ifndef MEMOFS_FS_VIEW_H
#define MEMOFS_FS_VIEW_H

#include <stdbool.h>
#include <stdint.h>

#include "store/lease.h"
#include "store/store.h"

enum view_option {
	VIEW_VERSION = 1 << 0,
	VIEW_MAX_AGE = 1 << 1,
	VIEW_SINCE = 1 << 2,
	VIEW_WAIT = 1 << 3,
	VIEW_OWNER = 1 << 4,
	VIEW_STALE = 1 << 5,
	VIEW_RO = 1 << 6,
	VIEW_PACK = 1 << 7,
};

/* A zeroed one is no view: the ordinary rules. */
struct view {
	unsigned int set;   /* enum view_option; what is not set is zero */
	int64_t max_age_ns; /* not DURATION_NONE, which restricts nothing: not set */
	int64_t since_ns;   /* wall clock */
	int64_t wait_ns;    /* DURATION_UNSET: as long as the directory says */
	char version[STORE_VERSION_MAX + 1];
	char owner[STORE_OWNER_MAX + 1];
};

/* -EINVAL with a message that names the option, its value and the remedy. */
int view_parse(const char *text, struct view *ret_view, struct errmsg *err);

/*
 * The view `add` inside the view `base`. Who was given `base` cannot get more of
 * the same entries by it: the smaller age and the later time count, and `ro` and
 * `pack` stay. `stale` stays unless `add` has an age or a time of its own and does
 * not say it again; and it is not added where `base` has an age or a time. The
 * version, which is no permission, the owner and the waiting are those of `add`
 * where it has them.
 */
struct view view_combine(const struct view *base, const struct view *add);
/* What of it holds for the directories in it: all but the version. */
struct view view_below(const struct view *v);

/*
 * Must a file found under it have a node of its own? Not for a version, of which
 * it is a part anyway, nor for waiting, which is over when there is a file. For an
 * owner, because truncate(2) by path publishes, and as a pack for the same reason.
 */
bool view_restricts(const struct view *v);
/* What of it such a node needs to know; zeroed when none is needed. */
struct view view_of_entry(const struct view *v);
/*
 * Is this entry a hit, by its own expiry and by the view, `stale` apart? Directories
 * always are, unless sealed: a tree is judged as a file is, and what is in it as the
 * tree. *ret_until_ns (may be NULL): when it stops being one, DURATION_NONE never; not
 * after `now_ns` when it is none.
 */
bool view_admits(const struct view *v, const struct store_attr *attr, int64_t now_ns,
		 int64_t *ret_until_ns);

/* For store_branch(); NULL: the current one. */
static inline const char *view_version(const struct view *v)
{
	return v->set & VIEW_VERSION ? v->version : NULL;
}
/* Is it the lease of the view's owner? */
static inline bool view_owns(const struct view *v, const struct store_lease *lease)
{
	return (v->set & VIEW_OWNER) && store_lease_is_of(lease, v->owner);
}

bool view_equal(const struct view *a, const struct view *b);
uint64_t view_hash(const struct view *v);

#endif
