/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Preloaded into the daemon: what happens to it is said by files in the directory
 * $MEMOFS_MISHAP. `full`: no more memory can be kept. `deadlock`: whoever writes what
 * begins with "DEADLOCK" into an extent never comes back; once, then the file is gone.
 * And who maps kept memory that has "POISON" in it dies. `commit`: who writes what has
 * "STUCK" in it to RocksDB's log never comes back; once, then the file is gone.
 *
 * Offsets have 64 bits, so these functions have the names of the calls for that.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEPT "/memfd:memofs-keep"

static void path_of(const char *what, char ret_path[200])
{
	const char *dir = getenv("MEMOFS_MISHAP");

	snprintf(ret_path, 200, "%s/%s", dir ? dir : "/nowhere", what);
}

static bool is_kept(int fd)
{
	char link[40], name[64];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, name, sizeof(name));
	return n >= (ssize_t)sizeof(KEPT) - 1 &&
	       memcmp(name, KEPT, sizeof(KEPT) - 1) == 0;
}

static void *next_of(const char *name)
{
	void *next = dlsym(RTLD_NEXT, name);

	if (!next)
		abort();
	return next;
}

int fallocate(int fd, int mode, off_t off, off_t len)
{
	int (*real)(int, int, off_t, off_t);
	char path[200];

	path_of("full", path);
	if (mode == 0 && is_kept(fd) && access(path, F_OK) == 0) {
		errno = ENOSPC;
		return -1;
	}
	*(void **)&real = next_of("fallocate64");
	return real(fd, mode, off, len);
}

static void look_for_deadlock(const void *data, size_t len)
{
	static const char begin[] = "DEADLOCK";
	pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	char path[200];

	path_of("deadlock", path);
	if (len < sizeof(begin) || memcmp(data, begin, sizeof(begin) - 1) != 0 ||
	    unlink(path))
		return;
	pthread_mutex_lock(&lock);
	pthread_mutex_lock(&lock);
}

static _Noreturn void never_come_back(void)
{
	for (;;)
		pause();
}

/* Has the path `part` in it, and `end` at its end? */
static bool is_at(int fd, const char *part, const char *end)
{
	size_t len = strlen(end);
	char link[40], path[400];
	ssize_t n;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (n < (ssize_t)len)
		return false;
	path[n] = '\0';
	return strstr(path, part) && strcmp(path + n - len, end) == 0;
}

ssize_t write(int fd, const void *data, size_t len)
{
	ssize_t (*real)(int, const void *, size_t);
	char path[200];

	if (memmem(data, len, "STUCK", 5) && is_at(fd, ".store/", ".log")) {
		path_of("commit", path);
		if (unlink(path) == 0)
			never_come_back();
	}
	*(void **)&real = next_of("write");
	return real(fd, data, len);
}

ssize_t pwrite(int fd, const void *data, size_t len, off_t off)
{
	ssize_t (*real)(int, const void *, size_t, off_t);

	look_for_deadlock(data, len);
	*(void **)&real = next_of("pwrite64");
	return real(fd, data, len, off);
}

static void look_for_poison(const char *data, size_t len)
{
	if (memmem(data, len, "POISON", 6))
		abort();
}

void *mmap(void *at, size_t len, int prot, int flags, int fd, off_t off)
{
	void *(*real)(void *, size_t, int, int, int, off_t);
	struct stat st;
	void *p;

	*(void **)&real = next_of("mmap64");
	p = real(at, len, prot, flags, fd, off);
	if (fd >= 0 && p != MAP_FAILED && is_kept(fd) && fstat(fd, &st) == 0)
		look_for_poison(p, (size_t)st.st_size < len ? (size_t)st.st_size : len);
	return p;
}
