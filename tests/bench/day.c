/* SPDX-License-Identifier: Apache-2.0 */
/*
 * day [--seconds S] [--size BYTES] [--processes N] [--store DIR] [--csv] [--row NAME]
 *     [--unbounded] DIR
 *
 * A day of a cache in as many seconds as given (10): processes ask for keys by Zipf's
 * law in DIR, which is in a mount; what is missing they make. Sizes are log-normal, from
 * 1 KiB to 64 MiB or an eighth of --size (1 GiB), of which all keys together have about
 * three times as much; some values are made anew, some have a ttl, costs go by size and
 * class. Each read is checked: a value tells its key and generation in every eight bytes.
 *
 * Meanwhile what the mount says it takes is looked at some twenty times a second, and
 * what --store takes on the disk. Prints one row, with --csv as CSV; fails when a read
 * failed, a value was wrong, or, unless --unbounded, more than --size was taken.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "tests/mount/prog.h"

#define KIB UINT64_C(1024)
#define MIB (KIB * KIB)
#define SIZE_MEDIAN (48.0 * 1024)
#define SIZE_SIGMA 1.6
#define PROCESSES_MAX 64
#define PIECE (256 * KIB)

/* Latencies, in buckets of an eighth of an octave of a microsecond. */
#define BUCKETS 256
struct latencies {
	uint64_t count, buckets[BUCKETS];
};

/* Of one process; in shared memory, read when it has ended. */
struct tally {
	uint64_t hits, misses, writes, refused;
	uint64_t failed; /* reads that ended in an error */
	struct latencies read, write;
};

static struct day {
	const char *store, *row;
	uint64_t seconds, size_bytes, processes;
	bool csv, unbounded;
	uint64_t keys;
	double *zipf; /* the sum of what is likely, up to each key */
	int64_t end_ns;
	struct tally *tallies;
	uint64_t used_max, du_max;
} day = {.seconds = 10, .size_bytes = 1024 * MIB, .processes = 4, .row = "day"};

/* ---- keys and what they have ---- */

static double uniform(uint64_t *state)
{
	return (double)(next_random(state) >> 11) / (double)(UINT64_C(1) << 53);
}

static uint64_t size_max(void)
{
	uint64_t part = day.size_bytes / 8;

	return part < 64 * MIB ? part : 64 * MIB;
}

/* Always the same of one key, and a multiple of 8. */
static uint64_t size_of(uint64_t key)
{
	uint64_t state = key * 7919 + 1;
	double u = 0, size;

	/* Twelve of them are near enough to a normal distribution. */
	for (int i = 0; i < 12; i++)
		u += uniform(&state);
	size = SIZE_MEDIAN * exp(SIZE_SIGMA * (u - 6));
	if (size < (double)KIB)
		size = (double)KIB;
	if (size > (double)size_max())
		size = (double)size_max();
	return (uint64_t)size / 8 * 8;
}

static void make_keys(void)
{
	uint64_t bytes = 0, keys = 0;
	double sum = 0;

	while (bytes < 3 * day.size_bytes)
		bytes += size_of(keys++);
	day.keys = keys;
	day.zipf = calloc(keys, sizeof(*day.zipf));
	if (!day.zipf)
		fail("out of memory");
	for (uint64_t i = 0; i < keys; i++)
		day.zipf[i] = sum += 1 / pow((double)i + 1, 0.9);
}

