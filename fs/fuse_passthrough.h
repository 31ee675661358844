/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What <linux/fuse.h> has of passthrough since 7.40 (Linux 6.9), under names of our own,
 * because the headers of the system may be older than its kernel. From
 * include/uapi/linux/fuse.h.
 */
#ifndef MEMOFS_FS_FUSE_PASSTHROUGH_H
#define MEMOFS_FS_FUSE_PASSTHROUGH_H

#include <linux/ioctl.h>
#include <stdint.h>

/* In `flags` of INIT: there are more of them in `flags2`. Since 7.36. */
#define INIT_EXT (UINT32_C(1) << 30)
/* In `flags2`: FUSE_PASSTHROUGH, which is 1 << 37 of both. */
#define INIT2_PASSTHROUGH (UINT32_C(1) << 5)
/* Where these are, in bytes from the beginning of a fuse_init_in and fuse_init_out. */
enum { INIT_IN_FLAGS2 = 16, INIT_OUT_FLAGS2 = 32, INIT_OUT_MAX_STACK_DEPTH = 36 };

/* In the answer to OPEN, whose last four bytes are then the number of a backing file. */
#define OPEN_DIRECT_IO (UINT32_C(1) << 0)
#define OPEN_NOFLUSH (UINT32_C(1) << 5)
#define OPEN_PASSTHROUGH (UINT32_C(1) << 7)

struct open_backed_out {
	uint64_t fh;
	uint32_t open_flags;
	int32_t backing_id;
};

/* To the connection's descriptor. The first returns the number, which is above 0. */
struct backing_map {
	int32_t fd;
	uint32_t flags;
	uint64_t padding;
};
#define IOC_BACKING_OPEN _IOW(229, 1, struct backing_map)
#define IOC_BACKING_CLOSE _IOW(229, 2, uint32_t)

#endif
