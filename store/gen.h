/* SPDX-License-Identifier: Apache-2.0 */
/* Open generations: what gen.c, gen_read.c and the rest of the content half share. */
#ifndef MEMOFS_STORE_GEN_H
#define MEMOFS_STORE_GEN_H

#include <time.h>

#include "store/ahead.h"
#include "store/digest.h"
#include "store/internal.h"
#include "store/util/htab.h"

enum { GEN_SHARDS = 16 };

struct gen_shard {
	pthread_mutex_t lock;
	struct htab gens; /* under lock */
};

struct gen_table {
	struct gen_shard shards[GEN_SHARDS];
	_Atomic uint64_t small_bytes; /* of values that are kept */
};

/* The checksums of a chunk of an extent, and which blocks were compared. */
struct gen_chunk {
	struct buf row;
	_Atomic uint64_t checked[]; /* one bit a block */
};

struct store_gen {
	struct store *st;
	uint64_t ino;

	/* Under the shard's lock. */
	struct hlink link;
	unsigned int refs;
	bool reap;	   /* it has lost its name, and gc waits for the last close */
	bool share;	   /* it is to read from others, and gc waits in the same way */
	struct kept *kept; /* KEEP_GEN, of one that has lost its name; or NULL */

	pthread_mutex_t lock; /* of what follows, and to become ready */
	bool ready;
	bool has_core;
	bool has_row; /* what opening needs of the row is here, for when that is gone */
	struct row_core core; /* as it was last known */
	int64_t inherited_ttl_ns;
	struct timespec mtime;	    /* of the extent's file, when `checked` was empty */
	_Atomic int64_t checked_ns; /* monotonic: `checked` of chunks is not older */

	/* Fixed once ready. */
	uint64_t size_bytes;
	enum layout layout;
	bool has_hash;
	uint8_t hash[DIGEST_HASH_BYTES];
	int fd;		      /* of an extent, or -1 */
	bool sealed;	      /* a tree: what it has may move to where others have it */
	struct share *shared; /* of it, what is in others; NULL: nothing */
	/* Of an extent, sums_chunks() of them; each is NULL until it is read. */
	_Atomic(struct gen_chunk *) *chunks;
	struct ahead_place place; /* of an extent: where it is read */

	/*
	 * A file in a sealed tree: what follows is unused, and its bytes are those
	 * of the tree's generation from tree_off on. NULL: any other.
	 */
	struct sealed_index *tree;
	uint64_t tree_off;

	/* As of the last open, for store_gen_origin(). */
	_Atomic uint64_t branch;
	_Atomic double cost_s;

	_Atomic(uint8_t *) small; /* NULL: not loaded, or not kept */
	atomic_bool condemned;
	_Atomic uint64_t hits;
};

/*
 * Before a commit that takes the name, under `names`: what only the row knows of one that
 * is open is kept, for a successor of this process. It is a successor, and `lost` is what
 * was kept, to be taken over: open it without a row. -ENOENT: nothing was kept of it.
 */
void gen_keep_nameless(struct store *st, uint64_t ino);
int gen_resume(struct store *st, uint64_t ino, struct kept *lost,
	       struct store_gen **ret_gen);

/*
 * Of a file that has a row: a reference to its object, with what it needs to be opened
 * when the row is gone. Under `names`. -ENOENT, -EINVAL: it is no file.
 */
int gen_hold(struct store *st, uint64_t ino, struct store_gen **ret_gen);

/* Its content is bad: log it, once, and drop the entry. Returns -EUCLEAN. */
int gen_condemn(struct store_gen *gen, const char *why);

/* What it has compared is known beyond its last close: see "store/verified.h". */
void gen_tell_verified(struct store_gen *gen);
/* The extent behind `fd` was just published: all of it was summed by this process. */
void gen_verified_published(struct store *st, uint64_t ino, int fd);
/* Damage was found in it: nothing that was compared counts any more. */
void gen_distrust(struct store *st, uint64_t ino);

/*
 * True when the inode is open. Then gc_reap() is called for it after the last
 * close; otherwise nobody can open it any more, if it has no INODE row.
 */
bool gen_defer_reap(struct store *st, uint64_t ino);

/*
 * True when the tree `ino` is open by somebody who reads all of it from its own extent.
 * Then gc_tree() is called for it after the last close.
 */
bool gen_defer_share(struct store *st, uint64_t ino);

/* By how many it is open, an index of a tree in memory included. */
unsigned int gen_refs(struct store *st, uint64_t ino);

/* Reads counted since it was opened; 0 when it is not. */
uint64_t gen_hits(struct store *st, uint64_t ino);

/* What is known of the row of one that is open, which may have lost its name. */
void gen_core(struct store_gen *gen, struct row_core *ret_core,
	      int64_t *ret_inherited_ttl_ns);

/* The size never changes while it is open. */
uint64_t gen_size(const struct store_gen *gen);

#endif
