/* SPDX-License-Identifier: Apache-2.0 */
/* One mount's holder: it starts the daemon, and another when that has died. */
#ifndef MEMOFS_FS_HOLDER_HOLDER_H
#define MEMOFS_FS_HOLDER_HOLDER_H

#include <stdbool.h>

#include "fs/launch.h"

struct holder_options {
	const char *program; /* the daemon, absolute */
	char *const *args;   /* of it; ends with NULL */
	const char *cwd;     /* where relative paths in them are from */
};

/*
 * Until it is unmounted. `launch` tells who waits how it went. The exit code, which is
 * the daemon's if it could not mount.
 */
int holder_run(const struct holder_options *opt, struct launch *launch);

#endif
