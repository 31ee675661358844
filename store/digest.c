/* SPDX-License-Identifier: Apache-2.0 */
#include "store/digest.h"

#include <errno.h>
#include <string.h>
#include <xxhash.h>

#define BLOCK_BYTES SUMS_BLOCK_BYTES
/* XXH3-64 of a block of zeros. */
#define ZERO_BLOCK_SUM UINT64_C(0xe7488e240cc78ea7)

static const uint8_t zeros[16 * 1024];

static size_t min_size(uint64_t a, size_t b)
{
	return a < b ? (size_t)a : b;
}

void digest_deinit(struct digest *d)
{
	XXH3_freeState(d->whole);
	XXH3_freeState(d->block);
	sums_deinit(&d->sums);
	*d = DIGEST_INIT;
}

void digest_restart(struct digest *d)
{
	sums_clear(&d->sums);
	d->len = d->hole_bytes = 0;
	if (d->whole)
		XXH3_128bits_reset(d->whole);
	if (d->block)
		XXH3_64bits_reset(d->block);
}

static int alloc_states(struct digest *d)
{
	if (!d->whole) {
		d->whole = XXH3_createState();
		if (!d->whole)
			return -ENOMEM;
		XXH3_128bits_reset(d->whole);
	}
	if (!d->block) {
		d->block = XXH3_createState();
		if (!d->block)
			return -ENOMEM;
		XXH3_64bits_reset(d->block);
	}
	return 0;
}

static bool has_value(const struct digest *d)
{
	return d->hole_bytes <= DIGEST_HOLES_MAX;
}

/* `len` does not reach past the end of the current block. */
static int update_block(struct digest *d, const uint8_t *data, size_t len)
{
	size_t used = d->len % BLOCK_BYTES;

	/* A whole block at hand need not go through the state's own buffer. */
	if (len == BLOCK_BYTES)
		return sums_append(&d->sums, XXH3_64bits(data, len), 1);

	XXH3_64bits_update(d->block, data, len);
	if (used + len == BLOCK_BYTES) {
		if (sums_append(&d->sums, XXH3_64bits_digest(d->block), 1))
			return -ENOMEM;
		XXH3_64bits_reset(d->block);
	}
	return 0;
}

int digest_update(struct digest *d, const void *data, size_t len)
{
	const uint8_t *p = data;

	if (len && alloc_states(d))
		goto fail;
	while (len) {
		size_t room = BLOCK_BYTES - d->len % BLOCK_BYTES;
		size_t n = min_size(len, room);

		/* Block by block, so that the second hash finds it in the cache. */
		if (has_value(d))
			XXH3_128bits_update(d->whole, p, n);
		if (update_block(d, p, n))
			goto fail;
		d->len += n;
		p += n;
		len -= n;
	}
	return 0;
fail:
	digest_restart(d);
	return -ENOMEM;
}

static int update_zeros(struct digest *d, uint64_t len)
{
	while (len) {
		size_t n = min_size(len, sizeof(zeros));

		if (digest_update(d, zeros, n))
			return -ENOMEM;
		len -= n;
	}
	return 0;
}

/* The same, for whole blocks, of which the sum is known. */
static int update_zero_blocks(struct digest *d, uint64_t count)
{
	uint64_t len = count * BLOCK_BYTES;

	if (count && (alloc_states(d) || sums_append(&d->sums, ZERO_BLOCK_SUM, count))) {
		digest_restart(d);
		return -ENOMEM;
	}
	if (has_value(d))
		for (uint64_t at = 0; at < len; at += sizeof(zeros))
			XXH3_128bits_update(d->whole, zeros, sizeof(zeros));
	d->len += len;
	return 0;
}

int digest_update_zeros(struct digest *d, uint64_t len)
{
	uint64_t used = d->len % BLOCK_BYTES;
	uint64_t head = used ? min_size(len, BLOCK_BYTES - used) : 0;
	uint64_t blocks = (len - head) / BLOCK_BYTES;

	d->hole_bytes += len;
	if (update_zeros(d, head) || update_zero_blocks(d, blocks) ||
	    update_zeros(d, len - head - blocks * BLOCK_BYTES))
		return -ENOMEM;
	return 0;
}

bool digest_value(const struct digest *d, uint8_t ret_hash[DIGEST_HASH_BYTES])
{
	XXH128_hash_t h =
	    d->whole ? XXH3_128bits_digest(d->whole) : XXH3_128bits(NULL, 0);
	XXH128_canonical_t canonical;

	if (!has_value(d))
		return false;
	XXH128_canonicalFromHash(&canonical, h);
	memcpy(ret_hash, canonical.digest, DIGEST_HASH_BYTES);
	return true;
}

int digest_sums(const struct digest *d, struct buf *ret_rows)
{
	uint64_t last;

	if (d->len % BLOCK_BYTES == 0)
		return sums_rows(&d->sums, NULL, ret_rows);
	last = XXH3_64bits_digest(d->block);
	return sums_rows(&d->sums, &last, ret_rows);
}

void digest_of(struct slice data, uint8_t ret_hash[DIGEST_HASH_BYTES])
{
	XXH128_canonical_t canonical;

	XXH128_canonicalFromHash(&canonical, XXH3_128bits(data.data, data.len));
	memcpy(ret_hash, canonical.digest, DIGEST_HASH_BYTES);
}

uint64_t digest_block(const void *data, size_t len)
{
	return XXH3_64bits(data, len);
}
