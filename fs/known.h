/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How often the kernel was told of each inode: a set of numbers with counts, 16 bytes a
 * place, between 3/8 and 3/4 full. Who uses it locks it.
 */
#ifndef MEMOFS_FS_KNOWN_H
#define MEMOFS_FS_KNOWN_H

#include <stddef.h>
#include <stdint.h>

struct known_place {
	uint64_t ino; /* 0: free */
	uint64_t count;
};

struct known {
	struct known_place *places;
	size_t mask; /* a power of two less one; meaningless without places */
	size_t used;
};
#define KNOWN_INIT ((struct known){0})

void known_deinit(struct known *k);
/* One more; *ret_count: with it. -ENOMEM. `ino` is not 0. */
int known_add(struct known *k, uint64_t ino, uint64_t *ret_count);
/* So many less, down to none. Returns what is left; 0 also of what is not in it. */
uint64_t known_sub(struct known *k, uint64_t ino, uint64_t n);
uint64_t known_get(const struct known *k, uint64_t ino);

#endif
