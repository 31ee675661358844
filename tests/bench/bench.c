/* SPDX-License-Identifier: Apache-2.0 */
/*
 * bench [--csv] [--rounds N] [--mib N] NAME=DIR...
 *
 * The same work in several directories, each on a file system of its own. In
 * every round each directory does each kind of work once, in an order that
 * turns from round to round, so that a machine which gets slower in between
 * wrongs none of them. What is printed is the median of the rounds, the range,
 * and the speed of the first directory as a multiple of each other's.
 */
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "../mount/prog.h"

enum { SMALL = 4096, FILES = 100, REPEAT = 20, CHUNK = 1 << 20, TARGETS_MAX = 8 };
enum { MIB = 1 << 20 };

static struct {
	bool csv;
	unsigned int rounds;
	uint64_t large_bytes;
	uint8_t *chunk; /* CHUNK bytes that do not compress */
} opt = {.rounds = 5, .large_bytes = UINT64_C(1) << 30};

struct target {
	const char *name;
	char dir[PATH_MAX];
};

/* ---- work: each returns the seconds of what is measured, in the directory ------ */

static double seconds_since(int64_t begin)
{
	return (double)(elapsed_ns() - begin) / 1e9;
}

static void small_name(char *ret_name, size_t size, unsigned int i)
{
	snprintf(ret_name, size, "small%u", i);
}

static void open_read_close(unsigned int i)
{
	char name[32], data[SMALL];
	int fd;

	small_name(name, sizeof(name), i);
	fd = open(name, O_RDONLY);
	if (fd < 0 || read(fd, data, SMALL) != SMALL || close(fd) < 0)
		fail_errno("read %s", name);
}

static void stat_name(unsigned int i)
{
	char name[32];
	struct stat st;

	small_name(name, sizeof(name), i);
	if (stat(name, &st) < 0)
		fail_errno("stat %s", name);
}

static void stat_absent(unsigned int i)
{
	char name[32];
	struct stat st;

	snprintf(name, sizeof(name), "absent%u", i);
	if (stat(name, &st) == 0)
		fail("%s exists", name);
}

static void create_write_close(const char *name)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0644);

	if (fd < 0 || write(fd, opt.chunk, SMALL) != SMALL || close(fd) < 0)
		fail_errno("create %s", name);
}

static void make_small(void)
{
	char name[32];

	for (unsigned int i = 0; i < FILES; i++) {
		small_name(name, sizeof(name), i);
		create_write_close(name);
	}
}

static void remove_small(void)
{
	char name[32];

	for (unsigned int i = 0; i < FILES; i++) {
		small_name(name, sizeof(name), i);
		if (unlink(name) < 0)
			fail_errno("unlink %s", name);
	}
}

/* A pass to warm the caches, then the ones that count. */
static double repeat(void (*one)(unsigned int i))
{
	int64_t begin;

	make_small();
	for (unsigned int i = 0; i < FILES; i++)
		one(i);
	begin = elapsed_ns();
	for (unsigned int i = 0; i < FILES * REPEAT; i++)
		one(i % FILES);
	double took = seconds_since(begin);

	remove_small();
	return took / (FILES * REPEAT);
}

static double work_read_small(void)
{
	return repeat(open_read_close);
}

static double work_stat(void)
{
	return repeat(stat_name);
}

static double work_stat_absent(void)
{
	return repeat(stat_absent);
}

static double work_create(void)
{
	char name[32];
	int64_t begin = elapsed_ns();
	double took;

	for (unsigned int i = 0; i < FILES * REPEAT; i++) {
		snprintf(name, sizeof(name), "new%u", i);
		create_write_close(name);
	}
	took = seconds_since(begin);
	for (unsigned int i = 0; i < FILES * REPEAT; i++) {
		snprintf(name, sizeof(name), "new%u", i);
		if (unlink(name) < 0)
			fail_errno("unlink %s", name);
	}
	return took / (FILES * REPEAT);
}

static double write_large(bool with_fsync)
{
	int64_t begin = elapsed_ns();
	int fd = open_or_fail("large", O_WRONLY | O_CREAT | O_EXCL);

	for (uint64_t done = 0; done < opt.large_bytes; done += CHUNK)
		write_all(fd, opt.chunk, CHUNK, "large");
	if (with_fsync && fsync(fd) < 0)
		fail_errno("fsync large");
	close_or_fail(fd, "large");
	return seconds_since(begin);
}

