/* SPDX-License-Identifier: Apache-2.0 */
/*
 * torn DIR READS READERS WRITERS: a reader sees one whole generation.
 *
 * WRITERS processes overwrite the same keys in every way a program may
 * (truncate and write in pieces, rename over, in place without truncation,
 * copy and append) while READERS processes do READS reads in all: in small
 * pieces, by mmap, and half at once and the other half after the key was
 * overwritten. Every value describes itself:
 *
 *	word 0   a random number: the seed of this generation
 *	word 1   its length in words, by the seed
 *	word i   mix(seed, i), so that each word tells seed and place
 *
 * Two generations never have equal words in the same place, and a value cut
 * short or filled with zeros fails too.
 */
#include "prog.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KEYS = 4, WORDS_MAX = 48 * 1024 }; /* 384 KiB: three blocks and a small value */
/* Readers' buffers hold one word more, so that a longer value shows. */
enum { READ_MAX = (WORDS_MAX + 1) * sizeof(uint64_t) };

enum overwrite { TRUNCATE, RENAME, IN_PLACE, GROW, OVERWRITE_COUNT };
enum reading { PIECES, MAPPED, HALVES, WHOLE, READING_COUNT };

static const char *const reading_name[] = {"in pieces", "by mmap", "half and half",
					   "whole"};

struct shared {
	atomic_ullong reads;
	atomic_ullong writes;
	atomic_ullong split; /* HALVES whose key was overwritten in between */
	uint64_t reads_wanted;
	unsigned int readers;
};

static uint64_t mix(uint64_t seed, uint64_t i)
{
	uint64_t state = seed ^ i * UINT64_C(0xd1342543de82ef95);

	return next_random(&state);
}

/* Mostly small, as results are; one in sixteen is larger than a block. */
static size_t words_of(uint64_t seed)
{
	uint64_t r = mix(seed, 1);

	return 2 + (size_t)(r >> 8) % (r % 16 ? 512 : WORDS_MAX - 2);
}

static size_t make_value(uint64_t *random, uint64_t *words)
{
	uint64_t seed = next_random(random);
	size_t count = words_of(seed);

	words[0] = seed;
	words[1] = count;
	for (size_t i = 2; i < count; i++)
		words[i] = mix(seed, i);
	return count * sizeof(*words);
}

static void check_value(const uint64_t *words, size_t len, const char *key,
			enum reading how)
{
	const char *name = reading_name[how];
	size_t count = len / sizeof(*words);

	if (len < 2 * sizeof(*words))
		fail("%s read %s: only %zu bytes", key, name, len);
	if (words[1] != words_of(words[0]))
		fail("%s read %s: not a generation's beginning", key, name);
	for (size_t i = 2; i < count && i < words[1]; i++)
		if (words[i] != mix(words[0], i))
			fail("%s read %s: torn at byte %zu of %zu", key, name,
			     i * sizeof(*words), len);
	if (len != words[1] * sizeof(*words))
		fail("%s read %s: %zu bytes of a generation of %llu", key, name, len,
		     (unsigned long long)(words[1] * sizeof(*words)));
}

static void key_name(char *ret_name, size_t size, unsigned int key)
{
	snprintf(ret_name, size, "key%u", key);
}

static void write_in_pieces(int fd, const uint64_t *words, size_t len, uint64_t *random,
			    const char *name)
{
	size_t done = 0;

	while (done < len) {
		size_t piece = 1 + next_random(random) % (len / 2 + 4096);

		if (piece > len - done)
			piece = len - done;
		write_all(fd, (const char *)words + done, piece, name);
		done += piece;
	}
}

static void overwrite(const char *name, unsigned int who, enum overwrite how,
		      uint64_t *random, uint64_t *words)
{
	size_t len = make_value(random, words);
	char tmp[64];
	int fd;

	snprintf(tmp, sizeof(tmp), "tmp%u", who);
	switch (how) {
	case TRUNCATE:
		fd = open_or_fail(name, O_WRONLY | O_CREAT | O_TRUNC);
		write_in_pieces(fd, words, len, random, name);
		break;
	case RENAME:
		fd = open_or_fail(tmp, O_WRONLY | O_CREAT | O_TRUNC);
		write_in_pieces(fd, words, len, random, name);
		break;
	case IN_PLACE:
		fd = open_or_fail(name, O_RDWR);
		write_in_pieces(fd, words, len, random, name);
		if (ftruncate(fd, (off_t)len) < 0)
			fail_errno("ftruncate %s", name);
		break;
	default:
		fd = open_or_fail(name, O_WRONLY | O_APPEND);
		if (ftruncate(fd, 0) < 0)
			fail_errno("ftruncate %s", name);
		write_in_pieces(fd, words, len, random, name);
		break;
	}
	close_or_fail(fd, name);
	if (how == RENAME && rename(tmp, name) < 0)
		fail_errno("rename %s", name);
}

static size_t read_in_pieces(int fd, uint64_t *words, uint64_t *random, const char *name)
{
	size_t done = 0, got, piece;

	do {
		piece = 1 + next_random(random) % 16384;
		if (piece > READ_MAX - done)
			piece = READ_MAX - done;
		got = read_upto(fd, (char *)words + done, piece, name);
		done += got;
	} while (got == piece && done < READ_MAX);
	return done;
}

