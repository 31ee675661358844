/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/userdirs.h"

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/message.h"
#include "cli/paths.h"

static const char *absolute_env(const char *name)
{
	const char *value = getenv(name);

	return value && *value == '/' ? value : NULL;
}

bool userdir_is_mine(const struct stat *st, mode_t forbidden)
{
	return S_ISDIR(st->st_mode) && st->st_uid == geteuid() &&
	       !(st->st_mode & forbidden);
}

/* After `su` the variable may still be another's. */
const char *userdir_runtime(void)
{
	const char *dir = absolute_env("XDG_RUNTIME_DIR");
	struct stat st;

	return dir && lstat(dir, &st) == 0 && userdir_is_mine(&st, 022) ? dir : NULL;
}

int userdir_cache(char **ret_dir, struct errmsg *err)
{
	const char *dir = absolute_env("XDG_CACHE_HOME"), *home = absolute_env("HOME");
	const struct passwd *pw;

	if (dir) {
		*ret_dir = path_join(dir, "memofs");
		return 0;
	}
	if (!home) {
		pw = getpwuid(geteuid());
		home = pw && *pw->pw_dir == '/' ? pw->pw_dir : NULL;
	}
	if (!home)
		return err_set(err, ENOENT,
			       "there is no home directory for a store; set "
			       "XDG_CACHE_HOME, or use --cache");
	*ret_dir = path_join(home, ".cache/memofs");
	return 0;
}

/* Nobody else can put another directory in the place of what is in it. */
static bool is_safe(const char *dir)
{
	struct stat st;

	return stat(dir, &st) == 0 && (st.st_uid == geteuid() || !st.st_uid) &&
	       (!(st.st_mode & S_IWOTH) || st.st_mode & S_ISVTX);
}

static int not_ours(const char *dir, struct errmsg *err)
{
	return err_set(err, EACCES,
		       "%s is not a directory of yours alone, so no store is kept in it; "
		       "set XDG_CACHE_HOME or HOME to one of yours",
		       dir);
}

/* Made if it is missing, unless that is the affair of another user. */
static int make_cache(const char *cache, struct errmsg *err)
{
	CLEANUP_FREE char *up = path_parent(cache);

	if (access(up, F_OK) == 0 && !is_safe(up))
		return not_ours(up, err);
	if (mkdir(cache, 0700) && errno != EEXIST)
		return err_set(err, errno,
			       "%s: %s; set XDG_CACHE_HOME to a directory for the store, "
			       "or use --cache",
			       cache, strerror(errno));
	return is_safe(cache) ? 0 : not_ours(cache, err);
}

int userdir_cache_make(char **ret_dir, struct errmsg *err)
{
	CLEANUP_FREE char *dir = NULL, *cache = NULL;
	struct stat link, st;
	int r = userdir_cache(&dir, err);

	if (r)
		return r;
	cache = path_parent(dir);
	r = make_cache(cache, err);
	if (r)
		return r;
	if (mkdir(dir, 0700) && errno != EEXIST)
		return err_set(err, errno, "%s: %s", dir, strerror(errno));
	if (lstat(dir, &link) || stat(dir, &st))
		return err_set(err, errno, "%s: %s", dir, strerror(errno));
	if (!userdir_is_mine(&st, S_IWOTH) || (link.st_uid != geteuid() && link.st_uid))
		return not_ours(dir, err);
	/* As the daemon names the store. */
	*ret_dir = realpath(dir, NULL);
	return *ret_dir ? 0 : err_set(err, errno, "%s: %s", dir, strerror(errno));
}
