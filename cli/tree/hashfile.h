/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What "cli/tree/filehash.h" keeps: records in an open-addressing table, in memory and
 * in a file that is one.
 *
 * The file is a header and a power of two of slots. A slot is free or a record with a
 * check of its own, so that one torn by a power loss is just not there. Numbers are the
 * machine's. It is never changed, but replaced; a file of another user, or one that
 * others may write, is not read.
 */
#ifndef MEMOFS_CLI_TREE_HASHFILE_H
#define MEMOFS_CLI_TREE_HASHFILE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct hashrecord {
	uint64_t dev, ino, size_bytes;
	int64_t mtime_ns, ctime_ns;
	uint8_t hash[16];
	uint32_t day;	/* since 1970, when it was last of use */
	uint32_t check; /* of the rest; 0: a free slot */
};

/* One a (dev, ino). */
struct hashtable {
	struct hashrecord *slots;
	size_t n, cap; /* cap: 0 or a power of two */
};

void hashtable_deinit(struct hashtable *t);
/* By dev and ino; NULL: there is none. */
const struct hashrecord *hashtable_find(const struct hashtable *t,
					const struct hashrecord *want);
/* Instead of one with this dev and ino. -ENOMEM. */
int hashtable_put(struct hashtable *t, const struct hashrecord *r);

struct hashfile {
	char *path; /* NULL: there is no place for one */
	int64_t now_s;
	void *map;
	size_t map_bytes;
	const struct hashrecord *slots; /* in the map */
	size_t cap;
	uint8_t *used; /* by slot: asked for since it was opened */
	bool aging;    /* one of those has an old day */
};

/* That of a directory; `suffix` ends its name. Where there is none, or no good one, it
 * has no records. */
void hashfile_open(int dirfd, const char *suffix, int64_t now_s,
		   struct hashfile *ret_file);
const struct hashrecord *hashfile_find(struct hashfile *f, const struct hashrecord *want);
/* Is its day so long ago that it is renewed? */
bool hashfile_is_old(const struct hashfile *f, const struct hashrecord *r);
/* Replace it by what is left of it and `learnt`, where that makes a difference. */
void hashfile_close(struct hashfile *f, const struct hashtable *learnt);

#endif
