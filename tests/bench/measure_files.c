/* SPDX-License-Identifier: Apache-2.0 */
/* Works in a directory (measure.h): what any file system can do. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "../mount/prog.h"
#include "measure.h"

enum { CHUNK = 1 << 20 };

/* One that memofs gives a meaning; to the others it is as any. */
#define ATTR "user.cache.ttl"
#define ATTR_VALUE "86400"

/* ---- one file ---- */

static void create(const char *name, uint64_t bytes, bool synced)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_EXCL, 0644);

	if (fd < 0)
		fail_errno("create %s", name);
	if (bytes)
		write_all(fd, measure.value, bytes, name);
	if (synced && fsync(fd) < 0)
		fail_errno("fsync %s", name);
	close_or_fail(fd, name);
}

static void look_at(const char *name)
{
	struct stat st;

	if (stat(name, &st) < 0)
		fail_errno("stat %s", name);
}

static void open_close(const char *name)
{
	close_or_fail(open_or_fail(name, O_RDONLY), name);
}

static void read_whole(const char *name)
{
	uint8_t data[65536];
	int fd = open(name, O_RDONLY);
	ssize_t len;

	if (fd < 0)
		fail_errno("open %s", name);
	/* As a client does that knows what it asked for: one call. */
	len = read(fd, data, measure.bytes);
	if (len != (ssize_t)measure.bytes)
		fail("%s: %zd bytes were read, not %ju", name, len,
		     (uintmax_t)measure.bytes);
	if (close(fd) < 0)
		fail_errno("close %s", name);
}

static void remove_one(const char *name)
{
	if (unlink(name) < 0)
		fail_errno("unlink %s", name);
}

/* ---- what is prepared ---- */

/* `of` entries, those that are there already aside. */
void work_prepare(void)
{
	char name[NAME_SIZE];
	bool attributes = true;

	for (uint64_t i = 0; i < measure.of; i++) {
		entry_name(name, i);
		create(name, measure.bytes, false);
		/* A file system without attributes has no row of them. */
		if (attributes && i < measure.count)
			attributes = setxattr(name, ATTR, ATTR_VALUE,
					      sizeof(ATTR_VALUE) - 1, 0) == 0;
	}
}

static void write_large(bool synced)
{
	int fd = open_or_fail("large", O_WRONLY | O_CREAT | O_EXCL);

	for (uint64_t done = 0; done < measure.bytes; done += CHUNK)
		write_all(fd, measure.value, CHUNK, "large");
	if (synced && fsync(fd) < 0)
		fail_errno("fsync large");
	close_or_fail(fd, "large");
}

void work_prepare_large(void)
{
	write_large(true);
}

/* ---- names that come and go ---- */

static void each_own(unsigned int worker, const char *prefix,
		     void (*one)(const char *name))
{
	char name[NAME_SIZE];

	for (uint64_t i = 0; i < measure.count; i++) {
		snprintf(name, sizeof(name), "%s%u-%ju", prefix, worker, (uintmax_t)i);
		one(name);
	}
}

static void create_empty(const char *name)
{
	create(name, 0, false);
}

static void create_value(const char *name)
{
	create(name, measure.bytes, false);
}

static void create_synced(const char *name)
{
	create(name, measure.bytes, true);
}

static void rename_one(const char *name)
{
	char to[NAME_SIZE + 4];

	snprintf(to, sizeof(to), "to-%s", name);
	if (rename(name, to) < 0)
		fail_errno("rename %s", name);
}

static void run_create(unsigned int worker)
{
	each_own(worker, "new", create_empty);
}

static void run_stat(unsigned int worker)
{
	each_own(worker, "new", look_at);
}

static void run_open(unsigned int worker)
{
	each_own(worker, "new", open_close);
}

static void run_rename(unsigned int worker)
{
	each_own(worker, "new", rename_one);
}

static void run_unlink(unsigned int worker)
{
	each_own(worker, "to-new", remove_one);
}

/* All workers in one directory, as those of a cache are. */
void work_meta(void)
{
	enter_scratch(".", "meta");
	run_workers("create", measure.count, NULL, run_create);
	run_workers("stat", measure.count, run_stat, run_stat);
	run_workers("open", measure.count, NULL, run_open);
	run_workers("rename", measure.count, NULL, run_rename);
	run_workers("unlink", measure.count, NULL, run_unlink);
	leave_scratch();
}

static void run_publish(unsigned int worker)
{
	each_own(worker, "value", create_value);
}

static void run_fsync(unsigned int worker)
{
	each_own(worker, "value", create_synced);
}

