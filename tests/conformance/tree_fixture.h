/* SPDX-License-Identifier: Apache-2.0 */
/* What the tests of sealed trees share: packs, and trees made of them. */
#ifndef MEMOFS_TESTS_TREE_FIXTURE_H
#define MEMOFS_TESTS_TREE_FIXTURE_H

#include "store/util/pack.h"
#include "tests/conformance/value_fixture.h"

/* A pack being made: its contents, and what its index is made of. */
struct packing {
	struct buf raw;
	struct pack_maker *maker;
};

void packing_begin(struct packing *p);
void packing_deinit(struct packing *p);
/* A file of pattern(len, seed), mode 0644, mtime 1000. */
void pack_file(struct packing *p, const char *path, size_t len, uint64_t seed);
void pack_text(struct packing *p, const char *path, const char *text);
void pack_dir(struct packing *p, const char *path, mode_t mode);
void pack_link(struct packing *p, const char *path, const char *target);
/* Put the index and the trailer behind the contents: `raw` is a pack then. */
void packing_end(struct packing *p);

/* bin/tool (executable), data/big of `big` bytes, data/empty, dir, link → data/big, text
 */
void pack_sample(struct packing *p, size_t big);
#define SAMPLE_ENTRIES 8 /* with the root */

/* A value that will be a tree, with these bytes. */
struct store_staged *stage_tree(struct store *st, uint64_t branch, uint64_t base_ino,
				const struct buf *raw);
/* Check, publish and free; the number of the tree. */
uint64_t publish_tree(struct store_staged *sg, uint64_t branch, const char *name);
/* All at once, in the root directory: pack_sample(). */
uint64_t put_tree(struct store *st, const char *name, size_t big);

/* The number of `a/b/c` below a tree, by lookups; 0: a miss. */
uint64_t in_tree(struct store *st, uint64_t tree_ino, const char *path);
/* A file can be opened and holds this. */
void assert_text(struct store *st, uint64_t ino, const char *text);

#endif
