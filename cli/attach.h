/* SPDX-License-Identifier: Apache-2.0 */
/* `memofs mount --attach`: a read-only mount more of a store that is mounted. */
#ifndef MEMOFS_CLI_ATTACH_H
#define MEMOFS_CLI_ATTACH_H

/* Mounts on `point` and hands the mount to the daemon of `live`. A cli_exit. */
int attach(const char *live, const char *point);

#endif
