/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A walk is a heap of directories that are to be read. Whoever takes one reads all of
 * it, looks at what is chosen, and puts the directories in it on the heap. Where there
 * is much to do a second thread helps: most of the time is the kernel's. What was found
 * becomes a list at the end, so that its order is that of the names.
 */
#include "cli/tree/walk.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/tree/beneath.h"
#include "store/util/buf.h"
#include "store/util/text.h"

#define NAMES_BYTES ((size_t)64 * 1024)
/* Directories that wait: from here on a second thread is worth its making. */
#define HELP_FROM 16

struct directory;

/* A name in a directory. */
struct found {
	size_t name;	    /* where it begins in the names of the directory */
	unsigned char type; /* DT_…: as the directory says, then as lstat(2) does */
	bool chosen;
	bool gone;
	struct stat st;		 /* where chosen */
	char *target;		 /* of a chosen symlink */
	struct directory *below; /* to be read as well; owned */
};

struct directory {
	struct directory *next; /* on the heap */
	char *path;		/* "" is the first */
	bool gone;
	struct buf names;
	struct found *list; /* sorted once it is read */
	size_t n, cap;
};

struct walk {
	int dirfd;
	struct patterns *ps; /* under `choosing` */
	pthread_mutex_t choosing;

	pthread_mutex_t lock; /* the rest */
	pthread_cond_t change;
	struct directory *heap;
	size_t n_heap;
	size_t busy; /* threads that read a directory */
	int error;   /* the first; all stop then */
	struct errmsg err;
	bool helped;
	pthread_t helper;
};

