/* SPDX-License-Identifier: Apache-2.0 */
#include "store/content.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/piece_queue.h"
#include "store/store.h"
#include "store/writeback.h"

#define COPY_BYTES (1024 * 1024)

void content_init(struct content *c, const struct content_limits *limits, uint64_t ino)
{
	*c = (struct content){.limits = *limits, .ino = ino, .fd = -1};
}

static void uncharge(struct content *c)
{
	atomic_fetch_sub(c->limits.memory_used_bytes, c->charged_bytes);
	c->charged_bytes = 0;
}

static void count_disk(struct content *c, uint64_t bytes)
{
	atomic_fetch_add(c->limits.disk_used_bytes,
			 (int64_t)bytes - (int64_t)c->counted_bytes);
	c->counted_bytes = bytes;
}

/* What the extent has now; the end of what was written may not be on the disk yet. */
static void recount_disk(struct content *c)
{
	struct stat sb;

	if (!content_in_memory(c) && !fstat(c->fd, &sb))
		count_disk(c, (uint64_t)sb.st_blocks * 512);
}

void content_uncount(struct content *c)
{
	if (c->counted_bytes)
		count_disk(c, 0);
}

static void free_memory(struct content *c)
{
	buf_deinit(&c->mem);
	uncharge(c);
}

/* ---- kept memory ---- */

/* A change; bytes may follow. */
struct change {
	enum { CHANGE_WRITE, CHANGE_ZERO, CHANGE_SIZE, CHANGE_MOVED } kind;
	uint64_t off, len; /* CHANGE_SIZE: off is the size */
};

/* Counters of the object. */
enum { COUNT_ERROR };

/* Its records are written anew as one when they take twice what it has, and this. */
#define KEEP_SLACK_BYTES (64 * 1024)

static int keep_all(struct content *c)
{
	struct change change = {CHANGE_WRITE, 0, c->size_bytes};
	struct slice pieces[] = {slice(&change, sizeof(change)),
				 slice(c->mem.data, c->size_bytes)};

	return keep_replace(c->kept, pieces, 2);
}

static int keep_moved(struct content *c)
{
	struct change change = {CHANGE_MOVED, 0, 0};
	struct slice piece = slice(&change, sizeof(change));

	return keep_replace(c->kept, &piece, 1);
}

void content_keep_error(struct content *c)
{
	_Atomic uint64_t *error = keep_counter(c->kept, COUNT_ERROR);

	if (error)
		atomic_store(error, (uint64_t)-c->error);
}

int content_keep(struct content *c, struct keep *keep)
{
	return keep_new(keep, KEEP_CONTENT, c->ino, &c->kept);
}

void content_deinit(struct content *c, bool drop)
{
	bool has_extent = c->fd >= 0;

	free_memory(c);
	digest_deinit(&c->digest);
	if (has_extent)
		close(c->fd);
	if (has_extent && drop)
		piece_queue_forget(c->limits.writeback, c->ino);
	if (has_extent && drop)
		backend_extent_remove(c->limits.be, c->ino);
	content_uncount(c);
	keep_free(c->kept);
	c->kept = NULL;
	c->fd = -1;
}

/* ---- plain files ---- */

int file_read(int fd, void *data, size_t len, uint64_t off, size_t *ret_len)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n =
		    pread(fd, (uint8_t *)data + done, len - done, (off_t)(off + done));

		if (n == 0)
			break;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		done += (size_t)n;
	}
	*ret_len = done;
	return 0;
}

static int pwrite_full(int fd, const void *data, size_t len, uint64_t off)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = pwrite(fd, (const uint8_t *)data + done, len - done,
				   (off_t)(off + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		done += (size_t)n;
	}
	return 0;
}

/* Where the next byte of data is, at `size` at the latest. */
static uint64_t next_data(int fd, uint64_t off, uint64_t size)
{
	off_t data = lseek(fd, (off_t)off, SEEK_DATA);

	if (data < 0) /* a hole to the end; or no such thing here: all is data */
		return errno == ENXIO ? size : off;
	return (uint64_t)data < size ? (uint64_t)data : size;
}

