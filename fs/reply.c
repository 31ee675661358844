/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/reply.h"

#include <errno.h>
#include <linux/fuse.h>
#include <string.h>
#include <unistd.h>

#include "fs/texts.h"

void reply_err(fuse_req_t req, int r)
{
	fuse_reply_err(req, -r);
}

void reply_stale(fuse_req_t req, int r)
{
	reply_err(req, r == -ENOENT || r == -EUCLEAN ? -ESTALE : r);
}

enum { GROUPS_MAX = 1024 };

bool caller_in_group(fuse_req_t req, gid_t gid)
{
	gid_t groups[GROUPS_MAX];
	bool found = fuse_req_ctx(req)->gid == gid;
	int n = found ? 0 : fuse_req_getgroups(req, GROUPS_MAX, groups);

	for (int i = 0; i < n && i < GROUPS_MAX && !found; i++)
		found = groups[i] == gid;
	return found;
}

int reply_header(struct fs *fs, uint64_t unique, int error)
{
	struct fuse_out_header out = {
	    .len = sizeof(out), .error = error, .unique = unique};
	ssize_t n = write(fuse_session_fd(fs->se), &out, sizeof(out));

	return n == (ssize_t)sizeof(out) ? 0 : -errno;
}

struct timespec to_timespec(int64_t ns)
{
	struct timespec ts = {.tv_sec = ns / NSEC_PER_SEC, .tv_nsec = ns % NSEC_PER_SEC};

	if (ts.tv_nsec < 0) { /* before 1970 */
		ts.tv_sec--;
		ts.tv_nsec += NSEC_PER_SEC;
	}
	return ts;
}

void attr_to_stat(const struct store_attr *attr, struct stat *ret_st)
{
	*ret_st = (struct stat){
	    .st_ino = attr->ino,
	    .st_mode = attr->mode,
	    .st_nlink = 1, /* of a directory: not counted, as on btrfs */
	    .st_uid = attr->uid,
	    .st_gid = attr->gid,
	    .st_size = (off_t)attr->size_bytes,
	    .st_blksize = 4096,
	    .st_blocks = (blkcnt_t)((attr->disk_bytes + 511) / 512),
	    .st_atim = to_timespec(attr->atime_ns),
	    .st_mtim = to_timespec(attr->mtime_ns),
	    .st_ctim = to_timespec(attr->ctime_ns),
	};
}

uint64_t vnode_st_ino(const struct vnode *v)
{
	return v->kind == VNODE_DIR && !(v->view.set & VIEW_VERSION) ? v->dir_ino : v->id;
}

static mode_t vnode_mode(const struct vnode *v)
{
	if (v->kind == VNODE_TEXT)
		return S_IFREG | text_mode(v->text);
	return v->kind == VNODE_JOB ? S_IFREG | 0600 : S_IFDIR | 0555;
}

void vnode_to_stat(const struct fs *fs, const struct vnode *v, struct stat *ret_st)
{
	struct timespec started = to_timespec(fs->started_ns);

	*ret_st = (struct stat){
	    .st_ino = v->id,
	    .st_mode = vnode_mode(v),
	    .st_nlink = 1,
	    .st_uid = geteuid(),
	    .st_gid = getegid(),
	    .st_blksize = 4096,
	    .st_atim = started,
	    .st_mtim = started,
	    .st_ctim = started,
	};
}
