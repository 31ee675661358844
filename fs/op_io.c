/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes: read, write, sync, allocate, seek, copy.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "fs/fast.h"
#include "fs/handle.h"
#include "fs/jobs.h"
#include "fs/kcache.h"
#include "fs/metrics.h"
#include "fs/node.h"
#include "fs/reply.h"
#include "fs/reservation.h"
#include "fs/slow.h"
#include "fs/texts.h"
#include "fs/topic.h"
#include "fs/vnode.h"

static struct handle *handle_in(fuse_req_t req, const struct fuse_file_info *fi)
{
	return handle_get(fs_of(req)->handles, fi->fh);
}

static int read_handle(struct handle *h, void *data, size_t size, uint64_t off,
		       size_t *ret_len)
{
	switch (h->kind) {
	case HANDLE_GEN:
		return store_gen_read(h->gen, data, size, off, ret_len);
	case HANDLE_PENDING:
		return store_staged_read(pending_staged(h->pending), data, size, off,
					 ret_len);
	case HANDLE_TEXT:
		*ret_len = text_read(&h->text, data, size, off);
		return 0;
	case HANDLE_DIR:
	case HANDLE_LOST:
		break;
	}
	return -EIO;
}

/* ---- what was opened inside the kernel (fs/fast.h) ---- */

/* No handle has the number 0, and only a read-only mount opens without one. */
static bool is_unopened(fuse_req_t req, const struct fuse_file_info *fi)
{
	return fs_of(req)->fast && !fi->fh;
}

/* The generation behind a node. -EINVAL: it is a text. -ESTALE: it is gone. */
static int gen_of_node(struct fs *fs, fuse_ino_t nodeid, struct store_gen **ret_gen)
{
	struct vnode v = {.ino = nodeid};
	int r = 0;

	if (vnode_is(nodeid))
		r = vnode_get(fs->vnodes, nodeid, &v);
	if (!r && vnode_is(nodeid) && v.kind != VNODE_FILE)
		return -EINVAL;
	if (!r)
		r = fast_gen(fs->fast, v.ino, ret_gen);
	return r == -ENOENT ? -ESTALE : r;
}

static int read_gen(struct fs *fs, struct store_gen *gen, void *data, size_t size,
		    uint64_t off, size_t *ret_len)
{
	struct metrics_ns *ns;
	uint64_t branch;
	double cost_s;
	int r = store_gen_read(gen, data, size, off, ret_len);

	store_gen_origin(gen, &branch, &cost_s);
	ns = metrics_branch(fs->metrics, branch);
	if (!r)
		metrics_add(ns, STORE_COUNT_BYTES_READ, *ret_len);
	if (r == -EUCLEAN)
		metrics_add(ns, STORE_COUNT_MISSES_DAMAGED, 1);
	return r;
}

static int read_unopened(struct fs *fs, fuse_ino_t ino, void *data, size_t size,
			 uint64_t off, size_t *ret_len)
{
	struct store_gen *gen;
	int r = gen_of_node(fs, ino, &gen);

	if (r == -EINVAL)
		return fast_text_read(fs->fast, ino, data, size, off, ret_len);
	if (r)
		return r;
	r = read_gen(fs, gen, data, size, off, ret_len);
	store_gen_close(gen);
	return r;
}

static int seek_unopened(struct fs *fs, fuse_ino_t ino, uint64_t off, int whence,
			 uint64_t *ret_off)
{
	struct store_gen *gen;
	int r = gen_of_node(fs, ino, &gen);

	if (r)
		return r;
	r = store_gen_seek(gen, off, whence, ret_off);
	store_gen_close(gen);
	return r;
}

/* A worker keeps its buffer: most requests are as large as the last one. */
static __thread struct buf scratch;

void op_io_thread_done(void)
{
	buf_deinit(&scratch);
}

/* Of a control file nothing is counted. Before the answer, after which the handle may
 * be gone. */
static void count(fuse_req_t req, const struct handle *h, enum store_count what,
		  uint64_t by)
{
	struct metrics *m = fs_of(req)->metrics;

	if (h->kind == HANDLE_GEN || h->writer)
		metrics_add(metrics_ns(m, h->ns_ino), what, by);
}

void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t off,
	     struct fuse_file_info *fi)
{
	struct handle *h = handle_in(req, fi);
	size_t len;
	int r = buf_reserve(&scratch, size);

