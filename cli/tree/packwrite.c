/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/tree/packwrite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "cli/tree/beneath.h"
#include "cli/tree/packstream.h"
#include "cli/tree/packwrite_parts.h"
#include "store/util/htab.h"
#include "store/util/text.h"

/* A file up to this size is read into the block as a whole, then looked for. */
#define SMALL_BYTES (PACKSTREAM_BLOCK_BYTES / 2)
#define PART_BYTES ((size_t)256 * 1024)

/* A content that is in the pack. */
struct content {
	struct hlink by_hash, by_size;
	uint8_t hash[PACK_HASH_BYTES];
	uint64_t off, size_bytes;
	/* Where it was read, to be compared; NULL: it cannot be any more. */
	int dirfd;
	const struct tree_item *item;
};

struct packwrite {
	struct packstream *out;
	struct pack_maker *maker;
	struct htab by_hash; /* contents, owned */
	struct htab by_size; /* the same: large ones only */
	struct buf path;
	uint64_t done_bytes;
};

/* A file that is being added, and what is known of it. */
struct source {
	int fd;
	struct stat st;
	int dirfd;
	const struct tree_item *item; /* NULL: it has no name to find it by again */
	const char *name;	      /* for messages */
	struct filehash *fh;	      /* or NULL */
};

int packwrite_no_memory(struct errmsg *err)
{
	return err_set(err, ENOMEM, "out of memory");
}

int packwrite_fail(struct errmsg *err, const char *name, int errnum, const char *what)
{
	char quoted[TEXT_QUOTE_MAX];

	return err_set(err, errnum, "%s: %s", text_quote(quoted, name, strlen(name)),
		       what);
}

int packwrite_fail_changed(struct errmsg *err, const char *name)
{
	return packwrite_fail(err, name, EAGAIN, "it changed while it was being read");
}

static int fail_writing(struct errmsg *err, int r)
{
	return err_set(err, -r, "writing the tree: %s", strerror(-r));
}

int64_t packwrite_mtime_ns(const struct stat *st)
{
	return st->st_mtim.tv_sec * INT64_C(1000000000) + st->st_mtim.tv_nsec;
}

static uint64_t hash_key(const uint8_t hash[PACK_HASH_BYTES])
{
	uint64_t key;

	memcpy(&key, hash, sizeof(key));
	return key;
}

void packwrite_digest(XXH128_hash_t h, uint8_t ret_hash[PACK_HASH_BYTES])
{
	XXH128_canonical_t canonical;

	XXH128_canonicalFromHash(&canonical, h);
	memcpy(ret_hash, canonical.digest, PACK_HASH_BYTES);
}

int packwrite_new(int fd, struct packwrite **ret_writer)
{
	struct packwrite *w = calloc(1, sizeof(*w));

	if (!w || pack_maker_new(&w->maker) || packstream_new(fd, &w->out)) {
		packwrite_free(w);
		return -ENOMEM;
	}
	*ret_writer = w;
	return 0;
}

void packwrite_free(struct packwrite *w)
{
	if (!w)
		return;
	packstream_free(w->out);
	pack_maker_free(w->maker);
	for (struct hwalk all = htab_walk(&w->by_hash); all.link; hwalk_next(&all))
		free(CONTAINER_OF(all.link, struct content, by_hash));
	htab_deinit(&w->by_hash);
	htab_deinit(&w->by_size);
	buf_deinit(&w->path);
	free(w);
}

/* ---- the index -------------------------------------------------------------------- */

int packwrite_add(struct pack_maker *m, const struct pack_item *item, struct errmsg *err)
{
	int r = pack_maker_add(m, item);

	switch (r) {
	case 0:
		return 0;
	case -ENOMEM:
		return packwrite_no_memory(err);
	case -EINVAL:
		return packwrite_fail(
		    err, item->path, EINVAL,
		    "no tree can hold this name (.memofs, . and .. are taken)");
	case -ENAMETOOLONG:
		return packwrite_fail(err, item->path, ENAMETOOLONG,
				      "the name, or a symlink's target, is too long");
	case -E2BIG:
		return packwrite_fail(
		    err, item->path, E2BIG,
		    "there are too many files for one tree; save parts of it");
	default:
		return packwrite_fail(err, item->path, -r, strerror(-r));
	}
}

int packwrite_join(struct buf *b, const char *prefix, const char *path)
{
	buf_clear(b);
	if ((*prefix &&
	     (buf_append(b, prefix, strlen(prefix)) || buf_append(b, "/", 1))) ||
	    buf_append(b, path, strlen(path) + 1))
		return -ENOMEM;
	return 0;
}

