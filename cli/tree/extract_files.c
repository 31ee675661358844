/* SPDX-License-Identifier: Apache-2.0 */
/* The contents of files: read in windows, checked, written by several threads. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "cli/copy.h"
#include "cli/message.h"
#include "cli/tree/extract.h"
#include "cli/tree/outfile.h"

/* Read at once: large reads are cheap, and many small files are in one. A file that is
 * larger has a window of its own and is copied piece by piece. */
#define WINDOW_BYTES ((size_t)1024 * 1024)
#define AHEAD_BYTES (4 * WINDOW_BYTES)
/* Bytes that nobody wants are read along, rather than read around. */
#define GAP_BYTES ((uint64_t)64 * 1024)
/* So that the threads end at about the same time also where files are tiny. */
#define WINDOW_FILES 256
#define THREADS_MAX 4

struct window {
	size_t first, n; /* jobs */
	uint64_t off, len;
};

struct pool {
	struct extraction *x;
	struct window *windows;
	size_t n_windows;
	atomic_size_t next;
};

struct worker {
	struct pool *pool;
	struct extraction *x;
	struct dirstack dirs;
	const struct window *window;
	uint8_t *bytes; /* WINDOW_BYTES, of the window once `loaded` */
	bool loaded;
	uint8_t *piece; /* WINDOW_BYTES, of a file that is there */
	XXH3_state_t *hash;
	bool main; /* the thread that shows progress */
};

/* One file that is being made. */
struct making {
	struct worker *w;
	uint32_t entry;
	struct pack_entry e;
	struct entry_name name;
	int dirfd;
};

static int making_failed(const struct making *m, int r, const char *why)
{
	return extract_fail(m->w->x, m->entry, r, why);
}

/* ---- contents ---------------------------------------------------------------------- */

static int reading_failed(const struct making *m, int r)
{
	if (r == -EBADMSG)
		return making_failed(m, r, "its content is cut off in the tree");
	return making_failed(m, r, "it cannot be read from the tree");
}

static bool hash_is(XXH128_hash_t hash, const struct pack_entry *e)
{
	XXH128_canonical_t canonical;

	XXH128_canonicalFromHash(&canonical, hash);
	return memcmp(canonical.digest, e->hash, PACK_HASH_BYTES) == 0;
}

static int damaged(const struct making *m)
{
	return making_failed(m, -EBADMSG,
			     "its content in the tree is damaged; it is not restored");
}

/* The whole content, which is in the window. */
static int content_of(const struct making *m, const uint8_t **ret_bytes)
{
	struct worker *w = m->w;
	const struct window *win = w->window;
	int r = 0;

	if (!w->loaded)
		r = packread_at(w->x->r, win->off, w->bytes, (size_t)win->len);
	if (r)
		return reading_failed(m, r);
	w->loaded = true;
	*ret_bytes = w->bytes + (m->e.off - win->off);
	if (!hash_is(XXH3_128bits(*ret_bytes, (size_t)m->e.size_bytes), &m->e))
		return damaged(m);
	return 0;
}

/* Have the daemon read on while this process writes. */
static void read_ahead(struct worker *w, uint64_t off, uint64_t left)
{
	if (left && !w->x->r->whole.len)
		posix_fadvise(w->x->r->fd, (off_t)off,
			      (off_t)(left < AHEAD_BYTES ? left : AHEAD_BYTES),
			      POSIX_FADV_WILLNEED);
}

/* A content of any size, piece by piece. */
static int copy_large(const struct making *m, int fd)
{
	struct worker *w = m->w;
	int r;

	XXH3_128bits_reset(w->hash);
	for (uint64_t done = 0; done < m->e.size_bytes;) {
		uint64_t left = m->e.size_bytes - done;
		size_t n = left < WINDOW_BYTES ? (size_t)left : WINDOW_BYTES;

		if (extract_ends(w->x))
			return -EINTR;
		if (done % AHEAD_BYTES == 0)
			read_ahead(w, m->e.off + done + WINDOW_BYTES, left - n);
		r = packread_at(w->x->r, m->e.off + done, w->bytes, n);
		if (r)
			return reading_failed(m, r);
		XXH3_128bits_update(w->hash, w->bytes, n);
		r = copy_bytes(fd, w->bytes, n);
		if (r)
			return making_failed(m, r, NULL);
		done += n;
		if (w->main)
			extract_progress(w->x);
	}
	return hash_is(XXH3_128bits_digest(w->hash), &m->e) ? 0 : damaged(m);
}

