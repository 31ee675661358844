/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cache.h"

#include <errno.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "cli/automount.h"
#include "cli/entry.h"
#include "cli/message.h"
#include "cli/paths.h"

#define OWN_NAMESPACE "default"
#define IN_TREE "%s is a tree, in which nothing can be stored; use another key"

/* What --cache or the environment name; NULL: this user's own mount. */
static const char *named(const char *given)
{
	const char *env = getenv("MEMOFS_CACHE");

	if (given)
		return given;
	return env && *env ? env : NULL;
}

/* 0, or -EINVAL: it is in no mount of memofs; or what is wrong with that. */
static int ask_memofs(const char *dir)
{
	CLEANUP_FREE char *control = path_join(dir, ".memofs");
	struct statfs fs;
	struct stat st;

	if (statfs(dir, &fs))
		return -errno;
	if (fs.f_type != FUSE_SUPER_MAGIC)
		return -EINVAL;
	if (lstat(control, &st))
		return errno == ENOENT ? -EINVAL : -errno;
	return S_ISDIR(st.st_mode) ? 0 : -EINVAL;
}

static int no_cache(const char *dir, int errnum, struct errmsg *err)
{
	switch (errnum) {
	case ENOTCONN:
	case ECONNABORTED:
		return err_set(err, ENOTCONN,
			       "%s: the daemon of this mount has ended; run: memofs "
			       "umount, and mount it again",
			       dir);
	case EINVAL:
		if (entry_is_tree(dir, S_IFDIR))
			return err_set(err, EPERM, IN_TREE, dir);
		return err_set(err, EINVAL, "%s is not a directory in a memofs mount",
			       dir);
	default:
		return err_set(err, errnum, "%s: %s", dir, strerror(errnum));
	}
}

/* Make `dir`, if what it is to be in is in a mount. */
static int make_inside(const char *dir, struct errmsg *err)
{
	CLEANUP_FREE char *up = path_parent(dir);
	struct stat st;
	int r = 0;

	if (stat(up, &st)) {
		if (errno != ENOENT || strcmp(up, dir) == 0)
			return no_cache(dir, errno, err);
		r = make_inside(up, err);
	} else {
		r = ask_memofs(up);
		if (r)
			return no_cache(dir, -r, err);
	}
	if (!r && mkdir(dir, 0777) && errno != EEXIST)
		r = no_cache(dir, errno, err);
	return r;
}

static int check(const char *dir, bool make, struct errmsg *err)
{
	struct stat st;

	if (stat(dir, &st) == 0) {
		int r = S_ISDIR(st.st_mode) ? ask_memofs(dir) : -EINVAL;

		return r ? no_cache(dir, -r, err) : 0;
	}
	if (errno == ENOENT && make)
		return make_inside(dir, err);
	return no_cache(dir, errno, err);
}

static int find_named(const char *name, const char *source, bool start, char **ret_dir,
		      struct errmsg *err)
{
	struct errmsg why;
	CLEANUP_FREE char *dir = *name ? path_absolute(name) : NULL;
	int r;

	if (!dir)
		return err_set(err, EINVAL,
			       "--cache: the name of the directory is empty");
	r = check(dir, start, &why);
	if (r == -EINVAL)
		return err_set(err, EINVAL,
			       "%s; mount one there, or leave %s out for one of your own",
			       why.text, source);
	if (r)
		return err_set(err, -r, "%s", why.text);
	*ret_dir = dir;
	dir = NULL;
	return 0;
}

/* What said where it is. */
static const char *source_of(const char *given)
{
	return given ? "--cache" : "MEMOFS_CACHE";
}

static int find_own(bool start, char **ret_dir, struct errmsg *err)
{
	CLEANUP_FREE char *point = NULL, *dir = NULL;
	int r = automount_point(&point, err);

	if (!r) {
		dir = path_join(point, OWN_NAMESPACE);
		r = check(dir, false, err);
	}
	if (r && start) {
		free_charp(&point);
		r = automount_start(&point, err);
		if (r)
			return r;
		free_charp(&dir);
		dir = path_join(point, OWN_NAMESPACE);
		r = check(dir, true, err);
	}
	if (!start && (r == -EINVAL || r == -ENOENT)) /* an ordinary directory, or none */
		return err_set(err, ENOENT,
			       "no cache of your own is mounted%s%s; memofs cache "
			       "mounts it",
			       point ? " at " : "", point ? point : "");
	if (r)
		return r;
	*ret_dir = dir;
	dir = NULL;
	return 0;
}

