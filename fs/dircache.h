/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which listings the kernel has.
 *
 * A listing whose open says so (FOPEN_CACHE_DIR) is copied into the kernel while it is
 * read, and whoever opens the directory with FOPEN_KEEP_CACHE reads that and asks
 * nothing more. Without FOPEN_KEEP_CACHE the kernel drops its copy. When it is dropped is
 * decided here, at each open: the copy is good as long as no name of the directory was
 * changed since (struct store_dir_stamp), and none of them has expired.
 *
 * The kernel has one copy for each directory, and any listing that may be copied adds to
 * it, from the place that it has got to. Places are those of one snapshot. So at any time
 * one listing only may fill the copy, from its open on, alone, and once: another one that
 * asks for names spoils it. A copy that was not filled to the end cannot be emptied, only
 * be gone on with by a listing of the same names.
 *
 * Directories of a few names are not worth it. Which are is remembered, once somebody has
 * looked, at the latest who lists it. Nor are those where attributes are asked for name
 * by name: READDIRPLUS brings them. That is seen by the LOOKUPs while a listing is read
 * from the kernel's copy.
 */
#ifndef MEMOFS_FS_DIRCACHE_H
#define MEMOFS_FS_DIRCACHE_H

#include <stdbool.h>
#include <stdint.h>

#include "store/store.h"

struct dircache;

/* So many names are worth it: more than one answer brings. */
enum { DIRCACHE_NAMES_MIN = 1000 };

/* Is a directory worth it? */
enum dircache_worth {
	DIRCACHE_UNKNOWN, /* its names are to be counted */
	DIRCACHE_NO,
	DIRCACHE_YES, /* its names are to be opened before dircache_open() */
};

/* How a directory may be opened. */
enum dircache_use {
	DIRCACHE_NONE, /* not copied, and the copy is not read */
	DIRCACHE_FILL, /* the copy is dropped, and made anew */
	DIRCACHE_KEEP, /* the copy is read, or gone on with */
};

int dircache_new(struct dircache **ret_c); /* -ENOMEM */
void dircache_free(struct dircache *c);	   /* NULL is fine */

/*
 * Of an attached mount, whose kernel keeps no listings, there is none: then nothing is
 * learned, worth it or dropped, and the rest is not called.
 */

enum dircache_worth dircache_worth(struct dircache *c, uint64_t nodeid);
/* Somebody has looked: it has DIRCACHE_NAMES_MIN names, or fewer. */
void dircache_learn(struct dircache *c, uint64_t nodeid, bool many);
/*
 * A listing of these names is opened; `by` stands for it, until dircache_close(), which
 * is needed unless it returns DIRCACHE_NONE.
 */
enum dircache_use dircache_open(struct dircache *c, uint64_t nodeid, const void *by,
				const struct store_dir_stamp *names);
/* One that may be copied, which a daemon before this one has opened. */
void dircache_resume(struct dircache *c, uint64_t nodeid);
/*
 * The kernel asks for names from `off` on (0: the first), by a listing that may be
 * copied. `first`: not before by this one, so that they are those of its open.
 */
void dircache_read(struct dircache *c, uint64_t nodeid, const void *by, uint64_t off,
		   bool first);
/*
 * It was given names, up to `next_off`, the first of which to expire does so at
 * `until_ns` (DURATION_NONE: none does); `plus`: with their attributes.
 */
void dircache_gave(struct dircache *c, uint64_t nodeid, const void *by, uint64_t next_off,
		   int64_t until_ns, bool plus);
/* It was told that there are no more. */
void dircache_end(struct dircache *c, uint64_t nodeid, const void *by);
void dircache_close(struct dircache *c, uint64_t nodeid, const void *by);

/* A name in it was looked up. True: the copy, which is just being read, is to be dropped
 * (kcache_listing_changed()). */
bool dircache_looked_up(struct dircache *c, uint64_t nodeid);

#endif
