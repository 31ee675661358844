/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/holders.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "cli/message.h"
#include "cli/mounts.h"
#include "cli/paths.h"

/* AT_STATX_DONT_SYNC: st_dev is known to the kernel, the daemon is not asked. */
static bool is_on(int dirfd, const char *link, dev_t dev)
{
	struct statx stx;

	if (statx(dirfd, link, AT_STATX_DONT_SYNC, 0, &stx))
		return false;
	return makedev(stx.stx_dev_major, stx.stx_dev_minor) == dev;
}

static bool open_file_on(int proc, dev_t dev, char ret_name[NAME_MAX + 1])
{
	int fd = openat(proc, "fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	char target[PATH_MAX + 1];
	struct dirent *de;
	bool found = false;

	if (!dir && fd >= 0)
		close(fd);
	while (dir && !found && (de = readdir(dir))) {
		ssize_t n;

		if (!isdigit((unsigned char)de->d_name[0]) ||
		    !is_on(dirfd(dir), de->d_name, dev))
			continue;
		n = readlinkat(dirfd(dir), de->d_name, target, PATH_MAX);
		target[n > 0 ? n : 0] = '\0';
		snprintf(ret_name, NAME_MAX + 1, "%.255s", path_base(target));
		found = true;
	}
	if (dir)
		closedir(dir);
	return found;
}

/* A line of maps: `7f00-7f01 r--p 00000000 00:2a 17 /path`. */
static bool maps_file_on(int proc, dev_t dev)
{
	int fd = openat(proc, "maps", O_RDONLY | O_CLOEXEC);
	FILE *in = fd < 0 ? NULL : fdopen(fd, "r");
	CLEANUP_FREE char *line = NULL;
	unsigned int major_no, minor_no;
	bool found = false;
	size_t cap = 0;

	if (!in && fd >= 0)
		close(fd);
	while (in && !found && getline(&line, &cap, in) > 0) {
		found = sscanf(line, "%*s %*s %*s %x:%x", &major_no, &minor_no) == 2 &&
			makedev(major_no, minor_no) == dev;
	}
	if (in)
		fclose(in);
	return found;
}

/* How the process holds it, in words; false: it does not. */
static bool describe_use(int proc, dev_t dev, struct buf *ret_how)
{
	char name[NAME_MAX + 1];

	if (is_on(proc, "cwd", dev))
		must(buf_printf(ret_how, "working directory"));
	else if (is_on(proc, "root", dev))
		must(buf_printf(ret_how, "root directory"));
	else if (is_on(proc, "exe", dev))
		must(buf_printf(ret_how, "its program"));
	else if (open_file_on(proc, dev, name))
		must(buf_printf(ret_how, "open file %s", name));
	else if (maps_file_on(proc, dev))
		must(buf_printf(ret_how, "mapped file"));
	else
		return false;
	must(buf_append(ret_how, "", 1));
	return true;
}

/* In its mount namespace; in ours it is not any more. */
static bool describe_mount(int proc, dev_t dev, struct buf *ret_how)
{
	int fd = openat(proc, "mountinfo", O_RDONLY | O_CLOEXEC);
	FILE *in = fd < 0 ? NULL : fdopen(fd, "r");
	CLEANUP_MOUNTS struct mounts ms = MOUNTS_INIT;
	const struct mount *m;

	if (!in && fd >= 0)
		close(fd);
	if (!in)
		return false;
	mounts_parse(in, &ms);
	fclose(in);
	m = mounts_of_dev(&ms, dev);
	if (m)
		must(buf_printf(ret_how, "at %s", m->point));
	if (m)
		must(buf_append(ret_how, "", 1));
	return m;
}

static void read_comm(int proc, char ret_comm[64])
{
	int fd = openat(proc, "comm", O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, ret_comm, 63);

	ret_comm[n > 0 ? n : 0] = '\0';
	ret_comm[strcspn(ret_comm, "\n")] = '\0';
	if (fd >= 0)
		close(fd);
}

typedef bool describe_fn(int proc, dev_t dev, struct buf *ret_how);

static size_t describe_all(describe_fn *describe, dev_t dev, size_t max, struct buf *out)
{
	DIR *dir = opendir("/proc");
	struct dirent *de;
	size_t n = 0;

	while (dir && (de = readdir(dir))) {
		CLEANUP_BUF struct buf how = BUF_INIT;
		CLEANUP_FD int proc = -1;
		char comm[64];

		if (!isdigit((unsigned char)de->d_name[0]))
			continue;
		proc = openat(dirfd(dir), de->d_name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		if (proc < 0 || !describe(proc, dev, &how) || n++ >= max)
			continue;
		read_comm(proc, comm);
		must(buf_printf(out, "%s%s (pid %s, %s)", n > 1 ? ", " : "", comm,
				de->d_name, (char *)how.data));
	}
	if (dir)
		closedir(dir);
	if (n > max)
		must(buf_printf(out, ", and %zu more", n - max));
	if (n)
		must(buf_append(out, "", 1));
	return n;
}

size_t holders_describe(dev_t dev, size_t max, struct buf *out)
{
	return describe_all(describe_use, dev, max, out);
}

size_t holders_elsewhere(dev_t dev, size_t max, struct buf *out)
{
	return describe_all(describe_mount, dev, max, out);
}
