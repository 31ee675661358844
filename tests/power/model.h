/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What the load did, and what of it a power loss may leave.
 *
 * The load has slots, each used by one thread; a slot has a few cells, each of which
 * holds a value: a number, 0 for none. Values have numbers of their own, which their
 * content tells. An event sets cells. It is marked before it begins and after it was
 * acknowledged, so that of each cell the values are known that it may have at a point:
 * the last one that was durable then, and those that came later. 0 is among those if
 * one that came later is not synced, because its content may have been lost after it
 * had taken the place of the one before.
 */
#ifndef MEMOFS_TESTS_POWER_MODEL_H
#define MEMOFS_TESTS_POWER_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum slot_kind {
	SLOT_FILE,    /* cells: the key, and the name that is renamed to it */
	SLOT_VERSION, /* cells: the key at each version, and which one is chosen */
	SLOT_TREE,    /* a sealed tree, built in the stage */
	SLOT_CLEAR,   /* keys of a directory that is cleared */
	SLOT_KINDS,
};
enum { KEY = 0, TMP = 1, VERSIONS = 3, CHOSEN = 3, CELLS = 4, SLOTS = 32, THREADS = 4 };

static inline enum slot_kind slot_kind(unsigned int slot)
{
	/* The thread of a slot is slot % THREADS: each has some of each kind. */
	static const enum slot_kind kinds[SLOTS / THREADS] = {
	    SLOT_FILE, SLOT_FILE, SLOT_FILE,	SLOT_FILE,
	    SLOT_FILE, SLOT_TREE, SLOT_VERSION, SLOT_CLEAR,
	};

	return kinds[slot / THREADS];
}

/* Never evicted. */
static inline bool slot_pinned(unsigned int slot)
{
	return slot / THREADS < 2;
}

/* Below a directory with a quota, when the store has bounds. */
static inline bool slot_below_quota(unsigned int slot)
{
	return slot / THREADS == 3;
}

struct set {
	unsigned int cell;
	unsigned int value; /* 0: none; of CHOSEN the version */
	unsigned int size_bytes;
	unsigned int ttl_s; /* 0: none */
	bool at_risk;	    /* its content is not synced */
	bool renamed;	    /* it was TMP */
};

enum { EVENT_TEXT_MAX = 512 };

struct event {
	unsigned int id, slot;
	size_t set_count; /* 0: a sync of the slot's directory */
	struct set sets[CELLS];
	bool durable; /* once it is acknowledged */
};

/* The directory of a slot, and the file of a cell, below the mount. */
void slot_dir(unsigned int slot, char ret_path[64]);
void cell_path(unsigned int slot, unsigned int cell, char ret_path[128]);

/* One line each, with its newline. */
size_t event_format(const struct event *event, char ret_text[EVENT_TEXT_MAX]);
/* False: it is no such line. */
bool event_parse(const char *text, struct event *ret_event);

enum { VALUE_MIN = 32, VALUE_MAX = 2 * 1024 * 1024 };
/* The bytes of a value. */
void value_fill(uint8_t *data, unsigned int value, size_t size);
/* The hole in it, as it is written; *ret_len is 0 where it has none. */
void value_hole(unsigned int value, size_t size, size_t *ret_off, size_t *ret_len);

/* The files in a tree: the first have the same bytes in all trees of a slot. */
enum { TREE_FILES = 4, TREE_COMMON = 2 };
void tree_file(unsigned int slot, unsigned int file, unsigned int value,
	       size_t value_size, unsigned int *ret_number, size_t *ret_size);

#endif
