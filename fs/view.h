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
 * All but the version hold for everything below. A view inside a view narrows
 * it: the smaller age, the later time, and ro stays.
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
};

/* A zeroed one is no view: the ordinary rules. */
struct view {
	unsigned int set; /* enum view_option; what is not set is zero */
	int64_t max_age_ns;
	int64_t since_ns; /* wall clock */
	int64_t wait_ns;  /* DURATION_UNSET: as long as the directory says */
	char version[STORE_VERSION_MAX + 1];
	char owner[STORE_OWNER_MAX + 1];
};

/* -EINVAL with a message that names the option. */
int view_parse(const char *text, struct view *ret_view, struct errmsg *err);

bool view_equal(const struct view *a, const struct view *b);
uint64_t view_hash(const struct view *v);

#endif
