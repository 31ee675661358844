/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/privileges.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "store/util/buf.h"
#include "store/util/log.h"

#define BIT(cap) (UINT64_C(1) << (cap))

#define ALWAYS (BIT(CAP_SYS_ADMIN) | BIT(CAP_SYS_PTRACE))
/* Reading, writing, linking and renaming what is another user's. */
#define OVER_MODES (BIT(CAP_DAC_OVERRIDE) | BIT(CAP_DAC_READ_SEARCH) | BIT(CAP_FOWNER))

/* ---- capabilities(7), without a library ---- */

static int get_permitted(uint64_t *ret_set)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &head, data))
		return -errno;
	*ret_set = data[0].permitted | (uint64_t)data[1].permitted << 32;
	return 0;
}

/* Of this thread; nothing is inherited. */
static int set_caps(uint64_t permitted, uint64_t effective)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {
	    {.permitted = (uint32_t)permitted, .effective = (uint32_t)effective},
	    {.permitted = (uint32_t)(permitted >> 32),
	     .effective = (uint32_t)(effective >> 32)},
	};

	return syscall(SYS_capset, &head, data) ? -errno : 0;
}

/* Needs CAP_SETPCAP. Without it there is nothing to lose but what it has. */
static void bound(uint64_t keep)
{
	for (int cap = 0; prctl(PR_CAPBSET_READ, cap, 0, 0, 0) >= 0; cap++)
		if (cap >= 64 || !(keep & BIT(cap)))
			prctl(PR_CAPBSET_DROP, cap, 0, 0, 0);
}

/* ---- what is another's ---- */

static bool is_anothers(const char *dir, const char *name)
{
	CLEANUP_BUF struct buf path = BUF_INIT;
	struct stat st;

	if (buf_printf(&path, "%s%s%s", dir, *name ? "/" : "", name) ||
	    buf_append(&path, "", 1))
		return true;
	if (stat((const char *)path.data, &st))
		return errno == EACCES;
	return st.st_uid != geteuid();
}

/* Without those capabilities. A store that is not there is made in what is above it. */
static bool is_store_closed(const char *store)
{
	static const char *const parts[] = {"", "db", "extents", "FORMAT"};
	CLEANUP_BUF struct buf above = BUF_INIT;
	const char *slash;
	struct stat st;

	for (size_t i = 0; i < sizeof(parts) / sizeof(*parts); i++)
		if (is_anothers(store, parts[i]))
			return true;
	if (stat(store, &st) == 0)
		return faccessat(AT_FDCWD, store, R_OK | W_OK | X_OK, AT_EACCESS) != 0;
	slash = strrchr(store, '/');
	if (!slash || buf_append(&above, store, (size_t)(slash - store + 1)) ||
	    buf_append(&above, "", 1))
		return true;
	return faccessat(AT_FDCWD, (const char *)above.data, W_OK | X_OK, AT_EACCESS) !=
	       0;
}

/* Which of the paths needs them, or NULL. */
static const char *closed_path(const struct privileges_paths *paths)
{
	if (paths->store && is_store_closed(paths->store))
		return paths->store;
	if (faccessat(AT_FDCWD, paths->mountpoint, F_OK, AT_EACCESS) && errno == EACCES)
		return paths->mountpoint;
	if (paths->config && faccessat(AT_FDCWD, paths->config, R_OK, AT_EACCESS))
		return paths->config;
	if (paths->log && faccessat(AT_FDCWD, paths->log, W_OK, AT_EACCESS))
		return paths->log;
	return NULL;
}

void privileges_drop(const struct privileges_paths *paths)
{
	uint64_t permitted = 0, keep;
	const char *closed;
	int r = get_permitted(&permitted);

	keep = r ? 0 : permitted & ALWAYS;
	if (!r && permitted & OVER_MODES)
		r = set_caps(permitted, permitted & ~OVER_MODES);
	closed = r || !(permitted & OVER_MODES) ? NULL : closed_path(paths);
	if (closed) {
		keep |= permitted & OVER_MODES;
		log_info("%s is not open to uid %u alone: capabilities that pass over "
			 "modes are kept",
			 closed, geteuid());
	}
	if (!r) {
		bound(keep);
		prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
		r = set_caps(keep, keep);
	}
	/* Who is not root mounts by fusermount3, which is set-user-id. */
	if (!r && geteuid() == 0 && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0))
		r = -errno;
	if (r)
		log_warning("privileges that are not needed are kept: %s", strerror(-r));
}
