/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/mountpoint.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

/* mountinfo writes spaces and the like as \040. In place. */
static void unescape(char *text)
{
	char *to = text;

	for (const char *from = text; *from; to++) {
		unsigned int byte;

		if (*from == '\\' && sscanf(from + 1, "%3o", &byte) == 1) {
			*to = (char)byte;
			from += 4;
		} else {
			*to = *from++;
		}
	}
	*to = '\0';
}

/* The topmost mount at this absolute path, if that is a memofs. */
static bool find_memofs(const char *path, dev_t *ret_dev)
{
	FILE *f = fopen("/proc/self/mountinfo", "re");
	char *line = NULL;
	size_t size = 0;
	bool found = false;

	while (f && getline(&line, &size, f) > 0) {
		char *at = NULL, *type = strstr(line, " - ");
		unsigned int major, minor;

		if (!type ||
		    sscanf(line, "%*d %*d %u:%u %*s %ms", &major, &minor, &at) != 3)
			continue;
		unescape(at);
		if (strcmp(at, path) == 0) {
			found = strncmp(type + 3, "fuse.memofs ", 12) == 0;
			*ret_dev = makedev(major, minor);
		}
		free(at);
	}
	free(line);
	if (f)
		fclose(f);
	return found;
}

int mountpoint_dev(const char *path, dev_t *ret_dev)
{
	dev_t dev = 0;

	if (!find_memofs(path, &dev))
		return -ENOENT;
	*ret_dev = dev;
	return 0;
}

static bool is_empty(const char *path)
{
	DIR *d = opendir(path);
	struct dirent *e;
	bool empty = true;

	while (d && empty && (e = readdir(d)))
		empty = strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0;
	if (d)
		closedir(d);
	return empty;
}

int mountpoint_check(const char *path, bool nonempty, struct errmsg *err)
{
	struct stat st;
	dev_t dev;

	if (stat(path, &st)) {
		int e = errno;

		if (e == ENOENT)
			return err_set(err, e,
				       "%s: no such directory; make it: mkdir -p '%s'",
				       path, path);
		if (e == ENOTCONN)
			return err_set(
			    err, e,
			    "%s: a mount whose daemon has died is still there; "
			    "remove it: memofs umount '%s'",
			    path, path);
		return err_set(err, e, "%s: %s", path, strerror(e));
	}
	if (!S_ISDIR(st.st_mode))
		return err_set(err, ENOTDIR,
			       "%s: not a directory; a mount point must be one", path);
	if (find_memofs(path, &dev))
		return err_set(
		    err, EBUSY,
		    "%s: a memofs is mounted here already; see memofs status, or "
		    "memofs umount '%s'",
		    path, path);
	if (!nonempty && !is_empty(path))
		return err_set(
		    err, ENOTEMPTY,
		    "%s: not empty; choose an empty directory, or hide what it "
		    "holds: -o nonempty",
		    path);
	if (access("/dev/fuse", R_OK | W_OK)) {
		int e = errno == ENOENT ? ENODEV : errno;

		return err_set(err, e, "/dev/fuse: %s; %s", strerror(errno),
			       e == ENODEV
				   ? "load the module (modprobe fuse), or give the "
				     "container the device"
				   : "this user may not use it");
	}
	return 0;
}
