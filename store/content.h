/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The bytes of a value that is being written.
 *
 * They start in a buffer that grows with them. What cannot be a small value, or
 * would pass the memory that all values together may have, moves to a staged
 * extent, for good or until content_seal() finds it small again. While an
 * extent is written in order its checksums are computed on the way, or, while the
 * next write is under way already, by content_sum(); what was not is read back by
 * content_seal().
 *
 * What an extent gets in order begins to go to the disk meanwhile (writeback.h). The
 * kernel bounds what is dirty, and gc.c syncs extents soon after they are published.
 *
 * Holes stay holes in an extent. A failed write is remembered in `error`, since
 * the bytes that are there are then not what the writer meant.
 *
 * With kept memory the bytes outlive this process: what is in a buffer by records of its
 * changes, what is in an extent because the kernel has it. Where a content moves, the
 * record says so before the place that it leaves is given up. A buffer that cannot be
 * kept, because that memory is full, moves to an extent.
 *
 * The caller locks. Nothing here knows rows.
 */
#ifndef MEMOFS_STORE_CONTENT_H
#define MEMOFS_STORE_CONTENT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "store/backend.h"
#include "store/digest.h"
#include "store/util/buf.h"
#include "store/util/keep.h"

/* What all contents of a store share; whoever has it outlives them. */
struct content_limits {
	struct backend *be;
	uint32_t small_max_bytes;
	uint64_t memory_max_bytes;
	_Atomic uint64_t *memory_used_bytes;
	_Atomic int64_t *disk_used_bytes; /* of extents */
	struct piece_queue *writeback;
};

struct content {
	struct content_limits limits;
	uint64_t ino;
	uint64_t size_bytes;
	struct buf mem;		/* all of it, while fd is -1 */
	uint64_t charged_bytes; /* of mem, counted in memory_used_bytes */
	int fd;			/* the extent, or -1 */
	uint64_t counted_bytes; /* of it, counted in disk_used_bytes */
	uint64_t asked_bytes;	/* of it, that writeback was asked for */
	bool committed;		/* the extent has its final name */
	bool reserved;		/* there may be blocks past the end */
	struct digest digest;	/* of the first digest.len bytes of the extent */
	/* Writes that left their bytes for content_sum(), numbered from 1 on */
	uint64_t turns;
	_Atomic uint64_t summed;
	uint64_t summed_end; /* digest.len when all of them have had their turn */
	int error;	     /* 0, or -errno of a write that failed */
	struct kept *kept;   /* KEEP_CONTENT; NULL: it is not kept */
};

void content_init(struct content *c, const struct content_limits *limits, uint64_t ino);
/* An empty one is kept from now on. -ENOSPC, -ENOMEM. */
int content_keep(struct content *c, struct keep *keep);
/*
 * Instead of content_init(): as it was when its process died. Takes over `kept`.
 * -EUCLEAN: the records cannot be; else what opening its extent says.
 */
int content_resume(struct content *c, const struct content_limits *limits,
		   struct kept *kept);
/* Is it in an extent, as far as is known of one that was not resumed? */
bool content_kept_in_extent(struct kept *kept);
/* To be called after `error` was changed elsewhere. */
void content_keep_error(struct content *c);
/* All of it is dropped: it is empty. */
int content_clear(struct content *c);
/* Frees memory and closes; `drop` also removes the extent, which may be committed. */
void content_deinit(struct content *c, bool drop);

/* It was published: its extent is counted in another way from now on. */
void content_uncount(struct content *c);

static inline bool content_in_memory(const struct content *c)
{
	return c->fd < 0;
}

int content_read(struct content *c, void *data, size_t len, uint64_t off,
		 size_t *ret_len);
/*
 * -EFBIG, -ENOSPC, -EDQUOT, -EIO, …: remembered in c->error. A write that failed
 * may be tried again as it was; if that succeeds, c->error may be cleared.
 *
 * With `ret_turn` the checksums may be left for later: when it becomes other than 0,
 * content_sum() is to follow with the same bytes. Until all have had their turn
 * (content_is_summed()) the content may be read, and written where content_goes_on()
 * says that it goes on, and nothing else.
 */
int content_write(struct content *c, const void *data, size_t len, uint64_t off,
		  uint64_t *ret_turn);
/* When c->summed + 1 is its turn: by one thread, without the lock; that is to set
 * c->summed afterwards. */
void content_sum(struct content *c, const void *data, size_t len, uint64_t off);

static inline bool content_is_summed(const struct content *c)
{
	return c->summed == c->turns;
}

/* Is this where the next byte of what was written in order is to be? */
static inline bool content_goes_on(const struct content *c, uint64_t off)
{
	return off == (content_is_summed(c) ? c->digest.len : c->summed_end);
}

int content_truncate(struct content *c, uint64_t size_bytes); /* the same */
/* As store_staged_allocate(). Nothing is remembered: the content is as it was. */
int content_allocate(struct content *c, int mode, uint64_t off, uint64_t len);
int content_seek(struct content *c, uint64_t off, int whence, uint64_t *ret_off);

/* What it occupies: for st_blocks. */
uint64_t content_disk_bytes(const struct content *c);

/*
 * Make it ready to be published: decide where it will live (afterwards
 * content_in_memory() is true for a small value), complete the checksums, and
 * give an extent its final name. It may be changed again afterwards and must
 * then be sealed again. There is no hash where digest_value() gives none.
 * Replaces what `ret_sums` holds: by rows, or by nothing for a small value.
 */
int content_seal(struct content *c, bool *ret_has_hash,
		 uint8_t ret_hash[DIGEST_HASH_BYTES], struct buf *ret_sums);

/* pread(2) until `len` bytes or the end of the file. */
int file_read(int fd, void *data, size_t len, uint64_t off, size_t *ret_len);

/*
 * Feed `size` bytes of a file to a digest, holes without reading them. -EUCLEAN
 * when the file is shorter.
 */
int content_digest_file(int fd, uint64_t size_bytes, struct digest *d);

#endif