/* ---- writing ----------------------------------------------------------------------- */

/* Its times are right by now. */
static void learn(const struct making *m, int fd)
{
	struct filehash *fh = m->w->x->how->fh;
	struct stat st;

	if (fh && fstat(fd, &st) == 0)
		filehash_wrote(fh, fd, &st, m->e.hash);
}

static int set_times(const struct making *m, int fd)
{
	struct timespec times[2];

	if (m->w->x->how->mtime != EXTRACT_MTIME_KEEP)
		return 0;
	extract_times(m->w->x, &m->e, times);
	return futimens(fd, times) ? making_failed(m, -errno, NULL) : 0;
}

/* In place of something, or too large to be there in one piece. */
static int write_and_rename(const struct making *m)
{
	const uint8_t *bytes;
	struct outfile f;
	int r = outfile_open(m->dirfd, m->e.mode & 0777, &f);

	if (r)
		return making_failed(m, r, NULL);
	if (m->e.size_bytes > WINDOW_BYTES) {
		r = copy_large(m, f.fd);
	} else {
		r = content_of(m, &bytes);
		if (!r) {
			r = copy_bytes(f.fd, bytes, (size_t)m->e.size_bytes);
			if (r)
				making_failed(m, r, NULL);
		}
	}
	if (!r)
		r = set_times(m, f.fd);
	if (!r) {
		r = outfile_commit(&f, m->name.text);
		if (r)
			making_failed(m, r, NULL);
	}
	if (!r)
		learn(m, f.fd);
	outfile_close(&f);
	return r;
}

/* Where nothing is: under its name at once, which is written in one piece. */
static int write_new(const struct making *m)
{
	int flags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, fd, r;
	const uint8_t *bytes;

	if (m->e.size_bytes > WINDOW_BYTES)
		return write_and_rename(m);
	r = content_of(m, &bytes);
	if (r)
		return r;
	fd = openat(m->dirfd, m->name.text, flags, m->e.mode & 0777);
	if (fd < 0 && errno == EEXIST) /* somebody was faster */
		return write_and_rename(m);
	if (fd < 0)
		return making_failed(m, -errno, NULL);
	r = copy_bytes(fd, bytes, (size_t)m->e.size_bytes);
	if (r)
		making_failed(m, r, NULL);
	else
		r = set_times(m, fd);
	if (!r)
		learn(m, fd);
	/* Some file systems find out here that there is no room. */
	if (close(fd) && errno != EINTR && !r)
		r = making_failed(m, -errno, NULL);
	if (r)
		unlinkat(m->dirfd, m->name.text, 0);
	return r;
}

/* ---- what is there ------------------------------------------------------------------
 */

static bool same_content(const struct making *m, int fd)
{
	struct worker *w = m->w;
	uint64_t len = 0;
	ssize_t n;

	XXH3_128bits_reset(w->hash);
	while ((n = read(fd, w->piece, WINDOW_BYTES)) > 0) {
		len += (uint64_t)n;
		if (len > m->e.size_bytes || extract_ends(w->x))
			return false;
		XXH3_128bits_update(w->hash, w->piece, (size_t)n);
	}
	return n == 0 && len == m->e.size_bytes &&
	       hash_is(XXH3_128bits_digest(w->hash), &m->e);
}