static double read_large(void)
{
	static uint8_t data[CHUNK];
	int64_t begin = elapsed_ns();
	int fd = open_or_fail("large", O_RDONLY);
	uint64_t total = 0;
	size_t len;

	while ((len = read_upto(fd, data, CHUNK, "large")))
		total += len;
	close_or_fail(fd, "large");
	if (total != opt.large_bytes)
		fail("large has %" PRIu64 " bytes", total);
	return seconds_since(begin);
}

static double remove_large(double took)
{
	if (unlink("large") < 0)
		fail_errno("unlink large");
	/* What one leaves to be written is not the next one's to wait for. */
	sync();
	return took;
}

static double work_write_large(void)
{
	return remove_large(write_large(false));
}

static double work_write_large_fsync(void)
{
	return remove_large(write_large(true));
}

static void drop_caches(void)
{
	int fd = open_or_fail("/proc/sys/vm/drop_caches", O_WRONLY);

	sync();
	write_all(fd, "3", 1, "/proc/sys/vm/drop_caches");
	close(fd);
}

static double work_read_large_cold(void)
{
	write_large(true);
	drop_caches();
	return remove_large(read_large());
}

static double work_read_large_hot(void)
{
	write_large(true);
	read_large();
	return remove_large(read_large());
}

static const struct work {
	const char *name;
	double (*run)(void);
	bool large;	 /* GB/s, else microseconds */
	bool needs_root; /* to drop the kernel's caches */
} works[] = {
    {"open, read 4 KiB, close (hot)", work_read_small, false, false},
    {"stat (hot)", work_stat, false, false},
    {"stat of an absent name", work_stat_absent, false, false},
    {"create, write 4 KiB, close", work_create, false, false},
    {"write", work_write_large, true, false},
    {"write, fsync", work_write_large_fsync, true, false},
    {"read (cold)", work_read_large_cold, true, true},
    {"read (hot)", work_read_large_hot, true, false},
};
enum { WORKS = sizeof(works) / sizeof(works[0]) };

/* ---- rounds --------------------------------------------------------------------- */

struct results {
	unsigned int target_count;
	struct target targets[TARGETS_MAX];
	double *seconds[WORKS][TARGETS_MAX]; /* one a round */
};

static bool left_out(const struct work *w)
{
	return w->needs_root && geteuid() != 0;
}

static double run_in(const struct work *w, const char *dir)
{
	double took;

	enter_scratch(dir, "bench");
	took = w->run();
	leave_scratch();
	return took;
}

static void run_rounds(struct results *r)
{
	for (unsigned int round = 0; round < opt.rounds; round++)
		for (unsigned int w = 0; w < WORKS; w++)
			for (unsigned int i = 0; i < r->target_count; i++) {
				unsigned int t = (i + round) % r->target_count;

				if (left_out(&works[w]))
					continue;
				if (isatty(STDERR_FILENO))
					fprintf(stderr, "\rround %u, %s: %-30s",
						round + 1, r->targets[t].name,
						works[w].name);
				r->seconds[w][t][round] =
				    run_in(&works[w], r->targets[t].dir);
			}
	if (isatty(STDERR_FILENO))
		fprintf(stderr, "\r%60s\r", "");
}

/* ---- printing ---------------------------------------------------------------------- */

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Of the sorted samples. */
static double median(const double *sorted)
{
	unsigned int n = opt.rounds;

	return n % 2 ? sorted[n / 2] : (sorted[n / 2 - 1] + sorted[n / 2]) / 2;
}

/* Microseconds, or GB/s. */
static double in_unit(const struct work *w, double seconds)
{
	return w->large ? (double)opt.large_bytes / 1e9 / seconds : seconds * 1e6;
}

static void sort_all(struct results *r)
{
	for (unsigned int w = 0; w < WORKS; w++)
		for (unsigned int t = 0; t < r->target_count; t++)
			qsort(r->seconds[w][t], opt.rounds, sizeof(double),
			      compare_doubles);
}

