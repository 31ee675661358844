/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who keeps a mount busy: a look at all of /proc.
 *
 * Only processes that this user may look into are seen. Nothing is asked of the
 * mount's daemon, so it works on one that is dead.
 */
#ifndef MEMOFS_CLI_HOLDERS_H
#define MEMOFS_CLI_HOLDERS_H

#include <sys/types.h>

#include "store/util/buf.h"

/*
 * Append `bash (pid 12, working directory), tail (pid 13, open file k), and 3
 * more` to `out`, at most `max` of them. Returns the number found, 0 and
 * nothing appended when there is none.
 */
size_t holders_describe(dev_t dev, size_t max, struct buf *out);
/*
 * The same of who still has it mounted when it was unmounted here, `sleep (pid 12, at
 * /mnt)`: processes in mount namespaces of their own, as those of a container.
 */
size_t holders_elsewhere(dev_t dev, size_t max, struct buf *out);

#endif
