/* SPDX-License-Identifier: Apache-2.0 */
/*
 * million [--entries N] [DIR]
 *
 * A store with a million small entries in one directory, as made, after it was opened
 * anew, and after nine in ten of them were deleted: what memory the process takes, how
 * long opening and the first lookup take, how long a listing takes to find its first
 * name behind all that was deleted, and what is on the disk. Every phase is a process
 * of its own. Fails when memory, opening or the first lookup are above what is promised.
 * DIR, by default /tmp, is where the store is made, and removed again.
 */
#include <err.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "filling.h"
#include "store/census.h"
#include "store/internal.h"
#include "tests/conformance/scratch.h"

/* Promised with default settings. */
enum { MEMORY_MIB_MAX = 256, OPEN_MS_MAX = 1000, LOOKUP_MS_MAX = 10 };

static struct {
	unsigned int entries;
	char path[SCRATCH_MAX + 8];
	struct store *st;
	uint64_t branch;
	bool failed;
} bench = {.entries = 1000000};

static void must(int r, const char *doing)
{
	if (r)
		errx(2, "%s: %s", doing, strerror(-r));
}

static double now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

/* ---- what is printed ---- */

static void tell(const char *what, double value, const char *unit, double max)
{
	bool bad = max > 0 && value > max;

	printf("  %-52s %10.2f %s%s\n", what, value, unit, bad ? "  TOO MUCH" : "");
	fflush(stdout);
	bench.failed |= bad;
}

static double status_mib(const char *field)
{
	FILE *f = fopen("/proc/self/status", "re");
	double kib = -1;
	char line[128];

	while (f && fgets(line, sizeof(line), f))
		if (!strncmp(line, field, strlen(field)))
			kib = strtod(line + strlen(field) + 1, NULL);
	if (f)
		fclose(f);
	return kib / 1024;
}

static void tell_memory(void)
{
	struct store_stats stats;

	must(store_stats(bench.st, &stats), "stats");
	tell("memory of the process, at most", status_mib("VmHWM"), "MiB",
	     MEMORY_MIB_MAX);
	tell("of it, by the database's own count", (double)stats.memory_bytes / (1 << 20),
	     "MiB", 0);
	tell("on disk", (double)stats.db_disk_bytes / (1 << 20), "MiB", 0);
	tell("entries", (double)stats.entries, "", 0);
}

/* ---- what is measured ---- */

static void open_store(void)
{
	bench.st = filling_open(bench.path, "dir", &bench.branch);
}

static void time_lookup(const char *what, unsigned int i, double max)
{
	double begin = now_ms();
	struct store_attr attr;

	must(store_lookup(bench.st, bench.branch, filling_name(i), &attr), "lookup");
	tell(what, now_ms() - begin, "ms", max);
}

static void time_listing(unsigned int expected)
{
	double begin = now_ms();
	struct store_dirent ent;
	struct store_dir *dir;
	unsigned int count = 0;

	must(store_dir_open(bench.st, bench.branch, &dir), "list");
	for (; store_dir_next(dir, &ent) == 0; count++)
		if (!count)
			tell("first name of a listing", now_ms() - begin, "ms", 0);
	store_dir_close(dir);
	tell("all of it", now_ms() - begin, "ms", 0);
	if (count != expected)
		errx(2, "%u names are listed, not %u", count, expected);
}

/* To the first row, over all that was deleted before it. */
static void time_seek(const char *what, enum table table)
{
	struct key first = key_ino(STORE_ROOT_INO + 1);
	double begin = now_ms();
	struct backend_iter *it;

	must(backend_iter_new(bench.st->be, table, &it), "iterate");
	backend_iter_seek(it, key_slice(&first));
	must(backend_iter_status(it), "seek");
	backend_iter_free(it);
	tell(what, now_ms() - begin, "ms", 0);
}

/* One walk over everything, which counts it; in the background it takes ten times that.
 */
static void time_census(void)
{
	double begin = now_ms();

	must(census_now(bench.st), "census");
	tell("a census", now_ms() - begin, "ms", 0);
}

static void time_all(unsigned int left)
{
	time_lookup("lookup of a name", bench.entries - 1, 0);
	time_listing(left);
	time_seek("seek of an inode", TABLE_INODE);
	time_seek("seek of what is to be deleted", TABLE_GCQ);
	time_census();
}

/* ---- phases ---- */

static void make(void)
{
	double begin;

	open_store();
	begin = now_ms();
	for (unsigned int i = 0; i < bench.entries; i++)
		filling_publish(bench.st, bench.branch, i);
	tell("each", (now_ms() - begin) * 1e3 / bench.entries, "us", 0);
	tell_memory();
	store_close(bench.st);
}

static void look(unsigned int left)
{
	double begin = now_ms();

	open_store();
	tell("open", now_ms() - begin, "ms", OPEN_MS_MAX);
	time_lookup("first lookup", bench.entries - 7, LOOKUP_MS_MAX);
	time_all(left);
	tell_memory();
	store_close(bench.st);
}

static void look_full(void)
{
	look(bench.entries);
}

static void look_rest(void)
{
	look(bench.entries - bench.entries / 10 * 9);
}

/* The first nine tenths: what is deleted lies before what is left, in one piece. */
static void delete_most(void)
{
	unsigned int gone = bench.entries / 10 * 9;
	struct store_reclaimed freed;
	double begin;

	open_store();
	begin = now_ms();
	for (unsigned int i = 0; i < gone; i++)
		must(store_unlink(bench.st, bench.branch, filling_name(i)), "unlink");
	tell("each", (now_ms() - begin) * 1e3 / gone, "us", 0);
	printf(" at once after it\n");
	time_all(bench.entries - gone);
	tell_memory();
	must(store_settle(bench.st), "settle");
	/* Twice gc's tick: it sees that nothing is deleted any more. */
	sleep(12);
	printf(" some seconds later, with nothing in the queue\n");
	time_all(bench.entries - gone);
	begin = now_ms();
	must(store_reclaim(bench.st, NULL, &freed), "reclaim");
	printf(" after store_reclaim()\n");
	tell("took", now_ms() - begin, "ms", 0);
	tell("freed of the database", (double)freed.db_bytes / (1 << 20), "MiB", 0);
	time_all(bench.entries - gone);
	tell_memory();
	store_close(bench.st);
}

static void phase(const char *title, void (*run)(void))
{
	pid_t pid;
	int status;

	printf("%s\n", title);
	fflush(stdout);
	pid = fork();
	if (pid < 0)
		err(2, "fork");
	if (!pid) {
		run();
		fflush(stdout);
		_exit(bench.failed);
	}
	if (waitpid(pid, &status, 0) != pid)
		err(2, "wait");
	if (!WIFEXITED(status) || WEXITSTATUS(status) > 1)
		errx(2, "%s: could not be done", title);
	bench.failed |= WEXITSTATUS(status);
}

int main(int argc, char **argv)
{
	char dir[SCRATCH_MAX];

	if (argc > 2 && !strcmp(argv[1], "--entries")) {
		bench.entries = (unsigned int)strtoul(argv[2], NULL, 10);
		argv += 2;
		argc -= 2;
	}
	if (argc > 2 || bench.entries < 100)
		errx(2, "usage: million [--entries 100...] [DIR]");
	if (argc == 2)
		setenv("TMPDIR", argv[1], 1);
	scratch_make(dir);
	snprintf(bench.path, sizeof(bench.path), "%s/store", dir);
	phase("made", make);
	phase("opened anew", look_full);
	phase("nine in ten deleted", delete_most);
	phase("opened after that", look_rest);
	scratch_remove(dir);
	return bench.failed;
}
