/* SPDX-License-Identifier: Apache-2.0 */
#include "prog.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static char scratch[PATH_MAX];

static void complain(const char *fmt, va_list ap, const char *more)
{
	char line[1024];

	vsnprintf(line, sizeof(line), fmt, ap);
	fflush(stdout);
	fprintf(stderr, "%s: %s%s%s\n", program_invocation_short_name, line,
		more ? ": " : "", more ? more : "");
}

noreturn void fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	complain(fmt, ap, NULL);
	va_end(ap);
	exit(1);
}

noreturn void fail_errno(const char *fmt, ...)
{
	const char *why = strerror(errno);
	va_list ap;

	va_start(ap, fmt);
	complain(fmt, ap, why);
	va_end(ap);
	exit(1);
}

uint64_t arg_u64(const char *text, const char *what, uint64_t min)
{
	unsigned long long value;
	char *end;

	errno = 0;
	value = strtoull(text, &end, 10);
	if (errno || end == text || *end || *text == '-' || value < min) {
		fprintf(stderr, "%s: %s must be a number from %llu up, not '%s'\n",
			program_invocation_short_name, what, (unsigned long long)min,
			text);
		exit(2);
	}
	return value;
}

static int64_t clock_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return ts.tv_sec * NSEC_PER_SEC + ts.tv_nsec;
}

int64_t wall_ns(void)
{
	return clock_ns(CLOCK_REALTIME);
}

int64_t elapsed_ns(void)
{
	return clock_ns(CLOCK_MONOTONIC);
}

void sleep_ns(int64_t ns)
{
	struct timespec ts = {ns / NSEC_PER_SEC, ns % NSEC_PER_SEC};

	while (nanosleep(&ts, &ts) < 0 && errno == EINTR)
		;
}

int open_or_fail(const char *name, int flags)
{
	int fd = open(name, flags, 0644);

	if (fd < 0)
		fail_errno("open %s", name);
	return fd;
}

void close_or_fail(int fd, const char *name)
{
	if (close(fd) < 0)
		fail_errno("close %s", name);
}

void write_all(int fd, const void *data, size_t len, const char *what)
{
	const char *p = data;

	while (len) {
		ssize_t n = write(fd, p, len);

		if (n < 0)
			fail_errno("write %s", what);
		p += n;
		len -= (size_t)n;
	}
}

size_t read_upto(int fd, void *data, size_t len, const char *what)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = read(fd, (char *)data + done, len - done);

		if (n < 0)
			fail_errno("read %s", what);
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return done;
}

void put_file(const char *path, const void *data, size_t len)
{
	int fd = open_or_fail(path, O_WRONLY | O_CREAT | O_TRUNC);

	write_all(fd, data, len, path);
	close_or_fail(fd, path);
}

void need_dir(const char *path)
{
	if (mkdir(path, 0755) < 0 && errno != EEXIST)
		fail_errno("mkdir %s", path);
}

void enter_scratch(const char *parent, const char *prefix)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s-XXXXXX", parent, prefix);
	if (!mkdtemp(path) || chmod(path, 0755) < 0)
		fail_errno("make a directory in %s", parent);
	if (!realpath(path, scratch))
		fail_errno("%s", path);
	if (chdir(scratch) < 0)
		fail_errno("enter %s", scratch);
}

void leave_scratch(void)
{
	if (chdir("/") < 0)
		fail_errno("leave %s", scratch);
	remove_tree(scratch);
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)ftw;
	if (remove(path) < 0)
		fail_errno("remove %s", path);
	return 0;
}

void remove_tree(const char *path)
{
	if (nftw(path, remove_one, 32, FTW_DEPTH | FTW_PHYS) < 0 && errno != ENOENT)
		fail_errno("remove %s", path);
}

void *shared_memory(size_t size)
{
	void *mem =
	    mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (mem == MAP_FAILED)
		fail_errno("%zu bytes of shared memory", size);
	return mem;
}

