/* SPDX-License-Identifier: Apache-2.0 */
#include "store/value.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "store/content.h"
#include "store/digest.h"
#include "store/share.h"
#include "store/stage.h"
#include "store/util/log.h"

static const char mismatch[] = "its extent file does not match its checksum";

void batch_put_value(struct batch *b, const struct row_core *core, struct slice small,
		     struct slice sums)
{
	uint32_t chunk = 0;
	struct slice row;
	size_t pos = 0;

	if (core->layout == LAYOUT_SMALL) {
		struct key key = key_ino(core->ino);

		batch_put(b, TABLE_SMALL, key_slice(&key), small);
	}
	if (core->layout != LAYOUT_EXTENT)
		return;
	while (sums_next(sums, &pos, &row)) {
		struct key key = key_sums(core->ino, chunk++);

		batch_put(b, TABLE_SUMS, key_slice(&key), row);
	}
}

void batch_del_value(struct batch *b, uint64_t ino, enum layout layout,
		     uint64_t size_bytes)
{
	struct key key = key_ino(ino);

	batch_del(b, TABLE_HEAT, key_slice(&key));
	if (layout == LAYOUT_SMALL)
		batch_del(b, TABLE_SMALL, key_slice(&key));
	if (layout != LAYOUT_EXTENT)
		return;
	batch_del(b, TABLE_UNSYNCED, key_slice(&key));
	for (uint64_t chunk = 0; chunk < sums_chunks(size_bytes); chunk++) {
		struct key sums = key_sums(ino, (uint32_t)chunk);

		batch_del(b, TABLE_SUMS, key_slice(&sums));
	}
}

void batch_del_any_value(struct batch *b, uint64_t ino)
{
	struct key sums = key_sums(ino, 0), end = key_sums(ino + 1, 0);

	batch_del_value(b, ino, LAYOUT_SMALL, 0);
	batch_del_value(b, ino, LAYOUT_EXTENT, 0);
	batch_del_range(b, TABLE_SUMS, key_slice(&sums), key_slice(&end));
}

/* What the database answers for a row that must be there. */
static int row_missing(int r, const char *missing, const char *damaged,
		       const char **ret_why)
{
	if (r == -ENOENT)
		*ret_why = missing;
	else if (r == -EUCLEAN)
		*ret_why = damaged;
	else
		return r;
	return -EUCLEAN;
}

int value_load_small(struct store *st, const struct inode_row *row, struct buf *ret_data,
		     const char **ret_why)
{
	struct key key = key_ino(row->core.ino);
	uint8_t hash[DIGEST_HASH_BYTES];
	int r;

	r = backend_get(st->be, TABLE_SMALL, key_slice(&key), ret_data);
	if (r)
		return row_missing(r, "its content is missing",
				   "the row of its content is damaged", ret_why);
	digest_of(buf_slice(ret_data), hash);
	if (ret_data->len == row->core.size_bytes &&
	    (!row->has_hash || !memcmp(hash, row->hash, sizeof(hash))))
		return 0;
	*ret_why = "its content does not match its checksum";
	return -EUCLEAN;
}

int value_load_sums(struct store *st, const struct row_core *core, uint64_t chunk,
		    struct buf *ret_row, const char **ret_why)
{
	struct key key = key_sums(core->ino, (uint32_t)chunk);
	int r = backend_get(st->be, TABLE_SUMS, key_slice(&key), ret_row);

	if (r)
		return row_missing(r, "its checksums are missing",
				   "the row of its checksums is damaged", ret_why);
	if (sums_row_valid(buf_slice(ret_row),
			   sums_chunk_blocks(core->size_bytes, chunk)))
		return 0;
	*ret_why = "its checksums are incomplete";
	return -EUCLEAN;
}

/* Are these the rows that are stored? */
static int compare_sums(struct store *st, const struct row_core *core, struct slice sums,
			const char **ret_why)
{
	CLEANUP_BUF struct buf stored = BUF_INIT;
	uint64_t chunk = 0;
	struct slice row;
	size_t pos = 0;

	while (sums_next(sums, &pos, &row)) {
		int r = value_load_sums(st, core, chunk++, &stored, ret_why);

		if (r)
			return r;
		if (slice_cmp(row, buf_slice(&stored))) {
			*ret_why = mismatch;
			return -EUCLEAN;
		}
	}
	return 0;
}

