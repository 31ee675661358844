/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/tree/exact.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/message.h"
#include "cli/paths.h"
#include "cli/tree/beneath.h"
#include "cli/tree/walk.h"

/* ---- the patterns ------------------------------------------------------------------ */

struct texts {
	char **list;
	size_t n, cap;
};

static void texts_add(struct texts *t, char *text)
{
	if (t->n == t->cap) {
		t->cap = t->cap ? 2 * t->cap : 16;
		t->list = xreallocarray(t->list, t->cap, sizeof(*t->list));
	}
	t->list[t->n++] = text;
}

static void texts_deinit(struct texts *t)
{
	for (size_t i = 0; i < t->n; i++)
		free(t->list[i]);
	free(t->list);
}

static void add_lines(struct texts *t, struct slice meta)
{
	const char *at = meta.data, *end = at + meta.len;

	while (at < end) {
		const char *eol = memchr(at, '\n', (size_t)(end - at));
		char *line = strndup(at, (size_t)((eol ? eol : end) - at));

		must(line ? 0 : -ENOMEM);
		texts_add(t, line);
		at = eol ? eol + 1 : end;
	}
}

char *exact_pattern_of(struct slice name)
{
	const char *s = name.data;
	struct buf out = BUF_INIT;

	for (size_t i = 0; i < name.len; i++) {
		/* The first, since it may begin `!` or `regex:`. */
		if (i == 0 || strchr("*?[]{},\\", s[i]))
			must(buf_append(&out, "\\", 1));
		must(buf_append(&out, &s[i], 1));
	}
	must(buf_append(&out, "", 1));
	return (char *)out.data;
}

static void add_top_names(struct texts *t, const struct pack *p)
{
	struct pack_entry root, e;

	pack_get(p, 0, &root);
	for (uint32_t i = 0; i < root.children; i++) {
		pack_get(p, root.first_child + i, &e);
		texts_add(t, exact_pattern_of(e.name));
	}
}

int exact_patterns(const struct pack *p, struct patterns **ret_patterns,
		   struct errmsg *err)
{
	struct texts t = {0};
	int r;

	add_lines(&t, pack_meta(p));
	if (!t.n)
		add_top_names(&t, p);
	if (t.n)
		r = patterns_new((const char *const *)t.list, t.n, ret_patterns, err);
	else
		r = err_set(err, ENOENT, "the tree is empty");
	texts_deinit(&t);
	return r;
}

/* ---- removing ---------------------------------------------------------------------- */

struct removing {
	int dirfd;
	char *parent; /* the directory that `parent_fd` is */
	int parent_fd;
	uint64_t removed;
};

void exact_found_deinit(struct exact_found *found)
{
	tree_items_deinit(&found->items);
	free(found->by_entry);
	*found = EXACT_FOUND_INIT;
}

/* The tree has it, and as a directory where this is one. Notes it in `found`. */
static bool belongs(const struct pack *p, const struct tree_item *item,
		    const struct exact_found *found)
{
	struct pack_entry e;
	uint32_t i;

	if (!p || pack_find(p, item->path, &i))
		return false;
	pack_get(p, i, &e);
	if ((e.type == PACK_DIR) != !!S_ISDIR(item->st.st_mode))
		return false;
	/* The time of a directory may be another one soon: something is removed. */
	if (found->by_entry && e.type != PACK_DIR)
		found->by_entry[i] = &item->st;
	return true;
}

/* Most have the same parent as the one before. */
static int open_parent(struct removing *rm, const char *path)
{
	CLEANUP_FREE char *parent = path_parent(path);
	const char *below = strcmp(parent, ".") == 0 ? "" : parent;

	if (rm->parent_fd >= 0 && strcmp(rm->parent, parent) == 0)
		return 0;
	close_fdp(&rm->parent_fd);
	free(rm->parent);
	rm->parent = parent;
	rm->parent_fd =
	    beneath_open(rm->dirfd, below, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	parent = NULL;
	return rm->parent_fd < 0 ? rm->parent_fd : 0;
}

static int remove_item(struct removing *rm, const struct tree_item *item,
		       struct errmsg *err)
{
	bool dir = S_ISDIR(item->st.st_mode);
	int r = open_parent(rm, item->path);

	if (!r && unlinkat(rm->parent_fd, path_base(item->path), dir ? AT_REMOVEDIR : 0))
		r = -errno;
	if (r == 0)
		rm->removed++;
	/* What is in it was not chosen, or came since. */
	if (r == -ENOENT || (dir && (r == -ENOTEMPTY || r == -EEXIST)))
		r = 0;
	return r ? err_set(err, -r, "%s cannot be removed: %s", item->path, strerror(-r))
		 : 0;
}

int exact_remove(int dirfd, const struct pack *p, struct patterns *saved,
		 struct patterns *only, uint64_t *ret_removed,
		 struct exact_found *ret_found, struct errmsg *err)
{
	struct exact_found found = EXACT_FOUND_INIT;
	struct removing rm = {.dirfd = dirfd, .parent_fd = -1};
	CLEANUP_FREE char *skipped = NULL;
	int r = tree_walk_skipping(dirfd, saved, &found.items, &skipped, err);

	if (ret_found)
		found.by_entry = xcalloc(pack_entries(p), sizeof(*found.by_entry));
	/* Backwards: what is in a directory goes before it. */
	for (size_t i = found.items.n; !r && i--;) {
		const struct tree_item *item = &found.items.list[i];

		if (belongs(p, item, &found))
			continue;
		if (!only || patterns_match(only, item->path, S_ISDIR(item->st.st_mode)))
			r = remove_item(&rm, item, err);
	}
	close_fdp(&rm.parent_fd);
	free(rm.parent);
	*ret_removed = rm.removed;
	if (ret_found && !r)
		*ret_found = found;
	else
		exact_found_deinit(&found);
	return r;
}
