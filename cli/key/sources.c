/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/key/sources.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "cli/copy.h"
#include "cli/key/hashtext.h"
#include "cli/key/strip.h"
#include "cli/message.h"
#include "cli/tree/pattern.h"
#include "cli/tree/walk.h"
#include "store/util/text.h"

/* How often a file is read again that changed meanwhile. */
#define READS_MAX 3
/* A larger one is no program that somebody wrote. */
#define PROGRAM_MAX_BYTES (16 * 1024 * 1024)

struct reading {
	const char *text;
	const struct sources_how *how;
	struct sources *ss;
	struct errmsg *err;
};

void sources_deinit(struct sources *ss)
{
	for (size_t i = 0; i < ss->n; i++) {
		free(ss->list[i].path);
		free(ss->list[i].value);
	}
	free(ss->list);
	free(ss->base);
	*ss = SOURCES_INIT;
}

static void add(struct sources *ss, const char *path, char *value)
{
	if (ss->n == ss->cap) {
		ss->cap = ss->cap ? 2 * ss->cap : 8;
		ss->list = xreallocarray(ss->list, ss->cap, sizeof(*ss->list));
	}
	ss->list[ss->n++] = (struct source){.path = xstrdup(path), .value = value};
}

/* Of what is behind `path`; "": of what was given. Returns r. */
static int fail(const struct reading *rd, const char *path, int r)
{
	char quoted[TEXT_QUOTE_MAX], inner[TEXT_QUOTE_MAX];
	const char *why = strerror(-r);

	if (r == -ENOENT)
		why = *path ? "it was there, and is not any more"
			    : "there is no such file or directory";
	else if (r == -ELOOP)
		why = "it is a symlink that leads back to itself";
	else if (r == -EAGAIN)
		why = "it changes while it is read";
	text_quote(quoted, rd->text, strlen(rd->text));
	if (!*path)
		return err_set(rd->err, -r, "%s: %s: %s", rd->how->what, quoted, why);
	return err_set(rd->err, -r, "%s: %s: %s: %s", rd->how->what, quoted,
		       text_quote(inner, path, strlen(path)), why);
}

/* ---- contents -------------------------------------------------------------------------
 */

/* The hash of a program without its comments; -EBADMSG: it is none, or not known. */
static int stripped_value(int fd, const struct stat *st, const char *path, char **ret)
{
	CLEANUP_BUF struct buf text = BUF_INIT;
	CLEANUP_BUF struct buf rest = BUF_INIT;
	char hex[HASHTEXT_MAX];
	int r;

	if (st->st_size > PROGRAM_MAX_BYTES)
		return -EBADMSG;
	r = copy_to_memory(fd, PROGRAM_MAX_BYTES, &text);
	if (r == -EFBIG) /* it grows */
		return -EBADMSG;
	if (!r)
		r = strip_comments(strip_language_of(path, buf_slice(&text)),
				   buf_slice(&text), &rest);
	if (r)
		return r;
	hashtext_of(buf_slice(&rest), hex);
	if (asprintf(ret, "stripped xxh128:%s", hex) < 0)
		must(-ENOMEM);
	return 0;
}

static char *file_value(const struct stat *st, const uint8_t hash[FILEHASH_BYTES])
{
	char hex[HASHTEXT_MAX], *value;

	hashtext(hash, hex);
	if (asprintf(&value, "file %s xxh128:%s", st->st_mode & 0111 ? "0755" : "0644",
		     hex) < 0)
		must(-ENOMEM);
	return value;
}

/* Without a memory of hashes. */
static int hash_fd(int fd, uint8_t ret_hash[FILEHASH_BYTES])
{
	CLEANUP_FREE char *data = xcalloc(1, 65536);
	XXH3_state_t *state = XXH3_createState();
	XXH128_canonical_t canonical;
	ssize_t n;

	must(state ? 0 : -ENOMEM);
	XXH3_128bits_reset(state);
	while ((n = read(fd, data, 65536)) > 0 || (n < 0 && errno == EINTR)) {
		if (n > 0)
			XXH3_128bits_update(state, data, (size_t)n);
	}
	XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(state));
	XXH3_freeState(state);
	memcpy(ret_hash, canonical.digest, FILEHASH_BYTES);
	return n < 0 ? -errno : 0;
}

