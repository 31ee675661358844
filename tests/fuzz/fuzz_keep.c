/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Kept memory that was damaged. A file with some objects is made; the input says which
 * words of it are changed, to what: two bytes of a place, one of the part of the file
 * that it is counted from, four of a value. It is refused with a word of what is wrong,
 * or everything in it can be read, changed and freed, and then it is empty.
 */
#include "tests/fuzz/fuzz.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/util/keep_arena.h"

#define BOUND ((uint64_t)16 << 20)
#define PATCH_BYTES 7
#define OBJECTS 6

static const size_t LENGTHS[OBJECTS] = {0, 10, 56, 200, 5000, 100 * 1000};

static void fill(struct keep *k)
{
	static const uint8_t bytes[100 * 1000];
	struct kept *o, *gone;

	for (unsigned int i = 0; i < OBJECTS; i++) {
		struct slice record = slice(bytes, LENGTHS[i]);

		FUZZ_CHECK(keep_new(k, 9, i, &gone) == 0);
		FUZZ_CHECK(keep_new(k, i % 2 + 1, i, &o) == 0);
		for (unsigned int n = 0; n <= i; n++)
			FUZZ_CHECK(keep_append(o, &record, 1) == 0);
		keep_free(gone);
	}
}

/* Where the parts of the file begin. */
static const size_t PARTS[] = {
    0,						 /* the header */
    ARENA_PULSE_OFF + sizeof(struct keep_pulse), /* the classes of slabs */
    ARENA_SLAB_BYTES,				 /* heads of objects */
    2 * ARENA_SLAB_BYTES,			 /* chunks */
};

/* Each patch changes one word of the file. */
static void spoil(uint8_t *file, size_t file_bytes, const uint8_t *data, size_t len)
{
	for (; len >= PATCH_BYTES; data += PATCH_BYTES, len -= PATCH_BYTES) {
		size_t word = (size_t)data[0] | (size_t)data[1] << 8;
		size_t part = PARTS[data[2] % (sizeof(PARTS) / sizeof(PARTS[0]))];

		memcpy(file + (part / 4 + word) % (file_bytes / 4) * 4, data + 3, 4);
	}
}

static int touch_record(void *arg, struct slice record)
{
	const uint8_t *bytes = record.data;
	uint64_t *sum = arg;

	for (size_t i = 0; i < record.len; i++)
		*sum += bytes[i];
	return 0;
}

static int use_and_free(void *arg, struct kept *o)
{
	struct slice record = slice("something", 9);
	int r;

	keep_records(o, touch_record, arg);
	r = keep_append(o, &record, 1);
	FUZZ_CHECK(r == 0 || r == -ENOSPC);
	r = keep_replace(o, &record, 1);
	FUZZ_CHECK(r == 0 || r == -ENOSPC);
	keep_free(o);
	return 0;
}

static int is_there(void *arg, struct kept *o)
{
	return 1;
}

/* Whatever kinds there are now. */
static const uint32_t KINDS[] = {1, 2, 9, 0, 77};

static void use(int fd)
{
	struct errmsg err = {0};
	struct keep *k;
	uint64_t sum = 0;

	if (keep_open(fd, BOUND, &k, &err)) {
		FUZZ_CHECK(err.text[0]);
		return;
	}
	for (size_t i = 0; i < sizeof(KINDS) / sizeof(KINDS[0]); i++)
		keep_each(k, KINDS[i], use_and_free, &sum);
	keep_close(k);
	FUZZ_CHECK(keep_open(fd, BOUND, &k, &err) == 0);
	for (size_t i = 0; i < sizeof(KINDS) / sizeof(KINDS[0]); i++)
		FUZZ_CHECK(keep_each(k, KINDS[i], is_there, NULL) == 0);
	keep_close(k);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	int fd = memfd_create("keep", MFD_CLOEXEC);
	struct errmsg err;
	struct stat st;
	struct keep *k;
	uint8_t *file;

	FUZZ_CHECK(fd >= 0 && keep_open(fd, BOUND, &k, &err) == 0);
	fill(k);
	keep_close(k);
	FUZZ_CHECK(fstat(fd, &st) == 0);
	file = mmap(NULL, (size_t)st.st_size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	FUZZ_CHECK(file != MAP_FAILED);
	spoil(file, (size_t)st.st_size, data, len);
	munmap(file, (size_t)st.st_size);
	use(fd);
	close(fd);
	return 0;
}
