/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The state of one mount, and what the files of fs/ share.
 *
 * A handler decodes the request, calls the store, and replies exactly once on
 * every path. Locks (fs->pending's, fs->vnodes', fs->retries') are leaves:
 * nothing is called under them that replies, notifies or writes to the store.
 */
#ifndef MEMOFS_FS_FS_H
#define MEMOFS_FS_FS_H

#ifndef FUSE_USE_VERSION
#define FUSE_USE_VERSION 312
#endif

#include <fuse_lowlevel.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "store/store.h"

struct pending_table;
struct vnode_table;
struct retry_table;
struct kcache;
struct recent;
struct handle_list;
struct waiters;
struct jobs;
struct metrics;
struct slow;
struct held;
struct keep;
struct limits;
struct handle;
struct once_table;
struct fast;
struct attach;
struct dircache;
struct backing_table;
struct busy_poll_cpus;

struct fs {
	struct fuse_session *se;
	struct store *store;
	struct pending_table *pending;	/* values being written */
	struct vnode_table *vnodes;	/* .memofs, and directories under views */
	struct retry_table *retries;	/* opens that were told to look again */
	struct kcache *kcache;		/* what the kernel was told it may keep */
	struct handle_list *handles;	/* all that is open */
	struct backing_table *backings; /* how, where the kernel may read itself; NULL:
					   it may nowhere */
	struct recent *recent;		/* attributes given out lately */
	struct dircache *dircache;	/* listings that the kernel has */
	struct waiters *waiters;	/* opens of what is being computed */
	struct metrics *metrics;	/* what is counted */
	struct slow *slow;		/* answers held back */
	struct jobs *jobs;		/* what the daemon is asked to do */
	struct limits *limits;		/* what one user may have */
	_Atomic uint64_t requests;	/* for /.memofs/status */
	_Atomic uint64_t polled;	/* of them: see fs/busy_poll.h */
	/* When sealed_refuse() has spoken last, monotonic, and of which tree. */
	_Atomic int64_t sealed_said_ns;
	_Atomic uint64_t sealed_said_ino;
	bool read_only;
	struct fast *fast;     /* of a read-only mount; else NULL */
	bool no_open;	       /* which answers no OPEN: see fs/fast.h */
	struct attach *attach; /* the mounts attached to this one; NULL: none can be */
	struct fs *live;       /* what this one is attached to, or NULL */
	bool foreign_pids;     /* it was mounted where others are */
	/* What outlives this process; NULL: nothing does. See fs/resume.h. */
	struct keep *keep;
	struct once_table
	    *once; /* what a daemon before this one had begun; see fs/once.h */
	_Atomic size_t request_bytes; /* of the longest; 0: not agreed yet */
	atomic_uint aheads; /* fs/listing.h: answers that nobody has asked for yet */
	bool resuming;	    /* the kernel has sent requests to a daemon before this one */
	bool passthrough;   /* it is wanted */
	atomic_uint init_flags; /* enum init_flags: asked for, and not passed on */

	dev_t dev; /* of an attached mount; 0: not known, see mountpoint_dev() */

	/* For the control files; set once before the first request. */
	const char *store_path;
	const char *mountpoint;
	const char *backend_name;
	int64_t started_ns;
	unsigned int threads;
	struct busy_poll_cpus *busy_poll_cpus; /* the daemon's; NULL: off */
	struct held *held;		       /* the holder; NULL: there is none */
	atomic_bool handed_over;	       /* and it has the connection */
	void *config;			       /* of main.c, for /.memofs/config */
	int (*config_text)(void *config, struct buf *ret_text);

	/* Called once, when the kernel has agreed on the protocol. */
	void (*ready)(void *arg);
	void *ready_arg;
};

static inline struct fs *fs_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

extern const struct fuse_lowlevel_ops fs_ops;	       /* ops.c */
extern const struct fuse_lowlevel_ops fs_attached_ops; /* of fs->live */

/*
 * daemon.c; for tests of it without a kernel, too. The store is open: make all that
 * stands on it. -errno with a message.
 */
int fs_make_tables(struct fs *fs, struct errmsg *err);
/*
 * The part of it that each mount of a store has of its own, an attached one, too; and its
 * end, but for the virtual nodes. -errno.
 */
int fs_make_own_tables(struct fs *fs);
void fs_free_own_tables(struct fs *fs);
/*
 * Its end, whatever of it was made: first nobody waits any more and no job runs, with
 * the session still there; then, without the session, all is freed, the store closed.
 */
void fs_stop(struct fs *fs);
void fs_free(struct fs *fs);

/* op_lookup.c */
void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t nlookup);
void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets);

/* op_name.c */
void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	      dev_t rdev);
void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode);
void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name);
void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name);
void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name);
void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t newparent,
	       const char *newname, unsigned int flags);

/* op_open.c */
void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
	       struct fuse_file_info *fi);
void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);

/* op_close.c */
void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
/* The session calls it for every RELEASE before it receives the next request. */
void release_noted(struct fs *fs, uint64_t fh);
/* op_dir.c: and this for every RELEASEDIR. */
void releasedir_noted(struct fs *fs, uint64_t fh);
/* What a RELEASE does. */
void close_handle(struct fs *fs, struct handle *h);
/* For the session: will it write much, or wait for the disk? What was fsynced waits for
 * the disk at its FLUSH, and is published without at its RELEASE. */
bool flush_is_long(struct fs *fs, uint64_t fh);
bool release_is_long(struct fs *fs, uint64_t fh);
bool fsync_is_long(struct fs *fs, uint64_t fh);

/* op_io.c */
void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	     struct fuse_file_info *fi);
void op_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t off,
	      struct fuse_file_info *fi);
void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);
void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t len,
		  struct fuse_file_info *fi);
void op_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence,
	      struct fuse_file_info *fi);
void op_copy_file_range(fuse_req_t req, fuse_ino_t ino_in, off_t off_in,
			struct fuse_file_info *fi_in, fuse_ino_t ino_out, off_t off_out,
			struct fuse_file_info *fi_out, size_t len, int flags);

/* At the end of a worker thread: frees its buffer. */
void op_io_thread_done(void);

/* op_dir.c */
void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		struct fuse_file_info *fi);
void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
		    struct fuse_file_info *fi);
void op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi);

/* op_attr.c */
void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *fi);
void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
		struct fuse_file_info *fi);
void op_readlink(fuse_req_t req, fuse_ino_t ino);
void op_statfs(fuse_req_t req, fuse_ino_t ino);

/* op_xattr.c */
void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value,
		 size_t size, int flags);
void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size);
void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size);
void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name);

#endif
