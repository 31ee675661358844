/* SPDX-License-Identifier: Apache-2.0 */
/*
 * How often the kernel was told of each inode: a set of numbers with counts, 16 bytes a
 * place, between 3/8 and 3/4 full. Who uses it locks it. A number is *sure* when it had
 * its name at some time since it is in the set.
 */
#ifndef MEMOFS_FS_KNOWN_H
#define MEMOFS_FS_KNOWN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct known_place {
	uint64_t ino; /* 0: free */
	uint64_t sure : 1, count : 63;
};

struct known {
	struct known_place *places;
	size_t mask; /* a power of two less one; meaningless without places */
	size_t used;
};
#define KNOWN_INIT ((struct known){0})

void known_deinit(struct known *k);
/* One more; *ret_sure: it is. -ENOMEM. `ino` is not 0. */
int known_add(struct known *k, uint64_t ino, bool *ret_sure);
void known_be_sure(struct known *k, uint64_t ino); /* one that is not in it: nothing */
/* So many less, down to none. Returns what is left; 0 also of what is not in it. */
uint64_t known_sub(struct known *k, uint64_t ino, uint64_t n);
uint64_t known_get(const struct known *k, uint64_t ino);

#endif
