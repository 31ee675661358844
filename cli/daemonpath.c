/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/daemonpath.h"

#include <limits.h>
#include <stdbool.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/message.h"
#include "cli/paths.h"

static bool executable(const char *path)
{
	return access(path, X_OK) == 0;
}

char *daemon_path(const char *command)
{
	const char *env = getenv("MEMOFSD");
	CLEANUP_FREE char *dir = NULL, *beside = NULL;
	char self[PATH_MAX + 1];
	ssize_t n;

	if (env && *env)
		return xstrdup(env);
	n = readlink("/proc/self/exe", self, PATH_MAX);
	self[n > 0 ? n : 0] = '\0';
	dir = path_parent(self);
	beside = path_join(dir, "memofsd");
	if (n > 0 && executable(beside))
		return xstrdup(beside);
	if (executable(MEMOFS_LIBEXECDIR "/memofsd"))
		return xstrdup(MEMOFS_LIBEXECDIR "/memofsd");
	cli_error("%s: there is no memofsd in %s or %s; set MEMOFSD to its path", command,
		  dir, MEMOFS_LIBEXECDIR);
	return NULL;
}

char *daemon_holder_path(const char *daemon)
{
	CLEANUP_FREE char *dir = path_parent(daemon);
	char *beside = path_join(dir, "memofs-holder");

	if (executable(beside))
		return beside;
	free(beside);
	return NULL;
}
