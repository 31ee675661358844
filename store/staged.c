/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Values being written: their content.
 *
 * A value that keeps the content of its base does not copy it until the first
 * change, so that opening for writing and closing again costs nothing. The copy
 * passes through memory and is checked on the way: a damaged block must not get
 * a new checksum.
 */
#include "store/staged.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/gc.h"
#include "store/gen.h"
#include "store/sealed.h"
#include "store/staged_keep.h"
#include "store/staged_limits.h"
#include "store/util/log.h"

#define COPY_BYTES (1024 * 1024)
/* Summing less takes no longer than coming back for it. */
#define SUM_LATER_BYTES (64 * 1024)

/* ---- beginning ---- */

static int adopt_base(struct store_staged *sg, const struct store_stage_args *args)
{
	CLEANUP_INODE struct inode in = INODE_INIT;
	struct inode_row *row = &sg->row;
	struct policy policy;
	int r;

	r = inode_load_placed(sg->st, args->base_ino, &in, &policy);
	if (r)
		return r;
	if (!S_ISREG(in.row.core.mode))
		return -EINVAL;
	if (buf_set(&sg->ttl_text, in.row.ttl_text.data, in.row.ttl_text.len) ||
	    buf_set(&sg->xattrs, in.row.xattrs.data, in.row.xattrs.len))
		return -ENOMEM;
	row->core = in.row.core;
	row->core.sealed = args->sealed;
	row->ttl_text = buf_slice(&sg->ttl_text);
	row->xattrs = buf_slice(&sg->xattrs);
	sg->inherited_ttl_ns = policy.ttl_ns;
	return args->truncate ? 0 : store_gen_open(sg->st, args->base_ino, &sg->base);
}

static int adopt_dir(struct store_staged *sg, const struct store_stage_args *args)
{
	struct row_core *core = &sg->row.core;
	struct policy policy;
	int r;

	r = policy_get(sg->st, args->branch, &policy);
	if (r)
		return r == -ENOTDIR ? -ENOENT : r;
	core->mode = S_IFREG | (args->mode & 07777);
	core->uid = args->writer.uid;
	core->gid = args->writer.gid;
	core->ttl_ns = DURATION_UNSET;
	core->sealed = args->sealed;
	policy_adopt(&policy, &core->mode, &core->gid);
	sg->inherited_ttl_ns = policy.ttl_ns;
	return 0;
}

static void set_times(struct store_staged *sg)
{
	struct row_core *core = &sg->row.core;
	int64_t now_ns = time_now_ns();

	core->ctime_ns = core->created_ns = now_ns;
	if (!sg->base) /* else nothing was changed yet */
		core->atime_ns = core->mtime_ns = now_ns;
}

struct content_limits staged_content_limits(struct store *st)
{
	return (struct content_limits){
	    .be = st->be,
	    .small_max_bytes = st->small_max_bytes,
	    .memory_max_bytes = st->staged_memory_bytes,
	    .memory_used_bytes = &st->staged_used_bytes,
	    .disk_used_bytes = &st->usage.staged,
	    .writeback = st->writeback,
	};
}

static int staged_begin(struct store_staged *sg, const struct store_stage_args *args)
{
	struct content_limits limits = staged_content_limits(sg->st);
	int r;

	if (store_ino_in_tree(args->branch) || store_ino_in_tree(args->base_ino))
		return -EPERM;
	r = ino_alloc(sg->st, &sg->ino);
	if (r)
		return r;
	if (args->sealed && sg->ino > ROW_SEALED_INO_MAX)
		return -EFBIG;
	content_init(&sg->content, &limits, sg->ino);
	sg->row.cost_s = -1;
	sg->begun_ns = time_monotonic_ns() - args->before_ns;
	sg->row.writer = args->writer;
	sg->base_ino = args->base_ino;
	sg->base_replaced = args->base_ino && args->truncate;
	sg->branch = args->branch;
	r = args->base_ino ? adopt_base(sg, args) : adopt_dir(sg, args);
	if (r)
		return r;
	staged_limits_init(sg);
	sg->row.core.ino = sg->ino;
	set_times(sg);
	return staged_keep_begin(sg);
}

