/* SPDX-License-Identifier: Apache-2.0 */
/* Where in a directory of a mount a member of an archive belongs. */
#ifndef MEMOFS_CLI_TAR_PLACE_H
#define MEMOFS_CLI_TAR_PLACE_H

#include <stdbool.h>

#include "store/util/buf.h"

/*
 * The path of a member without `.` and double slashes, with a NUL; "" is the directory
 * itself. -EINVAL: it is not taken, and *ret_why says what it is (`absolute`, …).
 * *ret_control: it is a part of .memofs that is there anyway.
 */
int place_path(const char *name, struct buf *ret_path, bool *ret_control,
	       const char **ret_why);

/* The directory that members are put into now, so that it is looked up once. */
struct place {
	int root;	/* the caller's */
	int fd;		/* O_PATH; -1: none */
	struct buf dir; /* its path */
	struct buf bad; /* a directory that cannot be made: below it nothing can */
};
#define PLACE_INIT(root_fd)                                                              \
	((struct place){.root = (root_fd), .fd = -1, .dir = BUF_INIT, .bad = BUF_INIT})
void place_deinit(struct place *p);
/* Look it up again: another version of it may be seen now. */
void place_forget(struct place *p);

/*
 * The directory a path from place_path() is in, made if it is missing; p->fd, until the
 * next call. *ret_name is the last part of the path. Never over a symlink. -errno;
 * -ECANCELED: that was said already of another path.
 */
int place_enter(struct place *p, const char *path, const char **ret_name);

#endif
