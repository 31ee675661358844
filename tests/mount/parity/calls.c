/* SPDX-License-Identifier: Apache-2.0 */
/* What the rows are made of. */
#include "parity.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <time.h>
#include <unistd.h>

enum { NOBODY_ID = 65534, BIG_SIZE = 200000 };

/* A row runs in a process of its own: one note and one mark are enough. */
static char notes[OUTCOME_MAX];
static struct {
	char path[64];
	char which;
	struct timespec at;
} mark;

void note(const char *fmt, ...)
{
	size_t len = strlen(notes);
	int err = errno;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(notes + len, sizeof(notes) - len, fmt, ap);
	va_end(ap);
	errno = err;
}

const char *noted(void)
{
	return notes;
}

long setup_failed(void)
{
	note("setup ");
	return -1;
}

/* Bytes as text: what cannot be printed is a dot. */
static void note_bytes(const char *data, size_t len)
{
	note("'");
	for (size_t i = 0; i < len; i++)
		note("%c", data[i] > ' ' && data[i] < 127 ? data[i] : '.');
	note("' ");
}

/* Close, keeping errno. */
static long done(int fd, long ret)
{
	int err = errno;

	if (fd >= 0)
		close(fd);
	errno = err;
	return ret;
}

static const char *put(const char *path, const char *data, size_t len, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL, mode);

	if (fd < 0 || write(fd, data, len) != (ssize_t)len || close(fd) < 0)
		return path;
	return NULL;
}

const char *make_objects(void)
{
	static char big[BIG_SIZE];

	memset(big, 'b', sizeof(big));
	if (put("file", "0123456789", 10, 0644) || put("empty", "", 0, 0644) ||
	    put("exec", "#!/bin/true\n", 12, 0755) || put("big", big, sizeof(big), 0644))
		return "a file";
	if (mkdir("dir", 0755) < 0 || mkdir("void", 0755) < 0)
		return "a directory";
	if (put("dir/inner", "inner", 5, 0644))
		return "dir/inner";
	if (symlink("file", "link") < 0 || symlink("dir", "dlink") < 0 ||
	    symlink("nowhere", "dangle") < 0 || symlink("loop", "loop") < 0)
		return "a symlink";
	return NULL;
}

/* ---- paths ------------------------------------------------------------------- */

const char *long_name(size_t len)
{
	char *name = malloc(len + 1);

	memset(name, 'n', len);
	name[len] = '\0';
	return name;
}

const char *long_path(size_t len)
{
	char *path = malloc(len + 1);

	for (size_t i = 0; i < len - 4; i++)
		path[i] = i % 2 ? '/' : '.';
	/* An odd number of bytes before "file" needs one more slash. */
	if ((len - 4) % 2)
		path[len - 5] = '/';
	memcpy(path + len - 4, "file", 5);
	return path;
}

const char *deep(const char *name)
{
	char *path;

	return asprintf(&path, "dir/%s", name) < 0 ? "" : path;
}

const char *fd_path(int fd)
{
	char *path;

	return asprintf(&path, "/proc/self/fd/%d", fd) < 0 ? "" : path;
}

void *nowhere(void)
{
	return (void *)8;
}

/* ---- looking -------------------------------------------------------------------- */

long opened(const char *path, int flags)
{
	int fd = open(path, flags, 0644);

	return fd < 0 ? -1 : close(fd);
}

long content(const char *path)
{
	char data[64];
	int fd = open(path, O_RDONLY);
	ssize_t len = fd < 0 ? -1 : read(fd, data, sizeof(data));

	if (len > 0)
		note_bytes(data, (size_t)len);
	return done(fd, len);
}

long size_of(const char *path)
{
	struct stat st;

	return stat(path, &st) < 0 ? -1 : (long)st.st_size;
}

long mode_of(const char *path)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return -1;
	note("mode %o ", (unsigned int)st.st_mode & 07777);
	return 0;
}

long kind_of(const char *path)
{
	static const struct {
		mode_t type;
		const char *name;
	} kinds[] = {{S_IFREG, "file"}, {S_IFDIR, "dir"},     {S_IFLNK, "link"},
		     {S_IFIFO, "fifo"}, {S_IFSOCK, "socket"}, {S_IFCHR, "char"},
		     {S_IFBLK, "block"}};
	struct stat st;

	if (lstat(path, &st) < 0)
		return -1;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if ((st.st_mode & S_IFMT) == kinds[i].type)
			note("%s ", kinds[i].name);
	return 0;
}

long links_of(const char *path)
{
	struct stat st;

	return lstat(path, &st) < 0 ? -1 : (long)st.st_nlink;
}

long same_inode(const char *a, const char *b)
{
	struct stat first, second;

	if (stat(a, &first) < 0 || stat(b, &second) < 0)
		return -1;
	return first.st_ino == second.st_ino && first.st_dev == second.st_dev;
}

long names_in(const char *path)
{
	struct dirent **names;
	int count = scandir(path, &names, NULL, alphasort);

	for (int i = 0; i < count; i++) {
		note("%s ", names[i]->d_name);
		free(names[i]);
	}
	if (count >= 0)
		free(names);
	return count;
}

