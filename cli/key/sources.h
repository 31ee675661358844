/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a path says of the content behind it: a file, a directory with all that is in
 * it, or a pattern with all that it matches.
 *
 *   file 0644 xxh128:…     permissions are 0755 where somebody may execute it, as in
 *                          git: the rest comes from a umask. Symlinks are followed.
 *   stripped xxh128:…      of a program without its comments
 *   dir                    in a directory; and so are
 *   link TARGET
 *   tree N xxh128:…        many of these as one
 */
#ifndef MEMOFS_CLI_KEY_SOURCES_H
#define MEMOFS_CLI_KEY_SOURCES_H

#include <stdbool.h>
#include <stddef.h>

#include "cli/tree/filehash.h"
#include "store/util/err.h"

struct source {
	char *path;  /* below the directory or the pattern's base; "": the path itself */
	char *value; /* see above, but for `tree` */
};

struct sources {
	struct source *list; /* sorted by path */
	size_t n, cap;
	char *base; /* what the paths are below: what was given, or the part of a
		     * pattern that has no special characters; may be "" */
	bool is_pattern;
};
#define SOURCES_INIT ((struct sources){0})
#define CLEANUP_SOURCES __attribute__((cleanup(sources_deinit)))
void sources_deinit(struct sources *ss);

struct sources_how {
	const char *what;    /* begins messages: `--input` */
	struct filehash *fh; /* may be NULL */
	bool strip;	     /* programs without their comments */
	/* Leave this out, and what is below it? NULL: nothing. `path` as in struct
	 * source; it is not looked at, so it may be unreadable. */
	bool (*skip)(void *arg, const struct sources *ss, const char *path);
	void *arg;
};

/*
 * Look at it. -ENOENT: there is nothing, or the pattern matches nothing; -ELOOP: a
 * symlink that leads to itself; -EINVAL: a bad pattern, or a socket, fifo or device;
 * -EAGAIN: it changes while it is read; else -errno; with a message.
 */
int sources_read(const char *text, const struct sources_how *how,
		 struct sources *ret_sources, struct errmsg *err);

/* All of them as one value, `tree …`. The caller frees it. */
char *sources_tree(const struct sources *ss);

#endif
