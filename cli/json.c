/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/json.h"

#include <inttypes.h>
#include <string.h>

#include "cli/message.h"
#include "store/util/buf.h"
#include "store/util/duration.h"
#include "store/util/utf8.h"

static void put_text(FILE *out, const char *s)
{
	size_t len = strlen(s), n;
	uint32_t c;

	putc('"', out);
	for (; len; s += n, len -= n) {
		n = utf8_decode(s, len, &c);
		if (!n) {
			fputs("\xef\xbf\xbd", out); /* U+FFFD */
			n = 1;
		} else if (c == '"' || c == '\\') {
			fprintf(out, "\\%c", (int)c);
		} else if (c < 0x20 || (c >= 0x7f && c < 0xa0)) {
			/* Also what JSON would let pass but a terminal obeys. */
			fprintf(out, "\\u%04" PRIx32, c);
		} else {
			fwrite(s, 1, n, out);
		}
	}
	putc('"', out);
}

static void new_line(struct json *js)
{
	fprintf(js->out, "\n%*s", (int)(2 * js->depth), "");
}

static void begin(struct json *js, const char *key)
{
	if (js->begun)
		putc(',', js->out);
	if (js->depth)
		new_line(js);
	js->begun = true;
	if (key) {
		put_text(js->out, key);
		fputs(": ", js->out);
	}
}

static void open_level(struct json *js, const char *key, char bracket)
{
	begin(js, key);
	putc(bracket, js->out);
	js->depth++;
	js->begun = false;
}

static void close_level(struct json *js, char bracket)
{
	js->depth--;
	if (js->begun)
		new_line(js);
	js->begun = true;
	putc(bracket, js->out);
	if (!js->depth) {
		putc('\n', js->out);
		js->begun = false;
	}
}

void json_object(struct json *js, const char *key)
{
	open_level(js, key, '{');
}

void json_object_end(struct json *js)
{
	close_level(js, '}');
}

void json_array(struct json *js, const char *key)
{
	open_level(js, key, '[');
}

void json_array_end(struct json *js)
{
	close_level(js, ']');
}

void json_string(struct json *js, const char *key, const char *value)
{
	begin(js, key);
	put_text(js->out, value);
}

/* RFC 4648, with padding. */
static void append_base64(struct buf *out, const void *data, size_t len)
{
	static const char digits[] =
	    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const unsigned char *p = data;

	for (; len; p += 3) {
		size_t n = len < 3 ? len : 3;
		uint32_t v = (uint32_t)p[0] << 16 | (n > 1 ? (uint32_t)p[1] << 8 : 0) |
			     (n > 2 ? p[2] : 0);
		char quad[4] = {digits[v >> 18], digits[v >> 12 & 63],
				n > 1 ? digits[v >> 6 & 63] : '=',
				n > 2 ? digits[v & 63] : '='};

		must(buf_append(out, quad, sizeof(quad)));
		len -= n;
	}
}

void json_name(struct json *js, const char *key, const char *value)
{
	CLEANUP_BUF struct buf exact = BUF_INIT;
	CLEANUP_FREE char *second = NULL;
	size_t len = strlen(value);

	json_string(js, key, value);
	if (utf8_valid(value, len))
		return;
	append_base64(&exact, value, len);
	must(buf_append(&exact, "", 1));
	if (asprintf(&second, "%s_base64", key) < 0)
		must(-1);
	json_string(js, second, (const char *)exact.data);
}

void json_uint(struct json *js, const char *key, uint64_t value)
{
	begin(js, key);
	fprintf(js->out, "%" PRIu64, value);
}

void json_bool(struct json *js, const char *key, bool value)
{
	begin(js, key);
	fputs(value ? "true" : "false", js->out);
}

void json_null(struct json *js, const char *key)
{
	begin(js, key);
	fputs("null", js->out);
}

void json_seconds(struct json *js, const char *key, int64_t ns)
{
	uint64_t abs = ns < 0 ? -(uint64_t)ns : (uint64_t)ns;
	char frac[16];
	size_t len;

	snprintf(frac, sizeof(frac), ".%09" PRIu64, abs % NSEC_PER_SEC);
	for (len = strlen(frac); len && (frac[len - 1] == '0' || frac[len - 1] == '.');)
		frac[--len] = '\0';
	begin(js, key);
	fprintf(js->out, "%s%" PRIu64 "%s", ns < 0 ? "-" : "", abs / NSEC_PER_SEC, frac);
}
