/* SPDX-License-Identifier: Apache-2.0 */
/*
 * paths [--rounds N] [--count N] [--entries N] [--mib N] [--work WORK]... NAME=DIR...
 *
 * What one operation costs on the paths that matter, in several mounts that may be of
 * different builds: the time it takes, the processor time of the daemon, and how many
 * requests it is. In every round each directory has its turn with each kind of work, in
 * an order that turns. Processor time is what the machine's other work disturbs least.
 *
 * WORK: hit, publish, overwrite, large, synced (a value of so many MiB, the latter with
 * fsync; an operation is one of them), list (ls -f), long (ls -l), both with nothing of
 * it in the kernel, again (ls -f of what was just listed); all of them by default.
 */
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../mount/prog.h"

enum { SMALL = 4096, FILES = 100, TARGETS_MAX = 8 };

static struct {
	unsigned int rounds;
	unsigned int count;   /* operations a round */
	unsigned int entries; /* to be listed */
	unsigned int mib;     /* of a large value */
	unsigned int works;   /* bits; 0: all */
} opt = {.rounds = 7, .count = 20000, .entries = 100000, .mib = 256};

static uint8_t small[SMALL];

struct target {
	const char *name;
	char dir[PATH_MAX];
	pid_t pid; /* of the daemon; 0: none */
};

/* ---- what the daemon has done ---- */

static uint64_t read_number(const char *path, const char *key)
{
	FILE *f = fopen(path, "re");
	uint64_t value = 0;
	char line[256];

	while (f && !value && fgets(line, sizeof(line), f))
		if (strncmp(line, key, strlen(key)) == 0)
			value = strtoull(line + strlen(key), NULL, 10);
	if (f)
		fclose(f);
	return value;
}

/* Nanoseconds of all threads that there are. */
static uint64_t cpu_ns(pid_t pid)
{
	char path[PATH_MAX];
	struct dirent *de;
	uint64_t ns = 0;
	DIR *d;

	snprintf(path, sizeof(path), "/proc/%d/task", (int)pid);
	d = pid ? opendir(path) : NULL;
	while (d && (de = readdir(d))) {
		if (*de->d_name == '.')
			continue;
		snprintf(path, sizeof(path), "/proc/%d/task/%.20s/schedstat", (int)pid,
			 de->d_name);
		ns += read_number(path, "");
	}
	if (d)
		closedir(d);
	return ns;
}

static uint64_t requests(const struct target *t)
{
	char path[PATH_MAX + 32];

	if (!t->pid)
		return 0;
	snprintf(path, sizeof(path), "%s/.memofs/status", t->dir);
	return read_number(path, "requests:");
}

/* ---- work: in the directory; returns the number of operations ---- */

static void write_small(const char *name, int flags)
{
	int fd = open_or_fail(name, O_WRONLY | flags);

	write_all(fd, small, SMALL, name);
	close_or_fail(fd, name);
}

static void make(unsigned int count)
{
	char name[32];

	for (unsigned int i = 0; i < count; i++) {
		snprintf(name, sizeof(name), "n%07u", i);
		write_small(name, O_CREAT | O_EXCL);
	}
}

static unsigned int hit(void)
{
	char name[32], data[SMALL];

	for (unsigned int i = 0; i < opt.count; i++) {
		int fd;

		snprintf(name, sizeof(name), "n%07u", i % FILES);
		fd = open_or_fail(name, O_RDONLY);
		if (read(fd, data, SMALL) != SMALL)
			fail_errno("read %s", name);
		close(fd);
	}
	return opt.count;
}

static unsigned int publish(void)
{
	make(opt.count / 4);
	return opt.count / 4;
}

static unsigned int overwrite(void)
{
	char name[32];

	for (unsigned int i = 0; i < opt.count / 4; i++) {
		snprintf(name, sizeof(name), "n%07u", i % FILES);
		write_small(name, O_TRUNC);
	}
	return opt.count / 4;
}

