/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/tree/stored.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/tree/packread.h"
#include "cli/tree/packwrite.h"

/* The trailer, if `meta` is before it. */
static bool read_end(int fd, struct slice meta, struct pack_trailer *ret_trailer)
{
	CLEANUP_BUF struct buf end = BUF_INIT;
	size_t len = meta.len + PACK_TRAILER_BYTES;
	struct stat st;

	if (fstat(fd, &st) || st.st_size < (off_t)len || buf_reserve(&end, len) ||
	    pread(fd, end.data, len, st.st_size - (off_t)len) != (ssize_t)len)
		return false;
	return pack_trailer_parse(end.data + meta.len, (uint64_t)st.st_size, ret_trailer,
				  NULL) == 0 &&
	       ret_trailer->meta_bytes == meta.len &&
	       (!meta.len || memcmp(end.data, meta.data, meta.len) == 0);
}

static int look(int fd, const struct tree_items *items, int dirfd, struct filehash *fh,
		uint8_t ret_hash[PACK_HASH_BYTES], struct errmsg *err)
{
	CLEANUP_PACKREAD struct packread stored = PACKREAD_INIT;

	if (packread_open(fd, &stored, NULL))
		return -ESTALE;
	return packwrite_look(items, dirfd, "", fh, &stored.pack, ret_hash, err);
}

int stored_same(int fd, const struct tree_items *items, int dirfd, struct slice meta,
		struct filehash *fh, bool *ret_same, struct errmsg *err)
{
	uint8_t hash[PACK_HASH_BYTES];
	struct pack_trailer trailer;
	int r;

	*ret_same = false;
	if (!read_end(fd, meta, &trailer))
		return 0;
	r = packwrite_foresee(items, "", fh, hash);
	if (r == -ENODATA)
		r = look(fd, items, dirfd, fh, hash, err);
	if (r == -ESTALE)
		return 0;
	if (r)
		return r;
	*ret_same = memcmp(hash, trailer.tree_hash, PACK_HASH_BYTES) == 0;
	return 0;
}
