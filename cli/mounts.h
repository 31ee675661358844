/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is mounted where, from /proc/self/mountinfo.
 *
 * Only text is read, no file system is touched: it works while a mount's daemon
 * is dead or does not answer.
 */
#ifndef MEMOFS_CLI_MOUNTS_H
#define MEMOFS_CLI_MOUNTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

struct mount {
	unsigned int id, parent;
	dev_t dev;	  /* st_dev of what is in it */
	char *point;	  /* absolute */
	char *type;	  /* "fuse.memofs" */
	char *source;	  /* the store, as the daemon named it */
	char *fs_options; /* "rw,user_id=0,…" */
};

struct mounts {
	struct mount *list; /* in the order they were made */
	size_t n;
};

#define MOUNTS_INIT ((struct mounts){0})
#define CLEANUP_MOUNTS __attribute__((cleanup(mounts_deinit)))

/* -errno when /proc/self/mountinfo cannot be read, after a message. */
int mounts_read(struct mounts *ret_mounts);
/* The same from a stream; lines that are not understood are left out. */
void mounts_parse(FILE *in, struct mounts *ret_mounts);
void mounts_deinit(struct mounts *ms);

bool mount_is_memofs(const struct mount *m);
bool mount_is_of(const struct mount *m, uid_t uid); /* who made it */
/* "ro", "allow_other": one that has no value. */
bool mount_has_option(const struct mount *m, const char *name);
/* Whether this user made it, and so may have fusermount3 take it away. */
bool mount_is_mine(const struct mount *m);
/* The one seen at exactly this absolute path: the last, where several are stacked. */
const struct mount *mounts_at(const struct mounts *ms, const char *point);
/* The one an absolute path without symlinks is in. */
const struct mount *mounts_over(const struct mounts *ms, const char *path);
/* A memofs mount of this device. */
const struct mount *mounts_of_dev(const struct mounts *ms, dev_t dev);
/* A mount that sits on top of something in `m`. */
const struct mount *mounts_inside(const struct mounts *ms, const struct mount *m);

#endif