	if (!r && is_unopened(req, fi))
		r = read_unopened(fs_of(req), ino, scratch.data, size, (uint64_t)off,
				  &len);
	else if (!r)
		r = read_handle(h, scratch.data, size, (uint64_t)off, &len);
	if (r == -EUCLEAN) { /* the entry was dropped: the next lookup misses */
		count(req, h, STORE_COUNT_MISSES_DAMAGED, 1);
		kcache_all_changed(fs_of(req)->kcache);
		r = -EIO;
	}
	if (!r && h->kind == HANDLE_GEN)
		count(req, h, STORE_COUNT_BYTES_READ, len);
	if (r)
		reply_err(req, r);
	else
		fuse_reply_buf(req, (const char *)scratch.data, len);
}

/* The value behind a descriptor that may write. */
static struct store_staged *writing(const struct handle *h)
{
	return h->writer ? pending_staged(h->pending) : NULL;
}

/*
 * A write by anybody but root takes the set-id bits away. libfuse tells the
 * kernel that the file system does it (FUSE_HANDLE_KILLPRIV).
 */
static int drop_set_id(fuse_req_t req, struct store_staged *sg)
{
	struct store_attr attr;
	mode_t bits;

	if (fuse_req_ctx(req)->uid == 0)
		return 0;
	store_staged_attr(sg, &attr);
	/* Set-group-id without execute is no privilege (inode_should_drop_suid). */
	bits = S_ISUID | (attr.mode & S_IXGRP ? S_ISGID : 0);
	if (!(attr.mode & bits))
		return 0;
	attr.mode &= ~bits;
	return store_staged_setattr(sg, STORE_SET_MODE, &attr, &attr);
}

/*
 * Into the file of a reservation or of a job: each write(2) is one command, wherever
 * it is.
 */
static int write_command(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size)
{
	struct fs *fs = fs_of(req);
	const struct fuse_ctx *ctx = fuse_req_ctx(req);
	struct reservation_caller by = {ctx->pid, ctx->uid, .by_name = true};
	struct vnode v;
	int r = vnode_get(fs->vnodes, ino, &v);

	if (r)
		return -ESTALE;
	if (v.kind == VNODE_JOB)
		return jobs_start(fs->jobs, v.text, data, size);
	return v.kind == VNODE_RESERVATION
		   ? reservation_node_set(fs, &v, &by, data, size, false)
		   : -EBADF;
}

static int not_writing(const struct handle *h)
{
	return h->kind == HANDLE_LOST ? -EIO : -EBADF;
}

/*
 * What so many bytes from `off` on may make a value take counts for who began it: what
 * is overwritten nothing more, and holes nothing.
 */
static int may_grow(const struct handle *h, uint64_t off, uint64_t size)
{
	struct store_attr attr;
	uint64_t end, taken;

	if (!h->writer)
		return not_writing(h);
	store_staged_attr(pending_staged(h->pending), &attr);
	if (off > STORE_FILE_MAX || size > STORE_FILE_MAX)
		return 0; /* for the store to refuse */
	end = off + size > attr.size_bytes ? off + size : attr.size_bytes;
	taken = attr.disk_bytes + size;
	return limit_grow(pending_bytes(h->pending), taken < end ? taken : end);
}

/* *ret_turn: see store_staged_sum(). */
static int write_value(fuse_req_t req, const struct handle *h, const char *data,
		       size_t size, off_t off, uint64_t *ret_turn)
{
	struct store_staged *sg = writing(h);
	int r = may_grow(h, (uint64_t)off, size);

	if (!r)
		r = drop_set_id(req, sg);
	return r ? r : store_staged_write_first(sg, data, size, (uint64_t)off, ret_turn);
}

/* Who writes, produces: see fs/pending.h. */
static void note_writer(fuse_req_t req, const struct handle *h)
{
	if (h->writer)
		pending_wrote(h->pending, fuse_req_ctx(req)->pid);
}

void op_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size, off_t off,
	      struct fuse_file_info *fi)
{
	struct handle *h = handle_in(req, fi);
	struct store_staged *sg = writing(h);
	uint64_t turn = 0;
	int r;

	note_writer(req, h);
	if (h->writer) /* its inode has no name yet */
		topic_enter(TOPIC_NAMESPACE, h->ns_ino);
	if (h->kind == HANDLE_TEXT)
		r = write_command(req, ino, data, size);
	else
		r = write_value(req, h, data, size, off, &turn);
	if (!r)
		count(req, h, STORE_COUNT_BYTES_WRITTEN, size);
	if (r)
		reply_err(req, r);
	else if (h->kind == HANDLE_TEXT)
		fuse_reply_write(req, size);
	else
		slow_reply_write(req, size);
	if (turn) /* the handle may be gone by now; not so what it wrote */
		store_staged_sum(sg, data, size, (uint64_t)off, turn);
}

