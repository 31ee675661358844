/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a disk has after a power loss.
 *
 *   replay points LOG COUNT SEED [MARK]   numbers of records to lose power after,
 *                                         none of them before that mark
 *   replay image LOG POINT SEED IMAGE MARKS
 *
 * IMAGE is the disk as it was when the log began, and becomes what it might be when
 * power was lost after POINT records: all that was written before the last flush
 * among them, and of what came after that any part, sector by sector, as SEED says.
 * MARKS gets the marks among those records.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../mount/prog.h"
#include "log.h"

/* What a disk writes whole. */
enum { SECTOR = 512, SECTORS = 8 };

struct image {
	uint8_t *data;
	size_t size;
};

static void image_open(struct image *image, const char *path)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	struct stat st;

	if (fd < 0 || fstat(fd, &st))
		fail_errno("%s", path);
	image->size = (size_t)st.st_size;
	image->data = mmap(NULL, image->size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (image->data == MAP_FAILED)
		fail_errno("map %s", path);
	close(fd);
}

static void apply(struct image *image, const struct log_record *record,
		  const uint8_t *data, uint64_t at, uint64_t len)
{
	uint8_t *to = image->data + record->off + at;

	if (record->kind == LOG_WRITE)
		memcpy(to, data + at, len);
	else
		memset(to, 0, len);
}

/* How what was not flushed is lost; which of them, the seed says. */
enum loss {
	LOSE_ALL,     /* the cache wrote nothing by itself */
	LOSE_NONE,    /* it wrote all of it */
	LOSE_WRITES,  /* some writes, each whole */
	LOSE_BLOCKS,  /* some of 4 KiB */
	LOSE_SECTORS, /* some sectors: writes are torn */
	LOSE_FEW,     /* nearly all arrived */
	LOSS_COUNT,
};

static void apply_parts(struct image *image, const struct log_record *record,
			const uint8_t *data, uint64_t unit, unsigned int keep_percent,
			uint64_t *random)
{
	for (uint64_t at = 0; at < record->len; at += unit) {
		uint64_t left = record->len - at;

		if (next_random(random) % 100 < keep_percent)
			apply(image, record, data, at, left < unit ? left : unit);
	}
}

static void apply_some(struct image *image, const struct log_record *record,
		       const uint8_t *data, enum loss loss, uint64_t *random)
{
	switch (loss) {
	case LOSE_ALL:
	case LOSS_COUNT:
		break;
	case LOSE_NONE:
		apply(image, record, data, 0, record->len);
		break;
	case LOSE_WRITES:
		apply_parts(image, record, data, record->len, 50, random);
		break;
	case LOSE_BLOCKS:
		apply_parts(image, record, data, SECTOR * SECTORS, 50, random);
		break;
	case LOSE_SECTORS:
		apply_parts(image, record, data, SECTOR, 50, random);
		break;
	case LOSE_FEW:
		apply_parts(image, record, data, SECTOR, 95, random);
		break;
	}
}

static bool changes(const struct log_record *record)
{
	return (record->kind == LOG_WRITE || record->kind == LOG_ZERO) && record->len;
}

/* The number of the record after the last flush of the first `point` ones. */
static uint64_t flushed_before(const struct log *log, uint64_t point)
{
	struct log_record record;
	const uint8_t *data;
	uint64_t flushed = 0;
	size_t pos = 0;

	for (uint64_t n = 0; n < point && log_next(log, &pos, &record, &data); n++)
		if (record.kind == LOG_FLUSH)
			flushed = n;
	return flushed;
}

static void make_image(const struct log *log, uint64_t point, uint64_t seed,
		       struct image *image, FILE *marks)
{
	uint64_t flushed = flushed_before(log, point), random = seed;
	enum loss loss = next_random(&random) % LOSS_COUNT;
	struct log_record record;
	const uint8_t *data;
	size_t pos = 0;

	for (uint64_t n = 0; n < point && log_next(log, &pos, &record, &data); n++) {
		if (record.kind == LOG_MARK)
			fwrite(data, record.len, 1, marks);
		if (!changes(&record))
			continue;
		if (record.off > image->size || record.len > image->size - record.off)
			fail("a write beyond the end of the image");
		if (n < flushed)
			apply(image, &record, data, 0, record.len);
		else
			apply_some(image, &record, data, loss, &random);
	}
}

static int image(char **argv)
{
	struct image image;
	struct log log;
	FILE *marks;

	log_open(&log, argv[0]);
	image_open(&image, argv[3]);
	marks = fopen(argv[4], "we");
	if (!marks)
		fail_errno("%s", argv[4]);
	make_image(&log, arg_u64(argv[1], "POINT", 0), arg_u64(argv[2], "SEED", 0),
		   &image, marks);
	if (fclose(marks))
		fail_errno("%s", argv[4]);
	return 0;
}

/* ---- where to lose power ---- */

struct places {
	uint64_t first, records; /* from where on, and how many there are in all */
	uint64_t *marks;	 /* the records that are marks */
	uint64_t mark_count;
};

static void add_mark(struct places *p, uint64_t record)
{
	if (p->mark_count % 4096 == 0)
		p->marks = realloc(p->marks, (p->mark_count + 4096) * sizeof(*p->marks));
	if (!p->marks)
		fail("out of memory");
	p->marks[p->mark_count++] = record;
}

/* `after` may be NULL. */
static void find_places(const char *path, const char *after, struct places *p)
{
	struct log_record record;
	const uint8_t *data;
	struct log log;
	size_t pos = 0;

	log_open(&log, path);
	while (log_next(&log, &pos, &record, &data)) {
		p->records++;
		if (record.kind != LOG_MARK)
			continue;
		if (after && record.len > strlen(after) &&
		    !memcmp(data, after, strlen(after))) {
			p->first = p->records;
			p->mark_count = 0;
		}
		add_mark(p, p->records);
	}
	if (!p->records || !p->mark_count || (after && !p->first))
		fail("%s lacks a mark among its %" PRIu64 " records", path, p->records);
}

/*
 * Half of the points anywhere, and half right after a mark: what was acknowledged there
 * has had no time to reach the disk otherwise.
 */
static int points(char **argv)
{
	uint64_t count = arg_u64(argv[1], "COUNT", 1),
		 random = arg_u64(argv[2], "SEED", 0);
	struct places p = {0};

	find_places(argv[0], argv[3], &p);
	for (uint64_t i = 0; i < count; i++) {
		uint64_t r = next_random(&random);

		printf("%" PRIu64 "\n", i % 2 ? p.marks[r % p.mark_count]
					      : p.first + r % (p.records - p.first + 1));
	}
	free(p.marks);
	return 0;
}

int main(int argc, char **argv)
{
	if ((argc == 5 || argc == 6) && !strcmp(argv[1], "points"))
		return points(argv + 2);
	if (argc == 7 && !strcmp(argv[1], "image"))
		return image(argv + 2);
	fprintf(stderr, "usage: replay points LOG COUNT SEED [MARK]\n"
			"       replay image LOG POINT SEED IMAGE MARKS\n");
	return 2;
}