/* Beside what is there: who measures growth makes them in a full directory. */
static void publish(const char *what, void (*run)(unsigned int worker))
{
	run_workers(what, measure.count, NULL, run);
	for (unsigned int worker = 0; worker < measure.workers; worker++)
		each_own(worker, "value", remove_one);
}

void work_publish(void)
{
	publish("publish", run_publish);
}

void work_fsync(void)
{
	publish("fsync", run_fsync);
}

/* ---- entries that are there ---- */

static void each_entry(unsigned int worker, void (*one)(const char *name))
{
	char name[NAME_SIZE];

	for (uint64_t i = 0; i < measure.count; i++) {
		entry_name(name, scattered(i + worker * measure.count));
		one(name);
	}
}

static void run_hit(unsigned int worker)
{
	each_entry(worker, read_whole);
}

static void run_look(unsigned int worker)
{
	each_entry(worker, look_at);
}

/* Cold after what suite.sh has dropped, and hot. */
void work_hit(void)
{
	run_workers("first", measure.count, NULL, run_hit);
	run_workers("again", measure.count, run_hit, run_hit);
}

void work_stat(void)
{
	run_workers("first", measure.count, NULL, run_look);
	run_workers("again", measure.count, run_look, run_look);
}

static void look_absent(const char *name)
{
	struct stat st;

	if (stat(name, &st) == 0 || errno != ENOENT)
		fail("%s: is not absent", name);
}

static void run_absent(unsigned int worker)
{
	each_own(worker, "absent", look_absent);
}

void work_absent(void)
{
	run_workers("absent", measure.count, run_absent, run_absent);
}

static void read_attr(const char *name)
{
	char value[64];

	if (getxattr(name, ATTR, value, sizeof(value)) <= 0)
		fail_errno("%s of %s", ATTR, name);
}

static void run_attr(unsigned int worker)
{
	each_entry(worker, read_attr);
}

void work_attr(void)
{
	char value[64], name[NAME_SIZE];

	entry_name(name, 0);
	/* 77: not here. */
	if (getxattr(name, ATTR, value, sizeof(value)) < 0 &&
	    (errno == ENOTSUP || errno == ENODATA || errno == ENOSYS))
		exit(77);
	run_workers("attr", measure.count, run_attr, run_attr);
}

/* ---- one large file ---- */

static void run_write(unsigned int worker)
{
	(void)worker;
	write_large(false);
}

static void run_write_fsync(unsigned int worker)
{
	(void)worker;
	write_large(true);
}

static void in_scratch(void (*run)(unsigned int worker))
{
	enter_scratch(".", "large");
	run_workers("write", measure.bytes, NULL, run);
	leave_scratch();
	/* What one leaves to be written is not the next one's to wait for. */
	sync();
}

void work_write(void)
{
	in_scratch(run_write);
}

void work_write_fsync(void)
{
	in_scratch(run_write_fsync);
}

static void run_read(unsigned int worker)
{
	static uint8_t data[CHUNK];
	int fd = open_or_fail("large", O_RDONLY);
	uint64_t total = 0;
	size_t len;

	(void)worker;
	while ((len = read_upto(fd, data, CHUNK, "large")))
		total += len;
	close_or_fail(fd, "large");
	if (total != measure.bytes)
		fail("large has %ju bytes, not %ju", (uintmax_t)total,
		     (uintmax_t)measure.bytes);
}

void work_read(void)
{
	run_workers("first", measure.bytes, NULL, run_read);
	/* memofs lets the kernel read itself what it has checked: from here on. */
	run_workers("second", measure.bytes, NULL, run_read);
	run_workers("again", measure.bytes, NULL, run_read);
}

/* ---- listings ---- */

static void list(bool with_stat)
{
	DIR *dir = opendir(".");
	const struct dirent *ent;
	struct stat st;
	uint64_t n = 0;

	if (!dir)
		fail_errno("list %s", measure.dir);
	while ((ent = readdir(dir))) {
		if (ent->d_name[0] == '.')
			continue;
		n++;
		if (with_stat &&
		    fstatat(dirfd(dir), ent->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			fail_errno("stat %s", ent->d_name);
	}
	closedir(dir);
	if (n != measure.of)
		fail("%ju names are listed, not %ju", (uintmax_t)n,
		     (uintmax_t)measure.of);
}

static void run_list(unsigned int worker)
{
	(void)worker;
	list(false);
}

static void run_list_stat(unsigned int worker)
{
	(void)worker;
	list(true);
}

void work_list(void)
{
	run_workers("first", measure.of, NULL, run_list);
	run_workers("again", measure.of, NULL, run_list);
}

void work_list_stat(void)
{
	run_workers("first", measure.of, NULL, run_list_stat);
	run_workers("again", measure.of, NULL, run_list_stat);
}
