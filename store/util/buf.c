/* SPDX-License-Identifier: Apache-2.0 */
#include "store/util/buf.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buf_deinit(struct buf *b)
{
	free(b->data);
	*b = BUF_INIT;
}

void buf_clear(struct buf *b)
{
	b->len = 0;
}

int buf_reserve(struct buf *b, size_t cap)
{
	size_t want = b->cap ? b->cap : 64;
	uint8_t *data;

	if (cap <= b->cap)
		return 0;
	while (want < cap) {
		if (want > SIZE_MAX / 2)
			return -ENOMEM;
		want *= 2;
	}
	data = realloc(b->data, want);
	if (!data)
		return -ENOMEM;
	b->data = data;
	b->cap = want;
	return 0;
}

int buf_append(struct buf *b, const void *data, size_t len)
{
	if (len > SIZE_MAX - b->len || buf_reserve(b, b->len + len))
		return -ENOMEM;
	if (len)
		memcpy(b->data + b->len, data, len);
	b->len += len;
	return 0;
}

int buf_set(struct buf *b, const void *data, size_t len)
{
	if (buf_reserve(b, len))
		return -ENOMEM;
	if (len)
		memcpy(b->data, data, len);
	b->len = len;
	return 0;
}

int buf_printf(struct buf *b, const char *fmt, ...)
{
	va_list ap, again;
	int n;

	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	if (n >= 0 && buf_reserve(b, b->len + (size_t)n + 1) == 0) {
		vsnprintf((char *)b->data + b->len, (size_t)n + 1, fmt, again);
		b->len += (size_t)n;
	} else {
		n = -1;
	}
	va_end(again);
	return n < 0 ? -ENOMEM : 0;
}
