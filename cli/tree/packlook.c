/* SPDX-License-Identifier: Apache-2.0 */
/* What a pack would be, without writing it: is the same stored already? */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#include "cli/tree/packwrite.h"
#include "cli/tree/packwrite_parts.h"

/* Another one when the digest, or what the tree hash is of, changes. */
#define DIGEST_KIND "memofs tree 1"

struct outlook {
	int dirfd; /* or -1: nothing is to be read */
	struct filehash *fh;
	const struct pack *stored; /* or NULL */
	struct pack_maker *maker;
	struct buf path;
	uint64_t largest_bytes;
};

/* Is it in the stored tree, as far as can be told without reading? */
static int check_stored(const struct outlook *o, const struct pack_item *it,
			const struct tree_item *item)
{
	uint8_t hash[PACK_HASH_BYTES];
	struct pack_entry e;
	uint32_t i;

	if (!o->stored)
		return 0;
	if (pack_find(o->stored, it->path, &i))
		return -ESTALE;
	pack_get(o->stored, i, &e);
	if (e.type != it->type || (e.mode & 0777) != it->mode)
		return -ESTALE;
	if (e.type == PACK_LINK)
		return e.target.len == strlen(it->target) &&
			       !memcmp(e.target.data, it->target, e.target.len)
			   ? 0
			   : -ESTALE;
	if (e.type == PACK_DIR)
		return 0;
	if (e.size_bytes != it->size_bytes)
		return -ESTALE;
	return filehash_known(o->fh, &item->st, hash) &&
		       memcmp(hash, e.hash, PACK_HASH_BYTES)
		   ? -ESTALE
		   : 0;
}

/* What was read after that. */
static int check_content(const struct outlook *o, const struct pack_item *it)
{
	struct pack_entry e;
	uint32_t i;

	if (!o->stored || pack_find(o->stored, it->path, &i))
		return 0;
	pack_get(o->stored, i, &e);
	return memcmp(it->hash, e.hash, PACK_HASH_BYTES) ? -ESTALE : 0;
}

static int hash_of(const struct outlook *o, const struct tree_item *item,
		   uint8_t ret_hash[PACK_HASH_BYTES], struct errmsg *err)
{
	struct stat st;
	int fd, r;

	if (filehash_known(o->fh, &item->st, ret_hash))
		return 0;
	if (o->dirfd < 0)
		return -ENODATA;
	fd = packwrite_open_item(o->dirfd, item, err);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st))
		r = -errno;
	else if (!filehash_same_file(&st, &item->st))
		r = -EAGAIN;
	else
		r = filehash_get(o->fh, fd, &st, ret_hash);
	close(fd);
	if (r == -EAGAIN)
		return packwrite_fail_changed(err, item->path);
	return r ? packwrite_fail(err, item->path, -r, strerror(-r)) : 0;
}

/* All that the tree hash depends on, where contents are known by what stat(2) says. */
static void add_to_digest(XXH3_state_t *state, const struct tree_item *item)
{
	const struct stat *st = &item->st;
	const uint64_t facts[] = {
	    st->st_mode,
	    st->st_dev,
	    st->st_ino,
	    (uint64_t)st->st_size,
	    (uint64_t)st->st_mtim.tv_sec,
	    (uint64_t)st->st_mtim.tv_nsec,
	    (uint64_t)st->st_ctim.tv_sec,
	    (uint64_t)st->st_ctim.tv_nsec,
	};

	XXH3_128bits_update(state, item->path, strlen(item->path) + 1);
	XXH3_128bits_update(state, facts, sizeof(facts));
	if (item->target)
		XXH3_128bits_update(state, item->target, strlen(item->target) + 1);
}

static int digest_of(const struct tree_items *items, const char *prefix,
		     uint8_t ret_digest[FILEHASH_BYTES])
{
	XXH3_state_t *state = XXH3_createState();

	if (!state)
		return -ENOMEM;
	XXH3_128bits_reset(state);
	XXH3_128bits_update(state, DIGEST_KIND, sizeof(DIGEST_KIND));
	XXH3_128bits_update(state, prefix, strlen(prefix) + 1);
	for (size_t i = 0; i < items->n; i++)
		add_to_digest(state, &items->list[i]);
	packwrite_digest(XXH3_128bits_digest(state), ret_digest);
	XXH3_freeState(state);
	return 0;
}

