/* SPDX-License-Identifier: Apache-2.0 */
/*
 * many DIR entries | handles N: many at once, and what they cost the daemon.
 *
 * entries  N names in one directory: made, listed, sought in, removed
 * handles  N descriptors open at once, for writing and for reading
 *
 * Each prints the peak memory of the daemon meanwhile.
 */
#include "prog.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

enum { LARGE = 300 * 1024 }; /* has an extent of its own */

/* ---- entries ------------------------------------------------------------------ */

static void make_entries(uint64_t count)
{
	char name[32];

	for (uint64_t i = 0; i < count; i++) {
		int len = snprintf(name, sizeof(name), "entry%" PRIu64, i);

		put_file(name, name, (size_t)len);
	}
}

/* Each name once and none else; with `with_stat`, as ls -l. */
static void list_entries(uint64_t count, bool with_stat)
{
	uint8_t *seen = calloc(count, 1);
	DIR *dir = opendir(".");
	struct dirent *ent;
	uint64_t names = 0, i;
	struct stat st;

	if (!seen || !dir)
		fail_errno("list");
	while ((errno = 0, ent = readdir(dir))) {
		if (ent->d_name[0] == '.')
			continue;
		if (sscanf(ent->d_name, "entry%" SCNu64, &i) != 1 || i >= count)
			fail("the listing has '%s'", ent->d_name);
		if (seen[i]++)
			fail("the listing has %s twice", ent->d_name);
		names++;
		if (!with_stat)
			continue;
		if (fstatat(dirfd(dir), ent->d_name, &st, 0) < 0)
			fail_errno("stat %s", ent->d_name);
		if ((size_t)st.st_size != strlen(ent->d_name) ||
		    st.st_ino != ent->d_ino || ent->d_type != DT_REG)
			fail("stat of %s and its listing differ", ent->d_name);
	}
	if (errno)
		fail_errno("readdir");
	if (names != count)
		fail("%" PRIu64 " names are listed, not %" PRIu64, names, count);
	closedir(dir);
	free(seen);
}

/* telldir at places all over, then seekdir to each in a shuffled order. */
static void seek_entries(uint64_t count)
{
	enum { MARKS = 200 };
	uint64_t step = count / MARKS + 1, n = 0, marks = 0, random = count;
	long place[MARKS + 2];
	char after[MARKS + 2][NAME_MAX + 1];
	DIR *dir = opendir(".");
	struct dirent *ent;

	if (!dir)
		fail_errno("opendir");
	for (;; n++) {
		long here = telldir(dir);

		ent = readdir(dir);
		if (n % step == 0 || !ent) {
			place[marks] = here;
			snprintf(after[marks++], sizeof(after[0]), "%s",
				 ent ? ent->d_name : "");
		}
		if (!ent)
			break;
	}
	for (int i = 0; i < 2 * MARKS; i++) {
		uint64_t mark = next_random(&random) % marks;

		seekdir(dir, place[mark]);
		ent = readdir(dir);
		if (strcmp(ent ? ent->d_name : "", after[mark]) != 0)
			fail("seekdir to the place of '%s' reads '%s'", after[mark],
			     ent ? ent->d_name : "");
	}
	rewinddir(dir);
	ent = readdir(dir);
	if (!ent || strcmp(ent->d_name, after[0]) != 0)
		fail("rewinddir does not go to the beginning");
	closedir(dir);
}

/* Remove while listing, as rm -r does: none may be left. */
static void remove_entries(void)
{
	DIR *dir = opendir(".");
	struct dirent *ent;

	if (!dir)
		fail_errno("opendir");
	while ((ent = readdir(dir)))
		if (ent->d_name[0] != '.' && unlink(ent->d_name) < 0)
			fail_errno("unlink %s", ent->d_name);
	closedir(dir);
	list_entries(0, false);
}

static int64_t lap(int64_t *begin)
{
	int64_t now = elapsed_ns(), took = now - *begin;

	*begin = now;
	return took;
}

