/* SPDX-License-Identifier: Apache-2.0 */
/*
 * values DIR sizes | huge GIB: values of every length, and what they cost the
 * daemon.
 *
 * sizes    every length around the thresholds, each written and read in several
 *          ways
 * huge     one value of GIB GiB, written as a stream and checked as one
 *
 * Each prints the peak memory of the daemon meanwhile.
 */
#include "prog.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define KIB UINT64_C(1024)
#define MIB (KIB * KIB)
#define GIB (KIB * MIB)

enum { PIECE = 1 << 20 };

static uint8_t *piece_buffer(void)
{
	uint8_t *data = malloc(PIECE);

	if (!data)
		fail("out of memory");
	return data;
}

/* ---- sizes ------------------------------------------------------------------ */

/* `piece` bytes a write: from one to all at once. */
static void write_value(const char *name, uint64_t size, size_t piece, uint64_t seed)
{
	uint8_t *data = malloc(size + 8);
	int fd = open_or_fail(name, O_WRONLY | O_CREAT | O_TRUNC);

	if (!data)
		fail("out of memory");
	fill_pattern(data, size, 0, seed);
	for (uint64_t off = 0; off < size; off += piece)
		write_all(fd, data + off, size - off < piece ? size - off : piece, name);
	close_or_fail(fd, name);
	free(data);
}

/* Backwards, in pieces: every write but the last leaves a hole before it. */
static void write_backwards(const char *name, uint64_t size, size_t piece, uint64_t seed)
{
	uint8_t *data = malloc(size + 8);
	int fd = open_or_fail(name, O_WRONLY | O_CREAT | O_TRUNC);
	uint64_t end = size, begin;

	if (!data)
		fail("out of memory");
	fill_pattern(data, size, 0, seed);
	for (; end; end = begin) {
		begin = end > piece ? end - piece : 0;
		if (pwrite(fd, data + begin, end - begin, (off_t)begin) !=
		    (ssize_t)(end - begin))
			fail_errno("pwrite %s", name);
	}
	close_or_fail(fd, name);
	free(data);
}

static void check_stat(const char *name, uint64_t size)
{
	struct stat st;

	if (stat(name, &st) < 0)
		fail_errno("stat %s", name);
	if ((uint64_t)st.st_size != size)
		fail("%s: %" PRIu64 " bytes were written, stat says %lld", name, size,
		     (long long)st.st_size);
	if (size && st.st_blocks == 0)
		fail("%s: %" PRIu64 " bytes in no block", name, size);
}

static void check_mapped(int fd, const char *name, uint64_t size, uint64_t seed)
{
	void *mem;

	if (size == 0)
		return;
	mem = mmap(NULL, size, PROT_READ, MAP_PRIVATE, fd, 0);
	if (mem == MAP_FAILED)
		fail_errno("mmap %s", name);
	check_pattern(mem, size, 0, seed, name);
	munmap(mem, size);
}

static void check_value(const char *name, uint64_t size, uint64_t seed)
{
	uint8_t *data = malloc(size + 9);
	int fd = open_or_fail(name, O_RDONLY);
	uint8_t last;

	if (!data)
		fail("out of memory");
	check_stat(name, size);
	if (read_upto(fd, data, size + 1, name) != size)
		fail("%s: not %" PRIu64 " bytes when read", name, size);
	check_pattern(data, size, 0, seed, name);
	if (size && (pread(fd, &last, 1, (off_t)size - 1) != 1 || last != data[size - 1]))
		fail("%s: the last byte, read alone, differs", name);
	if (pread(fd, &last, 1, (off_t)size) != 0 ||
	    pread(fd, &last, 1, (off_t)(size + 100000)) != 0)
		fail("%s: there are bytes after the end", name);
	check_mapped(fd, name, size, seed);
	close_or_fail(fd, name);
	free(data);
}

/* Thresholds of the store, of the kernel's requests, and of pages. */
static const uint64_t thresholds[] = {0,	 4 * KIB,   16 * KIB, 32 * KIB, 64 * KIB,
				      128 * KIB, 256 * KIB, MIB,      4 * MIB};

