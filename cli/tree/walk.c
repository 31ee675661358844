/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A walk is a heap of directories that are to be read. Whoever takes one reads all of
 * its names, looks at what is chosen, and puts the directories in it on the heap. Of a
 * large one others may look at a part. Where there is much to do a second thread helps:
 * most of the time is the kernel's. What was found becomes a list at the end, so that
 * its order is that of the names.
 *
 * What is kept of a directory lies in the arena of the thread that found it, and all
 * arenas end with the list, or with the walk.
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
/* Directories and parts that wait: from here on a second thread is worth its making. */
#define HELP_FROM 16
/* Names of a directory that one thread looks at; more are parts. */
#define PART_NAMES 512

struct directory;

/* A name as it was read. */
struct name {
	size_t off;	    /* of the text, in the reader's names */
	unsigned char type; /* DT_…: as the directory says */
	bool gone, chosen, reached;
};

/* One that is chosen, or may have chosen ones below it. */
struct found {
	struct tree_item item;	 /* `st` and `target` where chosen */
	struct directory *below; /* to be read as well */
	unsigned char type;	 /* as lstat(2) says, where chosen */
	bool chosen;
	bool gone;
};

struct directory {
	struct directory *next; /* on the heap; later, the one that it is in */
	const char *path;	/* "" is the first */
	size_t path_len;
	bool gone;
	bool all; /* what is below it is chosen, whatever it is */
	struct found *list;
	size_t n;
	size_t listed; /* of those */
	int fd;	       /* while there are parts */
	size_t parts;  /* that are not done; under the walk's lock */
};

/* What one thread does at once: read a directory, or look at some that were read. */
struct part {
	struct part *next;
	struct directory *dir;
	size_t first, end; /* of its list; 0, 0: read it */
};

struct walk {
	int dirfd;
	struct patterns *ps; /* under `choosing` */
	pthread_mutex_t choosing;

	pthread_mutex_t lock; /* the rest */
	pthread_cond_t change;
	struct directory *heap;
	/* Taken before any directory, so that there are no more than the threads have
	 * open. */
	struct part *parts;
	size_t waiting; /* of both */
	size_t busy;	/* threads that do something */
	size_t idle;	/* that wait for something to do */
	size_t n_found;
	int error; /* the first; all stop then */
	struct errmsg err;
	struct arena memory; /* of the threads that have ended */
	bool helped;
	pthread_t helper;
};

/* One thread's. */
struct reader {
	struct walk *walk;
	struct directory *dir;
	struct buf path;  /* of what is looked at, ended by NUL */
	struct buf names; /* of `dir`, each ended by NUL */
	struct name *list;
	size_t n, cap;
	struct arena arena;
	struct errmsg err;
	char *block; /* NAMES_BYTES for getdents64(2) */
};