static void entries(uint64_t count)
{
	int64_t begin = elapsed_ns();

	make_entries(count);
	printf("%" PRIu64 " entries: made in %.2f s", count, (double)lap(&begin) / 1e9);
	list_entries(count, false);
	printf(", listed in %.2f", (double)lap(&begin) / 1e9);
	list_entries(count, true);
	printf(", with stat in %.2f", (double)lap(&begin) / 1e9);
	seek_entries(count);
	printf(", sought in %.2f", (double)lap(&begin) / 1e9);
	remove_entries();
	printf(", removed in %.2f\n", (double)lap(&begin) / 1e9);
}

/* ---- handles ------------------------------------------------------------------ */

static void raise_limit(uint64_t count)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		fail_errno("getrlimit");
	limit.rlim_cur = count + 64;
	if (limit.rlim_max < limit.rlim_cur)
		limit.rlim_max = limit.rlim_cur;
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		fail_errno("raise the limit of open files to %" PRIu64, count + 64);
}

static void handle_name(char *ret_name, size_t size, uint64_t i)
{
	snprintf(ret_name, size, "h%" PRIu64, i);
}

/* A tenth of the handles read large values, which have a file of their own. */
static size_t handle_size(uint64_t i)
{
	return i % 10 ? 100 + i % 50 : LARGE;
}

static void open_for_writing(int *fds, uint64_t count, uint8_t *data)
{
	char name[32];

	for (uint64_t i = 0; i < count; i++) {
		handle_name(name, sizeof(name), i);
		fds[i] = open_or_fail(name, O_WRONLY | O_CREAT | O_EXCL);
		fill_pattern(data, handle_size(i), 0, i);
		write_all(fds[i], data, handle_size(i), name);
	}
	for (uint64_t i = 0; i < count; i++) {
		handle_name(name, sizeof(name), i);
		close_or_fail(fds[i], name);
	}
}

static void open_for_reading(int *fds, uint64_t count, uint8_t *data)
{
	char name[32];

	for (uint64_t i = 0; i < count; i++) {
		handle_name(name, sizeof(name), i);
		fds[i] = open_or_fail(name, O_RDONLY);
	}
	/* Replaced or removed, the open ones stay what they were. */
	for (uint64_t i = 0; i < count; i++) {
		handle_name(name, sizeof(name), i);
		if (i % 2)
			put_file(name, "new", 3);
		else if (unlink(name) < 0)
			fail_errno("unlink %s", name);
	}
	for (uint64_t i = 0; i < count; i++) {
		handle_name(name, sizeof(name), i);
		if (read_upto(fds[i], data, LARGE + 1, name) != handle_size(i))
			fail("%s, open when it was replaced, has another length", name);
		check_pattern(data, handle_size(i), 0, i, name);
		close_or_fail(fds[i], name);
	}
}

static void handles(uint64_t count)
{
	int *fds = calloc(count, sizeof(*fds));
	uint8_t *data = malloc(LARGE + 1);
	int64_t begin = elapsed_ns();

	if (!fds || !data)
		fail("out of memory");
	raise_limit(count);
	open_for_writing(fds, count, data);
	printf("%" PRIu64 " handles: written, all open at once, in %.2f s", count,
	       (double)lap(&begin) / 1e9);
	open_for_reading(fds, count, data);
	printf(", read after their entries were replaced or removed in %.2f\n",
	       (double)lap(&begin) / 1e9);
	free(data);
	free(fds);
}

int main(int argc, char **argv)
{
	bool is_entries = argc == 4 && strcmp(argv[2], "entries") == 0;
	uint64_t count;
	pid_t pid;

	if (!is_entries && (argc != 4 || strcmp(argv[2], "handles") != 0)) {
		fprintf(stderr, "usage: many DIR entries|handles N\n");
		return 2;
	}
	count = arg_u64(argv[3], "N", 1);
	enter_scratch(argv[1], "many");
	pid = daemon_pid(".");
	daemon_peak_reset(pid);
	if (is_entries)
		entries(count);
	else
		handles(count);
	daemon_peak_print(pid, argv[2]);
	leave_scratch();
	return 0;
}
