/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the tests of contents share: bytes that tell where they belong, values
 * made of them, and a look at what is in the tables and the extents.
 */
#ifndef MEMOFS_TESTS_VALUE_FIXTURE_H
#define MEMOFS_TESTS_VALUE_FIXTURE_H

#include "store/backend.h"
#include "store/store.h"
#include "tests/conformance/store_fixture.h"

#define BLOCK ((size_t)128 * 1024) /* of checksums */
#define SMALL ((size_t)32 * 1024)  /* the default threshold */
#define MIB ((size_t)1024 * 1024)

/* `len` bytes that depend on the seed and on where they are. Freed by the caller. */
uint8_t *pattern(size_t len, uint64_t seed);

/* A new value, not based on anything. */
struct store_staged *stage_new(struct store *st);
/* One that overwrites `base_ino`. */
struct store_staged *stage_over(struct store *st, uint64_t base_ino, bool truncate);
/* Publish in the root and free; returns the inode that has the name. */
uint64_t publish(struct store_staged *sg, const char *name);
/* All of it at once: pattern(len, seed) under `name` in the root. */
uint64_t put_value(struct store *st, const char *name, size_t len, uint64_t seed);

struct store_gen *open_value(struct store *st, uint64_t ino);
/* The content is exactly these bytes, read in several ways. */
void assert_gen(struct store_gen *gen, const uint8_t *data, size_t len);
void assert_staged(struct store_staged *sg, const uint8_t *data, size_t len);
/* `ino` can be opened and is pattern(len, seed). */
void assert_value(struct store *st, uint64_t ino, size_t len, uint64_t seed);

size_t count_rows(struct store *st, enum table table);
size_t count_extents(struct store *st);
/*
 * After store_settle(): the rows and extents are those of `small` and `large`
 * values and no more.
 */
void assert_left(struct store *st, size_t small, size_t large);

#define EXTENT_PATH_MAX (SCRATCH_MAX + 64)
/* The extent of `ino`, of a store in a directory. */
void extent_path(const struct fixture *fx, uint64_t ino, char ret_path[EXTENT_PATH_MAX]);
/* Change one byte of a row of TABLE_SMALL, or of an extent. */
void flip_small(struct store *st, uint64_t ino, size_t off);
void flip_extent(struct store *st, uint64_t ino, size_t off);

#endif
