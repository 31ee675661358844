/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Contents against their checksums. value_verify() does the same for a start after a
 * power loss; here it may take hours beside everything else, so it tells of every
 * step, can be slowed and ended, and believes nothing that it has seen once.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/check_parts.h"
#include "store/content.h"
#include "store/digest.h"
#include "store/gen.h"
#include "store/share.h"
#include "store/util/pack.h"
#include "store/value.h"

#define STEP_BYTES ((size_t)1024 * 1024)

static const char mismatch[] = "its extent file does not match its checksum";

static int pace_read(const struct check_pace *pace, uint64_t bytes)
{
	return pace ? pace->read(pace->arg, bytes) : 0;
}

/* An extent being read: its own file, and those of others that it reads from. */
struct source {
	const struct inode_row *row;
	struct share *share;
	int fd;
};

/* ---- bytes ---- */

/* A hole is its zeros, which need not be read; where others have it, it is none. */
static int skip_hole(const struct source *s, struct digest *d)
{
	uint64_t size = s->row->core.size_bytes;
	off_t data;

	if (s->share)
		return 0;
	data = lseek(s->fd, (off_t)d->len, SEEK_DATA);
	if (data < 0)
		data = errno == ENXIO ? (off_t)size : (off_t)d->len;
	if ((uint64_t)data > size)
		data = (off_t)size;
	return (uint64_t)data > d->len ? digest_update_zeros(d, (uint64_t)data - d->len)
				       : 0;
}

static int digest_step(const struct source *s, uint8_t *data, struct digest *d,
		       const struct check_pace *pace)
{
	uint64_t before = d->len, left;
	size_t want, n = 0;
	int r = skip_hole(s, d);

	if (r)
		return r;
	left = s->row->core.size_bytes - d->len;
	want = left < STEP_BYTES ? (size_t)left : STEP_BYTES;
	r = share_read(s->share, s->fd, data, want, d->len, &n);
	if (!r && n < want)
		r = -EUCLEAN;
	if (!r && n)
		r = digest_update(d, data, n);
	return r ? r : pace_read(pace, d->len - before);
}

static int digest_source(const struct source *s, struct digest *d,
			 const struct check_pace *pace)
{
	uint8_t *data = malloc(STEP_BYTES);
	struct stat st;
	int r = data ? 0 : -ENOMEM;

	if (!r && fstat(s->fd, &st))
		r = -errno;
	if (!r && (uint64_t)st.st_size < s->row->core.size_bytes)
		r = -EUCLEAN;
	while (!r && d->len < s->row->core.size_bytes)
		r = digest_step(s, data, d, pace);
	free(data);
	return r == -EIO ? -EUCLEAN : r;
}

static int compare_sums(struct store *st, const struct row_core *core,
			const struct digest *d, const char **ret_why)
{
	CLEANUP_BUF struct buf sums = BUF_INIT;
	CLEANUP_BUF struct buf stored = BUF_INIT;
	uint64_t chunk = 0;
	struct slice row;
	size_t pos = 0;
	int r = digest_sums(d, &sums);

	while (!r && sums_next(buf_slice(&sums), &pos, &row)) {
		r = value_load_sums(st, core, chunk++, &stored, ret_why);
		if (!r && slice_cmp(row, buf_slice(&stored))) {
			*ret_why = mismatch;
			r = -EUCLEAN;
		}
	}
	return r;
}

static int compare_source(struct store *st, const struct source *s,
			  const struct check_pace *pace, const char **ret_why)
{
	CLEANUP_DIGEST struct digest d = DIGEST_INIT;
	uint8_t hash[DIGEST_HASH_BYTES];
	int r;

	*ret_why = "its extent file is short or cannot be read";
	r = digest_source(s, &d, pace);
	if (!r)
		r = compare_sums(st, &s->row->core, &d, ret_why);
	if (r || !s->row->has_hash || !digest_value(&d, hash))
		return r;
	if (!memcmp(hash, s->row->hash, sizeof(hash)))
		return 0;
	*ret_why = mismatch;
	return -EUCLEAN;
}

/* ---- the index of a tree ---- */

static int source_read(void *arg, void *data, size_t len, uint64_t off)
{
	const struct source *s = arg;
	size_t n = 0;
	int r = share_read(s->share, s->fd, data, len, off, &n);

	return !r && n < len ? -EUCLEAN : r;
}

/*
 * Its contents need no look of their own: what was published was compared with the
 * hashes of the index, and is what it was by the sums.
 */
static int check_index(const struct source *s, const char **ret_why)
{
	const struct pack_source src = {
	    .read = source_read, .arg = (void *)s, .size_bytes = s->row->core.size_bytes};
	struct pack pack = PACK_INIT;
	struct errmsg err;
	int r = pack_read(&src, &pack, NULL, &err);

	pack_deinit(&pack);
	if (r != -EBADMSG)
		return r;
	*ret_why = "the index of the tree is damaged";
	return -EUCLEAN;
}

/* ---- one value ---- */

static int compare_extent(struct store *st, const struct inode_row *row,
			  const struct check_pace *pace, const char **ret_why)
{
	struct source s = {.row = row};
	int r = backend_extent_open(st->be, row->core.ino, &s.fd);

	if (r) {
		*ret_why = "its extent file is missing";
		return r == -ENOENT ? -EUCLEAN : r;
	}
	if (row->core.sealed)
		r = share_open(st, row->core.ino, &s.share, ret_why);
	if (!r)
		r = compare_source(st, &s, pace, ret_why);
	if (!r && row->core.sealed)
		r = check_index(&s, ret_why);
	share_close(s.share);
	close(s.fd);
	return r;
}

int content_compare(struct store *st, const struct inode_row *row,
		    const struct check_pace *pace, const char **ret_why)
{
	CLEANUP_BUF struct buf data = BUF_INIT;
	int r;

	if (row->core.layout == LAYOUT_EXTENT)
		return compare_extent(st, row, pace, ret_why);
	if (row->core.layout != LAYOUT_SMALL)
		return 0;
	r = value_load_small(st, row, &data, ret_why);
	return r ? r : pace_read(pace, row->core.size_bytes);
}

static int compare_once(struct store *st, uint64_t ino, const struct check_pace *pace,
			const char **ret_why)
{
	CLEANUP_INODE struct inode in = INODE_INIT;
	int r = inode_load(st, ino, &in);

	if (r) /* a row that cannot be read is told elsewhere */
		return r == -ENOENT || r == -EUCLEAN ? 0 : r;
	return content_compare(st, &in.row, pace, ret_why);
}

/*
 * What lost its name while it was read has lost its checksums, too; and a tree that was
 * found to have something in common with others has got holes since. Both are settled
 * by a second look, which begins after that.
 */
int check_content(struct store *st, uint64_t ino, const struct check_pace *pace,
		  const char **ret_why)
{
	CLEANUP_INODE struct inode in = INODE_INIT;
	int r = compare_once(st, ino, pace, ret_why);

	if (r == -EUCLEAN)
		r = compare_once(st, ino, pace, ret_why);
	if (r != -EUCLEAN)
		return r;
	gen_distrust(st, ino);
	return inode_load(st, ino, &in) == -ENOENT ? 0 : -EUCLEAN;
}