static void print_csv(const struct results *r)
{
	puts("work,unit,target,median,best,worst,rounds");
	for (unsigned int w = 0; w < WORKS; w++)
		for (unsigned int t = 0; t < r->target_count && !left_out(&works[w]);
		     t++) {
			const double *s = r->seconds[w][t];

			printf("\"%s\",%s,\"%s\",%.3f,%.3f,%.3f,%u\n", works[w].name,
			       works[w].large ? "GB/s" : "us", r->targets[t].name,
			       in_unit(&works[w], median(s)), in_unit(&works[w], s[0]),
			       in_unit(&works[w], s[opt.rounds - 1]), opt.rounds);
		}
}

static void print_work(const struct results *r, unsigned int w)
{
	if (left_out(&works[w])) {
		printf("%s: left out, needs root to drop the kernel's caches\n\n",
		       works[w].name);
		return;
	}
	if (works[w].large)
		printf("%s, %" PRIu64 " MiB, GB/s\n", works[w].name,
		       opt.large_bytes / MIB);
	else
		printf("%s, us\n", works[w].name);
	for (unsigned int t = 0; t < r->target_count; t++) {
		const double *s = r->seconds[w][t];

		printf("  %-28s %9.2f   (%.2f to %.2f)", r->targets[t].name,
		       in_unit(&works[w], median(s)), in_unit(&works[w], s[0]),
		       in_unit(&works[w], s[opt.rounds - 1]));
		if (t > 0)
			printf("   %s is %.2f times as fast", r->targets[0].name,
			       median(s) / median(r->seconds[w][0]));
		putchar('\n');
	}
	putchar('\n');
}

static void print_machine(void)
{
	struct utsname u;
	char line[256], *model = NULL;
	FILE *f = fopen("/proc/cpuinfo", "re");

	while (f && !model && fgets(line, sizeof(line), f))
		if (strncmp(line, "model name", 10) == 0)
			model = strchr(line, ':');
	if (f)
		fclose(f);
	uname(&u);
	if (model)
		model[strcspn(model, "\n")] = '\0';
	printf("%s %s %s, %ld processors%s, %.1f GiB of memory\n", u.sysname, u.release,
	       u.machine, sysconf(_SC_NPROCESSORS_ONLN), model ? model : "",
	       (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGESIZE) /
		   (1024.0 * MIB));
	printf("medians of %u rounds, in brackets the best and the worst\n\n",
	       opt.rounds);
}

static noreturn void usage(void)
{
	fprintf(stderr, "usage: bench [--csv] [--rounds N] [--mib N] NAME=DIR...\n");
	exit(2);
}

static void parse_target(struct results *r, char *arg)
{
	char *dir = strrchr(arg, '=');
	struct target *t = &r->targets[r->target_count];

	if (!dir || r->target_count == TARGETS_MAX)
		usage();
	*dir++ = '\0';
	t->name = arg;
	if (!realpath(dir, t->dir))
		fail_errno("%s", dir);
	r->target_count++;
}

static void parse(struct results *r, int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--csv") == 0)
			opt.csv = true;
		else if (strcmp(argv[i], "--rounds") == 0 && i + 1 < argc)
			opt.rounds = (unsigned int)arg_u64(argv[++i], "--rounds", 1);
		else if (strcmp(argv[i], "--mib") == 0 && i + 1 < argc)
			opt.large_bytes = arg_u64(argv[++i], "--mib", 1) * MIB;
		else if (argv[i][0] == '-')
			usage();
		else
			parse_target(r, argv[i]);
	}
	if (r->target_count == 0)
		usage();
}

int main(int argc, char **argv)
{
	static struct results r;

	parse(&r, argc, argv);
	opt.chunk = malloc(CHUNK);
	if (!opt.chunk)
		fail("out of memory");
	fill_pattern(opt.chunk, CHUNK, 0, 1);
	for (unsigned int w = 0; w < WORKS; w++)
		for (unsigned int t = 0; t < r.target_count; t++)
			r.seconds[w][t] = calloc(opt.rounds, sizeof(double));
	run_rounds(&r);
	sort_all(&r);
	if (opt.csv) {
		print_csv(&r);
		return 0;
	}
	print_machine();
	for (unsigned int w = 0; w < WORKS; w++)
		print_work(&r, w);
	return 0;
}
