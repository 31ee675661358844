/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/look/look.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cache.h"
#include "cli/command.h"
#include "cli/message.h"
#include "cli/mounts.h"
#include "cli/paths.h"
#include "cli/probe.h"
#include "store/util/utf8.h"

/* History is the longest: a few thousand lines of some 200 bytes. */
#define FILE_BYTES_MAX ((size_t)16 << 20)

/* ---- which mount ---------------------------------------------------------------- */

static size_t part_length(const char *path)
{
	return strcspn(path, "/");
}

static const char *next_part(const char *path)
{
	path += part_length(path);
	return path + strspn(path, "/");
}

static bool part_is(const char *path, const char *name)
{
	size_t len = part_length(path);

	return len == strlen(name) && memcmp(path, name, len) == 0;
}

/* As JSON has it: each byte that is no part of UTF-8 becomes U+FFFD. */
static char *as_written(const char *name, size_t len)
{
	struct buf out = BUF_INIT;
	uint32_t c;
	size_t n;

	for (; len; name += n, len -= n) {
		n = utf8_decode(name, len, &c);
		if (n)
			must(buf_append(&out, name, n));
		else
			must(buf_append(&out, "\xef\xbf\xbd", 3));
		n = n ? n : 1;
	}
	must(buf_append(&out, "", 1));
	return (char *)out.data;
}

char *look_namespace(const char *below)
{
	const char *at = below + strspn(below, "/");

	while (part_is(at, ".memofs")) {
		at = next_part(at);
		if (!part_is(at, "view") && !part_is(at, "versions"))
			return NULL; /* stats, log, … of all */
		at = next_part(next_part(at));
	}
	return *at ? as_written(at, part_length(at)) : NULL;
}

static void fill(const struct mount *m, const char *path, struct look *ret)
{
	size_t len = strlen(m->point);

	*ret = (struct look){
	    .point = xstrdup(m->point),
	    .dir = path_join(m->point, ".memofs"),
	    .ns = path ? look_namespace(path + (len > 1 ? len : 0)) : NULL,
	};
}

/* As the path is written, and then where its symlinks lead. */
static bool find(const struct mounts *ms, const char *path, bool with_ns,
		 struct look *ret)
{
	CLEANUP_FREE char *absolute = path_absolute(path), *real = NULL;
	const struct mount *m = mounts_over(ms, absolute);
	const char *at = absolute;

	if (!m || !mount_is_memofs(m)) {
		at = real = realpath(path, NULL);
		m = real ? mounts_over(ms, real) : NULL;
	}
	if (!m || !mount_is_memofs(m))
		return false;
	fill(m, with_ns ? at : NULL, ret);
	return true;
}

static int find_default(const struct mounts *ms, struct look *ret)
{
	CLEANUP_FREE char *dir = NULL;
	struct errmsg err;
	int r;

	if (find(ms, ".", false, ret))
		return CLI_OK;
	r = cache_find(NULL, false, &dir, &err);
	if (r) {
		cli_error("%s", err.text);
		return r == -ENOENT ? CLI_MISS : CLI_MOUNT;
	}
	if (find(ms, dir, false, ret))
		return CLI_OK;
	cli_error("%s is not inside a memofs mount", dir);
	return CLI_MOUNT;
}

int look_find(const char *path, struct look *ret_look)
{
	CLEANUP_MOUNTS struct mounts ms = MOUNTS_INIT;

	if (mounts_read(&ms))
		return CLI_FAILED;
	if (!path)
		return find_default(&ms, ret_look);
	if (find(&ms, path, true, ret_look))
		return CLI_OK;
	cli_error("%s is not inside a memofs mount", path);
	return CLI_MOUNT;
}

void look_deinit(struct look *l)
{
	free(l->point);
	free(l->dir);
	free(l->ns);
	*l = LOOK_INIT;
}

/* ---- its files ------------------------------------------------------------------ */

int look_text(const struct look *l, const char *file, struct buf *ret_text)
{
	CLEANUP_FREE char *path = path_join(l->dir, file);

	return probe_read(path, PROBE_TIMEOUT_NS, FILE_BYTES_MAX, ret_text);
}

int look_failed(const struct look *l, const char *file, int r)
{
	switch (r) {
	case -ENOTCONN:
	case -ECONNABORTED:
		cli_error("%s: the daemon of this mount has ended; run: memofs umount %s",
			  l->point, l->point);
		return CLI_MOUNT;
	case -ETIMEDOUT:
		cli_error("%s: its daemon does not answer; see memofs status", l->point);
		return CLI_MOUNT;
	case -ENOENT:
		cli_error("%s/%s is not there: its daemon is older than this program, or "
			  "only a part of the mount is seen here",
			  l->dir, file);
		return CLI_FAILED;
	default:
		cli_error("%s/%s cannot be read: %s", l->dir, file, strerror(-r));
		return CLI_FAILED;
	}
}

static int not_understood(const struct look *l, const char *file,
			  const struct errmsg *err)
{
	cli_error("%s/%s is not understood: %s", l->dir, file, err->text);
	return CLI_FAILED;
}

int look_numbers(const struct look *l, struct numbers *ret_numbers)
{
	static const char file[] = "stats.json";
	CLEANUP_BUF struct buf text = BUF_INIT;
	struct errmsg err;
	int r = look_text(l, file, &text);

	if (r)
		return look_failed(l, file, r);
	if (numbers_read((const char *)text.data, text.len, ret_numbers, &err))
		return not_understood(l, file, &err);
	return CLI_OK;
}

int look_history(const struct look *l, struct history *ret_history)
{
	static const char file[] = "history.csv";
	CLEANUP_BUF struct buf text = BUF_INIT;
	struct errmsg err;
	int r = look_text(l, file, &text);

	if (r)
		return look_failed(l, file, r);
	if (history_read((const char *)text.data, text.len, ret_history, &err))
		return not_understood(l, file, &err);
	return CLI_OK;
}
