/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/tree/packread.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "cli/message.h"

/* Read at once from the end: the whole of a small result, the index of most trees. */
#define TAIL_BYTES ((size_t)128 * 1024)

/* ---- reading ----------------------------------------------------------------- */

static int read_exactly(int fd, uint64_t off, void *to, size_t len)
{
	uint8_t *at = to;

	while (len) {
		ssize_t n = pread(fd, at, len, (off_t)off);

		if (n == 0)
			return -EBADMSG;
		if (n < 0 && errno != EINTR)
			return -errno;
		if (n > 0) {
			at += n;
			off += (uint64_t)n;
			len -= (size_t)n;
		}
	}
	return 0;
}

int packread_at(const struct packread *r, uint64_t off, void *ret_bytes, size_t len)
{
	if (!r->whole.len)
		return read_exactly(r->fd, off, ret_bytes, len);
	if (len)
		memcpy(ret_bytes, r->whole.data + off, len);
	return 0;
}

/* ---- opening ----------------------------------------------------------------- */

struct opening {
	int fd;
	struct errmsg *err;
};

static int cannot_read(struct errmsg *err, int r)
{
	if (r == -EBADMSG)
		return err_set(err, EBADMSG, "the tree is shorter than it should be");
	return err_set(err, -r, "the tree cannot be read: %s", strerror(-r));
}

static int read_source(void *arg, void *data, size_t len, uint64_t off)
{
	struct opening *o = arg;
	int r = read_exactly(o->fd, off, data, len);

	return r ? cannot_read(o->err, r) : 0;
}

int packread_open(int fd, struct packread *ret_reader, struct errmsg *err)
{
	struct opening opening = {.fd = fd, .err = err};
	struct pack_source src = {
	    .read = read_source, .arg = &opening, .tail_bytes = TAIL_BYTES};
	struct packread reader = {.fd = fd, .pack = PACK_INIT};
	CLEANUP_BUF struct buf tail = BUF_INIT;
	struct stat st;
	int r;

	if (fstat(fd, &st))
		return cannot_read(err, -errno);
	if (!S_ISREG(st.st_mode))
		return err_set(err, EBADMSG, "not a file, and so no pack");
	src.size_bytes = (uint64_t)st.st_size;
	r = pack_read(&src, &reader.pack, &tail, err);
	if (r)
		return r;
	if (tail.len == src.size_bytes) {
		reader.whole = tail;
		tail = BUF_INIT;
	}
	*ret_reader = reader;
	return 0;
}

void packread_deinit(struct packread *r)
{
	pack_deinit(&r->pack);
	buf_deinit(&r->whole);
	*r = PACKREAD_INIT;
}

/* ---- single files ------------------------------------------------------------ */

static bool has_hash(const void *bytes, size_t len, const uint8_t hash[PACK_HASH_BYTES])
{
	XXH128_canonical_t canonical;

	XXH128_canonicalFromHash(&canonical, XXH3_128bits(bytes, len));
	return memcmp(canonical.digest, hash, PACK_HASH_BYTES) == 0;
}

int packread_bytes(struct packread *r, const char *path, uint64_t max_bytes,
		   struct buf *ret_bytes)
{
	struct pack_entry e;
	uint32_t i;
	int error = pack_find(&r->pack, path, &i);

	if (error)
		return error;
	pack_get(&r->pack, i, &e);
	if (e.type != PACK_FILE)
		return -EISDIR;
	if (e.size_bytes > max_bytes || e.size_bytes > SIZE_MAX - ret_bytes->len)
		return -EFBIG;
	error = buf_reserve(ret_bytes, ret_bytes->len + (size_t)e.size_bytes);
	if (!error)
		error = packread_at(r, e.off, ret_bytes->data + ret_bytes->len,
				    (size_t)e.size_bytes);
	if (error)
		return error;
	if (!has_hash(ret_bytes->data + ret_bytes->len, (size_t)e.size_bytes, e.hash))
		return -EBADMSG;
	ret_bytes->len += (size_t)e.size_bytes;
	return 0;
}

/* ---- the tree ---------------------------------------------------------------- */

uint32_t packread_next(const struct pack *p, uint32_t root, uint32_t entry)
{
	struct pack_entry e, parent;

	pack_get(p, entry, &e);
	if (e.type == PACK_DIR && e.children)
		return e.first_child;
	while (entry != root) {
		pack_get(p, entry, &e);
		pack_get(p, e.parent, &parent);
		if (entry + 1 < parent.first_child + parent.children)
			return entry + 1;
		entry = e.parent;
	}
	return 0;
}