/* A directory or symlink. */
static int add_plain(struct pack_maker *m, const char *path, const struct tree_item *item,
		     struct errmsg *err)
{
	struct pack_item it = {
	    .path = path,
	    .type = item->target ? PACK_LINK : PACK_DIR,
	    .mode = item->target ? 0777 : item->st.st_mode & 0777,
	    .mtime_ns = packwrite_mtime_ns(&item->st),
	    .target = item->target,
	};

	return packwrite_add(m, &it, err);
}

/* ---- contents that are there already ------------------------------------------------
 */

static struct content *find(struct packwrite *w, const uint8_t hash[PACK_HASH_BYTES],
			    uint64_t size_bytes)
{
	struct hlink *l = htab_first(&w->by_hash, hash_key(hash));

	for (; l; l = htab_next(l)) {
		struct content *c = CONTAINER_OF(l, struct content, by_hash);

		if (c->size_bytes == size_bytes &&
		    !memcmp(c->hash, hash, PACK_HASH_BYTES))
			return c;
	}
	return NULL;
}

static struct content *
new_content(struct packwrite *w, const uint8_t hash[PACK_HASH_BYTES], uint64_t size_bytes)
{
	struct content *c = calloc(1, sizeof(*c));

	if (!c || htab_add(&w->by_hash, &c->by_hash, hash_key(hash))) {
		free(c);
		return NULL;
	}
	memcpy(c->hash, hash, PACK_HASH_BYTES);
	c->size_bytes = size_bytes;
	if (size_bytes > SMALL_BYTES &&
	    htab_add(&w->by_size, &c->by_size, hash_u64(size_bytes)))
		return NULL;
	return c;
}

/*
 * What is at `off` stands for equal ones to come; also instead of one with this hash
 * that has other bytes, or cannot be compared.
 */
static int keep_content(struct packwrite *w, const struct source *src,
			const uint8_t hash[PACK_HASH_BYTES], uint64_t size_bytes,
			uint64_t off)
{
	struct content *c = find(w, hash, size_bytes);

	if (!c)
		c = new_content(w, hash, size_bytes);
	if (!c)
		return -ENOMEM;
	c->off = off;
	c->dirfd = src ? src->dirfd : -1;
	c->item = src ? src->item : NULL;
	return 0;
}

/* As many as there are, up to `len`. */
static ssize_t read_at(int fd, void *data, size_t len, uint64_t off)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n =
		    pread(fd, (uint8_t *)data + done, len - done, (off_t)(off + done));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		done += (size_t)n;
	}
	return (ssize_t)done;
}

