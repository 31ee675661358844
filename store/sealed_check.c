/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Is what was written a pack, and does each content have the hash that its index
 * says? Whoever reads a tree later, or compares two by their hashes, relies on it.
 *
 * Contents are looked at in the order in which they lie, so that the whole is read
 * once, in long reads. Two of them are the same run of bytes or have none in common:
 * else a pack of a few megabytes could make this read for days. Nor may more of it be
 * holes, which cost who writes them nothing, than is read in passing.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <xxhash.h>

#include "store/digest.h"
#include "store/sealed.h"
#include "store/staged.h"

#define WINDOW_BYTES ((size_t)1024 * 1024)
#define HOLES_MAX (4 * DIGEST_HOLES_MAX)

int staged_require_check(const struct store_staged *sg)
{
	bool current = sg->checked && sg->checked_writes == sg->writes;

	return sg->row.core.sealed && !current ? -EBADMSG : 0;
}

/* One content, by its place. */
struct run {
	uint64_t off, size_bytes;
	uint32_t i; /* of the entry */
};

static int by_place(const void *a, const void *b)
{
	const struct run *x = a, *y = b;

	if (x->off != y->off)
		return x->off < y->off ? -1 : 1;
	if (x->size_bytes != y->size_bytes)
		return x->size_bytes < y->size_bytes ? -1 : 1;
	return (x->i > y->i) - (x->i < y->i);
}

/* The runs of all files that are not empty, sorted. */
static int collect_runs(const struct pack *p, struct run **ret_runs, uint32_t *ret_count)
{
	struct run *runs = calloc(pack_entries(p), sizeof(*runs));
	uint32_t count = 0;

	if (!runs)
		return -ENOMEM;
	for (uint32_t i = 0; i < pack_entries(p); i++) {
		struct pack_entry e;

		pack_get(p, i, &e);
		if (e.type == PACK_FILE && e.size_bytes)
			runs[count++] = (struct run){e.off, e.size_bytes, i};
	}
	qsort(runs, count, sizeof(*runs), by_place);
	*ret_runs = runs;
	*ret_count = count;
	return 0;
}

struct checker {
	struct content *content;
	const struct pack *pack;
	struct errmsg *err;
	uint8_t *window; /* WINDOW_BYTES of the content, from window_off on */
	uint64_t window_off;
	size_t window_len;
};

/* Have `len` bytes at `off` in the window: at most all that fits there. */
static int fill_window(struct checker *c, uint64_t off, size_t len,
		       const uint8_t **ret_at)
{
	uint64_t left = c->pack->trailer.index_off - off;
	size_t want = left < WINDOW_BYTES ? (size_t)left : WINDOW_BYTES;
	int r = 0;

	if (off < c->window_off || off + len > c->window_off + c->window_len) {
		c->window_len = 0;
		r = content_read(c->content, c->window, want, off, &c->window_len);
		c->window_off = off;
	}
	if (!r && off + len > c->window_off + c->window_len)
		r = -EIO; /* somebody else cut the staged file */
	if (!r)
		*ret_at = c->window + (off - c->window_off);
	return r;
}

static int hash_long_run(struct checker *c, const struct run *run, XXH3_state_t *xxh)
{
	int r = 0;

	for (uint64_t done = 0; !r && done < run->size_bytes;) {
		uint64_t left = run->size_bytes - done;
		size_t len = left < WINDOW_BYTES ? (size_t)left : WINDOW_BYTES;
		const uint8_t *at;

		r = fill_window(c, run->off + done, len, &at);
		if (!r)
			XXH3_128bits_update(xxh, at, len);
		done += len;
	}
	return r;
}

static int hash_run(struct checker *c, const struct run *run,
		    uint8_t ret_hash[DIGEST_HASH_BYTES])
{
	XXH128_canonical_t canonical;
	XXH3_state_t *xxh;
	const uint8_t *at;
	int r;

	if (run->size_bytes <= WINDOW_BYTES) {
		r = fill_window(c, run->off, (size_t)run->size_bytes, &at);
		if (!r)
			digest_of(slice(at, (size_t)run->size_bytes), ret_hash);
		return r;
	}
	xxh = XXH3_createState();
	if (!xxh)
		return -ENOMEM;
	XXH3_128bits_reset(xxh);
	r = hash_long_run(c, run, xxh);
	XXH128_canonicalFromHash(&canonical, XXH3_128bits_digest(xxh));
	memcpy(ret_hash, canonical.digest, DIGEST_HASH_BYTES);
	XXH3_freeState(xxh);
	return r;
}