/* An operation is a MiB. */
static unsigned int write_large(bool synced)
{
	static uint8_t chunk[1024 * 1024];
	int fd = open_or_fail("large", O_WRONLY | O_CREAT | O_EXCL);

	for (unsigned int i = 0; i < opt.mib; i++) {
		memcpy(chunk, &i, sizeof(i));
		write_all(fd, chunk, sizeof(chunk), "large");
	}
	if (synced && fsync(fd) < 0)
		fail_errno("fsync large");
	close_or_fail(fd, "large");
	return opt.mib;
}

static unsigned int large(void)
{
	return write_large(false);
}

static unsigned int large_synced(void)
{
	return write_large(true);
}

static void forget_names(void)
{
	int fd = open("/proc/sys/vm/drop_caches", O_WRONLY);

	if (fd < 0)
		return; /* as far as we may say so */
	write_all(fd, "2", 1, "/proc/sys/vm/drop_caches");
	close(fd);
}

static unsigned int run_ls(const char *option)
{
	const char *argv[] = {"ls", option, NULL};
	posix_spawn_file_actions_t actions;
	int status = 1;
	pid_t pid;

	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0);
	if (posix_spawnp(&pid, "ls", &actions, NULL, (char **)argv, environ) ||
	    waitpid(pid, &status, 0) != pid || status)
		fail("ls %s failed", option);
	posix_spawn_file_actions_destroy(&actions);
	return opt.entries;
}

static unsigned int list(void)
{
	forget_names();
	return run_ls("-f");
}

static unsigned int list_again(void)
{
	return run_ls("-f");
}

static unsigned int list_long(void)
{
	forget_names();
	return run_ls("-l");
}

static const struct work {
	const char *name;
	unsigned int (*run)(void);
	const unsigned int *entries; /* of the directory; NULL: none */
} works[] = {
    {"hit", hit, &(const unsigned int){FILES}},
    {"publish", publish, NULL},
    {"overwrite", overwrite, &(const unsigned int){FILES}},
    {"large", large, NULL},
    {"synced", large_synced, NULL},
    {"list", list, &opt.entries},
    {"long", list_long, &opt.entries},
    {"again", list_again, &opt.entries},
};
enum { WORKS = sizeof(works) / sizeof(works[0]) };

/* ---- rounds ---- */

enum { WALL, CPU, REQUESTS, COLUMNS };
static const char *const columns[COLUMNS] = {"us", "daemon us", "requests"};
static double *samples[TARGETS_MAX][COLUMNS];

static void run_round(const struct work *w, struct target *t, unsigned int at,
		      double *const *out)
{
	uint64_t cpu, asked;
	int64_t begin;
	double count, took;

	if (chdir(t->dir) < 0)
		fail_errno("%s", t->dir);
	cpu = cpu_ns(t->pid);
	asked = requests(t);
	begin = elapsed_ns();
	if (chdir("paths") < 0)
		fail_errno("%s/paths", t->dir);
	count = w->run();
	took = (double)(elapsed_ns() - begin);
	out[REQUESTS][at] = (double)(requests(t) - asked) / count;
	out[CPU][at] = (double)(cpu_ns(t->pid) - cpu) / 1e3 / count;
	out[WALL][at] = took / 1e3 / count;
}

static void prepare(const struct work *w, const struct target *t)
{
	if (chdir(t->dir) < 0)
		fail_errno("%s", t->dir);
	need_dir("paths");
	if (chdir("paths") < 0)
		fail_errno("%s/paths", t->dir);
	if (w->entries)
		make(*w->entries);
}

static void clear(const struct target *t)
{
	if (chdir(t->dir) < 0)
		fail_errno("%s", t->dir);
	remove_tree("paths");
	sync(); /* what one leaves to be written is not the next one's to wait for */
}