/* What a tree reads from others counts, wherever it is. */
static int digest_tree(struct store *st, const struct row_core *core, int fd,
		       struct digest *d, const char **ret_why)
{
	struct share *share;
	int r = share_open(st, core->ino, &share, ret_why);

	if (r)
		return r;
	r = share ? share_digest(share, fd, core->size_bytes, d)
		  : content_digest_file(fd, core->size_bytes, d);
	share_close(share);
	return r;
}

static int verify_extent(struct store *st, const struct inode_row *row,
			 const char **ret_why)
{
	CLEANUP_DIGEST struct digest d = DIGEST_INIT;
	CLEANUP_BUF struct buf sums = BUF_INIT;
	uint8_t hash[DIGEST_HASH_BYTES];
	int fd, r;

	r = backend_extent_open(st->be, row->core.ino, &fd);
	if (r) {
		*ret_why = "its extent file is missing";
		return r == -ENOENT ? -EUCLEAN : r;
	}
	*ret_why = "its extent file is short or cannot be read";
	if (row->core.sealed)
		r = digest_tree(st, &row->core, fd, &d, ret_why);
	else
		r = content_digest_file(fd, row->core.size_bytes, &d);
	close(fd);
	if (r == -EUCLEAN || r == -EIO)
		return -EUCLEAN;
	if (!r)
		r = digest_sums(&d, &sums);
	if (!r)
		r = compare_sums(st, &row->core, buf_slice(&sums), ret_why);
	/* There may be more holes now: some file systems make them of zeros. */
	if (r || !row->has_hash || !digest_value(&d, hash) ||
	    !memcmp(hash, row->hash, sizeof(hash)))
		return r;
	*ret_why = mismatch;
	return -EUCLEAN;
}

int value_verify(struct store *st, const struct inode_row *row, const char **ret_why)
{
	CLEANUP_BUF struct buf data = BUF_INIT;

	switch (row->core.layout) {
	case LAYOUT_SMALL:
		return value_load_small(st, row, &data, ret_why);
	case LAYOUT_EXTENT:
		return verify_extent(st, row, ret_why);
	default:
		return 0;
	}
}

/* ---- dropping what is bad ---- */

/* Put "name" before what is there, with a slash between. */
static int prepend(struct buf *path, struct slice name)
{
	CLEANUP_BUF struct buf joined = BUF_INIT;

	if (buf_append(&joined, "/", 1) || buf_append(&joined, name.data, name.len) ||
	    buf_append(&joined, path->data, path->len))
		return -ENOMEM;
	return buf_set(path, joined.data, joined.len);
}

static struct slice shown_name(struct slice name)
{
	return name_is_stage(name) ? slice_str(STAGE_NAME "/stage") : name;
}

void value_path(struct store *st, uint64_t ino, struct buf *ret_path)
{
	CLEANUP_BUF struct buf name = BUF_INIT;
	CLEANUP_BUF struct buf version = BUF_INIT;
	uint64_t branch;

	while (ino != STORE_ROOT_INO && !store_where(st, ino, &branch, &name)) {
		if (prepend(ret_path, shown_name(buf_slice(&name))) ||
		    store_branch_owner(st, branch, &ino, &version))
			return;
		if (version.len && (prepend(ret_path, buf_slice(&version)) ||
				    prepend(ret_path, slice(".memofs/versions", 16))))
			return;
	}
}

int value_condemn(struct store *st, uint64_t ino, const char *why)
{
	CLEANUP_BUF struct buf path = BUF_INIT;
	int r;

	value_path(st, ino, &path);
	if (!path.len)
		(void)buf_append(&path, "a removed entry", 15);
	r = name_drop_ino(st, ino);
	if (r)
		log_error("%s: %.*s (inode %llu): %s; it could not be dropped: %s",
			  st->path, (int)path.len, (const char *)path.data,
			  (unsigned long long)ino, why, strerror(-r));
	else
		log_warning("%s: %.*s (inode %llu): %s; the entry was dropped", st->path,
			    (int)path.len, (const char *)path.data,
			    (unsigned long long)ino, why);
	return -EUCLEAN;
}