static int digest_data(int fd, uint64_t end, struct digest *d, uint8_t *copy)
{
	while (d->len < end) {
		uint64_t left = end - d->len;
		size_t want = left < COPY_BYTES ? (size_t)left : COPY_BYTES;
		size_t n;
		int r = file_read(fd, copy, want, d->len, &n);

		if (!r && n < want)
			r = -EUCLEAN;
		if (!r)
			r = digest_update(d, copy, n);
		if (r)
			return r;
	}
	return 0;
}

int content_digest_file(int fd, uint64_t size_bytes, struct digest *d)
{
	struct stat sb;
	uint8_t *copy;
	int r = 0;

	if (fstat(fd, &sb))
		return -errno;
	if ((uint64_t)sb.st_size < size_bytes)
		return -EUCLEAN;
	copy = malloc(COPY_BYTES);
	if (!copy)
		return -ENOMEM;
	while (!r && d->len < size_bytes) {
		uint64_t data = next_data(fd, d->len, size_bytes);
		off_t hole = lseek(fd, (off_t)data, SEEK_HOLE);
		uint64_t end = size_bytes;

		if (hole > (off_t)data && (uint64_t)hole < size_bytes)
			end = (uint64_t)hole;
		r = digest_update_zeros(d, data - d->len);
		if (!r)
			r = digest_data(fd, end, d, copy);
	}
	free(copy);
	return r;
}

/* ---- memory ---- */

/* Room for `size` bytes in memory? Counts it when there is. */
static bool grow_memory(struct content *c, uint64_t size)
{
	uint64_t before = c->charged_bytes, used;

	if (size > c->limits.small_max_bytes)
		return false;
	if (size > c->mem.cap) {
		used = atomic_load(c->limits.memory_used_bytes);
		if (used + size - before > c->limits.memory_max_bytes)
			return false;
		if (buf_reserve(&c->mem, size))
			return false;
		c->charged_bytes = c->mem.cap;
		atomic_fetch_add(c->limits.memory_used_bytes, c->charged_bytes - before);
	}
	return true;
}

/* Move to a staged extent. */
static int spill(struct content *c)
{
	int fd, r;

	r = backend_extent_stage(c->limits.be, c->ino, &fd);
	if (r)
		return r;
	r = pwrite_full(fd, c->mem.data, c->size_bytes, 0);
	if (!r)
		r = keep_moved(c);
	if (r) {
		close(fd);
		backend_extent_remove(c->limits.be, c->ino);
		return r;
	}
	digest_restart(&c->digest);
	/* Out of memory: the digest starts again at 0, and sealing reads it all. */
	(void)digest_update(&c->digest, c->mem.data, c->size_bytes);
	free_memory(c);
	c->fd = fd;
	c->committed = false;
	c->reserved = false;
	recount_disk(c);
	return 0;
}

/* Its bytes are in `mem`, and the extent goes. */
static int keep_unspilled(struct content *c, const struct buf *mem)
{
	struct change change = {CHANGE_WRITE, 0, mem->len};
	struct slice pieces[] = {slice(&change, sizeof(change)), buf_slice(mem)};
	int r = keep_replace(c->kept, pieces, 2);

	return r ? r : backend_extent_remove(c->limits.be, c->ino);
}

/* The other way: what was spilled turned out to be small. */
static int unspill(struct content *c)
{
	CLEANUP_BUF struct buf mem = BUF_INIT;
	size_t n;
	int r;

	if (buf_reserve(&mem, c->size_bytes))
		return -ENOMEM;
	r = file_read(c->fd, mem.data, c->size_bytes, 0, &n);
	if (r)
		return r;
	if (n < c->size_bytes)
		return -EIO;
	mem.len = n;
	r = keep_unspilled(c, &mem);
	if (r)
		return r;
	close(c->fd);
	c->fd = -1;
	c->asked_bytes = 0;
	content_uncount(c);
	digest_deinit(&c->digest);
	c->mem = mem;
	mem = BUF_INIT;
	c->charged_bytes = c->mem.cap;
	atomic_fetch_add(c->limits.memory_used_bytes, c->charged_bytes);
	return 0;
}

/* Be where `size` bytes can be: in memory, or in an extent. */
static int make_room(struct content *c, uint64_t size)
{
	if (size > (uint64_t)STORE_FILE_MAX)
		return -EFBIG;
	if (!content_in_memory(c) || grow_memory(c, size))
		return 0;
	return spill(c);
}

