/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Who asks, and what he may: for the few cases that the kernel does not judge, because
 * it does not see what is at stake.
 */
#ifndef MEMOFS_FS_CALLER_H
#define MEMOFS_FS_CALLER_H

#include "fs/fs.h"

/*
 * As the kernel would decide it, for bits of "others": by owner, group, mode, and
 * CAP_DAC_OVERRIDE in a user namespace that has ids for owner and group. Of who is not
 * visible from here only the ids are known; uid 0 has all capabilities then.
 */
bool caller_may(fuse_req_t req, const struct store_attr *attr, mode_t bits);

/*
 * For caller_may(), and tests. The text of /proc/PID/uid_map or gid_map: is there an id
 * for this one? And that of /proc/PID/status: is the capability effective?
 */
bool caller_map_has(const char *map, uint32_t id);
bool caller_status_has(const char *status, unsigned int capability);

#endif