char *cache_guess(const char *given)
{
	const char *name = named(given);
	CLEANUP_FREE char *point = NULL;

	if (name)
		return *name ? path_absolute(name) : NULL;
	return automount_point(&point, NULL) ? NULL : path_join(point, OWN_NAMESPACE);
}

int cache_find(const char *given, bool start, char **ret_dir, struct errmsg *err)
{
	const char *name = named(given);

	return name ? find_named(name, source_of(given), start, ret_dir, err)
		    : find_own(start, ret_dir, err);
}

int cache_find_kept(const char *given, char **ret_dir, struct errmsg *err)
{
	const char *name = named(given);

	if (name)
		return find_named(name, source_of(given), false, ret_dir, err);
	if (find_own(false, ret_dir, err) == 0)
		return 0;
	return automount_is_kept(err) ? find_own(true, ret_dir, err) : -ENOENT;
}

/* ---- entries ------------------------------------------------------------------ */

static bool is_part(const char *part, size_t len, const char *text)
{
	return len == strlen(text) && memcmp(part, text, len) == 0;
}

int cache_check_key(const char *key, struct errmsg *err)
{
	const char *last = path_base(key);

	if (!*last || strcmp(last, ".") == 0)
		return err_set(err, EINVAL, "\"%s\" does not name an entry", key);
	for (const char *part = key; *part; part += *part == '/') {
		size_t len = strcspn(part, "/");

		if (is_part(part, len, "..") || is_part(part, len, ".memofs"))
			return err_set(err, EINVAL,
				       "\"%s\" is no key: `%.*s` cannot be a part of one",
				       key, (int)len, part);
		part += len;
	}
	return 0;
}

static int entry_at(const char *path, char **ret_path, struct errmsg *err)
{
	CLEANUP_FREE char *absolute = path_absolute(path);
	CLEANUP_FREE char *dir = path_parent(absolute);
	int r = check(dir, false, err);

	if (r == -ENOENT) { /* its directory is to be made, or this is a miss */
		CLEANUP_FREE char *up = path_parent(dir);
		struct stat st;

		while (stat(up, &st) && errno == ENOENT) {
			char *next = path_parent(up);

			free(up);
			up = next;
		}
		r = check(up, false, err);
	}
	if (r)
		return r;
	*ret_path = absolute;
	absolute = NULL;
	return 0;
}

int cache_entry(const char *given, const char *key, bool start, char **ret_path,
		struct errmsg *err)
{
	CLEANUP_FREE char *dir = NULL;
	int r = cache_check_key(key, err);

	if (r)
		return r;
	if (*key == '/' || ask_memofs(".") == 0)
		return entry_at(key, ret_path, err);
	r = cache_find(given, start, &dir, err);
	if (r)
		return r;
	*ret_path = path_join(dir, key);
	return 0;
}

/* What is the nearest that is there, and all above: a tree never changes. */
static int check_no_tree(const char *dir, struct errmsg *err)
{
	CLEANUP_FREE char *path = xstrdup(dir);
	char *slash;

	do {
		if (entry_is_tree(path, S_IFDIR))
			return err_set(err, EPERM, IN_TREE, path);
		slash = strrchr(path, '/');
		if (slash)
			*slash = '\0';
	} while (slash && slash != path);
	return 0;
}

int cache_make_parents(const char *entry, struct errmsg *err)
{
	CLEANUP_FREE char *path = xstrdup(entry);
	char *last = path + (path_base(path) - path), *at = last;
	int r;

	/* What is there already is most of it: look upwards first. */
	while (at > path + 1) {
		at[-1] = '\0';
		if (access(path, F_OK) == 0 || errno != ENOENT)
			break;
		at = path + (path_base(path) - path);
	}
	r = check_no_tree(path, err);
	if (r)
		return r;
	/* It may have been unmounted meanwhile. */
	r = at < last ? ask_memofs(path) : 0;
	if (r)
		return no_cache(path, -r, err);
	for (; at < last; at += strlen(at) + 1) {
		at[-1] = '/';
		if (mkdir(path, 0777) && errno != EEXIST)
			return err_set(err, errno, "%s: %s", path, strerror(errno));
	}
	return 0;
}
