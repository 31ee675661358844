/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/key/stored.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/attrs.h"
#include "cli/copy.h"
#include "cli/key/validate.h"
#include "cli/message.h"
#include "cli/paths.h"
#include "cli/run/result.h"
#include "store/util/duration.h"

#define KEY_MAX_BYTES ((size_t)64 * 1024 * 1024)
#define RESULT_MAX_BYTES ((size_t)4096)
/* So many names are compared by their times; in a larger directory, the first ones. */
#define NAMES_MAX 100000

void stored_deinit(struct stored *st)
{
	free_charp(&st->path);
	buf_deinit(&st->key);
}

/* ---- one -----------------------------------------------------------------------------
 */

/* A file of the result `entry`, which is seen from `dirfd`. */
static int read_file(int dirfd, const char *entry, const char *name, size_t max,
		     struct buf *ret)
{
	CLEANUP_FREE char *path = path_join(entry, name);
	CLEANUP_FD int fd = openat(dirfd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	int r;

	/* An ordinary file, or a directory of other things. */
	if (fd < 0 && (errno == ENOTDIR || errno == EISDIR))
		return -EBADMSG;
	r = fd < 0 ? -errno : copy_to_memory(fd, max, ret);
	return r == -EFBIG ? -EBADMSG : r;
}

static int64_t time_attr(const char *path, const char *name, int64_t otherwise_ns)
{
	CLEANUP_BUF struct buf value = BUF_INIT;
	int64_t ns;

	if (attr_get(path, name, &value) ||
	    attr_seconds_parse((const char *)value.data, &ns))
		return otherwise_ns;
	return ns;
}

/* There: with a `key`. Without one it is something else. */
static int read_key(const char *path, struct stored *st)
{
	struct stat sb;
	int r;

	if (lstat(path, &sb))
		return errno == ENOTDIR ? -ENOENT : -errno;
	r = read_file(AT_FDCWD, path, "key", KEY_MAX_BYTES, &st->key);
	return r == -ENOENT ? -EBADMSG : r;
}

int stored_read(const char *entry, struct stored *ret_stored)
{
	CLEANUP_STORED struct stored st = STORED_INIT;
	CLEANUP_BUF struct buf text = BUF_INIT;
	struct result result;
	int r = read_key(entry, &st);

	if (!r)
		r = read_file(AT_FDCWD, entry, "result", RESULT_MAX_BYTES, &text);
	if (!r)
		r = result_parse(buf_slice(&text), &result);
	if (r)
		return r;
	st.exit_code = result.exit_code;
	st.created_ns = time_attr(entry, "created", 0);
	st.expires_ns = time_attr(entry, "expires", DURATION_NONE);
	st.path = xstrdup(entry);
	*ret_stored = st;
	st = STORED_INIT;
	return 0;
}

/* ---- the nearest ---------------------------------------------------------------------
 */

struct neighbour {
	char *name;
	struct timespec mtime;
};

struct neighbours {
	struct neighbour *list;
	size_t n, cap;
};

static void neighbours_deinit(struct neighbours *ns)
{
	for (size_t i = 0; i < ns->n; i++)
		free(ns->list[i].name);
	free(ns->list);
}

static int newest_first(const void *a, const void *b)
{
	const struct timespec *s = &((const struct neighbour *)a)->mtime;
	const struct timespec *t = &((const struct neighbour *)b)->mtime;

	if (s->tv_sec != t->tv_sec)
		return s->tv_sec < t->tv_sec ? 1 : -1;
	return (s->tv_nsec < t->tv_nsec) - (s->tv_nsec > t->tv_nsec);
}

static void add_neighbour(struct neighbours *ns, int dirfd, const char *name)
{
	struct stat st;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) || !S_ISDIR(st.st_mode))
		return;
	if (ns->n == ns->cap) {
		ns->cap = ns->cap ? 2 * ns->cap : 64;
		ns->list = xreallocarray(ns->list, ns->cap, sizeof(*ns->list));
	}
	ns->list[ns->n++] = (struct neighbour){xstrdup(name), st.st_mtim};
}

/* Those in `dir` but for `except`, the newest first. */
static void list_neighbours(int dirfd, const char *except, struct neighbours *ns)
{
	int fd = openat(dirfd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *de;

	if (!dir) {
		close_fdp(&fd);
		return;
	}
	while (ns->n < NAMES_MAX && (de = readdir(dir))) {
		if (de->d_name[0] != '.' && strcmp(de->d_name, except) != 0)
			add_neighbour(ns, dirfd, de->d_name);
	}
	closedir(dir);
	if (ns->n)
		qsort(ns->list, ns->n, sizeof(*ns->list), newest_first);
}

/* How `name` differs; 0 or less: it is no result that can be compared. */
static int compare_one(const struct key_options *o, const struct key *k, int dirfd,
		       const char *name, struct buf *ret_lines)
{
	CLEANUP_BUF struct buf key = BUF_INIT;

	if (read_file(dirfd, name, "key", KEY_MAX_BYTES, &key))
		return 0;
	return validate_differences(o, buf_slice(&key), buf_slice(&k->text), ret_lines);
}

/* The name of the nearest, or NULL. */
static const char *find_nearest(const struct key_options *o, const struct key *k,
				int dirfd, const struct neighbours *ns,
				struct buf *ret_lines, int *ret_count)
{
	const char *best = NULL;

	for (size_t i = 0; i < ns->n && i < STORED_LOOKED_AT; i++) {
		CLEANUP_BUF struct buf lines = BUF_INIT;
		int count = compare_one(o, k, dirfd, ns->list[i].name, &lines);

		if (count <= 0 || (best && count >= *ret_count))
			continue;
		best = ns->list[i].name;
		*ret_count = count;
		must(buf_set(ret_lines, lines.data, lines.len));
	}
	return best;
}

int stored_nearest(const struct key_options *o, const struct key *k, const char *entry,
		   struct stored *ret_stored, struct buf *ret_lines, int *ret_count)
{
	CLEANUP_FREE char *parent = path_parent(entry), *path = NULL;
	CLEANUP_FD int dirfd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct neighbours ns = {NULL};
	const char *name = NULL;
	int r = -ENOENT;

	if (dirfd < 0)
		return r;
	list_neighbours(dirfd, path_base(entry), &ns);
	name = find_nearest(o, k, dirfd, &ns, ret_lines, ret_count);
	if (name) {
		path = path_join(parent, name);
		r = stored_read(path, ret_stored);
	}
	neighbours_deinit(&ns);
	return r;
}