long read_link(const char *path, size_t size)
{
	char target[PATH_MAX];
	ssize_t len = readlink(path, target, size);

	if (len > 0)
		note_bytes(target, (size_t)len);
	return len;
}

long get_attr(const char *path, const char *name, size_t size)
{
	char value[256];
	ssize_t len = getxattr(path, name, value, size);

	if (len > 0)
		note_bytes(value, (size_t)len);
	return len;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

long list_attrs(const char *path, size_t size)
{
	static char list[65536];
	char *names[64];
	ssize_t len = listxattr(path, list, size);
	size_t count = 0;

	if (len < 0)
		return -1;
	for (char *p = list; p < list + len && count < 64; p += strlen(p) + 1)
		if (strncmp(p, "user.cache.", 11) != 0)
			names[count++] = p;
	qsort(names, count, sizeof(names[0]), compare_names);
	for (size_t i = 0; i < count; i++)
		note("%s ", names[i]);
	return (long)count;
}

long set_attr(const char *path, const char *name, const char *value, int flags)
{
	return setxattr(path, name, value, strlen(value), flags);
}

/* ---- times ------------------------------------------------------------------------ */

long set_times(const char *path, long atime_s, long mtime_s, int flags)
{
	struct timespec times[2] = {{.tv_sec = atime_s}, {.tv_sec = mtime_s}};

	return utimensat(AT_FDCWD, path, times, flags);
}

long times_of(const char *path)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return -1;
	note("atime %lld mtime %lld ", (long long)st.st_atime, (long long)st.st_mtime);
	return 0;
}

static long time_now_of(const char *path, char which, struct timespec *ret_at)
{
	struct stat st;

	if (stat(path, &st) < 0)
		return -1;
	*ret_at = which == 'm' ? st.st_mtim : st.st_ctim;
	return 0;
}

long mark_time(const char *path, char which)
{
	snprintf(mark.path, sizeof(mark.path), "%s", path);
	mark.which = which;
	if (time_now_of(path, which, &mark.at) < 0)
		return -1;
	/* Longer than a clock tick, which is what file systems stamp by. */
	return usleep(15000);
}

long time_moved(void)
{
	struct timespec now;

	if (time_now_of(mark.path, mark.which, &now) < 0)
		return -1;
	note("%s ", now.tv_sec > mark.at.tv_sec || (now.tv_sec == mark.at.tv_sec &&
						    now.tv_nsec > mark.at.tv_nsec)
			? "later"
			: "as before");
	return 0;
}

/* ---- locks ------------------------------------------------------------------------ */

/* What `run` returns in a child: 0, or -1 with its errno. */
static long in_child(int (*run)(int fd, int arg), int fd, int arg)
{
	pid_t pid = fork();
	int status;

	if (pid < 0)
		return -1;
	if (pid == 0)
		_exit(run(fd, arg) < 0 ? errno : 0);
	if (waitpid(pid, &status, 0) < 0)
		return -1;
	errno = WEXITSTATUS(status);
	return errno ? -1 : 0;
}

static int try_fcntl(int fd, int type)
{
	struct flock lock = {.l_type = (short)type};

	return fcntl(fd, F_SETLK, &lock);
}

static int try_flock(int fd, int how)
{
	return flock(fd, how | LOCK_NB);
}

long lock_by_child(int fd, short type)
{
	return in_child(try_fcntl, fd, type);
}

long flock_by_child(const char *path, int how)
{
	/* flock() belongs to the open file: another open makes the difference. */
	int fd = open(path, O_RDONLY);

	return fd < 0 ? -1 : done(fd, in_child(try_flock, fd, how));
}

/* ---- moving bytes -------------------------------------------------------------------
 */

long map_read(int fd, size_t len, size_t at)
{
	const volatile char *mem = mmap(NULL, len, PROT_READ, MAP_SHARED, fd, 0);

	return mem == MAP_FAILED ? -1 : mem[at];
}

long map_write(int fd, size_t len)
{
	char *mem = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	long ret;

	if (mem == MAP_FAILED)
		return -1;
	mem[0] = 'X';
	ret = msync(mem, len, MS_SYNC);
	munmap(mem, len);
	return ret;
}

long splice_in(int fd, size_t len, long off)
{
	loff_t at = off;
	int ends[2];
	char data[64];
	long ret;

	memset(data, 's', sizeof(data));
	if (pipe(ends) < 0 || write(ends[1], data, len) != (ssize_t)len)
		return -1;
	ret = splice(ends[0], NULL, fd, off < 0 ? NULL : &at, len, 0);
	done(ends[0], 0);
	return done(ends[1], ret);
}

long send_file(const char *from, int to, size_t len)
{
	int fd = open(from, O_RDONLY);

	return fd < 0 ? -1 : done(fd, sendfile(to, fd, NULL, len));
}

long copy_range(const char *from, int to, long off, size_t len)
{
	loff_t at = off;
	int fd = open(from, O_RDONLY);

	return fd < 0 ? -1 : done(fd, copy_file_range(fd, &at, to, NULL, len, 0));
}

long become_nobody(void)
{
	if (setgroups(0, NULL) < 0 || setresgid(NOBODY_ID, NOBODY_ID, NOBODY_ID) < 0)
		return -1;
	return setresuid(NOBODY_ID, NOBODY_ID, NOBODY_ID);
}
