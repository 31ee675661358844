/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes of a pack's index and trailer: what pack.c reads and pack_maker.c writes.
 * Only these two include it. Numbers are little-endian, and every pack has one way
 * only to be written: what is not used is zero, and the strings are those of the
 * entries in their order, each name followed by the target if it is a symlink's.
 */
#ifndef MEMOFS_STORE_UTIL_PACK_RECORD_H
#define MEMOFS_STORE_UTIL_PACK_RECORD_H

#include <endian.h>
#include <stdbool.h>
#include <string.h>
#include <xxhash.h>

#include "store/util/pack.h"

#define PACK_MAGIC "memopack"
#define PACK_FORMAT 1

/* Where things are in a record. */
enum {
	REC_TYPE = 0,
	REC_NAME_LEN = 1,
	REC_PERM = 2,
	REC_PARENT = 4,
	REC_NAME_OFF = 8,
	REC_ZERO = 12,
	REC_MTIME = 16,
	REC_A = 24,
	REC_B = 32,
	REC_HASH = 40,
};

/* And in the trailer. */
enum {
	TRAILER_MAGIC = 0,
	TRAILER_FORMAT = 8,
	TRAILER_ENTRIES = 12,
	TRAILER_INDEX_OFF = 16,
	TRAILER_STRINGS = 24,
	TRAILER_META = 32,
	TRAILER_TREE_HASH = 40,
	TRAILER_INDEX_HASH = 56,
	TRAILER_SUM = 72,  /* XXH3-64 of what is before it */
	TRAILER_ZERO = 80, /* to the end */
};

static inline uint16_t get_u16(const uint8_t *at)
{
	uint16_t v;

	memcpy(&v, at, sizeof(v));
	return le16toh(v);
}

static inline uint32_t get_u32(const uint8_t *at)
{
	uint32_t v;

	memcpy(&v, at, sizeof(v));
	return le32toh(v);
}

static inline uint64_t get_u64(const uint8_t *at)
{
	uint64_t v;

	memcpy(&v, at, sizeof(v));
	return le64toh(v);
}

static inline void put_u16(uint8_t *at, uint16_t v)
{
	v = htole16(v);
	memcpy(at, &v, sizeof(v));
}

static inline void put_u32(uint8_t *at, uint32_t v)
{
	v = htole32(v);
	memcpy(at, &v, sizeof(v));
}

static inline void put_u64(uint8_t *at, uint64_t v)
{
	v = htole64(v);
	memcpy(at, &v, sizeof(v));
}

static inline bool all_zero(const uint8_t *data, size_t len)
{
	return len == 0 || (!data[0] && !memcmp(data, data + 1, len - 1));
}

/* A part of a path that an entry may have: no byte of it is NUL or a slash. */
static inline bool pack_name_valid(struct slice name)
{
	return name.len > 0 && name.len <= PACK_NAME_MAX &&
	       !memchr(name.data, '/', name.len) && !memchr(name.data, 0, name.len) &&
	       !(name.len == 1 && !memcmp(name.data, ".", 1)) &&
	       !(name.len == 2 && !memcmp(name.data, "..", 2)) &&
	       !(name.len == 7 && !memcmp(name.data, ".memofs", 7));
}

/* The order of the children of a directory. */
static inline int pack_name_cmp(struct slice a, struct slice b)
{
	size_t len = a.len < b.len ? a.len : b.len;
	int cmp = memcmp(a.data, b.data, len);

	return cmp ? cmp : (a.len > b.len) - (a.len < b.len);
}

/* XXH3-128 in its canonical form, the one that xxh128sum prints. */
static inline void pack_hash(const void *data, size_t len,
			     uint8_t ret_hash[PACK_HASH_BYTES])
{
	XXH128_canonical_t hash;

	XXH128_canonicalFromHash(&hash, XXH3_128bits(data, len));
	memcpy(ret_hash, hash.digest, PACK_HASH_BYTES);
}

/*
 * The hash of what a tree holds, out of records and strings. The order of the entries
 * follows from the tree alone, so the number of the parent stands for its path. -ENOMEM.
 */
int pack_tree_hash(const uint8_t *index, uint32_t n_entries,
		   uint8_t ret_hash[PACK_HASH_BYTES]);

#endif