static void one_size(uint64_t size)
{
	static const size_t pieces[] = {1, 4096, 65537, PIECE, SIZE_MAX};
	uint64_t seed = size * 31 + 7;
	char name[64];

	for (size_t i = 0; i < sizeof(pieces) / sizeof(pieces[0]); i++) {
		if (pieces[i] == 1 && size > 20000)
			continue;
		snprintf(name, sizeof(name), "v%" PRIu64 ".%zu", size, i);
		write_value(name, size, pieces[i], seed + i);
		check_value(name, size, seed + i);
	}
	snprintf(name, sizeof(name), "v%" PRIu64 ".back", size);
	write_backwards(name, size, 50000, seed);
	check_value(name, size, seed);
	/* Shorter and longer over the same name: no rest of the old one. */
	write_value(name, size / 2, SIZE_MAX, seed + 1);
	check_value(name, size / 2, seed + 1);
	write_value(name, size, SIZE_MAX, seed + 2);
	check_value(name, size, seed + 2);
	if (unlink(name) < 0)
		fail_errno("unlink %s", name);
}

static unsigned int each_size(void (*each)(uint64_t size))
{
	static const int deltas[] = {-4097, -1, 0, 1, 4097};
	unsigned int count = 0;

	for (size_t t = 0; t < sizeof(thresholds) / sizeof(thresholds[0]); t++)
		for (size_t d = 0; d < sizeof(deltas) / sizeof(deltas[0]); d++) {
			int64_t size = (int64_t)thresholds[t] + deltas[d];

			if (size < 0)
				continue;
			each((uint64_t)size);
			count++;
		}
	return count;
}

/* Later writes must not have touched what was published before. */
static void one_size_again(uint64_t size)
{
	char name[64];

	snprintf(name, sizeof(name), "v%" PRIu64 ".3", size);
	check_value(name, size, size * 31 + 7 + 3);
}

static void sizes(void)
{
	unsigned int count = each_size(one_size);

	each_size(one_size_again);
	printf("%u lengths from 0 bytes to 4 MiB, each in six ways: bytes as written\n",
	       count);
}

/* ---- huge ------------------------------------------------------------------- */

static void huge(uint64_t gib)
{
	uint64_t size = gib * GIB + 12345, off;
	uint8_t *data = piece_buffer();
	int64_t begin = elapsed_ns();
	int fd = open_or_fail("huge", O_WRONLY | O_CREAT | O_EXCL);

	for (off = 0; off < size; off += PIECE) {
		size_t len = size - off < PIECE ? size - off : PIECE;

		fill_pattern(data, len, off, gib);
		write_all(fd, data, len, "huge");
	}
	close_or_fail(fd, "huge");
	printf("%" PRIu64 " bytes written in %.1f s", size,
	       (double)(elapsed_ns() - begin) / 1e9);

	begin = elapsed_ns();
	check_stat("huge", size);
	fd = open_or_fail("huge", O_RDONLY);
	for (off = 0; off < size; off += PIECE) {
		size_t len = size - off < PIECE ? size - off : PIECE;

		if (read_upto(fd, data, len, "huge") != len)
			fail("huge ends before %" PRIu64, off + len);
		check_pattern(data, len, off, gib, "huge");
	}
	if (read_upto(fd, data, 1, "huge") != 0)
		fail("huge is longer than %" PRIu64, size);
	printf(", read and checked in %.1f s\n", (double)(elapsed_ns() - begin) / 1e9);
	close_or_fail(fd, "huge");
	free(data);
}

static void usage(void)
{
	fprintf(stderr, "usage: values DIR sizes | huge GIB\n");
	exit(2);
}

int main(int argc, char **argv)
{
	bool is_huge = argc == 4 && strcmp(argv[2], "huge") == 0;
	uint64_t gib = is_huge ? arg_u64(argv[3], "GIB", 1) : 0;
	pid_t pid;

	if (!is_huge && (argc != 3 || strcmp(argv[2], "sizes") != 0))
		usage();
	enter_scratch(argv[1], "values");
	pid = daemon_pid(".");
	daemon_peak_reset(pid);
	if (is_huge)
		huge(gib);
	else
		sizes();
	daemon_peak_print(pid, argv[2]);
	leave_scratch();
	return 0;
}
