/* SPDX-License-Identifier: Apache-2.0 */
/*
 * git's index has the id of each tracked file's content. Where the working tree
 * differs, the id is what git would give the content now.
 */
#include "cli/key/gitversion.h"

#include <errno.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/key/capture.h"
#include "cli/message.h"
#include "cli/paths.h"
#include "store/util/text.h"

/* Submodules of submodules of … */
#define DEPTH_MAX 16

/* One line of the index, or what is instead of it in the working tree. */
struct tracked {
	const char *mode, *id, *stage, *path; /* in `listing` */
	char *now_id;			      /* NULL: as in the index */
	const char *now_mode;
	bool gone;
};

struct repository {
	const char *dir;      /* NULL: here */
	const char *pathspec; /* from there */
	struct buf listing;
	struct tracked *list; /* sorted as git does, by path */
	size_t n;
	struct buf changed; /* names, each ended by NUL */
	char *top;	    /* of the working tree; known where it is needed */
	struct errmsg *err;
};

static void repository_deinit(struct repository *g)
{
	for (size_t i = 0; i < g->n; i++)
		free(g->list[i].now_id);
	free(g->list);
	free(g->top);
	buf_deinit(&g->listing);
	buf_deinit(&g->changed);
}

/* ---- asking git
 * ------------------------------------------------------------------------ */

static int ask(const struct repository *g, const char *const *args, int stdin_fd,
	       struct buf *ret_output)
{
	const char *argv[12] = {"git"};
	struct capture c = {.dir = g->dir, .stdin_fd = stdin_fd};
	size_t n = 1;

	while (*args)
		argv[n++] = *args++;
	c.argv = (char *const *)argv;
	return capture_run(&c, "--version-from git", ret_output, g->err);
}

/* `MODE ID STAGE<tab>PATH`, cut at its blanks. */
static int parse_tracked(char *line, struct tracked *ret)
{
	char *id = strchr(line, ' '), *stage = id ? strchr(id + 1, ' ') : NULL;
	char *path = stage ? strchr(stage + 1, '\t') : NULL;

	if (!path)
		return -EBADMSG;
	*id++ = *stage++ = *path++ = '\0';
	*ret = (struct tracked){.mode = line, .id = id, .stage = stage, .path = path};
	return 0;
}

static int list_tracked(struct repository *g)
{
	const char *const args[] = {"ls-files", "-s",	     "-z", "--full-name",
				    "--",	g->pathspec, NULL};
	int r = ask(g, args, -1, &g->listing);
	char *at = (char *)g->listing.data, *end = at + g->listing.len;
	size_t cap = 0;

	if (r)
		return r;
	/* The last byte is a NUL, if there is one. */
	for (char *next; at < end; at = next) {
		next = at + strlen(at) + 1;
		if (g->n == cap) {
			cap = cap ? 2 * cap : 64;
			g->list = xreallocarray(g->list, cap, sizeof(*g->list));
		}
		if (parse_tracked(at, &g->list[g->n]))
			return err_set(g->err, EBADMSG,
				       "--version-from git: git ls-files printed what "
				       "is not understood");
		g->n++;
	}
	return 0;
}

static int list_changed(struct repository *g)
{
	const char *const args[] = {"ls-files", "-m",	     "-z", "--full-name",
				    "--",	g->pathspec, NULL};

	return ask(g, args, -1, &g->changed);
}

/* ---- what is changed
 * ---------------------------------------------------------------------- */

static int compare_path(const void *path, const void *tracked)
{
	return strcmp(path, ((const struct tracked *)tracked)->path);
}

static struct tracked *find(const struct repository *g, const char *path)
{
	return g->n ? bsearch(path, g->list, g->n, sizeof(*g->list), compare_path) : NULL;
}

/* The one word that git prints. */
static int ask_word(struct repository *g, const char *const *args, int stdin_fd,
		    char **ret_word)
{
	struct buf out = BUF_INIT;
	int r = ask(g, args, stdin_fd, &out);

	if (r) {
		buf_deinit(&out);
		return r;
	}
	must(buf_append(&out, "", 1));
	*ret_word = (char *)out.data;
	(*ret_word)[strcspn(*ret_word, "\n")] = '\0';
	return 0;
}

/* The id that git would give the content. One call each: few are changed. */
static int ask_file_id(struct repository *g, struct tracked *t)
{
	const char *const args[] = {"-C", g->top, "hash-object", "--", t->path, NULL};

	return ask_word(g, args, -1, &t->now_id);
}

