/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/capabilities.h"

#include <errno.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

int capabilities_permitted(uint64_t *ret_set)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &head, data))
		return -errno;
	*ret_set = data[0].permitted | (uint64_t)data[1].permitted << 32;
	return 0;
}

int capabilities_set(uint64_t permitted, uint64_t effective)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {
	    {.permitted = (uint32_t)permitted, .effective = (uint32_t)effective},
	    {.permitted = (uint32_t)(permitted >> 32),
	     .effective = (uint32_t)(effective >> 32)},
	};

	return syscall(SYS_capset, &head, data) ? -errno : 0;
}

static void bound(uint64_t keep)
{
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if (cap >= 64 || !(keep & CAPABILITY(cap)))
			prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
}

int capabilities_keep(uint64_t keep)
{
	int r;

	bound(keep);
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	r = capabilities_set(keep, keep);
	if (!r && geteuid() == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		r = -errno;
	return r;
}