void tree_items_deinit(struct tree_items *items)
{
	free(items->list);
	arena_deinit(&items->texts);
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

/* The path is not copied. */
static struct directory *directory_new(struct arena *a, const char *path)
{
	struct directory *d = arena_get(a, sizeof(*d));

	if (d)
		*d = (struct directory){.path = path, .path_len = strlen(path), .fd = -1};
	return d;
}

/* Of something in `d`: the last part of its path. */
static const char *base_of(const struct directory *d, const struct found *f)
{
	return f->item.path + d->path_len + (d->path_len != 0);
}

static const char *text_of(const struct reader *r, const struct name *name)
{
	return (const char *)r->names.data + name->off;
}

static int fail(struct reader *r, const struct found *f, int errnum, const char *what)
{
	return fail_at(&r->err, f->item.path, errnum, what);
}

/* ---- names ---------------------------------------------------------------------- */

static int add_name(struct reader *r, const char *text, unsigned char type)
{
	if (r->n == r->cap) {
		size_t cap = r->cap ? 2 * r->cap : 64;
		struct name *list = reallocarray(r->list, cap, sizeof(*list));

		if (!list)
			return no_memory(&r->err);
		r->list = list;
		r->cap = cap;
	}
	r->list[r->n] = (struct name){.off = r->names.len, .type = type};
	if (buf_append(&r->names, text, strlen(text) + 1))
		return no_memory(&r->err);
	r->n++;
	return 0;
}

/* Not readdir(3), which asks for more of the kernel for each directory. */
static int read_names(struct reader *r, int fd)
{
	r->n = 0;
	buf_clear(&r->names);
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
static void learn_type(const struct reader *r, int fd, struct name *name)
{
	struct stat st;

	if (name->type != DT_UNKNOWN)
		return;
	if (fstatat(fd, text_of(r, name), &st, AT_SYMLINK_NOFOLLOW) == 0)
		name->type = IFTODT(st.st_mode);
	name->gone = name->type == DT_UNKNOWN;
}

static int compare(const void *a, const void *b, void *names)
{
	const struct name *x = a, *y = b;

	return strcmp((const char *)names + x->off, (const char *)names + y->off);
}

/* ---- what is chosen --------------------------------------------------------------- */

/* Of a name in the directory, into r->path. */
static int set_path(struct reader *r, const char *text)
{
	const struct directory *d = r->dir;

	buf_clear(&r->path);
	if ((d->path_len && (buf_append(&r->path, d->path, d->path_len) ||
			     buf_append(&r->path, "/", 1))) ||
	    buf_append(&r->path, text, strlen(text) + 1))
		return no_memory(&r->err);
	return 0;
}

static int choose_one(struct reader *r, struct name *name)
{
	struct patterns *ps = r->walk->ps;
	bool is_dir = name->type == DT_DIR;
	const char *path;
	int e;

	if (name->gone)
		return 0;
	if (r->dir->all) {
		name->chosen = true;
		name->reached = is_dir;
		return 0;
	}
	e = set_path(r, text_of(r, name));
	if (e)
		return e;
	path = (const char *)r->path.data;
	name->chosen = patterns_match(ps, path, is_dir);
	name->reached = is_dir && patterns_reach(ps, path);
	return 0;
}

static int choose(struct reader *r)
{
	struct directory *d = r->dir;
	int e = 0;

	if (!d->all)
		pthread_mutex_lock(&r->walk->choosing);
	for (size_t i = 0; !e && i < r->n; i++)
		e = choose_one(r, &r->list[i]);
	if (!d->all)
		pthread_mutex_unlock(&r->walk->choosing);
	return e;
}

/* Nobody else sees it yet. */
static int add_below(struct reader *r, struct found *f)
{
	struct walk *w = r->walk;

	f->below = directory_new(&r->arena, f->item.path);
	if (!f->below)
		return no_memory(&r->err);
	f->below->all = r->dir->all;
	if (f->below->all || !f->chosen)
		return 0;
	pthread_mutex_lock(&w->choosing);
	f->below->all = patterns_take_all(w->ps, f->item.path);
	pthread_mutex_unlock(&w->choosing);
	return 0;
}

static int add_found(struct reader *r, const struct name *name)
{
	struct directory *d = r->dir;
	struct found *f = &d->list[d->n];
	int e = set_path(r, text_of(r, name));
	char *path;

	if (e)
		return e;
	path = arena_get(&r->arena, r->path.len);
	if (!path)
		return no_memory(&r->err);
	memcpy(path, r->path.data, r->path.len);
	f->item.path = path;
	f->item.target = NULL;
	f->below = NULL;
	f->type = name->type;
	f->chosen = name->chosen;
	f->gone = false;
	d->n++;
	return name->reached ? add_below(r, f) : 0;
}

/* Those that matter, out of the reader's list into the directory's. */
static int keep_found(struct reader *r)
{
	struct directory *d = r->dir;
	size_t n = 0;
	int e = 0;

	for (size_t i = 0; i < r->n; i++)
		n += r->list[i].chosen || r->list[i].reached;
	if (n)
		d->list = arena_get(&r->arena, n * sizeof(*d->list));
	if (n && !d->list)
		return no_memory(&r->err);
	for (size_t i = 0; !e && i < r->n; i++) {
		if (r->list[i].chosen || r->list[i].reached)
			e = add_found(r, &r->list[i]);
	}
	return e;
}

/* ---- a look at them ---------------------------------------------------------------- */

static int read_target(struct reader *r, int fd, struct found *f)
{
	char target[PATH_MAX], *copy;
	ssize_t n = readlinkat(fd, base_of(r->dir, f), target, sizeof(target));

	if (n < 0 && (errno == ENOENT || errno == EINVAL)) {
		f->gone = true;
		return 0;
	}
	if (n < 0)
		return fail(r, f, errno, strerror(errno));
	if ((size_t)n == sizeof(target))
		return fail(r, f, ENAMETOOLONG, "the target of this symlink is too long");
	copy = arena_get(&r->arena, (size_t)n + 1);
	if (!copy)
		return no_memory(&r->err);
	memcpy(copy, target, (size_t)n);
	copy[n] = '\0';
	f->item.target = copy;
	return 0;
}

#define CHANGED                                                                          \
	"it has become something else a moment ago; something changes what is being "    \
	"read"

static int inspect(struct reader *r, int fd, struct found *f)
{
	bool was_dir = f->type == DT_DIR;

	if (!f->chosen)
		return 0;
	if (fstatat(fd, base_of(r->dir, f), &f->item.st, AT_SYMLINK_NOFOLLOW)) {
		f->gone = errno == ENOENT;
		return f->gone ? 0 : fail(r, f, errno, strerror(errno));
	}
	f->type = IFTODT(f->item.st.st_mode);
	if ((f->type == DT_DIR) != was_dir)
		return fail(r, f, EAGAIN, CHANGED);
	return f->type == DT_LNK ? read_target(r, fd, f) : 0;
}

static int inspect_part(struct reader *r, int fd, size_t first, size_t end)
{
	int e = 0;

	for (size_t i = first; !e && i < end; i++)
		e = inspect(r, fd, &r->dir->list[i]);
	return e;
}

/* ---- what there is to do -------------------------------------------------------------
 */

static void call_for_help(struct walk *w);

/* With the lock held. */
static void put_on_heap(struct walk *w, struct directory *d)
{
	d->next = w->heap;
	w->heap = d;
	w->waiting++;
}

/* With the lock held: the directories among some that were looked at. */
static void put_below(struct walk *w, const struct directory *d, size_t first, size_t end)
{
	for (size_t i = first; i < end; i++) {
		if (d->list[i].below && !d->list[i].gone)
			put_on_heap(w, d->list[i].below);
	}
	if (w->idle && w->waiting)
		pthread_cond_broadcast(&w->change);
}

/* Leave all but the first part to whoever has time; the last one closes `fd`. */
static int share(struct reader *r, int fd)
{
	struct directory *d = r->dir;
	struct walk *w = r->walk;
	size_t n = (d->n - 1) / PART_NAMES;
	struct part *parts = arena_get(&r->arena, n * sizeof(*parts));

	if (!parts)
		return no_memory(&r->err);
	pthread_mutex_lock(&w->lock);
	d->fd = fd;
	d->parts = n + 1;
	for (size_t i = n; i > 0; i--) {
		size_t end = (i + 1) * PART_NAMES;

		parts[i - 1] = (struct part){
		    .next = w->parts,
		    .dir = d,
		    .first = i * PART_NAMES,
		    .end = end < d->n ? end : d->n,
		};
		w->parts = &parts[i - 1];
		w->waiting++;
	}
	if (w->idle)
		pthread_cond_broadcast(&w->change);
	if (!w->helped)
		call_for_help(w);
	pthread_mutex_unlock(&w->lock);
	return 0;
}

/* With the lock held. */
static void part_ended(struct directory *d)
{
	if (--d->parts == 0) {
		close(d->fd);
		d->fd = -1;
	}
}

/* ---- one directory ---------------------------------------------------------------- */

/* *ret_end: how many of the list were looked at; of a large one others see to the
 * rest. */
static int look_through(struct reader *r, int fd, size_t *ret_end)
{
	struct directory *d = r->dir;
	int e = read_names(r, fd);

	if (e)
		return e;
	for (size_t i = 0; i < r->n; i++)
		learn_type(r, fd, &r->list[i]);
	if (r->n)
		qsort_r(r->list, r->n, sizeof(*r->list), compare, r->names.data);
	e = choose(r);
	if (!e)
		e = keep_found(r);
	if (e)
		return e;
	*ret_end = d->n;
	if (d->n > PART_NAMES) {
		e = share(r, fd);
		*ret_end = PART_NAMES;
	}
	return e ? e : inspect_part(r, fd, 0, *ret_end);
}

static int read_directory(struct reader *r, struct directory *d, size_t *ret_end)
{
	int fd = beneath_open(r->walk->dirfd, d->path, O_RDONLY | O_DIRECTORY), e;

	if (fd == -ENOENT) {
		d->gone = true;
		return 0;
	}
	if (fd == -ELOOP || fd == -ENOTDIR)
		return fail_at(&r->err, d->path, EAGAIN, CHANGED);
	if (fd < 0)
		return fail_at(&r->err, d->path, -fd, strerror(-fd));
	e = look_through(r, fd, ret_end);
	/* There are no parts, which the last one to end would close it for. */
	if (d->fd < 0)
		close(fd);
	return e;
}

/* ---- all of them ------------------------------------------------------------------- */

/* Something to do; false: there will be no more. With the lock held. */
static bool take(struct walk *w, struct part *ret_part)
{
	w->idle++;
	while (!w->waiting && w->busy && !w->error)
		pthread_cond_wait(&w->change, &w->lock);
	w->idle--;
	if (!w->waiting || w->error)
		return false;
	if (w->parts) {
		*ret_part = *w->parts;
		w->parts = w->parts->next;
	} else {
		*ret_part = (struct part){.dir = w->heap};
		w->heap = w->heap->next;
	}
	w->waiting--;
	w->busy++;
	return true;
}

/* With the lock held; what was done is put_below(). */
static void done(struct walk *w, const struct reader *r, const struct part *p, int e)
{
	w->busy--;
	if (p->end == 0)
		w->n_found += r->dir->n;
	if (r->dir->fd >= 0)
		part_ended(r->dir);
	if (e && !w->error) {
		w->error = e;
		w->err = r->err;
	}
	if (w->idle && (w->error || (!w->busy && !w->waiting)))
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

static int do_part(struct reader *r, const struct part *p, size_t *ret_end)
{
	if (!r->block)
		return no_memory(&r->err);
	if (!p->end)
		return read_directory(r, p->dir, ret_end);
	*ret_end = p->end;
	return inspect_part(r, p->dir->fd, p->first, p->end);
}

static void work(struct walk *w)
{
	struct reader r = {.walk = w, .block = malloc(NAMES_BYTES)};
	struct part p;

	pthread_mutex_lock(&w->lock);
	while (take(w, &p)) {
		size_t end = 0;
		int e;

		if (!w->helped && w->waiting >= HELP_FROM)
			call_for_help(w);
		pthread_mutex_unlock(&w->lock);
		r.dir = p.dir;
		e = do_part(&r, &p, &end);
		pthread_mutex_lock(&w->lock);
		if (!e)
			put_below(w, r.dir, p.first, end);
		done(w, &r, &p, e);
	}
	arena_join(&w->memory, &r.arena);
	pthread_mutex_unlock(&w->lock);
	buf_deinit(&r.path);
	buf_deinit(&r.names);
	free(r.list);
	free(r.block);
}

static void *help(void *arg)
{
	work(arg);
	return NULL;
}

/* ---- the list ---------------------------------------------------------------------- */

struct listing {
	struct tree_items items;
	bool skip_special;
	char *skipped;
	struct errmsg *err;
};

static int meet_special(struct listing *l, const char *path)
{
	if (!l->skip_special)
		return fail_at(l->err, path, EINVAL,
			       "is a socket, fifo or device, which no tree can hold");
	if (!l->skipped)
		l->skipped = strdup(path);
	return l->skipped ? 0 : no_memory(l->err);
}

static int list_one(struct listing *l, const struct found *f)
{
	if (!f->chosen || f->gone || (f->below && f->below->gone))
		return 0;
	if (f->type != DT_REG && f->type != DT_DIR && f->type != DT_LNK)
		return meet_special(l, f->item.path);
	l->items.list[l->items.n++] = f->item;
	return 0;
}

/*
 * In the order of the names, a directory before what is in it. `next` links those above
 * the one that is listed.
 */
static int list_all(struct listing *l, struct directory *root)
{
	struct directory *d = root;
	int r = 0;

	root->next = NULL;
	while (d && !r) {
		const struct found *f;

		if (d->listed == d->n) {
			d = d->next;
			continue;
		}
		f = &d->list[d->listed++];
		r = list_one(l, f);
		if (f->below) {
			f->below->next = d;
			d = f->below;
		}
	}
	return r;
}

/* What was still to be done when something failed. */
static void give_up(struct walk *w)
{
	for (; w->parts; w->parts = w->parts->next)
		part_ended(w->parts->dir);
}

/* `memory` is where the root is. */
static int run(struct walk *w, struct listing *l, struct errmsg *err)
{
	struct directory *root = directory_new(&w->memory, "");

	if (!root)
		return no_memory(err);
	pthread_mutex_lock(&w->lock);
	put_on_heap(w, root);
	pthread_mutex_unlock(&w->lock);
	work(w);
	if (w->helped)
		pthread_join(w->helper, NULL);
	give_up(w);
	if (!w->error && root->gone)
		w->error = err_set(&w->err, ENOENT, "the directory is gone");
	if (w->error)
		return err_set(err, -w->error, "%s", w->err.text);
	l->items.list = reallocarray(NULL, w->n_found + 1, sizeof(*l->items.list));
	return l->items.list ? list_all(l, root) : no_memory(err);
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
	l->items.texts = w.memory;
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