static int ask_link_id(struct repository *g, const char *full, struct tracked *t)
{
	static const char *const args[] = {"hash-object", "--stdin", NULL};
	CLEANUP_FD int fd = memfd_create("memofs-link", MFD_CLOEXEC);
	char target[PATH_MAX];
	ssize_t n = readlink(full, target, sizeof(target));

	if (fd < 0 || n < 0 || pwrite(fd, target, (size_t)n, 0) != n)
		return err_set(g->err, errno, "--version-from git: %s: %s", full,
			       strerror(errno));
	t->now_mode = "120000";
	return ask_word(g, args, fd, &t->now_id);
}

static int ask_top(struct repository *g)
{
	static const char *const args[] = {"rev-parse", "--show-toplevel", NULL};

	return g->top ? 0 : ask_word(g, args, -1, &g->top);
}

static int look_at_changed(struct repository *g, struct tracked *t)
{
	CLEANUP_FREE char *full = NULL;
	struct stat st;
	int r = ask_top(g);

	if (r)
		return r;
	full = path_join(g->top, t->path);
	if (lstat(full, &st)) {
		t->gone = true;
		return 0;
	}
	if (S_ISLNK(st.st_mode))
		return ask_link_id(g, full, t);
	if (!S_ISREG(st.st_mode))
		return 0; /* a submodule */
	t->now_mode = st.st_mode & 0100 ? "100755" : "100644";
	return ask_file_id(g, t);
}

static int look_at_all_changed(struct repository *g)
{
	const char *at = (const char *)g->changed.data, *end = at + g->changed.len;
	int r = 0;

	for (; at < end && !r; at += strlen(at) + 1) {
		struct tracked *t = find(g, at);

		if (t && !t->now_id && !t->gone)
			r = look_at_changed(g, t);
	}
	return r;
}

/* ---- all of it
 * ------------------------------------------------------------------------------- */

static int describe(const char *dir, const char *pathspec, int depth, struct buf *out,
		    size_t *ret_n, struct errmsg *err);

/* What is checked out of a submodule; if nothing is, its commit says all. */
static int describe_submodule(struct repository *g, const struct tracked *t, int depth,
			      struct buf *out, struct errmsg *err)
{
	CLEANUP_FREE char *dir = NULL, *dot_git = NULL;
	struct stat st;
	size_t n;
	int r = ask_top(g);

	if (r)
		return r;
	dir = path_join(g->top, t->path);
	dot_git = path_join(dir, ".git");
	if (lstat(dot_git, &st)) {
		must(buf_append(out, t->id, strlen(t->id) + 1));
		return 0;
	}
	if (depth == DEPTH_MAX)
		return err_set(
		    err, ELOOP,
		    "--version-from git: more than %d submodules in each other",
		    DEPTH_MAX);
	return describe(dir, ".", depth + 1, out, &n, err);
}

static int describe_tracked(struct repository *g, const struct tracked *t, int depth,
			    struct buf *out, struct errmsg *err)
{
	const char *fields[] = {t->now_mode ? t->now_mode : t->mode,
				t->now_id ? t->now_id : t->id, t->stage, t->path};
	bool submodule = strcmp(t->mode, "160000") == 0;

	if (t->gone)
		return 0;
	if (submodule)
		fields[1] = "submodule";
	for (size_t i = 0; i < sizeof(fields) / sizeof(*fields); i++)
		must(buf_append(out, fields[i], strlen(fields[i]) + 1));
	return submodule ? describe_submodule(g, t, depth, out, err) : 0;
}

static int describe(const char *dir, const char *pathspec, int depth, struct buf *out,
		    size_t *ret_n, struct errmsg *err)
{
	struct repository g = {.dir = dir, .pathspec = pathspec, .err = err};
	int r = list_tracked(&g);

	if (!r)
		r = list_changed(&g);
	if (!r)
		r = look_at_all_changed(&g);
	for (size_t i = 0; i < g.n && !r; i++)
		r = describe_tracked(&g, &g.list[i], depth, out, err);
	*ret_n = g.n;
	repository_deinit(&g);
	return r;
}

int git_version(const char *pathspec, char **ret_value, struct errmsg *err)
{
	CLEANUP_BUF struct buf all = BUF_INIT;
	char hex[HASHTEXT_MAX];
	size_t n;
	int r = describe(NULL, pathspec, 0, &all, &n, err);

	if (r)
		return r;
	if (!n)
		return err_set(err, ENOENT,
			       "--version-from git:%s: git tracks nothing there; git add "
			       "it, or use file:%s",
			       pathspec, pathspec);
	hashtext_of(buf_slice(&all), hex);
	if (asprintf(ret_value, "git %zu xxh128:%s", n, hex) < 0)
		must(-ENOMEM);
	return 0;
}
