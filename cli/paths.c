/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/paths.h"

#include <errno.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "cli/command.h"
#include "cli/message.h"
#include "store/util/buf.h"

/* Append the components of `path` to `out`, which holds an absolute path or nothing. */
static void append_normal(struct buf *out, const char *path)
{
	while (*path) {
		size_t len = strcspn(path, "/");

		if (len == 2 && strncmp(path, "..", 2) == 0) {
			while (out->len && out->data[--out->len] != '/')
				;
		} else if (len && !(len == 1 && *path == '.')) {
			must(buf_append(out, "/", 1));
			must(buf_append(out, path, len));
		}
		path += len;
		path += *path == '/';
	}
}

char *path_absolute(const char *path)
{
	struct buf out = BUF_INIT;

	if (*path != '/') {
		CLEANUP_FREE char *cwd = getcwd(NULL, 0);

		if (cwd)
			append_normal(&out, cwd);
	}
	append_normal(&out, path);
	if (!out.len)
		must(buf_append(&out, "/", 1));
	must(buf_append(&out, "", 1));
	return (char *)out.data;
}

const char *path_base(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? slash + 1 : path;
}

char *path_parent(const char *path)
{
	char *dir = xstrdup(path);
	size_t len = strlen(dir);

	while (len && dir[len - 1] == '/') /* slashes at the end */
		len--;
	while (len && dir[len - 1] != '/')
		len--;
	while (len > 1 && dir[len - 1] == '/')
		len--;
	if (len)
		dir[len] = '\0';
	else
		strcpy(dir, *path == '/' ? "/" : ".");
	return dir;
}

char *path_join(const char *dir, const char *name)
{
	size_t len = strlen(dir);
	char *path;

	if (strcmp(dir, ".") == 0)
		return xstrdup(name);
	if (asprintf(&path, "%s%s%s", dir, len && dir[len - 1] == '/' ? "" : "/", name) <
	    0)
		must(-ENOMEM);
	return path;
}

/* The directory to ask: `path` itself if it is one, else what it is in. */
static char *nearest_dir(const char *path, struct stat *ret_st, int *ret_errno)
{
	char *dir = xstrdup(path);

	for (;;) {
		char *up;

		if (stat(dir, ret_st) == 0) {
			*ret_errno = 0;
			if (S_ISDIR(ret_st->st_mode))
				return dir;
		} else {
			*ret_errno = errno;
			if (errno != ENOENT && errno != ENOTDIR &&
			    errno != ENAMETOOLONG && errno != ESTALE)
				return dir;
		}
		up = path_parent(dir);
		if (strcmp(up, dir) == 0) {
			free(up);
			return dir;
		}
		free(dir);
		dir = up;
	}
}

/*
 * `.memofs` answers in every directory of a mount, also where /proc is missing
 * or the directory was bind-mounted into a container. Inside `.memofs` itself
 * it does not; there the list of mounts tells.
 */
static bool dir_is_memofs(const char *dir, const struct stat *st)
{
	CLEANUP_FREE char *control = path_join(dir, ".memofs");
	CLEANUP_MOUNTS struct mounts ms = MOUNTS_INIT;
	struct statfs fs;
	struct stat cst;

	if (statfs(dir, &fs) || fs.f_type != FUSE_SUPER_MAGIC)
		return false;
	if (lstat(control, &cst) == 0 && S_ISDIR(cst.st_mode))
		return true;
	return mounts_read(&ms) == 0 && mounts_of_dev(&ms, st->st_dev);
}

static void complain_dead(const char *path)
{
	CLEANUP_MOUNTS struct mounts ms = MOUNTS_INIT;
	CLEANUP_FREE char *absolute = path_absolute(path);
	const struct mount *m = mounts_read(&ms) ? NULL : mounts_over(&ms, absolute);

	if (m && mount_is_memofs(m))
		cli_error("%s: the daemon of this mount has ended; "
			  "run: memofs umount %s",
			  path, m->point);
	else
		cli_error("%s: %s", path, strerror(ENOTCONN));
}

int path_check_inside(const char *path)
{
	struct stat st;
	int err;
	CLEANUP_FREE char *dir = nearest_dir(path, &st, &err);

	if (err == ENOTCONN || err == ECONNABORTED) {
		complain_dead(path);
		return CLI_MOUNT;
	}
	if (err && err != ENOENT) {
		cli_error("%s: %s", dir, strerror(err));
		return CLI_FAILED;
	}
	if (!err && dir_is_memofs(dir, &st))
		return CLI_OK;
	cli_error("%s is not inside a memofs mount", path);
	return CLI_MOUNT;
}

static const struct mount *not_a_mount(const struct mounts *ms, const char *path,
				       const char *absolute)
{
	const struct mount *m = mounts_at(ms, absolute), *over;

	if (m) {
		cli_error("%s is a mount of %s, not of memofs", path, m->type);
		return NULL;
	}
	over = mounts_over(ms, absolute);
	if (over && mount_is_memofs(over))
		cli_error("%s is not a mount point; it is in the memofs mount %s", path,
			  over->point);
	else
		cli_error("%s is not a mount point", path);
	return NULL;
}

const struct mount *path_mount_point(const struct mounts *ms, const char *path)
{
	CLEANUP_FREE char *absolute = path_absolute(path), *real = NULL;
	const struct mount *m = mounts_at(ms, absolute);

	if (!m) {
		real = realpath(path, NULL);
		m = real ? mounts_at(ms, real) : NULL;
	}
	if (m && mount_is_memofs(m))
		return m;
	return not_a_mount(ms, path, real ? real : absolute);
}
