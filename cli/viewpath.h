/* SPDX-License-Identifier: Apache-2.0 */
/* Names of an entry that say how it is to be read or written. */
#ifndef MEMOFS_CLI_VIEWPATH_H
#define MEMOFS_CLI_VIEWPATH_H

#include "store/util/buf.h"

/*
 * Append one option of a view, `name` or `name=value`, to the list in `options`.
 * Any byte is possible in `value`: what means something in a list or in a path
 * is percent-encoded. The list has no NUL.
 */
void view_option(struct buf *options, const char *name, const char *value);

/* DIR/.memofs/view/OPTIONS/KEY, of DIR/KEY. The caller frees it. */
char *view_path(const char *path, const struct buf *options);

#endif