/* Are all contents known without reading? */
static bool all_known(const struct tree_items *items, struct filehash *fh)
{
	uint8_t hash[FILEHASH_BYTES];

	for (size_t i = 0; i < items->n; i++) {
		const struct stat *st = &items->list[i].st;

		if (S_ISREG(st->st_mode) && !filehash_known(fh, st, hash))
			return false;
	}
	return true;
}

void packwrite_remember(const struct tree_items *items, const char *prefix,
			struct filehash *fh, const uint8_t tree_hash[PACK_HASH_BYTES])
{
	uint8_t digest[FILEHASH_BYTES];

	if (all_known(items, fh) && digest_of(items, prefix, digest) == 0)
		filehash_tree_learn(fh, digest, tree_hash);
}

/* All but the hash. Borrows o->path. */
static int describe(struct outlook *o, const char *prefix, const struct tree_item *item,
		    struct pack_item *ret_item)
{
	if (packwrite_join(&o->path, prefix, item->path))
		return -ENOMEM;
	*ret_item = (struct pack_item){
	    .path = (const char *)o->path.data,
	    .type = PACK_FILE,
	    .mode = item->st.st_mode & 0777,
	    .mtime_ns = packwrite_mtime_ns(&item->st),
	    .size_bytes = (uint64_t)item->st.st_size,
	};
	if (!S_ISREG(item->st.st_mode)) {
		ret_item->type = item->target ? PACK_LINK : PACK_DIR;
		ret_item->mode = item->target ? 0777 : ret_item->mode;
		ret_item->size_bytes = 0;
		ret_item->target = item->target;
	}
	return 0;
}

static int look_at(struct outlook *o, const char *prefix, const struct tree_item *item,
		   struct errmsg *err)
{
	uint8_t hash[PACK_HASH_BYTES];
	struct pack_item it;
	int r = describe(o, prefix, item, &it);

	if (r)
		return packwrite_no_memory(err);
	if (it.type == PACK_FILE) {
		it.hash = hash;
		r = hash_of(o, item, hash, err);
		if (!r)
			r = check_content(o, &it);
		if (it.size_bytes > o->largest_bytes)
			o->largest_bytes = it.size_bytes;
	}
	return r ? r : packwrite_add(o->maker, &it, err);
}

/* Before anything is read, since most differences can be seen without. */
static int check_all_stored(struct outlook *o, const struct tree_items *items,
			    const char *prefix, struct errmsg *err)
{
	int r = 0;

	for (size_t i = 0; o->stored && !r && i < items->n; i++) {
		struct pack_item it;

		if (describe(o, prefix, &items->list[i], &it))
			return packwrite_no_memory(err);
		r = check_stored(o, &it, &items->list[i]);
	}
	return r;
}

static int look(struct outlook *o, const struct tree_items *items, const char *prefix,
		uint8_t ret_tree_hash[PACK_HASH_BYTES], struct errmsg *err)
{
	CLEANUP_BUF struct buf raw = BUF_INIT;
	int r = check_all_stored(o, items, prefix, err);

	if (!r)
		r = pack_maker_new(&o->maker) ? packwrite_no_memory(err) : 0;
	for (size_t i = 0; !r && i < items->n; i++)
		r = look_at(o, prefix, &items->list[i], err);
	/* Where contents lie is no part of the hash: all are at the beginning. */
	if (!r)
		r = packwrite_index(o->maker, o->largest_bytes, &raw, ret_tree_hash, err);
	pack_maker_free(o->maker);
	buf_deinit(&o->path);
	return r;
}

int packwrite_foresee(const struct tree_items *items, const char *prefix,
		      struct filehash *fh, uint8_t ret_tree_hash[PACK_HASH_BYTES])
{
	struct outlook o = {.dirfd = -1, .fh = fh};
	uint8_t digest[FILEHASH_BYTES];
	int r;

	if (digest_of(items, prefix, digest))
		return -ENOMEM;
	if (filehash_tree_known(fh, digest, ret_tree_hash))
		return 0;
	r = look(&o, items, prefix, ret_tree_hash, NULL);
	if (!r)
		filehash_tree_learn(fh, digest, ret_tree_hash);
	return r;
}

int packwrite_look(const struct tree_items *items, int dirfd, const char *prefix,
		   struct filehash *fh, const struct pack *stored,
		   uint8_t ret_tree_hash[PACK_HASH_BYTES], struct errmsg *err)
{
	struct outlook o = {.dirfd = dirfd, .fh = fh, .stored = stored};
	int r = look(&o, items, prefix, ret_tree_hash, err);

	if (!r)
		packwrite_remember(items, prefix, fh, ret_tree_hash);
	return r;
}
