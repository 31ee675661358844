/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The rows of shared contents; "store/dedup.c" tells what they are for.
 *
 *   SHARE  's' be64(tree)              → struct share_row: the tree was compared
 *          'r' be64(holder) be64(tree) → (empty) the tree reads from the holder
 *          'q' be64(tree)              → struct todo_row
 *   SAME   be64(ns) hash               → struct same_row: a content of a tree
 *
 * A tree is named by the number of its stream, which is that of its extent; `ns` is
 * the number of its top-level directory. As in "store/rows.h" decoders check all that
 * others rely on and return -EUCLEAN for anything else.
 */
#ifndef MEMOFS_STORE_SHARE_ROWS_H
#define MEMOFS_STORE_SHARE_ROWS_H

#include <stddef.h>
#include <stdint.h>

#include "store/keys.h"
#include "store/util/buf.h"
#include "store/util/pack.h"

enum share_todo {
	SHARE_COMPARE, /* published, and not compared with anything yet */
	SHARE_PUNCH,   /* there is a share row: what it says is still to be done */
	SHARE_TODO_COUNT
};

/* A tree reads from no more than so many others: each is a descriptor when it is open. */
#define SHARE_HOLDERS_MAX 8
#define SHARE_PARTS_MAX 65536

/* Bytes of a tree's stream that are not in its own extent. */
struct share_part {
	uint64_t off, len;
	uint64_t holder, holder_off; /* whose extent has them, and where */
};

struct share_row {
	uint64_t ns;	  /* where its contents are in SAME */
	struct buf parts; /* of struct share_part, by `off`, apart from each other */
};
#define SHARE_ROW_INIT ((struct share_row){0})
void share_row_deinit(struct share_row *row);
#define CLEANUP_SHARE_ROW __attribute__((cleanup(share_row_deinit)))

static inline size_t share_parts(const struct share_row *row)
{
	return row->parts.len / sizeof(struct share_part);
}
struct share_part share_part_at(const struct buf *parts, size_t i);
/* The first of them that ends behind `off`; their number when there is none. */
size_t share_part_after(const struct buf *parts, uint64_t off);
/* Whose extents they are in, each once. Returns how many. */
size_t share_holders(const struct share_row *row, uint64_t ret_inos[SHARE_HOLDERS_MAX]);
/* Of all of them. */
uint64_t share_bytes(const struct share_row *row);

int share_encode(const struct share_row *row, struct buf *ret_raw); /* appends; -ENOMEM */
/* Replaces the parts. -EUCLEAN, -ENOMEM. */
int share_decode(struct slice raw, struct share_row *ret_row);

struct todo_row {
	enum share_todo what;
	uint32_t next; /* the first part that is no hole yet */
};
int todo_encode(const struct todo_row *row, struct buf *ret_raw);
int todo_decode(struct slice raw, struct todo_row *ret_row);

struct same_row {
	uint64_t holder; /* its extent has the content itself */
	uint64_t off, size_bytes;
};
int same_encode(const struct same_row *row, struct buf *ret_raw);
int same_decode(struct slice raw, struct same_row *ret_row);

struct key key_share(uint64_t ino);
struct key key_share_todo(uint64_t ino);
int key_share_todo_decode(struct slice raw, uint64_t *ret_ino);
/* All of a holder: key_share_use(holder, 0) … key_share_use(holder + 1, 0). */
struct key key_share_use(uint64_t holder, uint64_t ino);
struct key key_same(uint64_t ns, const uint8_t hash[PACK_HASH_BYTES]);

#endif
