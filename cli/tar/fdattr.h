/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Extended attributes of what is open, also with O_PATH: what is read belongs to one
 * generation, whatever becomes of the name. Names are whole.
 */
#ifndef MEMOFS_CLI_TAR_FDATTR_H
#define MEMOFS_CLI_TAR_FDATTR_H

#include <stdint.h>

#include "store/util/buf.h"

#define FDATTR_CACHE "user.cache."

/* With a NUL behind the value that is not counted. -ENODATA: there is none. -errno. */
int fdattr_get(int fd, const char *name, struct buf *ret_value);
int fdattr_set(int fd, const char *name, struct slice value);
/* Each name with its NUL. Nothing where there are no attributes. */
int fdattr_list(int fd, struct buf *ret_names);
/* An attribute that is a point in time: see attr_seconds_parse(). */
int fdattr_time(int fd, const char *name, int64_t *ret_ns);

#endif
