/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/tar/place.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/message.h"
#include "cli/tree/beneath.h"

/* ---- names ---------------------------------------------------------------------------
 */

/* What a part of a path is, by the parts before it. */
enum part {
	PART_NAME,
	PART_CONTROL,	/* .memofs */
	PART_VERSIONS,	/* versions in it, */
	PART_VIEW,	/* or view */
	PART_DIRECTORY, /* the name of a version, or `version=`: a directory again */
	PART_BAD,
};

static enum part classify(enum part before, const char *part)
{
	switch (before) {
	case PART_NAME:
	case PART_DIRECTORY:
		return strcmp(part, ".memofs") ? PART_NAME : PART_CONTROL;
	case PART_CONTROL:
		if (strcmp(part, "versions") == 0)
			return PART_VERSIONS;
		return strcmp(part, "view") ? PART_BAD : PART_VIEW;
	case PART_VERSIONS:
		return PART_DIRECTORY;
	case PART_VIEW:
		return strcmp(part, "version=") ? PART_BAD : PART_DIRECTORY;
	case PART_BAD:
		break;
	}
	return PART_BAD;
}

static int take_part(const char *part, enum part *is, struct buf *path,
		     const char **ret_why)
{
	if (!*part || strcmp(part, ".") == 0)
		return 0;
	*ret_why = "a path that leaves the directory";
	if (strcmp(part, "..") == 0)
		return -EINVAL;
	*ret_why = "a path in .memofs that is no version of a directory";
	*is = classify(*is, part);
	if (*is == PART_BAD)
		return -EINVAL;
	if (path->len)
		must(buf_append(path, "/", 1));
	must(buf_append(path, part, strlen(part)));
	return 0;
}

int place_path(const char *name, struct buf *ret_path, bool *ret_control,
	       const char **ret_why)
{
	CLEANUP_FREE char *copy = xstrdup(name);
	enum part is = PART_NAME;
	char *rest = copy, *part;
	int r = 0;

	buf_clear(ret_path);
	*ret_why = "an absolute path";
	if (*name == '/')
		return -EINVAL;
	while (!r && (part = strsep(&rest, "/")))
		r = take_part(part, &is, ret_path, ret_why);
	if (r)
		return r;
	must(buf_append(ret_path, "", 1));
	*ret_control = is != PART_NAME;
	return 0;
}

/* ---- directories ----------------------------------------------------------------------
 */

void place_forget(struct place *p)
{
	close_fdp(&p->fd);
	p->fd = -1;
	buf_clear(&p->dir);
}

void place_deinit(struct place *p)
{
	place_forget(p);
	buf_deinit(&p->dir);
	buf_deinit(&p->bad);
}

static const char *text(const struct buf *b)
{
	return b->len ? (const char *)b->data : "";
}

/* Is `path` the directory that cannot be made, or below it? */
static bool is_bad(const struct place *p, const char *path)
{
	size_t len = strlen(text(&p->bad));

	return len && strncmp(path, text(&p->bad), len) == 0 &&
	       (path[len] == '/' || !path[len]);
}

/* The directory before the last slash, which is cut off `path`; "" is the root. */
static char *cut_last(char *path)
{
	char *slash = strrchr(path, '/');

	if (!slash)
		return NULL;
	*slash = '\0';
	return slash + 1;
}

static int open_dir(const struct place *p, const char *path)
{
	return beneath_open(p->root, path, O_PATH | O_DIRECTORY);
}

/* mkdir -p. Returns a descriptor. */
static int make_dir(const struct place *p, const char *path)
{
	CLEANUP_FREE char *above = xstrdup(path);
	CLEANUP_FD int up = -1;
	const char *name = cut_last(above);
	int fd = open_dir(p, path);

	if (fd != -ENOENT || !*path)
		return fd;
	up = make_dir(p, name ? above : "");
	if (up < 0)
		return up;
	if (mkdirat(up, name ? name : path, 0777) && errno != EEXIST)
		return -errno;
	return open_dir(p, path);
}

int place_enter(struct place *p, const char *path, const char **ret_name)
{
	const char *slash = strrchr(path, '/');
	size_t len = slash ? (size_t)(slash - path) : 0;
	int fd;

	if (p->fd < 0 || strlen(text(&p->dir)) != len ||
	    strncmp(text(&p->dir), path, len) != 0) {
		place_forget(p);
		must(buf_set(&p->dir, path, len));
		must(buf_append(&p->dir, "", 1));
		if (is_bad(p, text(&p->dir)))
			return -ECANCELED;
		fd = make_dir(p, text(&p->dir));
		if (fd < 0) {
			must(buf_set(&p->bad, p->dir.data, p->dir.len));
			return fd;
		}
		p->fd = fd;
	}
	*ret_name = slash ? slash + 1 : path;
	return 0;
}
