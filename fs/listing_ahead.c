/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Reading the names and taking them cost about as much, and are done by two processes.
 * So who has answered reads on, as long as the names are read one after the other. What
 * was read is used at once or not at all: its names must still be those to be shown.
 *
 * With attributes it is not done: the kernel would have to be told of nodes that it may
 * never ask for.
 */
#include "fs/listing.h"

#include <stdlib.h>

enum { AHEAD_BYTES_MAX = 64 * 1024, AHEADS_MAX = 64 };

void listing_drop_ahead(struct listing *d)
{
	if (!d->has_ahead)
		return;
	d->has_ahead = false;
	dir_page_deinit(&d->ahead);
	d->ahead = (struct dir_page){0};
	atomic_fetch_sub(&d->fs->aheads, 1);
}

bool listing_take_ahead(struct listing *d, struct dir_page *pg, uint64_t off)
{
	struct dir_page *ahead = &d->ahead;
	bool good = d->has_ahead && !pg->plus && !pg->used && ahead->off == off &&
		    ahead->size == pg->size &&
		    ahead->rules == store_dir_rules(d->stream) &&
		    (ahead->until_ns == DURATION_NONE || ahead->until_ns > time_now_ns());

	if (good) {
		struct dir_page empty = *pg;

		*pg = *ahead;
		*ahead = empty;
	}
	listing_drop_ahead(d);
	return good;
}

/* Likely to be asked for, and needs nothing but the stream. */
bool listing_may_read_ahead(const struct listing *d, const struct dir_page *pg)
{
	return d->held && !pg->plus && pg->size <= AHEAD_BYTES_MAX && !d->has_ahead &&
	       !d->renumbered && !d->count && !view_restricts(&d->dir.view) &&
	       !store_ino_in_tree(d->dir.ino);
}

void listing_read_ahead(struct listing *d, size_t size)
{
	struct dir_page pg = {.data = malloc(size), .size = size};
	struct fs *fs = d->fs;
	bool room = atomic_fetch_add(&fs->aheads, 1) < AHEADS_MAX && pg.data;
	bool kept = false;

	pthread_mutex_lock(&d->lock);
	/* Who asks next finds out what is wrong. */
	if (room && !d->has_ahead && d->held && listing_fill_rows(fs, d, &pg) == 0) {
		d->has_ahead = kept = true;
		d->ahead = pg;
	}
	pthread_mutex_unlock(&d->lock);
	if (!kept) {
		dir_page_deinit(&pg);
		atomic_fetch_sub(&fs->aheads, 1);
	}
}