struct store_staged *staged_new(struct store *st)
{
	struct store_staged *sg = calloc(1, sizeof(*sg));

	if (!sg)
		return NULL;
	sg->st = st;
	sg->content.fd = -1;
	pthread_mutex_init(&sg->lock, NULL);
	pthread_mutex_init(&sg->sums_lock, NULL);
	pthread_cond_init(&sg->summed, NULL);
	return sg;
}

int store_stage(struct store *st, const struct store_stage_args *args,
		struct store_staged **ret_staged)
{
	struct store_staged *sg = staged_new(st);
	int r;

	if (!sg)
		return -ENOMEM;
	r = staged_begin(sg, args);
	if (r) {
		store_staged_free(sg);
		return r;
	}
	*ret_staged = sg;
	return 0;
}

void store_staged_free(struct store_staged *sg)
{
	if (!sg)
		return;
	pthread_mutex_lock(&sg->lock);
	staged_await_sums(sg);
	pthread_mutex_unlock(&sg->lock);
	if (sg->intent.recorded) {
		/* The row is on the disk: a loss of power must not bring back what was
		 * dropped, a failed producer's output above all. */
		int r = staged_withdraw(sg, true);

		if (r) {
			log_error(
			    "%s: %.*s: an unpublished value could not be withdrawn, "
			    "which will be tried again; until then it may appear "
			    "when the store is opened again: %s",
			    sg->st->path, (int)sg->intent.name.len,
			    (const char *)sg->intent.name.data, strerror(-r));
			gc_intent(sg->st, sg->ino);
		}
	}
	if (sg->content.limits.be)
		content_deinit(&sg->content, !sg->published);
	/* Its bytes may go to where others have them: nobody reads here any more. */
	if (sg->published && sg->row.core.sealed)
		gc_tree(sg->st, sg->ino);
	room_release(&sg->hold);
	usage_unpromise(sg->st, &sg->promise);
	store_gen_close(sg->base);
	buf_deinit(&sg->intent.name);
	buf_deinit(&sg->ttl_text);
	buf_deinit(&sg->xattrs);
	keep_free(sg->kept);
	pthread_cond_destroy(&sg->summed);
	pthread_mutex_destroy(&sg->sums_lock);
	pthread_mutex_destroy(&sg->lock);
	free(sg);
}

uint64_t store_staged_ino(const struct store_staged *sg)
{
	return sg->ino;
}

/* ---- the base's content ---- */

/* -ENOSPC, -EFBIG, -EDQUOT: remembered, as those of a write. */
static int take_room(struct store_staged *sg, uint64_t len, uint64_t end,
		     struct room_hold *hold)
{
	uint64_t size = sg->content.size_bytes;
	int r = staged_may_grow(sg, end > size ? end : size, len);

	if (!r)
		r = room_take(sg->st, len, ROOM_REFUSE, hold);
	staged_fail(sg, r);
	return r;
}

/* A quota, say, may be full where the disk is not: gc can help with both. */
static int write_content(struct store_staged *sg, const void *data, size_t len,
			 uint64_t off, uint64_t *ret_turn)
{
	CLEANUP_ROOM struct room_hold hold = ROOM_HOLD_INIT;
	int before = sg->content.error;
	uint64_t end;
	int r;

	if (__builtin_add_overflow(off, len, &end))
		end = UINT64_MAX;
	r = take_room(sg, len, end, &hold);
	if (r)
		return r;
	r = content_write(&sg->content, data, len, off, ret_turn);
	if ((r != -ENOSPC && r != -EDQUOT) || before || !gc_make_room(sg->st))
		return r;
	sg->content.error = 0;
	content_keep_error(&sg->content);
	return content_write(&sg->content, data, len, off, ret_turn);
}

/* Copy from a generation; *ret_len is short at its end. */
static int copy_in(struct store_staged *sg, uint64_t off, struct store_gen *src,
		   uint64_t src_off, uint64_t len, uint64_t *ret_len)
{
	uint8_t *data = malloc(len < COPY_BYTES ? (size_t)len : COPY_BYTES);
	uint64_t done = 0;
	int r = data ? 0 : -ENOMEM;

	while (!r && done < len) {
		size_t want = len - done < COPY_BYTES ? (size_t)(len - done) : COPY_BYTES;
		size_t n;

		r = store_gen_read(src, data, want, src_off + done, &n);
		if (!r && n)
			r = write_content(sg, data, n, off + done, NULL);
		if (r || !n)
			break;
		done += n;
	}
	free(data);
	if (!r)
		*ret_len = done;
	return r;
}

