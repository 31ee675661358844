/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file that takes its name in a directory whole, in place of what had it.
 *
 * Until then it has no name at all where the file system can do that (O_TMPFILE), else
 * one of its own; so a process that dies leaves nothing, and nobody sees half of it.
 */
#ifndef MEMOFS_CLI_TREE_OUTFILE_H
#define MEMOFS_CLI_TREE_OUTFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define OUTFILE_TMP_MAX 64

struct outfile {
	int fd;
	int dirfd;		   /* the caller's */
	char tmp[OUTFILE_TMP_MAX]; /* its name so far; "": it has none */
};

/* `mode` less the umask. -errno of openat(2). */
int outfile_open(int dirfd, mode_t mode, struct outfile *ret_file);
/* Give it its name; it stays open. -EISDIR: a directory has that name; other -errno of
 * linkat(2), renameat(2). */
int outfile_commit(struct outfile *f, const char *name);
/* Close it. Without its name it is gone then. */
void outfile_close(struct outfile *f);

/* Make a symlink in place of a file or symlink. -EISDIR and other -errno. */
int outfile_symlink(int dirfd, const char *target, const char *name);

/* A name that no other process and thread chooses, for what is renamed at once. */
void outfile_tmp_name(char ret_name[OUTFILE_TMP_MAX]);

#endif
