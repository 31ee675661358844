/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/listing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "store/lease.h"

/* ---- names ---- */

static void free_names(struct listing *d)
{
	for (size_t i = 0; i < d->count; i++)
		free(d->names[i].name);
	free(d->names);
	d->names = NULL;
	d->count = 0;
}

int listing_add_name(void *listing, const char *name, mode_t type)
{
	struct listing *d = listing;
	struct listed *names = realloc(d->names, (d->count + 1) * sizeof(*names));

	if (!names)
		return -ENOMEM;
	d->names = names;
	names[d->count].type = type;
	names[d->count].name = strdup(name);
	if (!names[d->count].name)
		return -ENOMEM;
	d->count++;
	return 0;
}

static int add_computed(void *arg, const char *name, const struct store_lease *lease)
{
	return listing_add_name(arg, name, S_IFREG);
}

static int compare_names(const void *a, const void *b)
{
	const struct listed *la = a, *lb = b;

	return strcmp(la->name, lb->name);
}

int listing_load_computed(struct fs *fs, struct listing *d)
{
	int r = 0;

	free_names(d);
	if (d->branch && (d->dir.view.set & VIEW_STALE))
		r = store_lease_list(fs->store, d->branch, add_computed, d);
	if (d->count)
		qsort(d->names, d->count, sizeof(*d->names), compare_names);
	return r;
}

bool listing_is_computed(const struct listing *d, const char *name)
{
	struct listed key = {.name = (char *)name};

	return d->count && bsearch(&key, d->names, d->count, sizeof(key), compare_names);
}

/* ---- begin and end ---- */

struct listing *listing_new(struct fs *fs)
{
	struct listing *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->fs = fs;
	atomic_init(&d->refs, 1);
	pthread_mutex_init(&d->lock, NULL);
	return d;
}

void listing_ref(struct listing *d)
{
	atomic_fetch_add(&d->refs, 1);
}

void listing_unref(struct listing *d)
{
	if (atomic_fetch_sub(&d->refs, 1) > 1)
		return;
	store_dir_close(d->stream);
	free_names(d);
	listing_drop_ahead(d);
	buf_deinit(&d->page);
	pthread_mutex_destroy(&d->lock);
	free(d);
}

void listing_free(struct listing *d)
{
	if (!d)
		return;
	if (d->copied)
		dircache_close(d->copied, d->dir.nodeid, d);
	listing_unref(d);
}
