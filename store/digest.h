/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The checksums of one content: XXH3-128 of the whole, which users see as the
 * `hash` attribute, and XXH3-64 of each block of SUMS_BLOCK_BYTES, which readers
 * check. Bytes are fed once, in order.
 *
 * Holes must cost nothing: a tebibyte of them is one call of truncate(2). The
 * sum of a block of zeros is known, and past DIGEST_HOLES_MAX the hash of the
 * whole, which would take a minute, is left out.
 *
 * A zeroed struct (DIGEST_INIT) is the digest of nothing. The hash states, some
 * 1.2 KiB, are allocated by the first byte. digest_value() and digest_sums() do
 * not end it: more may be fed afterwards.
 */
#ifndef MEMOFS_STORE_DIGEST_H
#define MEMOFS_STORE_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#include "store/sums.h"
#include "store/util/buf.h"

#define DIGEST_HASH_BYTES 16
#define DIGEST_HOLES_MAX (UINT64_C(1) << 30)

struct digest {
	struct XXH3_state_s *whole;
	struct XXH3_state_s *block; /* of the last block, while it is incomplete */
	uint64_t len;		    /* bytes fed */
	uint64_t hole_bytes;	    /* of them, by digest_update_zeros() */
	struct sums sums;	    /* of complete blocks */
};

#define DIGEST_INIT ((struct digest){0})

void digest_deinit(struct digest *d);
void digest_restart(struct digest *d);

/* Feed the next `len` bytes. On failure (-ENOMEM) it is the digest of nothing. */
int digest_update(struct digest *d, const void *data, size_t len);
/* The same for the zeros of a hole, which need not exist anywhere. */
int digest_update_zeros(struct digest *d, uint64_t len);

/*
 * Of everything fed so far; big-endian, as xxh128sum prints it. False: more than
 * DIGEST_HOLES_MAX of it was holes, and there is none.
 */
bool digest_value(const struct digest *d, uint8_t ret_hash[DIGEST_HASH_BYTES]);
/* Replace `ret_rows` by the sums of its blocks: see sums_rows(). -ENOMEM. */
int digest_sums(const struct digest *d, struct buf *ret_rows);

/* The XXH3-128 of bytes that are all at hand. */
void digest_of(struct slice data, uint8_t ret_hash[DIGEST_HASH_BYTES]);

/* The sum of one block. */
uint64_t digest_block(const void *data, size_t len);

#define CLEANUP_DIGEST __attribute__((cleanup(digest_deinit)))

#endif
