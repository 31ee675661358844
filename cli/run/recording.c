/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/run/recording.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* `1 ` or `2 `, twenty digits, a line break. */
#define LINE_MAX_BYTES 24

static int end_run(struct recording *rec)
{
	char line[LINE_MAX_BYTES];
	int len;

	if (!rec->run_bytes)
		return 0;
	if (rec->order.size_bytes > ORDER_MAX_BYTES - LINE_MAX_BYTES)
		return -EFBIG;
	len = snprintf(line, sizeof(line), "%d %" PRIu64 "\n", rec->last + 1,
		       rec->run_bytes);
	rec->run_bytes = 0;
	return spool_add(&rec->order, line, (size_t)len);
}

static int add(struct recording *rec, enum stream from, const void *bytes, size_t len)
{
	int r = rec->last != from ? end_run(rec) : 0;

	if (!r)
		r = spool_add(&rec->bytes[from], bytes, len);
	if (r)
		return r;
	rec->last = from;
	rec->run_bytes += len;
	return 0;
}

void recording_add(struct recording *rec, enum stream from, const void *bytes, size_t len)
{
	if (!rec->failed)
		rec->failed = add(rec, from, bytes, len);
}

int recording_pack(struct recording *rec, struct packwrite *w, struct errmsg *err)
{
	int r = rec->failed ? rec->failed : end_run(rec);

	if (r)
		return err_set(err, -r, "its output cannot be kept: %s", strerror(-r));
	r = spool_pack(&rec->bytes[STREAM_OUT], w, "stdout", err);
	if (!r)
		r = spool_pack(&rec->bytes[STREAM_ERR], w, "stderr", err);
	return r ? r : spool_pack(&rec->order, w, "order", err);
}

void recording_deinit(struct recording *rec)
{
	for (int i = 0; i < STREAMS; i++)
		spool_deinit(&rec->bytes[i]);
	spool_deinit(&rec->order);
}

/* Digits up to a line break. */
static int parse_length(struct slice order, size_t *at, uint64_t *ret_len)
{
	const char *text = order.data;
	uint64_t len = 0;

	for (; *at < order.len && text[*at] != '\n'; (*at)++) {
		char c = text[*at];

		if (c < '0' || c > '9' || len > UINT64_MAX / 10 - 1)
			return -EBADMSG;
		len = len * 10 + (uint64_t)(c - '0');
	}
	if (*at == order.len || !len)
		return -EBADMSG;
	(*at)++;
	*ret_len = len;
	return 0;
}

int order_next(struct slice order, size_t *at, enum stream *ret_from, uint64_t *ret_len)
{
	const char *text = order.data;
	size_t pos = *at;
	uint64_t len;
	int r;

	if (pos == order.len)
		return -ENOENT;
	if (order.len - pos < 4 || (text[pos] != '1' && text[pos] != '2') ||
	    text[pos + 1] != ' ')
		return -EBADMSG;
	pos += 2;
	r = parse_length(order, &pos, &len);
	if (r)
		return r;
	*ret_from = text[*at] == '1' ? STREAM_OUT : STREAM_ERR;
	*ret_len = len;
	*at = pos;
	return 0;
}
