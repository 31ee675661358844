/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Which mount stats, top and report are about, and the files that its daemon keeps
 * its numbers in: MOUNT/.memofs/stats.json, history.csv and top.json.
 */
#ifndef MEMOFS_CLI_LOOK_LOOK_H
#define MEMOFS_CLI_LOOK_LOOK_H

#include "cli/look/numbers.h"
#include "store/util/buf.h"

struct look {
	char *point; /* the mount point */
	char *dir;   /* where the files are */
	char *ns;    /* the namespace that the path is in; NULL: none, or all */
};
#define LOOK_INIT ((struct look){0})
#define CLEANUP_LOOK __attribute__((cleanup(look_deinit)))

/*
 * The mount that `path` is in; without a path that of the current directory, else the
 * one of MEMOFS_CACHE or the user's own (nothing is mounted for it), and then all of
 * it. Returns CLI_OK, or after a message CLI_MOUNT: the path is in none; CLI_MISS:
 * there is none; CLI_FAILED: it cannot be told.
 */
int look_find(const char *path, struct look *ret_look);
void look_deinit(struct look *l);

/*
 * The namespace of a path below a mount point, which begins with a slash or is empty:
 * its first part that is not a view's or a version's, in UTF-8 as stats.json has it. The
 * caller frees it; NULL: none.
 */
char *look_namespace(const char *below);

/*
 * The text of one of the files. -errno as probe_read(): -ENOENT is a daemon that has no
 * such file, -ENOTCONN one that has ended.
 */
int look_text(const struct look *l, const char *file, struct buf *ret_text);
/* Say why look_text() failed; CLI_MOUNT when the mount does not answer, else CLI_FAILED.
 */
int look_failed(const struct look *l, const char *file, int r);

/* Both of them: an enum cli_exit, after a message where it is not CLI_OK. */
int look_numbers(const struct look *l, struct numbers *ret_numbers);
int look_history(const struct look *l, struct history *ret_history);

#endif
