/* SPDX-License-Identifier: Apache-2.0 */
/*
 * switch DIR N: the version of a directory over N entries changes, and back.
 *
 * Every name is in the kernel's caches when the version is switched. Right
 * after it, only the new version may be seen, by open, stat, access and in
 * listings. The time of a switch is printed; the test asserts what is seen.
 */
#include "prog.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { FANOUT = 8, SWITCHES = 4, LOOKS = 5000 };

/* Entries lie in d/ and in d/sub/: a version covers directories below. */
static void entry_name(char *ret_name, size_t size, uint64_t i)
{
	snprintf(ret_name, size, i % FANOUT ? "d/e%" PRIu64 : "d/sub/e%" PRIu64, i);
}

static int64_t set_version(const char *version)
{
	int64_t begin = elapsed_ns();

	if (setxattr("d", "user.cache.version", version, strlen(version), 0) < 0)
		fail_errno("set user.cache.version=%s", version);
	return elapsed_ns() - begin;
}

/* Write entries 0, step, 2 * step, … with `text` as content. */
static void fill(uint64_t count, uint64_t step, const char *text)
{
	char name[64];

	need_dir("d/sub");
	for (uint64_t i = 0; i < count; i += step) {
		entry_name(name, sizeof(name), i);
		put_file(name, text, strlen(text));
	}
}

static uint64_t count_names(const char *path)
{
	DIR *dir = opendir(path);
	struct dirent *ent;
	uint64_t count = 0;

	if (!dir)
		fail_errno("opendir %s", path);
	while ((ent = readdir(dir)))
		if (ent->d_name[0] == 'e')
			count++;
	closedir(dir);
	return count;
}

static void want_entry(uint64_t i, const char *text, const char *when)
{
	char name[64], got[16] = "";
	struct stat st;
	size_t len;
	int fd;

	entry_name(name, sizeof(name), i);
	fd = open(name, O_RDONLY);
	if (fd < 0)
		fail_errno("%s: open %s", when, name);
	len = read_upto(fd, got, sizeof(got), name);
	close(fd);
	if (len != strlen(text) || memcmp(got, text, len) != 0)
		fail("%s: %s has the content of another version", when, name);
	if (stat(name, &st) < 0 || (size_t)st.st_size != strlen(text))
		fail("%s: stat of %s shows another version", when, name);
}

static void want_hidden(uint64_t i, const char *when)
{
	char name[64];
	struct stat st;

	entry_name(name, sizeof(name), i);
	if (open(name, O_RDONLY) >= 0)
		fail("%s: open finds the hidden %s", when, name);
	if (errno != ENOENT)
		fail_errno("%s: open %s", when, name);
	if (stat(name, &st) == 0 || access(name, F_OK) == 0)
		fail("%s: stat or access finds the hidden %s", when, name);
}

/*
 * Entries at multiples of `step` are visible with `text`, the others hidden. All
 * names are counted in the listings; some LOOKS of them, all over, are opened.
 */
static void want_version(uint64_t count, uint64_t step, const char *text,
			 const char *when)
{
	uint64_t stride = count / LOOKS / step * step + 1, names;

	for (uint64_t i = 0; i < count; i += stride)
		if (i % step == 0)
			want_entry(i, text, when);
		else
			want_hidden(i, when);
	names = count_names("d") + count_names("d/sub");
	if (names != (count + step - 1) / step)
		fail("%s: %" PRIu64 " names are listed, not %" PRIu64, when, names,
		     (count + step - 1) / step);
}

static void warm(uint64_t count)
{
	char name[64];
	struct stat st;

	for (uint64_t i = 0; i < count; i++) {
		entry_name(name, sizeof(name), i);
		(void)!stat(name, &st);
	}
}

/* Switch to and fro with the caches warm and look at one entry each time. */
static void time_switches(uint64_t count)
{
	int64_t there = 0, back = 0, worst = 0, ns;

	for (int i = 0; i < SWITCHES; i++) {
		uint64_t hidden = 1 + 10 * (uint64_t)i;

		warm(count);
		ns = set_version("v2");
		there += ns;
		worst = ns > worst ? ns : worst;
		want_hidden(hidden % count, "right after the switch");
		want_entry(0, "two", "right after the switch");
		warm(count);
		ns = set_version("v1");
		back += ns;
		worst = ns > worst ? ns : worst;
		want_entry(hidden % count, "first", "right after the switch back");
	}
	printf("%" PRIu64 " entries in the kernel's caches: a switch takes %.0f us, back "
	       "%.0f us, at most %.0f us\n",
	       count, (double)there / 1e3 / SWITCHES, (double)back / 1e3 / SWITCHES,
	       (double)worst / 1e3);
}

static void keep_open_over_switch(void)
{
	char got[16];
	int fd = open("d/e1", O_RDONLY);

	if (fd < 0)
		fail_errno("open d/e1");
	set_version("v2");
	if (read_upto(fd, got, sizeof(got), "d/e1") != strlen("first"))
		fail("an open descriptor does not survive the switch");
	close(fd);
	set_version("v1");
}

int main(int argc, char **argv)
{
	uint64_t count;

	if (argc != 3) {
		fprintf(stderr, "usage: switch DIR ENTRIES\n");
		return 2;
	}
	count = arg_u64(argv[2], "ENTRIES", 100);

	enter_scratch(argv[1], "switch");
	need_dir("d");
	set_version("v1");
	fill(count, 1, "first");
	set_version("v2");
	if (count_names("d") != 0)
		fail("a version that was never written lists names");
	fill(count, 10, "two");

	want_version(count, 10, "two", "at version v2");
	set_version("v1");
	want_version(count, 1, "first", "back at version v1");
	set_version("v2");
	want_version(count, 10, "two", "at version v2 again");
	set_version("v1");
	time_switches(count);
	keep_open_over_switch();
	want_version(count, 1, "first", "at the end");
	leave_scratch();
	return 0;
}
