/* SPDX-License-Identifier: Apache-2.0 */
/*
 * top.json: who computes what, who waits, and which entries are read most and are the
 * dearest. It has paths of everybody's entries, so only who runs the daemon may read
 * it. Bounded: so many of each, and paths of a length that can be opened.
 */
#include <errno.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>

#include "fs/node.h"
#include "fs/pending.h"
#include "fs/stats.h"
#include "fs/waiters.h"
#include "store/lease.h"

enum { LISTED_MAX = 256, DEPTH_MAX = 128 };

struct top {
	struct fs *fs;
	struct put p;
	bool begun; /* the array has an element */
};

/* ---- paths ---- */

/* Put `part` and a slash in front of what is there. -ENAMETOOLONG. */
static int prepend(const char *part, char path[PATH_MAX])
{
	size_t part_len = strlen(part), len = strlen(path);
	bool slash = len != 0;

	if (part_len + slash + len >= PATH_MAX)
		return -ENAMETOOLONG;
	memmove(path + part_len + slash, path, len + 1);
	memcpy(path, part, part_len);
	if (slash)
		path[part_len] = '/';
	return 0;
}

/* A version that is not the current one is reached through `.memofs`. */
static int prepend_version(struct store *st, uint64_t dir_ino, const struct buf *version,
			   char path[PATH_MAX])
{
	CLEANUP_BUF struct buf current = BUF_INIT;
	char part[STORE_VERSION_MAX + sizeof(".memofs/versions/")];
	int r = store_version_get(st, dir_ino, &current);

	if (r || (current.len == version->len &&
		  (!version->len || !memcmp(current.data, version->data, version->len))))
		return r;
	if (!version->len) /* the unnamed one has no path of its own */
		return 0;
	snprintf(part, sizeof(part), ".memofs/versions/%.*s", (int)version->len,
		 (const char *)version->data);
	return prepend(part, path);
}

/* The path in the mount, without a slash in front. -ENOENT: it is gone. */
static int path_of(struct fs *fs, uint64_t branch, const char *name,
		   char ret_path[PATH_MAX])
{
	char part[STORE_NAME_MAX + 1];
	int r;

	snprintf(ret_path, PATH_MAX, "%s", name);
	for (int depth = 0; depth < DEPTH_MAX; depth++) {
		CLEANUP_BUF struct buf version = BUF_INIT;
		uint64_t dir_ino;

		r = store_branch_owner(fs->store, branch, &dir_ino, &version);
		if (!r)
			r = prepend_version(fs->store, dir_ino, &version, ret_path);
		if (r || dir_ino == STORE_ROOT_INO)
			return r;
		r = name_of_ino(fs, dir_ino, &branch, part);
		if (!r)
			r = prepend(part, ret_path);
		if (r)
			return r;
	}
	return -ENAMETOOLONG;
}

/* Begin an element with its path; false: it is gone, or too deep. */
static bool begin(struct top *t, uint64_t branch, const char *name)
{
	char path[PATH_MAX];

	if (t->p.r || path_of(t->fs, branch, name, path))
		return false;
	put(&t->p, "%s{\"path\":", t->begun ? ",\n" : "\n");
	put_string(&t->p, path);
	t->begun = true;
	return true;
}

static void array(struct top *t, const char *key)
{
	put(&t->p, ",\n\"%s\":[", key);
	t->begun = false;
}

static void put_member(struct put *p, const char *key, const char *text)
{
	put(p, ",\"%s\":", key);
	put_string(p, text);
}

/* ---- what is being computed ---- */

static int put_writing(void *arg, const struct pending_info *info)
{
	struct top *t = arg;

	if (!begin(t, info->branch, info->name))
		return t->p.r;
	put_member(&t->p, "owner", info->comm);
	put(&t->p, ",\"pid\":%d,", (int)info->pid);
	put_time(&t->p, "since", info->since_ns);
	put(&t->p, ",\"bytes\":%" PRIu64 "}", info->size_bytes);
	return t->p.r;
}

/* Those of descriptors are listed with their values. */
static int put_lease(void *arg, uint64_t branch, const char *name,
		     const struct store_lease *lease)
{
	struct top *t = arg;

	if (lease->kind != STORE_LEASE_NAMED || !begin(t, branch, name))
		return t->p.r;
	put_member(&t->p, "owner", lease->owner);
	put(&t->p, ",\"pid\":0,");
	put_time(&t->p, "since", lease->since_ns);
	put(&t->p, ",\"bytes\":0}");
	return t->p.r;
}

static int put_waiting(void *arg, uint64_t branch, const char *name, size_t waiters)
{
	struct top *t = arg;

	if (begin(t, branch, name))
		put(&t->p, ",\"waiters\":%zu}", waiters);
	return t->p.r;
}

/* ---- what is there ---- */

static void put_entries(struct top *t, const struct store_census_top *top, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		double cost_s = top[i].cost_s > 0 ? top[i].cost_s : 0;

		if (begin(t, top[i].branch, top[i].name))
			put(&t->p,
			    ",\"hits\":%" PRIu64 ",\"bytes\":%" PRIu64
			    ",\"cost_s\":%.6f,\"saved_s\":%.6f}",
			    top[i].hits, top[i].bytes, cost_s,
			    cost_s * (double)top[i].hits);
	}
}

int stats_top(struct fs *fs, uint64_t dir_ino, struct buf *out)
{
	struct top t = {.fs = fs, .p = {out, 0}};
	struct store_census *census = NULL;

	put(&t.p, "{");
	put_time(&t.p, "time", time_now_ns());
	array(&t, "computing");
	if (!t.p.r)
		t.p.r = pending_list_all(fs->pending, LISTED_MAX, put_writing, &t);
	if (!t.p.r)
		t.p.r = store_lease_list_all(fs->store, LISTED_MAX, put_lease, &t);
	put(&t.p, "]");
	array(&t, "waiting");
	if (!t.p.r)
		t.p.r = waiters_list(fs->waiters, LISTED_MAX, put_waiting, &t);
	put(&t.p, "]");
	if (!t.p.r)
		t.p.r = store_census(fs->store, &census);
	array(&t, "hottest");
	if (census)
		put_entries(&t, census->hottest, census->hottest_count);
	put(&t.p, "]");
	array(&t, "dearest");
	if (census)
		put_entries(&t, census->dearest, census->dearest_count);
	put(&t.p, "]}\n");
	store_census_free(census);
	return t.p.r;
}
