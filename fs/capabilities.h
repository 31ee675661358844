/* SPDX-License-Identifier: Apache-2.0 */
/* capabilities(7), without a library. A set is one bit for each CAP_…, from bit 0 on. */
#ifndef MEMOFS_FS_CAPABILITIES_H
#define MEMOFS_FS_CAPABILITIES_H

#include <linux/capability.h>
#include <stdint.h>

#define CAPABILITY(cap) (UINT64_C(1) << (cap))

/* What a daemon of root's always keeps, and what it keeps if there is need to pass over
 * modes: reading, writing, linking and renaming what is another user's. */
#define CAPABILITIES_ALWAYS (CAPABILITY(CAP_SYS_ADMIN) | CAPABILITY(CAP_SYS_PTRACE))
#define CAPABILITIES_OVER_MODES                                                          \
	(CAPABILITY(CAP_DAC_OVERRIDE) | CAPABILITY(CAP_DAC_READ_SEARCH) |                \
	 CAPABILITY(CAP_FOWNER))

/* What this thread may make use of. -errno. */
int capabilities_permitted(uint64_t *ret_set);
/* Of this thread, to be a part of what it has; nothing is inherited. -EPERM. */
int capabilities_set(uint64_t permitted, uint64_t effective);
/*
 * This thread, and what it starts, will never have more than `keep` of what it has: also
 * in the bounding set, if it has CAP_SETPCAP, without which there is nothing to lose but
 * what it has; and, of root's, by no new privileges. (Others mount by fusermount3, which
 * is set-user-id.) -errno.
 */
int capabilities_keep(uint64_t keep);

#endif