/* Of the open file, as it is now. -EAGAIN: it changed meanwhile. */
static int open_value(const struct reading *rd, int fd, const char *path, char **ret)
{
	uint8_t hash[FILEHASH_BYTES];
	struct stat st;
	int r = -EBADMSG;

	if (fstat(fd, &st))
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EAGAIN;
	if (rd->how->strip)
		r = stripped_value(fd, &st, path, ret);
	if (r != -EBADMSG)
		return r;
	if (lseek(fd, 0, SEEK_SET) < 0)
		return -errno;
	r = rd->how->fh ? filehash_get(rd->how->fh, fd, &st, hash) : hash_fd(fd, hash);
	if (!r)
		*ret = file_value(&st, hash);
	return r;
}

/* Of the file at `path` from `dirfd`; `flags` may say that it is no symlink. */
static int read_file(const struct reading *rd, int dirfd, const char *path, int flags,
		     char **ret)
{
	int r = -EAGAIN;

	for (int i = 0; i < READS_MAX && r == -EAGAIN; i++) {
		/* O_NONBLOCK: it may have become a fifo. */
		CLEANUP_FD int fd = openat(
		    dirfd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY | flags);

		if (fd < 0)
			return -errno;
		r = open_value(rd, fd, path, ret);
	}
	return r;
}

/* What stat(2) knows already need not be opened. */
static int file_at(const struct reading *rd, int dirfd, const char *path,
		   const struct stat *st, int flags, char **ret)
{
	uint8_t hash[FILEHASH_BYTES];

	if (!rd->how->strip && rd->how->fh && filehash_known(rd->how->fh, st, hash)) {
		*ret = file_value(st, hash);
		return 0;
	}
	return read_file(rd, dirfd, path, flags, ret);
}

/* ---- directories and patterns
 * ------------------------------------------------------------ */

static bool is_skipped(const struct reading *rd, const char *path)
{
	return rd->how->skip && rd->how->skip(rd->how->arg, rd->ss, path);
}

static char *link_value(const char *target)
{
	char *value;

	if (asprintf(&value, "link %s", target) < 0)
		must(-ENOMEM);
	return value;
}

/* A symlink that a pattern chose stands for a file; else for itself. */
static int pattern_link(const struct reading *rd, int dirfd, const struct tree_item *item,
			char **ret)
{
	struct stat st;

	if (fstatat(dirfd, item->path, &st, 0)) {
		if (errno == ELOOP)
			return -ELOOP;
		st.st_mode = 0;
	}
	if (S_ISREG(st.st_mode))
		return file_at(rd, dirfd, item->path, &st, 0, ret);
	*ret = link_value(item->target);
	return 0;
}

static int add_item(const struct reading *rd, int dirfd, const struct tree_item *item)
{
	char *value = NULL;
	int r = 0;

	if (is_skipped(rd, item->path))
		return 0;
	if (S_ISDIR(item->st.st_mode))
		value = xstrdup("dir");
	else if (S_ISLNK(item->st.st_mode) && !rd->ss->is_pattern)
		value = link_value(item->target);
	else if (S_ISLNK(item->st.st_mode))
		r = pattern_link(rd, dirfd, item, &value);
	else
		r = file_at(rd, dirfd, item->path, &item->st, O_NOFOLLOW, &value);
	if (r)
		return fail(rd, item->path, r);
	add(rd->ss, item->path, value);
	return 0;
}

/* Its message names the path below the directory alone. */
static int walk_failed(const struct reading *rd, int r)
{
	struct errmsg inner = *rd->err;
	char quoted[TEXT_QUOTE_MAX];

	return err_set(rd->err, -r, "%s: %s: %.600s", rd->how->what,
		       text_quote(quoted, rd->text, strlen(rd->text)), inner.text);
}

static int compare_sources(const void *a, const void *b)
{
	return strcmp(((const struct source *)a)->path, ((const struct source *)b)->path);
}

static int walk(const struct reading *rd, int dirfd, const char *pattern)
{
	CLEANUP_ITEMS struct tree_items items = TREE_ITEMS_INIT;
	struct patterns *ps = NULL;
	int r = patterns_new(&pattern, 1, &ps, rd->err);

	if (!r)
		r = tree_walk(dirfd, ps, &items, rd->err);
	patterns_free(ps);
	if (r)
		return walk_failed(rd, r);
	for (size_t i = 0; i < items.n && !r; i++)
		r = add_item(rd, dirfd, &items.list[i]);
	if (!r && rd->ss->n)
		qsort(rd->ss->list, rd->ss->n, sizeof(*rd->ss->list), compare_sources);
	if (!r && rd->ss->is_pattern && !items.n)
		return err_set(rd->err, ENOENT,
			       "%s: the pattern \"%s\" matches nothing in the working "
			       "directory",
			       rd->how->what, rd->text);
	return r;
}

