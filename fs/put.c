/* SPDX-License-Identifier: Apache-2.0 */
#include "fs/put.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "store/util/duration.h"
#include "store/util/text.h"
#include "store/util/utf8.h"

void put(struct put *p, const char *fmt, ...)
{
	char small[512];
	va_list ap;
	int n;

	if (p->r)
		return;
	va_start(ap, fmt);
	n = vsnprintf(small, sizeof(small), fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(small))
		p->r = -E2BIG; /* a part is a line at most; names are put otherwise */
	else
		p->r = buf_append(p->out, small, (size_t)n);
}

static int put_char(struct buf *out, const char *text, size_t len, uint32_t c)
{
	if (!len)
		return buf_append(out, "\xef\xbf\xbd", 3); /* U+FFFD */
	if (c == '"' || c == '\\')
		return buf_printf(out, "\\%c", (int)c);
	/* Also what JSON would let pass but a terminal obeys. */
	if (c < 0x20 || (c >= 0x7f && c < 0xa0))
		return buf_printf(out, "\\u%04" PRIx32, c);
	return buf_append(out, text, len);
}

void put_string(struct put *p, const char *text)
{
	size_t left = strlen(text), n;

	put(p, "\"");
	for (; !p->r && left; text += n, left -= n) {
		uint32_t c = 0;

		n = utf8_decode(text, left, &c);
		p->r = put_char(p->out, text, n, c);
		n = n ? n : 1;
	}
	put(p, "\"");
}

void put_time(struct put *p, const char *key, int64_t ns)
{
	put(p, "\"%s\":%" PRId64 ".%03" PRId64, key, ns / NSEC_PER_SEC,
	    ns % NSEC_PER_SEC / 1000000);
}