/* The file that a content was read from, if it is what it was; else -1. */
static int open_again(const struct content *c)
{
	struct stat st;
	int fd;

	if (!c->item)
		return -1;
	fd = beneath_open(c->dirfd, c->item->path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
	if (fd >= 0 && (fstat(fd, &st) || !filehash_same_file(&st, &c->item->st))) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/* Does `c` have these bytes? No is also said where it cannot be told. */
static bool same_bytes(struct packwrite *w, const struct content *c, const uint8_t *bytes)
{
	const uint8_t *there = packstream_peek(w->out, c->off, c->size_bytes);
	uint8_t part[16 * 1024];
	bool same = true;
	int fd;

	if (there)
		return memcmp(there, bytes, c->size_bytes) == 0;
	fd = open_again(c);
	if (fd < 0)
		return false;
	for (uint64_t off = 0; same && off < c->size_bytes; off += sizeof(part)) {
		size_t n = c->size_bytes - off < sizeof(part) ? c->size_bytes - off
							      : sizeof(part);

		same = read_at(fd, part, n, off) == (ssize_t)n &&
		       memcmp(part, bytes + off, n) == 0;
	}
	close(fd);
	return same;
}

/* The same for an open file of that size. */
static bool same_file_bytes(const struct content *c, int fd)
{
	int other = open_again(c);
	uint8_t *a = malloc(2 * PART_BYTES);
	bool same = a && other >= 0;

	for (uint64_t off = 0; same && off < c->size_bytes; off += PART_BYTES) {
		ssize_t n = read_at(fd, a, PART_BYTES, off);

		same = n > 0 && read_at(other, a + PART_BYTES, PART_BYTES, off) == n &&
		       memcmp(a, a + PART_BYTES, (size_t)n) == 0;
	}
	free(a);
	if (other >= 0)
		close(other);
	return same;
}

/* ---- files ----------------------------------------------------------------------------
 */

static int check_unchanged(const struct source *src, struct errmsg *err)
{
	struct stat after;

	if (fstat(src->fd, &after))
		return packwrite_fail(err, src->name, errno, strerror(errno));
	return filehash_same_file(&src->st, &after)
		   ? 0
		   : packwrite_fail_changed(err, src->name);
}

static int read_part(const struct source *src, void *data, size_t len, uint64_t off,
		     struct errmsg *err)
{
	ssize_t n = read_at(src->fd, data, len, off);
	/* It may be something else by now, which cannot be read. */
	int r = n < 0 ? check_unchanged(src, err) : 0;

	if (r)
		return r;
	if (n < 0)
		return packwrite_fail(err, src->name, (int)-n, strerror((int)-n));
	return (size_t)n == len ? 0 : packwrite_fail_changed(err, src->name);
}

static int add_small(struct packwrite *w, const struct source *src,
		     uint8_t ret_hash[PACK_HASH_BYTES], uint64_t *ret_off,
		     struct errmsg *err)
{
	size_t size = (size_t)src->st.st_size;
	const struct content *c;
	uint8_t *room;
	int r = packstream_room(w->out, size, &room);

	if (r)
		return fail_writing(err, r);
	r = read_part(src, room, size, 0, err);
	if (!r)
		r = check_unchanged(src, err);
	if (r)
		return r;
	packwrite_digest(XXH3_128bits(room, size), ret_hash);
	c = find(w, ret_hash, size);
	if (c && same_bytes(w, c, room)) {
		*ret_off = c->off;
		return 0;
	}
	*ret_off = packstream_off(w->out);
	packstream_advance(w->out, size);
	return keep_content(w, src, ret_hash, size, *ret_off) ? packwrite_no_memory(err)
							      : 0;
}

/* To the end of the pack, piece by piece. */
static int copy_large(struct packwrite *w, const struct source *src, XXH3_state_t *state,
		      struct errmsg *err)
{
	uint64_t size = (uint64_t)src->st.st_size;

	for (uint64_t off = 0; off < size;) {
		size_t n = size - off < PART_BYTES ? size - off : PART_BYTES;
		uint8_t *room;
		int r = packstream_room(w->out, n, &room);

		if (r)
			return fail_writing(err, r);
		r = read_part(src, room, n, off, err);
		if (r)
			return r;
		XXH3_128bits_update(state, room, n);
		packstream_advance(w->out, n);
		off += n;
	}
	return check_unchanged(src, err);
}

/*
 * Is it in the pack? Only where another is as large it is read for that. Its hash is
 * set then. -ENOENT: it is not.
 */
static int find_large(struct packwrite *w, const struct source *src,
		      uint8_t ret_hash[PACK_HASH_BYTES], uint64_t *ret_off)
{
	uint64_t size = (uint64_t)src->st.st_size;
	const struct content *c;

	if (!htab_first(&w->by_size, hash_u64(size)) || !src->fh)
		return -ENOENT;
	if (filehash_get(src->fh, src->fd, &src->st, ret_hash))
		return -ENOENT;
	c = find(w, ret_hash, size);
	if (!c || !same_file_bytes(c, src->fd))
		return -ENOENT;
	*ret_off = c->off;
	return 0;
}

static int add_large(struct packwrite *w, const struct source *src,
		     uint8_t ret_hash[PACK_HASH_BYTES], uint64_t *ret_off,
		     struct errmsg *err)
{
	XXH3_state_t *state;
	int r;

	if (find_large(w, src, ret_hash, ret_off) == 0)
		return check_unchanged(src, err);
	state = XXH3_createState();
	if (!state)
		return packwrite_no_memory(err);
	XXH3_128bits_reset(state);
	*ret_off = packstream_off(w->out);
	r = copy_large(w, src, state, err);
	if (!r)
		packwrite_digest(XXH3_128bits_digest(state), ret_hash);
	XXH3_freeState(state);
	if (r)
		return r;
	r = keep_content(w, src, ret_hash, (uint64_t)src->st.st_size, *ret_off);
	return r ? packwrite_no_memory(err) : 0;
}

static int add_file(struct packwrite *w, const char *path, mode_t mode, int64_t mtime_ns,
		    const struct source *src, struct errmsg *err)
{
	uint8_t hash[PACK_HASH_BYTES];
	struct pack_item it = {
	    .path = path,
	    .type = PACK_FILE,
	    .mode = mode & 0777,
	    .mtime_ns = mtime_ns,
	    .size_bytes = (uint64_t)src->st.st_size,
	    .hash = hash,
	};
	int r = it.size_bytes <= SMALL_BYTES ? add_small(w, src, hash, &it.off, err)
					     : add_large(w, src, hash, &it.off, err);

	if (r)
		return r;
	if (src->fh)
		filehash_learn(src->fh, &src->st, hash);
	w->done_bytes += it.size_bytes;
	return packwrite_add(w->maker, &it, err);
}

int packwrite_open_item(int dirfd, const struct tree_item *item, struct errmsg *err)
{
	/* Should a fifo have taken its place, nobody waits for that. */
	int fd = beneath_open(dirfd, item->path, O_RDONLY | O_NONBLOCK | O_NOCTTY);

	if (fd == -ELOOP || fd == -ENOTDIR)
		return packwrite_fail_changed(err, item->path);
	return fd < 0 ? packwrite_fail(err, item->path, -fd, strerror(-fd)) : fd;
}

int packwrite_item(struct packwrite *w, int dirfd, const char *prefix,
		   const struct tree_item *item, struct filehash *fh, struct errmsg *err)
{
	struct source src = {
	    .st = item->st,
	    .dirfd = dirfd,
	    .item = item,
	    .name = item->path,
	    .fh = fh,
	};
	const char *path;
	int r;

	if (packwrite_join(&w->path, prefix, item->path))
		return packwrite_no_memory(err);
	path = (const char *)w->path.data;
	if (!S_ISREG(item->st.st_mode))
		return add_plain(w->maker, path, item, err);
	src.fd = packwrite_open_item(dirfd, item, err);
	if (src.fd < 0)
		return src.fd;
	r = add_file(w, path, item->st.st_mode, packwrite_mtime_ns(&item->st), &src, err);
	close(src.fd);
	return r;
}

int packwrite_fd(struct packwrite *w, const char *path, mode_t mode, int64_t mtime_ns,
		 int fd, struct errmsg *err)
{
	struct source src = {.fd = fd, .dirfd = -1, .name = path};

	if (fstat(fd, &src.st))
		return packwrite_fail(err, path, errno, strerror(errno));
	return add_file(w, path, mode, mtime_ns, &src, err);
}

int packwrite_bytes(struct packwrite *w, const char *path, mode_t mode, int64_t mtime_ns,
		    struct slice bytes, struct errmsg *err)
{
	uint8_t hash[PACK_HASH_BYTES];
	struct pack_item it = {
	    .path = path,
	    .type = PACK_FILE,
	    .mode = mode & 0777,
	    .mtime_ns = mtime_ns,
	    .size_bytes = bytes.len,
	    .off = packstream_off(w->out),
	    .hash = hash,
	};
	const struct content *c;
	int r = 0;

	if (!bytes.len)
		bytes.data = "";
	packwrite_digest(XXH3_128bits(bytes.data, bytes.len), hash);
	c = find(w, hash, bytes.len);
	if (c && same_bytes(w, c, bytes.data)) {
		it.off = c->off;
	} else {
		r = packstream_put(w->out, bytes.data, bytes.len);
		if (r)
			return fail_writing(err, r);
		r = keep_content(w, NULL, hash, bytes.len, it.off);
	}
	w->done_bytes += bytes.len;
	return r ? packwrite_no_memory(err) : packwrite_add(w->maker, &it, err);
}

int packwrite_dir(struct packwrite *w, const char *path, mode_t mode, int64_t mtime_ns,
		  struct errmsg *err)
{
	struct pack_item it = {
	    .path = path,
	    .type = PACK_DIR,
	    .mode = mode & 0777,
	    .mtime_ns = mtime_ns,
	};

	return packwrite_add(w->maker, &it, err);
}

uint64_t packwrite_done_bytes(const struct packwrite *w)
{
	return w->done_bytes;
}

/* ---- the end
 * --------------------------------------------------------------------------- */

int packwrite_index(struct pack_maker *m, uint64_t contents_bytes, struct buf *ret_raw,
		    uint8_t ret_tree_hash[PACK_HASH_BYTES], struct errmsg *err)
{
	struct pack_trailer t;
	size_t before = ret_raw->len;
	int r = pack_maker_finish(m, contents_bytes, ret_raw);

	if (r)
		return r == -ENOMEM ? packwrite_no_memory(err)
				    : err_set(err, -r, "%s", strerror(-r));
	r = pack_trailer_parse(ret_raw->data + ret_raw->len - PACK_TRAILER_BYTES,
			       contents_bytes + ret_raw->len - before, &t, err);
	if (!r && ret_tree_hash)
		memcpy(ret_tree_hash, t.tree_hash, PACK_HASH_BYTES);
	return r;
}

int packwrite_finish(struct packwrite *w, struct slice meta,
		     uint8_t ret_tree_hash[PACK_HASH_BYTES], struct errmsg *err)
{
	CLEANUP_BUF struct buf raw = BUF_INIT;
	int r = pack_maker_meta(w->maker, meta);

	if (r == -E2BIG)
		return err_set(err, E2BIG, "the patterns together are too long");
	if (r)
		return packwrite_no_memory(err);
	r = packwrite_index(w->maker, packstream_off(w->out), &raw, ret_tree_hash, err);
	if (r)
		return r;
	r = packstream_put(w->out, raw.data, raw.len);
	if (!r)
		r = packstream_flush(w->out);
	return r ? fail_writing(err, r) : 0;
}