static int refuse(struct checker *c, uint32_t i, const char *what)
{
	CLEANUP_BUF struct buf path = BUF_INIT;

	if (pack_path(c->pack, i, &path))
		return -ENOMEM;
	return err_set(c->err, EBADMSG, "%.*s, entry %" PRIu32 " of the pack: %s",
		       (int)path.len, (const char *)path.data, i, what);
}

static int check_hash(struct checker *c, uint32_t i,
		      const uint8_t hash[DIGEST_HASH_BYTES])
{
	struct pack_entry e;

	pack_get(c->pack, i, &e);
	return memcmp(e.hash, hash, DIGEST_HASH_BYTES)
		   ? refuse(c, i, "its content has another hash than its index says")
		   : 0;
}

static int check_runs(struct checker *c, const struct run *runs, uint32_t count)
{
	uint8_t hash[DIGEST_HASH_BYTES];
	int r = 0;

	for (uint32_t k = 0; !r && k < count; k++) {
		const struct run *run = &runs[k], *last = k ? run - 1 : NULL;
		bool same =
		    last && last->off == run->off && last->size_bytes == run->size_bytes;

		if (last && !same && run->off - last->off < last->size_bytes)
			return refuse(c, run->i, "its content overlaps another's");
		if (!same)
			r = hash_run(c, run, hash);
		if (!r)
			r = check_hash(c, run->i, hash);
	}
	return r;
}

static int check_empty_files(struct checker *c)
{
	uint8_t hash[DIGEST_HASH_BYTES];
	int r = 0;

	digest_of(slice("", 0), hash);
	for (uint32_t i = 0; !r && i < pack_entries(c->pack); i++) {
		struct pack_entry e;

		pack_get(c->pack, i, &e);
		if (e.type == PACK_FILE && !e.size_bytes)
			r = check_hash(c, i, hash);
	}
	return r;
}

/* How many of the first `end` bytes are holes; where the disk does not say, none. */
static uint64_t count_holes(struct content *content, uint64_t end)
{
	uint64_t at = 0, holes = 0, data, hole;

	while (at < end) {
		int r = content_seek(content, at, SEEK_DATA, &data);

		if (r == -ENXIO || (!r && data > end))
			data = end;
		else if (r)
			break;
		holes += data - at;
		if (content_seek(content, data, SEEK_HOLE, &hole) || hole <= data)
			break;
		at = hole;
	}
	return holes;
}

static int check_holes(struct content *content, const struct pack *p, struct errmsg *err)
{
	if (count_holes(content, p->trailer.index_off) <= HOLES_MAX)
		return 0;
	return err_set(err, EBADMSG, "more than %llu GiB of the pack are holes",
		       (unsigned long long)(HOLES_MAX >> 30));
}

static int check_contents(struct content *content, const struct pack *p,
			  struct errmsg *err)
{
	struct checker c = {.content = content, .pack = p, .err = err};
	struct run *runs = NULL;
	uint32_t count;
	int r;

	c.window = malloc(WINDOW_BYTES);
	r = c.window ? collect_runs(p, &runs, &count) : -ENOMEM;
	if (!r)
		r = check_empty_files(&c);
	if (!r)
		r = check_runs(&c, runs, count);
	free(runs);
	free(c.window);
	return r;
}

static int read_exact(void *arg, void *data, size_t len, uint64_t off)
{
	size_t n;
	int r = content_read(arg, data, len, off, &n);

	return r ? r : n == len ? 0 : -EIO;
}

static int read_pack(struct content *content, struct pack *ret_pack, struct errmsg *err)
{
	const struct pack_source src = {
	    .read = read_exact, .arg = content, .size_bytes = content->size_bytes};

	return pack_read(&src, ret_pack, NULL, err);
}

static int check_locked(struct store_staged *sg, struct errmsg *err)
{
	struct pack pack = PACK_INIT;
	struct pack_entry root;
	int r;

	r = read_pack(&sg->content, &pack, err);
	if (!r)
		r = check_holes(&sg->content, &pack, err);
	if (!r)
		r = check_contents(&sg->content, &pack, err);
	if (!r) {
		pack_get(&pack, 0, &root);
		sg->root_mode = root.mode & 0777;
		sg->checked = true;
		sg->checked_writes = sg->writes;
	}
	pack_deinit(&pack);
	return r;
}

int store_staged_check(struct store_staged *sg, struct errmsg *err)
{
	CLEANUP_UNLOCK pthread_mutex_t *held = mutex_hold(&sg->lock);
	int r;

	if (sg->content.error)
		return err_set(err, -sg->content.error, "a write failed: %s",
			       strerror(-sg->content.error));
	if (!staged_content_changed(sg) || !staged_require_check(sg))
		return 0;
	r = check_locked(sg, err);
	if (r && r != -EBADMSG)
		return err_set(err, -r, "it cannot be checked: %s", strerror(-r));
	return r;
}
