/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The table of requests, and what is agreed with the kernel at the start.
 *
 * Absent on purpose: locks (the kernel keeps them itself, for all containers of
 * the machine), ioctl, poll, bmap, and access (default_permissions).
 */
#include <string.h>

#include "fs/attach.h"
#include "fs/fs.h"
#include "fs/init_flags.h"
#include "store/util/log.h"

/* Requests that the kernel may have under way in the background, and when it
 * begins to hold new ones back. RELEASE is one of them, and must never be held
 * back: see the gate in fs/pending.h. */
enum { BACKGROUND_MAX = 65535 };

/* Beside the bytes of a write: libfuse has a page for that. */
enum { REQUEST_HEAD_BYTES = 64 * 1024 };

static void want(struct fuse_conn_info *conn, unsigned int cap, bool on)
{
	if (on && (conn->capable & cap))
		conn->want |= cap;
	else
		conn->want &= ~cap;
}

/* fs->passthrough says by now whether the kernel offers it, too: init_flags_look(). */
static void ask_for_left_out(struct fs *fs, struct fuse_conn_info *conn)
{
	unsigned int flags = 0;

#ifdef FUSE_CAP_PASSTHROUGH
	want(conn, FUSE_CAP_PASSTHROUGH, fs->passthrough);
#endif
	if (conn->want & FUSE_CAP_PARALLEL_DIROPS)
		flags |= INIT_FLAGS_PARALLEL_DIROPS;
	if (fs->passthrough)
		flags |= INIT_FLAGS_PASSTHROUGH;
	atomic_store(&fs->init_flags, flags);
}

static void op_init(void *userdata, struct fuse_conn_info *conn)
{
	struct fs *fs = userdata;

	want(conn, FUSE_CAP_ATOMIC_O_TRUNC, true);
	want(conn, FUSE_CAP_ASYNC_READ, true);
	want(conn, FUSE_CAP_PARALLEL_DIROPS, true);
	/* Its names get the epoch in which they arrive, not that of the question: what an
	 * attached mount is told could not be taken back. */
	want(conn, FUSE_CAP_READDIRPLUS, !fs->live);
	want(conn, FUSE_CAP_READDIRPLUS_AUTO, !fs->live);
	want(conn, FUSE_CAP_CACHE_SYMLINKS, true);
	/* A generation never changes: its pages outlive a change of its mtime. */
	want(conn, FUSE_CAP_AUTO_INVAL_DATA, false);
	want(conn, FUSE_CAP_EXPLICIT_INVAL_DATA, true);
	/* Checksums need the bytes in memory: a pipe would be a detour. */
	want(conn, FUSE_CAP_SPLICE_READ, false);
	want(conn, FUSE_CAP_SPLICE_WRITE, false);
	want(conn, FUSE_CAP_SPLICE_MOVE, false);
	want(conn, FUSE_CAP_WRITEBACK_CACHE, false);
	want(conn, FUSE_CAP_POSIX_LOCKS, false);
	want(conn, FUSE_CAP_FLOCK_LOCKS, false);
	ask_for_left_out(fs, conn);
	conn->max_background = BACKGROUND_MAX;
	conn->congestion_threshold = BACKGROUND_MAX;
	conn->time_gran = 1;
	atomic_store(&fs->request_bytes, conn->max_write + REQUEST_HEAD_BYTES);
	log_debug("fuse: protocol %u.%u, max_write %u", conn->proto_major,
		  conn->proto_minor, conn->max_write);
	if (fs->ready)
		fs->ready(fs->ready_arg);
}

const struct fuse_lowlevel_ops fs_ops = {
    .init = op_init,
    .retrieve_reply = op_retrieve_reply,
    .lookup = op_lookup,
    .forget = op_forget,
    .forget_multi = op_forget_multi,
    .getattr = op_getattr,
    .setattr = op_setattr,
    .readlink = op_readlink,
    .mknod = op_mknod,
    .mkdir = op_mkdir,
    .unlink = op_unlink,
    .rmdir = op_rmdir,
    .symlink = op_symlink,
    .rename = op_rename,
    .link = op_link,
    .create = op_create,
    .open = op_open,
    .read = op_read,
    .write = op_write,
    .flush = op_flush,
    .release = op_release,
    .fsync = op_fsync,
    .opendir = op_opendir,
    .readdir = op_readdir,
    .readdirplus = op_readdirplus,
    .releasedir = op_releasedir,
    .fsyncdir = op_fsyncdir,
    .statfs = op_statfs,
    .setxattr = op_setxattr,
    .getxattr = op_getxattr,
    .listxattr = op_listxattr,
    .removexattr = op_removexattr,
    .fallocate = op_fallocate,
    .lseek = op_lseek,
    .copy_file_range = op_copy_file_range,
};

/* Somebody may mount it again for writing: nothing is changed through it. */
const struct fuse_lowlevel_ops fs_attached_ops = {
    .init = op_init,
    .lookup = op_lookup,
    .forget = op_forget,
    .forget_multi = op_forget_multi,
    .getattr = op_getattr,
    .readlink = op_readlink,
    .open = op_open,
    .read = op_read,
    .flush = op_flush,
    .release = op_release,
    .opendir = op_opendir,
    .readdir = op_readdir,
    .releasedir = op_releasedir,
    .statfs = op_statfs,
    .getxattr = op_getxattr,
    .listxattr = op_listxattr,
    .lseek = op_lseek,
};