/* Wait until the name has another inode or size than the open descriptor. */
static bool wait_overwritten(int fd, const char *name)
{
	struct stat mine, now;

	if (fstat(fd, &mine) < 0)
		fail_errno("fstat %s", name);
	for (int i = 0; i < 50; i++) {
		if (stat(name, &now) < 0)
			fail_errno("stat %s", name);
		if (now.st_ino != mine.st_ino || now.st_size != mine.st_size)
			return true;
		sleep_ns(100000);
	}
	return false;
}

static size_t read_mapped(int fd, uint64_t *words, const char *name)
{
	struct stat st;
	void *mem;

	if (fstat(fd, &st) < 0)
		fail_errno("fstat %s", name);
	if (st.st_size > READ_MAX)
		fail("%s has %lld bytes", name, (long long)st.st_size);
	mem = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, fd, 0);
	if (mem == MAP_FAILED)
		fail_errno("mmap %s, %lld bytes", name, (long long)st.st_size);
	memcpy(words, mem, (size_t)st.st_size);
	munmap(mem, (size_t)st.st_size);
	return (size_t)st.st_size;
}

static size_t read_halves(struct shared *sh, int fd, uint64_t *words, const char *name)
{
	struct stat st;
	size_t half, len;

	if (fstat(fd, &st) < 0)
		fail_errno("fstat %s", name);
	half = (size_t)st.st_size / 2;
	len = read_upto(fd, words, half, name);
	if (wait_overwritten(fd, name))
		sh->split++;
	return len + read_upto(fd, (char *)words + len, READ_MAX - len, name);
}

static void read_once(struct shared *sh, const char *name, enum reading how,
		      uint64_t *random, uint64_t *words)
{
	int fd = open_or_fail(name, O_RDONLY);
	size_t len;

	switch (how) {
	case PIECES:
		len = read_in_pieces(fd, words, random, name);
		break;
	case MAPPED:
		len = read_mapped(fd, words, name);
		break;
	case HALVES:
		len = read_halves(sh, fd, words, name);
		break;
	default:
		len = read_upto(fd, words, READ_MAX, name);
		break;
	}
	close(fd);
	check_value(words, len, name, how);
}

static void run_reader(struct shared *sh, uint64_t *random, uint64_t *words)
{
	char name[16];

	while (sh->reads < sh->reads_wanted) {
		uint64_t r = next_random(random);
		enum reading how = (enum reading)(r % 3); /* not HALVES */

		if (how == HALVES)
			how = WHOLE;
		if (r / 3 % 256 == 0)
			how = HALVES;
		key_name(name, sizeof(name), r / 1024 % KEYS);
		read_once(sh, name, how, random, words);
		sh->reads++;
	}
}

static void run_writer(struct shared *sh, unsigned int who, uint64_t *random,
		       uint64_t *words)
{
	char name[16];

	while (sh->reads < sh->reads_wanted) {
		uint64_t r = next_random(random);

		key_name(name, sizeof(name), r / 1024 % KEYS);
		overwrite(name, who, (enum overwrite)(r % OVERWRITE_COUNT), random,
			  words);
		sh->writes++;
	}
}

static void run(unsigned int index, void *arg)
{
	struct shared *sh = arg;
	uint64_t random = (uint64_t)wall_ns() ^ mix(0, index);
	uint64_t *words = malloc(READ_MAX);

	if (!words)
		fail("out of memory");
	if (index < sh->readers)
		run_reader(sh, &random, words);
	else
		run_writer(sh, index, &random, words);
	free(words);
}

static void first_values(void)
{
	static uint64_t words[WORDS_MAX];
	uint64_t random = (uint64_t)wall_ns();
	char name[16];

	for (unsigned int key = 0; key < KEYS; key++) {
		key_name(name, sizeof(name), key);
		put_file(name, words, make_value(&random, words));
	}
}

int main(int argc, char **argv)
{
	struct shared *sh = shared_memory(sizeof(*sh));
	unsigned int writers;
	int64_t begin;

	if (argc != 5) {
		fprintf(stderr, "usage: torn DIR READS READERS WRITERS\n");
		return 2;
	}
	sh->reads_wanted = arg_u64(argv[2], "READS", 1);
	sh->readers = (unsigned int)arg_u64(argv[3], "READERS", 1);
	writers = (unsigned int)arg_u64(argv[4], "WRITERS", 1);

	enter_scratch(argv[1], "torn");
	first_values();
	begin = elapsed_ns();
	run_children(sh->readers + writers, run, sh);
	printf("%llu reads against %llu overwrites in %.1f s, %llu of them split by an "
	       "overwrite: each was one whole generation\n",
	       (unsigned long long)sh->reads, (unsigned long long)sh->writes,
	       (double)(elapsed_ns() - begin) / 1e9, (unsigned long long)sh->split);
	leave_scratch();
	if (sh->writes < sh->reads / 1000 || sh->split == 0)
		fail("too few overwrites for the reads to mean anything");
	return 0;
}