/* One thread's. */
struct reader {
	struct walk *walk;
	struct directory *dir;
	struct buf path; /* of what is looked at, ended by NUL */
	struct errmsg err;
	char *block; /* NAMES_BYTES for getdents64(2) */
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

static int no_memory(struct errmsg *err)
{
	return err_set(err, ENOMEM, "out of memory");
}

static int fail_at(struct errmsg *err, const char *path, int errnum, const char *what)
{
	char quoted[TEXT_QUOTE_MAX];

	if (!*path)
		path = ".";
	return err_set(err, errnum, "%s: %s", text_quote(quoted, path, strlen(path)),
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

static struct directory *directory_new(const char *path)
{
	struct directory *d = calloc(1, sizeof(*d));

	if (!d)
		return NULL;
	d->path = strdup(path);
	if (d->path)
		return d;
	free(d);
	return NULL;
}

/* What is below it is the caller's to free before. */
static void directory_free(struct directory *d)
{
	for (size_t i = 0; i < d->n; i++)
		free(d->list[i].target);
	free(d->list);
	free(d->path);
	buf_deinit(&d->names);
	free(d);
}

static const char *name_of(const struct directory *d, const struct found *f)
{
	return (const char *)d->names.data + f->name;
}

/* Into r->path. */
static int set_path(struct reader *r, const char *name)
{
	const char *dir = r->dir->path;

	buf_clear(&r->path);
	if ((*dir &&
	     (buf_append(&r->path, dir, strlen(dir)) || buf_append(&r->path, "/", 1))) ||
	    buf_append(&r->path, name, strlen(name) + 1))
		return no_memory(&r->err);
	return 0;
}

static int fail(struct reader *r, const struct found *f, int errnum, const char *what)
{
	int e = set_path(r, name_of(r->dir, f));

	return e ? e : fail_at(&r->err, (const char *)r->path.data, errnum, what);
}

/* ---- names ---------------------------------------------------------------------------
 */

static int add_name(struct reader *r, const char *name, unsigned char type)
{
	struct directory *d = r->dir;
	struct found *list = grow(d->list, d->n, &d->cap, sizeof(*list));

	if (!list)
		return no_memory(&r->err);
	d->list = list;
	list[d->n] = (struct found){.name = d->names.len, .type = type};
	if (buf_append(&d->names, name, strlen(name) + 1))
		return no_memory(&r->err);
	d->n++;
	return 0;
}

/* Not readdir(3), which asks for more of the kernel for each directory. */
static int read_names(struct reader *r, int fd)
{
	for (;;) {
		ssize_t n = getdents64(fd, r->block, NAMES_BYTES);
		int e;

		/* Removed while it is read: there are no more names in it. */
		if (n < 0 && errno != ENOENT)
			return fail_at(&r->err, r->dir->path, errno, strerror(errno));
		if (n <= 0)
			return 0;
		for (ssize_t off = 0; off < n;) {
			const struct dirent64 *de =
			    (const struct dirent64 *)(const void *)(r->block + off);

			off += de->d_reclen;
			if (strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0)
				continue;
			e = add_name(r, de->d_name, de->d_type);
			if (e)
				return e;
		}
	}
}

/* Some file systems do not tell types with names. */
static void learn_type(const struct reader *r, int fd, struct found *f)
{
	struct stat st;

	if (f->type != DT_UNKNOWN)
		return;
	if (fstatat(fd, name_of(r->dir, f), &st, AT_SYMLINK_NOFOLLOW) == 0)
		f->type = IFTODT(st.st_mode);
	f->gone = f->type == DT_UNKNOWN;
}

/* ---- what is chosen
 * -------------------------------------------------------------------- */

/* Also make the directories that are to be read; nobody else sees them yet. */
static int choose_one(struct reader *r, struct found *f)
{
	const char *path;
	int e = set_path(r, name_of(r->dir, f));

	if (e)
		return e;
	path = (const char *)r->path.data;
	f->chosen = patterns_match(r->walk->ps, path, f->type == DT_DIR);
	if (f->type != DT_DIR || !patterns_reach(r->walk->ps, path))
		return 0;
	f->below = directory_new(path);
	return f->below ? 0 : no_memory(&r->err);
}

static int choose(struct reader *r, int fd)
{
	struct directory *d = r->dir;
	int e = 0;

	for (size_t i = 0; i < d->n; i++)
		learn_type(r, fd, &d->list[i]);
	pthread_mutex_lock(&r->walk->choosing);
	for (size_t i = 0; !e && i < d->n; i++)
		e = d->list[i].gone ? 0 : choose_one(r, &d->list[i]);
	pthread_mutex_unlock(&r->walk->choosing);
	return e;
}

static int read_target(struct reader *r, int fd, struct found *f)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(fd, name_of(r->dir, f), target, sizeof(target));

	if (n < 0 && (errno == ENOENT || errno == EINVAL)) {
		f->gone = true;
		return 0;
	}
	if (n < 0)
		return fail(r, f, errno, strerror(errno));
	if ((size_t)n == sizeof(target))
		return fail(r, f, ENAMETOOLONG, "the target of this symlink is too long");
	f->target = strndup(target, (size_t)n);
	return f->target ? 0 : no_memory(&r->err);
}

#define CHANGED                                                                          \
	"it has become something else a moment ago; something changes what is being "    \
	"read"

static int inspect(struct reader *r, int fd, struct found *f)
{
	bool was_dir = f->type == DT_DIR;

	if (fstatat(fd, name_of(r->dir, f), &f->st, AT_SYMLINK_NOFOLLOW)) {
		f->gone = errno == ENOENT;
		return f->gone ? 0 : fail(r, f, errno, strerror(errno));
	}
	f->type = IFTODT(f->st.st_mode);
	if ((f->type == DT_DIR) != was_dir)
		return fail(r, f, EAGAIN, CHANGED);
	return f->type == DT_LNK ? read_target(r, fd, f) : 0;
}

/* ---- one directory
 * ---------------------------------------------------------------------- */

static int compare(const void *a, const void *b, void *names)
{
	const struct found *x = a, *y = b;

	return strcmp((const char *)names + x->name, (const char *)names + y->name);
}

static int look_through(struct reader *r, int fd)
{
	struct directory *d = r->dir;
	int e = read_names(r, fd);

	if (!e)
		e = choose(r, fd);
	for (size_t i = 0; !e && i < d->n; i++) {
		if (d->list[i].chosen)
			e = inspect(r, fd, &d->list[i]);
	}
	if (!e && d->n)
		qsort_r(d->list, d->n, sizeof(*d->list), compare, d->names.data);
	return e;
}

static int read_directory(struct reader *r, struct directory *d)
{
	int fd = beneath_open(r->walk->dirfd, d->path, O_RDONLY | O_DIRECTORY), e;

	r->dir = d;
	if (fd == -ENOENT) {
		d->gone = true;
		return 0;
	}
	if (fd == -ELOOP || fd == -ENOTDIR)
		return fail_at(&r->err, d->path, EAGAIN, CHANGED);
	if (fd < 0)
		return fail_at(&r->err, d->path, -fd, strerror(-fd));
	e = look_through(r, fd);
	close(fd);
	return e;
}

/* ---- all of them
 * -------------------------------------------------------------------------- */

/* With the lock held. */
static void put_on_heap(struct walk *w, struct directory *d)
{
	d->next = w->heap;
	w->heap = d;
	w->n_heap++;
}

/* One to be read; NULL: there will be no more. With the lock held. */
static struct directory *take(struct walk *w)
{
	struct directory *d;

	while (!w->heap && w->busy && !w->error)
		pthread_cond_wait(&w->change, &w->lock);
	if (!w->heap || w->error)
		return NULL;
	d = w->heap;
	w->heap = d->next;
	w->n_heap--;
	w->busy++;
	return d;
}

static void done(struct walk *w, struct reader *r, int e)
{
	w->busy--;
	for (size_t i = 0; i < r->dir->n; i++) {
		if (r->dir->list[i].below && !r->dir->list[i].gone)
			put_on_heap(w, r->dir->list[i].below);
	}
	if (e && !w->error) {
		w->error = e;
		w->err = r->err;
	}
	pthread_cond_broadcast(&w->change);
}

static void *help(void *arg);

/* Signals are for the first thread, whose handlers expect to be there. */
static void call_for_help(struct walk *w)
{
	sigset_t all, old;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	w->helped = pthread_create(&w->helper, NULL, help, w) == 0;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
}

static void work(struct walk *w, bool first)
{
	struct reader r = {.walk = w, .block = malloc(NAMES_BYTES)};
	struct directory *d;

	pthread_mutex_lock(&w->lock);
	while ((d = take(w))) {
		int e;

		if (first && !w->helped && w->n_heap >= HELP_FROM)
			call_for_help(w);
		pthread_mutex_unlock(&w->lock);
		r.dir = d;
		e = r.block ? read_directory(&r, d) : no_memory(&r.err);
		pthread_mutex_lock(&w->lock);
		done(w, &r, e);
	}
	pthread_mutex_unlock(&w->lock);
	buf_deinit(&r.path);
	free(r.block);
}

static void *help(void *arg)
{
	work(arg, false);
	return NULL;
}

/* ---- the list
 * -------------------------------------------------------------------------------- */

struct listing {
	struct tree_items items;
	bool skip_special;
	char *skipped;
	struct errmsg *err;
};

static char *path_of(const struct directory *d, const struct found *f)
{
	const char *name = name_of(d, f);
	size_t prefix = strlen(d->path), len = strlen(name);
	char *path = malloc(prefix + len + 2), *p = path;

	if (!path)
		return NULL;
	if (prefix) {
		memcpy(p, d->path, prefix);
		p[prefix] = '/';
		p += prefix + 1;
	}
	memcpy(p, name, len + 1);
	return path;
}

static int meet_special(struct listing *l, char *path)
{
	int r = 0;

	if (!l->skip_special)
		r = fail_at(l->err, path, EINVAL,
			    "is a socket, fifo or device, which no tree can hold");
	if (r || l->skipped)
		free(path);
	else
		l->skipped = path;
	return r;
}

static int list_one(struct listing *l, const struct directory *d, struct found *f)
{
	struct tree_items *items = &l->items;
	struct tree_item *list;
	char *path;

	if (!f->chosen || f->gone || (f->below && f->below->gone))
		return 0;
	path = path_of(d, f);
	if (!path)
		return no_memory(l->err);
	if (f->type != DT_REG && f->type != DT_DIR && f->type != DT_LNK)
		return meet_special(l, path);
	list = grow(items->list, items->n, &items->cap, sizeof(*list));
	if (!list) {
		free(path);
		return no_memory(l->err);
	}
	items->list = list;
	list[items->n++] =
	    (struct tree_item){.path = path, .st = f->st, .target = f->target};
	f->target = NULL;
	return 0;
}

/*
 * In the order of the names, a directory before what is in it; frees all directories on
 * the way. `next` links those above the one that is listed, `cap` is where it is.
 */
static int list_all(struct listing *l, struct directory *root)
{
	struct directory *d = root;
	int r = 0;

	root->next = NULL;
	root->cap = 0;
	while (d) {
		struct directory *up = d->next;
		struct found *f;

		if (d->cap == d->n) {
			directory_free(d);
			d = up;
			continue;
		}
		f = &d->list[d->cap++];
		/* After a failure only to free the rest. */
		r = r ? r : list_one(l, d, f);
		if (f->below) {
			f->below->next = d;
			f->below->cap = 0;
			d = f->below;
		}
	}
	return r;
}

/* The heap is empty, or there was an error and all directories are in the tree. */
static int run(struct walk *w, struct listing *l, struct errmsg *err)
{
	struct directory *root = directory_new("");

	if (!root)
		return no_memory(err);
	pthread_mutex_lock(&w->lock);
	put_on_heap(w, root);
	pthread_mutex_unlock(&w->lock);
	work(w, true);
	if (w->helped)
		pthread_join(w->helper, NULL);
	if (!w->error && root->gone)
		w->error = err_set(&w->err, ENOENT, "the directory is gone");
	if (w->error) {
		struct listing none = {.skip_special = true};

		list_all(&none, root);
		tree_items_deinit(&none.items);
		free(none.skipped);
		return err_set(err, -w->error, "%s", w->err.text);
	}
	return list_all(l, root);
}

static int walk(int dirfd, struct patterns *ps, struct listing *l,
		struct tree_items *ret_items, struct errmsg *err)
{
	struct walk w = {.dirfd = dirfd, .ps = ps};
	int r;

	l->err = err;
	pthread_mutex_init(&w.choosing, NULL);
	pthread_mutex_init(&w.lock, NULL);
	pthread_cond_init(&w.change, NULL);
	r = run(&w, l, err);
	pthread_cond_destroy(&w.change);
	pthread_mutex_destroy(&w.lock);
	pthread_mutex_destroy(&w.choosing);
	if (r) {
		tree_items_deinit(&l->items);
		free(l->skipped);
		return r;
	}
	*ret_items = l->items;
	return 0;
}

int tree_walk(int dirfd, struct patterns *ps, struct tree_items *ret_items,
	      struct errmsg *err)
{
	struct listing l = {0};

	return walk(dirfd, ps, &l, ret_items, err);
}

int tree_walk_skipping(int dirfd, struct patterns *ps, struct tree_items *ret_items,
		       char **ret_skipped, struct errmsg *err)
{
	struct listing l = {.skip_special = true};
	int r = walk(dirfd, ps, &l, ret_items, err);

	if (!r)
		*ret_skipped = l.skipped;
	return r;
}
