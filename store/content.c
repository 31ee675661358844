/* SPDX-License-Identifier: Apache-2.0 */
#include "store/content.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/store.h"

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

void content_deinit(struct content *c, bool drop)
{
	bool has_extent = c->fd >= 0;

	free_memory(c);
	digest_deinit(&c->digest);
	if (has_extent)
		close(c->fd);
	if (has_extent && drop)
		backend_extent_remove(c->limits.be, c->ino);
	content_uncount(c);
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
	r = backend_extent_remove(c->limits.be, c->ino);
	if (r)
		return r;
	close(c->fd);
	c->fd = -1;
	content_uncount(c);
	digest_deinit(&c->digest);
	mem.len = n;
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
	if (r && !c->error)
		c->error = r;
	return r;
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
}

static int write_extent(struct content *c, const void *data, size_t len, uint64_t off)
{
	int r;

	digest_forget(c, off);
	r = pwrite_full(c->fd, data, len, off);
	recount_disk(c);
	if (r)
		return r;
	if (off == c->digest.len)
		(void)digest_update(&c->digest, data, len); /* as in spill() */
	if (off + len > c->size_bytes)
		c->size_bytes = off + len;
	return 0;
}

int content_write(struct content *c, const void *data, size_t len, uint64_t off)
{
	int r;

	if (!len)
		return 0;
	if (off > (uint64_t)STORE_FILE_MAX || len > (uint64_t)STORE_FILE_MAX - off)
		return remember(c, -EFBIG);
	r = make_room(c, off + len);
	if (!r && content_in_memory(c))
		write_memory(c, data, len, off);
	else if (!r)
		r = write_extent(c, data, len, off);
	return remember(c, r);
}

static int set_size(struct content *c, uint64_t size)
{
	if (content_in_memory(c)) {
		if (size > c->size_bytes)
			memset(c->mem.data + c->size_bytes, 0, size - c->size_bytes);
		c->mem.len = size;
	} else {
		digest_forget(c, size);
		if (ftruncate(c->fd, (off_t)size))
			return -errno;
		recount_disk(c);
	}
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
	if (off < end)
		memset(c->mem.data + off, 0, end - off);
	return 0;
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
	if (mode & (punch | zero))
		zero_memory(c, off, len);
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
