/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The keys of all rows, made and taken apart; "store/rows.h" lists them.
 *
 * Decoders return -EUCLEAN for what no encoder here has made.
 */
#ifndef MEMOFS_STORE_KEYS_H
#define MEMOFS_STORE_KEYS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/store.h"
#include "store/util/buf.h"

#define KEY_MAX (9 + STORE_NAME_MAX)
struct key {
	uint8_t data[KEY_MAX];
	uint16_t len;
};

static inline struct slice key_slice(const struct key *k)
{
	return slice(k->data, k->len);
}

/* INODE, SMALL, GCQ, UNSYNCED, INTENT, HEAT. */
struct key key_ino(uint64_t ino);
int key_ino_decode(struct slice raw, uint64_t *ret_ino);

/* DIRENT, LEASE. A prefix and the first key after it: key_branch(b) … key_branch(b + 1).
 */
struct key key_branch(uint64_t branch);
struct key key_dirent(uint64_t branch, struct slice name); /* name: 1..255 bytes */
int key_dirent_decode(struct slice raw, uint64_t *ret_branch, struct slice *ret_name);

struct key key_version(uint64_t dir_ino, struct slice version);
int key_version_decode(struct slice raw, uint64_t *ret_dir_ino,
		       struct slice *ret_version);
struct key key_branch_owner(uint64_t branch);

struct key key_sums(uint64_t ino, uint32_t chunk);

/* Can a row have it? For names and versions that came from the disk. */
bool key_name_valid(struct slice name);
bool key_version_valid(struct slice version);

#endif