static uint64_t choose_key(uint64_t *state)
{
	double at = uniform(state) * day.zipf[day.keys - 1];
	uint64_t low = 0, high = day.keys - 1;

	while (low < high) {
		uint64_t mid = (low + high) / 2;

		if (day.zipf[mid] < at)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

static void path_of(uint64_t key, char ret_path[32])
{
	snprintf(ret_path, 32, "d%02x/k%ju", (unsigned int)(key % 16), (uintmax_t)key);
}

/* ---- latencies ---- */

static void note(struct latencies *l, int64_t ns)
{
	double us = ns > 1000 ? (double)ns / 1000 : 1;
	unsigned int bucket = (unsigned int)(8 * log2(us));

	l->buckets[bucket < BUCKETS ? bucket : BUCKETS - 1]++;
	l->count++;
}

static double quantile_ms(const struct latencies *l, double q)
{
	uint64_t seen = 0;

	for (int i = 0; i < BUCKETS; i++) {
		seen += l->buckets[i];
		if (seen && (double)seen >= q * (double)l->count)
			return exp2((i + 1) / 8.0) / 1000;
	}
	return 0;
}

static void add(struct latencies *sum, const struct latencies *l)
{
	sum->count += l->count;
	for (int i = 0; i < BUCKETS; i++)
		sum->buckets[i] += l->buckets[i];
}

/* ---- reading and making values ---- */

static int write_bytes(int fd, uint64_t key, uint64_t generation, uint8_t *piece)
{
	uint64_t size = size_of(key);

	for (uint64_t off = 0; off < size; off += PIECE) {
		size_t len = size - off < PIECE ? (size_t)(size - off) : PIECE, done = 0;

		fill_pattern(piece, len, off, key << 20 | generation);
		if (!off) /* which the reader learns the generation from */
			memcpy(piece, &generation, sizeof(generation));
		while (done < len) {
			ssize_t n = write(fd, piece + done, len - done);

			if (n < 0)
				return errno;
			done += (size_t)n;
		}
	}
	return 0;
}

static void set(int fd, const char *name, const char *value)
{
	if (fsetxattr(fd, name, value, strlen(value), 0) && errno != EOPNOTSUPP)
		fail_errno("setting %s", name);
}

static void describe(int fd, uint64_t key, uint64_t *state)
{
	char cost[32];

	snprintf(cost, sizeof(cost), "%.3f",
		 (key % 4 ? 1e-8 : 1e-6) * (double)size_of(key) + 0.01);
	set(fd, "user.cache.cost", cost);
	if (next_random(state) % 20 == 0)
		set(fd, "user.cache.ttl", "1s");
}

/* Refused is what a store may do that is full; anything else is a failure. */
static void make_value(struct tally *t, uint64_t key, uint64_t *state, uint8_t *piece)
{
	int64_t begin_ns = elapsed_ns();
	char path[32];
	int fd, error;

	path_of(key, path);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	error = fd < 0 ? errno : 0;
	if (!error) {
		describe(fd, key, state);
		error = write_bytes(fd, key, next_random(state) % 1000000, piece);
		if (close(fd) && !error)
			error = errno;
	}
	if (error == ENOSPC)
		t->refused++;
	else if (error)
		fail("writing %s: %s", path, strerror(error));
	else
		note(&t->write, elapsed_ns() - begin_ns);
	t->writes++;
}

static int read_bytes(int fd, uint64_t key, const char *path, uint8_t *piece)
{
	uint64_t generation = 0, off = 0;

	for (;;) {
		ssize_t n = read(fd, piece, PIECE);

		if (n < 0)
			return errno;
		if (!n)
			break;
		if (!off) {
			if ((size_t)n < sizeof(generation))
				fail("%s: %zd bytes", path, n);
			memcpy(&generation, piece, sizeof(generation));
			fill_pattern(piece, sizeof(generation), 0,
				     key << 20 | generation);
		}
		check_pattern(piece, (size_t)n, off, key << 20 | generation, path);
		off += (uint64_t)n;
	}
	if (off != size_of(key))
		fail("%s has %ju bytes of %ju", path, (uintmax_t)off,
		     (uintmax_t)size_of(key));
	return 0;
}

/* Whether it was there. The latency is that of opening and of the first page. */
static bool read_value(struct tally *t, uint64_t key, uint8_t *piece)
{
	int64_t begin_ns = elapsed_ns();
	uint8_t first[4096];
	char path[32];
	int fd, error;

	path_of(key, path);
	fd = open(path, O_RDONLY);
	if (fd < 0 && errno == ENOENT) {
		t->misses++;
		return false;
	}
	error = fd < 0 || pread(fd, first, sizeof(first), 0) < 0 ? errno : 0;
	if (!error) {
		note(&t->read, elapsed_ns() - begin_ns);
		error = read_bytes(fd, key, path, piece);
	}
	if (error) {
		t->failed++;
		fprintf(stderr, "day: reading %s: %s\n", path, strerror(error));
	}
	if (fd >= 0)
		close(fd);
	t->hits += !error;
	return true;
}

static void work(unsigned int index)
{
	struct tally *t = &day.tallies[index];
	uint64_t state = index * 1000003 + 17;
	uint8_t *piece = malloc(PIECE);

	if (!piece)
		fail("out of memory");
	while (elapsed_ns() < day.end_ns) {
		uint64_t key = choose_key(&state);

		if (!read_value(t, key, piece) || next_random(&state) % 50 == 0)
			make_value(t, key, &state, piece);
	}
	exit(0);
}

/* ---- looking at it ---- */

static uint64_t du_bytes;

static int add_blocks(const char *path, const struct stat *st, int type, struct FTW *at)
{
	if (type == FTW_F)
		du_bytes += (uint64_t)st->st_blocks * 512;
	return 0;
}

static void look_at_disk(void)
{
	if (!day.store)
		return;
	du_bytes = 0;
	nftw(day.store, add_blocks, 16, FTW_PHYS);
	if (du_bytes > day.du_max)
		day.du_max = du_bytes;
}

static void look_at_mount(void)
{
	struct statvfs vfs;
	uint64_t used;

	if (day.unbounded) /* then it is the disk that df describes */
		return;
	if (statvfs(".", &vfs))
		fail_errno("statvfs");
	used = (uint64_t)(vfs.f_blocks - vfs.f_bfree) * vfs.f_frsize;
	if (used > day.used_max)
		day.used_max = used;
}

static void watch(void)
{
	for (int i = 0; elapsed_ns() < day.end_ns; i++) {
		look_at_mount();
		if (i % 10 == 0)
			look_at_disk();
		sleep_ns(NSEC_PER_SEC / 20);
	}
}

/* ---- the result ---- */

static double mib(uint64_t bytes)
{
	return (double)bytes / (double)MIB;
}

static void print_row(const struct tally *sum)
{
	const char *row = "%-12s %8.1f %8.1f %8ju %8ju %8ju %7ju %6ju %8.2f %8.2f %8.2f "
			  "%8.2f\n";

	if (day.csv)
		row = "%s,%.1f,%.1f,%ju,%ju,%ju,%ju,%ju,%.3f,%.3f,%.3f,%.3f\n";
	printf(row, day.row, mib(day.used_max), mib(day.du_max), (uintmax_t)sum->hits,
	       (uintmax_t)sum->misses, (uintmax_t)sum->writes, (uintmax_t)sum->refused,
	       (uintmax_t)sum->failed, quantile_ms(&sum->read, 0.5),
	       quantile_ms(&sum->read, 0.99), quantile_ms(&sum->write, 0.5),
	       quantile_ms(&sum->write, 0.99));
}

static int sum_up(void)
{
	struct tally sum = {0};

	for (uint64_t i = 0; i < day.processes; i++) {
		const struct tally *t = &day.tallies[i];

		sum.hits += t->hits;
		sum.misses += t->misses;
		sum.writes += t->writes;
		sum.refused += t->refused;
		sum.failed += t->failed;
		add(&sum.read, &t->read);
		add(&sum.write, &t->write);
	}
	print_row(&sum);
	if (!sum.hits || !sum.writes)
		fail("nothing was read or written");
	return sum.failed > 0;
}

static void run_day(void)
{
	pid_t pids[PROCESSES_MAX];
	bool failed = false;

	day.end_ns = elapsed_ns() + (int64_t)day.seconds * NSEC_PER_SEC;
	fflush(stdout);
	for (unsigned int i = 0; i < day.processes; i++) {
		pids[i] = fork();
		if (pids[i] < 0)
			fail_errno("fork");
		if (!pids[i])
			work(i);
	}
	watch();
	for (unsigned int i = 0; i < day.processes; i++) {
		int status;

		failed |= waitpid(pids[i], &status, 0) < 0 || status;
	}
	look_at_mount();
	look_at_disk();
	if (failed)
		fail("a process failed");
}

static const struct option options[] = {
    {"seconds", required_argument, NULL, 's'},
    {"size", required_argument, NULL, 'b'},
    {"processes", required_argument, NULL, 'p'},
    {"store", required_argument, NULL, 'd'},
    {"csv", no_argument, NULL, 'c'},
    {"row", required_argument, NULL, 'r'},
    {"unbounded", no_argument, NULL, 'u'},
    {0},
};

int main(int argc, char **argv)
{
	int option;

	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		switch (option) {
		case 's':
			day.seconds = arg_u64(optarg, "seconds", 1);
			break;
		case 'b':
			day.size_bytes = arg_u64(optarg, "bytes", MIB);
			break;
		case 'p':
			day.processes = arg_u64(optarg, "processes", 1);
			break;
		case 'd':
			day.store = optarg;
			break;
		case 'c':
			day.csv = true;
			break;
		case 'r':
			day.row = optarg;
			break;
		case 'u':
			day.unbounded = true;
			break;
		default:
			return 2;
		}
	}
	if (optind != argc - 1 || day.processes > PROCESSES_MAX) {
		fprintf(stderr, "usage: day [options] DIR\n");
		return 2;
	}
	make_keys();
	day.tallies = shared_memory(day.processes * sizeof(*day.tallies));
	if (chdir(argv[optind]))
		fail_errno("%s", argv[optind]);
	for (int i = 0; i < 16; i++) {
		char name[8];

		snprintf(name, sizeof(name), "d%02x", i);
		need_dir(name);
	}
	run_day();
	option = sum_up();
	if (day.used_max > day.size_bytes)
		fail("%.1f MiB were taken of %.1f", mib(day.used_max),
		     mib(day.size_bytes));
	return option;
}
