/* SPDX-License-Identifier: Apache-2.0 */
/*
 * replay DIRECTORY [CUTS]: give each file of a corpus to the target, without libFuzzer.
 * Beside the file itself, each beginning of it, CUTS of them at most: cheap, and finds
 * what reads too far. Fails when there is no file, so that a lost corpus is noticed.
 */
#include "tests/fuzz/fuzz.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Every length of a small file, and 4096 lengths of a larger one. */
#define CUTS_MAX 4096

/* A copy of just that size: sanitizers see the first byte read behind it. */
static void feed(const uint8_t *data, size_t len)
{
	uint8_t *copy = malloc(len ? len : 1);

	FUZZ_CHECK(copy);
	memcpy(copy, data, len);
	LLVMFuzzerTestOneInput(copy, len);
	free(copy);
}

static void replay(int dir_fd, const char *name, size_t cuts_max)
{
	int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
	struct stat st;
	uint8_t *data;
	size_t len, step;

	FUZZ_CHECK(fd >= 0 && fstat(fd, &st) == 0);
	len = (size_t)st.st_size;
	data = malloc(len + 1);
	FUZZ_CHECK(data);
	FUZZ_CHECK(read(fd, data, len + 1) == st.st_size);
	close(fd);
	fprintf(stderr, "%s\n", name); /* the last one named is the one that failed */
	step = len / cuts_max + 1;
	for (size_t cut = 0; cut < len; cut += step)
		feed(data, cut);
	feed(data, len);
	free(data);
}

int main(int argc, char **argv)
{
	size_t cuts_max = argc == 3 ? strtoul(argv[2], NULL, 10) : CUTS_MAX;
	DIR *dir = argc >= 2 ? opendir(argv[1]) : NULL;
	struct dirent *ent;
	int files = 0;

	if (!dir || !cuts_max) {
		fprintf(stderr, "usage: %s DIRECTORY [CUTS]\n", argv[0]);
		return 2;
	}
	while ((ent = readdir(dir))) {
		if (ent->d_name[0] == '.')
			continue;
		replay(dirfd(dir), ent->d_name, cuts_max);
		files++;
	}
	closedir(dir);
	fprintf(stderr, "%d files\n", files);
	return files ? 0 : 1;
}
