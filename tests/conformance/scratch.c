/* SPDX-License-Identifier: Apache-2.0 */
#include "tests/conformance/scratch.h"

#include <dirent.h>
#include <err.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

void scratch_make(char ret_path[SCRATCH_MAX])
{
	const char *tmp = getenv("TMPDIR");

	snprintf(ret_path, SCRATCH_MAX, "%s/memofs-test-XXXXXX", tmp ? tmp : "/tmp");
	if (!mkdtemp(ret_path))
		err(1, "%s", ret_path);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	return remove(path);
}

void scratch_remove(const char *path)
{
	if (nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS | FTW_MOUNT))
		warn("removing %s", path);
}

static bool ends_with(const char *text, const char *end)
{
	size_t len = strlen(text), end_len = strlen(end);

	return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

bool scratch_find(const char *folder, const char *start, const char *end,
		  char ret_path[SCRATCH_MAX])
{
	char best[SCRATCH_MAX] = "";
	struct dirent *ent;
	DIR *dir;

	dir = opendir(folder);
	if (!dir)
		err(1, "%s", folder);
	while ((ent = readdir(dir)))
		if (strncmp(ent->d_name, start, strlen(start)) == 0 &&
		    ends_with(ent->d_name, end) && strcmp(ent->d_name, best) > 0)
			snprintf(best, sizeof(best), "%s", ent->d_name);
	closedir(dir);
	if (!best[0])
		return false;
	if (snprintf(ret_path, SCRATCH_MAX, "%s/%s", folder, best) >= SCRATCH_MAX)
		errx(1, "%s: too long", folder);
	return true;
}

void scratch_write(const char *path, const void *data, size_t len)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || write(fd, data, len) != (ssize_t)len || close(fd))
		err(1, "%s", path);
}

static off_t size_of(const char *path)
{
	struct stat st;

	if (stat(path, &st))
		err(1, "%s", path);
	return st.st_size;
}

void scratch_cut(const char *path, unsigned int percent)
{
	if (truncate(path, size_of(path) * percent / 100))
		err(1, "%s", path);
}

void scratch_garble(const char *path, unsigned int percent)
{
	off_t size = size_of(path);
	int fd = open(path, O_RDWR | O_CLOEXEC);

	if (fd < 0)
		err(1, "%s", path);
	for (off_t off = size * percent / 100; off < size; off += 7) {
		uint8_t byte;

		if (pread(fd, &byte, 1, off) != 1)
			err(1, "%s", path);
		byte ^= 0x55;
		if (pwrite(fd, &byte, 1, off) != 1)
			err(1, "%s", path);
	}
	close(fd);
}
