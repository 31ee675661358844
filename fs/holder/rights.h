/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the holder may do on the machine, if it is root's: nothing but what a daemon may,
 * because it starts whatever a daemon names for an upgrade. And CAP_SYS_ADMIN, which
 * daemons keep as well, to unmount when none of them can be started.
 */
#ifndef MEMOFS_FS_HOLDER_RIGHTS_H
#define MEMOFS_FS_HOLDER_RIGHTS_H

#include <stdint.h>

/* In holder_message.privileges: they were told. */
#define RIGHTS_TOLD (UINT64_C(1) << 63)

/* Before the first daemon: all that one may need. What cannot be dropped is logged. */
void rights_begin(void);
/* A daemon is ready, and has kept these capabilities, with RIGHTS_TOLD; without that
 * nothing changes. Those that come after it get no more. */
void rights_narrow(uint64_t privileges);

#endif