static int open_dir(const char *path)
{
	int fd = open(*path ? path : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static int read_dir(const struct reading *rd)
{
	CLEANUP_FD int fd = open_dir(rd->text);

	if (fd < 0)
		return fail(rd, "", fd);
	add(rd->ss, "", xstrdup("dir"));
	return walk(rd, fd, "**");
}

/* ---- what was given
 * -------------------------------------------------------------------------- */

static bool is_regex(const char *text)
{
	return strncmp(text, "regex:", 6) == 0;
}

/* How long the part is that names a directory: up to the last slash before anything
 * special. */
static size_t plain_prefix(const char *text)
{
	size_t special = strcspn(text, "*?[{\\"), len = special;

	while (len && text[len - 1] != '/')
		len--;
	return is_regex(text) ? 0 : len;
}

static int read_pattern(const struct reading *rd)
{
	size_t prefix = plain_prefix(rd->text);
	CLEANUP_FREE char *dir = strndup(rd->text, prefix);
	CLEANUP_FD int fd = -1;

	must(dir ? 0 : -ENOMEM);
	while (prefix > 1 && dir[prefix - 1] == '/')
		dir[--prefix] = '\0';
	free(rd->ss->base);
	rd->ss->base = xstrdup(dir);
	rd->ss->is_pattern = true;
	fd = open_dir(dir);
	if (fd < 0)
		return fail(rd, "", fd);
	return walk(rd, fd, rd->text + plain_prefix(rd->text));
}

static int read_plain(const struct reading *rd, const struct stat *st)
{
	char *value;
	int r;

	if (S_ISDIR(st->st_mode))
		return read_dir(rd);
	if (!S_ISREG(st->st_mode)) {
		char quoted[TEXT_QUOTE_MAX];

		return err_set(rd->err, EINVAL,
			       "%s: %s is a socket, fifo or device; only files and "
			       "directories can be looked at (--stdin reads a pipe)",
			       rd->how->what,
			       text_quote(quoted, rd->text, strlen(rd->text)));
	}
	r = file_at(rd, AT_FDCWD, rd->text, st, 0, &value);
	if (r)
		return fail(rd, "", r);
	add(rd->ss, "", value);
	return 0;
}

/* "src//" is called src, "/" is "/". */
static char *without_slashes(const char *text)
{
	char *name = xstrdup(text);
	size_t len = strlen(name);

	while (len > 1 && name[len - 1] == '/')
		name[--len] = '\0';
	return name;
}

int sources_read(const char *text, const struct sources_how *how,
		 struct sources *ret_sources, struct errmsg *err)
{
	CLEANUP_SOURCES struct sources ss = SOURCES_INIT;
	struct errmsg unread;
	struct reading rd = {
	    .text = text, .how = how, .ss = &ss, .err = err ? err : &unread};
	struct stat st;
	int r;

	*rd.err = (struct errmsg){""};
	ss.base = without_slashes(text);
	if (is_skipped(&rd, "")) {
		r = 0;
	} else if (stat(text, &st) == 0) {
		r = read_plain(&rd, &st);
	} else {
		r = -errno;
		if (r == -ENOENT && (is_regex(text) || strpbrk(text, "*?[{")))
			r = read_pattern(&rd);
		else
			r = fail(&rd, "", r);
	}
	if (r)
		return r;
	*ret_sources = ss;
	ss = SOURCES_INIT;
	return 0;
}

/* Names and values have no NUL, so that one behind each keeps them apart. */
char *sources_tree(const struct sources *ss)
{
	CLEANUP_BUF struct buf all = BUF_INIT;
	char hex[HASHTEXT_MAX], *value;

	for (size_t i = 0; i < ss->n; i++) {
		must(buf_append(&all, ss->list[i].path, strlen(ss->list[i].path) + 1));
		must(buf_append(&all, ss->list[i].value, strlen(ss->list[i].value) + 1));
	}
	hashtext_of(buf_slice(&all), hex);
	if (asprintf(&value, "tree %zu xxh128:%s", ss->n, hex) < 0)
		must(-ENOMEM);
	return value;
}
