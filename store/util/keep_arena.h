/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Blocks of memory in a mapped file, for store/util/keep.c alone.
 *
 * Which blocks are free is known to this process only. Nothing about it is written to
 * the file, so nothing about it can be half written: what is in use is what can be
 * reached from what is kept, and arena_sweep() frees the rest once, after opening.
 *
 * The file is counted in units of 64 bytes and cut into slabs of 64 KiB. A slab has
 * blocks of one class for ever; a larger block has slabs of its own. Unit 0 is no block.
 */
#ifndef MEMOFS_STORE_UTIL_KEEP_ARENA_H
#define MEMOFS_STORE_UTIL_KEEP_ARENA_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "store/util/err.h"
#include "store/util/keep.h"

enum {
	ARENA_UNIT_BYTES = 64,
	ARENA_SLAB_BYTES = 64 * 1024,
	ARENA_SLAB_UNITS = ARENA_SLAB_BYTES / ARENA_UNIT_BYTES,
	ARENA_SLAB_CLASS = 10, /* one block of it is a slab */
	/* Class c has blocks of 64 << c bytes; the last ones are heads of objects. */
	ARENA_HEADS = 21,
	ARENA_CLASSES,
};

/* The beginning of the file; the pulse and a byte per slab (its class) follow. */
struct arena_header {
	char magic[16];
	uint32_t layout;
	uint32_t slabs_max;	/* of the file, these pages included */
	_Atomic uint32_t slabs; /* in use, from the beginning of the file */
	uint32_t unused[9];
};

struct arena_class {
	pthread_mutex_t lock;
	uint32_t *free;	   /* under lock: units, with ARENA_BARE where without memory */
	size_t free_count; /* under lock */
	size_t blocks;	   /* under lock: that there are, and that `free` has room for */
};

struct arena {
	int fd;
	uint8_t *base;
	struct arena_header *header;
	uint8_t *slab_class; /* under grow, but for slabs in use: class + 1 */
	pthread_mutex_t grow;
	uint64_t file_bytes;	     /* under grow: that have memory */
	_Atomic uint64_t idle_bytes; /* free in large blocks, with memory */
	struct arena_class classes[ARENA_CLASSES];
};

/* As keep_open(); until arena_sweep() nothing can be taken. */
int arena_open(struct arena *a, int fd, uint64_t max_bytes, struct errmsg *err);
void arena_close(struct arena *a);

/* Where the pulse is, in bytes from the beginning of the file. */
enum { ARENA_PULSE_OFF = 4096 };

static inline void *arena_at(const struct arena *a, uint32_t unit)
{
	return a->base + (uint64_t)unit * ARENA_UNIT_BYTES;
}

static inline uint64_t arena_block_bytes(unsigned int cls)
{
	return cls == ARENA_HEADS ? ARENA_UNIT_BYTES : (uint64_t)ARENA_UNIT_BYTES << cls;
}

/* The class of a block that is in use. */
static inline unsigned int arena_class_of(const struct arena *a, uint32_t unit)
{
	return a->slab_class[unit / ARENA_SLAB_UNITS] - 1u;
}

/* The class whose blocks have at least so many bytes; ARENA_HEADS: none has. */
unsigned int arena_class_for(uint64_t bytes);
/* Does a block begin there? For what was read from the file. */
bool arena_is_block(const struct arena *a, uint64_t unit);

/* A block with whatever is in it; fresh heads are zeroed. -ENOSPC, -ENOMEM. */
int arena_take(struct arena *a, unsigned int cls, uint32_t *ret_unit);
void arena_give(struct arena *a, uint32_t unit);

/* Every block of a class, free or not; before anything is taken. */
int arena_each(struct arena *a, unsigned int cls, int (*each)(void *arg, uint32_t unit),
	       void *arg);
/* Once after opening: all blocks are free whose unit has no bit in `used`. -ENOMEM. */
int arena_sweep(struct arena *a, const uint8_t *used);
/* Bytes of such a map. */
size_t arena_map_bytes(const struct arena *a);

static inline bool arena_map_get(const uint8_t *map, uint32_t unit)
{
	return map[unit / 8] & 1u << unit % 8;
}

static inline void arena_map_set(uint8_t *map, uint32_t unit)
{
	map[unit / 8] |= (uint8_t)(1u << unit % 8);
}

#endif
