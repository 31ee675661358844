/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A pack comes from whoever writes one. Its checksums are made right first, or
 * nothing would ever be looked at behind them: what a fuzzer does not guess, a
 * person can compute. What is accepted is walked as a tree and must be made again,
 * by its paths, to the same bytes: then nothing in it was overlooked.
 */
#include "tests/fuzz/fuzz.h"

#include <string.h>

#include "store/util/pack.h"
#include "store/util/pack_record.h"

static void resum(uint8_t *index, size_t index_bytes, uint32_t n_entries,
		  uint8_t *trailer)
{
	bool whole = (uint64_t)n_entries * PACK_RECORD_BYTES <= index_bytes;

	pack_hash(index, index_bytes, trailer + TRAILER_INDEX_HASH);
	/* Only where the strings are where they should be. */
	for (uint32_t i = 0; whole && i < n_entries; i++) {
		const uint8_t *rec = index + (size_t)i * PACK_RECORD_BYTES;
		uint64_t strings = index_bytes - (uint64_t)n_entries * PACK_RECORD_BYTES;
		uint64_t off = get_u64(rec + REC_A), len = get_u64(rec + REC_B);

		whole = (uint64_t)get_u32(rec + REC_NAME_OFF) + rec[REC_NAME_LEN] <=
			    strings &&
			(rec[REC_TYPE] != PACK_LINK ||
			 (off <= strings && len <= strings - off));
	}
	if (whole)
		FUZZ_CHECK(
		    pack_tree_hash(index, n_entries, trailer + TRAILER_TREE_HASH) == 0);
	put_u64(trailer + TRAILER_SUM, XXH3_64bits(trailer, TRAILER_SUM));
}

static void check_name(const struct pack *p, uint32_t i, const struct pack_entry *e)
{
	uint32_t found;

	FUZZ_CHECK(i == 0 || pack_name_valid(e->name));
	if (i == 0)
		return;
	FUZZ_CHECK(e->parent < i);
	FUZZ_CHECK(pack_child(p, e->parent, e->name, &found) == 0 && found == i);
}

/* Give the entry to a maker, by its path. */
static void add_again(const struct pack *p, uint32_t i, const struct pack_entry *e,
		      struct pack_maker *m)
{
	CLEANUP_BUF struct buf path = BUF_INIT;
	char target[PACK_TARGET_MAX + 1] = "";
	uint32_t found;
	struct pack_item item = {.type = e->type,
				 .mode = e->mode,
				 .mtime_ns = e->mtime_ns,
				 .off = e->off,
				 .size_bytes = e->size_bytes,
				 .hash = e->hash,
				 .target = target};

	FUZZ_CHECK(pack_path(p, i, &path) == 0 && buf_append(&path, "", 1) == 0);
	item.path = (const char *)path.data;
	FUZZ_CHECK(pack_find(p, item.path, &found) == 0 && found == i);
	if (e->type == PACK_LINK)
		memcpy(target, e->target.data, e->target.len);
	if (e->type == PACK_DIR)
		item.off = item.size_bytes = 0;
	FUZZ_CHECK(pack_maker_add(m, &item) == 0);
}

static void walk(const struct pack *p, const uint8_t *raw, size_t len)
{
	CLEANUP_BUF struct buf again = BUF_INIT;
	struct pack_maker *m;

	FUZZ_CHECK(pack_maker_new(&m) == 0);
	for (uint32_t i = 0; i < pack_entries(p); i++) {
		struct pack_entry e;

		pack_get(p, i, &e);
		check_name(p, i, &e);
		if (e.type == PACK_FILE)
			FUZZ_CHECK(e.off + e.size_bytes >= e.off &&
				   e.off + e.size_bytes <= p->trailer.index_off);
		add_again(p, i, &e, m);
	}
	FUZZ_CHECK(pack_maker_meta(m, pack_meta(p)) == 0);
	FUZZ_CHECK(pack_maker_finish(m, p->trailer.index_off, &again) == 0);
	FUZZ_CHECK(again.len == len && !memcmp(again.data, raw, len));
	pack_maker_free(m);
}

/* Index and trailer, of a pack whose contents are somewhere else. */
static void parse(uint8_t *raw, size_t len)
{
	uint8_t *trailer = raw + len - PACK_TRAILER_BYTES;
	uint64_t contents = get_u64(trailer + TRAILER_INDEX_OFF);
	struct buf index = BUF_INIT;
	struct pack_trailer t;
	struct errmsg err = {0};
	struct pack p;

	resum(raw, len - PACK_TRAILER_BYTES, get_u32(trailer + TRAILER_ENTRIES), trailer);
	if (pack_trailer_parse(trailer, contents + len, &t, &err))
		goto refused;
	FUZZ_CHECK(pack_index_bytes(&t) == len - PACK_TRAILER_BYTES);
	FUZZ_CHECK(buf_set(&index, raw, len - PACK_TRAILER_BYTES) == 0);
	if (pack_init(&p, &t, &index, &err))
		goto refused;
	walk(&p, raw, len);
	pack_deinit(&p);
	return;
refused:
	FUZZ_CHECK(err.text[0] && !index.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	uint8_t *raw;

	if (len < PACK_TRAILER_BYTES)
		return 0;
	raw = malloc(len);
	FUZZ_CHECK(raw);
	memcpy(raw, data, len);
	parse(raw, len);
	free(raw);
	return 0;
}
