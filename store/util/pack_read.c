/* SPDX-License-Identifier: Apache-2.0 */
/* Getting at the index of a pack, wherever its bytes are. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "store/util/err.h"
#include "store/util/pack.h"

static int reserve(struct buf *b, uint64_t bytes, struct errmsg *err)
{
	return buf_reserve(b, (size_t)bytes) ? err_set(err, ENOMEM, "out of memory") : 0;
}

static int read_tail(const struct pack_source *src, struct buf *ret_tail,
		     struct errmsg *err)
{
	uint64_t len = src->tail_bytes;
	int r;

	if (len < PACK_TRAILER_BYTES)
		len = PACK_TRAILER_BYTES;
	if (src->size_bytes < PACK_TRAILER_BYTES)
		return err_set(err, EBADMSG, "too short for a pack: %" PRIu64 " bytes",
			       src->size_bytes);
	if (len > src->size_bytes)
		len = src->size_bytes;
	r = reserve(ret_tail, len, err);
	if (!r)
		r = src->read(src->arg, ret_tail->data, (size_t)len,
			      src->size_bytes - len);
	if (!r)
		ret_tail->len = (size_t)len;
	return r;
}

/* From what was read already, and what lies before that. */
static int read_index(const struct pack_source *src, const struct pack_trailer *t,
		      const struct buf *tail, struct buf *ret_index, struct errmsg *err)
{
	uint64_t len = pack_index_bytes(t);
	uint64_t known = tail->len - PACK_TRAILER_BYTES;
	int r = reserve(ret_index, len, err);

	if (known > len)
		known = len;
	if (!r && known < len)
		r = src->read(src->arg, ret_index->data, (size_t)(len - known),
			      t->index_off);
	if (r)
		return r;
	memcpy(ret_index->data + (len - known),
	       tail->data + (tail->len - PACK_TRAILER_BYTES - known), (size_t)known);
	ret_index->len = (size_t)len;
	return 0;
}

int pack_read(const struct pack_source *src, struct pack *ret_pack, struct buf *ret_tail,
	      struct errmsg *err)
{
	CLEANUP_BUF struct buf tail = BUF_INIT, index = BUF_INIT;
	struct pack_trailer trailer;
	int r = read_tail(src, &tail, err);

	if (!r)
		r = pack_trailer_parse(tail.data + tail.len - PACK_TRAILER_BYTES,
				       src->size_bytes, &trailer, err);
	if (!r)
		r = read_index(src, &trailer, &tail, &index, err);
	if (!r)
		r = pack_init(ret_pack, &trailer, &index, err);
	if (!r && ret_tail) {
		*ret_tail = tail;
		tail = BUF_INIT;
	}
	return r;
}
