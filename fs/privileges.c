/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/privileges.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "fs/capabilities.h"
#include "store/util/buf.h"
#include "store/util/log.h"

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
	const uint64_t over_modes = CAPABILITIES_OVER_MODES;
	uint64_t permitted = 0, keep;
	const char *closed;
	int r = capabilities_permitted(&permitted);

	keep = r ? 0 : permitted & CAPABILITIES_ALWAYS;
	if (!r && permitted & over_modes)
		r = capabilities_set(permitted, permitted & ~over_modes);
	closed = r || !(permitted & over_modes) ? NULL : closed_path(paths);
	if (closed) {
		keep |= permitted & over_modes;
		log_info("%s is not open to uid %u alone: capabilities that pass over "
			 "modes are kept",
			 closed, geteuid());
	}
	if (!r)
		r = capabilities_keep(keep);
	if (r)
		log_warning("privileges that are not needed are kept: %s", strerror(-r));
}
