/* SPDX-License-Identifier: Apache-2.0 */
#include "store/backend.h"

#include <assert.h>
#include <string.h>

/*
 * An encoded operation: this header, the key, then the value (PUT), the end
 * key (DEL_RANGE) or the eight bytes of the delta (ADD). It never leaves the
 * process, so numbers are in the machine's own order and need no alignment.
 */
struct op_head {
	uint8_t kind;
	uint8_t table;
	uint32_t key_len;
	uint32_t value_len;
};

static void append(struct batch *b, enum batch_kind kind, enum table t, struct slice key,
		   struct slice value)
{
	struct op_head head = {.kind = (uint8_t)kind, .table = (uint8_t)t};
	size_t need;

	assert((unsigned int)t < TABLE_COUNT);
	if (b->failed)
		return;
	if (key.len > UINT32_MAX || value.len > UINT32_MAX || b->count == UINT32_MAX)
		goto fail;
	head.key_len = (uint32_t)key.len;
	head.value_len = (uint32_t)value.len;
	if (__builtin_add_overflow(b->ops.len, sizeof(head) + key.len, &need) ||
	    __builtin_add_overflow(need, value.len, &need) || buf_reserve(&b->ops, need))
		goto fail;
	/* There is room for all three: none of these can fail. */
	buf_append(&b->ops, &head, sizeof(head));
	buf_append(&b->ops, key.data, key.len);
	buf_append(&b->ops, value.data, value.len);
	b->count++;
	return;
fail:
	b->failed = true;
}

void batch_deinit(struct batch *b)
{
	buf_deinit(&b->ops);
	*b = BATCH_INIT;
}

void batch_clear(struct batch *b)
{
	buf_clear(&b->ops);
	b->count = 0;
	b->failed = false;
}

void batch_put(struct batch *b, enum table t, struct slice key, struct slice value)
{
	assert(t != TABLE_COUNTER || value.len == sizeof(uint64_t));
	append(b, BATCH_PUT, t, key, value);
}

void batch_del(struct batch *b, enum table t, struct slice key)
{
	append(b, BATCH_DEL, t, key, slice(NULL, 0));
}

void batch_add(struct batch *b, struct slice key, int64_t delta)
{
	append(b, BATCH_ADD, TABLE_COUNTER, key, slice(&delta, sizeof(delta)));
}

void batch_del_range(struct batch *b, enum table t, struct slice begin, struct slice end)
{
	/* Databases disagree about a range that ends before it begins. */
	if (slice_cmp(begin, end) < 0)
		append(b, BATCH_DEL_RANGE, t, begin, end);
}

bool batch_next(const struct batch *b, size_t *pos, struct batch_op *ret_op)
{
	struct batch_op op = {0};
	struct op_head head;
	const uint8_t *p;

	if (*pos == b->ops.len)
		return false;
	assert(*pos < b->ops.len && b->ops.len - *pos >= sizeof(head));
	p = b->ops.data + *pos;
	memcpy(&head, p, sizeof(head));
	p += sizeof(head);
	op.kind = (enum batch_kind)head.kind;
	op.table = (enum table)head.table;
	op.key = slice(p, head.key_len);
	p += head.key_len;
	if (op.kind == BATCH_ADD)
		memcpy(&op.delta, p, sizeof(op.delta));
	else
		op.value = slice(p, head.value_len);
	*pos += sizeof(head) + head.key_len + (size_t)head.value_len;
	*ret_op = op;
	return true;
}