static int remember(struct content *c, int r)
{
	if (r && !c->error) {
		c->error = r;
		content_keep_error(c);
	}
	return r;
}

/* It has been changed. What is in an extent is safe. */
static int keep_change(struct content *c, struct change change, const void *data)
{
	struct slice pieces[] = {slice(&change, sizeof(change)),
				 slice(data, data ? change.len : 0)};
	int r;

	if (!c->kept || !content_in_memory(c))
		return 0;
	if (keep_bytes(c->kept) > 2 * c->size_bytes + KEEP_SLACK_BYTES)
		r = keep_all(c);
	else
		r = keep_append(c->kept, pieces, data ? 2 : 1);
	return r ? spill(c) : 0;
}

/* ---- operations ---- */

int content_read(struct content *c, void *data, size_t len, uint64_t off, size_t *ret_len)
{
	uint64_t left = off < c->size_bytes ? c->size_bytes - off : 0;
	size_t n = left < len ? (size_t)left : len;

	if (!content_in_memory(c))
		return file_read(c->fd, data, n, off, ret_len);
	if (n)
		memcpy(data, c->mem.data + off, n);
	*ret_len = n;
	return 0;
}

static void write_memory(struct content *c, const void *data, size_t len, uint64_t off)
{
	if (off > c->size_bytes)
		memset(c->mem.data + c->size_bytes, 0, off - c->size_bytes);
	memcpy(c->mem.data + off, data, len);
	if (off + len > c->size_bytes)
		c->size_bytes = off + len;
	c->mem.len = c->size_bytes;
}

/* Bytes from `off` on are about to be other than they were. */
static void digest_forget(struct content *c, uint64_t off)
{
	if (off < c->digest.len)
		digest_restart(&c->digest);
	if (off < c->asked_bytes)
		c->asked_bytes = 0;
}

/* Up to `end` it was written in order. */
static void begin_writeback(struct content *c, uint64_t end)
{
	struct piece p = {.ino = c->ino, .fd = c->fd, .off = c->asked_bytes};

	end -= end % WRITEBACK_STEP_BYTES;
	p.len = end - p.off;
	if (end > p.off && piece_queue_ask(c->limits.writeback, &p))
		c->asked_bytes = end;
}

void content_sum(struct content *c, const void *data, size_t len, uint64_t off)
{
	if (off == c->digest.len)
		(void)digest_update(&c->digest, data, len); /* as in spill() */
}

static int write_extent(struct content *c, const void *data, size_t len, uint64_t off,
			uint64_t *ret_turn)
{
	bool goes_on;
	int r;

	if (!content_goes_on(c, off))
		digest_forget(c, off);
	goes_on = content_goes_on(c, off);
	r = pwrite_full(c->fd, data, len, off);
	recount_disk(c);
	if (r)
		return r;
	if (goes_on && ret_turn) {
		*ret_turn = ++c->turns;
		c->summed_end = off + len;
	} else {
		content_sum(c, data, len, off);
	}
	if (off + len > c->size_bytes)
		c->size_bytes = off + len;
	if (goes_on)
		begin_writeback(c, off + len);
	return 0;
}

int content_write(struct content *c, const void *data, size_t len, uint64_t off,
		  uint64_t *ret_turn)
{
	int r;

	assert(content_is_summed(c) || (ret_turn && content_goes_on(c, off)));

	if (!len)
		return 0;
	if (off > (uint64_t)STORE_FILE_MAX || len > (uint64_t)STORE_FILE_MAX - off)
		return remember(c, -EFBIG);
	r = make_room(c, off + len);
	if (!r && content_in_memory(c)) {
		write_memory(c, data, len, off);
		r = keep_change(c, (struct change){CHANGE_WRITE, off, len}, data);
	} else if (!r) {
		r = write_extent(c, data, len, off, ret_turn);
	}
	return remember(c, r);
}

static int set_size(struct content *c, uint64_t size)
{
	if (content_in_memory(c)) {
		if (size > c->size_bytes)
			memset(c->mem.data + c->size_bytes, 0, size - c->size_bytes);
		c->mem.len = c->size_bytes = size;
		return keep_change(c, (struct change){CHANGE_SIZE, size, 0}, NULL);
	}
	digest_forget(c, size);
	if (ftruncate(c->fd, (off_t)size))
		return -errno;
	recount_disk(c);
	c->size_bytes = size;
	return 0;
}

