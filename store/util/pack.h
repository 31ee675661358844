/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Packs: a whole tree of files in one run of bytes.
 *
 * A sealed tree is written and read as one: its contents one behind the other, then
 * an index, then a trailer of fixed size. So that a tree is stored and fetched with
 * one open, and can be read in place by whoever has the index in memory.
 *
 *   contents   the bytes of the files; equal ones may be there once
 *   records    one of PACK_RECORD_BYTES for each name, see below
 *   strings    names and targets of symlinks
 *   meta       what the writer wants kept; not interpreted
 *   trailer    PACK_TRAILER_BYTES: where the rest is, and its checksums
 *
 * Entry 0 is the root, a directory without a name. Entries are in breadth-first
 * order: the children of a directory are consecutive, sorted by the bytes of their
 * names, and the children of all directories follow each other in the order of the
 * directories. So a name is found by bisection, nothing points backwards, and a
 * record is good or bad by itself and its neighbours.
 *
 * Numbers are little-endian. A record:
 *   u8 type, u8 length of the name, u16 permissions (0777), u32 parent,
 *   u32 where its name begins in the strings, u32 zero, i64 mtime in ns,
 *   u64 a, u64 b, 16 bytes XXH3-128 of a file's content (canonical), else zero
 *   file:      a offset of its content, b its size
 *   directory: a its first child, b how many
 *   symlink:   a where its target begins in the strings, b its length
 * A symlink has the permissions 0777. The strings are the names in the order of the
 * entries, the target of a symlink behind its name, without gaps.
 *
 * A pack is input: pack_init() checks everything that the other functions rely on.
 */
#ifndef MEMOFS_STORE_UTIL_PACK_H
#define MEMOFS_STORE_UTIL_PACK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "store/util/buf.h"
#include "store/util/err.h"

#define PACK_TRAILER_BYTES 96
#define PACK_RECORD_BYTES 56
#define PACK_HASH_BYTES 16
/* Entries of one pack, the root included. */
#define PACK_ENTRIES_MAX (UINT32_C(1) << 21)
#define PACK_NAME_MAX 255
#define PACK_TARGET_MAX 4095
#define PACK_META_MAX (1024 * 1024)
/* Names and targets together: who reads a pack has them in memory. */
#define PACK_STRINGS_MAX (256 * 1024 * 1024)

enum pack_type { PACK_FILE = 1, PACK_DIR = 2, PACK_LINK = 3 };

struct pack_trailer {
	uint32_t n_entries;
	uint64_t index_off; /* of the records; also where the contents end */
	uint64_t strings_bytes, meta_bytes;
	/*
	 * Of what the tree holds: names, types, permissions, targets, contents; not of
	 * times, order in the pack or meta. Equal trees have equal ones.
	 */
	uint8_t tree_hash[PACK_HASH_BYTES];
	uint8_t index_hash[PACK_HASH_BYTES]; /* of records, strings and meta */
};

/* -EBADMSG, with a message: not the end of a pack of `pack_bytes` bytes. */
int pack_trailer_parse(const uint8_t raw[PACK_TRAILER_BYTES], uint64_t pack_bytes,
		       struct pack_trailer *ret_trailer, struct errmsg *err);
/* Of records, strings and meta together. */
uint64_t pack_index_bytes(const struct pack_trailer *t);

/* An index in memory. Fixed once made: any number of threads may read it. */
struct pack {
	struct pack_trailer trailer;
	struct buf index;
};
#define PACK_INIT ((struct pack){.index = BUF_INIT})

/*
 * Take over `index`, which holds pack_index_bytes(), and check it. -EBADMSG with a
 * message; -ENOMEM. `index` is freed then, too. Takes time in proportion to its size.
 */
int pack_init(struct pack *p, const struct pack_trailer *t, struct buf *index,
	      struct errmsg *err);
void pack_deinit(struct pack *p);

/* Where the bytes of a pack are. */
struct pack_source {
	/* Exactly `len` bytes from `off`, which are within the pack. 0 or -errno. */
	int (*read)(void *arg, void *data, size_t len, uint64_t off);
	void *arg;
	uint64_t size_bytes;
	/* So many are read first, from the end: the index may be among them. */
	size_t tail_bytes;
};
/*
 * Read the index. -EBADMSG, -ENOMEM: with a message; what `read` answers, with the
 * message that it made, if any. What was read first, which is all of a small pack,
 * goes to *ret_tail, the caller's, if that is not NULL.
 */
int pack_read(const struct pack_source *src, struct pack *ret_pack, struct buf *ret_tail,
	      struct errmsg *err);

struct pack_entry {
	enum pack_type type;
	mode_t mode; /* type and permissions, as in st_mode */
	uint32_t parent;
	int64_t mtime_ns;
	struct slice name;
	uint64_t off, size_bytes; /* files: the content; a symlink's size: its target's */
	uint8_t hash[PACK_HASH_BYTES];	/* files */
	struct slice target;		/* symlinks; not ended by NUL */
	uint32_t first_child, children; /* directories */
};

static inline uint32_t pack_entries(const struct pack *p)
{
	return p->trailer.n_entries;
}
/* i < pack_entries(). Borrows from the pack. */
void pack_get(const struct pack *p, uint32_t i, struct pack_entry *ret_entry);
/* The child of a directory. -ENOENT, -ENOTDIR. */
int pack_child(const struct pack *p, uint32_t dir, struct slice name, uint32_t *ret_i);
/* The entry at `a/b/c`; "" is the root. -ENOENT, -ENOTDIR. */
int pack_find(const struct pack *p, const char *path, uint32_t *ret_i);
/* Append the path of an entry, without a slash at the front. -ENOMEM. */
int pack_path(const struct pack *p, uint32_t i, struct buf *ret_path);
struct slice pack_meta(const struct pack *p);

/*
 * Making the index. Entries are added in any order, by their paths; directories
 * above them that are not added themselves are made with mode 0755 and the time of
 * their newest child. One thread.
 */
struct pack_maker;

int pack_maker_new(struct pack_maker **ret_maker); /* -ENOMEM */
void pack_maker_free(struct pack_maker *m);	   /* NULL is fine */

struct pack_item {
	const char *path; /* relative; "" is the root */
	enum pack_type type;
	mode_t mode; /* permission bits count */
	int64_t mtime_ns;
	uint64_t off, size_bytes; /* files */
	const uint8_t *hash;	  /* files: PACK_HASH_BYTES */
	const char *target;	  /* symlinks */
};
/*
 * -EINVAL: the path is absolute, or has an empty part, `.`, `..` or `.memofs`, or a
 * target is empty; -ENAMETOOLONG: a part of it or the target; -EEXIST: it was added
 * before, or is something else than what another needs there; -E2BIG: too many, or
 * too long together; -ENOMEM.
 */
int pack_maker_add(struct pack_maker *m, const struct pack_item *item);
int pack_maker_meta(struct pack_maker *m, struct slice meta); /* -E2BIG, -ENOMEM */
/*
 * Append index and trailer of a pack whose contents are `contents_bytes` long. More
 * may be added afterwards, and another one made. -EINVAL: a content is not within
 * that; -ENOMEM.
 */
int pack_maker_finish(struct pack_maker *m, uint64_t contents_bytes, struct buf *ret_raw);

#endif