/* The first `size` bytes of the base, its holes as holes. */
static int copy_base(struct store_staged *sg, uint64_t size)
{
	uint64_t at = 0, data, hole, copied;
	int r = 0;

	while (!r && at < size) {
		r = store_gen_seek(sg->base, at, SEEK_DATA, &data);
		if (r == -ENXIO || (!r && data >= size)) {
			r = 0;
			break;
		}
		if (!r)
			r = store_gen_seek(sg->base, data, SEEK_HOLE, &hole);
		if (r)
			break;
		if (hole > size)
			hole = size;
		r = copy_in(sg, data, sg->base, data, hole - data, &copied);
		at = hole;
	}
	return r ? r : content_truncate(&sg->content, size);
}

/*
 * Before the content is changed. Of the base, `keep` bytes at most are still
 * wanted. An intent that says the value is complete must go first.
 */
static int begin_change(struct store_staged *sg, uint64_t keep)
{
	int r = 0;

	assert(!sg->published);
	if (sg->intent.recorded)
		r = staged_withdraw(sg, true);
	if (!r && sg->base) {
		uint64_t size = gen_size(sg->base);

		r = copy_base(sg, keep < size ? keep : size);
		if (!r) {
			store_gen_close(sg->base);
			sg->base = NULL;
			r = staged_keep(sg);
		}
	}
	staged_fail(sg, r);
	return r;
}

static void end_change(struct store_staged *sg)
{
	sg->writes++;
	sg->row.core.mtime_ns = sg->row.core.ctime_ns = time_now_ns();
	staged_keep_write(sg);
}

static uint64_t size_of(const struct store_staged *sg)
{
	return sg->base ? gen_size(sg->base) : sg->content.size_bytes;
}

/* ---- reading and writing ---- */

int store_staged_read(struct store_staged *sg, void *data, size_t len, uint64_t off,
		      size_t *ret_len)
{
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&sg->lock);

	if (sg->base)
		return store_gen_read(sg->base, data, len, off, ret_len);
	return content_read(&sg->content, data, len, off, ret_len);
}

void staged_await_sums(struct store_staged *sg)
{
	/* Also who need not wait takes the lock, and so comes after who has just summed:
	 * he may be about to free it. */
	pthread_mutex_lock(&sg->sums_lock);
	while (!content_is_summed(&sg->content))
		pthread_cond_wait(&sg->summed, &sg->sums_lock);
	pthread_mutex_unlock(&sg->sums_lock);
}

static int write_locked(struct store_staged *sg, const void *data, size_t len,
			uint64_t off, uint64_t *ret_turn)
{
	int r;

	if (!len)
		return 0;
	if (!ret_turn || !content_goes_on(&sg->content, off))
		staged_await_sums(sg);
	r = begin_change(sg, UINT64_MAX);
	if (!r)
		r = write_content(sg, data, len, off, ret_turn);
	if (!r)
		end_change(sg);
	return r;
}

int store_staged_write(struct store_staged *sg, const void *data, size_t len,
		       uint64_t off)
{
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&sg->lock);

	return write_locked(sg, data, len, off, NULL);
}

int store_staged_write_first(struct store_staged *sg, const void *data, size_t len,
			     uint64_t off, uint64_t *ret_turn)
{
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&sg->lock);

	*ret_turn = 0;
	return write_locked(sg, data, len, off, len < SUM_LATER_BYTES ? NULL : ret_turn);
}

void store_staged_sum(struct store_staged *sg, const void *data, size_t len, uint64_t off,
		      uint64_t turn)
{
	struct content *c = &sg->content;

	pthread_mutex_lock(&sg->sums_lock);
	while (c->summed + 1 != turn)
		pthread_cond_wait(&sg->summed, &sg->sums_lock);
	pthread_mutex_unlock(&sg->sums_lock);

	content_sum(c, data, len, off);

	pthread_mutex_lock(&sg->sums_lock);
	c->summed = turn;
	pthread_cond_broadcast(&sg->summed);
	pthread_mutex_unlock(&sg->sums_lock);
}

