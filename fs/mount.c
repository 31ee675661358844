/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/mount.h"

#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include "fs/fs.h"
#include "fs/init_flags.h"
#include "fs/mountpoint.h"
#include "store/util/buf.h"
#include "store/util/log.h"

/* libfuse says why a mount failed on its log only: keep the last line. */
static __thread struct errmsg fuse_said;

static void keep_log(enum fuse_log_level level, const char *fmt, va_list ap)
{
	size_t len;

	vsnprintf(fuse_said.text, sizeof(fuse_said.text), fmt, ap);
	len = strlen(fuse_said.text);
	while (len && fuse_said.text[len - 1] == '\n')
		fuse_said.text[--len] = '\0';
	log_at(level <= FUSE_LOG_ERR	   ? LOG_LEVEL_WARNING
	       : level <= FUSE_LOG_WARNING ? LOG_LEVEL_INFO
					   : LOG_LEVEL_DEBUG,
	       "libfuse: %s", fuse_said.text);
}

static int add_option(struct fuse_args *args, const char *fmt, const char *value)
{
	CLEANUP_BUF struct buf text = BUF_INIT;

	/* A comma or a backslash in a path would begin another option. */
	if (buf_printf(&text, "-o%s", fmt))
		return -ENOMEM;
	for (; value && *value; value++) {
		if ((*value == ',' || *value == '\\') && buf_append(&text, "\\", 1))
			return -ENOMEM;
		if (buf_append(&text, value, 1))
			return -ENOMEM;
	}
	if (buf_append(&text, "", 1))
		return -ENOMEM;
	return fuse_opt_add_arg(args, (const char *)text.data) ? -ENOMEM : 0;
}

static int fill_args(struct fuse_args *args, const struct mount_options *opt)
{
	int r = fuse_opt_add_arg(args, "memofs") ? -ENOMEM : 0;

	if (!r)
		r = add_option(args, "fsname=", opt->store_path);
	if (!r)
		r = add_option(args, "subtype=memofs", NULL);
	if (!r)
		r = add_option(args, "default_permissions,nosuid,nodev", NULL);
	if (!r && opt->allow_other)
		r = add_option(args, "allow_other", NULL);
	if (!r && opt->read_only)
		r = add_option(args, "ro", NULL);
	return r;
}

static bool is_connection(const char *mountpoint)
{
	return strncmp(mountpoint, MOUNT_FD, strlen(MOUNT_FD)) == 0;
}

static void watch_init(struct fs *fs)
{
	if (init_flags_watch(fs))
		log_info("names of one directory are looked up one at a time");
}

/* The kernel takes a second answer to INIT for one that comes too late. */
static int take_connection(struct fs *fs, const struct mount_options *opt,
			   struct errmsg *err)
{
	struct fuse_buf init = {.mem = (void *)opt->init, .size = opt->init_len};
	char path[32];

	snprintf(path, sizeof(path), MOUNT_FD "%d", opt->fuse_fd);
	if (fuse_session_mount(fs->se, path))
		return err_set(err, EBADF, "%s: cannot take up the connection: %s",
			       opt->mountpoint, fuse_said.text);
	fs->resuming = true;
	init_flags_look(fs, opt->init, opt->init_len);
	watch_init(fs); /* the one that got it may not have answered */
	fuse_session_process_buf(fs->se, &init);
	return 0;
}

static int make_connection(struct fs *fs, const struct mount_options *opt,
			   struct errmsg *err)
{
	errno = 0;
	if (fuse_session_mount(fs->se, opt->mountpoint)) {
		int e = errno ? errno : EPERM;

		return err_set(err, e, "%s: cannot mount: %s", opt->mountpoint,
			       *fuse_said.text ? fuse_said.text : strerror(e));
	}
	watch_init(fs);
	return 0;
}

static int new_session(struct fs *fs, const struct mount_options *opt, struct errmsg *err)
{
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	int r = fill_args(&args, opt);

	if (!r)
		fs->se = fuse_session_new(&args, fs->live ? &fs_attached_ops : &fs_ops,
					  sizeof(fs_ops), fs);
	fuse_opt_free_args(&args);
	if (r || !fs->se)
		return err_set(err, r ? -r : EINVAL, "%s: cannot begin a session: %s",
			       opt->mountpoint, fuse_said.text);
	return 0;
}

int mount_begin(struct fs *fs, const struct mount_options *opt, bool *ret_mounted,
		struct errmsg *err)
{
	bool there = opt->resume || is_connection(opt->mountpoint);
	int r = there ? 0 : mountpoint_check(opt->mountpoint, opt->nonempty, err);

	if (r)
		return r;
	fuse_set_log_func(keep_log);
	r = new_session(fs, opt, err);
	if (r)
		return r;
	r = opt->resume ? take_connection(fs, opt, err) : make_connection(fs, opt, err);
	if (r) {
		fuse_session_destroy(fs->se);
		fs->se = NULL;
		return r;
	}
	*ret_mounted = opt->resume || !is_connection(opt->mountpoint);
	return 0;
}

/*
 * Not by fuse_session_unmount(): it closes the descriptor that the workers are
 * reading from, whose number may then be that of another file.
 */
int mount_end(const char *mountpoint, bool lazy)
{
	const char *argv[] = {"fusermount3", lazy ? "-uz" : "-u", "--", mountpoint, NULL};
	int status;
	pid_t pid;

	if (geteuid() == 0)
		return umount2(mountpoint, lazy ? MNT_DETACH : 0) ? -errno : 0;
	if (posix_spawnp(&pid, argv[0], NULL, NULL, (char **)argv, environ))
		return -ENOENT;
	if (waitpid(pid, &status, 0) != pid)
		return -ECHILD;
	return status ? -EBUSY : 0;
}
