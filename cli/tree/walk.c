/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/tree/walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/tree/beneath.h"
#include "store/util/buf.h"
#include "store/util/text.h"

/* A name in a directory that is being walked. */
struct found {
	char *name;
	bool is_dir, chosen;
	struct stat st; /* where chosen */
	char *target;	/* of a chosen symlink */
};

/* A directory, read as a whole, so that none is open while another is. */
struct level {
	struct found *list;
	size_t n, cap, next;
	size_t prefix; /* length of its path, with the slash */
};

struct walk {
	int dirfd;
	struct patterns *ps;
	struct tree_items *items;
	bool skip_special;
	char *skipped;
	struct buf path; /* of what is looked at, ended by NUL */
	struct level *levels;
	size_t depth, cap;
	struct errmsg *err;
};

void tree_items_deinit(struct tree_items *items)
{
	for (size_t i = 0; i < items->n; i++) {
		free(items->list[i].path);
		free(items->list[i].target);
	}
	free(items->list);
	*items = TREE_ITEMS_INIT;
}

static int no_memory(struct walk *w)
{
	return err_set(w->err, ENOMEM, "out of memory");
}

static int fail(struct walk *w, int errnum, const char *what)
{
	const char *path = (const char *)w->path.data;
	char quoted[TEXT_QUOTE_MAX];

	return err_set(w->err, errnum, "%s: %s", text_quote(quoted, path, strlen(path)),
		       what);
}

/* Room for one more in an array. */
static void *grow(void *array, size_t n, size_t *cap, size_t size)
{
	size_t more = *cap ? *cap * 2 : 16;

	if (n < *cap)
		return array;
	array = reallocarray(array, more, size);
	if (array)
		*cap = more;
	return array;
}

static void found_deinit(struct found *f)
{
	free(f->name);
	free(f->target);
}

/* ---- one name ------------------------------------------------------------------ */

/* The path of a name in the directory whose path has `prefix` bytes. */
static int set_path(struct walk *w, size_t prefix, const char *name)
{
	w->path.len = prefix;
	if (buf_append(&w->path, name, strlen(name) + 1))
		return no_memory(w);
	return 0;
}

static int read_target(struct walk *w, int fd, struct found *f)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(fd, f->name, target, sizeof(target));

	if (n < 0)
		return errno == ENOENT ? -ENOENT : fail(w, errno, strerror(errno));
	if ((size_t)n == sizeof(target))
		return fail(w, ENAMETOOLONG, "the target of this symlink is too long");
	f->target = strndup(target, (size_t)n);
	return f->target ? 0 : no_memory(w);
}

static int meet_special(struct walk *w)
{
	if (!w->skip_special)
		return fail(w, EINVAL,
			    "is a socket, fifo or device, which no tree can hold");
	if (!w->skipped)
		w->skipped = strdup((const char *)w->path.data);
	return w->skipped ? -ENOENT : no_memory(w);
}

/* What a chosen name is. -ENOENT: nothing (any more). */
static int inspect(struct walk *w, int fd, struct found *f)
{
	if (fstatat(fd, f->name, &f->st, AT_SYMLINK_NOFOLLOW))
		return errno == ENOENT ? -ENOENT : fail(w, errno, strerror(errno));
	f->is_dir = S_ISDIR(f->st.st_mode);
	if (S_ISLNK(f->st.st_mode))
		return read_target(w, fd, f);
	return f->is_dir || S_ISREG(f->st.st_mode) ? 0 : meet_special(w);
}

