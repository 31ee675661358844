/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A disk that remembers: a file system with the two files `image` and `mark`.
 *
 * A loop device over `image` is a disk with a write cache: what is written to it may
 * be lost until the device is flushed, which arrives here as an fsync. Each write
 * with its bytes, each flush, and each line written to `mark` goes to the log, in the
 * order in which one thread answers them (see log.h). A write that is under way while
 * a flush is asked for counts as before it when it is answered before it; no file
 * system relies on that.
 *
 * With --drop-flushes it is a disk that lies: from the mark "ready" on, flushes are
 * answered and not logged.
 */
#define FUSE_USE_VERSION 35
#include <errno.h>
#include <fcntl.h>
#include <fuse_lowlevel.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../mount/prog.h"
#include "log.h"

#ifndef PR_SET_IO_FLUSHER
#define PR_SET_IO_FLUSHER 57
#endif

enum { INO_IMAGE = 2, INO_MARK = 3 };
#define ATTR_S 1000.0
#define MAX_WRITE (1024 * 1024)

static struct {
	int image_fd;
	FILE *log;
	bool drop_flushes, lies;
} disk;

static int append(enum log_kind kind, uint64_t off, uint64_t len, const void *data)
{
	struct log_record record = {LOG_MAGIC, kind, off, len};

	if (fwrite(&record, sizeof(record), 1, disk.log) != 1 ||
	    (data && len && fwrite(data, len, 1, disk.log) != 1))
		return EIO;
	return 0;
}

static int attr_of(fuse_ino_t ino, struct stat *ret_st)
{
	struct stat st = {.st_ino = ino, .st_nlink = 1, .st_mode = S_IFREG | 0600};

	if (ino == FUSE_ROOT_ID) {
		st.st_mode = S_IFDIR | 0700;
	} else if (ino == INO_IMAGE) {
		struct stat image;

		if (fstat(disk.image_fd, &image))
			return errno;
		st.st_size = image.st_size;
		st.st_blocks = image.st_blocks;
	} else if (ino != INO_MARK) {
		return ENOENT;
	}
	*ret_st = st;
	return 0;
}

static void disk_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param e = {.attr_timeout = ATTR_S, .entry_timeout = ATTR_S};

	if (!strcmp(name, "image"))
		e.ino = INO_IMAGE;
	else if (!strcmp(name, "mark"))
		e.ino = INO_MARK;
	if (!e.ino || attr_of(e.ino, &e.attr))
		fuse_reply_err(req, ENOENT);
	else
		fuse_reply_entry(req, &e);
}

static void disk_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	struct stat st;
	int e = attr_of(ino, &st);

	if (e)
		fuse_reply_err(req, e);
	else
		fuse_reply_attr(req, &st, ATTR_S);
}

/* Times and O_TRUNC of `mark`: nothing changes. */
static void disk_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
			 struct fuse_file_info *fi)
{
	disk_getattr(req, ino, fi);
}

static void disk_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi)
{
	fi->direct_io = 1;
	fuse_reply_open(req, fi);
}

static void disk_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		      struct fuse_file_info *fi)
{
	char *data = malloc(size);
	ssize_t n = data && ino == INO_IMAGE ? pread(disk.image_fd, data, size, off) : 0;

	if (!data || n < 0)
		fuse_reply_err(req, data ? errno : ENOMEM);
	else
		fuse_reply_buf(req, data, (size_t)n);
	free(data);
}

static void disk_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size,
		       off_t off, struct fuse_file_info *fi)
{
	int e;

	if (ino == INO_MARK) {
		e = append(LOG_MARK, 0, size, data);
		disk.lies |= disk.drop_flushes && size >= 5 && !memcmp(data, "ready", 5);
	} else if (pwrite(disk.image_fd, data, size, off) != (ssize_t)size)
		e = EIO;
	else
		e = append(LOG_WRITE, (uint64_t)off, size, data);
	if (e)
		fuse_reply_err(req, e);
	else
		fuse_reply_write(req, size);
}

static void disk_fsync(fuse_req_t req, fuse_ino_t ino, int datasync,
		       struct fuse_file_info *fi)
{
	fuse_reply_err(req, disk.lies ? 0 : append(LOG_FLUSH, 0, 0, NULL));
}

/* How the loop device discards, and writes zeros. */
static void disk_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t len,
			   struct fuse_file_info *fi)
{
	int e = fallocate(disk.image_fd, mode, off, len) ? errno : 0;

	if (!e && mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
		e = append(LOG_ZERO, (uint64_t)off, (uint64_t)len, NULL);
	fuse_reply_err(req, e);
}

static void disk_init(void *userdata, struct fuse_conn_info *conn)
{
	conn->max_write = MAX_WRITE;
}

static const struct fuse_lowlevel_ops ops = {
    .init = disk_init,
    .lookup = disk_lookup,
    .getattr = disk_getattr,
    .setattr = disk_setattr,
    .open = disk_open,
    .read = disk_read,
    .write = disk_write,
    .fsync = disk_fsync,
    .fallocate = disk_fallocate,
};

static int serve(char *program, const char *mountpoint)
{
	char option[] = "-ofsname=record,subtype=record";
	char *argv[] = {program, option};
	struct fuse_args args = FUSE_ARGS_INIT(2, argv);
	struct fuse_session *se = fuse_session_new(&args, &ops, sizeof(ops), NULL);
	int r;

	if (!se || fuse_session_mount(se, mountpoint))
		fail("cannot mount at %s", mountpoint);
	r = fuse_session_loop(se);
	fuse_session_unmount(se);
	fuse_session_destroy(se);
	fuse_opt_free_args(&args);
	return r;
}

int main(int argc, char **argv)
{
	int r;

	if (argc == 5 && !strcmp(argv[4], "--drop-flushes"))
		disk.drop_flushes = true;
	else if (argc != 4) {
		fprintf(stderr, "usage: record IMAGE LOG MOUNTPOINT [--drop-flushes]\n");
		return 2;
	}
	disk.image_fd = open(argv[1], O_RDWR | O_CLOEXEC);
	if (disk.image_fd < 0)
		fail_errno("%s", argv[1]);
	disk.log = fopen(argv[2], "we");
	if (!disk.log)
		fail_errno("%s", argv[2]);
	/* Memory it needs must not wait for pages that it has to write itself. */
	prctl(PR_SET_IO_FLUSHER, 1, 0, 0, 0);
	r = serve(argv[0], argv[3]);
	if (fclose(disk.log))
		fail_errno("%s", argv[2]);
	return r != 0;
}