void op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync, struct fuse_file_info *fi)
{
	struct handle *h = handle_in(req, fi);

	if (is_unopened(req, fi)) { /* nothing was written */
		reply_err(req, 0);
	} else if (h->writer) {
		atomic_store(&h->synced, true);
		reply_err(req, store_staged_sync(pending_staged(h->pending)));
	} else if (h->kind == HANDLE_LOST) {
		reply_err(req, -EIO);
	} else {
		reply_err(req, store_sync(fs_of(req)->store));
	}
}

void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t off, off_t len,
		  struct fuse_file_info *fi)
{
	struct handle *h = handle_in(req, fi);
	struct store_staged *sg = writing(h);
	int r = not_writing(h);

	note_writer(req, h);
	if (sg)
		r = mode & FALLOC_FL_PUNCH_HOLE
			? 0
			: may_grow(h, (uint64_t)off, (uint64_t)len);
	if (!r)
		r = store_staged_allocate(sg, mode, (uint64_t)off, (uint64_t)len);
	if (r)
		reply_err(req, r);
	else
		slow_reply_done(req, mode & FALLOC_FL_PUNCH_HOLE ? 0 : (uint64_t)len);
}

void op_lseek(fuse_req_t req, fuse_ino_t ino, off_t off, int whence,
	      struct fuse_file_info *fi)
{
	struct handle *h = handle_in(req, fi);
	uint64_t found;
	int r;

	if (off < 0)
		r = -ENXIO;
	else if (is_unopened(req, fi))
		r = seek_unopened(fs_of(req), ino, (uint64_t)off, whence, &found);
	else if (h->kind == HANDLE_GEN)
		r = store_gen_seek(h->gen, (uint64_t)off, whence, &found);
	else if (h->kind == HANDLE_PENDING)
		r = store_staged_seek(pending_staged(h->pending), (uint64_t)off, whence,
				      &found);
	else
		r = h->kind == HANDLE_LOST ? -EIO : -EINVAL;
	if (r)
		reply_err(req, r);
	else
		fuse_reply_lseek(req, (off_t)found);
}

enum { COPY_CHUNK = 1 << 20 };

/* A reply counts in 32 bits, and a worker is not to be gone for seconds: the
 * caller asks again for the rest. */
enum { COPY_MAX = 64 << 20 };

/* Between two values being written, or within one: through memory. */
static int copy_through(struct handle *in, uint64_t off_in, struct store_staged *out,
			uint64_t off_out, size_t len, size_t *ret_len)
{
	size_t done = 0, got = 1;
	int r = buf_reserve(&scratch, len < COPY_CHUNK ? len : COPY_CHUNK);

	while (!r && done < len && got) {
		size_t want = len - done < COPY_CHUNK ? len - done : COPY_CHUNK;

		r = read_handle(in, scratch.data, want, off_in + done, &got);
		if (!r && got)
			r = store_staged_write(out, scratch.data, got, off_out + done);
		if (!r)
			done += got;
	}
	if (r && !done)
		return r;
	*ret_len = done;
	return 0;
}

void op_copy_file_range(fuse_req_t req, fuse_ino_t ino_in, off_t off_in,
			struct fuse_file_info *fi_in, fuse_ino_t ino_out, off_t off_out,
			struct fuse_file_info *fi_out, size_t len, int flags)
{
	struct handle *in = handle_in(req, fi_in), *to = handle_in(req, fi_out);
	struct store_staged *out = writing(to);
	size_t done = 0;
	int r;

	note_writer(req, to);
	if (len > COPY_MAX)
		len = COPY_MAX;
	r = may_grow(to, (uint64_t)off_out, len);
	if (!r && in->kind == HANDLE_GEN)
		r = store_staged_copy(out, (uint64_t)off_out, in->gen, (uint64_t)off_in,
				      len, &done);
	else if (!r)
		r = copy_through(in, (uint64_t)off_in, out, (uint64_t)off_out, len,
				 &done);
	if (!r)
		count(req, to, STORE_COUNT_BYTES_WRITTEN, done);
	if (r)
		reply_err(req, r);
	else
		slow_reply_write(req, done);
}