/* Some file systems do not tell types with names. */
static bool is_directory(int fd, const struct dirent *de)
{
	struct stat st;

	if (de->d_type != DT_UNKNOWN)
		return de->d_type == DT_DIR;
	return fstatat(fd, de->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       S_ISDIR(st.st_mode);
}

/* w->path is that of the name. *ret_use: it is chosen, or leads to what may be. */
static int judge(struct walk *w, int fd, const struct dirent *de, struct found *ret_found,
		 bool *ret_use)
{
	const char *path = (const char *)w->path.data;
	struct found f = {.is_dir = is_directory(fd, de)};
	int r = 0;

	*ret_use = false;
	f.chosen = patterns_match(w->ps, path, f.is_dir);
	if (!f.chosen && !(f.is_dir && patterns_reach(w->ps, path)))
		return 0;
	f.name = strdup(de->d_name);
	if (!f.name)
		return no_memory(w);
	if (f.chosen)
		r = inspect(w, fd, &f);
	if (r) {
		found_deinit(&f);
		return r == -ENOENT ? 0 : r;
	}
	*ret_found = f;
	*ret_use = true;
	return 0;
}

/* ---- one directory --------------------------------------------------------------- */

static int by_name(const void *a, const void *b)
{
	const struct found *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static int add_name(struct walk *w, struct level *l, int fd, const struct dirent *de)
{
	struct found *list = grow(l->list, l->n, &l->cap, sizeof(*list));
	bool use;
	int r;

	if (!list)
		return no_memory(w);
	l->list = list;
	r = set_path(w, l->prefix, de->d_name);
	if (!r)
		r = judge(w, fd, de, &list[l->n], &use);
	if (!r)
		l->n += use;
	return r;
}

static int read_names(struct walk *w, struct level *l, DIR *dir)
{
	for (;;) {
		const struct dirent *de;
		int r;

		errno = 0;
		de = readdir(dir);
		if (!de && errno) {
			r = errno;
			w->path.data[l->prefix ? l->prefix - 1 : 0] = '\0';
			return fail(w, r, strerror(r));
		}
		if (!de)
			break;
		if (strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0)
			continue;
		r = add_name(w, l, dirfd(dir), de);
		if (r)
			return r;
	}
	if (l->n)
		qsort(l->list, l->n, sizeof(*l->list), by_name);
	return 0;
}

static int open_failed(struct walk *w, int r)
{
	if (r == -ENOENT)
		return r;
	if (r == -ELOOP || r == -ENOTDIR)
		return fail(w, EAGAIN,
			    "was a directory a moment ago; something changes "
			    "what is being read");
	return fail(w, -r, strerror(-r));
}

/* Read the directory at w->path, "" being the first. -ENOENT: it is gone. */
static int push(struct walk *w)
{
	const char *path = (const char *)w->path.data;
	struct level *levels = grow(w->levels, w->depth, &w->cap, sizeof(*levels)), *l;
	int fd;
	DIR *dir;
	int r;

	if (!levels)
		return no_memory(w);
	w->levels = levels;
	fd = beneath_open(w->dirfd, path, O_RDONLY | O_DIRECTORY);
	if (fd < 0)
		return open_failed(w, fd);
	dir = fdopendir(fd);
	if (!dir) {
		close(fd);
		return no_memory(w);
	}
	l = &levels[w->depth++];
	*l = (struct level){.prefix = strlen(path)};
	if (l->prefix)
		w->path.data[l->prefix++] = '/';
	r = read_names(w, l, dir);
	closedir(dir);
	return r;
}

static void pop(struct walk *w)
{
	struct level *l = &w->levels[--w->depth];

	for (size_t i = 0; i < l->n; i++)
		found_deinit(&l->list[i]);
	free(l->list);
}

/* ---- all of them ------------------------------------------------------------------ */

/* At w->path. Takes the target over. */
static int add_item(struct walk *w, struct found *f)
{
	struct tree_items *items = w->items;
	struct tree_item *list = grow(items->list, items->n, &items->cap, sizeof(*list));
	char *path = strdup((const char *)w->path.data);

	if (list)
		items->list = list;
	if (!list || !path) {
		free(path);
		return no_memory(w);
	}
	list[items->n++] =
	    (struct tree_item){.path = path, .st = f->st, .target = f->target};
	f->target = NULL;
	return 0;
}

static int visit(struct walk *w, struct found *f)
{
	int r = f->chosen ? add_item(w, f) : 0;

	if (r || !f->is_dir || !patterns_reach(w->ps, (const char *)w->path.data))
		return r;
	r = push(w);
	if (r != -ENOENT)
		return r;
	if (f->chosen)
		free(w->items->list[--w->items->n].path);
	return 0;
}

static int walk(struct walk *w)
{
	int r = set_path(w, 0, "");

	if (!r)
		r = push(w);
	while (!r && w->depth) {
		struct level *l = &w->levels[w->depth - 1];

		if (l->next == l->n) {
			pop(w);
			continue;
		}
		/* `l` is not to be used after the visit: the array may have moved. */
		struct found *f = &l->list[l->next++];

		r = set_path(w, l->prefix, f->name);
		if (!r)
			r = visit(w, f);
	}
	return r;
}

static int run(struct walk *w, struct tree_items *ret_items)
{
	struct tree_items items = TREE_ITEMS_INIT;
	int r;

	w->items = &items;
	r = walk(w);
	while (w->depth)
		pop(w);
	free(w->levels);
	buf_deinit(&w->path);
	if (r) {
		free(w->skipped);
		tree_items_deinit(&items);
		/* The first directory of all has no name. */
		return r == -ENOENT ? err_set(w->err, ENOENT, "the directory is gone")
				    : r;
	}
	*ret_items = items;
	return 0;
}

int tree_walk(int dirfd, struct patterns *ps, struct tree_items *ret_items,
	      struct errmsg *err)
{
	struct walk w = {.dirfd = dirfd, .ps = ps, .err = err};

	return run(&w, ret_items);
}

int tree_walk_skipping(int dirfd, struct patterns *ps, struct tree_items *ret_items,
		       char **ret_skipped, struct errmsg *err)
{
	struct walk w = {.dirfd = dirfd, .ps = ps, .skip_special = true, .err = err};
	int r = run(&w, ret_items);

	if (!r)
		*ret_skipped = w.skipped;
	return r;
}
