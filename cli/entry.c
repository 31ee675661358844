/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/entry.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "cli/attrs.h"
#include "cli/message.h"
#include "cli/viewpath.h"
#include "store/util/duration.h"

static int64_t read_seconds(const char *path, const char *name)
{
	CLEANUP_BUF struct buf value = BUF_INIT;
	int64_t ns;

	if (attr_get(path, name, &value) ||
	    attr_seconds_parse((const char *)value.data, &ns))
		return ENTRY_UNKNOWN;
	return ns;
}

static int64_t read_count(const char *path, const char *name)
{
	CLEANUP_BUF struct buf value = BUF_INIT;
	long long n;
	char *end;

	if (attr_get(path, name, &value) || !value.len)
		return ENTRY_UNKNOWN;
	n = strtoll((const char *)value.data, &end, 10);
	return *end || n < 0 ? ENTRY_UNKNOWN : n;
}

/* NULL when it is empty or not there. */
static char *read_text(const char *path, const char *name)
{
	struct buf value = BUF_INIT;

	if (attr_get(path, name, &value) || !value.len) {
		buf_deinit(&value);
		return NULL;
	}
	return (char *)value.data;
}

/* Only entries have a state: ordinary directories have none, nor what is in a tree. */
bool entry_is_tree(const char *path, mode_t mode)
{
	CLEANUP_BUF struct buf value = BUF_INIT;

	return S_ISDIR(mode) && attr_get(path, "state", &value) == 0;
}

uint64_t entry_tree_size(const char *path)
{
	CLEANUP_BUF struct buf options = BUF_INIT;
	CLEANUP_FREE char *pack = NULL;
	struct stat st;

	view_option(&options, "pack", NULL);
	pack = view_path(path, &options);
	return lstat(pack, &st) == 0 ? (uint64_t)st.st_size : 0;
}

static bool read_pin(const char *path)
{
	CLEANUP_BUF struct buf value = BUF_INIT;

	return attr_get(path, "pin", &value) == 0 &&
	       strcmp((const char *)value.data, "yes") == 0;
}

static void read_attributes(struct entry *e, const char *path, enum entry_detail detail)
{
	e->tree = entry_is_tree(path, e->mode);
	if (e->tree)
		e->size_bytes = entry_tree_size(path);
	if (S_ISREG(e->mode) || e->tree) {
		e->created_ns = read_seconds(path, "created");
		e->expires_ns = read_seconds(path, "expires");
		e->hits = read_count(path, "hits");
	}
	if (!S_ISREG(e->mode) && !S_ISDIR(e->mode))
		return;
	e->version = read_text(path, "version");
	e->pinned = read_pin(path);
	if (detail == ENTRY_ALL)
		e->ttl = read_text(path, "ttl");
}

int entries_add(struct entries *es, const char *path, const char *name,
		enum entry_detail detail)
{
	struct stat st;
	struct entry *e;

	if (lstat(path, &st))
		return -errno;
	if (es->n == es->cap) {
		es->cap = es->cap ? es->cap * 2 : 64;
		es->list = xreallocarray(es->list, es->cap, sizeof(*es->list));
	}
	e = &es->list[es->n++];
	*e = (struct entry){
	    .name = xstrdup(name),
	    .path = xstrdup(path),
	    .mode = st.st_mode,
	    .size_bytes = (uint64_t)st.st_size,
	    .mtime_ns = st.st_mtim.tv_sec * NSEC_PER_SEC + st.st_mtim.tv_nsec,
	    .created_ns = ENTRY_UNKNOWN,
	    .expires_ns = ENTRY_UNKNOWN,
	    .hits = ENTRY_UNKNOWN,
	};
	if (detail != ENTRY_NAMES)
		read_attributes(e, path, detail);
	return 0;
}

/* The key of a numeric order, smallest first. Without one: at the end. */
static int64_t sort_key(const struct entry *e, enum entry_sort by)
{
	switch (by) {
	case ENTRY_BY_SIZE:
		return S_ISDIR(e->mode) && !e->tree ? INT64_MAX : -(int64_t)e->size_bytes;
	case ENTRY_BY_AGE:
		return e->created_ns == ENTRY_UNKNOWN ? INT64_MAX : -e->created_ns;
	case ENTRY_BY_EXPIRES:
		return e->expires_ns == ENTRY_UNKNOWN ? INT64_MAX : e->expires_ns;
	case ENTRY_BY_HITS:
		return e->hits == ENTRY_UNKNOWN ? INT64_MAX : -e->hits;
	case ENTRY_BY_NAME:
		break;
	}
	return 0;
}

struct order {
	enum entry_sort by;
	int sign;
};

static int compare(const void *pa, const void *pb, void *arg)
{
	const struct entry *a = pa, *b = pb;
	const struct order *order = arg;
	int64_t ka = sort_key(a, order->by), kb = sort_key(b, order->by);

	if (ka != kb)
		return ka < kb ? -order->sign : order->sign;
	return order->sign * strcmp(a->name, b->name);
}

void entries_sort(struct entries *es, enum entry_sort by, bool reverse)
{
	struct order order = {.by = by, .sign = reverse ? -1 : 1};

	if (es->n)
		qsort_r(es->list, es->n, sizeof(*es->list), compare, &order);
}

void entries_deinit(struct entries *es)
{
	for (size_t i = 0; i < es->n; i++) {
		free(es->list[i].name);
		free(es->list[i].path);
		free(es->list[i].version);
		free(es->list[i].ttl);
	}
	free(es->list);
	*es = ENTRIES_INIT;
}

const char *entry_type(mode_t mode, bool tree)
{
	if (tree)
		return "tree";
	if (S_ISREG(mode))
		return "file";
	if (S_ISDIR(mode))
		return "directory";
	return S_ISLNK(mode) ? "symlink" : "other";
}
