/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The attributes user.cache.* of what is in a mount. Names are given without
 * that prefix. Symlinks are not followed (and have no such attributes).
 */
#ifndef MEMOFS_CLI_ATTRS_H
#define MEMOFS_CLI_ATTRS_H

#include <stdint.h>

#include "store/util/buf.h"

/*
 * Into `ret_value`, with a NUL behind it that is not counted. -ENODATA: it has
 * none, or its file system knows no attributes; else what getxattr(2) says.
 */
int attr_get(const char *path, const char *name, struct buf *ret_value);
int attr_set(const char *path, const char *name, const char *value);
int attr_set_fd(int fd, const char *name, const char *value);
int attr_remove(const char *path, const char *name); /* none there: a success */

/*
 * `1790000000.123456789` or `12.5` to nanoseconds, `never` to DURATION_NONE.
 * -EINVAL.
 */
int attr_seconds_parse(const char *text, int64_t *ret_ns);

#endif
