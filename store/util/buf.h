/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A byte buffer that grows.
 *
 * Invariants: `len <= cap`; `data` is NULL only when `cap` is 0. A zeroed
 * struct (BUF_INIT) is an empty buffer; buf_deinit() makes it one again.
 * Growing functions return 0 or -ENOMEM and leave the content as it was on
 * failure.
 */
#ifndef MEMOFS_STORE_UTIL_BUF_H
#define MEMOFS_STORE_UTIL_BUF_H

#include <stddef.h>
#include <stdint.h>

struct buf {
	uint8_t *data;
	size_t len; /* bytes used */
	size_t cap; /* bytes allocated */
};

#define BUF_INIT ((struct buf){0})

/* A borrowed run of bytes; the owner is whoever made it. */
struct slice {
	const void *data;
	size_t len;
};

static inline struct slice slice(const void *data, size_t len)
{
	return (struct slice){.data = data, .len = len};
}

static inline struct slice buf_slice(const struct buf *b)
{
	return slice(b->data, b->len);
}

void buf_deinit(struct buf *b);
void buf_clear(struct buf *b);		    /* keeps the memory */
int buf_reserve(struct buf *b, size_t cap); /* room for at least cap in all */
int buf_append(struct buf *b, const void *data, size_t len);
int buf_set(struct buf *b, const void *data, size_t len);
int buf_printf(struct buf *b, const char *fmt, ...)
    __attribute__((format(printf, 2, 3))); /* appends, without the NUL */

#define CLEANUP_BUF __attribute__((cleanup(buf_deinit)))

#endif