/* Whether the file that is there stays. One that cannot be read does not. */
static bool keep_existing(const struct making *m)
{
	CLEANUP_FD int fd = openat(m->dirfd, m->name.text,
				   O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	struct stat st;

	return fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
	       same_content(m, fd) &&
	       extract_keep(m->w->x, m->dirfd, m->name.text, &m->e, &st, true);
}

/* ---- workers -------------------------------------------------------------------------
 */

static void do_job(struct worker *w, const struct job *job)
{
	struct making m = {.w = w, .entry = job->entry};
	int r;

	pack_get(&w->x->r->pack, job->entry, &m.e);
	m.name = entry_name(&m.e);
	r = dirstack_get(&w->dirs, m.e.parent, &m.dirfd);
	if (r) {
		making_failed(&m, r, NULL);
		return;
	}
	if (job->state == JOB_COMPARE && keep_existing(&m)) {
		extract_count(w->x, false, m.e.size_bytes);
		return;
	}
	r = job->state == JOB_NEW ? write_new(&m) : write_and_rename(&m);
	if (!r)
		extract_count(w->x, true, m.e.size_bytes);
}

static void do_windows(struct worker *w)
{
	struct pool *p = w->pool;
	size_t i;

	while ((i = atomic_fetch_add(&p->next, 1)) < p->n_windows) {
		w->window = &p->windows[i];
		w->loaded = false;
		for (size_t k = 0; k < w->window->n; k++) {
			if (extract_ends(w->x))
				return;
			do_job(w, &w->x->jobs[w->window->first + k]);
			if (w->main)
				extract_progress(w->x);
		}
	}
}

static void put_files(void *arg, bool main)
{
	struct pool *pool = arg;
	struct extraction *x = pool->x;
	struct worker w = {
	    .pool = pool,
	    .x = x,
	    .dirs = dirstack_of(&x->r->pack, x->root, x->dirfd),
	    .bytes = xcalloc(2, WINDOW_BYTES),
	    .hash = XXH3_createState(),
	    .main = main,
	};

	must(w.hash ? 0 : -ENOMEM);
	w.piece = w.bytes + WINDOW_BYTES;
	do_windows(&w);
	dirstack_deinit(&w.dirs);
	XXH3_freeState(w.hash);
	free(w.bytes);
}

struct together {
	void (*work)(void *arg, bool main);
	void *arg;
};

static void *helper(void *arg)
{
	const struct together *t = arg;

	t->work(t->arg, false);
	return NULL;
}

void extract_together(size_t jobs, void (*work)(void *arg, bool main), void *arg)
{
	struct together t = {.work = work, .arg = arg};
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);
	pthread_t threads[THREADS_MAX];
	sigset_t all, old;
	size_t n = 0;

	sigfillset(&all);
	pthread_sigmask(SIG_BLOCK, &all, &old);
	while (n + 1 < THREADS_MAX && (long)n + 1 < cpus && n + 1 < jobs &&
	       pthread_create(&threads[n], NULL, helper, &t) == 0)
		n++;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	work(arg, true);
	while (n)
		pthread_join(threads[--n], NULL);
}

/* ---- the order ------------------------------------------------------------------------
 */

static int by_offset(const void *a, const void *b, void *pack)
{
	const struct job *one = a, *two = b;
	struct pack_entry e, f;

	pack_get(pack, one->entry, &e);
	pack_get(pack, two->entry, &f);
	if (e.off != f.off)
		return e.off < f.off ? -1 : 1;
	return one->entry < two->entry ? -1 : 1;
}

/* May this content be read along with the window? */
static bool window_takes(const struct window *win, const struct pack_entry *e)
{
	uint64_t end = e->off + e->size_bytes;

	return win->len <= WINDOW_BYTES && win->n < WINDOW_FILES &&
	       e->off <= win->off + win->len + GAP_BYTES &&
	       end - win->off <= WINDOW_BYTES;
}

static void cut_windows(struct extraction *x, struct pool *pool)
{
	struct window *win = NULL;
	struct pack_entry e;

	pool->windows = xcalloc(x->n_jobs, sizeof(*pool->windows));
	for (size_t i = 0; i < x->n_jobs; i++) {
		pack_get(&x->r->pack, x->jobs[i].entry, &e);
		if (!win || !window_takes(win, &e)) {
			win = &pool->windows[pool->n_windows++];
			*win = (struct window){.first = i, .off = e.off};
		}
		win->n++;
		if (e.off + e.size_bytes > win->off + win->len)
			win->len = e.off + e.size_bytes - win->off;
	}
}

void extract_files(struct extraction *x)
{
	struct pool pool = {.x = x};

	if (!x->n_jobs)
		return;
	qsort_r(x->jobs, x->n_jobs, sizeof(*x->jobs), by_offset, &x->r->pack);
	cut_windows(x, &pool);
	extract_together(pool.n_windows, put_files, &pool);
	free(pool.windows);
}
