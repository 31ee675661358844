/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Bytes on their way to a descriptor, gathered into blocks.
 *
 * There are two blocks: one is filled, and when that is full it is written by a thread,
 * which begins with the first full one, while the other is filled. Who fills sees how
 * the writing went when the next is full.
 */
#ifndef MEMOFS_CLI_TREE_PACKSTREAM_H
#define MEMOFS_CLI_TREE_PACKSTREAM_H

#include <stddef.h>
#include <stdint.h>

#define PACKSTREAM_BLOCK_BYTES ((size_t)1024 * 1024)

struct packstream;

int packstream_new(int fd, struct packstream **ret_stream); /* -ENOMEM */
/* What was not flushed may not be written. NULL is fine. */
void packstream_free(struct packstream *s);

/*
 * Memory for the next `len` bytes at least, PACKSTREAM_BLOCK_BYTES at most; the same
 * until they are taken with packstream_advance(). -errno of an earlier write(2).
 */
int packstream_room(struct packstream *s, size_t len, uint8_t **ret_room);
void packstream_advance(struct packstream *s, size_t len);
/* Copy `len` bytes of memory. -errno of write(2). */
int packstream_put(struct packstream *s, const void *data, size_t len);
/* Bytes that were taken so far. */
uint64_t packstream_off(const struct packstream *s);
/* Bytes `off` to `off + len`, if they are in memory still, else NULL. */
const uint8_t *packstream_peek(const struct packstream *s, uint64_t off, size_t len);
/* Write everything. -errno of write(2). */
int packstream_flush(struct packstream *s);

#endif