static void run_work(const struct work *w, struct target *targets, unsigned int n)
{
	for (unsigned int t = 0; t < n && w->entries; t++)
		prepare(w, &targets[t]);
	for (unsigned int round = 0; round < opt.rounds; round++)
		for (unsigned int i = 0; i < n; i++) {
			unsigned int t = (i + round) % n;

			if (!w->entries)
				prepare(w, &targets[t]);
			run_round(w, &targets[t], round, samples[t]);
			if (!w->entries)
				clear(&targets[t]);
		}
	for (unsigned int t = 0; t < n && w->entries; t++)
		clear(&targets[t]);
}

/* ---- printing ---- */

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static double median(double *s)
{
	qsort(s, opt.rounds, sizeof(*s), compare_doubles);
	return opt.rounds % 2 ? s[opt.rounds / 2]
			      : (s[opt.rounds / 2 - 1] + s[opt.rounds / 2]) / 2;
}

static void print_work(const struct work *w, const struct target *targets, unsigned int n)
{
	double first[COLUMNS];

	for (unsigned int t = 0; t < n; t++) {
		printf("%-10s %-16s", w->name, targets[t].name);
		for (unsigned int c = 0; c < COLUMNS; c++) {
			double *s = samples[t][c], m = median(s);

			if (t == 0)
				first[c] = m;
			printf("  %9.3f %s", m, columns[c]);
			if (c != REQUESTS)
				printf(" (%.3f to %.3f)", s[0], s[opt.rounds - 1]);
			if (t > 0 && c != REQUESTS)
				printf(" x %.2f", first[c] > 0 ? m / first[c] : 0);
		}
		putchar('\n');
	}
	fflush(stdout);
}

static noreturn void usage(void)
{
	fprintf(stderr, "usage: paths [--rounds N] [--count N] [--entries N] [--mib N] "
			"[--work WORK]... NAME=DIR...\n");
	exit(2);
}

static void add_work(const char *name)
{
	for (unsigned int w = 0; w < WORKS; w++)
		if (strcmp(works[w].name, name) == 0) {
			opt.works |= 1u << w;
			return;
		}
	usage();
}

static void add_target(struct target *t, char *arg)
{
	char *dir = strrchr(arg, '=');

	if (!dir)
		usage();
	*dir++ = '\0';
	t->name = arg;
	if (!realpath(dir, t->dir))
		fail_errno("%s", dir);
	t->pid = daemon_pid(t->dir);
}

int main(int argc, char **argv)
{
	struct target targets[TARGETS_MAX];
	unsigned int n = 0;

	for (int i = 1; i < argc; i++) {
		if (strcmp(argv[i], "--rounds") == 0 && i + 1 < argc)
			opt.rounds = (unsigned int)arg_u64(argv[++i], "--rounds", 1);
		else if (strcmp(argv[i], "--count") == 0 && i + 1 < argc)
			opt.count = (unsigned int)arg_u64(argv[++i], "--count", 4);
		else if (strcmp(argv[i], "--entries") == 0 && i + 1 < argc)
			opt.entries = (unsigned int)arg_u64(argv[++i], "--entries", 1);
		else if (strcmp(argv[i], "--mib") == 0 && i + 1 < argc)
			opt.mib = (unsigned int)arg_u64(argv[++i], "--mib", 1);
		else if (strcmp(argv[i], "--work") == 0 && i + 1 < argc)
			add_work(argv[++i]);
		else if (argv[i][0] == '-' || n == TARGETS_MAX)
			usage();
		else
			add_target(&targets[n++], argv[i]);
	}
	if (!n)
		usage();
	for (unsigned int t = 0; t < n; t++)
		for (unsigned int c = 0; c < COLUMNS; c++)
			samples[t][c] = calloc(opt.rounds, sizeof(double));
	for (unsigned int w = 0; w < WORKS; w++)
		if (!opt.works || opt.works >> w & 1) {
			run_work(&works[w], targets, n);
			print_work(&works[w], targets, n);
		}
	return 0;
}