void run_children(unsigned int count, void (*run)(unsigned int index, void *arg),
		  void *arg)
{
	pid_t *pids = calloc(count, sizeof(*pids));
	bool failed = false;

	if (!pids)
		fail("out of memory");
	fflush(stdout);
	for (unsigned int i = 0; i < count; i++) {
		pids[i] = fork();
		if (pids[i] < 0)
			fail_errno("fork");
		if (pids[i] == 0) {
			run(i, arg);
			exit(0);
		}
	}
	for (unsigned int left = count; left; left--) {
		int status;
		pid_t pid = wait(&status);

		for (unsigned int i = 0; i < count; i++)
			if (pids[i] == pid)
				pids[i] = 0;
		if (pid < 0 || status == 0 || failed)
			continue;
		failed = true;
		if (WIFSIGNALED(status))
			fprintf(stderr, "%s: a child died: %s\n",
				program_invocation_short_name,
				strsignal(WTERMSIG(status)));
		for (unsigned int i = 0; i < count; i++)
			if (pids[i] > 0)
				kill(pids[i], SIGKILL);
	}
	free(pids);
	if (failed)
		exit(1);
}

/* splitmix64, by Sebastiano Vigna (public domain). */
uint64_t next_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

void fill_pattern(uint8_t *data, size_t len, uint64_t off, uint64_t seed)
{
	for (size_t i = 0; i < len; i += 8) {
		uint64_t state = seed ^ (off + i), word = next_random(&state);

		memcpy(data + i, &word, len - i < 8 ? len - i : 8);
	}
}

void check_pattern(const uint8_t *data, size_t len, uint64_t off, uint64_t seed,
		   const char *what)
{
	uint8_t want[4096];

	for (size_t i = 0; i < len; i += sizeof(want)) {
		size_t n = len - i < sizeof(want) ? len - i : sizeof(want);

		fill_pattern(want, n, off + i, seed);
		if (memcmp(data + i, want, n) != 0)
			fail("%s: wrong bytes after %" PRIu64, what, off + i);
	}
}

/* The number after `key` at the beginning of a line of the file, or -1. */
static long number_in_file(const char *path, const char *key)
{
	FILE *f = fopen(path, "re");
	char line[256];
	long value = -1;

	if (!f)
		return -1;
	while (value < 0 && fgets(line, sizeof(line), f))
		if (strncmp(line, key, strlen(key)) == 0)
			value = strtol(line + strlen(key), NULL, 10);
	fclose(f);
	return value;
}

pid_t daemon_pid(const char *dir)
{
	char path[PATH_MAX];
	struct stat here, up;

	snprintf(path, sizeof(path), "%s", dir);
	while (stat(path, &here) == 0 && strlen(path) < sizeof(path) - 32) {
		size_t len = strlen(path);
		long pid;

		strcpy(path + len, "/.memofs/status");
		pid = number_in_file(path, "pid:");
		if (pid > 0)
			return (pid_t)pid;
		strcpy(path + len, "/..");
		if (stat(path, &up) < 0 || up.st_dev != here.st_dev ||
		    up.st_ino == here.st_ino)
			break;
	}
	return 0;
}

void daemon_peak_reset(pid_t pid)
{
	char path[64];
	int fd;

	if (!pid)
		return;
	snprintf(path, sizeof(path), "/proc/%d/clear_refs", (int)pid);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		fail_errno("open %s", path);
	write_all(fd, "5", 1, path);
	close(fd);
}

void daemon_peak_print(pid_t pid, const char *what)
{
	char path[64];
	long kib;

	if (!pid)
		return;
	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	kib = number_in_file(path, "VmHWM:");
	if (kib < 0)
		fail("the daemon (pid %d) is gone", (int)pid);
	printf("%s: daemon peak memory %.1f MiB\n", what, (double)kib / 1024);
}