int store_staged_truncate(struct store_staged *sg, uint64_t size_bytes)
{
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&sg->lock);
	int r;

	staged_await_sums(sg);
	if (size_bytes == size_of(sg)) { /* nothing changes but the times */
		sg->row.core.mtime_ns = time_now_ns();
		return staged_attr_changed(sg);
	}
	r = size_bytes > size_of(sg) ? staged_may_grow(sg, size_bytes, 0) : 0;
	if (r)
		return r; /* nothing was changed */
	r = begin_change(sg, size_bytes);
	if (!r)
		r = content_truncate(&sg->content, size_bytes);
	if (!r)
		end_change(sg);
	return r;
}

int store_staged_allocate(struct store_staged *sg, int mode, uint64_t off, uint64_t len)
{
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&sg->lock);
	CLEANUP_ROOM struct room_hold hold = ROOM_HOLD_INIT;
	int r = 0;

	staged_await_sums(sg);
	/* Refused before anything was changed: nothing is remembered. */
	if (!(mode & FALLOC_FL_PUNCH_HOLE) && len <= (uint64_t)STORE_FILE_MAX &&
	    off <= (uint64_t)STORE_FILE_MAX)
		r = staged_may_grow(sg, off + len > size_of(sg) ? off + len : size_of(sg),
				    len);
	if (!r && !(mode & FALLOC_FL_PUNCH_HOLE) && len <= (uint64_t)STORE_FILE_MAX)
		r = room_take(sg->st, len, ROOM_REFUSE, &hold);
	if (!r)
		r = begin_change(sg, UINT64_MAX);
	if (!r)
		r = content_allocate(&sg->content, mode, off, len);
	if (!r)
		end_change(sg);
	return r;
}

int store_staged_seek(struct store_staged *sg, uint64_t off, int whence,
		      uint64_t *ret_off)
{
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&sg->lock);

	if (sg->base)
		return store_gen_seek(sg->base, off, whence, ret_off);
	return content_seek(&sg->content, off, whence, ret_off);
}

int store_staged_copy(struct store_staged *sg, uint64_t off, struct store_gen *src,
		      uint64_t src_off, size_t len, size_t *ret_len)
{
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&sg->lock);
	uint64_t copied;
	int r;

	staged_await_sums(sg);
	if (!len || src_off >= gen_size(src)) {
		*ret_len = 0;
		return 0;
	}
	r = begin_change(sg, UINT64_MAX);
	if (!r)
		r = copy_in(sg, off, src, src_off, len, &copied);
	if (r)
		return r;
	end_change(sg);
	*ret_len = (size_t)copied;
	return 0;
}

/* ---- fsync ---- */

bool store_staged_in_memory(struct store_staged *sg)
{
	bool r;

	pthread_mutex_lock(&sg->lock);
	r = content_in_memory(&sg->content);
	pthread_mutex_unlock(&sg->lock);
	return r;
}

/*
 * The extent is synced without the lock, through a descriptor of its own: the
 * content may become small meanwhile. What stays in memory is put on the disk by
 * store_staged_flush().
 */
int store_staged_sync(struct store_staged *sg)
{
	uint64_t writes;
	int fd = -1, r = 0;

	pthread_mutex_lock(&sg->lock);
	writes = sg->writes;
	r = sg->content.error;
	if (!r && !content_in_memory(&sg->content)) {
		fd = fcntl(sg->content.fd, F_DUPFD_CLOEXEC, 0);
		r = fd < 0 ? -errno : 0;
	}
	pthread_mutex_unlock(&sg->lock);
	if (r)
		return r;
	if (fd >= 0) {
		r = fdatasync(fd) ? -errno : 0;
		close(fd);
	}

	pthread_mutex_lock(&sg->lock);
	staged_fail(sg, r); /* the dirty pages are gone */
	if (!r && writes >= sg->synced_writes) {
		sg->synced_writes = writes;
		sg->synced = true;
		r = staged_keep(sg);
	}
	pthread_mutex_unlock(&sg->lock);
	return r;
}