int content_truncate(struct content *c, uint64_t size_bytes)
{
	int r = make_room(c, size_bytes);

	if (!r)
		r = set_size(c, size_bytes);
	return remember(c, r);
}

static int zero_memory(struct content *c, uint64_t off, uint64_t len)
{
	uint64_t end = off + len;

	if (end > c->size_bytes)
		end = c->size_bytes;
	if (off >= end)
		return 0;
	memset(c->mem.data + off, 0, end - off);
	return keep_change(c, (struct change){CHANGE_ZERO, off, end - off}, NULL);
}

static int allocate_extent(struct content *c, int mode, uint64_t off, uint64_t len)
{
	if (mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
		digest_forget(c, off);
	if (fallocate(c->fd, mode, (off_t)off, (off_t)len))
		return -errno;
	recount_disk(c);
	if (mode & FALLOC_FL_KEEP_SIZE)
		c->reserved = true;
	else if (off + len > c->size_bytes)
		c->size_bytes = off + len;
	return 0;
}

int content_allocate(struct content *c, int mode, uint64_t off, uint64_t len)
{
	const int keep = FALLOC_FL_KEEP_SIZE, punch = FALLOC_FL_PUNCH_HOLE;
	const int zero = FALLOC_FL_ZERO_RANGE;
	uint64_t end = off + len;
	int r;

	if (mode != 0 && mode != keep && mode != (punch | keep) && mode != zero &&
	    mode != (zero | keep))
		return -EOPNOTSUPP;
	if (!len)
		return -EINVAL;
	if (off > (uint64_t)STORE_FILE_MAX || len > (uint64_t)STORE_FILE_MAX - off)
		return -EFBIG;

	/* Nothing can be reserved in memory; a hole needs no room at all. */
	r = make_room(c, mode & punch ? c->size_bytes : end);
	if (r)
		return r;
	if (!content_in_memory(c))
		return allocate_extent(c, mode, off, len);
	r = mode & (punch | zero) ? zero_memory(c, off, len) : 0;
	if (r)
		return r;
	if (!(mode & keep) && end > c->size_bytes)
		return set_size(c, end);
	return 0;
}

int content_seek(struct content *c, uint64_t off, int whence, uint64_t *ret_off)
{
	off_t found;

	if (whence != SEEK_DATA && whence != SEEK_HOLE)
		return -EINVAL;
	if (off >= c->size_bytes)
		return -ENXIO;
	if (content_in_memory(c)) {
		*ret_off = whence == SEEK_DATA ? off : c->size_bytes;
		return 0;
	}
	found = lseek(c->fd, (off_t)off, whence);
	if (found < 0)
		return -errno;
	*ret_off = (uint64_t)found;
	return 0;
}

uint64_t content_disk_bytes(const struct content *c)
{
	struct stat sb;

	if (content_in_memory(c) || fstat(c->fd, &sb))
		return (c->size_bytes + 511) / 512 * 512;
	return (uint64_t)sb.st_blocks * 512;
}

/* ---- sealing ---- */

static int seal_extent(struct content *c, bool *ret_has_hash,
		       uint8_t ret_hash[DIGEST_HASH_BYTES], struct buf *ret_sums)
{
	int r = content_digest_file(c->fd, c->size_bytes, &c->digest);

	if (r == -EUCLEAN) /* somebody else cut the staged file */
		r = -EIO;
	if (r)
		return r;
	if (c->reserved && ftruncate(c->fd, (off_t)c->size_bytes))
		return -errno;
	c->reserved = false;
	r = digest_sums(&c->digest, ret_sums);
	if (!r && !c->committed)
		r = backend_extent_commit(c->limits.be, c->ino);
	if (r)
		return r;
	c->committed = true;
	*ret_has_hash = digest_value(&c->digest, ret_hash);
	return 0;
}

int content_seal(struct content *c, bool *ret_has_hash,
		 uint8_t ret_hash[DIGEST_HASH_BYTES], struct buf *ret_sums)
{
	int r;

	assert(content_is_summed(c));
	if (c->error)
		return c->error;
	if (!content_in_memory(c) && c->size_bytes <= c->limits.small_max_bytes) {
		r = unspill(c);
		if (r)
			return r;
	}
	if (!content_in_memory(c))
		return seal_extent(c, ret_has_hash, ret_hash, ret_sums);

	assert(c->mem.len == c->size_bytes);
	buf_clear(ret_sums);
	digest_of(buf_slice(&c->mem), ret_hash);
	*ret_has_hash = true;
	return 0;
}

/* ---- resuming ---- */

struct replay {
	struct content *c;
	bool in_extent;
};

/* In memory, without asking how much there may be: it was there before. */
static int replay_size(struct content *c, uint64_t size)
{
	if (size > KEEP_RECORD_MAX)
		return -EUCLEAN;
	if (buf_reserve(&c->mem, size))
		return -ENOMEM;
	if (size > c->size_bytes)
		memset(c->mem.data + c->size_bytes, 0, size - c->size_bytes);
	c->mem.len = c->size_bytes = size;
	return 0;
}

static int replay_bytes(struct content *c, const struct change *change,
			struct slice bytes)
{
	uint64_t end;
	int r = 0;

	if (__builtin_add_overflow(change->off, change->len, &end) ||
	    (change->kind == CHANGE_WRITE && bytes.len != change->len))
		return -EUCLEAN;
	if (end > c->size_bytes)
		r = replay_size(c, end);
	if (r || !change->len)
		return r;
	if (change->kind == CHANGE_WRITE)
		memcpy(c->mem.data + change->off, bytes.data, bytes.len);
	else
		memset(c->mem.data + change->off, 0, change->len);
	return 0;
}

static int replay(void *arg, struct slice record)
{
	struct replay *replay = arg;
	struct change change;

	if (record.len < sizeof(change))
		return -EUCLEAN;
	memcpy(&change, record.data, sizeof(change));
	record = slice((const uint8_t *)record.data + sizeof(change),
		       record.len - sizeof(change));
	switch (change.kind) {
	case CHANGE_WRITE:
	case CHANGE_ZERO:
		return replay_bytes(replay->c, &change, record);
	case CHANGE_SIZE:
		return replay_size(replay->c, change.off);
	case CHANGE_MOVED:
		replay->in_extent = true;
		return 0;
	}
	return -EUCLEAN;
}

static int resume_extent(struct content *c)
{
	struct stat sb;
	int fd, r;

	r = backend_extent_resume(c->limits.be, c->ino, &c->committed, &fd);
	if (r)
		return r == -ENOENT ? -EUCLEAN : r;
	c->fd = fd;
	c->reserved = true; /* for all that is known */
	if (fstat(fd, &sb))
		return -errno;
	c->size_bytes = (uint64_t)sb.st_size;
	recount_disk(c);
	return 0;
}

static int is_moved(void *arg, struct slice record)
{
	bool *moved = arg;
	struct change change;

	if (record.len < sizeof(change))
		return 0;
	memcpy(&change, record.data, sizeof(change));
	*moved = change.kind == CHANGE_MOVED;
	return 0;
}

bool content_kept_in_extent(struct kept *kept)
{
	bool moved = false;

	keep_records(kept, is_moved, &moved);
	return moved;
}

int content_resume(struct content *c, const struct content_limits *limits,
		   struct kept *kept)
{
	struct replay args = {.c = c};
	int r;

	content_init(c, limits, keep_id(kept));
	c->kept = kept;
	c->error = -(int)atomic_load(keep_counter(kept, COUNT_ERROR));
	r = keep_records(kept, replay, &args);
	if (r)
		return r;
	if (args.in_extent)
		return resume_extent(c);
	c->charged_bytes = c->mem.cap;
	atomic_fetch_add(c->limits.memory_used_bytes, c->charged_bytes);
	return 0;
}

int content_clear(struct content *c)
{
	struct change change = {CHANGE_SIZE, 0, 0};
	struct slice piece = slice(&change, sizeof(change));
	int r = keep_replace(c->kept, &piece, 1);

	if (r)
		return r;
	if (!content_in_memory(c))
		close(c->fd);
	c->fd = -1;
	c->asked_bytes = 0;
	free_memory(c);
	content_uncount(c);
	digest_deinit(&c->digest);
	c->size_bytes = 0;
	return backend_extent_remove(c->limits.be, c->ino);
}
