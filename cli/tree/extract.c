/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/tree/extract.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/message.h"
#include "cli/tree/outfile.h"
#include "store/util/duration.h"

/* ---- what went wrong, what is done --------------------------------------------- */

static int fail_with(struct extraction *x, int r, const char *path, const char *why)
{
	pthread_mutex_lock(&x->lock);
	if (!x->error) {
		x->error = r;
		err_set(x->err, -r, "%s%s%s", path, *path ? ": " : "", why);
	}
	pthread_mutex_unlock(&x->lock);
	atomic_store(&x->failed, true);
	return r;
}

/* The path below the prefix. */
static char *path_of(const struct extraction *x, uint32_t entry)
{
	CLEANUP_BUF struct buf path = BUF_INIT, prefix = BUF_INIT;

	must(pack_path(&x->r->pack, x->root, &prefix));
	must(pack_path(&x->r->pack, entry, &path));
	must(buf_append(&path, "", 1));
	return xstrdup((char *)path.data +
		       (prefix.len && path.len > prefix.len + 1 ? prefix.len + 1 : 0));
}

int extract_fail(struct extraction *x, uint32_t entry, int r, const char *why)
{
	CLEANUP_FREE char *path = path_of(x, entry);

	return fail_with(x, r, path, why ? why : strerror(-r));
}

bool extract_ends(struct extraction *x)
{
	if (x->how->stop && atomic_load(x->how->stop))
		fail_with(x, -EINTR, "", "interrupted");
	return atomic_load(&x->failed);
}

void extract_progress(struct extraction *x)
{
	if (x->how->progress)
		x->how->progress(x->how->arg, x->written_files + x->kept_files,
				 x->written_bytes + x->kept_bytes);
}

void extract_count(struct extraction *x, bool written, uint64_t bytes)
{
	atomic_fetch_add(written ? &x->written_files : &x->kept_files, 1);
	atomic_fetch_add(written ? &x->written_bytes : &x->kept_bytes, bytes);
}

/* ---- permissions and times ------------------------------------------------------- */

mode_t extract_mode(const struct extraction *x, const struct pack_entry *e)
{
	return e->mode & 0777 & ~x->umask;
}

static struct timespec timespec_of(int64_t ns)
{
	int64_t rest = ns % NSEC_PER_SEC;

	if (rest < 0) /* before 1970 */
		rest += NSEC_PER_SEC;
	return (struct timespec){.tv_sec = (time_t)((ns - rest) / NSEC_PER_SEC),
				 .tv_nsec = (long)rest};
}

void extract_times(const struct extraction *x, const struct pack_entry *e,
		   struct timespec ret_times[2])
{
	ret_times[0] = (struct timespec){.tv_nsec = UTIME_OMIT};
	ret_times[1] = (struct timespec){.tv_nsec = UTIME_OMIT};
	if (x->how->mtime == EXTRACT_MTIME_KEEP)
		ret_times[1] = timespec_of(e->mtime_ns);
}

bool extract_time_differs(const struct extraction *x, const struct pack_entry *e,
			  const struct stat *st)
{
	struct timespec want = timespec_of(e->mtime_ns);

	return x->how->mtime == EXTRACT_MTIME_KEEP &&
	       (want.tv_sec != st->st_mtim.tv_sec || want.tv_nsec != st->st_mtim.tv_nsec);
}

static int set_time(const struct extraction *x, int dirfd, const char *name,
		    const struct pack_entry *e)
{
	struct timespec times[2];

	extract_times(x, e, times);
	return utimensat(dirfd, name, times, AT_SYMLINK_NOFOLLOW) ? -errno : 0;
}

bool extract_keep(struct extraction *x, int dirfd, const char *name,
		  const struct pack_entry *e, const struct stat *st, bool learn)
{
	mode_t want = extract_mode(x, e);
	bool wrong_mode = (st->st_mode & 07777) != want;

	if (wrong_mode && fchmodat(dirfd, name, want, AT_SYMLINK_NOFOLLOW))
		return false;
	if (extract_time_differs(x, e, st))
		return set_time(x, dirfd, name, e) == 0;
	if (learn && !wrong_mode && x->how->fh)
		filehash_learn(x->how->fh, st, e->hash);
	return true;
}

