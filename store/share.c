/* SPDX-License-Identifier: Apache-2.0 */
#include "store/share.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "store/content.h"

#define DIGEST_STEP_BYTES (1024 * 1024)

struct holder {
	uint64_t ino;
	int fd;
};

struct share {
	struct buf parts; /* of struct share_part; `holder` is an index of `holders` */
	size_t n_parts, n_holders;
	struct holder holders[SHARE_HOLDERS_MAX];
};

int share_load(struct store *st, uint64_t ino, struct share_row *ret_row)
{
	CLEANUP_BUF struct buf raw = BUF_INIT;
	struct key key = key_share(ino);
	int r = backend_get(st->be, TABLE_SHARE, key_slice(&key), &raw);

	if (!r)
		r = share_decode(buf_slice(&raw), ret_row);
	return r == -EUCLEAN ? store_damaged(st, "the row of shared contents", ino) : r;
}

void share_close(struct share *share)
{
	if (!share)
		return;
	for (size_t i = 0; i < share->n_holders; i++)
		close(share->holders[i].fd);
	buf_deinit(&share->parts);
	free(share);
}

static int holder_index(struct store *st, struct share *share, uint64_t ino,
			uint64_t *ret_index, const char **ret_why)
{
	size_t i = 0;
	int r;

	while (i < share->n_holders && share->holders[i].ino != ino)
		i++;
	if (i == share->n_holders) {
		assert(i < SHARE_HOLDERS_MAX); /* share_decode() has seen to that */
		r = backend_extent_open(st->be, ino, &share->holders[i].fd);
		if (r == -ENOENT) {
			*ret_why = "the extent file of a tree that has a part of it is "
				   "missing";
			return -EUCLEAN;
		}
		if (r)
			return r;
		share->holders[i].ino = ino;
		share->n_holders++;
	}
	*ret_index = i;
	return 0;
}

static int add_parts(struct store *st, struct share *share, const struct share_row *row,
		     const char **ret_why)
{
	for (size_t i = 0; i < share_parts(row); i++) {
		struct share_part part = share_part_at(&row->parts, i);
		int r = holder_index(st, share, part.holder, &part.holder, ret_why);

		if (!r)
			r = buf_append(&share->parts, &part, sizeof(part));
		if (r)
			return r;
		share->n_parts++;
	}
	return 0;
}

int share_open(struct store *st, uint64_t ino, struct share **ret_share,
	       const char **ret_why)
{
	CLEANUP_SHARE_ROW struct share_row row = SHARE_ROW_INIT;
	struct share *share;
	int r;

	r = share_load(st, ino, &row);
	if (r == -EUCLEAN)
		*ret_why = "the row of its shared contents is damaged";
	if (r && r != -ENOENT)
		return r;
	if (r == -ENOENT || !share_parts(&row)) {
		*ret_share = NULL;
		return 0;
	}
	share = calloc(1, sizeof(*share));
	if (!share)
		return -ENOMEM;
	r = add_parts(st, share, &row, ret_why);
	if (r) {
		share_close(share);
		return r;
	}
	*ret_share = share;
	return 0;
}

/* Where the bytes at `off` are, and how many of them are there. */
static void locate(const struct share *share, size_t i, int fd, uint64_t off, size_t *len,
		   int *ret_fd, uint64_t *ret_off)
{
	struct share_part part;
	uint64_t until = UINT64_MAX;

	*ret_fd = fd;
	*ret_off = off;
	if (i < share->n_parts) {
		part = share_part_at(&share->parts, i);
		until = part.off;
		if (off >= part.off) {
			until = part.off + part.len;
			*ret_fd = share->holders[part.holder].fd;
			*ret_off = part.holder_off + (off - part.off);
		}
	}
	if (until - off < *len)
		*len = (size_t)(until - off);
}

int share_read(const struct share *share, int fd, void *data, size_t len, uint64_t off,
	       size_t *ret_len)
{
	size_t done = 0;

	if (!share)
		return file_read(fd, data, len, off, ret_len);
	while (done < len) {
		size_t want = len - done, n;
		uint64_t from;
		int at_fd, r;

		locate(share, share_part_after(&share->parts, off + done), fd, off + done,
		       &want, &at_fd, &from);
		r = file_read(at_fd, (uint8_t *)data + done, want, from, &n);
		if (r)
			return r;
		done += n;
		if (n < want)
			break;
	}
	*ret_len = done;
	return 0;
}

int share_digest(const struct share *share, int fd, uint64_t size_bytes, struct digest *d)
{
	uint8_t *data = malloc(DIGEST_STEP_BYTES);
	int r = data ? 0 : -ENOMEM;

	while (!r && d->len < size_bytes) {
		uint64_t left = size_bytes - d->len;
		size_t want = left < DIGEST_STEP_BYTES ? (size_t)left : DIGEST_STEP_BYTES;
		size_t n;

		r = share_read(share, fd, data, want, d->len, &n);
		if (!r && n < want)
			r = -EUCLEAN;
		if (!r)
			r = digest_update(d, data, n);
	}
	free(data);
	return r;
}