/* ---- the tree -------------------------------------------------------------------- */

struct visit {
	struct extraction *x;
	uint32_t entry;
	struct pack_entry e;
	struct entry_name name;
	int dirfd;  /* what it is in */
	bool fresh; /* which was made just now */
};

static int visit_failed(const struct visit *v, int r, const char *why)
{
	return extract_fail(v->x, v->entry, r, why);
}

/* lstat(2); st_mode 0: nothing is there. */
static int look(const struct visit *v, struct stat *ret_st)
{
	const struct stat *const *seen = v->x->how->seen;

	*ret_st = (struct stat){0};
	if (!v->fresh && seen && seen[v->entry]) {
		*ret_st = *seen[v->entry];
		return 0;
	}
	if (v->fresh || fstatat(v->dirfd, v->name.text, ret_st, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	*ret_st = (struct stat){0};
	return errno == ENOENT ? 0 : visit_failed(v, -errno, NULL);
}

static void touch_parent(const struct visit *v)
{
	v->x->flags[v->e.parent] |= EXTRACT_TOUCHED;
}

/* Take an empty directory out of the way of something else. */
static int clear_directory(const struct visit *v)
{
	touch_parent(v);
	if (unlinkat(v->dirfd, v->name.text, AT_REMOVEDIR) == 0)
		return 0;
	if (errno == ENOTEMPTY || errno == EEXIST)
		return visit_failed(v, -ENOTEMPTY,
				    "a directory that is not empty is in its place; "
				    "remove it first");
	return visit_failed(v, -errno, NULL);
}

static int visit_dir(const struct visit *v)
{
	uint8_t *flags = &v->x->flags[v->entry];
	mode_t want = extract_mode(v->x, &v->e);
	struct stat st;
	int r = look(v, &st);

	if (r)
		return r;
	if (S_ISDIR(st.st_mode)) {
		if ((st.st_mode & 0777) != want || extract_time_differs(v->x, &v->e, &st))
			*flags |= EXTRACT_TOUCHED;
		return 0;
	}
	touch_parent(v);
	if (st.st_mode && unlinkat(v->dirfd, v->name.text, 0))
		return visit_failed(v, -errno, NULL);
	/* Until it is filled, it must be possible to. */
	if (mkdirat(v->dirfd, v->name.text, (v->e.mode & 0777) | 0700))
		return visit_failed(v, -errno, NULL);
	*flags |= EXTRACT_MADE | EXTRACT_TOUCHED;
	return 0;
}

bool extract_target_is(int dirfd, const char *name, const struct pack_entry *e)
{
	char now[PACK_TARGET_MAX + 2];
	ssize_t n = readlinkat(dirfd, name, now, sizeof(now));

	return n == (ssize_t)e->target.len && memcmp(now, e->target.data, (size_t)n) == 0;
}

static int keep_link(const struct visit *v, const struct stat *st)
{
	if (extract_time_differs(v->x, &v->e, st))
		set_time(v->x, v->dirfd, v->name.text, &v->e);
	extract_count(v->x, false, 0);
	return 0;
}

static int visit_link(const struct visit *v)
{
	char target[PACK_TARGET_MAX + 1] = "";
	struct stat st;
	int r = look(v, &st);

	memcpy(target, v->e.target.data, v->e.target.len);
	if (!r && S_ISDIR(st.st_mode))
		r = clear_directory(v);
	if (r)
		return r;
	if (S_ISLNK(st.st_mode) && extract_target_is(v->dirfd, v->name.text, &v->e))
		return keep_link(v, &st);
	touch_parent(v);
	r = outfile_symlink(v->dirfd, target, v->name.text);
	if (!r)
		r = set_time(v->x, v->dirfd, v->name.text, &v->e);
	if (r)
		return visit_failed(v, r, NULL);
	extract_count(v->x, true, 0);
	return 0;
}

static void add_job(const struct visit *v, enum job_state state)
{
	struct extraction *x = v->x;

	if (x->n_jobs == x->jobs_cap) {
		x->jobs_cap = x->jobs_cap ? 2 * x->jobs_cap : 256;
		x->jobs = xreallocarray(x->jobs, x->jobs_cap, sizeof(*x->jobs));
	}
	x->jobs[x->n_jobs++] = (struct job){.entry = v->entry, .state = state};
	touch_parent(v);
}

bool extract_content_known(const struct extraction *x, const struct pack_entry *e,
			   const struct stat *st, enum job_state *ret_state)
{
	uint8_t hash[FILEHASH_BYTES];

	*ret_state = JOB_REPLACE;
	if (!S_ISREG(st->st_mode) || (uint64_t)st->st_size != e->size_bytes)
		return false;
	if (!e->size_bytes)
		return true;
	if (x->how->fh && filehash_known(x->how->fh, st, hash))
		return memcmp(hash, e->hash, sizeof(hash)) == 0;
	*ret_state = JOB_COMPARE;
	return false;
}

static int visit_file(const struct visit *v)
{
	enum job_state state = JOB_NEW;
	struct stat st;
	int r = look(v, &st);

	if (!r && S_ISDIR(st.st_mode)) {
		r = clear_directory(v);
		st.st_mode = 0;
	}
	if (r)
		return r;
	if (st.st_mode && extract_content_known(v->x, &v->e, &st, &state)) {
		if (extract_keep(v->x, v->dirfd, v->name.text, &v->e, &st, false)) {
			extract_count(v->x, false, v->e.size_bytes);
			return 0;
		}
		state = JOB_REPLACE; /* another user's */
	}
	add_job(v, state);
	return 0;
}

static int visit(struct extraction *x, struct dirstack *d, uint32_t entry)
{
	struct visit v = {.x = x, .entry = entry};
	int r;

	if (x->flags[entry] & EXTRACT_SAME)
		return 0;
	pack_get(&x->r->pack, entry, &v.e);
	v.name = entry_name(&v.e);
	v.fresh = x->flags[v.e.parent] & EXTRACT_MADE;
	r = dirstack_get(d, v.e.parent, &v.dirfd);
	if (r)
		return visit_failed(&v, r, NULL);
	if (v.e.type == PACK_DIR)
		return visit_dir(&v);
	return v.e.type == PACK_LINK ? visit_link(&v) : visit_file(&v);
}

static void look_at_tree(struct extraction *x)
{
	CLEANUP_DIRSTACK struct dirstack d = dirstack_of(&x->r->pack, x->root, x->dirfd);
	uint32_t i = x->root;

	while ((i = packread_next(&x->r->pack, x->root, i)) && !extract_ends(x)) {
		if (x->flags[i] & EXTRACT_WANTED)
			visit(x, &d, i);
		extract_progress(x);
	}
}

/* ---- what was asked for ------------------------------------------------------------ */

/* An entry and what is above it. */
static void want(struct extraction *x, uint32_t entry)
{
	struct pack_entry e;

	while (entry != x->root && !(x->flags[entry] & EXTRACT_WANTED)) {
		x->flags[entry] |= EXTRACT_WANTED;
		pack_get(&x->r->pack, entry, &e);
		entry = e.parent;
	}
}

static void choose(struct extraction *x)
{
	uint32_t i = x->root;

	if (!x->how->only && x->root == 0) {
		memset(x->flags + 1, EXTRACT_WANTED, pack_entries(&x->r->pack) - 1);
		return;
	}
	while ((i = packread_next(&x->r->pack, x->root, i))) {
		CLEANUP_FREE char *path = x->how->only ? path_of(x, i) : NULL;
		struct pack_entry e;

		pack_get(&x->r->pack, i, &e);
		if (!path || patterns_match(x->how->only, path, e.type == PACK_DIR))
			want(x, i);
	}
}

/* ---- directories, at last ------------------------------------------------------------
 */

static int finish_dir(struct extraction *x, struct dirstack *d, uint32_t entry)
{
	struct pack_entry e;
	struct entry_name name;
	struct stat st;
	int fd, r;

	pack_get(&x->r->pack, entry, &e);
	name = entry_name(&e);
	r = dirstack_get(d, entry, &fd);
	if (r || fstat(fd, &st))
		return extract_fail(x, entry, r ? r : -errno, NULL);
	if ((st.st_mode & 0777) != extract_mode(x, &e) &&
	    fchmod(fd, (st.st_mode & 07000) | extract_mode(x, &e)))
		return extract_fail(x, entry, -errno, NULL);
	r = dirstack_get(d, e.parent, &fd);
	if (!r && extract_time_differs(x, &e, &st))
		r = set_time(x, fd, name.text, &e);
	return r ? extract_fail(x, entry, r, NULL) : 0;
}

static bool is_ours(const struct extraction *x, uint32_t entry)
{
	CLEANUP_FREE char *path = NULL;

	if (x->flags[entry] & EXTRACT_MADE)
		return true;
	if (!x->how->chosen)
		return false;
	path = path_of(x, entry);
	return patterns_match(x->how->chosen, path, true);
}

/* What is in a directory comes before it, so that it need not be entered again. */
static void finish_dirs(struct extraction *x)
{
	CLEANUP_DIRSTACK struct dirstack d = dirstack_of(&x->r->pack, x->root, x->dirfd);
	uint32_t *dirs = NULL, i = x->root;
	size_t n = 0, cap = 0;

	while ((i = packread_next(&x->r->pack, x->root, i))) {
		if (!(x->flags[i] & EXTRACT_TOUCHED) || !is_ours(x, i))
			continue;
		if (n == cap) {
			cap = cap ? 2 * cap : 64;
			dirs = xreallocarray(dirs, cap, sizeof(*dirs));
		}
		dirs[n++] = i;
	}
	while (n-- && !extract_ends(x))
		finish_dir(x, &d, dirs[n]);
	free(dirs);
}

/* ---- all together
 * ---------------------------------------------------------------------- */

static mode_t umask_now(void)
{
	mode_t mask = umask(0);

	umask(mask);
	return mask;
}

static int find_root(struct packread *r, const char *prefix, uint32_t *ret_root,
		     struct errmsg *err)
{
	struct pack_entry e;
	int error = pack_find(&r->pack, prefix, ret_root);

	if (!error) {
		pack_get(&r->pack, *ret_root, &e);
		error = e.type == PACK_DIR ? 0 : -ENOTDIR;
	}
	if (error)
		return err_set(err, -error, "%s: %s in the tree", prefix,
			       error == -ENOENT ? "there is none" : "no directory");
	return 0;
}

int packread_extract(struct packread *r, const char *prefix, int dirfd,
		     const struct extract *how, struct extract_report *ret_report,
		     struct errmsg *err)
{
	struct extraction x = {
	    .r = r, .how = how, .dirfd = dirfd, .umask = umask_now(), .err = err};
	int error = find_root(r, prefix, &x.root, err);

	if (error)
		return error;
	pthread_mutex_init(&x.lock, NULL);
	x.flags = xcalloc(pack_entries(&r->pack), 1);
	choose(&x);
	extract_same(&x);
	look_at_tree(&x);
	if (!extract_ends(&x))
		extract_files(&x);
	if (!extract_ends(&x))
		finish_dirs(&x);
	pthread_mutex_destroy(&x.lock);
	free(x.flags);
	free(x.jobs);
	if (x.error)
		return x.error;
	*ret_report = (struct extract_report){
	    .written_files = x.written_files,
	    .written_bytes = x.written_bytes,
	    .kept_files = x.kept_files,
	    .kept_bytes = x.kept_bytes,
	};
	return 0;
}
